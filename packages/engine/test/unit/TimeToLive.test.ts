import { RunError } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { expired, shakes, Shaky } from "./expiry.ts"
import { laboratory, quiet, spec, Task, until } from "./laboratory.ts"

describe("a time to live", () => {
  it.effect("skips a work that has lain in the queue too long, and names the reason", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Task, { name: "busy" })
      const job = yield* run.submit(Task, { name: "late" }, { id: "late", timeToLive: "1 second" })
      yield* stage.arrived("busy")
      yield* TestClock.adjust(1_000)
      assert.match((yield* Effect.flip(job.await)).message, /time to live/)
      assert.deepStrictEqual((yield* run.work("late")).outcome, expired("timeToLive", 1_000))
    }))

  it.effect("counts through a pause of the run", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      yield* run.add([spec("x", { timeToLiveMillis: 1_000 })])
      yield* TestClock.adjust(1_000)
      yield* quiet
      assert.deepStrictEqual((yield* run.work("x")).outcome, expired("timeToLive", 1_000))
    }))

  it.effect("counts through a pause of the work alone", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      yield* run.add([spec("x", { timeToLiveMillis: 1_000 })])
      yield* run.pauseWork("x")
      yield* run.resume()
      yield* TestClock.adjust(1_000)
      yield* quiet
      assert.deepStrictEqual((yield* run.work("x")).outcome, expired("timeToLive", 1_000))
    }))

  it.effect("counts from notBefore, and from the end of what it comes after", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.add([
        spec("busy"),
        spec("timed", { notBefore: 5_000, timeToLiveMillis: 1_000 }),
        spec("after", { after: ["busy"], timeToLiveMillis: 1_000 })
      ])
      yield* TestClock.adjust(5_999)
      yield* quiet
      assert.strictEqual((yield* run.work("timed")).state, "queued")
      yield* TestClock.adjust(1)
      yield* quiet
      assert.deepStrictEqual((yield* run.work("timed")).outcome, expired("timeToLive", 6_000))
      assert.strictEqual((yield* run.work("after")).state, "waiting")
      yield* run.add([spec("hog", { priority: -1 })])
      yield* stage.succeed("busy")
      yield* until(run, (status) => status.counts.succeeded === 1)
      yield* TestClock.adjust(999)
      assert.strictEqual((yield* run.work("after")).state, "queued")
      yield* TestClock.adjust(1)
      yield* quiet
      assert.deepStrictEqual((yield* run.work("after")).outcome, expired("timeToLive", 7_000))
    }))

  it.effect("of the kind holds where the spec says none, and does not count after the first start", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* shakes
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Shaky, { name: "x" }, { id: "x" })
      const late = yield* run.submit(Shaky, { name: "late" }, { id: "late" })
      const patient = yield* run.submit(Shaky, { name: "quick" }, { timeToLive: "1 hour" })
      yield* stage.arrived("x")
      yield* TestClock.adjust("30 seconds")
      assert.match((yield* Effect.flip(late.await)).message, /time to live/)
      yield* TestClock.adjust("10 minutes")
      yield* stage.succeed("x")
      assert.strictEqual(yield* job.await, "x done")
      assert.strictEqual(yield* patient.await, "quick done")
    }))

  it.effect("does not skip a work that was interrupted by a suspend and waits to be taken up", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* shakes
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Shaky, { name: "x" }, { id: "x" })
        yield* stage.arrived("x")
      }))
      yield* TestClock.adjust("1 hour")
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* stage.succeed("x")
      assert.strictEqual(yield* (yield* run.job(Shaky, "x")).await, "x done")
    }))

  it.effect("runs while nobody has the run open", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.pause()
        yield* run.add([spec("x", { timeToLiveMillis: 1_000 })])
      }))
      yield* TestClock.adjust("1 hour")
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.resume()
      yield* quiet
      assert.strictEqual((yield* run.work("x")).state, "skipped")
      assert.deepStrictEqual(stage.started, [])
    }))

  it.effect("of zero is refused: such a work could never start", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      const submitted = yield* Effect.flip(run.submit(Task, { name: "x" }, { timeToLive: 0 }))
      assert.instanceOf(submitted, RunError.InvalidWork)
      assert.strictEqual(submitted.field, "timeToLive")
      const added = yield* Effect.flip(run.add([spec("x", { timeToLiveMillis: 0 })]))
      assert.instanceOf(added, RunError.InvalidWork)
      assert.strictEqual(added.field, "timeToLiveMillis")
    }))
})
