import { CurrentWork, Progress, RunError, Slots, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Boom, engineOf, mortalJournal, quiet, until } from "./laboratory.ts"

type Script = (
  work: CurrentWork.CurrentWork["Service"]
) => Effect.Effect<string, Boom, CurrentWork.CurrentWork>

const payload = { name: Schema.String }
const success = Schema.String

class Timed extends WorkKind.make("Timed", {
  payload,
  success,
  error: Boom,
  timeout: "10 seconds",
  retry: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 1 }))
}) {}
class Strict extends WorkKind.make("Strict", {
  payload,
  success,
  error: Boom,
  timeout: "10 seconds",
  stallAfter: "5 seconds",
  retry: Schedule.recurs(5),
  retryIf: (failure) => failure._tag === "Boom"
}) {}
class Lively extends WorkKind.make("Lively", { payload, success, error: Boom, stallAfter: "10 seconds" }) {}
class Clocks extends WorkEngine.Service<Clocks>()("test/unit/Clocks", { kinds: [Timed, Strict, Lively] }) {}

const clocks = Effect.fnUntraced(function*(script: Script) {
  const { layer, state } = yield* mortalJournal
  const handler = () => Effect.flatMap(CurrentWork.CurrentWork, script)
  const handlers = Layer.mergeAll(Timed.toLayer(handler), Strict.toLayer(handler), Lively.toLayer(handler))
  return { engine: yield* engineOf(Clocks, handlers, layer), state }
})

const reasonOf = (error: unknown): RunError.EndReason => {
  assert.instanceOf(error, RunError.WorkStopped)
  return (error as RunError.WorkStopped).reason
}

describe("a time-out", () => {
  it.effect("interrupts the handler to the millisecond, tells it why, and is retried as the schedule says", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const { engine } = yield* clocks((work) =>
        Effect.onInterrupt(
          Effect.never,
          () => Effect.map(work.stopReason, (reason) => told.push(`${work.attempt} ${reason}`))
        )
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Timed, { name: "x" }, { id: "x" })
      yield* TestClock.adjust(9_999)
      yield* quiet
      assert.deepStrictEqual(told, [])
      yield* TestClock.adjust(1)
      yield* until(run, (status) => status.counts.waiting === 1)
      yield* TestClock.adjust("11 seconds")
      assert.deepStrictEqual(reasonOf(yield* Effect.flip(job.await)), { _tag: "TimedOut", afterMillis: 10_000 })
      assert.deepStrictEqual(told, ["1 timeout", "2 timeout"])
      const { failures } = yield* run.work("x")
      assert.deepStrictEqual(failures.map(({ failure }) => failure._tag), ["TimedOut", "TimedOut"])
    }))

  it.effect("is a failure that retryIf may refuse", () =>
    Effect.gen(function*() {
      let tries = 0
      const { engine } = yield* clocks(() =>
        Effect.suspend(() => {
          tries += 1
          return Effect.forever(Effect.andThen(Effect.sleep(1_000), Progress.heartbeat))
        })
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Strict, { name: "x" })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(reasonOf(yield* Effect.flip(job.await))._tag, "TimedOut")
      assert.strictEqual(tries, 1)
    }))

  it.effect("that comes with the last millisecond of the work does not spoil what had succeeded before", () =>
    Effect.gen(function*() {
      const { engine } = yield* clocks(() => Effect.as(Effect.sleep(9_999), "done"))
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Timed, { name: "x" })
      yield* TestClock.adjust(9_999)
      assert.strictEqual(yield* job.await, "done")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* job.await, "done")
    }))

  it.effect("counts the time lived, not the time between two sessions", () =>
    Effect.gen(function*() {
      const { engine } = yield* clocks(() => Effect.never)
      for (let session = 0; session < 2; session++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* engine.open("r", { concurrency: 1 })
          if (session === 0) yield* run.submit(Timed, { name: "x" }, { id: "x" })
          yield* until(run, (status) => status.counts.running === 1)
          yield* TestClock.adjust("4 seconds")
        }))
        yield* TestClock.adjust("1 hour")
      }
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* until(run, (status) => status.counts.running === 1)
      yield* TestClock.adjust(1_999)
      yield* quiet
      assert.strictEqual((yield* run.work("x")).state, "running")
      yield* TestClock.adjust(1)
      yield* until(run, (status) => status.counts.waiting === 1)
    }))

  it.effect("runs on through a pause of the run: a running work goes on, so its time does", () =>
    Effect.gen(function*() {
      const { engine } = yield* clocks(() => Effect.never)
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Timed, { name: "x" }, { id: "x" })
      yield* until(run, (status) => status.counts.running === 1)
      yield* run.pause()
      yield* TestClock.adjust("10 seconds")
      yield* until(run, (status) => status.counts.waiting === 1 && status.state === "paused")
    }))
})

