import { CurrentWork, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Boom, engineOf, laboratory, mortalJournal, quiet, spec, tale, Task, until } from "./laboratory.ts"

class Plan extends WorkKind.make("Plan", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  retry: Schedule.spaced("1 minute").pipe(Schedule.upTo({ times: 1 }))
}) {}
class Leaf extends WorkKind.make("Leaf", { payload: { of: Schema.String }, success: Schema.String }) {}
class Plans extends WorkEngine.Service<Plans>()("test/unit/Plans", { kinds: [Plan, Leaf] }) {}

/** Two steps, a child in the second and one outside; fails as often as the test says. */
const plans = Effect.gen(function*() {
  const { layer, state } = yield* mortalJournal
  const how = { failures: 0, never: false }
  const said: Array<string> = []
  const handlers = Layer.mergeAll(
    Plan.toLayer(({ name }) =>
      Effect.gen(function*() {
        const { attempt, generation, idempotencyKey } = yield* CurrentWork.CurrentWork
        said.push(`${name} ${generation}/${attempt} ${idempotencyKey("go")}`)
        yield* Step.run("one", Schema.Void, Effect.sync(() => said.push("one")))
        yield* Step.run(
          "two",
          Schema.Void,
          Effect.andThen(Effect.sync(() => said.push("two")), Effect.asVoid(Plans.spawn(Leaf, { of: name })))
        )
        yield* Plans.spawn(Leaf, { of: name })
        if (how.never) return yield* Effect.never
        if (how.failures-- > 0) return yield* Effect.fail(new Boom({ why: "rain" }))
        return `${generation}`
      })
    ),
    Leaf.toLayer(({ of }) => Effect.succeed(of))
  )
  return { engine: yield* engineOf(Plans, handlers, layer), how, said, state }
})

