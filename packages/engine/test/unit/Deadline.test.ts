import { RunError } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { at, expired, shakes, Shaky } from "./expiry.ts"
import { laboratory, quiet, spec, Task, until } from "./laboratory.ts"

describe("a deadline", () => {
  it.effect("skips a work that is queued when it comes, and what comes after it", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.add([spec("busy"), spec("late", { deadline: 1_000 }), spec("next", { after: ["late"] })])
      yield* stage.arrived("busy")
      yield* TestClock.adjust(999)
      assert.strictEqual((yield* run.work("late")).state, "queued")
      yield* TestClock.adjust(1)
      yield* quiet
      assert.deepStrictEqual((yield* run.work("late")).outcome, expired("deadline", 1_000))
      assert.strictEqual((yield* run.work("next")).state, "skipped")
      assert.deepStrictEqual(stage.started, ["busy"])
    }))

  it.effect("skips a work that waits for another, for a time, or because it is paused", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([
        spec("busy"),
        spec("after", { after: ["busy"], deadline: 1_000 }),
        spec("later", { notBefore: 5_000, deadline: 1_000 })
      ])
      yield* run.pause({ kind: "Task" })
      yield* run.add([spec("paused", { deadline: 1_000 })])
      yield* run.pauseWork("paused")
      yield* TestClock.adjust(1_000)
      yield* quiet
      for (const id of ["after", "later", "paused"]) {
        assert.deepStrictEqual((yield* run.work(id)).outcome, expired("deadline", 1_000), id)
      }
    }))

  it.effect("runs while the run is paused", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.pause()
      yield* run.add([spec("x", { deadline: 1_000 })])
      yield* TestClock.adjust(1_000)
      yield* quiet
      assert.deepStrictEqual((yield* run.work("x")).outcome, expired("deadline", 1_000))
    }))

  it.effect("interrupts a running handler, which fails as Expired and is told why, without a retry", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* shakes
      const run = yield* engine.open("r", { concurrency: 9 })
      const job = yield* run.submit(Shaky, { name: "x" }, { id: "x", deadline: at(5_000) })
      yield* stage.arrived("x")
      yield* TestClock.adjust(5_000)
      const error = yield* Effect.flip(job.await)
      assert.instanceOf(error, RunError.WorkStopped)
      assert.deepStrictEqual(error.reason, { _tag: "Expired", deadline: 5_000 })
      assert.deepStrictEqual(stage.started, ["x"])
      assert.strictEqual(stage.alive.size, 0)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(stage.started, ["x"])
    }))

  it.effect("between two tries fails the work: it had begun, so it is not skipped", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* shakes
      const run = yield* engine.open("r", { concurrency: 9 })
      const job = yield* run.submit(Shaky, { name: "x" }, { id: "x", deadline: at(5_000) })
      yield* stage.arrived("x")
      yield* stage.fail("x")
      yield* until(run, (status) => status.counts.waiting === 1)
      yield* TestClock.adjust(5_000)
      const error = yield* Effect.flip(job.await)
      assert.instanceOf(error, RunError.WorkStopped)
      assert.deepStrictEqual(error.reason, { _tag: "Expired", deadline: 5_000 })
      assert.strictEqual((yield* run.work("x")).state, "failed")
    }))

  it.effect("of a work taken up after a suspend fails it, and it does not run", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9 })
        yield* run.add([spec("x", { deadline: 5_000 }), spec("queued", { deadline: 5_000 })])
        yield* stage.arrived("x")
      }))
      yield* TestClock.adjust("1 hour")
      const run = yield* engine.open("r", { concurrency: 1, keepOpen: false })
      const { counts } = yield* run.await
      assert.deepStrictEqual([counts.failed, counts.succeeded], [2, 0])
      assert.strictEqual(stage.started.length, 2)
    }))

  it.effect("that came before the work was added skips it at once", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      yield* TestClock.setTime(5_000)
      const run = yield* engine.open("r", { concurrency: 9 })
      const job = yield* run.submit(Task, { name: "quick" }, { deadline: at(4_000) })
      const error = yield* Effect.flip(job.await)
      assert.instanceOf(error, RunError.WorkStopped)
      assert.strictEqual(error.reason._tag, "Skipped")
      assert.deepStrictEqual(stage.started, [])
    }))

  it.effect("before notBefore skips the work when it comes, without waiting for the other", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("x", { notBefore: 10_000, deadline: 5_000 })])
      yield* TestClock.adjust(5_000)
      yield* quiet
      assert.deepStrictEqual((yield* run.work("x")).outcome, expired("deadline", 5_000))
    }))

  it.effect("that comes while the work is being cancelled does not change its end", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("x", { deadline: 5_000 })])
      yield* stage.arrived("x")
      yield* TestClock.adjust(4_999)
      yield* run.cancelWork("x")
      yield* TestClock.adjust(1)
      yield* until(run, ({ counts }) => counts.cancelled === 1)
    }))

  it.effect("does not keep a run from being completed: it is forgotten with its work", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.start("r", {
        concurrency: 9,
        works: [spec("quick", { deadline: 5_000 }), spec("late", { notBefore: 9_000, deadline: 5_000 })]
      })
      yield* TestClock.adjust(5_000)
      const { counts, finishedAt } = yield* run.await
      assert.deepStrictEqual([counts.succeeded, counts.skipped, finishedAt], [1, 1, 5_000])
    }))

  it.effect("does not end the attempt of a work that is retried by name after it", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("x", { deadline: 1_000 })])
      yield* stage.arrived("x")
      yield* TestClock.adjust(1_000)
      yield* until(run, ({ counts }) => counts.failed === 1)
      yield* run.retry("x")
      yield* until(run, ({ counts }) => counts.running === 1)
      yield* TestClock.adjust("1 hour")
      yield* quiet
      assert.strictEqual((yield* run.work("x")).state, "running")
      yield* stage.succeed("x")
      assert.strictEqual(yield* (yield* run.job(Task, "x")).await, "x done")
    }))

  it.effect("does not touch a work that has settled in time", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* (yield* run.submit(Task, { name: "quick" }, { id: "x", deadline: at(5_000) })).await
      yield* TestClock.adjust("1 hour")
      yield* quiet
      assert.strictEqual((yield* run.work("x")).state, "succeeded")
    }))

  it.effect("does not count any more for a work that is retried by name", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.add([spec("busy"), spec("quick", { deadline: 1_000 })])
      yield* TestClock.adjust(1_000)
      yield* quiet
      assert.strictEqual((yield* run.work("quick")).state, "skipped")
      yield* run.retry("quick")
      yield* TestClock.adjust("1 hour")
      yield* stage.succeed("busy")
      assert.strictEqual(yield* (yield* run.job(Task, "quick")).await, "quick done")
    }))
})
