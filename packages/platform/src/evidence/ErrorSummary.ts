/**
 * Why a job failed, from what it printed: the one or two lines that a person would look for. Pure, one pass,
 * bounded memory.
 *
 * Each language's errors have a reader of their own under `internal/error*.ts`: JavaScript and Java, Python, Rust, Go,
 * C and C++. Each reports what it finds, and how sure it is; `internal/errorFinding.ts` says which report is the
 * reason. Of an error with causes the outermost and the root are named, and where the root was raised.
 *
 * The lines of several processes that came together (`[rank3]: ...`, as launchers print them) are read apart. There the
 * first to fail is the reason: the others fail because it has gone.
 */
import { describe, hasSucceeded, type TerminalStatus } from "../Execution.ts"
import { type ErrorReader, type Finding, Findings } from "../internal/errorFinding.ts"
import { GoErrors } from "../internal/errorGo.ts"
import { NativeErrors } from "../internal/errorNative.ts"
import { PythonErrors } from "../internal/errorPython.ts"
import { RustErrors } from "../internal/errorRust.ts"
import { StackErrors } from "../internal/errorStack.ts"
import { harmless } from "./LogText.ts"

const summaryLength = 600
/** Of a line, in characters. What is beyond is data, and no heading of an error. */
const lineLength = 1000
/** More processes than these in one output are read as one. */
const processLimit = 64

/** What was found, and how sure it is: higher is surer. */
export interface FoundError extends Finding {
  readonly score: number
}

const timestamp = /^\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?(?:\s|$)/
const processPrefixes: ReadonlyArray<RegExp> = [
  /^\[(?:default\d+|(?:rank|worker|replica|node|trainer|gpu|proc|process)[ _:-]?\d+)\]:? ?/i, // torch and others
  /^\[\d+(?:,\d+)?\]<(?:stdout|stderr)>:/, // mpirun --tag-output
  /^\[\d+\]: /,
  /^\d{1,5}: /, // srun --label
  /^\((?:[\w.<>]+ )?pid=\d+(?:, ip=[\d.]+)?\) /, // Ray
  /^[\w.-]+ +\| / // docker compose
]
const ownWords = new RegExp(
  [
    String.raw`\b(?:error|fatal|panic|exception)\b\s*[:\]!]`,
    String.raw`^\s*(?:error|fatal|panic)\b`,
    String.raw`\[Errno \d+\]`,
    String.raw`out of memory`
  ].join("|"),
  "i"
)
const namedError = /\b[A-Z]\w*(?:Error|Exception):/
/** A progress bar as tqdm draws it. It ends without a line end: what comes next in its line is another's. */
const progressBar = /^[^%|]*\d%\|[^|]*\|[^\]]*\]/
/** What a line must hold to be the beginning of anything. Most lines hold none of it, and are not looked at further. */
const trigger = new RegExp(
  [
    "error|exception|panic|traceback|fatal|sanitizer|fault|terminat|abort|killed|assertion|caused by|detected",
    String.raw`illegal|free\(\)|corrupt|malloc|munmap_chunk|unlink_chunk|unhandled|memory|errno|node\.js v|bus error`,
    String.raw`^\s*\^+\s*$|^\s+File "`
  ].join("|"),
  "i"
)
/** How many lines are read on after one that belonged to something: those of others may come in between. */
const attention = 250

const withoutTime = (text: string): string => /^\[?\d{4}[-/]/.test(text) ? text.replace(timestamp, "") : text

/** The readers of one process, in the order in which they are asked: the first one that knows a line has it. */
class ProcessErrors {
  readonly prefix: string
  readonly findings = new Findings()
  private previous = ""
  private attention = 0
  private readonly readers: ReadonlyArray<ErrorReader> = [
    new PythonErrors(this.findings.report),
    new RustErrors(this.findings.report),
    new GoErrors(this.findings.report),
    new NativeErrors(this.findings.report),
    new StackErrors(this.findings.report)
  ]

  constructor(prefix: string) {
    this.prefix = prefix
  }

  line(text: string, at: number): void {
    const previous = this.previous
    this.previous = text
    const isTrigger = trigger.test(text)
    if (!isTrigger && this.attention === 0) return
    this.attention--
    if (this.readers.some((reader) => reader.line(text, at, previous))) this.attention = attention
    else if (isTrigger) {
      this.attention = attention
      if (ownWords.test(text) || namedError.test(text)) {
        this.findings.report({ sureness: "said", derived: false, text: text.trim(), at })
      }
    }
  }
}

/** Reads one output, line by line, and remembers the error that ended the job. */
export class ErrorScan {
  private readonly processes = new Map<string, ProcessErrors>()
  private at = 0
  private lastWords: string | undefined

  /** One line, without its end. */
  line(raw: string): void {
    let text = withoutTime(harmless(raw.slice(0, lineLength))).trimEnd()
    if (text === "") return
    const prefix = this.prefixOf(text)
    if (prefix !== "") text = withoutTime(text.slice(prefix.length))
    if (text.includes("%|")) text = text.replace(progressBar, "")
    if (text.trim() === "") return
    if (!/^[\s^~-]*$/.test(text)) this.lastWords = text.trim()
    let process = this.processes.get(prefix)
    if (process === undefined) {
      process = new ProcessErrors(prefix.trim())
      this.processes.set(prefix, process)
    }
    process.line(text, this.at++)
  }

  /** What names the process that a line is from; empty where nothing does. */
  private prefixOf(text: string): string {
    if (!/^[[(\d]| \| /.test(text)) return ""
    for (const pattern of processPrefixes) {
      const found = pattern.exec(text)?.[0]
      if (found !== undefined && (this.processes.size < processLimit || this.processes.has(found))) return found
    }
    return ""
  }

  /** The best that was found; undefined when nothing looked like an error. */
  found(): FoundError | undefined {
    return [...this.processes.values()].flatMap(({ findings, prefix }): Array<FoundError> => {
      const best = findings.best()
      return best === undefined ? [] : [{ ...best, text: prefix === "" ? best.text : `${prefix} ${best.text}` }]
    }).sort((a, b) => b.score - a.score || a.at - b.at)[0]
  }

  /** The last line that is not blank: better than nothing, when it stands in the error output of a job that failed. */
  last(): string | undefined {
    return this.lastWords
  }
}

const shorten = (text: string): string => text.length > summaryLength ? `${text.slice(0, summaryLength)}...` : text

/** Why the job failed; null when it ended well, or was cancelled on request. */
export const summarize = (status: TerminalStatus, stdout: ErrorScan, stderr: ErrorScan): string | null => {
  if (hasSucceeded(status)) return null
  if (status._tag !== "Exited" || status.startError !== undefined) return describe(status)
  const [first] = [stderr.found(), stdout.found()].filter((one) => one !== undefined).sort((a, b) => b.score - a.score)
  const said = first?.text ?? stderr.last()
  // How it ended says more than what it printed before, when somebody else ended it.
  const byOthers = status.signal !== null || status.timedOut === true || status.outOfMemory === true ||
    status.terminated === true
  if (said === undefined) return `${describe(status)}, and printed nothing that looks like an error`
  return shorten(byOthers ? `${describe(status)}; the last error printed: ${said}` : said)
}
