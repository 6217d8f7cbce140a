/**
 * Rust's errors: panics, in the forms of all editions, and the chains that `anyhow` and `eyre` print when `main` returns
 * them. The root of a chain is its last line. A panic that only tells of another thread's panic is no root.
 */
import { describeError, type ErrorReader, type Report } from "./errorFinding.ts"

const panicLine = /thread '(.*?)' (?:\(\d+\) )?panicked at (.*)$/
const oldPanic = /^'(.*)', (\S+:\d+:\d+)$/
const derivedMessage =
  /Any \{ \.\. \}|PoisonError|RecvError|SendError|JoinError|a scoped thread panicked|^panic in a (?:destructor|function)/

interface Panic {
  readonly at: number
  readonly isMain: boolean
  readonly place: string
  message: string
}

export class RustErrors implements ErrorReader {
  private readonly report: Report
  private panic: Panic | undefined
  private inBacktrace = false
  private error: { readonly text: string; readonly at: number } | undefined
  private inCauses = false
  private root: string | undefined

  constructor(report: Report) {
    this.report = report
  }

  line(text: string, at: number): boolean {
    const start = panicLine.exec(text)
    if (start !== null) {
      this.begin(start[1]!, start[2]!, at)
      return true
    }
    if (this.inBacktrace) {
      if (/^\s+(?:\d+: |at )/.test(text)) return true
      this.inBacktrace = false
    }
    if (/^(?:[Ss]tack backtrace:)$/.test(text)) {
      this.inBacktrace = true
      if (this.panic?.message === "") this.tell(this.panic)
      this.panic = undefined
      return true
    }
    if (this.panic !== undefined) return this.messageLine(this.panic, text)
    return this.chainLine(text, at)
  }

  private begin(thread: string, rest: string, at: number): void {
    this.inBacktrace = false
    this.inCauses = false
    const old = oldPanic.exec(rest)
    this.panic = { at, isMain: thread === "main", place: old?.[2] ?? rest.replace(/:$/, ""), message: old?.[1] ?? "" }
    if (old === null) return // its message comes in the next line
    this.tell(this.panic)
    this.panic = undefined
  }

  private messageLine(panic: Panic, text: string): boolean {
    const isNote = text.startsWith("note: ")
    if (!isNote && panic.message === "") {
      panic.message = text.trim()
      this.tell(panic)
      return true
    }
    // What `assert_eq!` compares stands in two lines of its own.
    const side = /^\s+((?:left|right): .*)$/.exec(text)?.[1]
    if (side !== undefined && panic.message.length < 2000) {
      panic.message += `, ${side}`
      this.tell(panic)
      return true
    }
    if (panic.message === "") this.tell(panic)
    this.panic = undefined
    return isNote
  }

  private tell({ at, isMain, message, place }: Panic): void {
    this.report({
      sureness: isMain ? "ended" : "traced",
      derived: derivedMessage.test(message),
      text: describeError(message === "" ? "panic" : `panic: ${message}`, undefined, place),
      at
    })
  }

  private chainLine(text: string, at: number): boolean {
    const head = /^Error:(?: (.+))?$/.exec(text)
    if (head !== null) {
      this.error = { text: head[1] ?? "", at }
      this.inCauses = head[1] === undefined
      this.root = undefined
      return false
    }
    if (this.error === undefined) return false
    if (text === "Caused by:") {
      this.inCauses = true
      return true
    }
    if (!this.inCauses) {
      // Only the heading may stand between the two.
      this.error = undefined
      return false
    }
    const cause = /^\s+(?:\d+: +)?(\S.*)$/.exec(text)
    if (cause === null) {
      this.error = undefined
      this.inCauses = false
      return false
    }
    const isNumbered = /^\s+\d+: /.test(text)
    if (isNumbered || this.root === undefined) this.root = cause[1]!
    const outer = this.error.text
    if (outer === "") this.error = { ...this.error, text: this.root }
    this.report({
      sureness: "traced",
      derived: false,
      text: describeError(`Error: ${this.error.text}`, outer === "" ? undefined : this.root, undefined),
      at: this.error.at
    })
    return true
  }
}
