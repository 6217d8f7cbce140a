/**
 * Finding metrics in lines of text: rules compiled once, then fed line by line. Pure: no file, no clock but the deadline of
 * patterns.
 *
 * What a job prints is untrusted. Memory and time are bounded whatever it prints, and nothing but a finite number becomes
 * a value.
 */
import * as Predicate from "effect/Predicate"
import type * as Result from "effect/Result"
import type { EvidenceNote, InvalidMetricRule, MetricRule, MetricSamples } from "../Evidence.ts"
import { checkRules, type Compiled } from "../internal/metricRules.ts"
import { JsonDocument } from "../internal/jsonDocument.ts"
import { PatternMatcher } from "../internal/metricPattern.ts"
import { type Cell, TableReader } from "../internal/metricTable.ts"
import { Values } from "../internal/metricValues.ts"
import { harmless, type Line } from "./LogText.ts"
import { fieldOf, keyValues, parseJson, parseNumber } from "./MetricText.ts"

/** How many values of one metric the record holds, and of all together: it has to fit into a journal. */
const recordedValues = { one: 10_000, all: 20_000 }
/** What else a job gave is only to help a person: enough of it will do. */
const seenNames = 64
const seenLines = 5000
const shownValue = 60

/** Begins with a brace and a key in any quotes, or with nothing more: no set, no piece of a program. */
const likeAnObject = /^\ufeff?\s*\{\s*(?:["'A-Za-z_]|$)/

const show = (value: unknown): string => {
  const text = harmless(typeof value === "string" ? JSON.stringify(value.slice(0, 2 * shownValue)) : String(value))
  return text.length > shownValue ? `${text.slice(0, shownValue)}...` : text
}

/** Rules that were checked, and can be scanned with any number of times. */
export interface CompiledRules {
  readonly rules: ReadonlyArray<Compiled>
}

/** Checks rules: patterns that compile and have a group, globs that stay inside, names that differ. */
export const compile = (rules: ReadonlyArray<MetricRule>): Result.Result<CompiledRules, InvalidMetricRule> =>
  checkRules(rules)

/** What a scan found. */
export interface Scanned {
  readonly metrics: Record<string, ReadonlyArray<number>>
  readonly samples: Record<string, MetricSamples>
  /** Required, and not found. */
  readonly missing: ReadonlyArray<MetricRule>
  readonly seen: ReadonlyArray<string>
  readonly notes: ReadonlyArray<EvidenceNote>
}

/** A rule, and how far it has come. */
interface Reading {
  readonly rule: MetricRule
  readonly values: Values
  readonly matcher: PatternMatcher | undefined
  readonly table: TableReader | undefined
}

/** One pass over the outputs of one job. Feed it lines, then ask for the result. */
export class MetricScan {
  private readonly readings: ReadonlyArray<Reading>
  private readonly bySource = new Map<string, Array<Reading>>()
  /** Of files that may be one document of JSON. */
  private readonly documents = new Map<string, JsonDocument>()
  private readonly keepAtMost: number
  private readonly seen = new Set<string>()
  private lookedAt = 0
  private readonly notes = new Map<string, { metric: string; message: string; count: number }>()

  constructor(compiled: CompiledRules) {
    const manyValued = compiled.rules.filter(({ rule }) => rule.take === "all").length
    this.keepAtMost = Math.min(recordedValues.one, Math.floor(recordedValues.all / Math.max(1, manyValued)))
    this.readings = compiled.rules.map((one) => this.begin(one))
  }

  private begin({ pattern, rule, source }: Compiled): Reading {
    const field = rule.warmup?._tag === "Until" ? rule.warmup.field : undefined
    const onTrouble = (message: string): void => this.note(rule.name, message)
    const reading: Reading = {
      rule,
      values: new Values(rule.take ?? "last", rule.warmup, this.keepAtMost),
      matcher: pattern === undefined ? undefined : new PatternMatcher(pattern, field, onTrouble),
      table: rule._tag !== "Csv" ? undefined : new TableReader({
        column: rule.column,
        field,
        delimiter: rule.delimiter ?? ",",
        hasHeader: rule.header !== false,
        isFile: rule.files !== undefined,
        onTrouble
      })
    }
    this.bySource.set(source, [...this.bySource.get(source) ?? [], reading])
    return reading
  }

  /** Another file of a source begins. */
  start(source: string): void {
    const readings = this.bySource.get(source) ?? []
    for (const { table } of readings) table?.start()
    if (readings.some(({ rule }) => rule._tag === "JsonLines")) this.documents.set(source, new JsonDocument())
  }

  /** The file ends here. */
  end(source: string): void {
    for (const { rule, table, values } of this.bySource.get(source) ?? []) this.cells(rule, values, table?.end())
    const settled = this.documents.get(source)?.end()
    this.documents.delete(source)
    if (settled?._tag === "Objects") { for (const object of settled.objects) this.jsonObject(source, object) }
    for (const line of settled?._tag === "Lines" ? settled.lines : []) this.jsonLine(source, line)
  }

  /** One line, without its end. `cut`: it was longer, and only its beginning is given. */
  line(source: string, text: string, cut = false): void {
    this.lines(source, [{ text, cut }])
  }

  /** Some lines, in order. */
  lines(source: string, lines: ReadonlyArray<Line>): void {
    const readings = this.bySource.get(source) ?? []
    for (const { matcher, rule, values } of readings) {
      for (const { field, value } of matcher?.match(lines) ?? []) {
        this.offer(rule, values, value, ofText(value), ofText(field))
      }
    }
    const document = this.documents.get(source)
    for (const line of lines) {
      this.textLine(readings, line)
      for (const one of document?.line(line) ?? [line]) this.jsonLine(source, one)
    }
  }

  result(): Scanned {
    const metrics: Array<[string, ReadonlyArray<number>]> = []
    const samples: Array<[string, MetricSamples]> = []
    const missing: Array<MetricRule> = []
    for (const { rule, values } of this.readings) {
      const taken = values.end(this.keepAtMost)
      const used = rule.take === "all" ? taken.samples.count : taken.kept
      if (taken.given > used) this.note(rule.name, `only the first ${used} of its ${taken.given} values were used`)
      if (used > taken.kept) {
        const kept = `only the first ${taken.kept} of its ${used} values`
        this.note(rule.name, `${kept} are kept in the record, and its samples tell of all`)
      }
      if (taken.values.length === 0 && taken.samples.discarded > 0) {
        this.note(rule.name, `the warm-up left out all of its ${taken.samples.discarded} values`)
      }
      if (taken.values.length > 0 && taken.values.every(Number.isFinite)) {
        metrics.push([rule.name, taken.values])
        const { direction, unit } = rule
        samples.push([rule.name, {
          ...(unit === undefined ? {} : { unit }),
          ...(direction === undefined ? {} : { direction }),
          ...taken.samples
        }])
      } else {
        if (taken.values.length > 0) this.note(rule.name, `the ${rule.take} of its values is too large for a number`)
        if (rule.required !== false) missing.push(rule)
      }
    }
    return {
      metrics: Object.fromEntries(metrics),
      samples: Object.fromEntries(samples),
      missing,
      seen: [...this.seen],
      notes: [...this.notes.values()]
    }
  }

  /** One note for each metric and sort of trouble: the first is told, the others are counted. */
  note(metric: string, message: string): void {
    const sort = `${metric}\n${message.split(":")[0]}`
    const known = this.notes.get(sort)
    if (known === undefined) this.notes.set(sort, { metric, message, count: 1 })
    else known.count++
  }

  private textLine(readings: ReadonlyArray<Reading>, { cut, text }: Line): void {
    const pairs = this.pairs(text, cut, readings)
    for (const { rule, table, values } of readings) {
      if (rule._tag === "KeyValue") this.keyValue(rule, values, pairs)
      this.cells(rule, values, table?.line(text, cut))
      if (cut && (rule._tag === "KeyValue" || rule._tag === "Regex")) {
        this.note(rule.name, "a line was too long, and only its beginning was searched")
      }
    }
  }

  private cells(rule: MetricRule, values: Values, cells: ReadonlyArray<Cell> = []): void {
    for (const { field, value } of cells) this.offer(rule, values, value, ofText(value), ofText(field))
  }

  private jsonLine(source: string, { cut, text }: Line): void {
    if (!/^\ufeff?\s*\{/.test(text)) return
    const wanted = (this.bySource.get(source) ?? []).filter(({ rule }) => rule._tag === "JsonLines")
    if (wanted.length === 0 && this.seen.size >= seenNames) return
    if (cut) {
      for (const { rule } of wanted) this.note(rule.name, "a JSON line was too long to be read")
      return
    }
    const object = parseJson(text.replace(/^\ufeff/, ""))
    if (object === undefined && likeAnObject.test(text)) {
      for (const { rule } of wanted) {
        this.note(rule.name, `a line begins like a JSON object, but is none, and was not read: ${show(text.trim())}`)
      }
    }
    this.jsonObject(source, object)
  }

  private jsonObject(source: string, object: unknown): void {
    if (this.seen.size < seenNames && Predicate.isObject(object)) {
      for (const [key, one] of Object.entries(object)) if (Number.isFinite(one)) this.see(key)
    }
    for (const { rule, values } of this.bySource.get(source) ?? []) {
      if (rule._tag !== "JsonLines") continue
      const value = fieldOf(object, rule.field ?? rule.name)
      const { warmup } = rule
      const field = warmup?._tag === "Until" ? fieldOf(object, warmup.field) : undefined
      if (value !== undefined) this.offer(rule, values, value, ofJson(value), ofJson(field))
    }
  }

  private keyValue(
    rule: Extract<MetricRule, { _tag: "KeyValue" }>,
    values: Values,
    pairs: ReadonlyArray<readonly [string, string]>
  ): void {
    for (const [key, value] of pairs) {
      if (key !== (rule.key ?? rule.name)) continue
      const { warmup } = rule
      const field = warmup?._tag === "Until" ? pairs.find(([other]) => other === warmup.field)?.[1] : undefined
      this.offer(rule, values, value, ofText(value), ofText(field))
    }
  }

  private pairs(text: string, cut: boolean, readings: ReadonlyArray<Reading>): ReturnType<typeof keyValues> {
    if (!text.includes("=")) return []
    const looking = this.lookedAt++ < seenLines && this.seen.size < seenNames
    if (!looking && !readings.some(({ rule }) => rule._tag === "KeyValue" && text.includes(rule.key ?? rule.name))) {
      return []
    }
    const pairs = keyValues(text, cut)
    if (looking) { for (const [key, value] of pairs) if (parseNumber(value) !== undefined) this.see(key) }
    return pairs
  }

  private see(name: string): void {
    if (this.seen.size < seenNames) this.seen.add(harmless(name.slice(0, 80)))
  }

  /** `field`: the number that the warm-up goes by. */
  private offer(rule: MetricRule, values: Values, given: unknown, value?: number, field?: number): void {
    if (value === undefined) {
      this.note(rule.name, `a value was refused, it is not a finite number: ${show(given)}`)
      return
    }
    if (rule.warmup?._tag === "Until" && field === undefined) {
      this.note(
        rule.name,
        `a value was left out, there is no number at ${rule.warmup.field} beside it that would tell whether it is warm`
      )
    }
    values.add(value + 0, field) // minus zero becomes zero: JSON does not tell them apart
  }
}

const ofText = (text: string | undefined): number | undefined => text === undefined ? undefined : parseNumber(text)
/** A text in JSON that looks like a number is a text. */
const ofJson = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined
