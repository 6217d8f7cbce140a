import { Failpoint, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { TestMachine, TestProcess } from "@espalier/engine/testing"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Schema, Stream } from "effect"

class Charge extends WorkKind.make("Charge", { payload: { cents: Schema.Int }, success: Schema.Int }) {}
class Shop extends WorkEngine.Service<Shop>()("test/TestingMachine", { kinds: [Charge] }) {}

/** The world outside of the processes: what was done is done. */
class Bank extends Context.Service<Bank, { readonly charged: Array<number>; readonly said: Array<string> }>()(
  "test/TestingMachine/Bank"
) {}

const ShopLive = Shop.layer.pipe(
  Layer.provide(Charge.toLayer(Effect.fn(function*({ cents }) {
    const { charged, said } = yield* Bank
    const paid = yield* Step.run("charge", Schema.Int, Effect.sync(() => charged.push(cents)))
    said.push("charged")
    yield* Effect.addFinalizer(() => Effect.sync(() => said.push("finalized")))
    yield* Effect.sleep("1 minute")
    yield* Step.run("receipt", Schema.Void, Effect.sync(() => said.push("receipt")))
    return paid
  })))
)

const withBank = <A, E, R>(test: (bank: Bank["Service"]) => Effect.Effect<A, E, R>) => {
  const bank: Bank["Service"] = { charged: [], said: [] }
  return Effect.provideService(test(bank), Bank, bank)
}

const options = { concurrency: 2 }

describe("a process that crashes", () => {
  it.effect("leaves what was durable, and the run is free at once", () =>
    withBank((bank) =>
      Effect.gen(function*() {
        const machine = yield* TestMachine.make()
        const first = yield* machine.start(ShopLive)
        const before = yield* first.open(Shop, "r", options)
        yield* before.submit(Charge, { cents: 500 }, { id: "a" })
        yield* before.idle
        assert.deepStrictEqual((yield* before.work("a")).steps, ["charge"])
        yield* first.crash("power cut")
        assert.strictEqual(yield* first.crashed, "power cut")
        assert.strictEqual(yield* first.isAlive, false)

        const second = yield* machine.start(ShopLive)
        const run = yield* second.open(Shop, "r", options)
        assert.strictEqual((yield* run.settle()).counts.succeeded, 1)
        assert.deepStrictEqual(bank.charged, [500])
        assert.deepStrictEqual(bank.said, ["charged", "charged", "receipt", "finalized"])
        assert.deepStrictEqual([first.number, second.number], [1, 2])
      })
    ))

  it.effect("runs no finalizer, and takes no further step when time passes", () =>
    withBank((bank) =>
      Effect.gen(function*() {
        const machine = yield* TestMachine.make()
        const process = yield* machine.start(ShopLive)
        const run = yield* process.open(Shop, "r", options)
        yield* run.submit(Charge, { cents: 1 })
        yield* run.idle
        yield* process.crash()
        yield* machine.advance("1 hour")
        assert.deepStrictEqual(bank.said, ["charged"])
        assert.deepStrictEqual((yield* machine.journal.read("r", { after: 0 })).length, 4)
      })
    ))

  it.effect("dies at the place and the time that the test names", () =>
    withBank((bank) =>
      Effect.gen(function*() {
        const machine = yield* TestMachine.make()
        const process = yield* machine.start(ShopLive)
        const run = yield* process.open(Shop, "r", options)
        yield* machine.failpoints.crashAt("step.done charge", 2)
        yield* run.submit(Charge, { cents: 1 })
        yield* run.idle
        // The process dies before it answers.
        yield* Effect.exit(run.submit(Charge, { cents: 2 }))
        assert.strictEqual(yield* process.crashed, "step.done charge")
        assert.strictEqual(yield* machine.failpoints.passed("step.done charge"), 2)
        assert.strictEqual(yield* machine.failpoints.passed("step.recorded charge"), 1)
        assert.deepStrictEqual(bank.charged, [1, 2])
      })
    ))

  it.effect("answers nobody: what is under way ends with ProcessCrashed, and what is asked later too", () =>
    withBank(() =>
      Effect.gen(function*() {
        const machine = yield* TestMachine.make()
        const process = yield* machine.start(ShopLive)
        const run = yield* process.open(Shop, "r", options)
        const job = yield* run.submit(Charge, { cents: 1 })
        const endOf = <A, E>(asked: Effect.Effect<A, E>) =>
          Effect.map(Effect.exit(asked), (exit) => String(Exit.isFailure(exit) && exit.cause))
        const waiting = yield* Effect.forkChild(endOf(job.await))
        const reading = yield* Effect.forkChild(endOf(Stream.runDrain(run.events())))
        const using = yield* Effect.forkChild(Effect.flip(process.use(Effect.never)))
        yield* run.idle
        yield* process.crash()
        for (const fiber of [waiting, reading]) {
          assert.match(yield* Fiber.join(fiber), /process 1 crashed \(crash\): start another one/)
        }
        assert.instanceOf(yield* Fiber.join(using), TestProcess.ProcessCrashed)
        assert.strictEqual((yield* Effect.flip(process.open(Shop, "r", options)))._tag, "ProcessCrashed")
      })
    ))

  it.effect("may die while it opens a run, before and after the resume is recorded", () =>
    withBank(() =>
      Effect.gen(function*() {
        const machine = yield* TestMachine.make()
        for (const place of ["recover.read", "recover.opened"]) {
          yield* machine.failpoints.crashAt(place)
          const process = yield* machine.start(ShopLive)
          const error = yield* Effect.flip(process.open(Shop, "r", options))
          assert.strictEqual(error._tag === "ProcessCrashed" && error.at, place)
        }
        const run = yield* (yield* machine.start(ShopLive)).open(Shop, "r", options)
        assert.deepStrictEqual(yield* run.tags(), ["RunStarted", "RunResumed"])
      })
    ))

  it.effect("leaves an append that was under way to the store: done whole, or not at all", () =>
    withBank(() =>
      Effect.gen(function*() {
        const machine = yield* TestMachine.make()
        const process = yield* machine.start(ShopLive)
        const run = yield* process.open(Shop, "r", options)
        yield* machine.faults.delay("append", "1 second", { when: "after" })
        yield* Effect.forkChild(Effect.exit(run.submit(Charge, { cents: 1 }, { id: "a" })))
        yield* machine.idle
        yield* process.crash()
        yield* machine.advance("1 minute")
        const next = yield* (yield* machine.start(ShopLive)).open(Shop, "r", options)
        assert.deepStrictEqual(yield* next.tags({ id: "a" }), [
          "WorkAdded",
          "WorkStarted",
          "WorkStarted",
          "StepRecorded"
        ])
      })
    ))
})

