import { RunStatus, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule, Schema } from "effect"
import { Boom, engineOf, laboratory, mortalJournal, quiet, spec, Stage, Task, until } from "./laboratory.ts"

class Flaky extends WorkKind.make("Flaky", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  limit: 2,
  timeout: "10 seconds",
  retry: Schedule.recurs(1)
}) {}

class Steady extends WorkKind.make("Steady", { payload: { name: Schema.String }, success: Schema.String }) {}

class Old extends WorkEngine.Service<Old>()("test/unit/Old", { kinds: [Flaky, Steady] }) {}

describe("why works wait", () => {
  /** Brings about every reason at once, as one opener after the other would. */
  const reasons = Effect.gen(function*() {
    const { layer } = yield* mortalJournal
    const old = yield* engineOf(
      Old,
      Layer.mergeAll(Flaky.toLayer(() => Effect.never), Steady.toLayer(() => Effect.never)),
      layer
    )
    yield* Effect.scoped(Effect.gen(function*() {
      const run = yield* old.open("r", { concurrency: 9 })
      yield* run.pause()
      const kind = "Steady"
      yield* run.add([
        spec("lost", { kind: "Flaky" }),
        spec("undecodable", { kind }),
        spec("dependency", { kind, after: ["undecodable"] }),
        spec("until", { kind, notBefore: 60_000 }),
        spec("paused", { kind })
      ])
      yield* run.pauseWork("paused")
    }))
    class Changed extends WorkKind.make("Steady", {
      payload: { name: Schema.String.check(Schema.isMinLength(100)) },
      success: Schema.String,
      limit: 9
    }) {}
    class Young extends WorkEngine.Service<Young>()("test/unit/Young", { kinds: [Changed, Task] }) {}
    const stage = new Stage()
    const engine = yield* engineOf(
      Young,
      Layer.mergeAll(Changed.toLayer(() => Effect.never), Task.toLayer(stage.handler)),
      layer
    )
    const run = yield* engine.open("r", { concurrency: 2, pools: { gpu: 1 }, keyLimit: 1 })
    yield* run.resume()
    yield* run.add([spec("holder", { key: "k", slots: { gpu: 1 } })])
    yield* stage.arrived("holder")
    yield* run.add([
      spec("key", { key: "k" }),
      spec("slot", { slots: { gpu: 1 } }),
      spec("unsatisfiable", { slots: { gpu: 2 } })
    ])
    yield* quiet
    return { run, stage }
  })

  it.effect("is told as data of each work, and by kind and reason of all", () =>
    Effect.gen(function*() {
      const { run } = yield* reasons
      const tags: Record<string, string | undefined> = {}
      for (const id of ["lost", "undecodable", "dependency", "until", "paused", "key", "slot", "unsatisfiable"]) {
        tags[id] = (yield* run.work(id)).reason?._tag
      }
      assert.deepStrictEqual(tags, {
        lost: "NoHandler",
        undecodable: "Undecodable",
        dependency: "Dependency",
        until: "Until",
        paused: "Paused",
        key: "KeyLimit",
        slot: "Slot",
        unsatisfiable: "Unsatisfiable"
      })
      const { counts, waiting } = yield* run.status
      assert.strictEqual(
        waiting.reduce((sum, { count }) => sum + count, 0),
        counts.queued + counts.waiting + counts.blocked
      )
      assert.deepStrictEqual(
        waiting.map(({ reason }) => reason._tag).toSorted(),
        Object.values(tags).toSorted() as Array<string>
      )
      assert.deepStrictEqual((yield* run.work("dependency")).waitsFor, ["undecodable"])
    }))

  it.effect("is described in words that name what is lacking", () =>
    Effect.gen(function*() {
      const { run } = yield* reasons
      const words = (yield* run.status).waiting.map(({ reason }) => RunStatus.describe(reason))
      for (const word of [/"Flaky"/, /1970-01-01T00:01:00/, /"k"/, /gpu: needs 1, 0 free/, /gpu: needs 2.*1 in all/]) {
        assert.isTrue(words.some((line) => word.test(line)), `${word} in ${words.join("; ")}`)
      }
      assert.isTrue(words.every((line) => line.length > 5))
    }))

  it.effect("is the concurrency when that is used up, the limit of the kind, or the state of the run", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* reasons
      yield* run.add([spec("free"), spec("b")])
      yield* stage.arrived("free")
      assert.deepStrictEqual((yield* run.work("b")).reason, { _tag: "Concurrency", limit: 2 })
      yield* run.setKindLimit("Task", 2)
      assert.deepStrictEqual((yield* run.work("b")).reason, { _tag: "KindLimit", kind: "Task", limit: 2 })
      yield* run.pause({ kind: "Task" })
      assert.deepStrictEqual((yield* run.work("b")).reason, { _tag: "Paused", scope: { _tag: "Kind", kind: "Task" } })
      yield* run.pause()
      assert.deepStrictEqual((yield* run.work("b")).reason, { _tag: "Run", state: "pausing" })
    }))

  it.effect("is gone for works that run or have settled", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("a"), spec("quick")])
      yield* stage.arrived("a")
      yield* (yield* run.job(Task, "quick")).await
      assert.deepStrictEqual([(yield* run.work("a")).reason, (yield* run.work("quick")).reason], [undefined, undefined])
      assert.strictEqual((yield* run.work("a")).running?.id, "a")
      assert.strictEqual((yield* run.work("quick")).running, undefined)
    }))
})

describe("deployments", () => {
  const payload = { name: Schema.String }
  it.effect("block a payload that they cannot read, and run it when one can", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      class One extends WorkKind.make("Doc", { payload, success: Schema.String }) {}
      class Two extends WorkKind.make("Doc", { payload: { title: Schema.String }, success: Schema.String }) {}
      class EngineOne extends WorkEngine.Service<EngineOne>()("test/unit/EngineOne", { kinds: [One] }) {}
      class EngineTwo extends WorkEngine.Service<EngineTwo>()("test/unit/EngineTwo", { kinds: [Two] }) {}
      const one = yield* engineOf(EngineOne, One.toLayer(({ name }) => Effect.succeed(name)), layer)
      const two = yield* engineOf(EngineTwo, Two.toLayer(({ title }) => Effect.succeed(title)), layer)
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* one.open("r", { concurrency: 1 })
        yield* run.pause()
        yield* run.submit(One, { name: "old" }, { id: "old" })
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* two.open("r", { concurrency: 1 })
        yield* run.resume()
        const status = yield* until(run, ({ counts }) => counts.blocked === 1)
        assert.match(JSON.stringify(status.waiting), /Undecodable.*title/)
        const next = yield* run.submit(Two, { title: "new" })
        assert.strictEqual(yield* next.await, "new", "one that cannot be read does not stop the others")
        const job = yield* run.job(Two, "old")
        assert.strictEqual((yield* job.status).state, "blocked")
      }))
      const run = yield* one.open("r", { concurrency: 1 })
      assert.strictEqual(yield* (yield* run.job(One, "old")).await, "old")
    }))
})