describe("a work that is retried by name", () => {
  it.effect("after it failed runs again as a new generation: attempts from one, new keys, steps dropped", () =>
    Effect.gen(function*() {
      const { engine, how, said } = yield* plans
      how.failures = 2
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Plan, { name: "a" }, { id: "a" })
      yield* until(run, ({ counts }) => counts.waiting === 1)
      yield* TestClock.adjust("1 minute")
      yield* Effect.flip(job.await)
      yield* run.retry("a", { actor: "ada", reason: "the rain has gone" })
      assert.strictEqual(yield* job.await, "1")
      assert.deepStrictEqual(said, [
        "a 0/1 r/a/0/go",
        "one",
        "two",
        "a 0/2 r/a/0/go",
        "a 1/1 r/a/1/go",
        "one",
        "two"
      ])
      const work = yield* run.work("a")
      assert.deepStrictEqual([work.generation, work.attempt, work.failures.length], [1, 1, 2])
    }))

  it.effect("has all of its retries again", () =>
    Effect.gen(function*() {
      const { engine, how, said } = yield* plans
      how.failures = 3
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Plan, { name: "a" }, { id: "a" })
      yield* until(run, ({ counts }) => counts.waiting === 1)
      yield* TestClock.adjust("1 minute")
      yield* Effect.flip(job.await)
      yield* run.retry("a")
      yield* until(run, ({ counts }) => counts.waiting === 1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* job.await, "1")
      assert.deepStrictEqual(said.filter((line) => line.startsWith("a")).map((line) => line.slice(2, 5)), [
        "0/1",
        "0/2",
        "1/1",
        "1/2"
      ])
    }))

  it.effect("after it succeeded leaves its earlier children, and has new ones with new ids", () =>
    Effect.gen(function*() {
      const { engine } = yield* plans
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Plan, { name: "a" }, { id: "a" })
      assert.strictEqual(yield* job.await, "0")
      yield* run.retry("a")
      assert.strictEqual(yield* job.await, "1")
      yield* until(run, ({ counts }) => counts.succeeded === 5)
      const added = (yield* tale(engine, "r")).filter((line) => line.startsWith("WorkStarted")).map((line) =>
        line.slice(12)
      )
      assert.deepStrictEqual(added.length, new Set(added).size + 1, "only a started twice")
      const children = added.filter((id) => id !== "a")
      assert.strictEqual(children.length, 4)
      assert.deepStrictEqual(children.filter((id) => id.includes("/g1/")).length, 2)
    }))

  it.effect("from a step runs that step and those after it, in a new generation", () =>
    Effect.gen(function*() {
      const { engine, said } = yield* plans
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Plan, { name: "a" }, { id: "a" })
      yield* job.await
      yield* run.retry("a", { from: "two" })
      assert.strictEqual(yield* job.await, "1")
      assert.deepStrictEqual(said, ["a 0/1 r/a/0/go", "one", "two", "a 1/1 r/a/1/go", "two"])
      yield* until(run, ({ counts }) => counts.queued + counts.running === 0)
      assert.strictEqual((yield* run.status).counts.succeeded, 5)
    }))

  it.effect("from a step that is not recorded is refused, with its name", () =>
    Effect.gen(function*() {
      const { engine } = yield* plans
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* (yield* run.submit(Plan, { name: "a" }, { id: "a" })).await
      const error = yield* Effect.flip(run.retry("a", { from: "three" }))
      assert.match(error.message, /three/)
      assert.strictEqual((yield* run.work("a")).state, "succeeded")
    }))

  it.effect("after it was skipped or cancelled runs, whatever its dependencies say", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      yield* run.add([spec("x"), spec("quick-skipped", { after: ["x"] }), spec("quick-cancelled")])
      yield* run.cancelWork("x")
      yield* run.cancelWork("quick-cancelled")
      yield* run.resume()
      yield* run.retry("quick-skipped")
      yield* run.retry("quick-cancelled")
      assert.strictEqual(yield* (yield* run.job(Task, "quick-skipped")).await, "quick-skipped done")
      assert.strictEqual(yield* (yield* run.job(Task, "quick-cancelled")).await, "quick-cancelled done")
      assert.deepStrictEqual(stage.started, ["quick-skipped", "quick-cancelled"])
      assert.strictEqual((yield* run.work("x")).state, "cancelled")
    }))

  it.effect("that waits for its retry runs now, in the same generation, and is not run again when its time comes", () =>
    Effect.gen(function*() {
      const { engine, how, said } = yield* plans
      how.failures = 1
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Plan, { name: "a" }, { id: "a" })
      yield* until(run, ({ counts }) => counts.waiting === 1)
      yield* run.retry("a")
      assert.strictEqual(yield* job.await, "0")
      yield* TestClock.adjust("1 hour")
      yield* quiet
      assert.deepStrictEqual(said, ["a 0/1 r/a/0/go", "one", "two", "a 0/2 r/a/0/go"])
    }))

  it.effect("that waits for its retry, from a step, begins a new generation", () =>
    Effect.gen(function*() {
      const { engine, how, said } = yield* plans
      how.failures = 1
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Plan, { name: "a" }, { id: "a" })
      yield* until(run, ({ counts }) => counts.waiting === 1)
      yield* run.retry("a", { from: "one" })
      assert.strictEqual(yield* job.await, "1")
      assert.strictEqual(said.filter((line) => line === "one").length, 2)
    }))

  it.effect("that is queued or running is refused: it is on its way", () =>
    Effect.gen(function*() {
      const { engine, how } = yield* plans
      how.never = true
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Plan, { name: "a" }, { id: "a" })
      yield* run.submit(Plan, { name: "b" }, { id: "b" })
      yield* until(run, ({ counts }) => counts.running === 1)
      assert.strictEqual((yield* Effect.flip(run.retry("a")))._tag, "WorkNotAccepting")
      assert.strictEqual((yield* Effect.flip(run.retry("b")))._tag, "WorkNotAccepting")
      assert.strictEqual((yield* Effect.flip(run.retry("nobody")))._tag, "WorkNotFound")
    }))

  it.effect("makes a completed run run again, until it is completed again", () =>
    Effect.gen(function*() {
      const { engine } = yield* plans
      const run = yield* engine.start("r", {
        concurrency: 1,
        works: [{ id: "leaf", kind: "Leaf", priority: 0, payload: { of: "x" } }]
      })
      assert.strictEqual((yield* run.await).state, "completed")
      yield* run.retry("leaf")
      const status = yield* until(run, ({ state }) => state === "completed")
      assert.strictEqual(status.counts.succeeded, 1)
      const told = yield* tale(engine, "r")
      assert.deepStrictEqual(told.filter((line) => line === "RunCompleted").length, 2)
    }))

  it.effect("in a run that was cancelled is refused", () =>
    Effect.gen(function*() {
      const { engine } = yield* plans
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* (yield* run.submit(Plan, { name: "a" }, { id: "a" })).await
      yield* run.cancel()
      assert.strictEqual((yield* Effect.flip(run.retry("a")))._tag, "RunNotAccepting")
    }))

  it.effect("keeps its generation over a restart", () =>
    Effect.gen(function*() {
      const { engine, how, said } = yield* plans
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* (yield* run.submit(Plan, { name: "a" }, { id: "a" })).await
        how.never = true
        yield* run.retry("a")
        yield* until(run, ({ running }) => running[0]?.id === "a")
        yield* quiet
      }))
      how.never = false
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual(yield* (yield* run.job(Plan, "a")).await, "1")
      assert.deepStrictEqual(said.at(-1), "a 1/1 r/a/1/go")
    }))

  it.effect("that is paused when it is retried waits, or runs: its job is answered when it is resumed", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      yield* run.add([spec("quick")])
      yield* run.pauseWork("quick")
      yield* run.cancelWork("quick")
      yield* run.retry("quick")
      yield* run.resume()
      assert.strictEqual(
        yield* (yield* run.job(Task, "quick")).await,
        "quick done",
        "a settled work has lost its pause"
      )
    }))

  it.effect("many times has as many generations, and one outcome in each", () =>
    Effect.gen(function*() {
      const { engine } = yield* plans
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Plan, { name: "a" }, { id: "a" })
      yield* job.await
      for (let generation = 1; generation <= 20; generation++) {
        yield* run.retry("a")
        assert.strictEqual(yield* job.await, `${generation}`)
      }
      yield* until(run, ({ counts }) => counts.queued + counts.running === 0)
      assert.strictEqual((yield* run.status).counts.succeeded, 1 + 21 * 2)
    }))

  it.effect("has its lag counted once: a generation is not a first start", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* (yield* run.submit(Task, { name: "quick" }, { id: "a" })).await
      yield* TestClock.adjust("1 hour")
      yield* run.add([spec("busy")])
      yield* stage.arrived("busy")
      yield* run.retry("a")
      yield* stage.succeed("busy")
      yield* (yield* run.job(Task, "a")).await
      assert.isTrue(((yield* run.status).lag.p99Millis ?? 0) < 1_000)
    }))
})
