import { RunError } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { laboratory, quiet, spec, until } from "./laboratory.ts"

const gpu = (id: string, needs: number, fields: Partial<ReturnType<typeof spec>> = {}) =>
  spec(id, { slots: { gpu: needs }, ...fields })

describe("claims on pools", () => {
  it.effect("of more than one unit wait for all of them together, and smaller ones pass meanwhile", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, pools: { gpu: 4 } })
      yield* run.add([gpu("a", 3), gpu("b", 2), gpu("c", 1)])
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a", "c"])
      assert.deepStrictEqual((yield* run.status).waiting, [
        { kind: "Task", reason: { _tag: "Slot", pool: "gpu", needs: 2, free: 0 }, count: 1 }
      ])
      yield* stage.succeed("c")
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a", "c"])
      yield* stage.succeed("a")
      yield* stage.arrived("b")
    }))

  it.effect("on several pools are granted all or none", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, pools: { gpu: 1, disk: 1 } })
      yield* run.add([
        spec("g", { slots: { gpu: 1 } }),
        spec("both", { slots: { gpu: 1, disk: 1 } }),
        spec("d", { slots: { disk: 1 } })
      ])
      yield* quiet
      assert.deepStrictEqual(stage.started, ["g", "d"])
      yield* stage.succeed("g", "d")
      yield* stage.arrived("both")
      assert.deepStrictEqual((yield* run.status).pools, {
        gpu: { size: 1, used: 1 },
        disk: { size: 1, used: 1 }
      })
    }))

  it.effect("are given back by every way in which a work can end", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, pools: { gpu: 5 } })
      yield* run.add([
        gpu("succeeds", 1),
        gpu("fails", 1),
        gpu("dies", 1),
        gpu("cancelled", 1),
        gpu("expires", 1, { deadline: 1_000 })
      ])
      yield* stage.arrived("expires")
      yield* stage.succeed("succeeds")
      yield* stage.fail("fails")
      yield* stage.die("dies")
      yield* run.cancelWork("cancelled")
      yield* TestClock.adjust(1_000)
      const { pools } = yield* until(run, (status) => status.counts.running + status.counts.cancelling === 0)
      assert.deepStrictEqual(pools, { gpu: { size: 5, used: 0 } })
    }))

  it.effect("of a work that waits for its turn again after a suspend hold nothing, and are taken again", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const options = { concurrency: 9, pools: { gpu: 1 } }
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", options)
        yield* run.add([gpu("a", 1), gpu("b", 1, { priority: -5 })])
        yield* stage.arrived("b")
      }))
      const run = yield* engine.open("r", options)
      yield* quiet
      assert.deepStrictEqual(stage.started, ["b", "b"])
      assert.deepStrictEqual((yield* run.status).pools, { gpu: { size: 1, used: 1 } })
    }))

  it.effect("on a pool that the run does not have are refused when the work is added", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      const error = yield* Effect.flip(run.add([gpu("a", 1)]))
      assert.instanceOf(error, RunError.InvalidWork)
      assert.match(error.message, /gpu/)
    }))

  it.effect("on a pool that the next opener lacks wait, and are told to be unsatisfiable", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9, pools: { gpu: 1 } })
        yield* run.pause()
        yield* run.add([gpu("a", 1)])
      }))
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.resume()
      yield* quiet
      assert.deepStrictEqual(stage.started, [])
      assert.deepStrictEqual((yield* run.status).waiting.map(({ reason }) => reason), [
        { _tag: "Unsatisfiable", pool: "gpu", needs: 1, size: 0 }
      ])
    }))

  it.effect("named like parts of an object's prototype are pools like others", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, pools: { constructor: 1, toString: 1 } })
      yield* run.add([spec("a", { slots: { constructor: 1 } }), spec("b", { slots: { constructor: 1 } })])
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a"])
      const unknown = yield* Effect.flip(run.add([spec("c", { slots: { valueOf: 1 } })]))
      assert.instanceOf(unknown, RunError.InvalidWork)
      const { pools } = yield* run.status
      assert.deepStrictEqual(Object.entries(pools), [
        ["constructor", { size: 1, used: 1 }],
        ["toString", { size: 1, used: 0 }]
      ])
    }))
})
