import { CurrentWork, Journal, Step } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Ref, Schema } from "effect"
import { Child, Jobs, laboratory, Task, type TaskHandler } from "./support/jobs.ts"

describe("bad input", () => {
  it.effect("is refused with the field, the value and what is allowed, and nothing is added", () =>
    Effect.gen(function*() {
      const { jobs } = yield* laboratory
      const engine = yield* jobs(({ name }) => Effect.succeed(name))
      const run = yield* engine.open("r", { concurrency: 1 })
      const good = { id: "good", kind: "Task", priority: 0, payload: { name: "g" } }
      const messages = yield* Effect.forEach([
        { ...good, id: "k", kind: "Tusk" },
        { ...good, id: "p", payload: { nome: 1 } },
        { ...good, id: "n", priority: Number.NaN },
        { ...good, id: "s", slots: { gpu: 1 } },
        { ...good, id: "" }
      ], (bad) => Effect.map(Effect.flip(run.add([good, bad])), (error) => `${error._tag} ${error.message}`))
      assert.match(messages[0]!, /InvalidWork.*"k".*"Tusk".*Task, Child/)
      assert.match(messages[1]!, /InvalidWork.*"p".*"Task"/s)
      assert.match(messages[2]!, /InvalidWork.*"n"/s)
      assert.match(messages[3]!, /InvalidWork.*"s".*"gpu".*pools/)
      assert.match(messages[4]!, /InvalidWork/)
      assert.strictEqual((yield* run.status).counts.queued + (yield* run.status).counts.succeeded, 0)
      yield* run.add([good])
      const twice = yield* Effect.flip(run.add([good]))
      assert.strictEqual(twice._tag, "DuplicateWork")
      const options = yield* Effect.flip(engine.open("other", { concurrency: 0 }))
      assert.match(options.message, /concurrency cannot be 0: it must be a whole number from 1/)
    }))

  it.effect("in a step's name is a defect that tells the remedy", () =>
    Effect.gen(function*() {
      const { jobs } = yield* laboratory
      const engine = yield* jobs(() =>
        Effect.andThen(
          Step.run("same", Schema.Void, Effect.void),
          Effect.as(Step.run("same", Schema.Void, Effect.void), "x")
        )
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Task, { name: "x" })
      const error = yield* Effect.flip(job.await)
      assert.match(error.message, /uses the step name "same" twice/)
    }))
})

describe("a journal that fails", () => {
  it.effect("leaves the run as the journal has it: callers are told, handlers are stopped, the run can be opened again", () =>
    Effect.gen(function*() {
      const memory = yield* Layer.build(Journal.layerMemory)
      const appends = yield* Ref.make(0)
      const failing = Layer.effect(
        Journal.Journal,
        Effect.map(Effect.provide(Journal.Journal, memory), (journal) =>
          Journal.Journal.of({
            ...journal,
            open: (runId, options) =>
              Effect.map(journal.open(runId, options), (writer) => ({
                ...writer,
                append: (events, version) =>
                  Effect.flatMap(Ref.updateAndGet(appends, (n) => n + 1), (n) =>
                    n === 3
                      ? Effect.fail(new Journal.JournalError({ operation: "append", runId, message: "disk full" }))
                      : writer.append(events, version))
              }))
          }))
      )
      const reason = yield* Deferred.make<CurrentWork.StopReason | undefined>()
      const engineOn = (journal: Layer.Layer<Journal.Journal>, handler: TaskHandler) =>
        Effect.flatMap(
          Layer.build(Jobs.layer.pipe(
            Layer.provide([Task.toLayer(handler), Child.toLayer(() => Effect.succeed(""))]),
            Layer.provide(journal)
          )),
          (context) => Effect.provide(Jobs, context)
        )
      yield* Effect.scoped(Effect.gen(function*() {
        const engine = yield* engineOn(
          failing,
          () =>
            Effect.flatMap(CurrentWork.CurrentWork, (work) =>
              Effect.never.pipe(
                // A finalizer that needs a while, as one that ends a process does: the close has to wait for it.
                Effect.ensuring(
                  Effect.andThen(
                    Effect.yieldNow,
                    Effect.flatMap(work.stopReason, (why) => Deferred.succeed(reason, why))
                  )
                )
              ))
        )
        const run = yield* engine.open("r", { concurrency: 1 })
        const job = yield* run.submit(Task, { name: "x" }, { id: "x" })
        const lost = yield* Effect.flip(run.submit(Task, { name: "y" }, { id: "y" }))
        assert.match(lost.message, /disk full/)
        assert.match((yield* Effect.flip(job.await)).message, /disk full/)
        assert.match((yield* Effect.flip(run.await)).message, /disk full/)
        assert.strictEqual(yield* Deferred.await(reason), "journal")
      }))
      const engine = yield* engineOn(Layer.succeedContext(memory), ({ name }) => Effect.succeed(`again ${name}`))
      const run = yield* engine.open("r", { concurrency: 1, keepOpen: false })
      assert.strictEqual((yield* run.await).counts.succeeded, 1)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(run.work("y"))))
    }))
})
