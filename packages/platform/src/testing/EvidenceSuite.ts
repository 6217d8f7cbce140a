/**
 * What every layer of `Evidence` has to do, as cases for any test runner. A case is an Effect that fails or dies when
 * the layer does not do it. The layer under test has to be made with the `rules` of this suite.
 *
 * @example
 * ```ts
 * import * as Rules from "@espalier/platform/evidence/Rules"
 * import { Execution } from "@espalier/platform/Execution"
 * import * as Simulated from "@espalier/platform/execution/Simulated"
 * import * as EvidenceSuite from "@espalier/platform/testing/EvidenceSuite"
 * import { Effect, Layer } from "effect"
 *
 * const jobs = Simulated.layer((request) => EvidenceSuite.jobOf(request.argv))
 * const live = Rules.layer({ rules: EvidenceSuite.rules }).pipe(Layer.provideMerge(jobs))
 * const ended = (job: EvidenceSuite.SuiteJob) =>
 *   Effect.gen(function*() {
 *     const execution = yield* Execution
 *     const argv = EvidenceSuite.argvOf("job", job)
 *     const handle = yield* execution.launch({ key: crypto.randomUUID(), argv, directory: "/", environment: {} })
 *     return { handle, status: yield* execution.await(handle.id) }
 *   })
 * for (const { run } of EvidenceSuite.cases({ ended })) await Effect.runPromise(Effect.provide(run, live))
 * ```
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import assert from "node:assert"
import { Evidence, EvidenceRecord, type MetricRule } from "../Evidence.ts"
import type { JobHandle, TerminalStatus } from "../Execution.ts"

/** What a job of the suite prints, and how it ends. */
export interface SuiteJob {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
}

/** One thing that a layer has to do. */
export interface SuiteCase<R> {
  readonly name: string
  readonly run: Effect.Effect<void, unknown, R>
}

/** The rules that the layer under test has to be made with. */
export const rules: ReadonlyArray<MetricRule> = [
  { _tag: "KeyValue", name: "throughput" },
  { _tag: "KeyValue", name: "errors", stream: "stderr", required: false },
  { _tag: "JsonLines", name: "latency", field: "latency.p99", take: "max", required: false },
  { _tag: "Regex", name: "accuracy", pattern: "accuracy (\\S+)%", take: "all", required: false }
]

/** A job of the suite as a command line, for a simulation that reads it back with `jobOf`. */
export const argvOf = (program: string, job: SuiteJob): readonly [string, string] => [program, JSON.stringify(job)]

/** The job of a command line that `argvOf` made. */
export const jobOf = (argv: ReadonlyArray<string>): SuiteJob => JSON.parse(argv[1] ?? "{}")

/** What the suite needs: a job that printed this and ended so. */
export interface Options<E, R> {
  readonly ended: (
    job: SuiteJob
  ) => Effect.Effect<{ readonly handle: JobHandle; readonly status: TerminalStatus }, E, R>
}

