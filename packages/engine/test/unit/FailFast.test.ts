import { WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { engineOf, Jobs, laboratory, mortalJournal, Other, quiet, spec, Stage, Task, until } from "./laboratory.ts"

describe("a run that fails fast", () => {
  it.effect("is cancelled by the first work that fails, and says which", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 2, failFast: true })
      yield* run.add([spec("a"), spec("b"), spec("c"), spec("timed", { notBefore: 9_000 })])
      yield* stage.arrived("b")
      yield* stage.fail("a")
      const status = yield* run.await
      assert.deepStrictEqual(
        [status.state, status.counts.failed, status.counts.cancelled],
        ["cancelled", 1, 3]
      )
      assert.match(status.cause?.reason ?? "", /"a"/)
      assert.deepStrictEqual(stage.started, ["a", "b"])
    }))

  it.effect("is cancelled by a defect too", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 2, failFast: true })
      yield* run.add([spec("a"), spec("b")])
      yield* stage.die("a")
      assert.strictEqual((yield* run.await).state, "cancelled")
    }))

  it.effect("is not cancelled by a skip, an expiry before the start, or the cancel of one work", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1, failFast: true })
      yield* run.add([spec("a"), spec("b"), spec("late", { deadline: 0 }), spec("after", { after: ["b"] })])
      yield* run.cancelWork("b")
      yield* quiet
      const { counts, state } = yield* run.status
      assert.deepStrictEqual([state, counts.cancelled, counts.skipped], ["running", 1, 2])
      yield* stage.succeed("a")
      yield* (yield* run.job(Task, "a")).await
    }))

  it.effect("is not cancelled by a try that is to be retried, only by the last one", () =>
    Effect.gen(function*() {
      class Flaky extends WorkKind.make("Flaky", {
        payload: {},
        error: Schema.String,
        retry: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 1 }))
      }) {}
      class Flakies extends WorkEngine.Service<Flakies>()("test/unit/Flakies", { kinds: [Flaky] }) {}
      const { layer } = yield* mortalJournal
      const engine = yield* engineOf(Flakies, Flaky.toLayer(() => Effect.fail("rain")), layer)
      const run = yield* engine.open("r", { concurrency: 1, failFast: true })
      yield* run.submit(Flaky, {})
      yield* until(run, ({ counts }) => counts.waiting === 1)
      assert.strictEqual((yield* run.status).state, "running")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* run.await).state, "cancelled")
    }))

  it.effect("runs onCancel of what it cancels", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const stage = new Stage()
      const undone: Array<string> = []
      const engine = yield* engineOf(
        Jobs,
        Layer.mergeAll(
          Task.toLayer(stage.handler, { onCancel: ({ name }) => Effect.sync(() => undone.push(name)) }),
          Other.toLayer(stage.sure)
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 2, failFast: true })
      yield* run.add([spec("a"), spec("b")])
      yield* stage.arrived("b")
      yield* stage.fail("a")
      yield* run.await
      assert.deepStrictEqual(undone, ["b"])
    }))

  it.effect("is said at each opening: without it a failure stops nobody", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      yield* Effect.scoped(engine.open("r", { concurrency: 2, failFast: true }))
      const run = yield* engine.open("r", { concurrency: 2 })
      yield* run.add([spec("a"), spec("b")])
      yield* stage.fail("a")
      yield* until(run, ({ counts }) => counts.failed === 1)
      yield* quiet
      assert.deepStrictEqual([(yield* run.status).state, stage.alive.has("b")], ["running", true])
    }))
})
