import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { by, clinic } from "./clinic.ts"
import { laboratory, quiet, spec, until } from "./laboratory.ts"

describe("cancelling a run", () => {
  it.effect("cancels all works with its reason, waits for clean-ups, and takes nothing more", () =>
    Effect.gen(function*() {
      const { engine, stage, undone } = yield* clinic
      const run = yield* engine.open("r", { concurrency: 2 })
      yield* run.add([
        spec("a", { kind: "Remote" }),
        spec("b"),
        spec("queued"),
        spec("timed", { notBefore: 9_000 }),
        spec("after", { after: ["a"] })
      ])
      yield* stage.arrived("b")
      yield* run.cancel(by)
      const status = yield* run.await
      assert.deepStrictEqual([status.state, status.counts.cancelled, status.counts.skipped], ["cancelled", 5, 0])
      assert.deepStrictEqual([status.cause?.actor, status.cause?.reason], ["ada", "enough"])
      assert.deepStrictEqual(undone, ["a job of a ada enough"])
      for (const refused of [run.add([spec("late")]), run.pause(), run.resume(), run.close]) {
        assert.strictEqual((yield* Effect.flip(refused))._tag, "RunNotAccepting")
      }
      yield* run.cancel()
      yield* run.suspend()
    }))

  it.effect("runs an onCancel that needs no time once for each work, running, waiting for a retry or taken up again", () =>
    Effect.gen(function*() {
      const { engine, stage, undone } = yield* clinic
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9 })
        yield* run.add([spec("a", { kind: "Remote" }), spec("b", { kind: "Remote" }), spec("c", { kind: "Remote" })])
        yield* stage.arrived("c")
        yield* stage.fail("a")
        yield* until(run, ({ counts }) => counts.waiting === 1)
      }))
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* until(run, ({ counts }) => counts.running === 1)
      yield* run.cancel()
      yield* run.await
      yield* quiet
      assert.deepStrictEqual(undone.map((line) => line[0]).toSorted(), ["a", "b", "c"])
    }))

  it.effect("while it is paused is at once", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      yield* run.add([spec("a"), spec("b")])
      yield* run.cancel()
      const status = yield* run.status
      assert.deepStrictEqual([status.state, status.counts.cancelled], ["cancelled", 2])
    }))

  it.effect("while it is pausing, or while a handler is in a long sleep, is at once", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.add([spec("a")])
      yield* stage.arrived("a")
      yield* run.pause()
      assert.strictEqual((yield* run.status).state, "pausing")
      yield* run.cancel()
      assert.strictEqual((yield* run.await).state, "cancelled")
    }))

  it.effect("that is suspended, or completed, is as the table says", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.add([spec("a")])
      yield* stage.arrived("a")
      yield* run.suspend()
      yield* run.await
      yield* run.cancel()
      assert.strictEqual((yield* run.await).state, "cancelled")
      const other = yield* engine.start("s", { concurrency: 1, works: [spec("quick")] })
      yield* other.await
      assert.strictEqual((yield* Effect.flip(other.cancel()))._tag, "RunNotAccepting")
    }))

  it.effect("goes on in the next session when its scope closes in the middle", () =>
    Effect.gen(function*() {
      const { engine, how, stage, undone } = yield* clinic
      how.wait = yield* Deferred.make<void>()
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.add([spec("a", { kind: "Remote" })])
        yield* stage.arrived("a")
        yield* run.cancel(by)
        yield* quiet
        assert.strictEqual((yield* run.status).state, "cancelling")
      }))
      assert.strictEqual((yield* engine.inspect("r")).state, "cancelling")
      yield* Deferred.succeed(how.wait, undefined)
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual((yield* run.await).state, "cancelled")
      assert.strictEqual(undone.length, 2)
    }))

  it.effect("stays cancelled when it is opened again", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      yield* Effect.scoped(Effect.flatMap(engine.open("r", { concurrency: 1 }), (run) => run.cancel(by)))
      const run = yield* engine.open("r", { concurrency: 1 })
      const status = yield* run.status
      assert.deepStrictEqual([status.state, status.cause?.actor], ["cancelled", "ada"])
      assert.strictEqual((yield* Effect.flip(run.add([spec("a")])))._tag, "RunNotAccepting")
      assert.strictEqual((yield* run.await).state, "cancelled")
    }))
})
