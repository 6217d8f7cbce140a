import { CurrentWork, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Boom, engineOf, mortalJournal, Stage, tale } from "./laboratory.ts"

class Part extends WorkKind.make("Part", { payload: { name: Schema.String }, success: Schema.Date, error: Boom }) {}

class Whole extends WorkKind.make("Whole", {
  payload: { of: Schema.String, how: Schema.Literals(["read", "spawn"]) },
  success: Schema.String
}) {}

class Parts extends WorkEngine.Service<Parts>()("test/unit/Parts", { kinds: [Part, Whole] }) {}

const parts = Effect.gen(function*() {
  const { layer } = yield* mortalJournal
  const stage = new Stage()
  const engine = yield* engineOf(
    Parts,
    Layer.mergeAll(
      Part.toLayer((payload) => Effect.as(stage.handler(payload), new Date(7))),
      Whole.toLayer(({ how, of }) =>
        how === "read"
          ? CurrentWork.outcome(Part, of).pipe(
            Effect.map((date) => `date ${date.getTime()}`),
            Effect.catchTags({
              Boom: ({ why }) => Effect.succeed(`boom ${why}`),
              WorkStopped: ({ reason }) => Effect.succeed(`stopped ${reason._tag}`),
              WorkNotFound: () => Effect.succeed("not found"),
              WorkNotAccepting: () => Effect.succeed("not settled")
            }),
            Effect.orDie
          )
          : Effect.gen(function*() {
            yield* Parts.spawn(Part, { name: "quick-first" }, { id: "first" })
            yield* Parts.spawn(Part, { name: "quick-second" }, { id: "second", after: ["first"] })
            yield* Parts.spawn(Part, { name: "quick-own" }, { id: "own", after: ["whole"] })
            yield* Parts.spawn(Part, { name: "quick-lost" }, { id: "lost", after: ["nowhere"] })
            yield* Parts.spawn(Part, { name: "quick-any" }, {
              id: "any",
              after: ["nowhere"],
              onDependencyFailure: "run"
            })
            yield* Parts.spawn(Part, { name: "quick-early" }, { id: "early", after: ["late"] })
            yield* Parts.spawn(Part, { name: "quick-late" }, { id: "late" })
            if (of === "self") yield* Parts.spawn(Part, { name: "quick-self" }, { id: "self", after: ["self"] })
            return "spawned"
          })
      )
    ),
    layer
  )
  return { engine, stage }
})

describe("the outcome of what a work came after", () => {
  const read = Effect.fnUntraced(function*(prepare: (stage: Stage) => Effect.Effect<void>) {
    const { engine, stage } = yield* parts
    const run = yield* engine.open("r", { concurrency: 9 })
    yield* run.submit(Part, { name: "part" }, { id: "part" })
    const whole = yield* run.submit(Whole, { of: "part", how: "read" }, {
      after: ["part"],
      onDependencyFailure: "run"
    })
    yield* prepare(stage)
    return yield* whole.await
  })

  it.effect("is its decoded success", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* read((stage) => stage.succeed("part")), "date 7")
    }))

  it.effect("is its typed error", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* read((stage) => stage.fail("part")), "boom part")
    }))

  it.effect("is WorkStopped after a defect", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* read((stage) => stage.die("part")), "stopped Defect")
    }))

  it.effect("is told to be missing, or not settled yet, of works that it does not come after", () =>
    Effect.gen(function*() {
      const { engine } = yield* parts
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.submit(Part, { name: "part" }, { id: "part" })
      const early = yield* run.submit(Whole, { of: "part", how: "read" })
      assert.strictEqual(yield* early.await, "not settled")
      const lost = yield* run.submit(Whole, { of: "nowhere", how: "read" })
      assert.strictEqual(yield* lost.await, "not found")
    }))

  it.effect("of a work of another kind than the one asked for is refused, not decoded wrongly", () =>
    Effect.gen(function*() {
      const { engine } = yield* parts
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* (yield* run.submit(Whole, { of: "", how: "spawn" }, { id: "whole" })).await
      const wrong = yield* run.submit(Whole, { of: "whole", how: "read" }, { after: ["whole"] })
      assert.strictEqual(yield* wrong.await, "not found")
    }))

  it.effect("can be read after a restart", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* parts
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9 })
        yield* stage.fail("part")
        yield* Effect.exit((yield* run.submit(Part, { name: "part" }, { id: "part" })).await)
      }))
      const run = yield* engine.open("r", { concurrency: 9 })
      const job = yield* run.submit(Whole, { of: "part", how: "read" }, { after: ["part"], onDependencyFailure: "run" })
      assert.strictEqual(yield* job.await, "boom part")
    }))
})

describe("spawned children with dependencies", () => {
  it.effect("wait for each other and for their parent; an unknown one counts as one that did not succeed", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* parts
      const run = yield* engine.open("r", { concurrency: 9, keepOpen: false })
      yield* run.submit(Whole, { of: "", how: "spawn" }, { id: "whole" })
      const { counts } = yield* run.await
      assert.deepStrictEqual([counts.succeeded, counts.skipped], [6, 2])
      assert.isTrue(stage.started.indexOf("quick-first") < stage.started.indexOf("quick-second"))
      const cause = Effect.fnUntraced(function*(id: string) {
        return (yield* run.work(id)).outcome
      })
      assert.deepStrictEqual(yield* cause("lost"), {
        _tag: "Skipped",
        cause: { _tag: "Dependency", id: "nowhere", state: "unknown" }
      })
      // What comes later in the list of children is not known yet: a circle of children cannot wait for ever.
      assert.deepStrictEqual(yield* cause("early"), {
        _tag: "Skipped",
        cause: { _tag: "Dependency", id: "late", state: "unknown" }
      })
      assert.isTrue(stage.started.includes("quick-any") && stage.started.includes("quick-own"))
    }))

  it.effect("cannot come after themselves: a defect that says so", () =>
    Effect.gen(function*() {
      const { engine } = yield* parts
      const run = yield* engine.open("r", { concurrency: 9 })
      const job = yield* run.submit(Whole, { of: "self", how: "spawn" }, { id: "whole" })
      assert.match((yield* Effect.flip(job.await)).message, /"self".*cannot come after itself/)
    }))

  it.effect("leave a tale in which no work starts before what it comes after has ended", () =>
    Effect.gen(function*() {
      const { engine } = yield* parts
      const run = yield* engine.open("r", { concurrency: 9, keepOpen: false })
      yield* run.submit(Whole, { of: "", how: "spawn" }, { id: "whole" })
      yield* run.await
      const told = yield* tale(engine, "r")
      assert.isTrue(told.indexOf("WorkSucceeded first") < told.indexOf("WorkStarted second"))
      assert.isTrue(told.indexOf("WorkSucceeded whole") < told.indexOf("WorkStarted own"))
    }))
})
