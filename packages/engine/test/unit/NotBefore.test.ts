import { RunError } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect } from "effect"
import { TestClock } from "effect/testing"
import { laboratory, quiet, spec, Task, until } from "./laboratory.ts"

const at = DateTime.makeUnsafe

describe("notBefore", () => {
  it.effect("keeps a work waiting to the millisecond, and says until when", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      const job = yield* run.submit(Task, { name: "quick" }, { notBefore: at(60_000) })
      assert.deepStrictEqual((yield* run.status).waiting, [
        { kind: "Task", reason: { _tag: "Until", at: 60_000 }, count: 1 }
      ])
      yield* TestClock.adjust(59_999)
      yield* quiet
      assert.deepStrictEqual(stage.started, [])
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* job.await, "quick done")
    }))

  it.effect("in the past is no reason to wait", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      yield* TestClock.setTime(5_000)
      const run = yield* engine.open("r", { concurrency: 9 })
      assert.strictEqual(
        yield* (yield* run.submit(Task, { name: "quick" }, { notBefore: at(5_000) })).await,
        "quick done"
      )
    }))

  it.effect("of many works wakes each at its own time, in the order of time and not of arrival", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.add([3, 1, 2, 5, 4].map((n) => spec(`quick${n}`, { notBefore: n * 1_000 })))
      yield* TestClock.adjust("5 seconds")
      yield* until(run, (status) => status.counts.succeeded === 5)
      assert.deepStrictEqual(stage.started, ["quick1", "quick2", "quick3", "quick4", "quick5"])
    }))

  it.effect("runs on while nobody has the run open", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Task, { name: "quick" }, { id: "quick", notBefore: at(60_000) })
      }))
      yield* TestClock.adjust("1 hour")
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual(yield* (yield* run.job(Task, "quick")).await, "quick done")
      // Lag counts from when it could have started, not from when the process did.
      assert.strictEqual((yield* run.status).lag.lastMillis, 3_540_000)
    }))

  it.effect("and dependencies hold both, whichever comes last", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("a"), spec("quick-b", { after: ["a"], notBefore: 1_000 })])
      yield* TestClock.adjust(2_000)
      yield* quiet
      assert.isFalse(stage.started.includes("quick-b"))
      yield* run.add([spec("quick-c", { after: ["a"], notBefore: 9_000 })])
      yield* stage.succeed("a")
      yield* until(run, (status) => status.counts.succeeded === 2)
      assert.strictEqual((yield* run.work("quick-c")).state, "waiting")
      yield* TestClock.adjust(7_000)
      yield* until(run, (status) => status.counts.succeeded === 3)
    }))

  it.effect("passes while the run is paused, and then the work goes at once when it goes on", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      const job = yield* run.submit(Task, { name: "quick" }, { notBefore: at(1_000) })
      yield* run.pause()
      yield* TestClock.adjust(5_000)
      assert.strictEqual((yield* run.status).counts.queued, 1)
      assert.deepStrictEqual(stage.started, [])
      yield* run.resume()
      assert.strictEqual(yield* job.await, "quick done")
    }))

  it.effect("far away, further than a timer of the host reaches, does not start at once", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      const days = 40 * 86_400_000
      const job = yield* run.submit(Task, { name: "quick" }, { notBefore: at(days) })
      yield* TestClock.adjust(days - 1)
      yield* quiet
      assert.deepStrictEqual(stage.started, [])
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* job.await, "quick done")
    }))
})

describe("bad times", () => {
  it.effect("that are no numbers are refused with their field", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      const fields: Array<string> = []
      for (
        const bad of [
          { notBefore: Number.NaN },
          { notBefore: Infinity },
          { deadline: Number.NaN },
          { timeToLiveMillis: -1 },
          { timeToLiveMillis: Infinity }
        ]
      ) {
        const error = yield* Effect.flip(run.add([spec("x", bad)]))
        assert.instanceOf(error, RunError.InvalidWork)
        fields.push(error.field)
      }
      assert.deepStrictEqual(fields, ["notBefore", "notBefore", "deadline", "timeToLiveMillis", "timeToLiveMillis"])
    }))

  it.effect("of a submit are refused in the words of the submit", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      const error = yield* Effect.flip(run.submit(Task, { name: "quick-odd" }, { timeToLive: "Infinity" }))
      assert.instanceOf(error, RunError.InvalidWork)
      assert.deepStrictEqual([error.field, error.value], ["timeToLive", "Infinity"])
      assert.strictEqual(yield* (yield* run.submit(Task, { name: "quick" })).await, "quick done")
    }))
})
