import { RunError, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { engineOf, laboratory, mortalJournal, Other, spec, Task, until } from "./laboratory.ts"

const busy = Effect.gen(function*() {
  const lab = yield* laboratory
  const run = yield* lab.engine.open("r", { concurrency: 1 })
  yield* run.submit(Task, { name: "busy" }, { id: "busy" })
  yield* lab.stage.arrived("busy")
  return { ...lab, run }
})

describe("a work with the idempotency key of one that was never started", () => {
  it.effect("is merged into it: one id, one run, one result", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* busy
      const first = yield* run.submit(Task, { name: "quick1" }, { id: "first", dedupe: "k" })
      const second = yield* run.submit(Task, { name: "quick2" }, { id: "second", dedupe: "k", priority: -9 })
      assert.strictEqual(second.id, "first")
      yield* stage.succeed("busy")
      assert.deepStrictEqual([yield* first.await, yield* second.await], ["quick1 done", "quick1 done"])
      assert.strictEqual((yield* Effect.flip(run.work("second")))._tag, "WorkNotFound")
    }))

  it.effect("is merged also into one that waits for a time, for another work, or is paused", () =>
    Effect.gen(function*() {
      const { run } = yield* busy
      yield* run.add([
        spec("timed", { notBefore: 9_000, dedupe: "t" }),
        spec("after", { after: ["busy"], dedupe: "a" }),
        spec("paused", { dedupe: "p" })
      ])
      yield* run.pauseWork("paused")
      yield* run.add([spec("t2", { dedupe: "t" }), spec("a2", { dedupe: "a" }), spec("p2", { dedupe: "p" })])
      const { counts } = yield* run.status
      assert.deepStrictEqual([counts.waiting, counts.queued], [3, 0])
    }))

  it.effect("takes its place when it says so: the earlier one is skipped, and who waits for that is told", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* busy
      const first = yield* run.submit(Task, { name: "quick1" }, { id: "first", dedupe: "k" })
      yield* run.add([spec("after", { after: ["first"] })])
      const second = yield* run.submit(Task, { name: "quick2" }, {
        id: "second",
        dedupe: "k",
        onCollision: "replace"
      })
      assert.strictEqual(second.id, "second")
      const error = yield* Effect.flip(first.await)
      assert.instanceOf(error, RunError.WorkStopped)
      assert.deepStrictEqual(error.reason, { _tag: "Skipped", cause: { _tag: "Replaced", by: "second" } })
      assert.deepStrictEqual((yield* run.work("after")).outcome, {
        _tag: "Skipped",
        cause: { _tag: "Dependency", id: "first", state: "skipped" }
      })
      yield* stage.succeed("busy")
      assert.strictEqual(yield* second.await, "quick2 done")
      assert.deepStrictEqual(stage.started, ["busy", "quick2"])
    }))

  it.effect("that replaces one after the other leaves only the last", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* busy
      for (const id of ["a", "b", "c"]) {
        yield* run.add([spec(id, { payload: { name: "quick" }, dedupe: "k", onCollision: "replace" })])
      }
      const { counts } = yield* run.status
      assert.deepStrictEqual([counts.queued, counts.skipped], [1, 2])
      yield* stage.succeed("busy")
      yield* (yield* run.job(Task, "c")).await
    }))

  it.effect("is refused when it says so, with the work that it collides with, and nothing of its batch is added", () =>
    Effect.gen(function*() {
      const { run } = yield* busy
      yield* run.add([spec("first", { dedupe: "k" })])
      const error = yield* Effect.flip(
        run.add([spec("innocent"), spec("second", { dedupe: "k", onCollision: "reject" })])
      )
      assert.instanceOf(error, RunError.DuplicateKey)
      assert.match(error.message, /"k"/)
      assert.match(error.message, /"first"/)
      assert.strictEqual((yield* run.status).counts.queued, 1)
    }))

  it.effect("collides within one batch too", () =>
    Effect.gen(function*() {
      const { run } = yield* busy
      yield* run.add([spec("k1", { dedupe: "k" }), spec("k2", { dedupe: "k" })])
      assert.strictEqual((yield* Effect.flip(run.work("k2")))._tag, "WorkNotFound")
      yield* run.add([spec("l1", { dedupe: "l" }), spec("l2", { dedupe: "l", onCollision: "replace" })])
      assert.strictEqual((yield* run.work("l1")).state, "skipped")
      const error = yield* Effect.flip(
        run.add([spec("m1", { dedupe: "m" }), spec("m2", { dedupe: "m", onCollision: "reject" })])
      )
      assert.strictEqual(error._tag, "DuplicateKey")
      assert.strictEqual((yield* Effect.flip(run.work("m1")))._tag, "WorkNotFound")
    }))

  it.effect("keeps its key over a restart", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.add([spec("first", { dedupe: "k", notBefore: 9_000 })])
      }))
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual((yield* run.submit(Task, { name: "x" }, { dedupe: "k" })).id, "first")
    }))
})

