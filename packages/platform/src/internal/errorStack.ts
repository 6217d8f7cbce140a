/**
 * Errors of JavaScript and of the Java virtual machine: a head (`SomeError: message`), then lines `at ...`, then causes.
 * The root is the innermost cause. What Java suppressed on the way is no cause of it.
 */
import { announcesLogged, describeError, type ErrorReader, type Report, type Sureness } from "./errorFinding.ts"

interface Block {
  readonly head: string
  readonly at: number
  sureness: Sureness
  /** It came after the mark that Node prints under the line that threw. */
  readonly afterCaret: boolean
  hasFrames: boolean
  frame: string | undefined
  root: string | undefined
  rootFrame: string | undefined
}

/** `Error: message`, `TypeError [CODE]: message`, `module.SomeException: message`, also without a message. */
const headLine = /^\s*(?:Uncaught )?((?:[A-Za-z_$][\w$.]*)?(?:Error|Exception)\b(?: \[[\w.-]+\])?(?:: .*)?)$/
/** The same at the end of a line of a log. */
const headInside = /\b([A-Z][\w$]*(?:Error|Exception)\b(?: \[[\w.-]+\])?: .*)$/
const threadHead = /Exception in thread "(.*?)" (\S+(?:: .*)?)$/
const frameLine = /^\s+at (.+?)(?: \{|,)?$/
const causeLine = /^(\s*)(?:\[cause\]|Caused by|cause): (.+)$/
const caretLine = /^\s*\^+\s*$/
/** These tell that something else failed, and that has told why. */
const derivedHead = /^Error: (?:Command failed|spawn\w* \S+ E(?:PIPE|CONNRESET))/

/** A frame of the program itself, not of its runtime and not of a library. */
const isOwnFrame = (frame: string): boolean =>
  !/node:|node_modules|^(?:java|javax|jdk|sun|com\.sun|scala|kotlin)\.|^(?:java|jdk)\.[\w.]+\//.test(frame)

const clean = (text: string): string => text.replace(/ \{$/, "").replace(/^\[(.*)\]$/, "$1")

export class StackErrors implements ErrorReader {
  private readonly report: Report
  private block: Block | undefined
  private last: Block | undefined
  private afterCaret = false
  private inSuppressed = false
  private expectsMember = false

  constructor(report: Report) {
    this.report = report
  }

  line(text: string, at: number, previous: string): boolean {
    if (caretLine.test(text)) {
      this.afterCaret = true
      return true
    }
    if (/^Node\.js v\d+/.test(text)) {
      const ended = this.block?.afterCaret === true ? this.block : this.last
      if (ended !== undefined) this.tell(ended, "ended")
      this.block = undefined
      return true
    }
    if (this.afterCaret) {
      this.afterCaret = false
      this.begin(text.trim(), at, "traced", true)
      // Compilers print such marks too: then it may be a line that calls itself an error.
      return false
    }
    if (this.block !== undefined && this.inside(this.block, text)) return true
    return this.outside(text, at, previous)
  }

  private inside(block: Block, text: string): boolean {
    if (/^\s+Suppressed: /.test(text)) {
      this.inSuppressed = true
      return true
    }
    if (this.inSuppressed && /^\t(?:\t|Caused by: )/.test(text)) return true
    this.inSuppressed = false
    if (/^\s*\.\.\. \d+ (?:more|lines matching|common frames)/.test(text)) return true
    if (/^\s*\[errors\]: \[$/.test(text)) {
      this.expectsMember = block.root === undefined
      return true
    }
    const cause = causeLine.exec(text)?.[2] ?? (this.expectsMember ? text.trim() : undefined)
    this.expectsMember = false
    if (cause !== undefined) {
      block.root = clean(cause)
      block.rootFrame = undefined
      if (block.hasFrames) this.tell(block)
      return true
    }
    const frame = frameLine.exec(text)?.[1]
    if (frame === undefined) return false
    block.hasFrames = true
    this.last = block
    if (isOwnFrame(frame)) {
      if (block.root === undefined) block.frame ??= frame
      else block.rootFrame ??= frame
    }
    this.tell(block)
    return true
  }

  private outside(text: string, at: number, previous: string): boolean {
    const thread = threadHead.exec(text)
    if (thread !== null) {
      this.begin(thread[2]!, at, thread[1] === "main" ? "ended" : "traced", false)
      this.tell(this.block!)
      return true
    }
    const head = headLine.exec(text)?.[1]
    if (head === undefined) {
      const inside = headInside.exec(text)?.[1]
      if (inside !== undefined && this.block?.afterCaret !== true) this.begin(inside, at, "logged", false)
      // Without frames it is a line of text like any other.
      return false
    }
    if (this.block?.afterCaret === true && /^\s/.test(text)) return false
    this.begin(head, at, announcesLogged(previous) ? "logged" : "traced", false)
    return false
  }

  private begin(head: string, at: number, sureness: Sureness, afterCaret: boolean): void {
    this.inSuppressed = false
    this.expectsMember = false
    this.block = {
      head: clean(head),
      at,
      sureness,
      afterCaret,
      hasFrames: false,
      frame: undefined,
      root: undefined,
      rootFrame: undefined
    }
  }

  private tell(block: Block, sureness: Sureness = block.sureness): void {
    this.report({
      sureness,
      derived: derivedHead.test(block.head) && block.root === undefined,
      text: describeError(block.head, block.root, block.rootFrame ?? block.frame),
      at: block.at
    })
  }
}
