import type { RunError } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { laboratory, Other, quiet, spec, Task, until } from "./laboratory.ts"

describe("a handle on a job", () => {
  it.effect("is found again by id after a restart, and only by its own kind", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* (yield* run.submit(Task, { name: "quick" }, { id: "a" })).await
      }))
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual(yield* (yield* run.job(Task, "a")).await, "quick done")
      const wrong = yield* Effect.flip(run.job(Other, "a"))
      assert.strictEqual(wrong._tag, "WorkNotFound")
      assert.match(wrong.message, /"Task", not "Other"/)
      assert.strictEqual((yield* Effect.flip(run.job(Task, "b")))._tag, "WorkNotFound")
    }))

  it.effect("that is awaited by many is answered to all; interrupting one leaves the others", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Task, { name: "a" })
      const waiting = yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.forkChild(job.await))
      yield* stage.arrived("a")
      yield* quiet
      yield* Fiber.interrupt(waiting[3]!)
      yield* stage.succeed("a")
      for (const [n, fiber] of waiting.entries()) if (n !== 3) assert.strictEqual(yield* Fiber.join(fiber), "a done")
    }))

  it.effect("is told that the run was suspended, by hand or with its scope", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Task, { name: "a" })
      const waiting = yield* Effect.forkChild(Effect.flip(job.await))
      yield* stage.arrived("a")
      yield* run.suspend({ actor: "ada" })
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "RunSuspended")
      const scope = yield* Scope.make()
      const other = yield* Scope.provide(engine.open("s", { concurrency: 1 }), scope)
      const second = yield* other.submit(Task, { name: "b" })
      const hanging = yield* Effect.forkChild(Effect.flip(second.await))
      yield* stage.arrived("b")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(hanging))._tag, "RunSuspended")
    }))

  it.effect("of a run is told the last status when the scope of the run closes", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const scope = yield* Scope.make()
      const run = yield* Scope.provide(engine.open("r", { concurrency: 1 }), scope)
      const waiting = yield* Effect.forkChild(run.await, { startImmediately: true })
      yield* quiet
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(waiting)).state, "suspended")
    }))

  it.effect("of a work that had settled before a suspend gives its outcome, not the suspend", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Task, { name: "quick" })
      yield* job.await
      yield* run.suspend()
      yield* quiet
      assert.strictEqual(yield* job.await, "quick done")
    }))

  it.effect("has an id that no other submit has got, and keeps the one that it was given", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      const jobs = yield* Effect.forEach(Array.from({ length: 500 }), () => run.submit(Task, { name: "quick" }))
      assert.strictEqual(new Set(jobs.map(({ id }) => id)).size, 500)
      const longest = "i".repeat(512)
      assert.strictEqual((yield* run.submit(Task, { name: "quick" }, { id: longest })).id, longest)
      assert.strictEqual(
        (yield* Effect.flip(run.submit(Task, { name: "quick" }, { id: `${longest}i` })))._tag,
        "InvalidWork"
      )
      for (const odd of ["__proto__", "constructor", " ", "ü/✓"]) {
        assert.strictEqual(yield* (yield* run.submit(Task, { name: "quick" }, { id: odd })).await, "quick done")
        assert.strictEqual((yield* run.work(odd)).state, "succeeded")
      }
    }))

  it.effect("knows the status of its work", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Task, { name: "a" }, { id: "a", priority: 3, key: "k" })
      yield* stage.arrived("a")
      const status = yield* job.status
      assert.deepStrictEqual(status.spec, { id: "a", kind: "Task", priority: 3, payload: { name: "a" }, key: "k" })
      assert.deepStrictEqual([status.state, status.attempt, status.generation], ["running", 1, 0])
    }))
})

describe("submitting", () => {
  it.effect("by many fibers at once keeps the order in which they asked", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      const names = Array.from({ length: 300 }, (_, n) => `quick${n}`)
      yield* Effect.forEach(names, (name) => run.submit(Task, { name }), { concurrency: "unbounded" })
      yield* run.resume()
      yield* until(run, ({ counts }) => counts.succeeded === 300)
      assert.deepStrictEqual(stage.started, names)
    }))

  it.effect("that is interrupted adds the work or not, and the run goes on", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 4 })
      for (let turns = 0; turns < 6; turns++) {
        const fiber = yield* Effect.forkChild(run.submit(Task, { name: "quick" }, { id: `w${turns}` }))
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
      }
      yield* (yield* run.submit(Task, { name: "quick" }, { id: "last" })).await
      yield* quiet
      const { counts } = yield* run.status
      assert.strictEqual(counts.running + counts.queued, 0)
      assert.isTrue(counts.succeeded >= 1 && counts.succeeded <= 7)
    }))

  it.effect("to a run that was suspended is refused, and so is every control but cancel", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.suspend()
      yield* run.await
      for (const refused of [run.add([spec("a")]), run.pause(), run.resume(), run.close, run.setConcurrency(2)]) {
        assert.strictEqual(
          (yield* Effect.flip(refused as Effect.Effect<void, RunError.RunNotAccepting>))._tag,
          "RunNotAccepting"
        )
      }
      yield* run.suspend()
      assert.strictEqual((yield* run.status).state, "suspended")
      yield* run.cancel()
      assert.strictEqual((yield* run.status).state, "cancelled")
    }))
})
