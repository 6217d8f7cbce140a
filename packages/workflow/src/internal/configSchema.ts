/**
 * The form of `espalier.toml`: which keys there are, of which types, and what stands there when nothing is written.
 * What one key demands of another is in `configChecks.ts`.
 */
import { MetricName } from "@espalier/platform/Evidence"
import { Duration, Effect, Option, Schema, SchemaGetter } from "effect"
import { ParameterValue } from "../Experiment.ts"
import { Direction } from "../Measurement.ts"

/** A value for a key that is absent; it appears again when the configuration is encoded. */
const or = <S extends Schema.Constraint>(fallback: S["Encoded"]) =>
  Schema.withDecodingDefaultKey<S>(Effect.succeed(fallback))

const wholeNumber = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Begins with a letter: it becomes part of a branch's and a folder's name. */
const PlainName = Schema.String.check(Schema.isPattern(/^[A-Za-z][A-Za-z0-9_-]{0,59}$/))

const DeclaredName = Schema.String.check(Schema.isPattern(/^[A-Za-z][A-Za-z0-9._-]*$/))

/** Only a number and a unit: "Infinity" is a limit that someone forgot to choose. */
const isDuration = (text: string): boolean => {
  const duration = /^\d/.test(text) ? Duration.fromInput(text as Duration.Input) : Option.none()
  return Option.isSome(duration) && Duration.toMillis(duration.value) >= 1
}

/** "60 seconds". A plain number is refused: nobody can see its unit. */
const DurationText = Schema.String.check(Schema.makeFilter(isDuration)).pipe(Schema.decodeTo(Schema.Duration, {
  decode: SchemaGetter.transform((text) => Duration.fromInputUnsafe(text as Duration.Input)),
  encode: SchemaGetter.transform((duration) => `${Duration.toMillis(duration)} millis`)
}))

/** Below the tree, whatever the operating system: no root, no drive, no way up, nothing of git's own. */
const isInside = (path: string): boolean =>
  path !== "" && !/[\\\0]|^\/|^[A-Za-z]:/.test(path) &&
  path.split("/").every((part) => part !== ".." && part !== "" && part.toLowerCase() !== ".git")

const InsidePath = Schema.String.check(Schema.makeFilter((path: string) => isInside(path.replace(/\/$/, ""))))

const FilePath = Schema.String.check(
  Schema.makeFilter((path: string) => isInside(path) && !path.split("/").includes("."))
)

const Argv = Schema.TupleWithRest(Schema.Tuple([Schema.NonEmptyString]), [Schema.String])

const Environment = Schema.Record(Schema.String, Schema.String)

export const Source = Schema.Struct({
  repository: Schema.NonEmptyString,
  ref: Schema.NonEmptyString.check(Schema.isPattern(/^[^-\s]\S*$/)).pipe(or("HEAD")),
  snapshot: Schema.Boolean.pipe(or(false)),
  parametersFile: FilePath.pipe(or("parameters.json"))
})

/** The kinds of the sections that have several; the first is what a section is that does not say. */
export const workspaceKinds = ["git"] as const
export const buildKinds = ["command"] as const
export const executionKinds = ["local"] as const
export const metricForms = ["key-value", "json-lines", "regex"] as const

const kindOf = <const K extends readonly [string, ...ReadonlyArray<string>]>(kinds: K) =>
  Schema.Literals(kinds).pipe(or<Schema.Literals<K>>(kinds[0]))

/** Where experiments get their trees, and what may be changed in them. */
export const WorkspaceTable = Schema.Struct({
  kind: kindOf(workspaceKinds),
  editable: Schema.optionalKey(Schema.Array(InsidePath))
})

/** What each kind demands is in `configKinds.ts`. */
export const BuildTable = Schema.Struct({
  kind: kindOf(buildKinds),
  argv: Schema.optionalKey(Argv),
  environment: Environment.pipe(or({})),
  timeout: DurationText.pipe(or("10 minutes")),
  outputs: Schema.optionalKey(Schema.Array(InsidePath))
})

