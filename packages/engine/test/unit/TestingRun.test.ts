import { Journal, Slots, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { TestRun } from "@espalier/engine/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Schedule, Schema } from "effect"

class Boom extends Schema.TaggedError<Boom>()("Boom", { why: Schema.String }) {}

class Task extends WorkKind.make("Task", {
  payload: { millis: Schema.Int },
  success: Schema.Int,
  error: Boom,
  retry: Schedule.spaced("1 hour")
}) {}

class Jobs extends WorkEngine.Service<Jobs>()("test/TestingRun", { kinds: [Task] }) {}

type Handler = (payload: { readonly millis: number }) => Effect.Effect<number, Boom, never>

const handled = (handler: Handler) =>
  Effect.provide(
    Jobs.layer.pipe(Layer.provide([Task.toLayer(handler), Journal.layerMemory]))
  )

const sleeping = handled(({ millis }) => Effect.as(Effect.sleep(millis), millis))

describe("a run under the test clock", () => {
  it.effect("moves time from each thing that is to happen to the next, and no further", () =>
    Effect.gen(function*() {
      const run = yield* TestRun.open(Jobs, "r", { concurrency: 1 })
      for (const millis of [300, 20, 4]) yield* run.submit(Task, { millis })
      const status = yield* run.settle()
      assert.strictEqual(status.at, 324)
      assert.strictEqual(status.counts.succeeded, 3)
    }).pipe(sleeping))

  it.effect("is idle when nothing is left to do without time passing", () => {
    const begun: Array<number> = []
    return Effect.gen(function*() {
      const run = yield* TestRun.open(Jobs, "r", { concurrency: 2 })
      for (const millis of [5, 6, 7]) yield* run.submit(Task, { millis })
      yield* run.idle
      assert.deepStrictEqual(begun, [5, 6])
      yield* run.advance("5 millis")
      assert.deepStrictEqual(begun, [5, 6, 7])
    }).pipe(
      handled(({ millis }) =>
        Effect.andThen(Effect.sync(() => void begun.push(millis)), Effect.as(Effect.sleep(millis), millis))
      )
    )
  })

  it.effect("waits for a state of a work, through what comes before it", () =>
    Effect.gen(function*() {
      const run = yield* TestRun.open(Jobs, "r", { concurrency: 1 })
      yield* run.submit(Task, { millis: 1_000 }, { id: "long" })
      yield* run.submit(Task, { millis: 50 }, { id: "short" })
      const running = yield* run.untilWork("short", "running")
      assert.strictEqual(running.attempt, 1)
      const { at } = yield* run.status
      assert.strictEqual(at, 1_000)
      yield* run.untilWork("short", ["failed", "succeeded"])
    }).pipe(sleeping))

  it.effect("waits for a state of the run", () =>
    Effect.gen(function*() {
      const run = yield* TestRun.open(Jobs, "r", { concurrency: 1 })
      yield* run.submit(Task, { millis: 10 })
      yield* run.pause()
      assert.strictEqual((yield* run.status).state, "pausing")
      assert.strictEqual((yield* run.untilState("paused")).at, 10)
      yield* run.close
      assert.strictEqual((yield* run.atRest).state, "completed")
    }).pipe(sleeping))

  it.effect("says what a paused run waits for, instead of waiting for ever", () =>
    Effect.gen(function*() {
      const run = yield* TestRun.open(Jobs, "r", { concurrency: 1 })
      yield* run.pause()
      yield* run.submit(Task, { millis: 10 })
      yield* run.submit(Task, { millis: 10 })
      const stuck = yield* Effect.flip(run.settle())
      assert.instanceOf(stuck, TestRun.RunStuck)
      assert.match(
        stuck.message,
        /does not come to its end: after 0 ms nothing is left.*\n- 2 Task waiting: the run is paused/
      )
    }).pipe(sleeping))

  it.effect("names a handler that waits for something that time does not bring, and its step", () => {
    const gate = Deferred.makeUnsafe<void>()
    return Effect.gen(function*() {
      const run = yield* TestRun.open(Jobs, "r", { concurrency: 1 })
      yield* run.submit(Task, { millis: 0 }, { id: "a" })
      const stuck = yield* Effect.flip(run.untilWork("a", "succeeded"))
      assert.match(stuck.message, /does not come to have "a" succeeded/)
      assert.match(stuck.message, /- Task "a" is running \(ask\) and waits for something that is not a matter of time/)
      yield* Deferred.succeed(gate, undefined)
      yield* run.untilWork("a", "succeeded")
    }).pipe(handled(() => Step.run("ask", Schema.Int, Effect.as(Deferred.await(gate), 1)) as Effect.Effect<number>))
  })

  it.effect("names a claim that is waited for", () =>
    Effect.gen(function*() {
      const run = yield* TestRun.open(Jobs, "r", { concurrency: 2, pools: { bench: 1 } })
      for (const id of ["a", "b"]) yield* run.submit(Task, { millis: 0 }, { id })
      const stuck = yield* Effect.flip(run.settle())
      assert.match(stuck.message, /- Task "b" waits for its claim "bench": bench: needs 1, 0 free/)
    }).pipe(handled(() => Effect.andThen(Slots.hold("bench", { bench: 1 }), Effect.never) as Effect.Effect<never>)))

  it.effect("stops at the time that the test allows, and says when the next thing would happen", () =>
    Effect.gen(function*() {
      const run = yield* TestRun.open(Jobs, "r", { concurrency: 1 })
      yield* run.submit(Task, { millis: 5_000 })
      const stuck = yield* Effect.flip(run.settle({ within: "1 second" }))
      assert.match(stuck.message, /the next thing would happen in 5000 ms, after more than the test allows/)
      assert.strictEqual((yield* run.settle()).at, 5_000)
    }).pipe(sleeping))

  it.effect("tells the tags of the events so far, of one work or of all, and the events themselves", () =>
    Effect.gen(function*() {
      const run = yield* TestRun.open(Jobs, "r", { concurrency: 1 })
      assert.deepStrictEqual(yield* run.tags(), ["RunStarted"])
      yield* run.submit(Task, { millis: 1 }, { id: "a" })
      yield* run.submit(Task, { millis: 1 }, { id: "b" })
      yield* run.settle()
      assert.deepStrictEqual(yield* run.tags({ id: "a" }), ["WorkAdded", "WorkStarted", "WorkSucceeded"])
      const history = yield* run.history
      assert.deepStrictEqual(history.map(({ seq }) => seq), [1, 2, 3, 4, 5, 6, 7])
    }).pipe(sleeping))

  it.effect("tells how a work ended, typed", () =>
    Effect.gen(function*() {
      const run = yield* TestRun.open(Jobs, "r", { concurrency: 1 })
      yield* run.submit(Task, { millis: 3 }, { id: "a" })
      assert.deepStrictEqual(yield* run.outcome(Task, "a"), Exit.succeed(3))
    }).pipe(sleeping))

  it.effect("closes with the time that handlers need to end", () => {
    const ended: Array<string> = []
    return Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* TestRun.open(Jobs, "r", { concurrency: 1 })
        yield* run.submit(Task, { millis: 0 })
        yield* run.idle
      }))
      assert.deepStrictEqual(ended, ["finalizer"])
    }).pipe(
      handled(() =>
        Effect.ensuring(
          Effect.never,
          Effect.andThen(Effect.sleep("10 seconds"), Effect.sync(() => void ended.push("finalizer")))
        )
      )
    )
  })

  it.live("says that it needs the test clock", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(TestRun.open(Jobs, "r", { concurrency: 1 })))
      assert.match(String(Exit.isFailure(exit) && exit.cause), /needs? virtual time|drives virtual time/)
    }).pipe(sleeping))
})
