/**
 * What handlers do through `CurrentWork` in a worker: the same as in the host. Ends by force are in
 * `WorkerPoolDeath.test.ts`.
 */
import { Journal, type Run } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, References, type Scope, Stream, Tracer } from "effect"
import { join } from "node:path"
import {
  Boom,
  BriefLive,
  Child,
  ChildLive,
  FrailLive,
  Jobs,
  Lively,
  LivelyLive,
  since,
  Task,
  TaskLive
} from "./WorkerPoolTasks.ts"
import {
  directory,
  type Isolation,
  isolations,
  laboratory,
  linesOf,
  messageOf,
  progressOf,
  statusWhere
} from "./WorkerPoolLab.ts"

const live = <E>(name: string, make: Effect.Effect<void, E, Scope.Scope>) => it.live(name, () => Effect.scoped(make))

/** The events of a run without what differs from one time to the next. */
const story = (run: Run.Run<never>) =>
  run.events().pipe(
    Stream.map(({ event }) => {
      // The host bounds no kind, a pool bounds all: that is as it should be, and tested below.
      if (event._tag === "RunStarted") return { _tag: event._tag }
      const { at: _at, ...rest } = event as { at: number; failure?: { stack?: string }; wakeAt?: number }
      const { wakeAt: _wakeAt, ...told } = rest
      return told.failure?.stack === undefined ? told : { ...told, failure: { ...told.failure, stack: "" } }
    }),
    Stream.runCollect
  )

const inHost = Effect.gen(function*() {
  const notes = join(yield* directory, "notes")
  const handlers = Layer.mergeAll(TaskLive, BriefLive, LivelyLive, ChildLive, FrailLive)
  const context = yield* Layer.build(Jobs.layer.pipe(Layer.provide([handlers, Journal.layerMemory])))
  const task = (how: string) => ({ how, notes, since })
  return { engine: yield* Effect.provide(Jobs, context), task, lines: () => linesOf(notes) }
})

/** Runs each task once, one after the other, and tells everything that is on record afterwards. */
const play = Effect.fnUntraced(function*(where: Isolation | "host", hows: ReadonlyArray<string>) {
  const { engine, lines, task } = yield* where === "host" ? inHost : laboratory({ isolation: where, size: 1 })
  const run = yield* engine.open("r", { concurrency: 1, pools: { bench: 1 } })
  for (const how of hows) {
    const job = yield* run.submit(Task, task(how), { id: how })
    yield* Effect.exit(job.await)
    if (how === "succeed") yield* (yield* run.submit(Child, { of: "reading" }, { id: "child" })).await
  }
  yield* run.close
  yield* run.await
  const told = yield* story(run as never)
  return {
    told: told.map((event) => ("spec" in event ? { ...event, spec: { ...event.spec as object, payload: {} } } : event)),
    lines: lines()
  }
})

describe("a handler in a worker", () => {
  live(
    "leaves the same events and does the same things as in the host, in threads and in processes",
    Effect.gen(function*() {
      const hows = [
        "succeed",
        "fail",
        "die",
        "die of a string",
        "interrupt itself",
        "steps",
        "a step twice",
        "cursor",
        "spawn",
        "spawn and fail",
        "hold",
        "hold what is not there",
        "history",
        "read the other"
      ]
      const host = yield* Effect.scoped(play("host", hows))
      assert.isAbove(host.told.length, 40)
      for (const isolation of isolations) {
        const worker = yield* Effect.scoped(play(isolation, hows))
        assert.deepStrictEqual(worker.lines, host.lines)
        assert.deepStrictEqual(worker.told, host.told)
      }
    })
  )
})