describe("a stall", () => {
  it.effect("is found when there is no sign of life for the time that the kind says", () =>
    Effect.gen(function*() {
      const told: Array<unknown> = []
      const { engine } = yield* clocks((work) =>
        Effect.onInterrupt(Effect.never, () => Effect.map(work.stopReason, (reason) => told.push(reason)))
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Lively, { name: "x" })
      yield* TestClock.adjust(9_999)
      yield* quiet
      assert.deepStrictEqual(told, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(reasonOf(yield* Effect.flip(job.await)), { _tag: "Stalled", afterMillis: 10_000 })
      assert.deepStrictEqual(told, ["stall"])
    }))

  it.effect("is put off by progress, a heartbeat, a step that begins and one that is recorded", () =>
    Effect.gen(function*() {
      const wait = Effect.sleep("9 seconds")
      const { engine } = yield* clocks(Effect.fnUntraced(function*() {
        yield* wait
        yield* Progress.report({ current: 1 })
        yield* wait
        yield* Progress.heartbeat
        yield* wait
        yield* Step.run("one", Schema.Void, wait)
        yield* wait
        const cursor = yield* Step.cursor("rows", Schema.Int, 0)
        yield* cursor.advance(1)
        yield* wait
        return "alive"
      }))
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Lively, { name: "x" })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* job.await, "alive")
    }))

  it.effect("is found after the last sign of life, not only after the first silence", () =>
    Effect.gen(function*() {
      const { engine } = yield* clocks(() =>
        Effect.andThen(
          Effect.repeat(Effect.andThen(Effect.sleep("3 seconds"), Progress.heartbeat), { times: 9 }),
          Effect.never
        )
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Lively, { name: "x" }, { id: "x" })
      yield* TestClock.adjust(39_999)
      yield* quiet
      assert.strictEqual((yield* run.work("x")).state, "running")
      yield* TestClock.adjust(1)
      assert.strictEqual(reasonOf(yield* Effect.flip(job.await))._tag, "Stalled")
    }))

  it.effect("is a failure that retryIf may refuse", () =>
    Effect.gen(function*() {
      const { engine } = yield* clocks(() => Effect.never)
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Strict, { name: "x" })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(reasonOf(yield* Effect.flip(job.await))._tag, "Stalled")
    }))

  it.effect("is not a work that waits for slots: it can do nothing to get them sooner", () =>
    Effect.gen(function*() {
      const { engine } = yield* clocks(({ spec }) =>
        spec.id === "holder"
          ? Effect.andThen(
            Slots.hold("bench", { bench: 1 }),
            Effect.as(
              Effect.repeat(Effect.andThen(Effect.sleep("5 seconds"), Progress.heartbeat), { times: 11 }),
              "held"
            )
          )
          : Step.run("measure", Schema.String, Effect.succeed("measured"), { slots: { bench: 1 } })
      )
      const run = yield* engine.open("r", { concurrency: 9, pools: { bench: 1 } })
      yield* run.submit(Lively, { name: "holder" }, { id: "holder" })
      const job = yield* run.submit(Lively, { name: "x" }, { id: "x" })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* job.await, "measured")
    }))

  it.effect("is not counted over the time in which nobody had the run open", () =>
    Effect.gen(function*() {
      const { engine } = yield* clocks(() => Effect.as(Effect.sleep("8 seconds"), "alive"))
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Lively, { name: "x" }, { id: "x" })
        yield* until(run, (status) => status.counts.running === 1)
      }))
      yield* TestClock.adjust("1 hour")
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual(yield* (yield* run.job(Lively, "x")).await, "alive")
    }))

  it.effect("does not hit the next try for the silence of the one before", () =>
    Effect.gen(function*() {
      const { engine } = yield* clocks(({ attempt }) =>
        attempt === 1
          ? Effect.andThen(Effect.sleep("4 seconds"), Effect.fail(new Boom({ why: "rain" })))
          : Effect.as(Effect.sleep("4 seconds"), "second")
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Strict, { name: "x" })
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual(yield* job.await, "second")
    }))
})
