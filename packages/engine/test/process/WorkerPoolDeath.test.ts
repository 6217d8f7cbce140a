/** Workers that end by force: endless loops, too much memory, exits, signals. Each is the outcome of one work. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, type Scope } from "effect"
import { Brief, Child, Frail, Task } from "./WorkerPoolTasks.ts"
import { isAlive, type Isolation, isolations, laboratory, messageOf, progressOf, reasonOf } from "./WorkerPoolLab.ts"

const live = <E>(name: string, make: Effect.Effect<void, E, Scope.Scope>) => it.live(name, () => Effect.scoped(make))

type Laboratory = Effect.Success<ReturnType<typeof laboratory>>
type OpenRun = Effect.Success<ReturnType<Laboratory["engine"]["open"]>>

/** The pool still does what it should. */
const isWell = (lab: Laboratory, run: OpenRun) =>
  Effect.gen(function*() {
    const jobs = yield* Effect.forEach([1, 2, 3], () => run.submit(Task, lab.task("succeed")))
    for (const job of jobs) assert.deepStrictEqual(yield* job.await, { year: 1970, pool: true })
  })

/** Runs one work that ends its worker, beside one that waits, and returns the reason of its end. */
const dies = Effect.fnUntraced(function*(isolation: Isolation, how: string, memoryMegabytes?: number) {
  const lab = yield* laboratory({ isolation, terminateAfter: "200 millis", memoryMegabytes })
  const run = yield* lab.engine.open("r", { concurrency: 3 })
  yield* run.submit(Task, lab.task("wait"), { id: "bystander" })
  yield* progressOf(run, "bystander")
  const reason = yield* reasonOf(yield* run.submit(Task, lab.task(how), { id: "dies" }))
  assert.strictEqual((yield* run.work("dies")).outcome?._tag, "Failed")
  yield* isWell(lab, run)
  const bystander = yield* run.work("bystander")
  assert.deepStrictEqual([bystander.state, bystander.attempt], ["running", 1])
  assert.deepStrictEqual(lab.lines().filter((line) => line === "begin"), ["begin"])
  assert.strictEqual((yield* run.work("dies")).attempt, 1)
  if (reason._tag !== "WorkerDied") return assert.fail(`it ended as ${reason._tag}`)
  return reason
})

