/** How jobs end, for `ExecutionSuite`: cancelled, by a time-out, never begun; and what is refused without an end. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import assert from "node:assert"
import { durations, type Execution, hasSucceeded } from "../Execution.ts"
import type { SuiteCase } from "../testing/ExecutionSuite.ts"
import { endless, says, type Tools } from "./executionCases.ts"

/** The end of jobs, and what has none. */
export const endCases = (tools: Tools): ReadonlyArray<SuiteCase<Execution | Scope.Scope>> => {
  const { make, otherEngine, output, request, untilReady } = tools
  return [
    make("cancel ends a running job, and cancelling again changes nothing", (execution, key) =>
      Effect.gen(function*() {
        const job = yield* execution.launch(request(key, endless))
        yield* untilReady(execution, job.id)
        assert.strictEqual((yield* execution.status(job.id))._tag, "Running")
        yield* execution.cancel(job.id)
        const status = yield* execution.status(job.id)
        assert.strictEqual(status._tag, "Cancelled")
        yield* execution.cancel(job.id)
        assert.deepStrictEqual(yield* execution.await(job.id), status)
      })),

    make("whoever waits for a job learns that it was cancelled", (execution, key) =>
      Effect.gen(function*() {
        const job = yield* execution.launch(request(key, endless))
        const waiting = yield* Effect.forkChild(execution.await(job.id))
        yield* untilReady(execution, job.id)
        yield* execution.cancel(job.id)
        assert.strictEqual((yield* Fiber.join(waiting))._tag, "Cancelled")
      })),

    make(
      "cancel ends a job that does not end when asked to, after the grace",
      (execution, key) =>
        Effect.gen(function*() {
          const job = yield* execution.launch(request(key, { ...endless, ignoresTermination: true }))
          yield* untilReady(execution, job.id)
          yield* execution.cancel(job.id, { grace: "100 millis" })
          assert.strictEqual((yield* execution.status(job.id))._tag, "Cancelled")
        })
    ),

    make("another engine cancels a job", (execution, key) =>
      Effect.gen(function*() {
        const job = yield* execution.launch(request(key, endless))
        yield* untilReady(execution, job.id)
        yield* otherEngine((other) => other.cancel(job.id))
        assert.strictEqual((yield* execution.status(job.id))._tag, "Cancelled")
      })),

    make("cancelling a job that has ended leaves its status as it is", (execution, key) =>
      Effect.gen(function*() {
        const job = yield* execution.launch(request(key, { exitCode: 6 }))
        const status = yield* execution.await(job.id)
        yield* execution.cancel(job.id)
        assert.deepStrictEqual(yield* execution.status(job.id), status)
      })),

    make("a job that runs into its time-out is ended, and says so", (execution, key) =>
      Effect.gen(function*() {
        const job = yield* execution.launch({ ...request(key, endless), timeoutMillis: 300 })
        const status = yield* execution.await(job.id)
        assert.ok(status._tag === "Exited" && status.timedOut === true && !hasSucceeded(status), JSON.stringify(status))
        assert.ok(status.endedAt - status.startedAt >= 290, JSON.stringify(status))
      })),

    make(
      "a job that asks a scheduler for something runs where there is no scheduler too",
      (execution, key) =>
        Effect.gen(function*() {
          const job = yield* execution.launch({ ...request(key, {}), resources: { cpus: 1, memoryBytes: 100e6 } })
          assert.ok(hasSucceeded(yield* execution.await(job.id)))
        })
    ),

    make("the time in the queue and the time of running are told apart", (execution, key) =>
      Effect.gen(function*() {
        const job = yield* execution.launch(request(key, { durationMillis: 100 }))
        const { queuedMillis, ranMillis } = durations(yield* execution.await(job.id))
        assert.ok(queuedMillis !== null && queuedMillis >= 0, String(queuedMillis))
        assert.ok(ranMillis !== null && ranMillis >= 90, String(ranMillis))
      })),

    make(
      "a progress file that the job writes is its progress, whatever it prints",
      (execution, key) =>
        Effect.gen(function*() {
          const job = yield* execution.launch(
            request(key, {
              progress: [says("10%\n"), says("20%\n", 10)],
              stdout: [says("chatter\n", 30)],
              durationMillis: 60
            })
          )
          yield* execution.await(job.id)
          assert.strictEqual(Option.getOrThrow(yield* execution.progress(job.id)).line, "20%")
        })
    ),

    make("keys of any characters are keys", (execution, key) =>
      Effect.gen(function*() {
        for (const ugly of ["--help", "$(touch /tmp/x)", "a\nb", "'\"`|;&", "%j\\", "é 漢", "../..", " "]) {
          const asked = request(`${ugly}${key}`, { stdout: [says("ran\n")] })
          const job = yield* execution.launch(asked)
          assert.strictEqual(job.key, asked.key)
          assert.deepStrictEqual(Option.getOrThrow(yield* execution.find(asked.key)), job)
          assert.ok(hasSucceeded(yield* execution.await(job.id)), ugly)
          assert.strictEqual(yield* output(execution, job.id, "stdout"), "ran\n")
        }
      })),

    make(
      "a program that cannot be started fails its launch, or its job where there is a queue, and its launch from then on",
      (execution, key) =>
        Effect.gen(function*() {
          const asked = request(key, { missing: true })
          const launched = yield* Effect.result(execution.launch(asked))
          if (launched._tag === "Success") yield* execution.await(launched.success.id)
          const first = launched._tag === "Failure" ? launched.failure : yield* Effect.flip(execution.launch(asked))
          assert.strictEqual(first.reason, "ProgramNotStarted")
          assert.strictEqual(first.code, "ENOENT")
          assert.ok(first.message.includes(first.program) || first.program === "simulated")
          assert.deepStrictEqual((yield* Effect.flip(execution.launch(asked))).message, first.message)
          const job = Option.getOrThrow(yield* execution.find(key))
          const status = yield* execution.status(job.id)
          assert.ok(status._tag === "Exited" && status.startError !== undefined && status.exitCode === null)
        })
    ),

    make(
      "a request that nobody can run is refused, and its key stays free",
      (execution, key) =>
        Effect.gen(function*() {
          const good = request(key, {})
          const refused = [
            { ...good, argv: ["" as string] as const },
            { ...good, argv: ["a", "b\0c"] as const },
            { ...good, environment: { "A=B": "c" } },
            { ...good, environment: { A: "b\0c" } },
            { ...good, directory: "" },
            { ...good, directory: "/a\0b" },
            { ...good, timeoutMillis: -1 },
            { ...good, key: "" },
            { ...good, key: "\ud800" }
          ]
          for (const one of refused) {
            const failure = yield* Effect.flip(execution.launch(one))
            assert.strictEqual(failure.reason, "InvalidRequest", JSON.stringify(one))
            assert.ok(Option.isNone(yield* execution.find(one.key)))
          }
          assert.ok(hasSucceeded(yield* execution.await((yield* execution.launch(good)).id)))
        })
    ),

    make(
      "a grace that has no end is refused, and the job can be cancelled afterwards",
      (execution, key) =>
        Effect.gen(function*() {
          const job = yield* execution.launch(request(key, endless))
          yield* untilReady(execution, job.id)
          for (const grace of ["Infinity", Number.NaN, -1] as const) {
            const failure = yield* Effect.flip(execution.cancel(job.id, { grace }))
            assert.ok(failure._tag === "ExecutionError" && failure.message.includes("grace"), failure.message)
            assert.strictEqual((yield* execution.status(job.id))._tag, "Running")
          }
          yield* execution.cancel(job.id)
          assert.strictEqual((yield* execution.status(job.id))._tag, "Cancelled")
        })
    ),

    make("an unknown job is a typed failure of every operation", (execution) =>
      Effect.gen(function*() {
        for (const id of ["no-such-job", "../../etc", ""]) {
          const failures = yield* Effect.all([
            Effect.flip(execution.status(id)),
            Effect.flip(execution.await(id)),
            Effect.flip(execution.cancel(id)),
            Effect.flip(execution.progress(id)),
            Effect.flip(execution.usage(id)),
            Effect.flip(Stream.runDrain(execution.logs(id, { stream: "stdout" })))
          ])
          for (const failure of failures) assert.strictEqual(failure._tag, "JobNotFound")
        }
      }))
  ]
}
