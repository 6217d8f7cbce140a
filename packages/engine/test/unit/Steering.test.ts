import { RunError } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { laboratory, quiet, spec, Task, until } from "./laboratory.ts"

const busy = Effect.gen(function*() {
  const lab = yield* laboratory
  const run = yield* lab.engine.open("r", { concurrency: 1, pools: { gpu: 1 } })
  yield* run.add([spec("busy")])
  yield* lab.stage.arrived("busy")
  return { ...lab, run }
})

describe("reprioritizing", () => {
  it.effect("moves a queued work before and behind the others", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* busy
      yield* run.add(["a", "b", "c"].map((name) => spec(name, { payload: { name: `quick-${name}` } })))
      yield* run.reprioritize("c", -1)
      yield* run.reprioritize("a", 1, { actor: "ada", reason: "later" })
      assert.deepStrictEqual((yield* run.queue()).map(({ id, priority }) => [id, priority]), [["c", -1], ["b", 0], [
        "a",
        1
      ]])
      yield* stage.succeed("busy")
      yield* until(run, ({ counts }) => counts.succeeded === 4)
      assert.deepStrictEqual(stage.started, ["busy", "quick-c", "quick-b", "quick-a"])
    }))

  it.effect("there and back leaves a work its old place by arrival", () =>
    Effect.gen(function*() {
      const { run } = yield* busy
      yield* run.add(["a", "b", "c"].map((name) => spec(name)))
      yield* run.reprioritize("a", 5)
      yield* run.reprioritize("a", 0)
      assert.deepStrictEqual((yield* run.queue()).map(({ id }) => id), ["a", "b", "c"])
    }))

  it.effect("of a waiting work counts when it is queued", () =>
    Effect.gen(function*() {
      const { run } = yield* busy
      yield* run.add([spec("timed", { notBefore: 1_000 }), spec("a")])
      yield* run.reprioritize("timed", -1)
      yield* TestClock.adjust(1_000)
      yield* quiet
      assert.deepStrictEqual((yield* run.queue()).map(({ id }) => id), ["timed", "a"])
    }))

  it.effect("survives a restart", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.add([spec("busy"), spec("a"), spec("b")])
        yield* stage.arrived("busy")
        yield* run.reprioritize("b", -3)
      }))
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* quiet
      assert.deepStrictEqual((yield* run.queue()).map(({ id, priority }) => [id, priority]), [["b", -3], ["a", 0]])
    }))

  it.effect("of a running work counts for its retry and for slots that it asks for; of a settled one it is refused", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* busy
      yield* run.reprioritize("busy", 3)
      yield* stage.succeed("busy")
      yield* (yield* run.job(Task, "busy")).await
      assert.strictEqual((yield* Effect.flip(run.reprioritize("busy", 1)))._tag, "WorkSettled")
      assert.strictEqual((yield* Effect.flip(run.reprioritize("nobody", 1)))._tag, "WorkNotFound")
    }))

  it.effect("with what is no finite number is refused, and changes nothing", () =>
    Effect.gen(function*() {
      const { run } = yield* busy
      yield* run.add([spec("a")])
      for (const bad of [Number.NaN, Infinity, -Infinity]) {
        const error = yield* Effect.flip(run.reprioritize("a", bad))
        assert.instanceOf(error, RunError.InvalidWork)
        assert.strictEqual(error.field, "priority")
        const many = yield* Effect.flip(run.select({ ids: ["a"] }).reprioritize(bad))
        assert.strictEqual(many._tag, "InvalidWork")
      }
      assert.deepStrictEqual((yield* run.queue()).map(({ priority }) => priority), [0])
    }))

  it.effect("takes negative zero, fractions and huge numbers as priorities", () =>
    Effect.gen(function*() {
      const { run } = yield* busy
      yield* run.add([
        spec("d", { priority: Number.MAX_VALUE }),
        spec("c", { priority: 0.5 }),
        spec("a", { priority: -Number.MAX_VALUE }),
        spec("b", { priority: -0 }),
        spec("b2", { priority: 0 })
      ])
      assert.deepStrictEqual((yield* run.queue()).map(({ id }) => id), ["a", "b", "b2", "c", "d"])
    }))
})

