/**
 * What an ended job has to show: its metrics, its exit, what it used, and, when it failed, why.
 *
 * Metrics are taken from what the job printed or wrote, by declared rules, and from nothing else. A value that is
 * not a finite number is refused and noted; it never reaches a metric. A job that ended well but lacks a required
 * metric is a typed failure, which tells what the job did print.
 *
 * What is read is untrusted: memory and time are bounded whatever a job printed, and so is the record.
 *
 * Layers: `evidence/Rules.ts` (rules over the logs of any `Execution`), `evidence/Scripted.ts` (rules over
 * texts that a test gives: no job at all).
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { keyPattern } from "./evidence/MetricText.ts"
import { GpuUsage, IoUsage, type JobHandle, type TerminalStatus } from "./Execution.ts"

/**
 * Which of the values found are the metric. All but `all` give one number. `median` of an even count is the mean of
 * the middle two. Values that were refused are none: `last` is the last finite one, and a note tells of those after it.
 * Default: `last`.
 */
export const Take = Schema.Literals(["last", "first", "mean", "median", "min", "max", "sum", "all"])
export type Take = typeof Take.Type

/** The name of a metric, as it stands in results, tables and plots. */
export const MetricName = Schema.String.check(
  Schema.isPattern(/^[A-Za-z][A-Za-z0-9_.:/-]*$/, {
    expected: "a metric's name: a letter, then letters, digits and any of _ . : / -"
  })
)

/** What may stand before the `=` of a pair. */
export const MetricKey = Schema.String.check(
  Schema.isPattern(keyPattern, { expected: "a key: a letter or _, then letters, digits and any of _ . : / -" })
)

/**
 * Which of the first values are left out, because the program was not warm yet. What is left out is counted in the
 * record, and is in no figure.
 *
 * - `Values`: the first `count` values.
 * - `Fraction`: the first part of all values: of 10 values and a fraction of 0.25, the first 2.
 * - `Until`: the values whose `field` (a step, a time) is less than `from`. The field stands beside the value: another
 *   key of the line, another field of the JSON object, another column, another named group of the pattern. A value
 *   without it is left out too, with a note.
 */
export const Warmup = Schema.TaggedUnion({
  Values: { count: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)) },
  Fraction: { fraction: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true })) },
  Until: { field: Schema.NonEmptyString, from: Schema.Finite }
})
export type Warmup = typeof Warmup.Type

/** Whether more of a metric is better, or less. */
export const Direction = Schema.Literals(["maximize", "minimize"])
export type Direction = typeof Direction.Type

const common = {
  name: MetricName,
  /** Where to look: what the job printed, or what it wrote to `$ESPALIER_JOB_DIR/metrics.jsonl`. Default: `stdout`. */
  stream: Schema.optionalKey(Schema.Literals(["stdout", "stderr", "metrics"])),
  /**
   * Where to look instead: files of the job by a glob, in the order of their paths. `*` and `?` stand for characters of a
   * name, `[a-z]` for one of them, `**` for any directories, `{a,b}` for either. Names that begin with a dot have to be
   * named. Links that lead out of the directory are refused, and what is no plain file is passed over.
   */
  files: Schema.optionalKey(Schema.NonEmptyString),
  /** The directory that `files` begins at: the one that the job ran in (`tree`, the default), or `$ESPALIER_JOB_DIR` (`job`). */
  within: Schema.optionalKey(Schema.Literals(["tree", "job"])),
  take: Schema.optionalKey(Take),
  warmup: Schema.optionalKey(Warmup),
  /** Told with the numbers: "samples/s". */
  unit: Schema.optionalKey(Schema.String),
  direction: Schema.optionalKey(Direction),
  /** Whether a job that ended well without it is a failure. Default: true. */
  required: Schema.optionalKey(Schema.Boolean)
}