export const ExecutionTable = Schema.Struct({
  kind: kindOf(executionKinds)
})

export const MetricTable = Schema.Struct({
  name: MetricName,
  from: kindOf(metricForms),
  key: Schema.optionalKey(Schema.NonEmptyString),
  field: Schema.optionalKey(Schema.NonEmptyString),
  pattern: Schema.optionalKey(Schema.NonEmptyString),
  stream: Schema.Literals(["stdout", "stderr", "metrics"]).pipe(or("stdout")),
  take: Schema.Literals(["last", "first", "mean", "median", "min", "max", "sum"]).pipe(or("last")),
  unit: Schema.String.pipe(or("")),
  required: Schema.Boolean.pipe(or(true))
})

export const ParameterTable = Schema.Struct({
  type: Schema.Literals(["integer", "number", "boolean", "choice"]),
  values: Schema.optionalKey(Schema.Array(ParameterValue)),
  min: Schema.optionalKey(Schema.Finite),
  max: Schema.optionalKey(Schema.Finite),
  step: Schema.optionalKey(Schema.Finite),
  baseline: ParameterValue,
  description: Schema.String.pipe(or(""))
})

export const EditTable = Schema.Struct({
  name: DeclaredName,
  description: Schema.String.pipe(or("")),
  file: FilePath,
  search: Schema.NonEmptyString,
  replace: Schema.String,
  conflicts: Schema.Array(Schema.String).pipe(or([]))
})

export const SeedTable = Schema.Struct({
  name: PlainName,
  arguments: Schema.Array(Schema.String).pipe(or([])),
  description: Schema.String.pipe(or(""))
})

export const LimitsTable = Schema.Struct({
  experiments: wholeNumber(1, 1_000_000).pipe(or(40)),
  jobs: wholeNumber(1, 1_000_000).pipe(or(100)),
  wallTime: Schema.optionalKey(DurationText),
  patience: wholeNumber(1, 1_000_000).pipe(or(12)),
  target: Schema.optionalKey(Schema.Finite),
  concurrency: wholeNumber(1, 1000).pipe(or(4)),
  machine: wholeNumber(1, 1000).pipe(or(1)),
  repeats: wholeNumber(1, 1000).pipe(or(1))
})

export const ObjectiveTable = Schema.Struct({
  metric: Schema.NonEmptyString,
  direction: Direction,
  unit: Schema.optionalKey(Schema.String),
  smallestGain: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 10 })).pipe(or(0.02)),
  level: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.5, exclusiveMinimum: true })).pipe(or(0.05)),
  pairs: wholeNumber(2, 1000).pipe(or(4))
})

/** A parsed `espalier.toml`; decoding it applies the defaults. */
export const ConfigFile = Schema.Struct({
  name: PlainName,
  source: Source,
  workspace: WorkspaceTable.pipe(or({})),
  job: Schema.Struct({
    argv: Argv,
    environment: Environment.pipe(or({})),
    timeout: DurationText.pipe(or("10 minutes")),
    workingDirectory: InsidePath.pipe(or("."))
  }),
  build: Schema.optionalKey(BuildTable),
  execution: ExecutionTable.pipe(or({})),
  objective: ObjectiveTable,
  metrics: Schema.optionalKey(Schema.Array(MetricTable)),
  parameters: Schema.Record(Schema.String, ParameterTable).pipe(or({})),
  edits: Schema.Array(EditTable).pipe(or([])),
  seeds: Schema.Array(SeedTable).pipe(or([])),
  planner: Schema.Struct({
    kind: Schema.Literals(["greedy", "random"]).pipe(or("greedy")),
    seed: Schema.Int.pipe(or(1)),
    batch: wholeNumber(1, 1000).pipe(or(4)),
    confirmEvery: wholeNumber(1, 1_000_000).pipe(or(8))
  }).pipe(or({})),
  limits: LimitsTable.pipe(or({}))
})
export type ConfigFile = typeof ConfigFile.Type
