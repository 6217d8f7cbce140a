import { type CurrentWork, Slots, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Boom, engineOf, mortalJournal, quiet, Stage, until } from "./laboratory.ts"

class Measure extends WorkKind.make("Measure", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  retry: Schedule.spaced("1 minute").pipe(Schedule.upTo({ times: 1 }))
}) {}
class Narrow extends WorkKind.make("Narrow", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  limit: 1
}) {}
class Benches extends WorkEngine.Service<Benches>()("test/unit/Benches", { kinds: [Measure, Narrow] }) {}

type Script = (name: string, stage: Stage) => Effect.Effect<string, Boom, CurrentWork.CurrentWork>

const benches = Effect.fnUntraced(function*(script: Script, onCancel?: Effect.Effect<void>) {
  const { layer, state } = yield* mortalJournal
  const stage = new Stage()
  const handlers = Layer.mergeAll(
    Measure.toLayer(({ name }) => script(name, stage), onCancel === undefined ? {} : { onCancel: () => onCancel }),
    Narrow.toLayer(({ name }) => script(name, stage))
  )
  return { engine: yield* engineOf(Benches, handlers, layer), stage, state }
})

/** Holds the bench over two steps. */
const holding: Script = (name, stage) =>
  Effect.gen(function*() {
    if (name.startsWith("free")) return yield* stage.handler({ name })
    yield* Slots.hold("bench", { bench: 1 }, { until: "end" })
    yield* stage.handler({ name })
    yield* Step.run("end", Schema.Void, Effect.void)
    return yield* stage.handler({ name: `${name} after` })
  })

/** Claims the bench for one step. */
const stepping: Script = (name, stage) =>
  name.startsWith("free")
    ? stage.handler({ name })
    : Step.run("measure", Schema.String, stage.handler({ name }), { slots: { bench: 1 } })

const options = { concurrency: 9, pools: { bench: 1 } }
const used = (status: { readonly pools: { readonly [name: string]: { readonly used: number } } }) =>
  status.pools["bench"]?.used

