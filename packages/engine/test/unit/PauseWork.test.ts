import { CurrentWork, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  Boom,
  engineOf,
  Jobs,
  laboratory,
  mortalJournal,
  Other,
  quiet,
  spec,
  Stage,
  tale,
  Task,
  until
} from "./laboratory.ts"

const by = { actor: "ada", reason: "lunch" }

class Journey extends WorkKind.make("Journey", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  retry: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 1 }))
}) {}

class Journeys extends WorkEngine.Service<Journeys>()("test/unit/Journeys", { kinds: [Journey] }) {}

/** Three steps, each of which waits for the test; what was stopped says why. */
const journeys = Effect.gen(function*() {
  const { layer, state } = yield* mortalJournal
  const stage = new Stage()
  const stopped: Array<unknown> = []
  const attempts: Array<number> = []
  const engine = yield* engineOf(
    Journeys,
    Journey.toLayer(({ name }) =>
      Effect.gen(function*() {
        const work = yield* CurrentWork.CurrentWork
        attempts.push(work.attempt)
        return yield* Effect.forEach(["one", "two", "three"], (step) =>
          Step.run(step, Schema.String, stage.handler({ name: `${name} ${step}` }))).pipe(
            Effect.map((results) =>
              results.join()
            ),
            Effect.onInterrupt(() => Effect.map(work.stopReason, (reason) => stopped.push(reason)))
          )
      })
    ),
    layer
  )
  return { engine, stage, stopped, attempts, state }
})