describe("the listed queue", () => {
  it.effect("is the order in which works start, over kinds, claims, keys and priorities", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* busy
      yield* run.add([
        spec("quick-g1", { slots: { gpu: 1 } }),
        spec("quick-a1", { key: "a" }),
        spec("quick-o1", { kind: "Other", priority: -1 }),
        spec("quick-g2", { slots: { gpu: 1 }, key: "a" }),
        spec("quick-b1", { key: "b" }),
        spec("quick-n1"),
        spec("quick-a2", { key: "a", priority: -1 }),
        spec("quick-o2", { kind: "Other", key: "b" })
      ])
      const listed = (yield* run.queue()).map(({ id }) => id)
      yield* stage.succeed("busy")
      yield* until(run, ({ counts }) => counts.succeeded === 9)
      assert.deepStrictEqual(stage.started.slice(1), listed)
    }))

  it.effect("holds what a suspend interrupted first", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 2 })
        yield* run.add([spec("a", { priority: 9 }), spec("b", { priority: 8 }), spec("c", { priority: -9 })])
        yield* stage.arrived("b")
      }))
      yield* engine.pause()
      const run = yield* engine.open("r", { concurrency: 1 })
      const ids = (yield* run.queue()).map(({ id }) => id)
      assert.deepStrictEqual(ids.slice(0, 2).toSorted(), ["b", "c"], "taken up first")
      assert.strictEqual(ids.at(-1), "a")
    }))

  it.effect("is cut at the limit that is asked for, and at a hundred", () =>
    Effect.gen(function*() {
      const { run } = yield* busy
      yield* run.add(Array.from({ length: 150 }, (_, n) => spec(`w${n}`)))
      assert.strictEqual((yield* run.queue()).length, 100)
      assert.deepStrictEqual((yield* run.queue({ limit: 3 })).map(({ id }) => id), ["w0", "w1", "w2"])
      assert.deepStrictEqual(yield* run.queue({ limit: 0 }), [])
      assert.strictEqual((yield* run.queue({ limit: Infinity })).length, 150)
    }))

  it.effect("changes nothing by being listed", () =>
    Effect.gen(function*() {
      const { run } = yield* busy
      yield* run.add(Array.from({ length: 20 }, (_, n) => spec(`w${n}`, { key: `k${n % 3}` })))
      const first = yield* run.queue()
      assert.deepStrictEqual(yield* run.queue(), first)
      assert.strictEqual((yield* run.status).counts.queued, 20)
    }))

  it.effect("does not hold what waits", () =>
    Effect.gen(function*() {
      const { run } = yield* busy
      yield* run.add([spec("timed", { notBefore: 9_000 }), spec("after", { after: ["busy"] }), spec("paused")])
      yield* run.pauseWork("paused")
      assert.deepStrictEqual(yield* run.queue(), [])
    }))
})

