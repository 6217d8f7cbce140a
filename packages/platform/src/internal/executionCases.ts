/**
 * What every layer of `Execution` has to do, for `ExecutionSuite`: the tools of all cases, and the cases of launching, finding
 * and reading a job. How jobs end is in `executionCasesEnds.ts`.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import assert from "node:assert"
import { randomUUID } from "node:crypto"
import { Execution, hasSucceeded, JobHandle, JobStatus } from "../Execution.ts"
import type { Printed } from "../execution/Simulated.ts"
import type { Options, SuiteCase, SuiteJob } from "../testing/ExecutionSuite.ts"

const quiet: SuiteJob = {
  stdout: [],
  stderr: [],
  progress: [],
  durationMillis: 0,
  exitCode: 0,
  signal: null,
  ignoresTermination: false,
  missing: false
}
export const says = (text: string, atMillis = 0): Printed => ({ atMillis, text })
/** It runs until somebody ends it; a test that fails does not leave it behind for long. */
export const endless: SuiteJob = { ...quiet, stdout: [says("ready\n")], durationMillis: 30_000 }

/** What the cases are made with. */
export const toolsOf = (options: Options) => {
  const make = (
    name: string,
    body: (execution: Execution["Service"], key: string) => Effect.Effect<void, unknown, Scope.Scope>
  ): SuiteCase<Execution | Scope.Scope> => ({
    name,
    run: Effect.flatMap(
      Execution,
      (execution) => Effect.suspend(() => body(execution, `suite/${name.slice(0, 30)}/${randomUUID()}`))
    )
  })
  const request = (key: string, job: Partial<SuiteJob>) => ({
    key,
    argv: options.command({ ...quiet, ...job }),
    directory: options.directory,
    environment: {}
  })
  const otherEngine = <A, E>(use: (execution: Execution["Service"]) => Effect.Effect<A, E>) =>
    Effect.flatMap(Execution, use).pipe(Effect.provide(options.otherEngine, { local: true }))
  const output = (execution: Execution["Service"], id: string, stream: "stdout" | "stderr", from?: number) =>
    execution.logs(id, { stream, ...(from === undefined ? {} : { from }) }).pipe(Stream.decodeText(), Stream.mkString)
  /** Waits until the job has printed something. */
  const untilReady = (execution: Execution["Service"], id: string) =>
    execution.logs(id, { stream: "stdout" }).pipe(Stream.take(1), Stream.runDrain)

  return { make, request, otherEngine, output, untilReady }
}
export type Tools = ReturnType<typeof toolsOf>

