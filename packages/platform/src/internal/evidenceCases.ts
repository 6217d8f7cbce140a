/** What the cases of `EvidenceSuite` share: the jobs that they ask for, the rules, and how a case collects. */
import * as Effect from "effect/Effect"
import { Evidence, type EvidenceError, type EvidenceRecord, type MetricRule, type MetricsMissing } from "../Evidence.ts"
import type { JobHandle, TerminalStatus } from "../Execution.ts"

/** What a job of the suite prints and writes, and how it ends. */
export interface SuiteJob {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
  /** Printed to the standard output before all else: this text so often, with `{i}` as the number of the time, from 0. */
  readonly repeated?: { readonly text: string; readonly count: number }
  /** Files in the directory that it runs in, by their paths in it. */
  readonly files?: Readonly<Record<string, string>>
  /** Files in `$ESPALIER_JOB_DIR`. */
  readonly jobFiles?: Readonly<Record<string, string>>
}

/** A job that has ended. */
export interface EndedJob {
  readonly handle: JobHandle
  readonly status: TerminalStatus
  /** The directory that it ran in. */
  readonly workingDirectory?: string
}

/** One thing that a layer has to do. */
export interface SuiteCase<R> {
  readonly name: string
  readonly run: Effect.Effect<void, unknown, R>
}

/** What the suite needs: a job that printed and wrote this and ended so. */
export interface Options<E, R> {
  readonly ended: (job: SuiteJob) => Effect.Effect<EndedJob, E, R>
}

/** Runs a job to its end and collects its evidence; `change` alters how it is said to have ended. */
export type Collect<E, R> = (
  job: Partial<SuiteJob>,
  change?: (status: TerminalStatus) => TerminalStatus
) => Effect.Effect<EvidenceRecord, E | EvidenceError | MetricsMissing, Evidence | R>

export const collectOf = <E, R>({ ended }: Options<E, R>): Collect<E, R> => (job, change = (status) => status) =>
  Effect.gen(function*() {
    const evidence = yield* Evidence
    const { handle, status, workingDirectory } = yield* ended({ stdout: "", stderr: "", exitCode: 0, ...job })
    return yield* evidence.collect(
      handle,
      change(status),
      workingDirectory === undefined ? {} : { workingDirectory }
    )
  })

/** The rules that the layer under test has to be made with. */
export const rules: ReadonlyArray<MetricRule> = [
  { _tag: "KeyValue", name: "throughput", unit: "samples/s", direction: "maximize" },
  { _tag: "KeyValue", name: "errors", stream: "stderr", required: false },
  { _tag: "JsonLines", name: "latency", field: "latency.p99", take: "max", required: false },
  { _tag: "Regex", name: "accuracy", pattern: "accuracy (\\S+)%", take: "all", required: false },
  { _tag: "KeyValue", name: "many", take: "all", required: false },
  { _tag: "Regex", name: "slow", pattern: "^(?:x+)+y (\\d+)", required: false },
  // Warm-up, by each form.
  { _tag: "KeyValue", name: "cold", take: "mean", warmup: { _tag: "Values", count: 2 }, required: false },
  { _tag: "KeyValue", name: "part", take: "all", warmup: { _tag: "Fraction", fraction: 0.25 }, required: false },
  {
    _tag: "JsonLines",
    name: "loss",
    take: "all",
    warmup: { _tag: "Until", field: "step", from: 100 },
    required: false
  },
  {
    _tag: "Regex",
    name: "epoch-time",
    pattern: "epoch (?<epoch>\\d+): (?<value>\\S+) s",
    take: "all",
    warmup: { _tag: "Until", field: "epoch", from: 2 },
    required: false
  },
  // Tables.
  {
    _tag: "Csv",
    name: "step-time",
    column: "ms",
    take: "all",
    unit: "ms",
    direction: "minimize",
    warmup: { _tag: "Until", field: "step", from: 2 },
    required: false
  },
  {
    _tag: "Csv",
    name: "third",
    column: 2,
    header: false,
    delimiter: ";",
    stream: "stderr",
    take: "all",
    required: false
  },
  // Files.
  { _tag: "Csv", name: "score", files: "results/**/*.csv", column: "score, final", take: "all", required: false },
  { _tag: "Csv", name: "aligned", files: "table.txt", column: "mean", delimiter: " ", take: "all", required: false },
  { _tag: "JsonLines", name: "shard", files: "out/shard-[0-9].jsonl", field: "rate", take: "all", required: false },
  {
    _tag: "Regex",
    name: "report",
    files: "{report,summary}.txt",
    pattern: "total (\\d+)",
    take: "all",
    required: false
  },
  { _tag: "KeyValue", name: "kept", files: "kept.txt", within: "job", required: false }
]
