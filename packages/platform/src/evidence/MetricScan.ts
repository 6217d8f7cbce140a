/**
 * Finding metrics in lines of text: rules compiled once, then fed line by line. Pure: no file, no clock.
 *
 * What a job prints is untrusted. Memory is bounded whatever it prints, parsing a line takes time linear in its
 * length (but for a pattern that the user wrote), and nothing but a finite number becomes a value.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { LogStream } from "../Execution.ts"
import { type EvidenceNote, InvalidMetricRule, type MetricRule, type Take } from "../Evidence.ts"

/** How many values `all` and `median` keep. Beyond it a note says so: results must fit into records. */
const keptValues = { all: 10_000, median: 1_000_000 }
/** What else a job gave is only to help a person: enough of it will do. */
const seenNames = 64
const seenLines = 5000
const shownValue = 60

/** The number that a text is, if it is one as JSON or C write it, and finite. */
export const parseNumber = (text: string): number | undefined => {
  if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) return undefined
  const value = Number(text)
  return Number.isFinite(value) ? value : undefined
}

/** What may stand in a key: letters, digits and `_ . / : -`. */
const inKey = new Uint8Array(128)
for (const one of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:-") inKey[one.charCodeAt(0)] = 1
const comma = 44
const semicolon = 59
/** What ends a pair: a blank of any sort, or a semicolon. */
const isGap = (code: number): boolean => code <= 32 || code === semicolon || code === 0xa0

/**
 * The `key=value` pairs of a line, in order. A comma ends a value only where another key follows: `a=1,b=2` is two
 * pairs, but `a=1,234` is one, and no number.
 */
export const keyValues = (line: string): Array<readonly [key: string, value: string]> => {
  const pairs: Array<readonly [string, string]> = []
  /** The pair whose end is not known yet. */
  let key = ""
  let from = 0
  const close = (limit: number): void => {
    if (key === "") return
    let to = from
    while (to < limit && !isGap(line.charCodeAt(to))) to++
    while (to > from && line.charCodeAt(to - 1) === comma) to--
    const quoted = to - from > 1 && line[from] === "\"" && line[to - 1] === "\""
    pairs.push([key, quoted ? line.slice(from + 1, to - 1) : line.slice(from, to)])
  }
  for (let at = line.indexOf("="); at >= 0; at = line.indexOf("=", at + 1)) {
    let start = at
    while (start > 0 && inKey[line.charCodeAt(start - 1)] === 1) start--
    const before = start === 0 ? semicolon : line.charCodeAt(start - 1)
    if (start === at || (before !== comma && !isGap(before)) || !/[A-Za-z_]/.test(line[start]!)) continue
    close(start - 1)
    key = line.slice(start, at)
    from = at + 1
  }
  close(line.length)
  return pairs
}

/** What stands at a path of an object: a field of that very name, else the field of a field. */
const fieldOf = (value: unknown, path: string): unknown => {
  if (!Predicate.isObject(value)) return undefined
  if (Object.hasOwn(value, path)) return Reflect.get(value, path)
  for (let dot = path.indexOf("."); dot > 0; dot = path.indexOf(".", dot + 1)) {
    if (!Object.hasOwn(value, path.slice(0, dot))) continue
    const found = fieldOf(Reflect.get(value, path.slice(0, dot)), path.slice(dot + 1))
    if (found !== undefined) return found
  }
  return undefined
}

const show = (value: unknown): string => {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value)
  return text.length > shownValue ? `${text.slice(0, shownValue)}...` : text
}

/** The values of one metric, as far as its `take` needs them. */
class Values {
  count = 0
  private first = 0
  private last = 0
  private min = Infinity
  private max = -Infinity
  private sum = 0
  /** What the sum lost to rounding (Neumaier 1974). */
  private lost = 0
  private readonly kept: Array<number> = []
  private readonly take: Take

  constructor(take: Take) {
    this.take = take
  }