describe("what a work holds across steps", () => {
  it.effect("stays held while it waits for its retry, and nobody else gets it", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* benches(holding)
      const run = yield* engine.open("r", options)
      yield* run.submit(Measure, { name: "a" }, { id: "a" })
      yield* run.submit(Measure, { name: "b" }, { id: "b", priority: -1 })
      yield* stage.arrived("a").pipe(Effect.race(stage.arrived("b")))
      const first = stage.started[0]!
      const second = first === "a" ? "b" : "a"
      yield* stage.fail(first)
      const status = yield* until(run, ({ counts }) => counts.waiting === 1)
      assert.strictEqual(used(status), 1)
      yield* quiet
      assert.isFalse(stage.started.includes(second))
      yield* TestClock.adjust("1 minute")
      yield* until(run, ({ counts }) => counts.failed === 1)
      yield* stage.arrived(second)
    }))

  it.effect("stays held while it is paused, and through a restart", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* benches((name, self) =>
        Effect.gen(function*() {
          yield* Slots.hold("bench", { bench: 1 })
          yield* Step.run("one", Schema.String, self.handler({ name }))
          return yield* self.handler({ name: `${name} after` })
        })
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", options)
        yield* run.submit(Measure, { name: "a" }, { id: "a" })
        yield* stage.arrived("a")
        yield* run.submit(Measure, { name: "b" }, { id: "b", priority: -1 })
        yield* run.pauseWork("a")
        yield* stage.succeed("a")
        yield* until(run, ({ counts }) => counts.waiting === 1)
        yield* quiet
        assert.strictEqual(used(yield* run.status), 1)
      }))
      const run = yield* engine.open("r", options)
      yield* quiet
      assert.strictEqual(used(yield* run.status), 1)
      assert.isFalse(stage.started.includes("b"))
      yield* run.resumeWork("a")
      yield* stage.succeed("a after")
      yield* stage.arrived("b")
    }))

  it.effect("stays held until onCancel has succeeded", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { engine, stage } = yield* benches(holding, Deferred.await(gate))
      const run = yield* engine.open("r", options)
      yield* run.submit(Measure, { name: "a" }, { id: "a" })
      yield* stage.arrived("a")
      yield* run.submit(Measure, { name: "b" }, { id: "b" })
      yield* run.cancelWork("a")
      yield* until(run, ({ counts }) => counts.cleaning === 1)
      yield* quiet
      assert.deepStrictEqual([used(yield* run.status), stage.started], [1, ["a"]])
      yield* Deferred.succeed(gate, undefined)
      yield* stage.arrived("b")
    }))

  it.effect("is given back by a retry by name, and taken anew", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* benches((name, self) =>
        Effect.andThen(Slots.hold("bench", { bench: 1 }), self.handler({ name }))
      )
      const run = yield* engine.open("r", options)
      const job = yield* run.submit(Measure, { name: "quick" }, { id: "a" })
      yield* job.await
      assert.strictEqual(used(yield* run.status), 0)
      yield* run.retry("a")
      yield* job.await
      assert.deepStrictEqual([used(yield* run.status), stage.started.length], [0, 2])
    }))

  it.effect("is not granted beyond a pool that the next opener has made smaller", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* benches(holding)
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9, pools: { bench: 2 } })
        for (const name of ["a", "b", "c"]) yield* run.submit(Measure, { name }, { id: name })
        yield* stage.arrived("b")
      }))
      const run = yield* engine.open("r", options)
      yield* quiet
      assert.deepStrictEqual((yield* run.status).pools, { bench: { size: 1, used: 2 } })
      yield* stage.succeed("a")
      yield* stage.arrived("a after")
      yield* quiet
      assert.isFalse(stage.started.includes("c"), "one is still held, and the pool has one")
      yield* stage.succeed("b")
      yield* stage.arrived("c")
    }))

  it.effect("is restored before anything new is granted, when both holders are found after a crash", () =>
    Effect.gen(function*() {
      const { engine, stage, state } = yield* benches(holding)
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", options)
        yield* run.submit(Measure, { name: "a" }, { id: "a" })
        yield* stage.arrived("a")
        yield* run.submit(Measure, { name: "b" }, { id: "b", priority: -9 })
        yield* until(run, ({ running }) => running.some(({ waitingFor }) => waitingFor !== undefined))
        state.dead = true
        yield* Effect.exit(run.pause())
      }))
      state.dead = false
      yield* engine.open("r", options)
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a", "a"])
      yield* stage.succeed("a")
      yield* stage.arrived("b")
    }))

  it.effect("under the same name with another claim keeps what it has", () =>
    Effect.gen(function*() {
      const { engine } = yield* benches(() =>
        Effect.gen(function*() {
          yield* Slots.hold("bench", { bench: 1 })
          yield* Slots.hold("bench", { bench: 1 })
          return "x"
        })
      )
      const run = yield* engine.open("r", options)
      assert.strictEqual(yield* (yield* run.submit(Measure, { name: "a" })).await, "x")
    }))
})

