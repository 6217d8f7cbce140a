import { type CurrentWork, Slots, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Boom, engineOf, mortalJournal, quiet, Stage, until } from "./laboratory.ts"

class Lab extends WorkKind.make("Lab", {
  payload: { name: Schema.String, plan: Schema.String },
  success: Schema.String,
  error: Boom
}) {}

class Labs extends WorkEngine.Service<Labs>()("test/unit/Labs", { kinds: [Lab] }) {}

const plans = (
  stage: Stage,
  name: string
): { readonly [plan: string]: Effect.Effect<string, Boom, CurrentWork.CurrentWork> } => ({
  plain: stage.handler({ name }),
  step: Step.run("measure", Schema.String, stage.handler({ name }), { slots: { bench: 1 } }),
  unknown: Step.run("measure", Schema.String, stage.handler({ name }), { slots: { nowhere: 1 } }),
  tooLarge: Step.run("measure", Schema.String, stage.handler({ name }), { slots: { bench: 9 } }),
  twice: Effect.andThen(
    Slots.hold("one", { bench: 1 }),
    Effect.andThen(Slots.hold("two", { bench: 1 }), stage.handler({ name }))
  ),
  hold: Effect.andThen(
    Slots.hold("bench", { bench: 1 }, { until: "poll" }),
    Effect.andThen(
      Step.run("launch", Schema.Void, Effect.void),
      Effect.andThen(
        Step.run("poll", Schema.String, stage.handler({ name })),
        stage.handler({ name: `${name} after` })
      )
    )
  ),
  release: Effect.andThen(
    Slots.hold("bench", { bench: 1 }),
    Effect.andThen(Slots.release("bench"), Effect.andThen(Slots.release("bench"), stage.handler({ name })))
  )
})

const labs = Effect.gen(function*() {
  const { layer } = yield* mortalJournal
  const stage = new Stage()
  const engine = yield* engineOf(Labs, Lab.toLayer(({ name, plan }) => plans(stage, name)[plan]!), layer)
  return { engine, stage }
})

