import { RunError, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Boom, engineOf, laboratory, mortalJournal, quiet, spec, Stage, until } from "./laboratory.ts"

class Narrow extends WorkKind.make("Narrow", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  limit: 2
}) {}
class Wide extends WorkKind.make("Wide", { payload: { name: Schema.String }, success: Schema.String, error: Boom }) {}
class Both extends WorkEngine.Service<Both>()("test/unit/Both", { kinds: [Narrow, Wide] }) {}

const both = Effect.gen(function*() {
  const { layer } = yield* mortalJournal
  const stage = new Stage()
  const engine = yield* engineOf(
    Both,
    Layer.mergeAll(Narrow.toLayer(stage.handler), Wide.toLayer(stage.handler)),
    layer
  )
  return { engine, stage }
})

const narrow = (id: string, priority = 0) => spec(id, { kind: "Narrow", priority })
const wide = (id: string, priority = 0) => spec(id, { kind: "Wide", priority })

describe("the limit of a kind", () => {
  it.effect("bounds its works; less urgent ones of another kind pass", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* both
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([narrow("n1", -1), narrow("n2", -1), narrow("n3", -1), wide("w1", 5)])
      yield* quiet
      assert.deepStrictEqual(stage.started, ["n1", "n2", "w1"])
      const status = yield* run.status
      assert.deepStrictEqual(status.waiting, [
        { kind: "Narrow", reason: { _tag: "KindLimit", kind: "Narrow", limit: 2 }, count: 1 }
      ])
      assert.deepStrictEqual(
        [status.kinds["Narrow"]?.running, status.kinds["Narrow"]?.limit, status.kinds["Wide"]?.limit],
        [2, 2, undefined]
      )
      yield* stage.fail("n1")
      yield* stage.arrived("n3")
    }))

  it.effect("never lets more run at the same time, through many works", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* both
      const names = Array.from({ length: 50 }, (_, n) => `n${n}`)
      const run = yield* engine.start("r", { concurrency: 9, works: names.map((name) => narrow(name)) })
      yield* Effect.forEach(names, (name) => Effect.andThen(stage.arrived(name), stage.succeed(name)), {
        discard: true
      })
      yield* run.await
      assert.strictEqual(stage.most, 2)
    }))

  it.effect("counts works that are being cancelled as long as their handlers live", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* both
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.add([narrow("n1"), wide("w1")])
      yield* stage.arrived("n1")
      yield* run.cancelWork("n1")
      yield* stage.arrived("w1")
      assert.strictEqual(stage.most, 1)
    }))
})

