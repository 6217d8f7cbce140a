/** Checks the rules of metrics before anything is read by them. Pure. */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { harmless } from "../evidence/LogText.ts"
import { keyPattern } from "../evidence/MetricText.ts"
import { InvalidMetricRule, MetricRule } from "../Evidence.ts"
import { type Glob, parseGlob } from "./glob.ts"

/** A rule that was checked. `source` names where its lines come from: a stream, or files of a directory. */
export interface Compiled {
  readonly rule: MetricRule
  readonly source: string
  readonly files: FileSource | undefined
  readonly pattern: RegExp | undefined
}

/** Files of a job. */
export interface FileSource {
  readonly within: "tree" | "job"
  /** As the rule wrote it. */
  readonly text: string
  readonly glob: Glob
}

const decode = Schema.decodeUnknownResult(MetricRule)

const shownCharacters = 200
const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

/** A value as code would write it: the rule came from there. */
const show = (value: unknown): string => {
  let text: string | undefined
  try {
    text = typeof value === "number" ? String(value) : JSON.stringify(value)
  } catch {
    text = undefined // it holds itself, or a bigint
  }
  const shown = harmless((text ?? String(value)).replaceAll("\n", " "))
  return shown.length > shownCharacters ? `${shown.slice(0, shownCharacters)}...` : shown
}

/** What is wrong with a rule, in words that go on from its name, and in which of its fields. */
interface Fault {
  readonly field: string
  readonly message: string
}

const fault = (field: string, message: string): Result.Result<never, Fault> => Result.fail({ field, message })

/** What is wrong with the form of a rule, with the value that was seen. */
const mistake = (rule: object, issue: SchemaIssue.Issue): Fault => {
  const [first] = issuesOf(issue).issues
  const path = (first?.path ?? []).map((part) => typeof part === "object" ? part.key : part)
  let value: unknown = rule
  for (const part of path) value = Predicate.isObject(value) ? Reflect.get(value, part) : undefined
  const field = path.map(String).join(".")
  const place = field === "" ? "is" : `has ${field} =`
  const expected = (first?.message ?? "").split("\n")[0]!.replace(/^Expected /, "").replace(/\.$/, "")
  return { field, message: `${place} ${show(value)}, where this was expected: ${expected}` }
}

const checkWarmup = (rule: MetricRule): Result.Result<void, Fault> =>
  rule._tag === "KeyValue" && rule.warmup?._tag === "Until" && !keyPattern.test(rule.warmup.field)
    ? fault(
      "warmup.field",
      `has a warm-up until ${
        show(rule.warmup.field)
      }, which can be no key of a line: those begin with a letter or _, ` +
        "and have letters, digits and any of _ . : / - after it"
    )
    : Result.void

const groups = (pattern: RegExp): { readonly count: number; readonly names: ReadonlyArray<string> } => {
  const match = new RegExp(`${pattern.source}|`, pattern.flags).exec("")
  return { count: (match?.length ?? 1) - 1, names: Object.keys(match?.groups ?? {}) }
}

const checkPattern = (rule: MetricRule): Result.Result<RegExp | undefined, Fault> => {
  if (rule._tag !== "Regex") return Result.succeed(undefined)
  let pattern: RegExp
  try {
    pattern = new RegExp(rule.pattern, "g")
  } catch (error) {
    return fault(
      "pattern",
      `has a pattern that is no regular expression: ${error instanceof Error ? error.message : String(error)}`
    )
  }
  const { count, names } = groups(pattern)
  if (count === 0) {
    return fault("pattern", `has a pattern without a group, ${rule.pattern}: put parentheses around the number`)
  }
  if (rule.warmup?._tag === "Until" && !names.includes(rule.warmup.field)) {
    return fault(
      "warmup.field",
      `has a warm-up until ${rule.warmup.field}, but its pattern has no group of that name: ` +
        `write (?<${rule.warmup.field}>...) in it`
    )
  }
  return Result.succeed(pattern)
}

const checkFiles = (rule: MetricRule): Result.Result<FileSource | undefined, Fault> => {
  if (rule.files === undefined) {
    return rule.within === undefined
      ? Result.succeed(undefined)
      : fault("within", "says within, but no files: give the files to look for, or leave within out")
  }
  if (rule.stream !== undefined) return fault("stream", "has both a stream and files: it can look in one of them")
  const text = rule.files
  return Result.mapBoth(parseGlob(text), {
    onFailure: (message): Fault => ({ field: "files", message }),
    onSuccess: (glob) => ({ within: rule.within ?? "tree", text, glob })
  })
}

const checkColumn = (rule: MetricRule): Result.Result<void, Fault> =>
  rule._tag === "Csv" && rule.header === false && typeof rule.column === "string"
    ? fault("column", "names a column of a table without a header: give the column's number, counted from 0")
    : Result.void

/** Checks rules: their form, patterns that compile and have a group, globs that stay inside, names that differ. */
export const checkRules = (
  rules: ReadonlyArray<MetricRule>
): Result.Result<{ readonly rules: ReadonlyArray<Compiled> }, InvalidMetricRule> => {
  const names = new Set<string>()
  const compiled: Array<Compiled> = []
  for (const rule of rules) {
    // What comes from code has not met the schema yet, and may be anything.
    const given: unknown = rule
    if (!Predicate.isObject(given)) {
      return Result.fail(
        new InvalidMetricRule({ rule: show(given), message: `A rule has to be an object, but one is ${show(given)}.` })
      )
    }
    const name = typeof rule.name === "string" ? rule.name : show(rule.name)
    const fail = ({ field, message }: Fault) =>
      Result.fail(
        new InvalidMetricRule({
          rule: name,
          ...(field === "" ? {} : { field }),
          message: `The rule of the metric ${name} ${message}.`
        })
      )
    const decoded = decode(rule)
    if (Result.isFailure(decoded)) return fail(mistake(rule, decoded.failure.issue))
    if (names.has(name)) {
      return fail({ field: "name", message: "is there twice: give each metric one rule, or another name" })
    }
    names.add(name)
    const pattern = checkPattern(rule)
    if (Result.isFailure(pattern)) return fail(pattern.failure)
    const files = checkFiles(rule)
    if (Result.isFailure(files)) return fail(files.failure)
    const warmup = checkWarmup(rule)
    if (Result.isFailure(warmup)) return fail(warmup.failure)
    const column = checkColumn(rule)
    if (Result.isFailure(column)) return fail(column.failure)
    const source = files.success === undefined
      ? rule.stream ?? "stdout"
      : `${files.success.within} ${files.success.text}`
    compiled.push({ rule, source, files: files.success, pattern: pattern.success })
  }
  return Result.succeed({ rules: compiled })
}
