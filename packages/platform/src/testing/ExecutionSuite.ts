/**
 * What every layer of `Execution` has to do, as cases for any test runner. A case is an Effect that fails or dies
 * when the layer does not do it.
 *
 * The suite says what a job does (`SuiteJob`), the layer's tester says which command does that: `nodeCommand`
 * for whatever starts real processes, `simulatedCommand` with `simulatedScript` for the simulation.
 *
 * @example
 * ```ts
 * import * as Simulated from "@espalier/platform/execution/Simulated"
 * import { Execution } from "@espalier/platform/Execution"
 * import * as ExecutionSuite from "@espalier/platform/testing/ExecutionSuite"
 * import { Effect, Layer } from "effect"
 * import { TestClock } from "effect/testing"
 *
 * const simulation = await Effect.runPromise(Simulated.make(ExecutionSuite.simulatedScript))
 * const engine = Layer.succeed(Execution, simulation.execution)
 * const cases = ExecutionSuite.cases({ command: ExecutionSuite.simulatedCommand, directory: "/", otherEngine: engine })
 * for (const { run } of cases) {
 *   await Effect.runPromise(
 *     ExecutionSuite.passingTime(run).pipe(Effect.scoped, Effect.provide(engine), Effect.provide(TestClock.layer()))
 *   )
 * }
 * ```
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import assert from "node:assert"
import { randomUUID } from "node:crypto"
import { durations, Execution, hasSucceeded, JobHandle, JobStatus } from "../Execution.ts"
import type { Printed, Script } from "../execution/Simulated.ts"

/** What a job of the suite has to do. */
export interface SuiteJob {
  readonly stdout: ReadonlyArray<Printed>
  readonly stderr: ReadonlyArray<Printed>
  /** What it writes to `$ESPALIER_JOB_DIR/progress.txt`. */
  readonly progress: ReadonlyArray<Printed>
  readonly durationMillis: number
  readonly exitCode: number
  /** It ends itself by this signal. */
  readonly signal: string | null
  readonly ignoresTermination: boolean
  /** Its program does not exist. */
  readonly missing: boolean
}

/** One thing that a layer has to do. */
export interface SuiteCase<R> {
  readonly name: string
  readonly run: Effect.Effect<void, unknown, R>
}

/** What the suite has to know of a layer. */
export interface Options {
  /** The command that does this. */
  readonly command: (job: SuiteJob) => readonly [string, ...ReadonlyArray<string>]
  /** A directory that jobs may run in. */
  readonly directory: string
  /** A second engine on the same jobs, as after a restart. */
  readonly otherEngine: Layer.Layer<Execution, unknown>
}

const nodeProgram = `
const { openSync, writeSync } = require("node:fs")
const job = JSON.parse(process.argv[1])
const progress = job.progress.length === 0 ? 0 : openSync(process.env.ESPALIER_JOB_DIR + "/progress.txt", "a")
if (job.ignoresTermination) process.on("SIGTERM", () => {})
for (const [descriptor, said] of [[1, job.stdout], [2, job.stderr], [progress, job.progress]])
  for (const one of said)
    one.atMillis === 0 ? writeSync(descriptor, one.text) : setTimeout(() => writeSync(descriptor, one.text), one.atMillis)
setTimeout(() => job.signal === null ? process.exit(job.exitCode) : process.kill(process.pid, job.signal), job.durationMillis)
`

/** A job of the suite as a real process: for layers whose jobs have this machine's Node. */
export const nodeCommand = (job: SuiteJob): readonly [string, ...ReadonlyArray<string>] =>
  job.missing ? ["espalier-no-such-program"] : [process.execPath, "-e", nodeProgram, JSON.stringify(job)]

/** A job of the suite for a simulation that has `simulatedScript`. */
export const simulatedCommand = (job: SuiteJob): readonly [string, ...ReadonlyArray<string>] => [
  "simulated",
  JSON.stringify(job)
]

/** The script of a simulation whose commands come from `simulatedCommand`. */
export const simulatedScript: Script = (request) => {
  const job: SuiteJob = JSON.parse(request.argv[1] ?? "{}")
  return {
    stdout: job.stdout,
    stderr: job.stderr,
    progress: job.progress,
    durationMillis: job.durationMillis,
    exitCode: job.exitCode,
    ignoresTermination: job.ignoresTermination,
    ...(job.signal === null ? {} : { signal: job.signal }),
    ...(job.missing ? { startError: { code: "ENOENT", message: "there is no such program" } } : {})
  }
}

/** Runs an effect under the test clock while the clock goes on, 10 ms at a time. */
export const passingTime = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("10 millis")
    return yield* Fiber.join(fiber)
  })

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
const says = (text: string, atMillis = 0): Printed => ({ atMillis, text })
/** It runs until somebody ends it; a test that fails does not leave it behind for long. */
const endless: SuiteJob = { ...quiet, stdout: [says("ready\n")], durationMillis: 30_000 }

/** The cases. Each uses keys of its own, so they may share jobs, run in any order, and run again. */
export const cases = (options: Options): ReadonlyArray<SuiteCase<Execution | Scope.Scope>> => {
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
        assert.deepStrictEqual(Schema.decodeUnknownSync(JobHandle)(JSON.parse(JSON.stringify(job))), job)
        assert.deepStrictEqual(Schema.decodeUnknownSync(JobStatus)(JSON.parse(JSON.stringify(status))), status)
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
      })),

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