for (const isolation of isolations) {
  describe(`an endless loop in a worker ${isolation}`, () => {
    live(
      "is cancelled, and what it had done is undone",
      Effect.gen(function*() {
        const lab = yield* laboratory({ isolation, size: 1, terminateAfter: "100 millis" })
        const run = yield* lab.engine.open("r", { concurrency: 1 })
        const job = yield* run.submit(Task, lab.task("step and spin"), { id: "loops" })
        yield* progressOf(run, "loops")
        yield* run.cancelWork("loops", { actor: "ada", reason: "too long" })
        assert.match(yield* messageOf(job), /cancelled by ada: too long/)
        assert.deepStrictEqual(lab.lines(), ["launch", "cancel step and spin: too long by ada, launched job 7"])
        yield* isWell(lab, run)
      })
    )

    live(
      "is ended by its kind's time-out",
      Effect.gen(function*() {
        const lab = yield* laboratory({ isolation, size: 1, terminateAfter: "100 millis" })
        const run = yield* lab.engine.open("r", { concurrency: 1 })
        // The worker is up before the work begins: a start on a busy machine may take longer than the time-out.
        yield* isWell(lab, run)
        const job = yield* run.submit(Brief, { how: "spin" }, { id: "loops" })
        yield* progressOf(run, "loops")
        assert.match(yield* messageOf(job), /timed out after 1500 ms/)
        yield* isWell(lab, run)
      })
    )

    live(
      "does not keep the run from being suspended, and is begun again afterwards with its steps",
      Effect.gen(function*() {
        const lab = yield* laboratory({ isolation, size: 1, terminateAfter: "100 millis" })
        for (const round of [1, 2]) {
          yield* Effect.scoped(Effect.gen(function*() {
            const run = yield* lab.engine.open("r", { concurrency: 1 })
            if (round === 1) yield* run.submit(Task, lab.task("step and spin"), { id: "loops" })
            yield* progressOf(run, "loops")
            assert.strictEqual((yield* run.work("loops")).attempt, 1)
          }))
        }
        assert.deepStrictEqual(lab.lines(), ["launch"])
      })
    )

    live(
      "is ended after the time given, as is a handler that does not let itself be interrupted",
      Effect.gen(function*() {
        const lab = yield* laboratory({ isolation, size: 1, terminateAfter: "300 millis" })
        const run = yield* lab.engine.open("r", { concurrency: 1 })
        const job = yield* run.submit(Task, lab.task("never let go"), { id: "stubborn" })
        yield* progressOf(run, "stubborn")
        const before = performance.now()
        yield* run.cancelWork("stubborn")
        yield* Effect.exit(job.await)
        assert.isAtLeast(performance.now() - before, 250)
        yield* isWell(lab, run)
      })
    )
  })

  describe(`a worker ${isolation} that dies`, () => {
    live(
      "of want of memory is the failure of its work alone",
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* dies(isolation, "grow", 64), {
          _tag: "WorkerDied",
          reason: "memory",
          message: "worker out of memory (cap 64 MiB)"
        })
      })
    )

    live(
      "of one array that grows, of one that is too large from the start, and of typed arrays, too",
      Effect.gen(function*() {
        for (const how of ["grow one array", "leap", "grow outside of the heap"]) {
          const { message, reason } = yield* Effect.scoped(dies(isolation, how, 96))
          assert.deepStrictEqual([reason, message], ["memory", "worker out of memory (cap 96 MiB)"], how)
        }
      })
    )

    live(
      "by process.exit is the failure of its work alone",
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* dies(isolation, "exit"), {
          _tag: "WorkerDied",
          reason: "exit",
          exitCode: 7,
          message: "worker exited with code 7"
        })
      })
    )

    live(
      "of an error that nobody caught is the failure of its work alone",
      Effect.gen(function*() {
        const { message, reason } = yield* dies(isolation, "throw in a timer")
        assert.strictEqual(reason, "error")
        assert.match(
          message,
          /worker ended by an error that nothing caught: TypeError: nobody listens/
        )
      })
    )

    live(
      "is made up for by the kind's retry schedule, with the steps that were recorded",
      Effect.gen(function*() {
        const lab = yield* laboratory({ isolation, size: 1 })
        const run = yield* lab.engine.open("r", { concurrency: 1 })
        for (const how of ["exit", "throw in a timer"]) {
          const { notes } = lab
          const job = yield* run.submit(Frail, { how, deaths: 2, notes }, { id: how })
          assert.strictEqual(yield* job.await, "attempt 3, with the step of attempt 1")
        }
        const attempts = ["first", "attempt 1", "attempt 2", "attempt 3"]
        assert.deepStrictEqual(lab.lines(), [...attempts, ...attempts])
        const { failures } = yield* run.work("exit")
        const died = { _tag: "WorkerDied", reason: "exit", exitCode: 7, message: "worker exited with code 7" } as const
        assert.deepStrictEqual(failures.map(({ failure }) => failure), [died, died])
        assert.deepStrictEqual(failures.map(({ attempt }) => attempt), [1, 2])
      })
    )

    live(
      "again and again is the failure of its work when the schedule has ended",
      Effect.gen(function*() {
        const lab = yield* laboratory({ isolation, size: 1 })
        const run = yield* lab.engine.open("r", { concurrency: 1 })
        const job = yield* run.submit(Frail, { how: "exit", deaths: 9, notes: lab.notes }, { id: "frail" })
        assert.strictEqual((yield* reasonOf(job))._tag, "WorkerDied")
        assert.strictEqual((yield* run.work("frail")).attempt, 3)
        yield* isWell(lab, run)
      })
    )

    live(
      "leaves the children that its work had spawned for a failure",
      Effect.gen(function*() {
        const lab = yield* laboratory({ isolation })
        const run = yield* lab.engine.open("r", { concurrency: 1 })
        yield* Effect.exit((yield* run.submit(Task, lab.task("spawn and exit"))).await)
        assert.strictEqual(yield* (yield* run.job(Child, "repair")).await, "child of the dead")
      })
    )

    live(
      "disturbs none of the others: two of three works on two workers end well while the third crashes",
      Effect.gen(function*() {
        const lab = yield* laboratory({ isolation, size: 2, memoryMegabytes: 64 })
        const run = yield* lab.engine.open("r", { concurrency: 3 })
        const [steps, crash, where] = yield* Effect.forEach(
          ["steps", "step and grow", "where"],
          (how) => run.submit(Task, lab.task(how), { id: how })
        )
        const ends = yield* Effect.all([steps!.await, Effect.exit(crash!.await), where!.await], { concurrency: 3 })
        assert.deepInclude(ends[0], { second: 2 })
        assert.isTrue(Exit.isFailure(ends[1]))
        assert.isNumber(ends[2])
        assert.deepStrictEqual([...lab.lines()].sort(), ["attempt 1", "attempt 2", "before", "first", "second"])
      })
    )
  })
}

describe("a worker process that dies", () => {
  live(
    "by a signal of its own is the failure of its work alone",
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* dies("process", "abort"), {
        _tag: "WorkerDied",
        reason: "signal",
        signal: "SIGABRT",
        message: "worker process killed by SIGABRT"
      })
    })
  )

  live(
    "by a signal from outside is the failure of its work alone, also in an endless loop",
    Effect.gen(function*() {
      const lab = yield* laboratory({ isolation: "process" })
      const run = yield* lab.engine.open("r", { concurrency: 2 })
      const job = yield* run.submit(Task, lab.task("progress and spin"), { id: "shot" })
      const { data } = yield* progressOf(run, "shot")
      process.kill(data as number, "SIGKILL")
      assert.match(yield* messageOf(job), /worker process killed by SIGKILL/)
      yield* isWell(lab, run)
    })
  )

  live(
    "is not ended by the signals that tell a service to end: the host decides",
    Effect.gen(function*() {
      const lab = yield* laboratory({ isolation: "process" })
      const run = yield* lab.engine.open("r", { concurrency: 2 })
      yield* run.submit(Task, lab.task("wait"), { id: "w" })
      const { data } = yield* progressOf(run, "w")
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.kill(data as number, signal)
      yield* isWell(lab, run)
      assert.strictEqual((yield* run.work("w")).state, "running")
      assert.isTrue(isAlive(data as number))
    })
  )
})

describe("a worker thread that cannot be ended", () => {
  live(
    "because it is in the middle of native code is left behind, and the run goes on",
    Effect.gen(function*() {
      const lab = yield* laboratory({ isolation: "thread", size: 1, terminateAfter: "100 millis" })
      const run = yield* lab.engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Task, lab.task("block"), { id: "blocks" })
      yield* progressOf(run, "blocks")
      yield* run.cancelWork("blocks", { actor: "ada", reason: "too long" })
      assert.match(yield* messageOf(job), /cancelled by ada: too long/)
      yield* isWell(lab, run)
      assert.notInclude(lab.lines(), "unblocked")
    })
  )
})
