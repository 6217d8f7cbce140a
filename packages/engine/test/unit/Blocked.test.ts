import { WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { engineOf, mortalJournal, quiet, spec, Stage, Task, until } from "./laboratory.ts"

class Old extends WorkKind.make("Doc", { payload: { name: Schema.String }, success: Schema.String }) {}
class New extends WorkKind.make("Doc", { payload: { title: Schema.String }, success: Schema.String }) {}
class OldEngine extends WorkEngine.Service<OldEngine>()("test/unit/OldEngine", { kinds: [Old, Task] }) {}
class NewEngine extends WorkEngine.Service<NewEngine>()("test/unit/NewEngine", { kinds: [New, Task] }) {}
class Without extends WorkEngine.Service<Without>()("test/unit/Without", { kinds: [Task] }) {}

/** Three programs on one journal: one that wrote the works, one that reads them no more, and one that has lost their kind. */
const programs = Effect.gen(function*() {
  const { layer } = yield* mortalJournal
  const stage = new Stage()
  const undone: Array<string> = []
  const task = Task.toLayer(stage.handler)
  const old = yield* engineOf(OldEngine, Layer.mergeAll(Old.toLayer(stage.sure), task), layer)
  const onCancel = () => Effect.sync(() => undone.push("new"))
  const young = yield* engineOf(
    NewEngine,
    Layer.mergeAll(New.toLayer(({ title }) => Effect.succeed(title), { onCancel }), task),
    layer
  )
  const without = yield* engineOf(Without, task, layer)
  return { old, young, without, stage, undone }
})

const docs = (...ids: ReadonlyArray<string>) => ids.map((id) => spec(id, { kind: "Doc" }))

/** Works that the old program wrote, and the new one cannot read. */
const blocked = (fields: Parameters<typeof spec>[1] = {}) =>
  Effect.gen(function*() {
    const lab = yield* programs
    yield* Effect.scoped(Effect.gen(function*() {
      const run = yield* lab.old.open("r", { concurrency: 1 })
      yield* run.pause()
      yield* run.add([spec("a", { kind: "Doc", ...fields }), spec("after", { after: ["a"] })])
    }))
    const run = yield* lab.young.open("r", { concurrency: 1 })
    yield* run.resume()
    yield* until(run, ({ counts }) => counts.blocked === 1)
    return { ...lab, run }
  })

describe("a work whose payload this program cannot read", () => {
  it.effect("holds no unit and no slots, and what comes after it waits", () =>
    Effect.gen(function*() {
      const { run } = yield* blocked()
      const { concurrency, counts } = yield* run.status
      assert.deepStrictEqual([concurrency.used, counts.waiting], [0, 1])
      const { attempt, failures } = yield* run.work("a")
      assert.deepStrictEqual([attempt <= 1, failures], [true, []])
    }))

  it.effect("can be cancelled: it never began, so nothing is undone", () =>
    Effect.gen(function*() {
      const { run, undone } = yield* blocked()
      yield* run.cancelWork("a")
      assert.deepStrictEqual([(yield* run.work("a")).state, undone], ["cancelled", []])
    }))

  it.effect("is skipped at its deadline: it never began", () =>
    Effect.gen(function*() {
      const { run } = yield* blocked({ deadline: 5_000 })
      yield* TestClock.adjust(5_000)
      yield* quiet
      assert.deepStrictEqual((yield* run.work("a")).outcome, {
        _tag: "Skipped",
        cause: { _tag: "Expired", by: "deadline", at: 5_000 }
      })
      assert.strictEqual((yield* run.work("after")).state, "skipped")
    }))

  it.effect("is skipped when its time to live runs out, which still counts", () =>
    Effect.gen(function*() {
      const { run } = yield* blocked({ timeToLiveMillis: 5_000 })
      yield* TestClock.adjust(5_000)
      yield* quiet
      assert.strictEqual((yield* run.work("a")).state, "skipped")
    }))

  it.effect("keeps a run from completing, and does not keep it from being suspended or cancelled", () =>
    Effect.gen(function*() {
      const { run } = yield* blocked()
      yield* run.close
      yield* quiet
      assert.strictEqual((yield* run.status).state, "running")
      yield* run.cancel()
      assert.strictEqual((yield* run.await).state, "cancelled")
    }))

  it.effect("runs in the next program that can read it, as if nothing had been", () =>
    Effect.gen(function*() {
      const { old, stage, young } = yield* programs
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* old.open("r", { concurrency: 1 })
        yield* run.pause()
        yield* run.add(docs("quick-a"))
      }))
      for (let session = 0; session < 7; session++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* young.open("r", { concurrency: 1 })
          yield* run.resume()
          yield* until(run, ({ counts }) => counts.blocked === 1)
        }))
      }
      const run = yield* old.open("r", { concurrency: 1, keepOpen: false })
      assert.deepStrictEqual([(yield* run.await).counts.succeeded, stage.started], [1, ["quick-a"]])
    }))

  it.effect("that had begun under another program is not skipped by its time to live, and is told to be blocked", () =>
    Effect.gen(function*() {
      const { old, stage, young } = yield* programs
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* old.open("r", { concurrency: 1 })
        yield* run.add([spec("a", { kind: "Doc", timeToLiveMillis: 5_000 })])
        yield* stage.arrived("a")
        yield* TestClock.adjust(10)
      }))
      const run = yield* young.open("r", { concurrency: 1 })
      yield* until(run, ({ counts }) => counts.blocked === 1)
      yield* TestClock.adjust("1 hour")
      yield* quiet
      assert.strictEqual((yield* run.work("a")).state, "blocked")
    }))

  it.effect("cannot be retried or paused into something odd: it takes it or refuses", () =>
    Effect.gen(function*() {
      const { run } = yield* blocked()
      yield* Effect.exit(run.pauseWork("a"))
      yield* Effect.exit(run.resumeWork("a"))
      yield* Effect.exit(run.retry("a"))
      yield* Effect.exit(run.reprioritize("a", -1))
      yield* quiet
      const { state } = yield* run.work("a")
      assert.include(["blocked", "queued", "waiting"], state)
      const { concurrency, counts } = yield* run.status
      assert.deepStrictEqual([counts.running, concurrency.used], [0, 0])
    }))
})