describe("a selection", () => {
  const herd = Effect.gen(function*() {
    const lab = yield* busy
    yield* lab.run.add([
      spec("t1", { key: "k" }),
      spec("t2"),
      spec("o1", { kind: "Other", key: "k" }),
      spec("o2", { kind: "Other" }),
      spec("w1", { notBefore: 9_000 })
    ])
    return lab
  })

  it.effect("is of all that match every part of the filter", () =>
    Effect.gen(function*() {
      const { run } = yield* herd
      const ids = (filter: Parameters<typeof run.select>[0]) =>
        Effect.map(run.select(filter).ids, (found) => [...found].toSorted())
      assert.deepStrictEqual(yield* ids(undefined), ["busy", "o1", "o2", "t1", "t2", "w1"])
      assert.deepStrictEqual(yield* ids({ kind: "Other" }), ["o1", "o2"])
      assert.deepStrictEqual(yield* ids({ key: "k" }), ["o1", "t1"])
      assert.deepStrictEqual(yield* ids({ key: "k", kind: "Task" }), ["t1"])
      assert.deepStrictEqual(yield* ids({ state: "waiting" }), ["w1"])
      assert.deepStrictEqual(yield* ids({ state: ["running", "waiting"] }), ["busy", "w1"])
      assert.deepStrictEqual(yield* ids({ ids: ["t2", "nobody", "o1"], kind: "Task" }), ["t2"])
      assert.deepStrictEqual(yield* ids({ ids: [] }), [])
      assert.deepStrictEqual(yield* ids({ state: [] }), [])
      assert.deepStrictEqual(yield* ids({ kind: "Nope" }), [])
      assert.strictEqual(yield* run.select({ kind: "Task" }).count, 4)
    }))

  it.effect("is looked at anew by each operation", () =>
    Effect.gen(function*() {
      const { run } = yield* herd
      const queued = run.select({ state: "queued" })
      assert.strictEqual(yield* queued.count, 4)
      yield* run.cancelWork("t1")
      assert.strictEqual(yield* queued.count, 3)
    }))

  it.effect("cancels all in one breath, and tells how many it changed; settled ones are passed over", () =>
    Effect.gen(function*() {
      const { engine, run } = yield* herd
      yield* run.cancelWork("o1")
      assert.strictEqual(yield* run.select({ kind: "Other" }).cancel({ actor: "ada", reason: "off" }), 1)
      assert.strictEqual(yield* run.select({ kind: "Other" }).cancel(), 0)
      assert.deepStrictEqual((yield* run.work("o2")).outcome, { _tag: "Cancelled", actor: "ada", reason: "off" })
      const events = yield* engine.history("r")
      assert.isTrue(events.length > 0)
    }))

  it.effect("counts a work once, also one that is running or has others behind it", () =>
    Effect.gen(function*() {
      const { run } = yield* herd
      yield* run.add([spec("after", { after: ["t2"] })])
      assert.strictEqual(yield* run.select({ ids: ["t2"] }).cancel(), 1)
      assert.strictEqual((yield* run.work("after")).state, "skipped")
      assert.strictEqual(yield* run.select({ ids: ["busy"] }).cancel(), 1)
    }))

  it.effect("pauses and resumes, works that are paused or not paused already are not counted", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* herd
      yield* run.pauseWork("t1")
      assert.strictEqual(yield* run.select({ kind: "Task", state: ["queued", "waiting"] }).pause(), 2)
      yield* stage.succeed("busy")
      yield* until(run, ({ counts }) => counts.succeeded === 1)
      yield* quiet
      assert.isFalse(stage.started.some((name) => name.startsWith("t")))
      assert.strictEqual(yield* run.select({ kind: "Task" }).resume(), 3)
      assert.strictEqual(yield* run.select({ kind: "Task" }).resume(), 0)
    }))

  it.effect("reprioritizes all", () =>
    Effect.gen(function*() {
      const { run } = yield* herd
      assert.strictEqual(yield* run.select({ kind: "Other" }).reprioritize(-5), 2)
      assert.deepStrictEqual((yield* run.queue()).map(({ id }) => id).slice(0, 2).toSorted(), ["o1", "o2"])
    }))

  it.effect("retries all that failed, and from a step only those that have it", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("f1"), spec("f2"), spec("quick")])
      yield* stage.fail("f1")
      yield* stage.fail("f2")
      yield* until(run, ({ counts }) => counts.failed === 2 && counts.succeeded === 1)
      assert.strictEqual(yield* run.select({ state: "failed" }).retry({ from: "nowhere" }), 0)
      assert.strictEqual((yield* run.status).counts.failed, 2)
      assert.strictEqual(yield* run.select({ state: "failed" }).retry({ actor: "ada" }), 2)
      yield* until(run, ({ counts }) => counts.failed === 2)
      assert.deepStrictEqual(stage.started.filter((name) => name === "f1").length, 2)
      assert.strictEqual((yield* run.work("quick")).generation, 0)
    }))

  it.effect("by parent is of the works that a work has spawned, which none here has", () =>
    Effect.gen(function*() {
      const { run } = yield* herd
      assert.deepStrictEqual(yield* run.select({ parent: "busy" }).ids, [])
      yield* run.add([spec("child", { parent: "busy" })])
      assert.deepStrictEqual(yield* run.select({ parent: "busy" }).ids, ["child"])
    }))

  it.effect("of thirty thousand works is cancelled without falling over", () =>
    Effect.gen(function*() {
      const { run } = yield* busy
      yield* run.pause({ kind: "Task" })
      yield* run.add(Array.from({ length: 30_000 }, (_, n) => spec(`w${n}`)))
      assert.strictEqual(yield* run.select({ state: "queued" }).cancel(), 30_000)
    }))

  it.effect("in a run that takes nothing more is refused", () =>
    Effect.gen(function*() {
      const { run } = yield* herd
      yield* run.cancel()
      yield* run.await
      assert.strictEqual((yield* Effect.flip(run.select().retry()))._tag, "RunNotAccepting")
      assert.strictEqual((yield* Effect.flip(run.select().pause()))._tag, "RunNotAccepting")
    }))
})
