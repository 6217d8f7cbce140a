/**
 * A machine in memory, for tests of what happens when processes die: a store that outlives them, failpoints at which they can be made
 * to die, and faults of the store. All of it runs in the test's own process, in virtual time.
 *
 * For what only a real kill shows (what the file system keeps, what the operating system frees) a test has to start and kill
 * real processes; this is for everything else, and a thousand times faster.
 */
import { Context, Duration, Effect, Layer, type Scope } from "effect"
import { Journal, type JournalError, layerMemory } from "../Journal.ts"
import { FailpointPlans, type Failpoints } from "./Failpoints.ts"
import { type FaultyJournal, script } from "./FaultyJournal.ts"
import * as Worlds from "./internal/World.ts"
import { isCrash, make as makeProcess, Process, type TestProcess } from "./TestProcess.ts"

/**
 * - `start`: a new process with these layers, each built anew. Its engine's `Journal` is the machine's; whatever else the
 *   layers need comes from the test, and is shared by all processes: services of the outside world belong there. It is stopped when
 *   the scope closes.
 * - `failpoints`: see `Failpoints`. `faults`: what goes wrong with the store, see `FaultyJournal`.
 * - `journal`: the store itself, without faults: what is durable.
 * - `idle`: waits until no process has anything left to do at this moment of virtual time.
 * - `advance`: moves the time. `TestClock.adjust` does too, but does not wait for what follows.
 */
export interface TestMachine {
  readonly start: <A, E, R>(
    layer: Layer.Layer<A, E, R>
  ) => Effect.Effect<TestProcess<A>, E, Exclude<R, Journal> | Scope.Scope>
  readonly failpoints: Failpoints
  readonly faults: FaultyJournal["Service"]
  readonly journal: Journal["Service"]
  readonly idle: Effect.Effect<void>
  readonly advance: (duration: Duration.Input) => Effect.Effect<void>
}

/**
 * A machine without processes. Its store is a journal in memory, or the one of `journal`.
 *
 * @example
 * ```ts
 * import { Step, WorkEngine, WorkKind } from "@espalier/engine"
 * import { TestMachine } from "@espalier/engine/testing"
 * import { Effect, Layer, Schema } from "effect"
 * import { TestClock } from "effect/testing"
 * import assert from "node:assert"
 *
 * class Charge extends WorkKind.make("Charge", { payload: { cents: Schema.Int }, success: Schema.Int }) {}
 * class Shop extends WorkEngine.Service<Shop>()("app/Shop", { kinds: [Charge] }) {}
 *
 * // The world outside: it does not die with the process.
 * const charged: Array<number> = []
 * const charge = (cents: number) => Effect.sync(() => charged.push(cents))
 *
 * const ShopLive = Shop.layer.pipe(
 *   Layer.provide(Charge.toLayer(({ cents }) => Step.run("charge", Schema.Int, charge(cents))))
 * )
 *
 * const program = Effect.gen(function*() {
 *   const machine = yield* TestMachine.make()
 *   const first = yield* machine.start(ShopLive)
 *   const before = yield* first.open(Shop, "orders", { concurrency: 1 })
 *   yield* machine.failpoints.crashAt("step.done charge")
 *   // The process may die before it answers.
 *   yield* Effect.exit(before.submit(Charge, { cents: 500 }, { id: "order-1" }))
 *   assert.strictEqual(yield* first.crashed, "step.done charge")
 *
 *   const second = yield* machine.start(ShopLive)
 *   const run = yield* second.open(Shop, "orders", { concurrency: 1 })
 *   yield* run.settle()
 *   // A step runs at least once: this one needs an idempotency key.
 *   assert.deepStrictEqual(charged, [500, 500])
 * }).pipe(Effect.scoped, Effect.provide(TestClock.layer()))
 *
 * await Effect.runPromise(program)
 * ```
 */
export const make = (
  options: { readonly journal?: Layer.Layer<Journal, JournalError> } = {}
): Effect.Effect<TestMachine, JournalError, Scope.Scope> =>
  Effect.map(assemble(options.journal ?? layerMemory), ({ machine }) => machine)

/** @internal The machine, and the way to the inside of its processes. */
export const assemble = (layer: Layer.Layer<Journal, JournalError>) =>
  Effect.gen(function*() {
    const world = yield* Worlds.current
    const scope = yield* Effect.scope
    const journal = yield* world.kernel.outside(
      Effect.map(
        Layer.buildWithMemoMap(layer, Layer.makeMemoMapUnsafe(), scope),
        (context) => Context.get(context, Journal)
      )
    )
    const { faults, journal: store } = script(journal)
    const failpoints = new FailpointPlans()
    let started = 0

    const launch = <A, E, R>(layer: Layer.Layer<A, E, R>) =>
      Effect.gen(function*() {
        const base = yield* Effect.context<Exclude<R, Journal>>()
        const process = new Process(++started, world, failpoints, base as Context.Context<never>)
        yield* Effect.addFinalizer(() => process.stop)
        const provided = Layer.provide(layer, Layer.succeed(Journal, process.journalOver(store)))
        const built = yield* Effect.catchIf(
          process.use(
            Layer.buildWithMemoMap(provided as Layer.Layer<A, E>, process.memo, process.scope),
            process.context
          ),
          isCrash,
          Effect.die
        )
        return { process, handle: makeProcess(process, built as Context.Context<A>, world) }
      })

    const machine: TestMachine = {
      start: ((layer) => Effect.map(launch(layer), ({ handle }) => handle)) as TestMachine["start"],
      failpoints,
      faults,
      journal,
      idle: world.idle,
      advance: (duration) => world.advanceTo(world.now + Duration.toMillis(duration))
    }
    return { machine, launch, world }
  })