for (const isolation of isolations) {
  describe(`a handler in a worker ${isolation}`, () => {
    live(
      "succeeds and fails with values of its kind's schemas",
      Effect.gen(function*() {
        const { engine, task } = yield* laboratory({ isolation })
        const run = yield* engine.open("r", { concurrency: 2 })
        const good = yield* run.submit(Task, task("succeed"))
        const bad = yield* run.submit(Task, task("fail"))
        assert.deepStrictEqual(yield* good.await, { year: 1970, pool: true })
        const error = yield* Effect.flip(bad.await)
        assert.instanceOf(error, Boom)
        if (error instanceof Boom) assert.deepStrictEqual([error.why, error.at], ["rain", since])
      })
    )

    live(
      "dies with the stack of the place in the worker where it was thrown",
      Effect.gen(function*() {
        const { engine, task } = yield* laboratory({ isolation })
        const run = yield* engine.open("r", { concurrency: 1 })
        const job = yield* run.submit(Task, task("die"))
        const error = yield* Effect.flip(job.await)
        assert.strictEqual(error._tag, "WorkStopped")
        if (error._tag !== "WorkStopped" || error.reason._tag !== "Defect") return assert.fail(error.message)
        assert.strictEqual(error.reason.message, "out of range")
        assert.include(error.reason.stack, "WorkerPoolTasks.ts")
        assert.include(error.reason.stack, "RangeError")
      })
    )

    live(
      "does not run a recorded step again: not in a retry, not when the run is opened again",
      Effect.gen(function*() {
        const { engine, lines, task } = yield* laboratory({ isolation })
        const result = yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* engine.open("r", { concurrency: 2 })
          const waiting = yield* run.submit(Task, task("wait once"), { id: "waits" })
          yield* progressOf(run, waiting.id)
          const job = yield* run.submit(Task, task("steps"), { id: "steps" })
          return yield* job.await
        }))
        assert.deepStrictEqual(result, {
          first: "1970-01-02T00:00:00.000Z",
          second: 2,
          key: "r/steps/0/launch",
          run: "r"
        })
        assert.deepStrictEqual(lines(), ["begin", "first", "attempt 1", "attempt 2", "second"])
        const run = yield* engine.resume("r", { concurrency: 2 })
        assert.strictEqual(yield* (yield* run.job(Task, "waits")).await, "attempt 1")
        assert.strictEqual(lines().filter((line) => line === "begin").length, 1)
      })
    )

    live(
      "spawns children, in steps and outside, also when it is ended by force",
      Effect.gen(function*() {
        const { engine, task } = yield* laboratory({ isolation, terminateAfter: "100 millis" })
        const run = yield* engine.open("r", { concurrency: 2 })
        const job = yield* run.submit(Task, task("spawn"), { id: "parent" })
        assert.strictEqual(yield* job.await, "chosen")
        for (const [id, of] of [["parent/0", "handler"], ["parent/inside.0", "step"], ["chosen", "chosen"]] as const) {
          assert.strictEqual(yield* (yield* run.job(Child, id)).await, `child of ${of}`)
        }
      })
    )

    live(
      "shows its progress: the latest, however often it reports",
      Effect.gen(function*() {
        const { engine, task } = yield* laboratory({ isolation })
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Task, task("progress"), { id: "p" })
        const { running } = yield* statusWhere(run, ({ running }) => running[0]?.progress?.stage === "middle")
        assert.deepStrictEqual(running[0]!.progress, {
          current: 3,
          total: 9,
          stage: "middle",
          message: "so far",
          data: { loss: [0.5, 0.25] }
        })
      })
    )

    live(
      "logs with the host's logger, at the host's level",
      Effect.gen(function*() {
        const { engine, task } = yield* laboratory({ isolation })
        const lines: Array<unknown> = []
        const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
          lines.push([logLevel, message, fiber.getRef(References.CurrentLogAnnotations)])
        })
        yield* Effect.gen(function*() {
          const run = yield* engine.open("r", { concurrency: 1 })
          yield* (yield* run.submit(Task, task("log"))).await
        }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger])))
        assert.deepStrictEqual(lines, [["Info", ["from the worker", "{\"n\":1}"], { part: "handler" }]])
      })
    )

    live(
      "is part of the trace of its work, and so are its children",
      Effect.gen(function*() {
        const { engine, task } = yield* laboratory({ isolation })
        const spans: Array<Tracer.Span> = []
        const tracer = Tracer.make({
          span: (options) => {
            const span = new Tracer.NativeSpan(options)
            spans.push(span)
            return span
          }
        })
        yield* Effect.gen(function*() {
          const run = yield* engine.open("r", { concurrency: 1 })
          const seen = yield* (yield* run.submit(Task, task("span"))).await
          const own = spans.find(({ name }) => name === "Task")!
          assert.deepStrictEqual(seen, { traceId: own.traceId, spanId: own.spanId })
          for (const id of ["below", "inside"]) yield* (yield* run.job(Child, id)).await
          const added = (yield* engine.history("r")).flatMap(({ event }) =>
            event._tag === "WorkSucceeded"
              ? event.children
              : event._tag === "StepRecorded"
              ? event.children.map(({ spec }) => spec)
              : []
          )
          assert.strictEqual(added.length, 3)
          const traceparent = `00-${own.traceId}-${own.spanId}-01`
          assert.deepStrictEqual([...new Set(added.map((spec) => spec.traceparent))], [traceparent])
        }).pipe(Effect.scoped, Effect.provideService(Tracer.Tracer, tracer))
      })
    )

    live(
      "is told why it is interrupted when the run is suspended, and goes on when it is opened again",
      Effect.gen(function*() {
        const { engine, lines, task } = yield* laboratory({ isolation })
        yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* engine.open("r", { concurrency: 1 })
          yield* run.submit(Task, task("wait"), { id: "w" })
          yield* progressOf(run, "w")
        }))
        assert.deepStrictEqual(lines(), ["begin", "stopped: suspend"])
        const run = yield* engine.resume("r", { concurrency: 1 })
        yield* progressOf(run, "w")
        assert.strictEqual((yield* run.work("w")).attempt, 1)
        yield* run.cancelWork("w", { actor: "ada", reason: "enough" })
        yield* Effect.exit((yield* run.job(Task, "w")).await)
        assert.deepStrictEqual(lines(), [
          "begin",
          "stopped: suspend",
          "stopped: cancel",
          "cancel wait: enough by ada, launched undefined"
        ])
      })
    )

    live(
      "reads the outcomes of other works, typed",
      Effect.gen(function*() {
        const { engine, task } = yield* laboratory({ isolation })
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* (yield* run.submit(Child, { of: "reading" }, { id: "child" })).await
        yield* Effect.exit((yield* run.submit(Task, task("fail"), { id: "fail" })).await)
        assert.deepStrictEqual(yield* (yield* run.submit(Task, task("read the other"))).await, {
          succeeded: "child of reading",
          failed: "Boom",
          missing: "WorkNotFound",
          isClass: true
        })
      })
    )

    live(
      "is paused at a step's end, and goes on from there",
      Effect.gen(function*() {
        const { engine, lines, task } = yield* laboratory({ isolation })
        const run = yield* engine.open("r", { concurrency: 1 })
        const job = yield* run.submit(Task, task("two steps"), { id: "p" })
        yield* statusWhere(run, ({ running }) => running[0]?.step === "one")
        yield* run.pauseWork("p")
        yield* statusWhere(run, ({ running }) => running.length === 0)
        assert.deepStrictEqual(lines(), ["one"])
        yield* run.resumeWork("p")
        assert.strictEqual(yield* job.await, "done")
        assert.deepStrictEqual(lines(), ["one", "two"])
      })
    )

    live(
      "is alive for its kind while it says so, and stalled when it does not",
      Effect.gen(function*() {
        const { engine } = yield* laboratory({ isolation })
        const run = yield* engine.open("r", { concurrency: 2 })
        const alive = yield* run.submit(Lively, { beats: 12 })
        const still = yield* run.submit(Lively, { beats: 0 })
        assert.match(yield* messageOf(still), /gave no sign of life for 1500 ms/)
        assert.strictEqual(yield* alive.await, "alive")
      })
    )

    live(
      "cannot spawn works when it is cleaned up, as in the host",
      Effect.gen(function*() {
        const { engine, task } = yield* laboratory({ isolation })
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Task, task("spawn in onCancel"), { id: "c" })
        yield* progressOf(run, "c")
        yield* run.cancelWork("c")
        const { backgroundErrors } = yield* statusWhere(run, ({ backgroundErrors }) => backgroundErrors.length > 0)
        assert.match(backgroundErrors[0]!, /onCancel cannot spawn works/)
      })
    )

    live(
      "waits its turn for slots, and holds them to the step that it named",
      Effect.gen(function*() {
        const { engine, lines, task } = yield* laboratory({ isolation })
        const run = yield* engine.open("r", { concurrency: 2, pools: { bench: 1 } })
        const jobs = yield* Effect.forEach(["a", "b"], (id) => run.submit(Task, task("hold"), { id }))
        yield* Effect.forEach(jobs, (job) => job.await)
        const bench = lines().filter((line) => line !== "claims it again")
        assert.deepStrictEqual(bench, ["has the bench", "gives it back", "has the bench", "gives it back"])
      })
    )

    live(
      "that hands over what cannot be sent gets a defect that says what",
      Effect.gen(function*() {
        const { engine, task } = yield* laboratory({ isolation })
        const run = yield* engine.open("r", { concurrency: 1 })
        for (const how of ["progress that cannot be sent", "late progress that cannot be sent"]) {
          const message = yield* messageOf(yield* run.submit(Task, task(how)))
          assert.match(message, /progress cannot be sent from the worker to the host: .*could not be cloned/)
        }
        // The worker is none the worse for it.
        assert.deepStrictEqual(yield* (yield* run.submit(Task, task("succeed"))).await, { year: 1970, pool: true })
      })
    )
  })

  describe(`a pool of workers, each a ${isolation},`, () => {
    live(
      "starts workers when they are needed, and uses them again",
      Effect.gen(function*() {
        const started: Array<unknown> = []
        const onWorker = (worker: unknown) => void started.push(worker)
        process.on("worker", onWorker)
        yield* Effect.addFinalizer(() => Effect.sync(() => process.off("worker", onWorker)))
        const { engine, task } = yield* laboratory({ isolation, size: 3 })
        const run = yield* engine.open("r", { concurrency: 3 })
        assert.strictEqual(started.length, 0)
        const pids = new Set<unknown>()
        for (let n = 0; n < 4; n++) pids.add(yield* (yield* run.submit(Task, task("where"))).await)
        assert.strictEqual(pids.size, 1)
        assert.strictEqual(started.length, isolation === "thread" ? 1 : 0)
        assert.strictEqual(pids.has(process.pid), isolation === "thread")
      })
    )

    live(
      "bounds its kinds by its size, so that what waits for a worker is queued and its time-out does not count",
      Effect.gen(function*() {
        const { engine, task } = yield* laboratory({ isolation, size: 2 })
        const run = yield* engine.open("r", { concurrency: 5 })
        for (const id of ["a", "b", "c", "d"]) yield* run.submit(Task, task("wait"), { id })
        for (const id of ["a", "b"]) yield* progressOf(run, id)
        const { concurrency, kinds, waiting } = yield* run.status
        assert.strictEqual(concurrency.used, 2)
        assert.deepStrictEqual(waiting.map(({ count, reason }) => [count, reason]), [
          [2, { _tag: "KindLimit", kind: "Task", limit: 2 }]
        ])
        assert.strictEqual((yield* run.work("c")).attempt, 0)
        // A kind's own limit holds where it is the lower one.
        assert.deepStrictEqual([kinds["Task"]?.limit, kinds["Frail"]?.limit], [2, 1])
        yield* run.cancelWork("a")
        yield* progressOf(run, "c")
        assert.strictEqual((yield* run.status).running.length, 2)
      })
    )

    live(
      "takes the more urgent of those that wait for a worker",
      Effect.gen(function*() {
        const { engine, lines, task } = yield* laboratory({ isolation, size: 1 })
        const run = yield* engine.open("r", { concurrency: 5 })
        yield* run.submit(Task, task("wait"), { id: "first", priority: -9 })
        yield* progressOf(run, "first")
        const jobs = yield* Effect.forEach(
          [5, -5, 0, -5],
          (priority, index) => run.submit(Task, task("note"), { id: `${index} of priority ${priority}`, priority })
        )
        yield* run.cancelWork("first")
        yield* Effect.forEach(jobs, (job) => job.await)
        assert.deepStrictEqual(lines().filter((line) => line.includes("of priority")), [
          "1 of priority -5",
          "3 of priority -5",
          "2 of priority 0",
          "0 of priority 5"
        ])
      })
    )

    live(
      "lets its workers close their layers, and leaves none behind",
      Effect.gen(function*() {
        const closed = join(yield* directory, "closed")
        const workers: Array<{ readonly threadId: number }> = []
        const onWorker = (worker: { readonly threadId: number }) => void workers.push(worker)
        process.on("worker", onWorker)
        yield* Effect.addFinalizer(() => Effect.sync(() => process.off("worker", onWorker)))
        process.env["ESPALIER_TEST_CLOSED"] = closed
        yield* Effect.addFinalizer(() => Effect.sync(() => delete process.env["ESPALIER_TEST_CLOSED"]))
        const pids = yield* Effect.scoped(Effect.gen(function*() {
          const { engine, task } = yield* laboratory({ isolation, size: 2 })
          const run = yield* engine.open("r", { concurrency: 2 })
          // Both at once, so that there are two workers.
          const waiting = yield* Effect.forkChild(
            Effect.exit((yield* run.submit(Task, task("wait"), { id: "w" })).await)
          )
          const { data } = yield* progressOf(run, "w")
          const other = yield* (yield* run.submit(Task, task("where"))).await
          yield* run.cancelWork("w")
          yield* Fiber.join(waiting)
          return [data, other] as ReadonlyArray<number>
        }))
        assert.deepStrictEqual([...linesOf(closed)].sort(), pids.map((pid) => `closed ${pid}`).sort())
        if (isolation === "thread") assert.deepStrictEqual(workers.map(({ threadId }) => threadId), [-1, -1])
        else for (const pid of pids) assert.throws(() => process.kill(pid, 0), /ESRCH/)
      })
    )
  })
}