/**
 * How one metric is found.
 *
 * - `KeyValue`: `key=number` anywhere in a line, several in a line apart by blanks, `;`, or a comma before the next
 *   key. `key` is the metric's name unless given.
 * - `JsonLines`: a line that is a JSON object, with a number at `field` (default: the name); `a.b` is the field `b`
 *   of the object in `a`, unless there is a field `a.b`. A file may also be one JSON object, or an array of them, over
 *   several lines. `NaN` and `Infinity`, as Python writes them, are refused where a number was looked for, and do not
 *   harm the other fields. A line that begins like an object and is no JSON is noted.
 * - `Regex`: the group named `value` of the pattern, else its first group, has to be a number. Every match of a line
 *   counts. A pattern that takes too long on a line is given up there, with a note.
 * - `Csv`: a column of a table, by the name in its header or by its number from 0. The header is the first line that
 *   has the column, so a table may follow other output; lines with another number of fields are no rows of it.
 *   `header: false`: every line that has the column is a row. `delimiter` (default: a comma) is one character; a space
 *   stands for any run of blanks. Fields may be quoted; in files a quoted field may go over several lines. Where it is
 *   never closed, the line that it begins in is left out, with a note, and the lines after it are read.
 *
 * A number is written as in JSON or C: sign, digits, fraction, exponent. `NaN`, `Infinity`, `1e999`, `12ms` and
 * `1,234` are none.
 */
export const MetricRule = Schema.TaggedUnion({
  KeyValue: { ...common, key: Schema.optionalKey(MetricKey) },
  JsonLines: { ...common, field: Schema.optionalKey(Schema.NonEmptyString) },
  Regex: { ...common, pattern: Schema.NonEmptyString },
  Csv: {
    ...common,
    column: Schema.Union([Schema.NonEmptyString, Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))]),
    delimiter: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[^"\r\n]$/u))),
    header: Schema.optionalKey(Schema.Boolean)
  }
})
export type MetricRule = typeof MetricRule.Type

/** All values of one metric that were used, after the warm-up, whichever of them `take` made the metric. */
export const MetricSamples = Schema.Struct({
  unit: Schema.optionalKey(Schema.String),
  direction: Schema.optionalKey(Direction),
  count: Schema.Int,
  /** How many values the warm-up left out. */
  discarded: Schema.Int,
  mean: Schema.Finite,
  /** Of the sample (divided by `count - 1`); null for one value, or where it is too large for a number. */
  standardDeviation: Schema.NullOr(Schema.Finite),
  min: Schema.Finite,
  max: Schema.Finite
})
export type MetricSamples = typeof MetricSamples.Type

/** Something about a metric that a person should know: a value that was refused, a limit that was reached. */
export const EvidenceNote = Schema.Struct({
  metric: Schema.String,
  message: Schema.String,
  /** How often it happened. */
  count: Schema.Int
})
export type EvidenceNote = typeof EvidenceNote.Type

/** What a job left. Plain data of bounded size: it can be recorded. */
export const EvidenceRecord = Schema.Struct({
  /** By metric, the numbers found: one, or with `take: "all"` as many as there are. A metric that was not found is absent. */
  metrics: Schema.Record(Schema.String, Schema.Array(Schema.Finite)),
  /** By metric, what all its values tell. Absent in records from before it was collected. */
  samples: Schema.optionalKey(Schema.Record(Schema.String, MetricSamples)),
  /** Names of the required metrics that were not found. Empty for a job that ended well. */
  missing: Schema.Array(Schema.String),
  notes: Schema.Array(EvidenceNote),
  /** What the whole process tree used. Absent where nobody measured it. `samples` is how often it was looked at. */
  system: Schema.optionalKey(Schema.Struct({
    cpuSecondsUser: Schema.Finite,
    cpuSecondsSystem: Schema.Finite,
    peakMemoryBytes: Schema.NullOr(Schema.Finite),
    samples: Schema.Int,
    io: Schema.optionalKey(IoUsage),
    gpus: Schema.optionalKey(Schema.Array(GpuUsage))
  })),
  exitCode: Schema.NullOr(Schema.Int),
  signal: Schema.NullOr(Schema.String),
  timedOut: Schema.Boolean,
  /** Whether the system killed it for want of memory, as far as that is known. */
  outOfMemory: Schema.optionalKey(Schema.Boolean),
  /** Why the job failed, in a line or two: the root error that it printed, else how it ended. Null when it ended well. */
  errorSummary: Schema.NullOr(Schema.String),
  /** The ends of both outputs, a few KiB of each, with a heading for each, and without what could harm a terminal. */
  logTail: Schema.String,
  /** From the job's start to its end; null where nobody recorded them (a lost job). */
  durationMillis: Schema.NullOr(Schema.Finite)
})
export type EvidenceRecord = typeof EvidenceRecord.Type

