import { Failpoint, Journal, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schema, Stream } from "effect"
import { Boom, engineOf, laboratory, mortalJournal, noted, quiet, spec, Stage, until } from "./laboratory.ts"

class Slow extends WorkKind.make("Slow", { payload: { name: Schema.String }, success: Schema.String, error: Boom }) {}

class Slows extends WorkEngine.Service<Slows>()("test/unit/Slows", { kinds: [Slow] }) {}

describe("a journal that is slow", () => {
  it.effect("is waited for: nothing starts, is shown, or is answered before it is durable", () =>
    Effect.gen(function*() {
      const memory = yield* Layer.build(Journal.layerMemory)
      const journal = yield* Effect.provide(Journal.Journal, memory)
      let gate: Deferred.Deferred<void> | undefined
      const layer = Layer.succeed(
        Journal.Journal,
        Journal.Journal.of({
          ...journal,
          open: (runId, options) =>
            Effect.map(journal.open(runId, options), (writer) => ({
              ...writer,
              append: (events, version) =>
                Effect.andThen(
                  Effect.suspend(() => gate === undefined ? Effect.void : Deferred.await(gate)),
                  writer.append(events, version)
                )
            }))
        })
      )
      const stage = new Stage()
      const engine = yield* engineOf(Slows, Slow.toLayer(stage.handler), layer)
      const run = yield* engine.open("r", { concurrency: 1 })
      gate = yield* Deferred.make<void>()
      const submitting = yield* Effect.forkChild(run.submit(Slow, { name: "a" }, { id: "a" }))
      yield* quiet
      assert.deepStrictEqual(stage.started, [])
      const reading = yield* Effect.forkChild(run.status)
      const watching = yield* Effect.forkChild(Stream.runHead(run.events({ after: 1 })))
      yield* quiet
      assert.strictEqual(submitting.pollUnsafe(), undefined, "the submit is not answered")
      assert.strictEqual(watching.pollUnsafe(), undefined, "no event is shown")
      const seen = reading.pollUnsafe()
      if (seen !== undefined && Exit.isSuccess(seen)) assert.strictEqual(seen.value.counts.queued, 0)
      yield* Deferred.succeed(gate, undefined)
      gate = undefined
      yield* Fiber.join(submitting)
      yield* stage.arrived("a")
      gate = yield* Deferred.make<void>()
      const job = yield* run.job(Slow, "a")
      const awaiting = yield* Effect.forkChild(job.await)
      yield* stage.succeed("a")
      yield* quiet
      assert.strictEqual(awaiting.pollUnsafe(), undefined, "the outcome is not shown")
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(awaiting), "a done")
    }))

  it.effect("keeps a step whose record was on its way when the work was cancelled: onCancel is told of it", () =>
    Effect.gen(function*() {
      const memory = yield* Layer.build(Journal.layerMemory)
      const journal = yield* Effect.provide(Journal.Journal, memory)
      let gate: Deferred.Deferred<void> | undefined
      const layer = Layer.succeed(
        Journal.Journal,
        Journal.Journal.of({
          ...journal,
          open: (runId, options) =>
            Effect.map(journal.open(runId, options), (writer) => ({
              ...writer,
              append: (events, version) =>
                Effect.andThen(
                  Effect.suspend(() => gate === undefined ? Effect.void : Deferred.await(gate)),
                  writer.append(events, version)
                )
            }))
        })
      )
      const launched = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const told: Array<unknown> = []
      const engine = yield* engineOf(
        Slows,
        Slow.toLayer(() =>
          Effect.andThen(
            Step.run(
              "launch",
              Schema.String,
              Effect.andThen(Deferred.succeed(launched, undefined), Effect.as(Deferred.await(go), "job 7"))
            ),
            Effect.never
          ), {
          onCancel: (_, { recorded }) => Effect.sync(() => told.push(recorded("launch", Schema.String)))
        }),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Slow, { name: "a" }, { id: "a" })
      yield* Deferred.await(launched)
      const held = yield* Deferred.make<void>()
      gate = held
      yield* Deferred.succeed(go, undefined)
      yield* quiet
      const cancelling = yield* Effect.forkChild(run.cancelWork("a"))
      yield* quiet
      gate = undefined
      yield* Deferred.succeed(held, undefined)
      yield* Fiber.join(cancelling)
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      assert.deepStrictEqual(told, ["job 7"])
    }))

  it.effect("gets what has gathered meanwhile in one append", () =>
    Effect.gen(function*() {
      const { engine, state } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      const before = state.appends
      yield* Effect.forEach(Array.from({ length: 200 }, (_, n) => n), (n) => run.add([spec(`w${n}`)]), {
        concurrency: "unbounded"
      })
      assert.isTrue(state.appends - before < 20, `${state.appends - before} appends for 200 adds`)
    }))
})

describe("failpoints", () => {
  it.effect("are passed in the order in which things happen", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const passed: Array<string> = []
      const engine = yield* engineOf(
        Slows,
        Slow.toLayer(() => Step.run("s", Schema.String, Effect.sync(() => noted(passed, "effect", "x")))),
        layer
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* (yield* run.submit(Slow, { name: "a" })).await
      })).pipe(Effect.provideService(Failpoint.Failpoint, (name) => passed.push(name)))
      const opening = passed.indexOf("recover.opened")
      assert.isTrue(passed.indexOf("recover.read") < opening)
      assert.deepStrictEqual(passed.slice(passed.indexOf("effect"), passed.indexOf("effect") + 5), [
        "effect",
        "step.done s",
        "append.before",
        "append.after",
        "step.recorded s"
      ])
      assert.strictEqual(
        passed.filter((name) => name === "append.before").length,
        passed.filter((name) => name === "append.after").length
      )
    }))
})
