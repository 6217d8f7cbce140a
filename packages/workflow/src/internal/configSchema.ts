/**
 * The form of `espalier.toml`: which keys there are, of which types, and what stands there when nothing is written.
 * What one key demands of another is in `configChecks.ts`.
 */
import { MetricKey, MetricName } from "@espalier/platform/Evidence"
import { Schema } from "effect"
import { ParameterValue } from "../Experiment.ts"
import { Direction } from "../Measurement.ts"
import { AgentTable } from "./configAgent.ts"
import {
  Argv,
  DeclaredName,
  DurationText,
  Environment,
  FilePath,
  InsidePath,
  kindOf,
  or,
  PlainName,
  wholeNumber
} from "./configForms.ts"
import { BuildTable, ExecutionTable, WorkspaceTable } from "./configLayers.ts"

export const Source = Schema.Struct({
  repository: Schema.NonEmptyString,
  ref: Schema.NonEmptyString.check(Schema.isPattern(/^[^-\s]\S*$/)).pipe(or("HEAD")),
  snapshot: Schema.Boolean.pipe(or(false)),
  parametersFile: FilePath.pipe(or("parameters.json"))
})

/** The forms in which a job prints a metric; the first is what it is when nothing is written. */
export const metricForms = ["key-value", "json-lines", "regex", "csv"] as const

export const MetricTable = Schema.Struct({
  name: MetricName,
  from: kindOf(metricForms),
  key: Schema.optionalKey(MetricKey),
  field: Schema.optionalKey(Schema.NonEmptyString),
  pattern: Schema.optionalKey(Schema.NonEmptyString),
  column: Schema.optionalKey(Schema.Union([Schema.NonEmptyString, wholeNumber(0, 100_000)])),
  delimiter: Schema.String.check(Schema.isPattern(/^[^"\r\n]$/u)).pipe(or(",")),
  header: Schema.Boolean.pipe(or(true)),
  stream: Schema.Literals(["stdout", "stderr", "metrics"]).pipe(or("stdout")),
  files: Schema.optionalKey(Schema.NonEmptyString),
  within: Schema.Literals(["tree", "job"]).pipe(or("tree")),
  warmup: Schema.optionalKey(Schema.Struct({
    values: Schema.optionalKey(wholeNumber(0, 1_000_000_000)),
    fraction: Schema.optionalKey(
      Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true }))
    ),
    field: Schema.optionalKey(Schema.NonEmptyString),
    from: Schema.optionalKey(Schema.Finite)
  })),
  take: Schema.Literals(["last", "first", "mean", "median", "min", "max", "sum"]).pipe(or("last")),
  unit: Schema.String.pipe(or("")),
  direction: Schema.optionalKey(Direction),
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
  agent: Schema.optionalKey(AgentTable),
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