  add(value: number): void {
    if (this.count++ === 0) this.first = value
    this.last = value
    this.min = Math.min(this.min, value)
    this.max = Math.max(this.max, value)
    const sum = this.sum + value
    this.lost += Math.abs(this.sum) >= Math.abs(value) ? (this.sum - sum) + value : (value - sum) + this.sum
    this.sum = sum
    if ((this.take === "all" || this.take === "median") && this.kept.length < keptValues[this.take]) {
      this.kept.push(value)
    }
  }

  /** How many values were not kept. */
  dropped(): number {
    return this.take === "all" || this.take === "median" ? this.count - this.kept.length : 0
  }

  /** None for a metric without values; what is not finite is the caller's to refuse. */
  result(): ReadonlyArray<number> {
    if (this.count === 0) return []
    switch (this.take) {
      case "all":
        return this.kept
      case "first":
        return [this.first]
      case "last":
        return [this.last]
      case "min":
        return [this.min]
      case "max":
        return [this.max]
      case "sum":
        return [this.sum + this.lost]
      case "mean":
        return [(this.sum + this.lost) / this.count]
      case "median": {
        const sorted = this.kept.toSorted((a, b) => a - b)
        const middle = sorted.length >> 1
        // Halved before they are added: two large ones must not overflow.
        return [sorted.length % 2 === 1 ? sorted[middle]! : sorted[middle - 1]! / 2 + sorted[middle]! / 2]
      }
    }
  }
}

interface Compiled {
  readonly rule: MetricRule
  readonly stream: LogStream
  readonly pattern: RegExp | undefined
}

/** Rules that were checked, and can be scanned with any number of times. */
export interface CompiledRules {
  readonly rules: ReadonlyArray<Compiled>
}

const groupCount = (pattern: RegExp): number => (new RegExp(`${pattern.source}|`).exec("")?.length ?? 1) - 1

/** Checks rules: patterns that compile and have a group, names that differ. */
export const compile = (rules: ReadonlyArray<MetricRule>): Result.Result<CompiledRules, InvalidMetricRule> => {
  const compiled: Array<Compiled> = []
  const names = new Set<string>()
  for (const rule of rules) {
    const fail = (message: string) =>
      Result.fail(
        new InvalidMetricRule({ rule: rule.name, message: `The rule of the metric ${rule.name} ${message}.` })
      )
    if (names.has(rule.name)) return fail("is there twice: give each metric one rule, or another name")
    names.add(rule.name)
    let pattern: RegExp | undefined
    if (rule._tag === "Regex") {
      try {
        pattern = new RegExp(rule.pattern, "g")
      } catch (error) {
        return fail(`has a pattern that is no regular expression: ${error instanceof Error ? error.message : error}`)
      }
      if (groupCount(pattern) === 0) {
        return fail(`has a pattern without a group, ${rule.pattern}: put parentheses around the number`)
      }
    }
    compiled.push({ rule, stream: rule.stream ?? "stdout", pattern })
  }
  return Result.succeed({ rules: compiled })
}

/** What a scan found. */
export interface Scanned {
  readonly metrics: Record<string, ReadonlyArray<number>>
  /** Required, and not found. */
  readonly missing: ReadonlyArray<MetricRule>
  readonly seen: ReadonlyArray<string>
  readonly notes: ReadonlyArray<EvidenceNote>
}

/** One pass over the outputs of one job. Feed it lines, then ask for the result. */
export class MetricScan {
  private readonly rules: ReadonlyArray<Compiled>
  private readonly byStream: Record<LogStream, ReadonlyArray<Compiled>>
  private readonly values: Map<string, Values>
  private readonly seen = new Set<string>()
  private lookedAt = 0
  private readonly notes = new Map<string, { metric: string; message: string; count: number }>()

  constructor(compiled: CompiledRules) {
    this.rules = compiled.rules
    const of = (stream: LogStream) => compiled.rules.filter((one) => one.stream === stream)
    this.byStream = { stdout: of("stdout"), stderr: of("stderr"), metrics: of("metrics") }
    this.values = new Map(compiled.rules.map(({ rule }) => [rule.name, new Values(rule.take ?? "last")]))
  }