describe("pausing one work", () => {
  it.effect("that is queued makes it wait, as Paused, until it is resumed", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.add([spec("busy"), spec("a"), spec("b")])
      yield* run.pauseWork("a", by)
      const work = yield* run.work("a")
      assert.strictEqual(work.state, "waiting")
      assert.deepInclude(work.paused, by)
      assert.deepStrictEqual((yield* run.status).waiting.map(({ reason }) => reason), [
        { _tag: "Paused", scope: { _tag: "Work" } },
        { _tag: "Concurrency", limit: 1 }
      ])
      yield* stage.succeed("busy")
      yield* stage.arrived("b")
      yield* run.resumeWork("a")
      yield* stage.succeed("b")
      yield* stage.arrived("a")
      assert.strictEqual((yield* run.work("a")).paused, undefined)
    }))

  it.effect("that waits for something else keeps waiting when that comes, until it is resumed", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("quick"), spec("b"), spec("a", { after: ["b"] }), spec("t", { notBefore: 1_000 })])
      yield* run.pauseWork("a")
      yield* run.pauseWork("t")
      yield* stage.succeed("b")
      yield* TestClock.adjust("1 minute")
      yield* until(run, ({ counts }) => counts.succeeded === 2)
      yield* quiet
      assert.deepStrictEqual(stage.started.toSorted(), ["b", "quick"])
      yield* run.resumeWork("a")
      yield* run.resumeWork("t")
      yield* stage.arrived("a")
      yield* stage.arrived("t")
    }))

  it.effect("that comes after a work that fails is skipped with it, paused or not", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("a"), spec("b", { after: ["a"] })])
      yield* run.pauseWork("b")
      yield* stage.fail("a")
      yield* until(run, ({ counts }) => counts.failed === 1)
      assert.strictEqual((yield* run.work("b")).state, "skipped")
    }))

  it.effect("that is resumed before its other reason ends waits on for that", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("t", { notBefore: 1_000 })])
      yield* run.pauseWork("t")
      yield* run.resumeWork("t")
      yield* quiet
      assert.deepStrictEqual(stage.started, [])
      yield* TestClock.adjust(1_000)
      yield* stage.arrived("t")
    }))

  it.effect("that runs lets it go on to its next step boundary, interrupts it there, and counts nothing", () =>
    Effect.gen(function*() {
      const { attempts, engine, stage, stopped } = yield* journeys
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Journey, { name: "a" }, { id: "a" })
      yield* stage.arrived("a one")
      yield* run.pauseWork("a", by)
      yield* quiet
      assert.deepStrictEqual(stopped, [])
      assert.deepStrictEqual((yield* run.status).running.map(({ isPausing }) => isPausing), [true])
      yield* stage.succeed("a one")
      yield* until(run, ({ counts }) => counts.waiting === 1)
      assert.deepStrictEqual(stopped, ["pause"])
      assert.deepStrictEqual((yield* run.work("a")).steps, ["one"])
      yield* run.resumeWork("a")
      yield* stage.succeed("a two", "a three")
      assert.strictEqual(yield* job.await, "a one done,a two done,a three done")
      assert.deepStrictEqual(stage.started, ["a one", "a two", "a three"])
      assert.deepStrictEqual(attempts, [1, 1])
      assert.deepStrictEqual((yield* run.work("a")).failures, [])
    }))

  it.effect("that runs and is resumed before its boundary is not interrupted", () =>
    Effect.gen(function*() {
      const { engine, stage, stopped } = yield* journeys
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Journey, { name: "a" }, { id: "a" })
      yield* stage.arrived("a one")
      yield* run.pauseWork("a")
      yield* run.resumeWork("a")
      yield* stage.succeed("a one", "a two", "a three")
      yield* job.await
      assert.deepStrictEqual(stopped, [])
      assert.strictEqual((yield* tale(engine, "r")).filter((line) => line === "WorkStarted a").length, 1)
    }))

  it.effect("that ends before its next boundary has ended", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Task, { name: "a" }, { id: "a" })
      yield* stage.arrived("a")
      yield* run.pauseWork("a")
      yield* stage.succeed("a")
      assert.strictEqual(yield* job.await, "a done")
      const { paused, state } = yield* run.work("a")
      assert.deepStrictEqual([state, paused], ["succeeded", undefined])
    }))

  it.effect("frees its unit for others while it waits", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* journeys
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Journey, { name: "a" }, { id: "a" })
      yield* run.submit(Journey, { name: "b" }, { id: "b" })
      yield* stage.arrived("a one")
      yield* run.pauseWork("a")
      yield* stage.succeed("a one")
      yield* stage.arrived("b one")
    }))

  it.effect("can be cancelled while it is pausing and while it waits", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* journeys
      const run = yield* engine.open("r", { concurrency: 2 })
      yield* run.submit(Journey, { name: "a" }, { id: "a" })
      yield* run.submit(Journey, { name: "b" }, { id: "b" })
      yield* stage.arrived("b one")
      yield* run.pauseWork("a")
      yield* run.cancelWork("a")
      yield* run.pauseWork("b")
      yield* stage.succeed("b one")
      yield* until(run, ({ counts }) => counts.waiting === 1)
      yield* run.cancelWork("b")
      yield* until(run, ({ counts }) => counts.cancelled === 2)
    }))

  it.effect("survives a restart, also when it was pausing", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* journeys
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Journey, { name: "a" }, { id: "a" })
        yield* run.submit(Journey, { name: "b" }, { id: "b" })
        yield* stage.arrived("a one")
        yield* run.pauseWork("a", by)
        yield* run.pauseWork("b", by)
      }))
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a one"])
      for (const id of ["a", "b"]) {
        const work = yield* run.work(id)
        assert.strictEqual(work.state, "waiting", id)
        assert.deepInclude(work.paused, by)
      }
      yield* run.resumeWork("a")
      yield* stage.succeed("a one", "a two", "a three")
      yield* (yield* run.job(Journey, "a")).await
    }))

  it.effect("that fails before its boundary, or waits for its retry, stays paused when the time comes", () =>
    Effect.gen(function*() {
      const { attempts, engine, stage } = yield* journeys
      const run = yield* engine.open("r", { concurrency: 2 })
      yield* run.submit(Journey, { name: "a" }, { id: "a" })
      yield* run.submit(Journey, { name: "b" }, { id: "b" })
      yield* stage.arrived("b one")
      yield* run.pauseWork("a")
      yield* stage.fail("a one")
      yield* stage.fail("b one")
      yield* until(run, ({ counts }) => counts.waiting === 2)
      yield* run.pauseWork("b")
      yield* TestClock.adjust("1 minute")
      yield* quiet
      assert.deepStrictEqual(attempts, [1, 1])
      assert.deepStrictEqual((yield* run.status).waiting, [
        { kind: "Journey", reason: { _tag: "Paused", scope: { _tag: "Work" } }, count: 2 }
      ])
      yield* run.resumeWork("a")
      yield* run.resumeWork("b")
      yield* until(run, ({ counts }) => counts.failed === 2)
      assert.deepStrictEqual(attempts, [1, 1, 2, 2])
    }))

  it.effect("that is unknown, settled or being cancelled is refused by name", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const gate = yield* Deferred.make<void>()
      const begun = yield* Deferred.make<void>()
      const engine = yield* engineOf(
        Jobs,
        Layer.mergeAll(
          Task.toLayer(({ name }) =>
            name === "quick"
              ? Effect.succeed("quick")
              : Effect.uninterruptible(
                Effect.as(Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(gate)), "late")
              )
          ),
          Other.toLayer(() => Effect.succeed(""))
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual((yield* Effect.flip(run.pauseWork("nobody")))._tag, "WorkNotFound")
      assert.strictEqual((yield* Effect.flip(run.resumeWork("nobody")))._tag, "WorkNotFound")
      yield* (yield* run.submit(Task, { name: "quick" }, { id: "done" })).await
      assert.strictEqual((yield* Effect.flip(run.pauseWork("done")))._tag, "WorkSettled")
      assert.strictEqual((yield* Effect.flip(run.resumeWork("done")))._tag, "WorkSettled")
      yield* run.submit(Task, { name: "a" }, { id: "a" })
      yield* Deferred.await(begun)
      yield* run.cancelWork("a")
      assert.strictEqual((yield* Effect.flip(run.pauseWork("a")))._tag, "WorkNotAccepting")
      yield* Deferred.succeed(gate, undefined)
    }))

  it.effect("twice is nothing more, and resuming one that is not paused is nothing", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.add([spec("busy"), spec("a")])
      yield* stage.arrived("busy")
      yield* run.pauseWork("a", by)
      yield* run.pauseWork("a", { actor: "bob" })
      assert.strictEqual((yield* run.work("a")).paused?.actor, "ada")
      yield* run.resumeWork("a")
      yield* run.resumeWork("a")
      yield* run.resumeWork("busy")
      const told = yield* tale(engine, "r")
      assert.deepStrictEqual(told.filter((line) => /Work(Paused|Continued)/.test(line)), [
        "WorkPaused a",
        "WorkContinued a"
      ])
    }))
})