describe("claims within a handler", () => {
  it.effect("of a step are given back when it is recorded, fails, dies or is cancelled", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* labs
      const run = yield* engine.open("r", { concurrency: 9, pools: { bench: 1 } })
      for (const name of ["a", "b", "c", "d", "e"]) yield* run.submit(Lab, { name, plan: "step" }, { id: name })
      yield* stage.arrived("a")
      yield* stage.succeed("a")
      yield* stage.arrived("b")
      yield* stage.fail("b")
      yield* stage.arrived("c")
      yield* stage.die("c")
      yield* stage.arrived("d")
      yield* run.cancelWork("d")
      yield* stage.arrived("e")
      assert.strictEqual(stage.most, 1)
      assert.deepStrictEqual((yield* run.status).pools, { bench: { size: 1, used: 1 } })
    }))

  it.effect("on an unknown pool are a defect that names it", () =>
    Effect.gen(function*() {
      const { engine } = yield* labs
      const run = yield* engine.open("r", { concurrency: 9, pools: { bench: 1 } })
      const job = yield* run.submit(Lab, { name: "a", plan: "unknown" })
      assert.match((yield* Effect.flip(job.await)).message, /nowhere/)
    }))

  it.effect("larger than the pool wait, are shown so, lend the unit, and can be cancelled at once", () =>
    Effect.gen(function*() {
      const { engine } = yield* labs
      const run = yield* engine.open("r", { concurrency: 1, pools: { bench: 1 } })
      const job = yield* run.submit(Lab, { name: "a", plan: "tooLarge" }, { id: "a" })
      const quick = yield* run.submit(Lab, { name: "quick", plan: "plain" })
      assert.strictEqual(yield* quick.await, "quick done")
      assert.deepStrictEqual((yield* run.status).running.map(({ waitingFor }) => waitingFor), [{
        hold: "step:measure",
        reason: { _tag: "Unsatisfiable", pool: "bench", needs: 9, size: 1 }
      }])
      yield* run.cancelWork("a")
      assert.match((yield* Effect.flip(job.await)).message, /cancelled/)
    }))

  it.effect("on an unsatisfiable claim go on when the pool grows", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* labs
      const run = yield* engine.open("r", { concurrency: 1, pools: { bench: 1 } })
      const job = yield* run.submit(Lab, { name: "a", plan: "tooLarge" }, { id: "a" })
      yield* until(run, ({ running }) => running[0]?.waitingFor !== undefined)
      yield* run.setPool("bench", 9)
      yield* stage.succeed("a")
      assert.strictEqual(yield* job.await, "a done")
    }))

  it.effect("held until a step go to the next when that step is recorded, while the work goes on", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* labs
      const run = yield* engine.open("r", { concurrency: 9, pools: { bench: 1 } })
      yield* run.submit(Lab, { name: "a", plan: "hold" }, { id: "a" })
      yield* run.submit(Lab, { name: "b", plan: "hold" }, { id: "b" })
      yield* stage.arrived("a")
      yield* quiet
      assert.isFalse(stage.started.includes("b"))
      yield* stage.succeed("a")
      yield* stage.arrived("b")
      assert.isTrue(stage.alive.has("a after"))
    }))

  it.effect("released by hand are free, and releasing twice is nothing", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* labs
      const run = yield* engine.open("r", { concurrency: 9, pools: { bench: 1 } })
      yield* run.submit(Lab, { name: "a", plan: "release" })
      yield* stage.arrived("a")
      assert.deepStrictEqual((yield* run.status).pools, { bench: { size: 1, used: 0 } })
    }))

  it.effect("held across steps are given back by a work that ends without the step", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* labs
      const run = yield* engine.open("r", { concurrency: 9, pools: { bench: 1 } })
      const job = yield* run.submit(Lab, { name: "a", plan: "hold" }, { id: "a" })
      yield* stage.fail("a")
      yield* Effect.flip(job.await)
      assert.deepStrictEqual((yield* run.status).pools, { bench: { size: 1, used: 0 } })
    }))

  it.effect("come in the order of the queue: a queued work that is more urgent goes first", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* labs
      const run = yield* engine.open("r", { concurrency: 9, pools: { bench: 1 } })
      yield* run.submit(Lab, { name: "holder", plan: "plain" }, { id: "holder", slots: { bench: 1 } })
      yield* run.submit(Lab, { name: "asks", plan: "step" }, { id: "asks" })
      yield* until(run, ({ running }) => running.some(({ waitingFor }) => waitingFor !== undefined))
      yield* run.submit(Lab, { name: "urgent", plan: "plain" }, { id: "urgent", priority: -1, slots: { bench: 1 } })
      yield* run.submit(Lab, { name: "later", plan: "plain" }, { id: "later", slots: { bench: 1 } })
      yield* stage.succeed("holder")
      yield* stage.arrived("urgent")
      yield* stage.succeed("urgent")
      yield* stage.arrived("asks")
      yield* stage.succeed("asks")
      yield* stage.arrived("later")
      assert.strictEqual(stage.most, 1)
    }))

  it.effect("of one work never exceed the pool, also when the work holds one and asks for another", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* labs
      const run = yield* engine.open("r", { concurrency: 9, pools: { bench: 1 } })
      const job = yield* run.submit(Lab, { name: "a", plan: "twice" }, { id: "a" })
      yield* until(run, ({ running }) => running[0]?.waitingFor?.hold === "two")
      yield* quiet
      assert.deepStrictEqual(stage.started, [])
      yield* run.cancelWork("a")
      yield* Effect.flip(job.await)
      assert.deepStrictEqual((yield* run.status).pools, { bench: { size: 1, used: 0 } })
    }))

  it.effect("that wait when the run is suspended are asked for again in the next session", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* labs
      const options = { concurrency: 9, pools: { bench: 1 } }
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", options)
        yield* run.submit(Lab, { name: "a", plan: "step" }, { id: "a" })
        yield* run.submit(Lab, { name: "b", plan: "step" }, { id: "b" })
        yield* stage.arrived("a")
        yield* until(run, ({ running }) => running.some(({ waitingFor }) => waitingFor !== undefined))
      }))
      const run = yield* engine.open("r", options)
      yield* stage.succeed("a", "b")
      assert.strictEqual(yield* (yield* run.job(Lab, "b")).await, "b done")
      assert.strictEqual(stage.most, 1)
    }))
})
