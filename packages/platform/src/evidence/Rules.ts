/**
 * Evidence by rules over the logs of whatever runs the jobs: it works on every layer of `Execution`. Rules over files
 * need the job's directories on this machine, or on a disk that is shared with it.
 *
 * Logs are read as streams: a log of many gigabytes costs time, not memory.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { Evidence, EvidenceError, type InvalidMetricRule, type MetricRule } from "../Evidence.ts"
import { Execution, type ExecutionError, type JobNotFound } from "../Execution.ts"
import { findFiles, noPlainFile } from "../internal/evidenceFiles.ts"
import { checkLimits } from "../internal/evidenceLimits.ts"
import { files as jobFiles } from "../internal/processFiles.ts"
import { collect, type Limits } from "./Collect.ts"
import { compile } from "./MetricScan.ts"

const noTree = (key: string, metric: string, text: string): Effect.Effect<never, EvidenceError> =>
  Effect.fail(
    new EvidenceError({
      operation: "collect",
      message:
        `The rule of the metric ${metric} looks for ${text} in the directory that the job ${key} ran in, which is not ` +
        "known here: give collect its workingDirectory, or let the job write to $ESPALIER_JOB_DIR and set within to job"
    })
  )

/** The rules, and how much of a job's output is kept. */
export interface Options extends Limits {
  readonly rules: ReadonlyArray<MetricRule>
}

/**
 * Whether rules can be used, before there is a job whose output they read. Fails as `layer` does.
 *
 * @example
 * ```ts
 * import * as Rules from "@espalier/platform/evidence/Rules"
 * import { Result } from "effect"
 * import assert from "node:assert"
 *
 * const found = Rules.check([{ _tag: "Regex", name: "loss", pattern: "loss: [0-9.]+" }])
 * assert.match(Result.isFailure(found) ? found.failure.message : "", /put parentheses around the number/)
 * ```
 */
export const check = (rules: ReadonlyArray<MetricRule>): Result.Result<void, InvalidMetricRule> =>
  Result.map(compile(rules), () => undefined)

/**
 * Evidence by these rules. The layer fails when a rule or a limit cannot be used.
 *
 * @example
 * ```ts
 * import { Evidence } from "@espalier/platform/Evidence"
 * import * as Rules from "@espalier/platform/evidence/Rules"
 * import { Execution } from "@espalier/platform/Execution"
 * import * as LocalProcess from "@espalier/platform/execution/LocalProcess"
 * import { Effect, Layer } from "effect"
 * import assert from "node:assert"
 * import { mkdtemp, rm } from "node:fs/promises"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 *
 * const directory = await mkdtemp(join(tmpdir(), "evidence-"))
 * const source = "for (const ms of [9, 4, 5]) console.log(JSON.stringify({ step: { ms } }))"
 * const program = Effect.gen(function*() {
 *   const execution = yield* Execution
 *   const evidence = yield* Evidence
 *   const argv = [process.execPath, "-e", source] as const
 *   const job = yield* execution.launch({ key: "measure", argv, directory, environment: {} })
 *   const { metrics } = yield* evidence.collect(job, yield* execution.await(job.id))
 *   assert.deepStrictEqual(metrics, { "step-time": [5] })
 * })
 *
 * const live = Rules.layer({ rules: [{ _tag: "JsonLines", name: "step-time", field: "step.ms", take: "median" }] })
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(live.pipe(Layer.provideMerge(LocalProcess.layer({ directory })))))
 * )
 * await rm(directory, { recursive: true })
 * ```
 */
export const layer = (options: Options): Layer.Layer<Evidence, InvalidMetricRule, Execution> =>
  Layer.effect(
    Evidence,
    Effect.gen(function*() {
      const rules = yield* Effect.fromResult(compile(options.rules))
      yield* Effect.fromResult(checkLimits(options))
      const execution = yield* Execution
      return Evidence.of({
        collect: Effect.fn("Evidence.collect")(function*(job, status, collecting) {
          const cannot = (what: string) => (cause: ExecutionError | JobNotFound): EvidenceError =>
            new EvidenceError({
              operation: "collect",
              cause,
              message: `The ${what} of the job ${job.key} cannot be read: ${cause.message}`
            })
          const usage = yield* Effect.mapError(execution.usage(job.id), cannot("usage"))
          return yield* collect(job, status, {
            rules,
            limits: options,
            files: (source, limits, metric) => {
              const directory = source.within === "job" ? job.directory : collecting?.workingDirectory
              return directory === undefined
                ? noTree(job.key, metric, source.text)
                : findFiles(directory, source.glob, limits)
            },
            notRead: (stream) =>
              stream === "metrics" ? noPlainFile(job.directory, jobFiles.metrics) : Effect.succeed(undefined),
            usage: Option.getOrUndefined(usage),
            output: (stream) => Stream.mapError(execution.logs(job.id, { stream }), cannot("output"))
          })
        })
      })
    })
  )
