import { RunError, Slots, Step } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { by, cancelled, clinic, Clinics, Remote } from "./clinic.ts"
import { engineOf, laboratory, mortalJournal, quiet, spec, tale, Task, until } from "./laboratory.ts"

describe("cancelling a work that never began", () => {
  it.effect("settles it at once, in every way of waiting, without onCancel", () =>
    Effect.gen(function*() {
      const { engine, stage, undone } = yield* clinic
      const run = yield* engine.open("r", { concurrency: 1, pools: { gpu: 1 } })
      yield* run.add([
        spec("busy"),
        spec("queued", { kind: "Remote" }),
        spec("timed", { kind: "Remote", notBefore: 9_000 }),
        spec("after", { kind: "Remote", after: ["busy"] }),
        spec("claims", { kind: "Remote", slots: { gpu: 1 } }),
        spec("paused", { kind: "Remote" })
      ])
      yield* stage.arrived("busy")
      yield* run.pauseWork("paused")
      for (const id of ["queued", "timed", "after", "claims", "paused"]) {
        yield* run.cancelWork(id, by)
        const { outcome, state } = yield* run.work(id)
        assert.deepStrictEqual([id, state, outcome], [id, "cancelled", cancelled])
      }
      yield* stage.succeed("busy")
      yield* TestClock.adjust("1 minute")
      yield* quiet
      assert.deepStrictEqual([stage.started, undone], [["busy"], []])
    }))

  it.effect("of an unknown id, or of one that has settled, is refused by name", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual((yield* Effect.flip(run.cancelWork("nobody")))._tag, "WorkNotFound")
      yield* (yield* run.submit(Task, { name: "quick" }, { id: "a" })).await
      const error = yield* Effect.flip(run.cancelWork("a"))
      assert.strictEqual(error._tag, "WorkSettled")
      assert.match(error.message, /"a".*succeeded/)
    }))
})

describe("cancelling a running work", () => {
  it.effect("interrupts it, runs onCancel with what was recorded, and only then is it cancelled", () =>
    Effect.gen(function*() {
      const { engine, how, stage, undone } = yield* clinic
      how.wait = yield* Deferred.make<void>()
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Remote, { name: "a" }, { id: "a" })
      const next = yield* run.submit(Task, { name: "quick" })
      yield* stage.arrived("a")
      yield* run.cancelWork("a", by)
      assert.strictEqual(yield* next.await, "quick done", "a clean-up holds no concurrency unit")
      const during = yield* run.status
      assert.deepStrictEqual(during.running.map(({ id, state }) => [id, state]), [["a", "cleaning"]])
      yield* Deferred.succeed(how.wait, undefined)
      const error = yield* Effect.flip(job.await)
      assert.instanceOf(error, RunError.WorkStopped)
      assert.deepStrictEqual(error.reason, cancelled)
      assert.deepStrictEqual(undone, ["a job of a ada enough"])
    }))

  it.effect("twice keeps the first reason and runs onCancel once", () =>
    Effect.gen(function*() {
      const { engine, how, stage, undone } = yield* clinic
      how.wait = yield* Deferred.make<void>()
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Remote, { name: "a" }, { id: "a" })
      yield* stage.arrived("a")
      yield* run.cancelWork("a", by)
      yield* run.cancelWork("a", { actor: "bob", reason: "me too" })
      yield* until(run, ({ running }) => running[0]?.state === "cleaning")
      yield* run.cancelWork("a", { actor: "eve" })
      yield* Deferred.succeed(how.wait, undefined)
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      assert.deepStrictEqual((yield* run.work("a")).outcome, cancelled)
      assert.strictEqual(undone.length, 1)
    }))

  it.effect("in the same breath as it succeeds is cancelled or succeeded, but never both", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Task, { name: "a" }, { id: "a" })
      yield* stage.arrived("a")
      const cancel = yield* Effect.forkChild(Effect.exit(run.cancelWork("a")))
      yield* stage.succeed("a")
      const exit = yield* Fiber.join(cancel)
      yield* until(run, ({ counts }) => counts.cancelled + counts.succeeded === 1)
      const { state } = yield* run.work("a")
      assert.strictEqual(state, Exit.isSuccess(exit) ? "cancelled" : "succeeded")
    }))

  it.effect("beats a failure in the finalizers, and the retry", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const begun = yield* Deferred.make<void>()
      let tries = 0
      const engine = yield* engineOf(
        Clinics,
        Layer.mergeAll(
          Remote.toLayer(() =>
            Effect.suspend(() => {
              tries += 1
              return Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
            }).pipe(
              Effect.ensuring(Effect.die(new Error("finalizer broke")))
            )
          ),
          Task.toLayer(() => Effect.succeed(""))
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Remote, { name: "a" }, { id: "a" })
      yield* Deferred.await(begun)
      yield* run.cancelWork("a", by)
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual([(yield* run.work("a")).outcome, tries], [cancelled, 1])
    }))

  it.effect("that catches its interruption and succeeds all the same is cancelled", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const begun = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const engine = yield* engineOf(
        Clinics,
        Layer.mergeAll(
          Remote.toLayer(() =>
            Effect.uninterruptible(
              Effect.as(Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(gate)), "done")
            )
          ),
          Task.toLayer(() => Effect.succeed(""))
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Remote, { name: "a" }, { id: "a" })
      yield* Deferred.await(begun)
      yield* run.cancelWork("a", by)
      yield* Deferred.succeed(gate, undefined)
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      assert.deepStrictEqual((yield* run.work("a")).outcome, cancelled)
    }))

  it.effect("while it waits for slots is at once, and what it waited for is not granted later", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const engine = yield* engineOf(
        Clinics,
        Layer.mergeAll(
          Remote.toLayer(() => Effect.as(Slots.hold("bench", { bench: 1 }), "held")),
          Task.toLayer(() => Effect.never)
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 9, pools: { bench: 1 } })
      yield* run.add([spec("holder", { slots: { bench: 1 } }), spec("asks", { kind: "Remote" })])
      yield* until(run, ({ running }) => running.some(({ waitingFor }) => waitingFor !== undefined))
      yield* run.cancelWork("asks")
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      yield* run.cancelWork("holder")
      const { pools } = yield* until(run, ({ counts }) => counts.cancelled === 2)
      assert.deepStrictEqual(pools, { bench: { size: 1, used: 0 } })
    }))

  it.effect("leaves none of the children that it spawned", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const begun = yield* Deferred.make<void>()
      const engine = yield* engineOf(
        Clinics,
        Layer.mergeAll(
          Remote.toLayer(() =>
            Effect.gen(function*() {
              yield* Step.run("plan", Schema.Void, Effect.asVoid(Clinics.spawn(Task, { name: "x" }, { on: "always" })))
              yield* Clinics.spawn(Task, { name: "y" }, { on: "failure" })
              yield* Deferred.succeed(begun, undefined)
              return yield* Effect.never
            })
          ),
          Task.toLayer(() => Effect.succeed(""))
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 1, keepOpen: true })
      yield* run.submit(Remote, { name: "a" }, { id: "a" })
      yield* Deferred.await(begun)
      yield* run.cancelWork("a")
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      assert.deepStrictEqual((yield* tale(engine, "r")).filter((line) => line.startsWith("WorkAdded")), ["WorkAdded a"])
    }))
})
