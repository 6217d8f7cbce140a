/**
 * Why a job failed, from what it printed: the one or two lines that a person would look for. Pure, one pass,
 * bounded memory.
 *
 * What is recognised, best first:
 *
 * 1. what ended a Node process: the error after the `^` mark, confirmed by the line `Node.js v...`; an exhausted heap;
 * 2. the last line of the last Python traceback;
 * 3. the last error with a stack (`SomeError: message`, then lines `at ...`);
 * 4. the last line that calls itself an error.
 *
 * Of an error with causes (`[cause]: ...`) the innermost is the root, and is named too.
 */
import { describe, hasSucceeded, type TerminalStatus } from "../Execution.ts"

const summaryLength = 600

/** What was found, and how sure it is: lower is surer. */
export interface FoundError {
  readonly rank: number
  readonly text: string
}

interface Block {
  readonly head: string
  /** It came after the mark that Node prints under the line that threw. */
  readonly uncaught: boolean
  frame: string | undefined
  root: string | undefined
  rootFrame: string | undefined
}

const terminalSequences = /\u001b\[[0-?]*[ -/]*[@-~]/g
/** `Error: message`, `TypeError [CODE]: message`, `module.SomeException: message`, also without a message. */
const errorHead = /^\s*(?:Uncaught )?((?:[A-Za-z_$][\w$.]*)?(?:Error|Exception)\b(?: \[[\w.-]+\])?(?:: .*)?)$/
const frameLine = /^\s+at (.+?)(?: \{)?$/
const causeLine = /^\s*(?:\[cause\]|Caused by|cause): (.+)$/
const caretLine = /^\s*\^+\s*$/
const ownWords =
  /\b(?:error|fatal|panic|exception)\b\s*[:\]!]|^\s*(?:error|fatal|panic)\b|panicked at|segmentation fault/i
const namedError = /\b[A-Z]\w*(?:Error|Exception):/

/** A frame of the program itself, not of Node and not of a library. */
const isOwnFrame = (frame: string): boolean => !frame.includes("node:") && !frame.includes("node_modules")

const render = (block: Block): string => {
  const place = block.rootFrame ?? block.frame
  const where = place === undefined ? "" : ` (at ${place})`
  const root = block.root === undefined || block.root === block.head ? "" : `, caused by ${block.root}`
  return `${block.head.replace(/ \{$/, "")}${root.replace(/ \{$/, "")}${where}`
}

/** Reads one output, line by line, and remembers the error that ended the job. */
export class ErrorScan {
  private block: Block | undefined
  private lastStack: Block | undefined
  private fatal: string | undefined
  private traceback: string | undefined
  private generic: string | undefined
  private lastWords: string | undefined
  private inTraceback = false
  private afterCaret = false

  /** One line, without its end. */
  line(raw: string): void {
    const text = raw.replaceAll(terminalSequences, "").trimEnd()
    if (text.trim() === "") return
    if (this.traceLine(text)) return
    if (caretLine.test(text)) {
      this.afterCaret = true
      return
    }
    if (/^Node\.js v\d+/.test(text)) {
      const ended = this.block?.uncaught === true ? this.block : this.lastStack
      if (ended !== undefined) this.fatal = render(ended)
      this.block = undefined
      return
    }
    this.lastWords = text.trim()
    const heap = /FATAL ERROR: (.*out of memory.*)$/i.exec(text)
    if (heap !== null) this.fatal = heap[0]
    if (this.blockLine(text)) return
    if (ownWords.test(text) || namedError.test(text)) this.generic = text.trim()
  }

  /** The best that was found; undefined when nothing looked like an error. */
  found(): FoundError | undefined {
    const found = [
      this.fatal,
      this.traceback,
      this.lastStack === undefined ? undefined : render(this.lastStack),
      this.generic
    ]
    const rank = found.findIndex((one) => one !== undefined)
    return rank < 0 ? undefined : { rank, text: found[rank]! }
  }

  /** The last line that is not blank: better than nothing, when it stands in the error output of a job that failed. */
  last(): string | undefined {
    return this.lastWords
  }

  /** Python: indented lines after the heading, then the error at the margin. */
  private traceLine(text: string): boolean {
    if (/^\s*Traceback \(most recent call last\):/.test(text)) {
      this.inTraceback = true
      return true
    }
    if (!this.inTraceback) return false
    if (/^\s/.test(text)) return true
    this.traceback = text
    this.lastWords = text
    this.inTraceback = false
    return true
  }

  /** JavaScript: a head, the rest of its message, frames, causes. True when the line belongs to such a block. */
  private blockLine(text: string): boolean {
    if (this.afterCaret) {
      this.afterCaret = false
      this.block = { head: text.trim(), uncaught: true, frame: undefined, root: undefined, rootFrame: undefined }
      return true
    }
    const frame = frameLine.exec(text)?.[1]
    if (frame !== undefined && this.block !== undefined) {
      this.lastStack = this.block
      if (isOwnFrame(frame)) {
        if (this.block.root === undefined) this.block.frame ??= frame
        else this.block.rootFrame ??= frame
      }
      return true
    }
    const cause = causeLine.exec(text)?.[1]
    if (cause !== undefined && this.block !== undefined) {
      this.block.root = cause
      this.block.rootFrame = undefined
      return true
    }
    const head = errorHead.exec(text)?.[1]
    if (head === undefined || (this.block?.uncaught === true && /^\s/.test(text))) return false
    this.block = { head, uncaught: false, frame: undefined, root: undefined, rootFrame: undefined }
    // Without a stack it is still a line that calls itself an error.
    this.generic = text.trim()
    return true
  }
}

const shorten = (text: string): string => text.length > summaryLength ? `${text.slice(0, summaryLength)}...` : text

/** Why the job failed; null when it ended well, or was cancelled on request. */
export const summarize = (status: TerminalStatus, stdout: ErrorScan, stderr: ErrorScan): string | null => {
  if (hasSucceeded(status)) return null
  if (status._tag !== "Exited" || status.startError !== undefined) return describe(status)
  const [first] = [stderr.found(), stdout.found()].filter((one) => one !== undefined).sort((a, b) => a.rank - b.rank)
  const said = first?.text ?? stderr.last()
  // How it ended says more than what it printed before, when somebody else ended it.
  const byOthers = status.signal !== null || status.timedOut === true || status.outOfMemory === true ||
    status.terminated === true
  if (said === undefined) return `${describe(status)}, and printed nothing that looks like an error`
  return shorten(byOthers ? `${describe(status)}; the last error printed: ${said}` : said)
}
