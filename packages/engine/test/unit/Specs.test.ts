import { RunError } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { laboratory, spec, Task } from "./laboratory.ts"

describe("specs that come from elsewhere", () => {
  it.effect("are added as they are, round trip and all", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1, pools: { gpu: 1 } })
      yield* run.pause()
      yield* run.add([spec("base")])
      const full = {
        ...spec("full"),
        priority: -1.5,
        notBefore: 1_000,
        deadline: 99_000,
        timeToLiveMillis: 5_000,
        after: ["base"],
        onDependencyFailure: "run" as const,
        key: "k",
        slots: { gpu: 1 },
        dedupe: "d",
        onCollision: "reject" as const,
        parent: "base",
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      }
      yield* run.add([JSON.parse(JSON.stringify(full))])
      assert.deepStrictEqual((yield* run.work("full")).spec, full)
    }))

  it.effect("with fields of the wrong shape are refused with the field, and a payload that JSON cannot hold too", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1, pools: { gpu: 1 } })
      const bad: ReadonlyArray<readonly [string, object]> = [
        ["id", { id: "" }],
        ["id", { id: 7 }],
        ["id", { id: "x".repeat(513) }],
        ["kind", { kind: "" }],
        ["priority", { priority: "0" }],
        ["payload", { payload: { name: 7 } }],
        ["payload", { payload: undefined }],
        ["after", { after: "a" }],
        ["after", { after: [""] }],
        ["onDependencyFailure", { onDependencyFailure: "ignore" }],
        ["key", { key: "" }],
        ["slots", { slots: { gpu: 0 } }],
        ["slots", { slots: { gpu: 1.5 } }],
        ["dedupe", { dedupe: "" }],
        ["onCollision", { onCollision: "merge" }]
      ]
      for (const [field, change] of bad) {
        const error = yield* Effect.flip(run.add([{ ...spec("x"), ...change } as never]))
        assert.instanceOf(error, RunError.InvalidWork, JSON.stringify(change))
        assert.match((error as RunError.InvalidWork).field, new RegExp(`^${field}`), JSON.stringify(change))
      }
      const { counts } = yield* run.status
      assert.strictEqual(Object.values(counts).reduce((sum, count) => sum + count, 0), 0)
    }))

  it.effect("twice in one batch, or with an id that is there, are refused and nothing is added", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual((yield* Effect.flip(run.add([spec("a"), spec("b"), spec("a")])))._tag, "DuplicateWork")
      assert.strictEqual((yield* Effect.flip(run.work("b")))._tag, "WorkNotFound")
    }))

  it.effect("with a payload larger than a record may be are refused, and the limit is told", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      const large = { name: "x".repeat(1_048_577) }
      for (const adding of [run.add([spec("a", { payload: large })]), run.submit(Task, large)]) {
        const error = yield* Effect.flip(adding as Effect.Effect<unknown, RunError.InvalidWork>)
        assert.instanceOf(error, RunError.InvalidWork)
        assert.strictEqual(error.field, "payload")
        assert.match(error.message, /1,?048,?576/)
        assert.isTrue(error.value.length < 10_000, "the error does not carry the payload along")
      }
    }))

  it.effect("are not changed by whoever added them afterwards", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      const mine = spec("a", { payload: { name: "quick-before" } })
      yield* run.add([mine])
      ;(mine.payload as { name: string }).name = "quick-after"
      yield* run.resume()
      yield* (yield* run.job(Task, "a")).await
      assert.deepStrictEqual(stage.started, ["quick-before"])
    }))
})