describe("a kind that this program does not have", () => {
  it.effect("makes its works wait, and lets others pass", () =>
    Effect.gen(function*() {
      const { old, stage, without } = yield* programs
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* old.open("r", { concurrency: 1 })
        yield* run.pause()
        yield* run.add([...docs("a"), spec("quick-t")])
      }))
      const run = yield* without.open("r", { concurrency: 1 })
      yield* run.resume()
      yield* until(run, ({ counts }) => counts.succeeded === 1)
      assert.deepStrictEqual((yield* run.work("a")).reason, { _tag: "NoHandler", kind: "Doc" })
      assert.deepStrictEqual(stage.started, ["quick-t"])
      yield* run.cancelWork("a")
      assert.strictEqual((yield* run.work("a")).state, "cancelled")
    }))

  it.effect("is refused for new works, with what it has", () =>
    Effect.gen(function*() {
      const { without } = yield* programs
      const run = yield* without.open("r", { concurrency: 1 })
      const error = yield* Effect.flip(run.add(docs("a")))
      assert.strictEqual(error._tag, "InvalidWork")
      assert.match(error.message, /Doc.*Task/s)
    }))

  it.effect("keeps clean-ups waiting until a program has it again", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const stage = new Stage()
      let undone = 0
      const with_ = yield* engineOf(
        OldEngine,
        Layer.mergeAll(
          Old.toLayer(stage.sure, { onCancel: () => Effect.sync(() => void (undone += 1)) }),
          Task.toLayer(stage.handler)
        ),
        layer
      )
      const without = yield* engineOf(Without, Task.toLayer(stage.handler), layer)
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* with_.open("r", { concurrency: 1 })
        yield* run.add(docs("a"))
        yield* stage.arrived("a")
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* without.open("r", { concurrency: 1 })
        yield* run.cancelWork("a")
        yield* quiet
        assert.deepStrictEqual([(yield* run.status).counts.cancelled, undone], [0, 0])
      }))
      const run = yield* with_.open("r", { concurrency: 1 })
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      assert.strictEqual(undone, 1)
    }))
})
