import { RunError, Step } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
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

describe("pausing a run", () => {
  it.effect("lets running works end, starts none, and is paused when the last has ended", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 2 })
      yield* run.add([spec("a"), spec("b"), spec("c")])
      yield* stage.arrived("b")
      yield* run.pause(by)
      const pausing = yield* run.status
      assert.deepStrictEqual([pausing.state, pausing.cause], [
        "pausing",
        { ...pausing.cause!, actor: "ada", reason: "lunch" }
      ])
      yield* stage.succeed("a")
      yield* quiet
      assert.strictEqual((yield* run.status).state, "pausing")
      yield* stage.succeed("b")
      yield* until(run, ({ state }) => state === "paused")
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(stage.started, ["a", "b"])
      assert.deepStrictEqual((yield* run.status).waiting, [
        { kind: "Task", reason: { _tag: "Run", state: "paused" }, count: 1 }
      ])
      yield* run.resume(by)
      yield* stage.arrived("c")
      assert.strictEqual((yield* run.status).cause, undefined)
    }))

  it.effect("is at once when nothing runs, and takes new work that then waits", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      assert.strictEqual((yield* run.status).state, "paused")
      yield* run.add([spec("a")])
      yield* quiet
      assert.deepStrictEqual(stage.started, [])
      yield* run.resume()
      yield* stage.arrived("a")
    }))

  it.effect("that is taken back while it is pausing goes on as if nothing had been", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.add([spec("a"), spec("b")])
      yield* stage.arrived("a")
      yield* run.pause()
      yield* run.resume()
      assert.strictEqual((yield* run.status).state, "running")
      yield* stage.succeed("a")
      yield* stage.arrived("b")
    }))

  it.effect("twice, and resuming twice, is nothing more", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause(by)
      yield* run.pause({ actor: "bob" })
      assert.strictEqual((yield* run.status).cause?.actor, "ada")
      yield* run.resume()
      yield* run.resume()
      const told = yield* tale(engine, "r")
      assert.deepStrictEqual(told, ["RunStarted", "RunPausing", "RunPaused", "RunContinued"])
    }))

  it.effect("keeps a run that is not kept open from completing only as long as works are there", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.start("r", { concurrency: 1, works: [spec("a")] })
      yield* stage.arrived("a")
      yield* run.pause()
      yield* stage.succeed("a")
      assert.strictEqual((yield* run.await).state, "completed")
    }))

  it.effect("survives the death of the process", () =>
    Effect.gen(function*() {
      const { engine, stage, state } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.add([spec("a")])
        yield* stage.arrived("a")
        yield* run.pause(by)
        state.dead = true
        yield* Effect.exit(run.add([spec("b")]))
      }))
      state.dead = false
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* quiet
      const status = yield* run.status
      assert.deepStrictEqual([status.state, status.counts.queued, status.cause?.actor], ["paused", 1, "ada"])
      assert.deepStrictEqual(stage.started, ["a"])
    }))

  it.effect("does not keep a running work from getting the slots that it asks for", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const stage = new Stage()
      const engine = yield* engineOf(
        Jobs,
        Layer.mergeAll(
          Task.toLayer(({ name }) =>
            Step.run("measure", Schema.String, stage.handler({ name }), { slots: { bench: 1 } })
          ),
          Other.toLayer(stage.sure)
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 9, pools: { bench: 1 } })
      yield* run.add([spec("a"), spec("b")])
      yield* stage.arrived("a")
      yield* until(run, ({ running }) => running.some(({ waitingFor }) => waitingFor !== undefined))
      yield* run.pause()
      yield* stage.succeed("a")
      yield* stage.arrived("b")
      yield* stage.succeed("b")
      yield* until(run, ({ state }) => state === "paused")
    }))
})