/** Launching, finding and reading jobs. */
export const launchCases = (tools: Tools): ReadonlyArray<SuiteCase<Execution | Scope.Scope>> => {
  const { make, otherEngine, output, request } = tools
  return [
    make("a job that ends well has exit code 0 and ends after it started", (execution, key) =>
      Effect.gen(function*() {
        const job = yield* execution.launch(request(key, { durationMillis: 20 }))
        const status = yield* execution.await(job.id)
        assert.ok(hasSucceeded(status), JSON.stringify(status))
        assert.ok(status._tag === "Exited" && status.signal === null && status.startedAt <= status.endedAt)
        assert.deepStrictEqual(yield* execution.status(job.id), status)
      })),

    make("a job that fails has its own exit code", (execution, key) =>
      Effect.gen(function*() {
        const job = yield* execution.launch(request(key, { exitCode: 37 }))
        const status = yield* execution.await(job.id)
        assert.ok(status._tag === "Exited" && status.exitCode === 37 && !hasSucceeded(status), JSON.stringify(status))
      })),

    make("a job that dies of a signal has the signal and no exit code", (execution, key) =>
      Effect.gen(function*() {
        const job = yield* execution.launch(request(key, { signal: "SIGUSR2" }))
        const status = yield* execution.await(job.id)
        assert.ok(
          status._tag === "Exited" && status.exitCode === null && status.signal === "SIGUSR2",
          JSON.stringify(status)
        )
      })),

    make(
      "a second launch of a key returns the first job, running or ended, and runs nothing",
      (execution, key) =>
        Effect.gen(function*() {
          const first = yield* execution.launch(request(key, { stdout: [says("first\n")], durationMillis: 50 }))
          const second = yield* execution.launch(request(key, { stdout: [says("second\n")] }))
          yield* execution.await(first.id)
          const third = yield* execution.launch(request(key, { stdout: [says("third\n")] }))
          assert.deepStrictEqual(second, first)
          assert.deepStrictEqual(third, first)
          assert.strictEqual(yield* output(execution, first.id, "stdout"), "first\n")
        })
    ),

    make(
      "launches of one key at the same time, by two engines, run it once",
      (execution, key) =>
        Effect.gen(function*() {
          const asked = request(key, { stdout: [says("ran\n")], durationMillis: 20 })
          const launches = [
            execution.launch(asked),
            execution.launch(asked),
            otherEngine((other) => other.launch(asked))
          ]
          const jobs = yield* Effect.all(launches, { concurrency: "unbounded" })
          for (const job of jobs) assert.deepStrictEqual(job, jobs[0])
          assert.strictEqual(yield* output(execution, jobs[0]!.id, "stdout"), "ran\n")
        })
    ),

    make("keys that look alike are different jobs", (execution, key) =>
      Effect.gen(function*() {
        const ids = new Set<string>()
        for (const alike of [`${key} a/b`, `${key} a_b`, `${key} A_B`, `${key} a_b `]) {
          ids.add((yield* execution.launch(request(alike, {}))).id)
        }
        assert.strictEqual(ids.size, 4)
        for (const id of ids) yield* execution.await(id)
      })),

    make("a job is found by its key, and only once it was launched", (execution, key) =>
      Effect.gen(function*() {
        assert.ok(Option.isNone(yield* execution.find(key)))
        const job = yield* execution.launch(request(key, {}))
        assert.deepStrictEqual(Option.getOrThrow(yield* execution.find(key)), job)
        yield* execution.await(job.id)
        assert.deepStrictEqual(Option.getOrThrow(yield* execution.find(key)), job)
      })),

    make("another engine finds a job, follows it and learns how it ended", (execution, key) =>
      Effect.gen(function*() {
        const job = yield* execution.launch(request(key, { stdout: [says("x\n")], durationMillis: 50, exitCode: 5 }))
        const { found, said, status } = yield* otherEngine((other) =>
          Effect.gen(function*() {
            const found = yield* other.find(key)
            const status = yield* other.await(job.id)
            return { found, status, said: yield* output(other, job.id, "stdout") }
          })
        )
        assert.deepStrictEqual(Option.getOrThrow(found), job)
        assert.ok(status._tag === "Exited" && status.exitCode === 5)
        assert.strictEqual(said, "x\n")
      })),

    make("handles and statuses pass through JSON unchanged", (execution, key) =>
      Effect.gen(function*() {
        const job = yield* execution.launch(request(key, {}))
        const status = yield* execution.await(job.id)
        assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(JobHandle)(JSON.parse(JSON.stringify(job))), job)
        assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(JobStatus)(JSON.parse(JSON.stringify(status))), status)
      })),

    make("ceasing to wait for a job does not touch it", (execution, key) =>
      Effect.gen(function*() {
        const job = yield* execution.launch(request(key, { durationMillis: 150, exitCode: 4 }))
        assert.ok(Option.isNone(yield* execution.await(job.id).pipe(Effect.timeoutOption("20 millis"))))
        const status = yield* execution.await(job.id)
        assert.ok(status._tag === "Exited" && status.exitCode === 4, JSON.stringify(status))
      })),

    make(
      "the outputs are complete, apart from each other, and can be read from any byte",
      (execution, key) =>
        Effect.gen(function*() {
          const text = "0123456789".repeat(2000) + "\n"
          const job = yield* execution.launch(
            request(key, { stdout: [says(text), says("late\n", 60)], stderr: [says("to err\n")], durationMillis: 80 })
          )
          assert.strictEqual(yield* output(execution, job.id, "stdout"), `${text}late\n`)
          assert.ok(hasSucceeded(yield* execution.status(job.id)), "the output ended before the job did")
          assert.strictEqual(yield* output(execution, job.id, "stderr"), "to err\n")
          assert.strictEqual(yield* output(execution, job.id, "stdout", text.length), "late\n")
          assert.strictEqual(yield* output(execution, job.id, "stdout", text.length + 5), "")
        })
    ),

    make("progress is the last line printed and when", (execution, key) =>
      Effect.gen(function*() {
        const silent = yield* execution.launch(request(`${key}/silent`, {}))
        yield* execution.await(silent.id)
        assert.ok(Option.isNone(yield* execution.progress(silent.id)))
        const job = yield* execution.launch(request(key, { stdout: [says("step 1\nstep 2\n\n")], durationMillis: 20 }))
        const status = yield* execution.await(job.id)
        const progress = Option.getOrThrow(yield* execution.progress(job.id))
        assert.strictEqual(progress.line, "step 2")
        assert.ok(status._tag === "Exited" && progress.at <= status.endedAt && progress.at >= job.launchedAt - 1000)
      }))
  ]
}
