/**
 * Evidence of jobs that print what a test says: the rules are the real ones, only the outputs are given. No job, no file,
 * no `Execution`.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Evidence, type InvalidMetricRule, type MetricRule } from "../Evidence.ts"
import type { JobHandle, JobUsage, LogStream, TerminalStatus } from "../Execution.ts"
import type { FoundFiles } from "../internal/evidenceFiles.ts"
import type { FileSource } from "../internal/metricRules.ts"
import { checkLimits } from "../internal/evidenceLimits.ts"
import { collect, type Limits } from "./Collect.ts"
import { compile } from "./MetricScan.ts"

/** What a job printed. */
export interface ScriptedOutput {
  readonly stdout?: string
  readonly stderr?: string
  readonly metrics?: string
  readonly usage?: JobUsage
  /** Files of the directory that it ran in, by their paths in it. */
  readonly files?: Readonly<Record<string, string>>
  /** Files of `$ESPALIER_JOB_DIR`. */
  readonly jobFiles?: Readonly<Record<string, string>>
}

/** The rules, and what each job printed. */
export interface Options extends Limits {
  readonly rules: ReadonlyArray<MetricRule>
  readonly output: (job: JobHandle, status: TerminalStatus) => ScriptedOutput
}

/**
 * Evidence over given outputs.
 *
 * @example
 * ```ts
 * import { Evidence } from "@espalier/platform/Evidence"
 * import * as Scripted from "@espalier/platform/evidence/Scripted"
 * import { Effect } from "effect"
 * import assert from "node:assert"
 *
 * const job = { id: "1", key: "a", directory: "/", argv: ["train"] as const, host: "here", launchedAt: 0 }
 * const ended = { _tag: "Exited", exitCode: 0, signal: null, startedAt: 0, endedAt: 1000 } as const
 * const program = Effect.gen(function*() {
 *   const record = yield* (yield* Evidence).collect(job, ended)
 *   assert.deepStrictEqual(record.metrics, { score: [7] })
 * })
 *
 * const rules = [{ _tag: "Regex", name: "score", pattern: "score was (\\d+)" }] as const
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Scripted.layer({ rules, output: () => ({ stdout: "the score was 7" }) })))
 * )
 * ```
 */
export const layer = (options: Options): Layer.Layer<Evidence, InvalidMetricRule> =>
  Layer.effect(
    Evidence,
    Effect.gen(function*() {
      const rules = yield* Effect.fromResult(compile(options.rules))
      yield* Effect.fromResult(checkLimits(options))
      return Evidence.of({
        collect: (job, status) =>
          Effect.suspend(() => {
            const given = options.output(job, status)
            const output = (stream: LogStream) => Stream.encodeText(Stream.succeed(given[stream] ?? ""))
            const files = (source: FileSource): Effect.Effect<FoundFiles<never>> => {
              const all = Object.entries((source.within === "job" ? given.jobFiles : given.files) ?? {})
              const found = all.filter(([path]) => source.glob.matches(path.split("/"))).sort(([a], [b]) =>
                a < b ? -1 : 1
              )
              return Effect.succeed({
                files: found.map(([path, text]) => ({ path, bytes: Stream.encodeText(Stream.succeed(text)) })),
                refused: []
              })
            }
            return collect(job, status, { rules, limits: options, usage: given.usage, output, files })
          })
      })
    })
  )