  /** One line, without its end. `cut`: it was longer, and only its beginning is given. */
  line(stream: LogStream, text: string, cut = false): void {
    const rules = this.byStream[stream]
    const whole = this.pairs(text, cut, rules)
    const json = /^\s*\{/.test(text) ? this.json(text, cut, rules) : undefined
    for (const { pattern, rule } of rules) {
      if (rule._tag === "KeyValue") {
        for (const [key, value] of whole) {
          if (key === (rule.key ?? rule.name)) this.offer(rule.name, parseNumber(value), value)
        }
      } else if (rule._tag === "JsonLines") {
        const value = json === undefined ? undefined : fieldOf(json, rule.field ?? rule.name)
        if (value !== undefined) this.offer(rule.name, Number.isFinite(value) ? Number(value) : undefined, value)
      } else {
        for (const match of text.matchAll(pattern!)) {
          const value = match.groups?.["value"] ?? match[1]
          // A match that reaches the place where the line was cut may be half a number.
          if (value === undefined || (cut && match.index + match[0].length === text.length)) continue
          this.offer(rule.name, parseNumber(value), value)
        }
      }
    }
  }

  result(): Scanned {
    const metrics: Array<[string, ReadonlyArray<number>]> = []
    const missing: Array<MetricRule> = []
    for (const { rule } of this.rules) {
      const values = this.values.get(rule.name)!
      const result = values.result()
      if (values.dropped() > 0) {
        const used = values.count - values.dropped()
        this.note(rule.name, `only the first ${used} of its ${values.count} values were used`)
      }
      if (result.length > 0 && result.every(Number.isFinite)) metrics.push([rule.name, result])
      else {
        if (result.length > 0) this.note(rule.name, `the ${rule.take} of its values is too large for a number`)
        if (rule.required !== false) missing.push(rule)
      }
    }
    return { metrics: Object.fromEntries(metrics), missing, seen: [...this.seen], notes: [...this.notes.values()] }
  }

  private pairs(text: string, cut: boolean, rules: ReadonlyArray<Compiled>): ReturnType<typeof keyValues> {
    if (!text.includes("=")) return []
    const looking = this.lookedAt++ < seenLines && this.seen.size < seenNames
    if (!looking && !rules.some(({ rule }) => rule._tag === "KeyValue" && text.includes(rule.key ?? rule.name))) {
      return []
    }
    const pairs = keyValues(text)
    // The last pair of a line that was cut may be half a number.
    if (cut) pairs.pop()
    if (looking) { for (const [key, value] of pairs) if (parseNumber(value) !== undefined) this.see(key) }
    return pairs
  }

  private json(text: string, cut: boolean, rules: ReadonlyArray<Compiled>): unknown {
    const wanted = rules.filter(({ rule }) => rule._tag === "JsonLines")
    if (cut) {
      for (const { rule } of wanted) this.note(rule.name, "a JSON line was too long to be read")
      return undefined
    }
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      return undefined // a line of text that begins with a brace: jobs print those
    }
    if (this.seen.size < seenNames && Predicate.isObject(value)) {
      for (const [key, one] of Object.entries(value)) if (Number.isFinite(one)) this.see(key)
    }
    return value
  }

  private see(name: string): void {
    if (this.seen.size < seenNames) this.seen.add(name.slice(0, 80))
  }

  private offer(metric: string, value: number | undefined, shown: unknown): void {
    if (value === undefined) this.note(metric, `a value was refused, it is not a finite number: ${show(shown)}`)
    else this.values.get(metric)!.add(value + 0) // minus zero becomes zero: JSON does not tell them apart
  }

  /** One note for each metric and sort of trouble: the first is told, the others are counted. */
  private note(metric: string, message: string): void {
    const sort = `${metric}\n${message.split(":")[0]}`
    const known = this.notes.get(sort)
    if (known === undefined) this.notes.set(sort, { metric, message, count: 1 })
    else known.count++
  }
}
