import { CurrentWork, Step } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Schema } from "effect"
import { Boom, quiet, tale, until } from "./laboratory.ts"
import { Job, one, steps } from "./stepping.ts"

describe("a cursor", () => {
  it.effect("begins at its initial value, and in the next attempt at the last one that was recorded", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const { engine, run } = yield* one(() =>
        Effect.gen(function*() {
          const { advance, current } = yield* Step.cursor("row", Schema.Int, 0)
          seen.push(current)
          for (let row = current + 1; row <= 5; row++) {
            yield* advance(row)
            if (row === 3 && current === 0) return yield* Effect.fail(new Boom({ why: "x" }))
          }
          return ""
        })
      )
      assert.deepStrictEqual(seen, [0, 3])
      assert.deepStrictEqual((yield* run.work("a")).steps, ["row"])
      assert.strictEqual((yield* tale(engine, "r")).filter((line) => line === "StepRecorded a").length, 5)
    }))

  it.effect("survives the death of the process to the last value that was durable", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const begun = yield* Deferred.make<void>()
      const { engine, state } = yield* steps(() =>
        Effect.gen(function*() {
          const { advance, current } = yield* Step.cursor("row", Schema.Int, 0)
          seen.push(current)
          if (current > 0) return `${current}`
          yield* advance(1)
          yield* advance(2)
          yield* Deferred.succeed(begun, undefined)
          state.dead = true
          yield* advance(3)
          return yield* Effect.never
        })
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Job, { name: "a" }, { id: "a" })
        yield* Deferred.await(begun)
        yield* quiet
      }))
      state.dead = false
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual(yield* (yield* run.job(Job, "a")).await, "2")
      assert.deepStrictEqual(seen, [0, 2])
    }))

  it.effect("advanced by several fibers at once keeps one of them", () =>
    Effect.gen(function*() {
      const { exit } = yield* one(() =>
        Effect.gen(function*() {
          const { advance, current } = yield* Step.cursor("row", Schema.Int, 0)
          yield* Effect.all([1, 2, 3].map((n) => advance(n)), { concurrency: 3 })
          const { attempt } = yield* CurrentWork.CurrentWork
          return attempt === 1 ? yield* Effect.fail(new Boom({ why: "x" })) : `${current}`
        })
      )
      assert.isTrue(exit._tag === "Success" && ["1", "2", "3"].includes(exit.value))
    }))

  it.effect("is a step boundary: a paused work is interrupted at an advance", () =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const { engine } = yield* steps(() =>
        Effect.gen(function*() {
          const { advance, current } = yield* Step.cursor("row", Schema.Int, 0)
          if (current === 1) return "went on"
          yield* Deferred.succeed(reached, undefined)
          yield* Deferred.await(gate)
          yield* advance(1)
          return "not paused"
        })
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Job, { name: "a" }, { id: "a" })
      yield* Deferred.await(reached)
      yield* run.pauseWork("a")
      yield* Deferred.succeed(gate, undefined)
      yield* until(run, ({ counts }) => counts.waiting === 1)
      yield* run.resumeWork("a")
      assert.strictEqual(yield* job.await, "went on")
    }))

  it.effect("is dropped by a retry from it, and by one from a step before it", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const { run, job } = yield* one(() =>
        Effect.gen(function*() {
          yield* Step.run("first", Schema.Void, Effect.sync(() => seen.push("first")))
          const { advance, current } = yield* Step.cursor("row", Schema.Int, 0)
          seen.push(`row ${current}`)
          yield* advance(7)
          return ""
        })
      )
      yield* run.retry("a", { from: "row" })
      yield* job.await
      yield* run.retry("a", { from: "first" })
      yield* job.await
      assert.deepStrictEqual(seen, ["first", "row 0", "row 0", "first", "row 0"])
    }))
})
