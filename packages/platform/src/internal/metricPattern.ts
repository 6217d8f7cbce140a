/**
 * Patterns that users wrote, matched against lines that jobs printed, in bounded time.
 *
 * A backtracking matcher takes time exponential in the length of a line for some patterns (`(a+)+b`), and polynomial for
 * many more (`.*x.*y.*`). To refuse nested quantifiers would catch the first kind only, and good patterns with them; a
 * worker costs a thread and a copy of every line; a matcher without backtracking has another language. So the matcher
 * runs under the deadline that `node:vm` enforces from a thread of its own, which interrupts the matcher as well. Lines are matched in
 * batches, since a deadline costs a thread; when a batch is late, smaller ones are tried, down to the late line, and that one
 * again. Time in which this process did not run does not count: a busy machine is no reason. After a few such lines the pattern is given up.
 */
import { createContext, Script } from "node:vm"
import type { Line } from "../evidence/LogText.ts"
import { codeOf } from "./files.ts"

const batchLines = 8192
const batchMillis = 200
/** In how many parts a late batch is tried again, and for how long each. */
const parts = 64
const partMillis = 50
/** How many lines may be too much for a pattern before it is given up. */
const patience = 3

/** One match. The texts of its groups: of the number, and of what the warm-up goes by. */
export interface Match {
  readonly value: string
  readonly field: string | undefined
}

const script = new Script("run()")
const context: { run: () => void } = { run: () => undefined }
let isContext = false

const attempt = (millis: number, run: () => void): boolean => {
  if (!isContext) {
    createContext(context)
    isContext = true
  }
  context.run = run
  try {
    script.runInContext(context, { timeout: millis })
    return true
  } catch (error) {
    if (codeOf(error) === "ERR_SCRIPT_EXECUTION_TIMEOUT") return false
    throw error
  } finally {
    context.run = () => undefined
  }
}

/** Runs this for so long at most; false when it was not done by then, though the machine had time for it. */
const inTime = (millis: number, run: () => void): boolean => {
  for (let tries = 1;; tries++) {
    const before = process.cpuUsage()
    if (attempt(millis, run)) return true
    const { system, user } = process.cpuUsage(before)
    if ((system + user) / 1000 >= millis / 2 || tries === 10) return false
  }
}

/** One pattern, over all lines of one output. */
export class PatternMatcher {
  private readonly pattern: RegExp
  private readonly field: string | undefined
  private late = 0
  private readonly onLate: (message: string) => void

  /** `field`: the group that the warm-up goes by. `onLate` hears of lines that were left out. */
  constructor(pattern: RegExp, field: string | undefined, onLate: (message: string) => void) {
    this.pattern = pattern
    this.field = field
    this.onLate = onLate
  }

  /** The matches of these lines, in order. */
  match(lines: ReadonlyArray<Line>): ReadonlyArray<Match> {
    return this.matchParts(lines, batchLines, batchMillis)
  }

  /** Matches so many lines at a time; of those that are late, fewer. */
  private matchParts(lines: ReadonlyArray<Line>, size: number, millis: number): ReadonlyArray<Match> {
    const found: Array<Match> = []
    for (let at = 0; at < lines.length && this.late < patience; at += size) {
      const part = lines.slice(at, at + size)
      const matches = this.attempt(part, millis) ??
        (part.length === 1 ? this.matchAgain(part) : this.matchParts(part, Math.ceil(part.length / parts), partMillis))
      for (const one of matches) found.push(one)
    }
    return found
  }

  private matchAgain(line: ReadonlyArray<Line>): ReadonlyArray<Match> {
    const found = this.attempt(line, partMillis)
    if (found !== undefined) return found
    this.onLate(
      ++this.late < patience
        ? "a line took its pattern too long, and was left out"
        : "its pattern takes too long on such lines, and was given up: write it without nested or adjacent repetitions"
    )
    return []
  }

  private attempt(lines: ReadonlyArray<Line>, millis: number): ReadonlyArray<Match> | undefined {
    let found: Array<Match> = []
    const search = (): void => {
      found = []
      this.search(lines, found)
    }
    return inTime(millis, search) ? found : undefined
  }

  private search(lines: ReadonlyArray<Line>, found: Array<Match>): void {
    for (const { cut, text } of lines) {
      for (const match of text.matchAll(this.pattern)) {
        const value = match.groups?.["value"] ?? match[1]
        // A match that reaches the place where the line was cut may be half a number.
        if (value === undefined || (cut && match.index + match[0].length === text.length)) continue
        found.push({ value, field: this.field === undefined ? undefined : match.groups?.[this.field] })
      }
    }
  }
}
