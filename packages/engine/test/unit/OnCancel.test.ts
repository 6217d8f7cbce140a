import { CurrentWork } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { by, cancelled, clinic, Clinics, Remote } from "./clinic.ts"
import { engineOf, mortalJournal, quiet, spec, Stage, Task, until } from "./laboratory.ts"

describe("onCancel", () => {
  it.effect("runs for a work that waits for its retry, and for one that a suspend had interrupted", () =>
    Effect.gen(function*() {
      const { engine, stage, undone } = yield* clinic
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9 })
        yield* run.add([spec("a", { kind: "Remote" }), spec("b", { kind: "Remote" })])
        yield* stage.arrived("b")
        yield* stage.fail("a")
        yield* until(run, ({ counts }) => counts.waiting === 1)
        yield* run.cancelWork("a", by)
        yield* until(run, ({ counts }) => counts.cancelled === 1)
        // Another retry waits, and a suspend comes.
      }))
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      yield* run.cancelWork("b", by)
      yield* until(run, ({ counts }) => counts.cancelled === 2)
      assert.deepStrictEqual(undone, ["a job of a ada enough", "b job of b ada enough"])
    }))

  it.effect("that fails is tried again after longer and longer times, is shown, and holds the work open", () =>
    Effect.gen(function*() {
      const { engine, how, stage, undone } = yield* clinic
      how.fail = 3
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Remote, { name: "a" }, { id: "a" })
      yield* stage.arrived("a")
      yield* run.cancelWork("a")
      const status = yield* until(run, ({ backgroundErrors }) => backgroundErrors.length > 0)
      assert.match(status.backgroundErrors.join(), /"a".*does not answer/)
      assert.strictEqual(status.counts.cleaning, 1)
      yield* TestClock.adjust("1 second")
      yield* quiet
      assert.strictEqual(undone.length, 2)
      yield* TestClock.adjust("2 seconds")
      yield* quiet
      assert.strictEqual(undone.length, 3)
      yield* TestClock.adjust("4 seconds")
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      assert.strictEqual(undone.length, 4)
    }))

  it.effect("goes on after a restart that comes in the middle of it", () =>
    Effect.gen(function*() {
      const { engine, how, stage, undone } = yield* clinic
      how.wait = yield* Deferred.make<void>()
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Remote, { name: "a" }, { id: "a" })
        yield* stage.arrived("a")
        yield* run.cancelWork("a", by)
        yield* until(run, ({ counts }) => counts.cleaning === 1)
        yield* quiet
      }))
      yield* Deferred.succeed(how.wait, undefined)
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      assert.strictEqual(undone.length, 2)
      assert.deepStrictEqual((yield* run.work("a")).outcome, cancelled)
    }))

  it.effect("is due for a work that died while it was cancelling", () =>
    Effect.gen(function*() {
      const { engine, stage, state, undone } = yield* clinic
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Remote, { name: "a" }, { id: "a" })
        yield* stage.arrived("a")
        yield* Effect.forkChild(run.cancelWork("a", by))
        yield* Effect.yieldNow
        state.dead = true
        yield* quiet
      }))
      state.dead = false
      const before = undone.length
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* quiet
      const { counts } = yield* run.status
      if (counts.cancelled === 1) assert.isTrue(undone.length > 0)
      // The cancel was not recorded: then the work is there, and runs.
      else assert.deepStrictEqual([counts.running, before], [1, 0])
    }))

  it.effect("that the present program does not declare any more is over when the run is opened", () =>
    Effect.gen(function*() {
      const { engine, how, stage, without } = yield* clinic
      how.wait = yield* Deferred.make<void>()
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Remote, { name: "a" }, { id: "a" })
        yield* stage.arrived("a")
        yield* run.cancelWork("a", by)
        yield* until(run, ({ counts }) => counts.cleaning === 1)
      }))
      const run = yield* without.open("r", { concurrency: 1 })
      assert.strictEqual((yield* run.work("a")).state, "cancelled")
    }))

  it.effect("that never ends does not hang a suspend, nor the close of the run", () =>
    Effect.gen(function*() {
      const { engine, how, stage, undone } = yield* clinic
      how.wait = yield* Deferred.make<void>()
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Remote, { name: "a" }, { id: "a" })
        yield* stage.arrived("a")
        yield* run.cancelWork("a")
        yield* until(run, ({ counts }) => counts.cleaning === 1)
        yield* quiet
        yield* run.suspend()
        assert.strictEqual((yield* run.await).state, "suspended")
      }))
      assert.strictEqual(undone.length, 1)
      assert.strictEqual((yield* engine.inspect("r")).counts.cleaning, 1)
    }))

  it.effect("that dies, or throws before it is an effect, is tried again like one that fails", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const stage = new Stage()
      let tries = 0
      const engine = yield* engineOf(
        Clinics,
        Layer.mergeAll(
          Remote.toLayer(stage.handler, {
            onCancel: () => {
              tries += 1
              if (tries === 1) throw new Error("thrown")
              return tries === 2 ? Effect.die(new Error("died")) : Effect.void
            }
          }),
          Task.toLayer(stage.handler)
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Remote, { name: "a" }, { id: "a" })
      yield* stage.arrived("a")
      yield* run.cancelWork("a")
      yield* quiet
      yield* TestClock.adjust("1 minute")
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      assert.strictEqual(tries, 3)
    }))

  it.effect("may use steps of its own, and what it recorded is not done again", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const stage = new Stage()
      const did: Array<string> = []
      const engine = yield* engineOf(
        Clinics,
        Layer.mergeAll(
          Remote.toLayer(stage.handler, {
            onCancel: () =>
              Effect.flatMap(CurrentWork.CurrentWork, (work) =>
                Effect.sync(() => did.push(`${work.spec.id} ${work.idempotencyKey("stop")}`)))
          }),
          Task.toLayer(stage.handler)
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Remote, { name: "a" }, { id: "a" })
      yield* stage.arrived("a")
      yield* run.cancelWork("a")
      yield* until(run, ({ counts }) =>
        counts.cancelled === 1)
      assert.deepStrictEqual(did, ["a r/a/0/stop"])
    }))

  it.effect("does not run for a work that had settled", () =>
    Effect.gen(function*() {
      const { engine, undone } = yield* clinic
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* (yield* run.submit(Remote, { name: "quick" }, { id: "a" })).await
      yield* run.cancel()
      assert.deepStrictEqual([undone, (yield* run.status).state], [[], "cancelled"])
    }))

  it.effect("is due for a work that was retried by name and then cancelled before it began again", () =>
    Effect.gen(function*() {
      const { engine, stage, undone } = yield* clinic
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* (yield* run.submit(Remote, { name: "quick" }, { id: "a" })).await
      yield* run.add([spec("busy")])
      yield* stage.arrived("busy")
      yield* run.retry("a")
      yield* run.cancelWork("a")
      // It had begun, in its earlier generation, whose steps are dropped.
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      assert.deepStrictEqual(undone, ["quick undefined user asked"])
    }))
})
