import { RunStatus } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { laboratory, quiet, spec } from "./laboratory.ts"

const gpu = (id: string, needs: number, fields: Partial<ReturnType<typeof spec>> = {}) =>
  spec(id, { slots: { gpu: needs }, ...fields })

describe("a reservation", () => {
  const crowded = Effect.gen(function*() {
    const { engine, stage } = yield* laboratory
    const run = yield* engine.open("r", { concurrency: 9, pools: { gpu: 2, disk: 1 } })
    yield* run.add([gpu("s1", 1), gpu("s2", 1)])
    yield* stage.arrived("s2")
    yield* run.add([gpu("big", 2), gpu("s3", 1), gpu("s4", 1), gpu("s5", 1)])
    return { run, stage }
  })

  it.effect("is not made before its time: smaller works overtake a large claim", () =>
    Effect.gen(function*() {
      const { stage } = yield* crowded
      yield* TestClock.adjust(29_999)
      yield* stage.succeed("s1")
      yield* stage.arrived("s3")
    }))

  it.effect("keeps freed units back for a large claim that has waited for its time, so that it starts", () =>
    Effect.gen(function*() {
      const { stage } = yield* crowded
      yield* TestClock.adjust(30_000)
      yield* stage.succeed("s1")
      yield* quiet
      assert.deepStrictEqual(stage.started, ["s1", "s2"])
      yield* stage.succeed("s2")
      yield* stage.arrived("big")
      yield* stage.succeed("big")
      yield* stage.arrived("s4")
    }))

  it.effect("is told of whoever it holds up: the pool, and the work that it is for", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* crowded
      yield* run.add([gpu("urgent", 2, { priority: -1 }), spec("s6", { slots: { gpu: 1, disk: 1 } })])
      yield* run.pauseWork("urgent")
      yield* TestClock.adjust(30_000)
      yield* stage.succeed("s1")
      yield* quiet
      const reason = { _tag: "Reserved", pool: "gpu", for: "big" } as const
      assert.strictEqual(RunStatus.describe(reason), `gpu: its free units are kept back for "big"`)
      for (const id of ["s3", "s5", "s6"]) assert.deepStrictEqual((yield* run.work(id)).reason, reason, id)
      assert.deepStrictEqual((yield* run.work("big")).reason, { _tag: "Slot", pool: "gpu", needs: 2, free: 1 })
      const groups = (yield* run.status).waiting.filter((group) => group.reason._tag === "Reserved")
      assert.strictEqual(groups.reduce((sum, { count }) => sum + count, 0), 4)
      yield* run.cancelWork("big")
      yield* stage.arrived("s3")
      assert.deepStrictEqual((yield* run.work("s5")).reason, { _tag: "Slot", pool: "gpu", needs: 1, free: 0 })
    }))

  it.effect("is not made against more urgent work, nor against what claims other pools or none", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* crowded
      yield* TestClock.adjust(30_000)
      yield* run.add([
        gpu("urgent", 1, { priority: -1 }),
        spec("disk", { slots: { disk: 1 } }),
        spec("none")
      ])
      yield* stage.succeed("s1")
      yield* stage.arrived("urgent")
      yield* stage.arrived("disk")
      yield* stage.arrived("none")
      yield* quiet
      assert.isFalse(stage.started.includes("s3"))
    }))

  it.effect("ends when the work that it was made for is cancelled: what was kept back is given at once", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* crowded
      yield* TestClock.adjust(30_000)
      yield* stage.succeed("s1")
      yield* quiet
      yield* run.cancelWork("big")
      yield* stage.arrived("s3")
    }))

  it.effect("ends when the work that it was made for is paused, or becomes less urgent than the others", () =>
    Effect.gen(function*() {
      const one = yield* crowded
      yield* TestClock.adjust(30_000)
      yield* one.stage.succeed("s1")
      yield* quiet
      yield* one.run.reprioritize("big", 7)
      yield* one.stage.arrived("s3")
    }))

  it.effect("ends when its work is paused", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* crowded
      yield* TestClock.adjust(30_000)
      yield* stage.succeed("s1")
      yield* quiet
      yield* run.pauseWork("big")
      yield* stage.arrived("s3")
    }))

  it.effect("is not made for a claim that is larger than its pool", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* crowded
      yield* run.setPool("gpu", 1)
      yield* TestClock.adjust(30_000)
      yield* stage.succeed("s1", "s2")
      yield* stage.arrived("s3")
    }))

  it.effect("leaves alone what the large claim does not need", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, pools: { gpu: 5 }, reserveAfter: "1 second" })
      yield* run.add([gpu("s1", 4)])
      yield* run.add([gpu("big", 3)])
      yield* TestClock.adjust(1_000)
      yield* run.add([gpu("one", 1)])
      yield* quiet
      assert.isFalse(stage.started.includes("one"), "one unit is free, three are to be kept")
      yield* run.setPool("gpu", 8)
      yield* stage.arrived("big")
      yield* stage.arrived("one")
    }))

  it.effect("is made after the time that the opener says", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, pools: { gpu: 2 }, reserveAfter: "1 second" })
      yield* run.add([gpu("s1", 1), gpu("s2", 1), gpu("big", 2), gpu("s3", 1)])
      yield* stage.arrived("s2")
      yield* TestClock.adjust(1_000)
      yield* stage.succeed("s1")
      yield* quiet
      assert.deepStrictEqual(stage.started, ["s1", "s2"])
    }))

  it.effect("is made in time also when nothing else happens before the units are freed", () =>
    Effect.gen(function*() {
      const { stage } = yield* crowded
      yield* TestClock.adjust("10 minutes")
      yield* stage.succeed("s2")
      yield* quiet
      assert.deepStrictEqual(stage.started, ["s1", "s2"])
    }))

  it.effect("starves nobody: with a steady stream of small ones every large one gets its turn", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, pools: { gpu: 2 }, reserveAfter: "1 second" })
      yield* run.add([gpu("s0", 1), gpu("s1", 1)])
      yield* run.add([gpu("big1", 2), gpu("big2", 2)])
      let turn = 2
      while (!stage.started.includes("big2")) {
        assert.isTrue(turn < 40, "a large claim starves")
        yield* run.add([gpu(`s${turn}`, 1)])
        yield* TestClock.adjust(700)
        yield* stage.succeed([...stage.alive][0]!)
        yield* quiet
        turn += 1
      }
    }))
})
