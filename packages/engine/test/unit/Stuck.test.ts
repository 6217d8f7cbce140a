import { CurrentWork, RunError, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schedule, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Boom, engineOf, mortalJournal, noted, quiet, tale, until } from "./laboratory.ts"

const fields = { payload: { name: Schema.String }, success: Schema.String, error: Boom, grace: "5 seconds" } as const

class Deaf extends WorkKind.make("Deaf", { ...fields, slots: { bench: 1 }, timeout: "1 minute" }) {}
class Greedy extends WorkKind.make("Greedy", { ...fields, slots: { bench: 1 }, keepSlotsWhenStuck: true }) {}
class Stubborn extends WorkKind.make("Stubborn", {
  ...fields,
  timeout: "1 minute",
  retry: Schedule.recurs(1)
}) {}
class Usual extends WorkKind.make("Usual", { payload: { name: Schema.String }, success: Schema.String }) {}
class Wards extends WorkEngine.Service<Wards>()("test/unit/Wards", { kinds: [Deaf, Greedy, Stubborn, Usual] }) {}

/**
 * Handlers that hear no interruption until the test lets them go: then they try to record a step and to succeed. What
 * a handler with the name "quick" does is nothing.
 */
const wards = Effect.gen(function*() {
  const { layer, state } = yield* mortalJournal
  const gate = yield* Deferred.make<void>()
  const said: Array<string> = []
  const handler = ({ name }: { readonly name: string }): Effect.Effect<string, never, CurrentWork.CurrentWork> =>
    name === "quick" ? Effect.succeed("quick") : Effect.gen(function*() {
      const { attempt } = yield* CurrentWork.CurrentWork
      said.push(`${name}${attempt} begins`)
      yield* Step.run(`before`, Schema.String, Effect.succeed("before"))
      yield* Effect.uninterruptible(Deferred.await(gate))
      said.push(`${name}${attempt} goes on`)
      yield* Effect.exit(
        Step.run("after", Schema.String, Effect.sync(() => noted(said, `${name}${attempt} acts`, "x")))
      )
      said.push(`${name}${attempt} ends`)
      return "late"
    }).pipe(Effect.uninterruptible)
  const handlers = Layer.mergeAll(
    Deaf.toLayer(handler),
    Greedy.toLayer(handler),
    Stubborn.toLayer(handler),
    Usual.toLayer(handler)
  )
  return { engine: yield* engineOf(Wards, handlers, layer), gate, said, state }
})

const options = { concurrency: 1, pools: { bench: 1 } }