describe("a running work that waits for a claim", () => {
  it.effect("lends its concurrency unit and gets one again: no more than the limit is ever in use", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* benches(stepping)
      const run = yield* engine.open("r", { concurrency: 1, pools: { bench: 1 } })
      yield* run.submit(Measure, { name: "free holder" }, { id: "holder", slots: { bench: 1 } })
      yield* stage.arrived("free holder")
      yield* run.submit(Measure, { name: "asks" }, { id: "asks" })
      yield* run.setConcurrency(2)
      yield* until(run, ({ running }) => running.some(({ waitingFor }) => waitingFor !== undefined))
      yield* run.setConcurrency(1)
      yield* run.submit(Measure, { name: "free" }, { id: "free" })
      yield* quiet
      assert.deepStrictEqual((yield* run.status).concurrency, { limit: 1, used: 1 })
      yield* stage.succeed("free holder")
      yield* quiet
      const { concurrency } = yield* run.status
      assert.isTrue(concurrency.used <= 1, `${concurrency.used} of 1`)
      yield* stage.succeed("asks", "free")
      yield* until(run, ({ counts }) => counts.succeeded === 3)
    }))

  it.effect("does not lend the limit of its kind, nor of its key", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* benches(stepping)
      const run = yield* engine.open("r", { ...options, keyLimit: 1 })
      yield* run.submit(Measure, { name: "free holder" }, { id: "holder", slots: { bench: 1 } })
      yield* stage.arrived("free holder")
      yield* run.submit(Narrow, { name: "asks" }, { id: "asks", key: "k" })
      yield* until(run, ({ running }) => running.some(({ waitingFor }) => waitingFor !== undefined))
      yield* run.submit(Narrow, { name: "free kind" }, { id: "kind" })
      yield* run.submit(Measure, { name: "free key" }, { id: "key", key: "k" })
      yield* quiet
      assert.deepStrictEqual(stage.started, ["free holder"])
      yield* stage.succeed("free holder", "asks")
      yield* stage.arrived("free kind")
      yield* stage.arrived("free key")
    }))

  it.effect("has its place in the queue changed by reprioritizing it", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* benches(stepping)
      const run = yield* engine.open("r", options)
      yield* run.submit(Measure, { name: "free holder" }, { id: "holder", slots: { bench: 1 } })
      yield* stage.arrived("free holder")
      yield* run.submit(Measure, { name: "a" }, { id: "a" })
      yield* run.submit(Measure, { name: "b" }, { id: "b" })
      yield* until(run, ({ running }) => running.filter(({ waitingFor }) => waitingFor !== undefined).length === 2)
      yield* run.reprioritize("b", -1)
      yield* stage.succeed("free holder")
      yield* stage.arrived("b")
      yield* quiet
      assert.isFalse(stage.started.includes("a"))
    }))

  it.effect("that is paused begins no step when the claim is granted", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* benches(stepping)
      const run = yield* engine.open("r", options)
      yield* run.submit(Measure, { name: "free holder" }, { id: "holder", slots: { bench: 1 } })
      yield* stage.arrived("free holder")
      yield* run.submit(Measure, { name: "a" }, { id: "a" })
      yield* until(run, ({ running }) => running.some(({ waitingFor }) => waitingFor !== undefined))
      yield* run.pauseWork("a")
      yield* stage.succeed("free holder")
      const { pools } = yield* until(run, ({ counts }) => counts.waiting === 1)
      assert.deepStrictEqual([stage.started, pools["bench"]?.used], [["free holder"], 0])
      yield* run.resumeWork("a")
      yield* stage.arrived("a")
    }))

  it.effect("expires at its deadline, and gives its place up", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* benches(stepping)
      const run = yield* engine.open("r", options)
      yield* run.submit(Measure, { name: "free holder" }, { id: "holder", slots: { bench: 1 } })
      yield* stage.arrived("free holder")
      yield* run.add([
        { id: "a", kind: "Measure", priority: 0, payload: { name: "a" }, deadline: 1_000 },
        { id: "b", kind: "Measure", priority: 0, payload: { name: "b" } }
      ])
      yield* until(run, ({ running }) => running.filter(({ waitingFor }) => waitingFor !== undefined).length === 2)
      yield* TestClock.adjust(1_000)
      yield* until(run, ({ counts }) => counts.failed === 1)
      yield* stage.succeed("free holder")
      yield* stage.arrived("b")
      assert.isFalse(stage.started.includes("a"))
    }))

  it.effect("is found to wait, by number and by name, in the status", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* benches(stepping)
      const run = yield* engine.open("r", options)
      yield* run.submit(Measure, { name: "free holder" }, { id: "holder", slots: { bench: 1 } })
      yield* stage.arrived("free holder")
      yield* run.submit(Measure, { name: "a" }, { id: "a" })
      const { running } = yield* until(
        run,
        (status) => status.running.some(({ waitingFor }) => waitingFor !== undefined)
      )
      assert.deepStrictEqual(running.find(({ id }) => id === "a")?.waitingFor, {
        hold: "step:measure",
        reason: { _tag: "Slot", pool: "bench", needs: 1, free: 0 }
      })
    }))

  it.effect("with several claims in several fibers gets them all, and lends its unit until the last", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* benches((name, self) =>
        name.startsWith("free")
          ? self.handler({ name })
          : Effect.as(
            Effect.all(
              ["x", "y", "z"].map((step) =>
                Step.run(step, Schema.String, self.handler({ name: `${name} ${step}` }), { slots: { bench: 1 } })
              ),
              { concurrency: "unbounded" }
            ),
            name
          )
      )
      const run = yield* engine.open("r", { concurrency: 1, pools: { bench: 1 } })
      const job = yield* run.submit(Measure, { name: "a" }, { id: "a" })
      const free = yield* run.submit(Measure, { name: "free quick" }, { id: "free" })
      yield* stage.arrived("a x")
      yield* stage.succeed("free quick")
      assert.strictEqual(yield* free.await, "free quick done")
      yield* stage.succeed("a x", "a y", "a z")
      assert.strictEqual(yield* job.await, "a")
      assert.strictEqual(stage.most <= 2, true)
      const { concurrency, pools } = yield* run.status
      assert.deepStrictEqual([concurrency.used, pools["bench"]?.used], [0, 0])
    }))
})
