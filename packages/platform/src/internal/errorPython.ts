/**
 * Python's errors: tracebacks, chained by cause or by handling, groups, syntax errors, crashes of the interpreter.
 * The root is the first exception of a chain, and the first member of a group.
 */
import { announcesLogged, describeError, type ErrorReader, type Report } from "./errorFinding.ts"

interface Raised {
  readonly text: string
  readonly place: string | undefined
}

/** What the exceptions of a chain have to do with each other. */
type Link = "caused by" | "while handling" | "the first of them"

const header = /Traceback \(most recent call last\):/
const frameLine = /^\s+File "(.+)", line (\d+)(?:,? in (.+))?$/
/** A class of its own module (`ValueError`) begins with a capital; others bear the name of their module. */
const raisedLine = /^((?:[A-Za-z_]\w*\.)+(?:<locals>\.)?[A-Za-z_]\w*|[A-Z]\w*)(?:: ?(.*))?$/
const levels = /^(?:INFO|DEBUG|WARN|WARNING|ERROR|CRITICAL|FATAL|NOTICE|TRACE)$/
const derivedClass =
  /(?:^|\.)(?:CalledProcessError|ChildFailedError|ProcessExitedException|ProcessRaisedException|BrokenProcessPool)$/
const margin = /^\s+[|+] ?/
/** Other threads may print between the lines of a traceback, but not for ever. */
const patience = 200

const isOwn = (file: string): boolean => !/(?:^|\/)(?:lib\/python[\d.]*|site-packages|dist-packages)\/|^</.test(file)

export class PythonErrors implements ErrorReader {
  private readonly report: Report
  private inside = false
  private inGroup = false
  private onlySyntax = false
  private fatal: string | undefined
  private strangers = 0
  private at = 0
  private isLogged = false
  private own: string | undefined
  private any: string | undefined
  private chain: Array<Raised> = []
  private link: Link | undefined
  private chainLink: Link = "caused by"
  private needsMessage = false

  constructor(report: Report) {
    this.report = report
  }

  line(text: string, at: number, previous: string): boolean {
    if (header.test(text)) {
      this.begin(text, at, previous)
      return true
    }
    if (this.fatal !== undefined && this.fatalFrame(text)) return true
    const crash = /^Fatal Python error: (.+)$/.exec(text)
    if (crash !== null) {
      this.fatal = crash[0]
      this.at = at
      this.report({ sureness: "ended", derived: false, text: crash[0], at })
      return true
    }
    if (text.startsWith("The above exception was the direct cause of")) {
      this.link = "caused by"
      return true
    }
    if (text.startsWith("During handling of the above exception")) {
      this.link = "while handling"
      return true
    }
    return this.inside ? this.traceLine(text) : this.outsideLine(text, at)
  }

  /** A traceback begins: of a chain when a link was announced, else a new one. */
  private begin(text: string, at: number, previous: string): void {
    if (this.inGroup && margin.test(text)) this.link = "the first of them"
    else {
      this.inGroup = text.includes("Exception Group Traceback")
      if (this.link === undefined) {
        this.chain = []
        this.at = at
        this.isLogged = announcesLogged(previous) || announcesLogged(text.slice(0, text.search(header)))
      }
    }
    if (this.link !== undefined) this.chainLink = this.link
    this.link = undefined
    this.inside = true
    this.onlySyntax = false
    this.strangers = 0
    this.own = undefined
    this.any = undefined
    this.needsMessage = false
  }

  private traceLine(raw: string): boolean {
    const text = this.inGroup ? raw.replace(margin, "") : raw
    const frame = frameLine.exec(text)
    if (frame !== null) {
      const [, file = "", line, name] = frame
      const place = `${file}:${line}${name === undefined || name === "<module>" ? "" : ` in ${name}`}`
      this.any = place
      // The innermost frame is the last one.
      if (isOwn(file)) this.own = place
      return true
    }
    if (/^\s/.test(text)) return true
    const raised = raisedLine.exec(text)
    if (
      raised === null || levels.test(raised[1]!) || (this.onlySyntax && !/^(?:Syntax|Indentation|Tab)Error/.test(text))
    ) {
      // A line of somebody else.
      if (++this.strangers > patience) this.inside = false
      return false
    }
    this.inside = false
    this.needsMessage = raised[2] === ""
    this.add({ text: text.replace(/: ?$/, ""), place: this.own ?? this.any })
    return true
  }

  private outsideLine(text: string, at: number): boolean {
    if (this.needsMessage && !/^\s*$|^"""/.test(text)) {
      this.needsMessage = false
      const last = this.chain.pop()
      if (last !== undefined) this.add({ text: `${last.text}: ${text.trim()}`, place: last.place })
      return true
    }
    // A file that Python could not parse has no traceback, only the place.
    const frame = frameLine.exec(text)
    if (frame === null || frame[3] !== undefined) return false
    this.begin("", at, "")
    this.onlySyntax = true
    return this.traceLine(text)
  }

  private add(raised: Raised): void {
    // The members of a group after the first one are not the root.
    if (this.chainLink === "the first of them" && this.chain.length >= 2) return
    // Only the first and the last of a chain are told, however long it is.
    if (this.chain.length > 1) this.chain.pop()
    this.chain.push(raised)
    this.tell()
  }

  private tell(): void {
    const isGroup = this.chainLink === "the first of them"
    const outer = isGroup ? this.chain[0]! : this.chain.at(-1)!
    const root = isGroup ? this.chain.at(-1)! : this.chain[0]!
    this.report({
      sureness: this.isLogged ? "logged" : "traced",
      derived: derivedClass.test(/^[\w.]+/.exec(outer.text)?.[0] ?? "") && root === outer,
      text: describeError(outer.text, root.text, root.place, this.chainLink),
      at: this.at
    })
  }

  /** After a crash of the interpreter its frames come innermost first. */
  private fatalFrame(text: string): boolean {
    const frame = frameLine.exec(text)
    if (frame === null) return /^(?:Current thread|Thread) 0x/.test(text)
    const [, file = "", line, name] = frame
    if (!isOwn(file)) return true
    const place = `${file}:${line}${name === undefined || name === "<module>" ? "" : ` in ${name}`}`
    this.report({ sureness: "ended", derived: false, text: `${this.fatal} (at ${place})`, at: this.at })
    this.fatal = undefined
    return true
  }
}