describe("a handler that does not end when it is cancelled", () => {
  const stuck = Effect.gen(function*() {
    const lab = yield* wards
    const run = yield* lab.engine.open("r", options)
    const job = yield* run.submit(Deaf, { name: "a" }, { id: "a" })
    yield* until(run, ({ running }) => running[0]?.id === "a")
    yield* quiet
    yield* run.cancelWork("a", { actor: "ada", reason: "enough" })
    return { ...lab, run, job }
  })

  it.effect("keeps its unit for its grace, and then gives it back with its slots: the next starts", () =>
    Effect.gen(function*() {
      const { job, run } = yield* stuck
      const next = yield* run.submit(Deaf, { name: "quick" })
      yield* TestClock.adjust(4_999)
      yield* quiet
      const during = yield* run.status
      assert.deepStrictEqual([during.counts.cancelling, during.counts.queued], [1, 1])
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* next.await, "quick")
      const error = yield* Effect.flip(job.await)
      assert.instanceOf(error, RunError.WorkStopped)
      assert.deepStrictEqual(error.reason, { _tag: "Cancelled", actor: "ada", reason: "enough" })
    }))

  it.effect("is named in the status, with what it was doing and why it was told to stop", () =>
    Effect.gen(function*() {
      const { run } = yield* stuck
      yield* TestClock.adjust("5 seconds")
      const status = yield* until(run, ({ stuck: found }) => found.length > 0)
      const [found] = status.stuck
      assert.deepInclude(found, { id: "a", kind: "Deaf", attempt: 1, reason: "cancel", startedAt: 0 })
      assert.isTrue(status.backgroundErrors.some((line) => line.includes(`"a"`)), status.backgroundErrors.join())
    }))

  it.effect("is fenced: what it records later is refused, and its step does not run", () =>
    Effect.gen(function*() {
      const { engine, gate, run, said } = yield* stuck
      yield* TestClock.adjust("5 seconds")
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      yield* Deferred.succeed(gate, undefined)
      yield* quiet
      assert.isTrue(said.includes("a1 goes on"))
      assert.isFalse(said.includes("a1 acts"))
      const told = yield* tale(engine, "r")
      assert.strictEqual(told.filter((line) => line === "StepRecorded a").length, 1)
      const { state, steps } = yield* run.work("a")
      assert.strictEqual(state, "cancelled")
      assert.isFalse(steps.includes("after"))
    }))

  it.effect("is no longer named as stuck when it has ended at last", () =>
    Effect.gen(function*() {
      const { gate, run } = yield* stuck
      yield* TestClock.adjust("5 seconds")
      yield* until(run, (status) => status.stuck.length === 1)
      yield* Deferred.succeed(gate, undefined)
      yield* until(run, (status) => status.stuck.length === 0)
    }))

  it.effect("that ends within its grace is an ordinary cancel", () =>
    Effect.gen(function*() {
      const { engine, gate, run } = yield* stuck
      yield* TestClock.adjust("4 seconds")
      yield* Deferred.succeed(gate, undefined)
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      yield* TestClock.adjust("1 minute")
      yield* quiet
      assert.isFalse((yield* tale(engine, "r")).includes("WorkStuck a"))
      assert.deepStrictEqual((yield* run.status).stuck, [])
    }))

  it.effect("is also one whose finalizer never ends", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const handler = () => Effect.ensuring(Effect.never, Effect.never)
      const engine = yield* engineOf(
        Wards,
        Layer.mergeAll(
          Deaf.toLayer(handler),
          Greedy.toLayer(handler),
          Stubborn.toLayer(handler),
          Usual.toLayer(({ name }) => Effect.succeed(name))
        ),
        layer
      )
      const run = yield* engine.open("r", options)
      yield* run.submit(Deaf, { name: "a" }, { id: "a" })
      yield* until(run, ({ running }) => running[0]?.id === "a")
      yield* quiet
      yield* run.cancelWork("a")
      yield* TestClock.adjust("5 seconds")
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      assert.strictEqual(yield* (yield* run.submit(Usual, { name: "next" })).await, "next")
    }))

  it.effect("does not keep a cancelled run from ending", () =>
    Effect.gen(function*() {
      const { run } = yield* stuck
      yield* run.cancel()
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* run.await).state, "cancelled")
    }))

  it.effect("keeps its slots when its kind says so, until it ends", () =>
    Effect.gen(function*() {
      const { engine, gate } = yield* wards
      const run = yield* engine.open("r", options)
      yield* run.submit(Greedy, { name: "a" }, { id: "a" })
      yield* until(run, ({ running }) => running[0]?.id === "a")
      yield* quiet
      yield* run.cancelWork("a")
      yield* TestClock.adjust("5 seconds")
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      const free = yield* run.submit(Usual, { name: "quick" })
      assert.strictEqual(yield* free.await, "quick", "its concurrency unit is free")
      const next = yield* run.submit(Deaf, { name: "quick" }, { id: "next" })
      yield* quiet
      assert.strictEqual((yield* run.work("next")).state, "queued")
      assert.deepStrictEqual((yield* run.status).pools, { bench: { size: 1, used: 1 } })
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* next.await, "quick")
      assert.deepStrictEqual((yield* run.status).pools, { bench: { size: 1, used: 0 } })
    }))

  it.effect("with the slots that it keeps does not keep them over the death of its process", () =>
    Effect.gen(function*() {
      const { engine, gate } = yield* wards
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", options)
        yield* run.submit(Greedy, { name: "a" }, { id: "a" })
        yield* until(run, ({ running }) => running[0]?.id === "a")
        yield* quiet
        yield* run.cancelWork("a")
        yield* TestClock.adjust("5 seconds")
        yield* until(run, ({ counts }) => counts.cancelled === 1)
      }))
      const run = yield* engine.open("r", options)
      const next = yield* run.submit(Deaf, { name: "quick" })
      assert.strictEqual(yield* next.await, "quick")
      yield* Deferred.succeed(gate, undefined)
    }))
})