describe("pausing a kind or a key", () => {
  it.effect("starts nothing more of it, leaves alone what runs, and lets others pass", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("a")])
      yield* stage.arrived("a")
      yield* run.pause({ ...by, kind: "Task" })
      yield* run.add([spec("b"), spec("o", { kind: "Other" })])
      yield* stage.arrived("o")
      const status = yield* run.status
      assert.strictEqual(status.state, "running")
      assert.deepStrictEqual(status.waiting, [
        { kind: "Task", reason: { _tag: "Paused", scope: { _tag: "Kind", kind: "Task" } }, count: 1 }
      ])
      assert.deepInclude(status.kinds["Task"]?.paused, by)
      yield* stage.succeed("a")
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a", "o"])
      yield* run.resume({ kind: "Task" })
      yield* stage.arrived("b")
      assert.strictEqual((yield* run.status).kinds["Task"]?.paused, undefined)
    }))

  it.effect("of a key holds for all kinds with it", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.pause({ key: "k" })
      yield* run.add([
        spec("a", { key: "k" }),
        spec("b", { key: "k", kind: "Other" }),
        spec("c", { key: "l" }),
        spec("d")
      ])
      yield* quiet
      assert.deepStrictEqual(stage.started.toSorted(), ["c", "d"])
      assert.deepStrictEqual((yield* run.status).waiting.map(({ kind, reason }) => [kind, reason]), [
        ["Task", { _tag: "Paused", scope: { _tag: "Key", key: "k" } }],
        ["Other", { _tag: "Paused", scope: { _tag: "Key", key: "k" } }]
      ])
      yield* run.resume({ key: "k" })
      yield* stage.arrived("a")
      yield* stage.arrived("b")
    }))

  it.effect("of a kind and of a key hold both: the work starts when both are continued", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.pause({ key: "k" })
      yield* run.pause({ kind: "Task" })
      yield* run.add([spec("a", { key: "k" })])
      yield* run.resume({ key: "k" })
      yield* quiet
      assert.deepStrictEqual(stage.started, [])
      yield* run.resume({ kind: "Task" })
      yield* stage.arrived("a")
    }))

  it.effect("survives a restart, and so does a key that had no works", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9 })
        yield* run.pause({ kind: "Other" })
        yield* run.pause({ key: "k" })
      }))
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("a", { key: "k" }), spec("o", { kind: "Other" }), spec("free")])
      yield* stage.arrived("free")
      yield* quiet
      assert.deepStrictEqual(stage.started, ["free"])
    }))

  it.effect("is not undone by resuming the whole run", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.pause({ kind: "Task" })
      yield* run.pause()
      yield* run.add([spec("a")])
      yield* run.resume()
      yield* quiet
      assert.deepStrictEqual(stage.started, [])
    }))

  it.effect("of a kind that the engine does not have, or of kind and key at once, is refused", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      const unknown = yield* Effect.flip(run.pause({ kind: "Tusk" }))
      assert.instanceOf(unknown, RunError.InvalidWork)
      assert.match(unknown.message, /Tusk/)
      assert.strictEqual((yield* Effect.flip(run.pause({ kind: "Task", key: "k" })))._tag, "InvalidWork")
      assert.strictEqual((yield* Effect.flip(run.resume({ kind: "Task", key: "k" })))._tag, "InvalidWork")
    }))
})

describe("pausing an engine", () => {
  it.effect("pauses every run that is open, and those that are opened meanwhile; unpause goes on", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const one = yield* engine.open("one", { concurrency: 1 })
      yield* one.add([spec("a"), spec("b")])
      yield* stage.arrived("a")
      yield* engine.pause(by)
      const two = yield* engine.start("two", { concurrency: 1, works: [spec("c")] })
      assert.deepStrictEqual([(yield* one.status).state, (yield* two.status).state], ["pausing", "paused"])
      assert.deepStrictEqual([(yield* one.status).cause?.actor, (yield* two.status).cause?.reason], ["ada", "lunch"])
      yield* stage.succeed("a")
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a"])
      yield* engine.unpause({ actor: "bob" })
      yield* stage.arrived("b")
      yield* stage.arrived("c")
    }))

  it.effect("does not start anything of a run that is resumed meanwhile", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.add([spec("a"), spec("b")])
        yield* stage.arrived("a")
      }))
      yield* engine.pause()
      const run = yield* engine.resume("r", { concurrency: 1 })
      yield* quiet
      assert.deepStrictEqual([(yield* run.status).state, stage.started.length], ["paused", 1])
      yield* engine.unpause()
      yield* until(run, ({ counts }) => counts.running === 1)
    }))

  it.effect("twice is nothing more, and runs that are over do not spoil it", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const over = yield* engine.start("over", { concurrency: 1, works: [spec("quick")] })
      yield* over.await
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* engine.pause()
      yield* engine.pause()
      assert.strictEqual((yield* run.status).state, "paused")
      yield* engine.unpause()
      yield* engine.unpause()
      assert.deepStrictEqual([(yield* run.status).state, (yield* over.status).state], ["running", "completed"])
    }))

  it.effect("does not touch runs opened after it was unpaused", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      yield* engine.pause()
      yield* engine.unpause()
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual((yield* run.status).state, "running")
    }))
})
