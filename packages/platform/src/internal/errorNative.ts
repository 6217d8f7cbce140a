/**
 * Errors of programs without a runtime of their own, C and C++ above all: what the sanitizers, the C library, the C++
 * library, and the shell print; and crashes of a Java virtual machine, which is one of them.
 */
import { describeError, type ErrorReader, type Report, type Sureness } from "./errorFinding.ts"

interface Crash {
  readonly at: number
  readonly sureness: Sureness
  text: string
  /** What it did to memory stands in one line; others like it are of something else. */
  hasAccess: boolean
}

const sanitizer = /^==\d+==\s*ERROR: (\w+Sanitizer: .+)$|^WARNING: (ThreadSanitizer: .+?)(?: \(pid=\d+\))?$/
const sanitizerFrame = /^\s+#\d+ (?:0x[0-9a-f]+ in )?(\S.*?) (\S+:\d+(?::\d+)?)(?: \(.*\))?$/
const undefinedBehaviour = /^(\S+:\d+:\d+): runtime error: (.+)$/
const library =
  /^(?:.*?: )?((?:free|malloc|realloc|calloc|munmap_chunk|malloc_consolidate|unlink_chunk)\(\): .+|double free or corruption.*|corrupted (?:size vs\. prev_size|double-linked list).*|\*\*\* .+ detected \*\*\*: .*)$/
const assertion = /^(?:\S+: )?(\S+:\d+): (.+): Assertion `(.*)' failed\.?$/
const thrown = /terminate called after throwing an instance of '(.+)'$/
const terminated = /((?:terminate called|libc\+\+abi: terminating).*)$/
const signals = "(Segmentation fault|Bus error|Illegal instruction|Floating point exception|Aborted|Killed)"
const bySignal = new RegExp(String.raw`^(?:.*: line \d+:\s+\d+ ${signals}\b.*|${signals}(?: \(core dumped\))?)$`)
const v8Memory = /FATAL ERROR: .*out of memory.*$/i
const loader = /error while loading shared libraries: .+|symbol lookup error: .+/

const isOwnPlace = (place: string): boolean => !/libsanitizer|sysdeps|\/csu\/|\/include\/c\+\+\//.test(place)

/** The part of a sanitizer's heading that stays the same from run to run. */
const kindOf = (heading: string): string =>
  heading.replace(/ on (?:unknown )?address 0x.*$| \(pc 0x.*$|: 0x[0-9a-f]+ at pc.*$/, "")

export class NativeErrors implements ErrorReader {
  private readonly report: Report
  private crash: Crash | undefined
  private machine: { readonly at: number; text: string; isFrameNext: boolean } | undefined
  private hasUndefined = false

  constructor(report: Report) {
    this.report = report
  }

  line(text: string, at: number): boolean {
    return this.machineLine(text, at) || this.crashLine(text) || this.start(text, at)
  }

  private start(text: string, at: number): boolean {
    const heading = sanitizer.exec(text)
    if (heading !== null) {
      const isError = heading[1] !== undefined
      this.begin(kindOf(heading[1] ?? heading[2]!), at, isError ? "ended" : "traced")
      return true
    }
    const behaviour = undefinedBehaviour.exec(text)
    if (behaviour !== null) {
      // The program goes on after it, and what follows often follows from the first.
      if (!this.hasUndefined) this.tell("traced", describeError(behaviour[2]!, undefined, behaviour[1]), at)
      this.hasUndefined = true
      return true
    }
    const failed = assertion.exec(text)
    if (failed !== null) {
      this.tell("ended", describeError(`Assertion \`${failed[3]}' failed`, undefined, `${failed[2]} ${failed[1]}`), at)
      return true
    }
    const type = thrown.exec(text)?.[1]
    if (type !== undefined) {
      this.begin(`${type} was thrown and not caught`, at, "ended")
      return true
    }
    const whole = library.exec(text)?.[1] ?? terminated.exec(text)?.[1] ?? loader.exec(text)?.[0] ??
      v8Memory.exec(text)?.[0]
    if (whole !== undefined) {
      this.tell("ended", whole, at)
      return true
    }
    const signal = bySignal.exec(text)
    if (signal === null) return false
    this.tell("signalled", signal[1] ?? signal[2]!, at)
    return true
  }

  private begin(text: string, at: number, sureness: Sureness): void {
    this.crash = { at, sureness, text, hasAccess: false }
    this.tell(sureness, text, at)
  }

  private crashLine(text: string): boolean {
    const { crash } = this
    if (crash === undefined) return false
    const what = /^\s+what\(\):\s*(.*)$/.exec(text)?.[1]
    if (what !== undefined) {
      this.crash = undefined
      this.tell(crash.sureness, `${crash.text.replace(" was thrown and not caught", "")}: ${what}`, crash.at)
      return true
    }
    const access = /^\s*((?:READ|WRITE) of size \d+)|signal is caused by a (READ|WRITE)/.exec(text)
    if (access !== null) {
      if (crash.hasAccess) return true
      crash.hasAccess = true
      crash.text += `, ${access[1] ?? access[2]}`
      this.tell(crash.sureness, crash.text, crash.at)
      return true
    }
    const frame = sanitizerFrame.exec(text)
    if (frame !== null) {
      if (!isOwnPlace(frame[2]!)) return true
      // The first stack is where it happened; later ones tell where the memory came from.
      this.crash = undefined
      this.tell(crash.sureness, describeError(crash.text, undefined, `${frame[1]} ${frame[2]}`), crash.at)
      return true
    }
    if (text.startsWith("SUMMARY: ")) {
      this.crash = undefined
      return true
    }
    return false
  }

  /** The Java virtual machine writes its own crash as a comment. */
  private machineLine(text: string, at: number): boolean {
    if (
      /^# (?:A fatal error has been detected by|There is insufficient memory for) the Java Runtime Environment/.test(
        text
      )
    ) {
      this.machine = { at, text: text.slice(2).replace(/[.:]?$/, "").replace(/ to continue$/, ""), isFrameNext: false }
      this.tell("ended", this.machine.text, at)
      return true
    }
    const { machine } = this
    if (machine === undefined || !text.startsWith("#")) return false
    const rest = text.slice(1).trim()
    if (machine.isFrameNext) {
      this.machine = undefined
      this.tell("ended", `${machine.text} (at ${rest.replaceAll(/\s+/g, " ")})`, machine.at)
    } else if (rest.startsWith("Problematic frame:")) machine.isFrameNext = true
    else if (machine.text.length < 300 && /^SIG\w+ |^Internal Error|^Native memory allocation/.test(rest)) {
      machine.text += `: ${rest.replace(/ at pc=.*$/, "")}`
      this.tell("ended", machine.text, machine.at)
    }
    return true
  }

  private tell(sureness: Sureness, text: string, at: number): void {
    this.report({ sureness, derived: false, text, at })
  }
}