describe("limits changed while the run runs", () => {
  it.effect("concurrency raised starts more at once; lowered stops none, and starts none until below it", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.add(["a", "b", "c", "d", "e"].map((id) => spec(id)))
      yield* run.setConcurrency(3, { actor: "ada", reason: "night" })
      yield* stage.arrived("c")
      yield* run.setConcurrency(1)
      const { concurrency } = yield* run.status
      assert.deepStrictEqual(concurrency, { limit: 1, used: 3 })
      yield* stage.succeed("a", "b")
      yield* until(run, (status) => status.counts.succeeded === 2)
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a", "b", "c"])
      yield* stage.succeed("c")
      yield* stage.arrived("d")
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a", "b", "c", "d"])
    }))

  it.effect("a pool raised grants what waited for it, and an unsatisfiable claim becomes satisfiable", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, pools: { gpu: 1 } })
      yield* run.add([spec("big", { slots: { gpu: 3 } })])
      assert.deepStrictEqual((yield* run.status).waiting.map(({ reason }) => reason), [
        { _tag: "Unsatisfiable", pool: "gpu", needs: 3, size: 1 }
      ])
      yield* run.setPool("gpu", 3)
      yield* stage.arrived("big")
      assert.deepStrictEqual((yield* run.status).pools, { gpu: { size: 3, used: 3 } })
    }))

  it.effect("a pool lowered below what is used stops none, and grants none until there is room", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, pools: { gpu: 3 } })
      yield* run.add(["a", "b", "c", "d"].map((id) => spec(id, { slots: { gpu: 1 } })))
      yield* stage.arrived("c")
      yield* run.setPool("gpu", 1)
      assert.deepStrictEqual((yield* run.status).pools, { gpu: { size: 1, used: 3 } })
      yield* stage.succeed("a", "b")
      yield* until(run, (status) => status.counts.succeeded === 2)
      yield* quiet
      assert.isFalse(stage.started.includes("d"))
      yield* stage.succeed("c")
      yield* stage.arrived("d")
    }))

  it.effect("a pool of size 0 makes its claims wait; a pool that was not there can be made", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, pools: { gpu: 1 } })
      yield* run.setPool("gpu", 0)
      yield* run.add([spec("a", { slots: { gpu: 1 } })])
      yield* quiet
      assert.deepStrictEqual(stage.started, [])
      assert.strictEqual((yield* Effect.flip(run.add([spec("b", { slots: { tpu: 1 } })])))._tag, "InvalidWork")
      yield* run.setPool("tpu", 1)
      yield* run.add([spec("b", { slots: { tpu: 1 } })])
      yield* stage.arrived("b")
      yield* run.setPool("gpu", 1)
      yield* stage.arrived("a")
    }))

  it.effect("a kind's limit raised, lowered, shut and lifted", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* both
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.setKindLimit("Narrow", 0)
      yield* run.add([narrow("n1"), narrow("n2"), narrow("n3"), narrow("n4")])
      yield* quiet
      assert.deepStrictEqual(stage.started, [])
      yield* run.setKindLimit("Narrow", 1)
      yield* quiet
      assert.deepStrictEqual(stage.started, ["n1"])
      yield* run.setKindLimit("Narrow", null)
      yield* quiet
      assert.deepStrictEqual(stage.started, ["n1", "n2", "n3", "n4"])
      assert.strictEqual((yield* run.status).kinds["Narrow"]?.limit, undefined)
    }))

  it.effect("a key's limit, the default's and that of one, lifted with null", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, keyLimit: 1 })
      yield* run.add(["a1", "a2", "a3", "b1", "b2", "b3"].map((id) => spec(id, { key: id[0]! })))
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a1", "b1"])
      yield* run.setKeyLimit(2, { key: "a" })
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a1", "b1", "a2"])
      // The key goes back to the default.
      yield* run.setKeyLimit(null, { key: "a" })
      yield* stage.succeed("a1")
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a1", "b1", "a2"])
      yield* run.setKeyLimit(null)
      yield* quiet
      assert.deepStrictEqual(stage.started.slice(3).toSorted(), ["a3", "b2", "b3"])
    }))

  it.effect("hold until the run is opened again, when those of the opening hold", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* both
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.setConcurrency(7)
        yield* run.setKindLimit("Narrow", 7)
        yield* run.setPool("gpu", 7)
      }))
      const run = yield* engine.open("r", { concurrency: 9, pools: { gpu: 1 } })
      const status = yield* run.status
      assert.deepStrictEqual(status.concurrency, { limit: 9, used: 0 })
      assert.deepStrictEqual(status.kinds["Narrow"]?.limit, 2)
      assert.deepStrictEqual(status.pools, { gpu: { size: 1, used: 0 } })
      yield* run.add(["n1", "n2", "n3"].map((id) => narrow(id)))
      yield* quiet
      assert.deepStrictEqual(stage.started, ["n1", "n2"])
    }))

  it.effect("are refused with their field when they make no sense", () =>
    Effect.gen(function*() {
      const { engine } = yield* both
      const run = yield* engine.open("r", { concurrency: 1 })
      for (
        const bad of [
          run.setConcurrency(0),
          run.setConcurrency(1.5),
          run.setConcurrency(Number.NaN),
          run.setConcurrency(Infinity),
          run.setPool("gpu", -1),
          run.setPool("gpu", 0.5),
          run.setKindLimit("Narrow", -1),
          run.setKindLimit("Nowhere", 1),
          run.setKeyLimit(0),
          run.setKeyLimit(-1, { key: "a" })
        ]
      ) {
        const error = yield* Effect.flip(bad)
        assert.instanceOf(error, RunError.InvalidWork)
        assert.isTrue(error.message.length > 0)
      }
      const { concurrency, pools } = yield* run.status
      assert.deepStrictEqual([concurrency.limit, pools], [1, {}])
    }))

  it.effect("can be changed while the run is paused, and start nothing then", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      yield* run.add([spec("a"), spec("b")])
      yield* run.setConcurrency(2)
      yield* quiet
      assert.deepStrictEqual(stage.started, [])
      yield* run.resume()
      yield* stage.arrived("b")
    }))

  it.effect("are recorded with who asked and why", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.setConcurrency(2, { actor: "ada", reason: "night" })
      const last = (yield* engine.history("r")).at(-1)?.event
      assert.deepInclude(last, { _tag: "LimitsChanged", limits: { concurrency: 2 }, actor: "ada", reason: "night" })
    }))
})