/** The cases. */
export const cases = <E, R>(options: Options<E, R>): ReadonlyArray<SuiteCase<Evidence | R>> => {
  const collect = (job: Partial<SuiteJob>) =>
    Effect.gen(function*() {
      const evidence = yield* Evidence
      const { handle, status } = yield* options.ended({ stdout: "", stderr: "", exitCode: 0, ...job })
      return yield* evidence.collect(handle, status)
    })
  return [
    {
      name: "metrics are taken from what the job printed, by their rules",
      run: Effect.gen(function*() {
        const record = yield* collect({
          stdout:
            "throughput=1\nthroughput=2.5e3 other=1\n{\"latency\":{\"p99\":7}}\n{\"latency\":{\"p99\":3}}\naccuracy 12.5%\naccuracy 99%",
          stderr: "throughput=9\nerrors=3\n"
        })
        assert.deepStrictEqual(record.metrics, { throughput: [2500], errors: [3], latency: [7], accuracy: [12.5, 99] })
        assert.strictEqual(record.exitCode, 0)
        assert.strictEqual(record.errorSummary, null)
        assert.ok(record.durationMillis !== null && record.durationMillis >= 0)
        assert.deepStrictEqual(record.missing, [])
      })
    },
    {
      name: "a value that is no finite number is refused with a note, and is never a metric",
      run: Effect.gen(function*() {
        const hostile = ["NaN", "Infinity", "-Infinity", "1e999", "12ms", "1,234", "0x10", "", "null", "1_000", "1e"]
        const record = yield* collect({
          stdout: `throughput=5\n${hostile.map((one) => `throughput=${one}`).join("\n")}\n` +
            "{\"latency\":{\"p99\":1e999}}\n{\"latency\":{\"p99\":\"7\"}}\n{\"latency\":{\"p99\":null}}\naccuracy high%\n"
        })
        assert.deepStrictEqual(record.metrics, { throughput: [5] })
        const refused = new Map(record.notes.map((note) => [note.metric, note.count]))
        assert.deepStrictEqual(refused, new Map([["throughput", hostile.length], ["latency", 3], ["accuracy", 1]]))
      })
    },
    {
      name: "a job that ended well without a required metric is a typed failure that tells what it did print",
      run: Effect.gen(function*() {
        const error = yield* Effect.flip(collect({ stdout: "throughptu=5 loss=0.1\nthroughput=NaN\n{\"step\":4}\n" }))
        assert.ok(typeof error === "object" && error !== null && "_tag" in error && error._tag === "MetricsMissing")
        assert.deepStrictEqual(error.missing, ["throughput"])
        assert.deepStrictEqual(error.seen, ["throughptu", "loss", "step"])
        for (const part of ["throughput=<number>", "throughptu", "NaN", "required = false"]) {
          assert.ok(error.message.includes(part), `${part} is not in: ${error.message}`)
        }
        assert.ok(error.logTail.includes("throughptu=5"))
        assert.strictEqual(error.evidence.exitCode, 0)
      })
    },
    {
      name: "a job that failed has its evidence, with its error and with what is missing",
      run: Effect.gen(function*() {
        const record = yield* collect({
          stdout: "errors later\n",
          stderr: "starting\nTypeError: x is not a function\n    at run (/app/main.js:3:5)\n\nNode.js v24.0.0\n",
          exitCode: 1
        })
        assert.strictEqual(record.exitCode, 1)
        assert.deepStrictEqual(record.missing, ["throughput"])
        assert.strictEqual(record.errorSummary, "TypeError: x is not a function (at run (/app/main.js:3:5))")
      })
    },
    {
      name: "a metric that a failed job printed is kept",
      run: Effect.gen(function*() {
        const record = yield* collect({ stdout: "throughput=5\n", exitCode: 3 })
        assert.deepStrictEqual(record.metrics, { throughput: [5] })
        assert.ok(record.errorSummary?.includes("code 3"), String(record.errorSummary))
      })
    },
    {
      name: "the log tail is bounded, and holds the end of both outputs",
      run: Effect.gen(function*() {
        const lines = Array.from({ length: 6000 }, (_, i) => `line ${i}`).join("\n")
        const record = yield* collect({ stdout: `throughput=1\n${lines}\n`, stderr: "the end of stderr\n" })
        assert.ok(record.logTail.length < 16_384, `${record.logTail.length}`)
        assert.ok(record.logTail.includes("line 5999\n") && !record.logTail.includes("line 1000\n"))
        assert.ok(record.logTail.includes("the end of stderr"))
      })
    },
    {
      name: "evidence is plain data, and collecting it again gives the same",
      run: Effect.gen(function*() {
        const evidence = yield* Evidence
        const { handle, status } = yield* options.ended({ stdout: "throughput=5", stderr: "", exitCode: 0 })
        const record = yield* evidence.collect(handle, status)
        assert.deepStrictEqual(yield* evidence.collect(handle, status), record)
        assert.deepStrictEqual(Schema.decodeUnknownSync(EvidenceRecord)(JSON.parse(JSON.stringify(record))), record)
      })
    }
  ]
}