describe("a process", () => {
  it.effect("that stands still keeps the run, and goes on where it was", () =>
    withBank((bank) =>
      Effect.gen(function*() {
        const machine = yield* TestMachine.make()
        const first = yield* machine.start(ShopLive)
        const run = yield* first.open(Shop, "r", options)
        const pause = yield* machine.failpoints.pauseAt("step.done charge")
        const submitting = yield* Effect.forkChild(run.submit(Charge, { cents: 1 }, { id: "a" }))
        yield* pause.reached
        yield* machine.advance("10 minutes")
        assert.deepStrictEqual(bank.said, [])
        const second = yield* machine.start(ShopLive)
        assert.strictEqual((yield* Effect.flip(second.open(Shop, "r", options)))._tag, "RunLocked")
        yield* pause.resume
        yield* Fiber.join(submitting)
        yield* run.settle()
        assert.deepStrictEqual(bank.said, ["charged", "receipt", "finalized"])
      })
    ))

  it.effect("that is stopped suspends its runs in order, with the time that they need", () =>
    withBank((bank) =>
      Effect.gen(function*() {
        const machine = yield* TestMachine.make()
        const process = yield* machine.start(ShopLive)
        const run = yield* process.open(Shop, "r", options)
        yield* run.submit(Charge, { cents: 1 }, { id: "a" })
        yield* run.idle
        yield* process.stop
        assert.deepStrictEqual(bank.said, ["charged", "finalized"])
        const next = yield* (yield* machine.start(ShopLive)).open(Shop, "r", options)
        const tags = yield* next.tags()
        assert.deepStrictEqual(tags.slice(4, 8), ["RunSuspending", "WorkInterrupted", "RunSuspended", "RunResumed"])
      })
    ))

  it.effect("shares nothing with another but the store and what the test provides", () =>
    Effect.gen(function*() {
      const machine = yield* TestMachine.make()
      let built = 0
      const Counted = Layer.effectDiscard(Effect.sync(() => void (built += 1)))
      const layer = Layer.merge(Shop.layer, Counted).pipe(Layer.provide(Charge.toLayer(() => Effect.succeed(1))))
      yield* machine.start(layer)
      yield* machine.start(layer)
      assert.strictEqual(built, 2)
    }))

  it.effect("passes the engine's failpoints on, for everything that is opened in it", () =>
    withBank(() =>
      Effect.gen(function*() {
        const machine = yield* TestMachine.make()
        const process = yield* machine.start(ShopLive)
        yield* process.use(Effect.map(Failpoint.Failpoint, (pass) => pass("of my own")))
        assert.deepStrictEqual(Array.from(yield* machine.failpoints.counts), [["of my own", 1]])
        assert.strictEqual(yield* machine.failpoints.passed("of*"), 1)
      })
    ))

  it.effect("that waits for something outside is waited for", () => {
    const gate = Deferred.makeUnsafe<number>()
    return Effect.gen(function*() {
      const machine = yield* TestMachine.make()
      const process = yield* machine.start(
        Shop.layer.pipe(Layer.provide(Charge.toLayer(() => Deferred.await(gate))))
      )
      const run = yield* process.open(Shop, "r", options)
      const job = yield* run.submit(Charge, { cents: 1 })
      yield* run.idle
      Deferred.doneUnsafe(gate, Effect.succeed(7))
      assert.strictEqual(yield* job.await, 7)
    })
  })
})