describe("a handler that does not end when its time is up", () => {
  it.effect("times out after its grace, is tried again beside the stuck one, and only the new one counts", () =>
    Effect.gen(function*() {
      const { engine, gate, said } = yield* wards
      const run = yield* engine.open("r", options)
      const job = yield* run.submit(Stubborn, { name: "a" }, { id: "a" })
      yield* until(run, ({ running }) => running[0]?.id === "a")
      yield* TestClock.adjust("1 minute")
      yield* TestClock.adjust("5 seconds")
      yield* until(run, (status) => status.retries === 1 && status.counts.running === 1)
      yield* quiet
      assert.deepStrictEqual((yield* run.status).stuck.map(({ attempt, reason }) => [attempt, reason]), [[
        1,
        "timeout"
      ]])
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* job.await, "late")
      assert.isTrue(said.includes("a2 ends"))
      const told = yield* tale(engine, "r")
      assert.deepStrictEqual(told.filter((line) => line === "WorkSucceeded a").length, 1)
      assert.deepStrictEqual(told.filter((line) => line === "StepRecorded a").length, 2)
    }))

  it.effect("and was not to be retried fails as TimedOut", () =>
    Effect.gen(function*() {
      const { engine } = yield* wards
      const run = yield* engine.open("r", options)
      const job = yield* run.submit(Deaf, { name: "a" }, { id: "a" })
      yield* until(run, ({ running }) => running[0]?.id === "a")
      yield* TestClock.adjust("1 minute")
      yield* TestClock.adjust("5 seconds")
      const error = yield* Effect.flip(job.await)
      assert.instanceOf(error, RunError.WorkStopped)
      assert.strictEqual(error.reason._tag, "TimedOut")
    }))
})

describe("stopping a run with a stuck handler", () => {
  const begun = Effect.gen(function*() {
    const lab = yield* wards
    return {
      ...lab,
      begin: Effect.fnUntraced(function*() {
        const run = yield* lab.engine.open("r", options)
        yield* run.submit(Deaf, { name: "a" }, { id: "a" })
        yield* until(run, ({ running }) => running[0]?.id === "a")
        yield* quiet
        return run
      })
    }
  })

  it.effect("suspend ends after the grace, and the work is queued again", () =>
    Effect.gen(function*() {
      const { begin } = yield* begun
      const run = yield* begin()
      yield* run.suspend()
      yield* TestClock.adjust("5 seconds")
      const status = yield* run.await
      assert.deepStrictEqual([status.state, status.counts.queued, status.counts.running], ["suspended", 1, 0])
    }))

  /** Closes the scope in which the run was opened, as the end of a program does. */
  const closing = <A, E>(use: Effect.Effect<A, E, Scope.Scope>) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Scope.provide(use, scope)
      const fiber = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* quiet
      return fiber
    })

  it.effect("closing the scope ends after the grace", () =>
    Effect.gen(function*() {
      const { begin, engine, gate, said } = yield* begun
      const fiber = yield* closing(begin())
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(fiber)
      // Somebody else goes on with it, while the old handler is still there.
      const run = yield* engine.open("r", options)
      yield* until(run, ({ running }) => running[0]?.id === "a")
      yield* quiet
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* (yield* run.job(Deaf, "a")).await, "late")
      assert.strictEqual(said.filter((line) => line === "a1 begins").length, 2)
      assert.strictEqual((yield* tale(engine, "r")).filter((line) => line === "WorkSucceeded a").length, 1)
    }))

  it.effect("closing the scope after a suspend waits for the rest of the grace and no longer", () =>
    Effect.gen(function*() {
      const { begin } = yield* begun
      const fiber = yield* closing(Effect.gen(function*() {
        const run = yield* begin()
        yield* run.suspend()
        yield* TestClock.adjust("3 seconds")
      }))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(fiber)
    }))

  it.effect("closing the scope does not wait for a handler that was given up before", () =>
    Effect.gen(function*() {
      const { begin } = yield* begun
      const fiber = yield* closing(Effect.gen(function*() {
        const run = yield* begin()
        yield* run.cancelWork("a")
        yield* TestClock.adjust("5 seconds")
        yield* until(run, ({ counts }) => counts.cancelled === 1)
      }))
      yield* Fiber.join(fiber)
    }))

  it.effect("closing the scope after the journal has failed ends after the grace, too", () =>
    Effect.gen(function*() {
      const { begin, state } = yield* begun
      const fiber = yield* closing(Effect.gen(function*() {
        const run = yield* begin()
        state.dead = true
        yield* Effect.exit(run.pause())
      }))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(fiber)
    }))

  it.effect("a pause of the work at its next step boundary is not hung on it either: it is interrupted there", () =>
    Effect.gen(function*() {
      const { begin, gate } = yield* begun
      const run = yield* begin()
      yield* run.pauseWork("a")
      yield* Deferred.succeed(gate, undefined)
      yield* quiet
      yield* TestClock.adjust("5 seconds")
      const status = yield* until(run, ({ counts }) => counts.running === 0)
      assert.isTrue(status.counts.waiting === 1 || status.counts.succeeded === 1)
    }))
})