describe("a work with the idempotency key of one that has started", () => {
  it.effect("is a work of its own, also after a suspend or a failed try of the other", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Task, { name: "a" }, { id: "a", dedupe: "k" })
        yield* stage.arrived("a")
      }))
      const run = yield* engine.open("r", { concurrency: 1 })
      const second = yield* run.submit(Task, { name: "b" }, { id: "b", dedupe: "k", onCollision: "reject" })
      assert.strictEqual(second.id, "b")
    }))

  it.effect("is free again when the other was cancelled, skipped or replaced before it began", () =>
    Effect.gen(function*() {
      const { run } = yield* busy
      yield* run.add([spec("a", { dedupe: "k" })])
      yield* run.cancelWork("a")
      yield* run.add([spec("b", { dedupe: "k", onCollision: "reject" })])
      assert.strictEqual((yield* run.work("b")).state, "queued")
    }))

  it.effect("does not collide with one that is retried by name: that does not get its key back", () =>
    Effect.gen(function*() {
      const { run } = yield* busy
      yield* run.add([spec("a", { dedupe: "k" })])
      yield* run.cancelWork("a")
      yield* run.retry("a")
      yield* run.add([spec("b", { dedupe: "k", onCollision: "reject" })])
      assert.strictEqual((yield* run.work("b")).state, "queued")
    }))
})

class Numbers extends WorkKind.make("Numbers", { payload: { name: Schema.String }, success: Schema.Int }) {}
class Parent
  extends WorkKind.make("Parent", { payload: { collision: Schema.Literals(["keep", "replace", "reject"]) } }) {}
class Mixed extends WorkEngine.Service<Mixed>()("test/unit/Mixed", { kinds: [Numbers, Other, Parent] }) {}

const mixed = Effect.gen(function*() {
  const { layer } = yield* mortalJournal
  const handlers = Layer.mergeAll(
    Numbers.toLayer(() => Effect.succeed(7)),
    Other.toLayer(({ name }) => Effect.succeed(name)),
    Parent.toLayer(({ collision }) =>
      Effect.gen(function*() {
        yield* Mixed.spawn(Other, { name: "first" }, { id: "first", dedupe: "k" })
        yield* Mixed.spawn(Other, { name: "second" }, { id: "second", dedupe: "k", onCollision: collision })
        yield* Mixed.spawn(Other, { name: "late" }, { id: "late", dedupe: "known", onCollision: collision })
      })
    )
  )
  return yield* engineOf(Mixed, handlers, layer)
})

describe("idempotency keys of several kinds", () => {
  it.effect("never give a job of one kind whose result is that of another", () =>
    Effect.gen(function*() {
      const engine = yield* mixed
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      yield* run.submit(Numbers, { name: "n" }, { id: "n", dedupe: "k" })
      const other = yield* Effect.exit(run.submit(Other, { name: "o" }, { id: "o", dedupe: "k" }))
      yield* run.resume()
      // A work of its own, or a refusal: both are honest.
      if (other._tag === "Success") assert.strictEqual(yield* other.value.await, "o")
    }))
})

describe("idempotency keys of children", () => {
  for (const collision of ["keep", "reject", "replace"] as const) {
    it.effect(`of one settlement: the first is taken with ${collision}`, () =>
      Effect.gen(function*() {
        const engine = yield* mixed
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* (yield* run.submit(Parent, { collision })).await
        assert.strictEqual(yield* (yield* run.job(Other, "first")).await, "first")
        assert.strictEqual((yield* Effect.flip(run.work("second")))._tag, "WorkNotFound")
      }))
  }

  it.effect("are merged into a work that is queued, or replace it, and are never refused", () =>
    Effect.gen(function*() {
      const engine = yield* mixed
      const ends: Array<ReadonlyArray<number>> = []
      for (const collision of ["keep", "reject", "replace"] as const) {
        const run = yield* engine.open(collision, { concurrency: 1 })
        yield* run.add([
          { id: "p", kind: "Parent", priority: 0, payload: { collision } },
          { id: "known", kind: "Other", priority: 0, payload: { name: "known" }, dedupe: "known" }
        ])
        const { counts } = yield* until(run, (status) => status.counts.running + status.counts.queued === 0)
        ends.push([counts.succeeded, counts.skipped, counts.failed])
        assert.strictEqual((yield* run.work("known")).state, collision === "replace" ? "skipped" : "succeeded")
      }
      assert.deepStrictEqual(ends, [[3, 0, 0], [3, 0, 0], [3, 1, 0]])
    }))
})
