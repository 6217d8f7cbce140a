/**
 * Go's errors: panics, also those raised again after `recover`, and fatal errors of its runtime, with the goroutine
 * that they happened in. The root is the first panic; its place is the first frame of the program under it.
 */
import { describeError, type ErrorReader, type Report } from "./errorFinding.ts"

interface Crash {
  readonly at: number
  readonly first: string
  last: string
  place: string | undefined
}

const frameFunction = /^(\S.*)\(.*\)$/
const frameFile = /^\t(\S+\.(?:go|s):\d+)(?: \+0x[0-9a-f]+)?$/
const again = / \[recovered(?:, repanicked)?\]$/

export class GoErrors implements ErrorReader {
  private readonly report: Report
  private crash: Crash | undefined
  private goroutines = 0
  private name: string | undefined

  constructor(report: Report) {
    this.report = report
  }

  line(text: string, at: number): boolean {
    const start = /^(panic: .+|fatal error: .+)$/.exec(text)?.[1]
    if (start !== undefined) {
      const message = start.replace(again, "")
      this.crash = { at, first: message, last: message, place: undefined }
      this.goroutines = 0
      this.name = undefined
      // Until its goroutine is seen it is a line that calls itself an error, as others print them too.
      this.tell(this.crash, "said")
      return true
    }
    if (this.crash === undefined) return false
    const nested = /^\t(panic: .+)$/.exec(text)?.[1]
    if (nested !== undefined) {
      this.crash.last = nested.replace(again, "")
      return true
    }
    if (/^\[signal SIG\w+: /.test(text)) return true
    if (/^goroutine \d+ (?:gp=\S+ m=\S+ (?:mp=\S+ )?)?\[.*\]:$/.test(text)) {
      this.goroutines++
      this.tell(this.crash, "ended")
      return true
    }
    return this.goroutines > 0 && this.frame(this.crash, text)
  }

  private frame(crash: Crash, text: string): boolean {
    const file = frameFile.exec(text)?.[1]
    if (file !== undefined) {
      const name = this.name
      this.name = undefined
      if (this.goroutines > 1 || name === undefined) return true
      if (name === "panic") crash.place = undefined // what stands under it raised the first one
      else if (
        crash.place === undefined && !/^(?:runtime|testing|reflect)[./]/.test(name) && !file.includes("/src/runtime/")
      ) {
        crash.place = `${name} ${file}`
        this.tell(crash, "ended")
      }
      return true
    }
    const name = frameFunction.exec(text)?.[1]
    if (name !== undefined) this.name = name
    return name !== undefined || text.startsWith("created by ")
  }

  private tell(crash: Crash, sureness: "ended" | "said"): void {
    this.report({
      sureness,
      derived: false,
      text: describeError(crash.last, crash.first, crash.place),
      at: crash.at
    })
  }
}