/**
 * A rule that cannot be used: a pattern that is none, a name that two rules have. Or a limit that is none: then `rule` is the
 * name of that option.
 */
export class InvalidMetricRule extends Schema.TaggedError<InvalidMetricRule>()("InvalidMetricRule", {
  rule: Schema.String,
  /** Which field of the rule it is, such as `pattern` or `warmup.field`. */
  field: Schema.optionalKey(Schema.String),
  message: Schema.String
}) {}

/** The job ended well, but did not give what is required of it. */
export class MetricsMissing extends Schema.TaggedError<MetricsMissing>()("MetricsMissing", {
  missing: Schema.NonEmptyArray(Schema.String),
  /** Names of numbers that the job did give, as `key=number` or as a JSON field; the first few dozen. */
  seen: Schema.Array(Schema.String),
  logTail: Schema.String,
  /** All else that was collected. */
  evidence: EvidenceRecord,
  message: Schema.String
}) {}

/** What the job left could not be read. */
export class EvidenceError extends Schema.TaggedError<EvidenceError>()("EvidenceError", {
  operation: Schema.String,
  cause: Schema.optionalKey(Schema.Defect()),
  message: Schema.String
}) {}

/** What `collect` cannot know by itself. */
export interface CollectOptions {
  /** The directory that the job ran in. Rules that read files of the working tree need it. */
  readonly workingDirectory?: string
}

/**
 * Collects the evidence of an ended job. It reads and changes nothing, so it may be done again.
 *
 * `MetricsMissing` is only for a job that ended well. One that failed has its evidence too, with `missing` filled.
 *
 * @example
 * ```ts
 * import { Evidence } from "@espalier/platform/Evidence"
 * import * as Rules from "@espalier/platform/evidence/Rules"
 * import { Execution } from "@espalier/platform/Execution"
 * import * as Simulated from "@espalier/platform/execution/Simulated"
 * import { Effect, Layer } from "effect"
 * import assert from "node:assert"
 *
 * const program = Effect.gen(function*() {
 *   const execution = yield* Execution
 *   const evidence = yield* Evidence
 *   const job = yield* execution.launch({ key: "a", argv: ["train"], directory: "/", environment: {} })
 *   const record = yield* evidence.collect(job, yield* execution.await(job.id))
 *   assert.deepStrictEqual(record.metrics, { throughput: [130], loss: [0.5] })
 * })
 *
 * const stdout = "throughput=120 loss=0.9\nthroughput=130 loss=0.5\n"
 * const live = Rules.layer({ rules: [{ _tag: "KeyValue", name: "throughput" }, { _tag: "KeyValue", name: "loss" }] })
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(live.pipe(Layer.provideMerge(Simulated.layer(() => ({ stdout }))))))
 * )
 * ```
 */
export class Evidence extends Context.Service<Evidence, {
  collect(
    job: JobHandle,
    status: TerminalStatus,
    options?: CollectOptions
  ): Effect.Effect<EvidenceRecord, EvidenceError | MetricsMissing>
}>()("@espalier/platform/Evidence") {}
