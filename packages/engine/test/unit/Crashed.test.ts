import { RunError, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule, Schema } from "effect"
import { Boom, engineOf, mortalJournal, quiet, Stage, until } from "./laboratory.ts"

class Deadly extends WorkKind.make("Deadly", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  retry: Schedule.recurs(9)
}) {}
class Graves extends WorkEngine.Service<Graves>()("test/unit/Graves", { kinds: [Deadly] }) {}

/**
 * An engine whose process can die: from a moment on nothing is recorded any more, and the run is opened again as the journal has
 * it.
 */
const graves = Effect.gen(function*() {
  const { layer, state } = yield* mortalJournal
  const stage = new Stage()
  let deaths = 0
  const engine = yield* engineOf(
    Graves,
    Deadly.toLayer(({ name }) =>
      Effect.gen(function*() {
        if (name === "steps") yield* Step.run(`step${deaths}`, Schema.Void, Effect.void)
        return yield* stage.handler({ name })
      })
    ),
    layer
  )
  /** Opens the run, waits for the handler of a work to begin, and dies. */
  const die = (name: string, options: { readonly maxCrashes?: number } = {}) =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9, ...options })
        if (deaths === 0) yield* run.submit(Deadly, { name }, { id: name })
        yield* until(run, ({ running }) => running.some(({ id }) => id === name))
        yield* quiet
        state.dead = true
        yield* Effect.exit(run.pause())
      }))
      state.dead = false
      deaths += 1
    })
  return { engine, stage, state, die }
})

describe("a work whose process dies in the middle of it", () => {
  it.effect("five times in a row is failed as Crashed, without a retry, and does not run again", () =>
    Effect.gen(function*() {
      const { die, engine, stage } = yield* graves
      for (let n = 0; n < 5; n++) yield* die("a")
      const run = yield* engine.open("r", { concurrency: 9, keepOpen: false })
      const status = yield* run.await
      assert.deepStrictEqual([status.state, status.counts.failed], ["completed", 1])
      const error = yield* Effect.flip((yield* run.job(Deadly, "a")).await)
      assert.instanceOf(error, RunError.WorkStopped)
      assert.deepStrictEqual(error.reason, { _tag: "Crashed", times: 5 })
      assert.strictEqual(stage.started.length, 5)
    }))

  it.effect("four times is taken up again, in the same attempt", () =>
    Effect.gen(function*() {
      const { die, engine, stage } = yield* graves
      for (let n = 0; n < 4; n++) yield* die("a")
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* stage.succeed("a")
      assert.strictEqual(yield* (yield* run.job(Deadly, "a")).await, "a done")
      assert.strictEqual((yield* run.work("a")).attempt, 1)
    }))

  it.effect("as often as the opener allows", () =>
    Effect.gen(function*() {
      const { die, engine } = yield* graves
      yield* die("a", { maxCrashes: 2 })
      yield* die("a", { maxCrashes: 2 })
      const run = yield* engine.open("r", { concurrency: 9, maxCrashes: 2 })
      assert.strictEqual((yield* run.work("a")).state, "failed")
    }))

  it.effect("with a recorded step in between begins to count anew", () =>
    Effect.gen(function*() {
      const { die, engine, stage } = yield* graves
      for (let n = 0; n < 9; n++) yield* die("steps")
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* stage.succeed("steps")
      assert.strictEqual(yield* (yield* run.job(Deadly, "steps")).await, "steps done")
    }))

  it.effect("with an orderly stop in between begins to count anew", () =>
    Effect.gen(function*() {
      const { die, engine, stage } = yield* graves
      for (let n = 0; n < 4; n++) yield* die("a")
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9 })
        yield* until(run, ({ counts }) => counts.running === 1)
      }))
      for (let n = 0; n < 4; n++) yield* die("a")
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* stage.succeed("a")
      assert.strictEqual(yield* (yield* run.job(Deadly, "a")).await, "a done")
    }))

  it.effect("does not count deaths while it was queued", () =>
    Effect.gen(function*() {
      const { engine, stage, state } = yield* graves
      for (let n = 0; n < 9; n++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* engine.open("r", { concurrency: 1 })
          if (n === 0) yield* run.pause({ kind: "Deadly" })
          if (n === 0) yield* run.submit(Deadly, { name: "a" }, { id: "a" })
          state.dead = true
          yield* Effect.exit(run.setConcurrency(2))
        }))
        state.dead = false
      }
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.resume({ kind: "Deadly" })
      yield* stage.succeed("a")
      assert.strictEqual(yield* (yield* run.job(Deadly, "a")).await, "a done")
    }))

  it.effect("can be retried by name after it was given up, with as many lives as before", () =>
    Effect.gen(function*() {
      const { die, engine, stage } = yield* graves
      for (let n = 0; n < 5; n++) yield* die("a")
      yield* Effect.scoped(Effect.flatMap(engine.open("r", { concurrency: 9 }), (run) => run.retry("a")))
      for (let n = 0; n < 4; n++) yield* die("a")
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* stage.succeed("a")
      assert.strictEqual(yield* (yield* run.job(Deadly, "a")).await, "a done")
    }))

  it.effect("cannot take another one down with it that settled in the meantime", () =>
    Effect.gen(function*() {
      const { die, engine } = yield* graves
      yield* die("a")
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9 })
        yield* (yield* run.submit(Deadly, { name: "quick" }, { id: "good" })).await
      }))
      for (let n = 0; n < 5; n++) yield* die("a")
      const run = yield* engine.open("r", { concurrency: 9, keepOpen: false })
      const { counts } = yield* run.await
      assert.deepStrictEqual([counts.failed, counts.succeeded], [1, 1])
    }))
})
