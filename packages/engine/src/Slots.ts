/**
 * Holding units of named pools for a part of a work.
 *
 * A claim queues among the works that wait to start, in the same order, and is journaled: after a crash it is held again
 * before anything new is granted. While a work waits for one it lends its concurrency unit back.
 */
import { Effect } from "effect"
import { CurrentWork } from "./CurrentWork.ts"
import type { Claims } from "./WorkSpec.ts"

/**
 * Holds units from now until the step `until` is recorded, the hold is released, or the work settles; through
 * retries, suspends and crashes. Returns when they are granted; at once when they are held already or when `until` is
 * recorded. A pool that the run does not have is a defect.
 *
 * Interrupting the wait for a grant does not withdraw the request: units granted later stay held by the work.
 *
 * @example
 * ```ts
 * import { Journal, Slots, Step, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Measure extends WorkKind.make("Measure", { payload: { of: Schema.String } }) {}
 * class Lab extends WorkEngine.Service<Lab>()("app/Lab", { kinds: [Measure] }) {}
 *
 * let measuring = 0
 * const MeasureLive = Measure.toLayer(Effect.fn(function*() {
 *   // Held from here until "wait" is recorded, also when the process dies in between.
 *   yield* Slots.hold("bench", { bench: 1 }, { until: "wait" })
 *   yield* Step.run("start", Schema.Int, Effect.sync(() => ++measuring))
 *   yield* Effect.yieldNow
 *   assert.strictEqual(measuring, 1) // nobody else has the bench
 *   yield* Step.run("wait", Schema.Int, Effect.sync(() => --measuring))
 *   yield* Effect.yieldNow // whoever waited for the bench has it now, while this one goes on
 * }))
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Lab).open("tuesday", { concurrency: 4, pools: { bench: 1 } })
 *   const jobs = yield* Effect.forEach(["a", "b", "c"], (of) => run.submit(Measure, { of }))
 *   yield* Effect.forEach(jobs, (job) => job.await)
 * }).pipe(Effect.scoped, Effect.provide(Lab.layer.pipe(Layer.provide([MeasureLive, Journal.layerMemory]))))
 *
 * await Effect.runPromise(program)
 * ```
 */
export const hold = (
  name: string,
  claims: Claims,
  options: { readonly until?: string } = {}
): Effect.Effect<void, never, CurrentWork> =>
  Effect.flatMap(CurrentWork, (work) =>
    options.until !== undefined && work.port.steps.has(options.until)
      ? Effect.void
      : Effect.orDie(
        work.port.acquire({ hold: name, claims, ...(options.until === undefined ? {} : { until: options.until }) })
      ))

/**
 * Gives back what `hold(name, ...)` holds; nothing when it holds nothing. Returns when that is durable.
 *
 * @example
 * ```ts
 * import { Journal, Slots, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer } from "effect"
 * import assert from "node:assert"
 *
 * class Burn extends WorkKind.make("Burn", { payload: {} }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Burn] }) {}
 *
 * let burning = 0
 * const BurnLive = Burn.toLayer(Effect.fn(function*() {
 *   yield* Slots.hold("burner", { burner: 1 })
 *   assert.strictEqual(++burning, 1)
 *   yield* Effect.yieldNow
 *   burning -= 1
 *   yield* Slots.release("burner") // the rest needs no burner
 *   yield* Effect.yieldNow
 * }))
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("discs", { concurrency: 4, pools: { burner: 1 } })
 *   const jobs = yield* Effect.forEach([1, 2, 3], () => run.submit(Burn, {}))
 *   yield* Effect.forEach(jobs, (job) => job.await)
 * }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provide([BurnLive, Journal.layerMemory]))))
 *
 * await Effect.runPromise(program)
 * ```
 */
export const release = (name: string): Effect.Effect<void, never, CurrentWork> =>
  Effect.flatMap(CurrentWork, (work) =>
    Effect.orDie(
      work.port.tell({ _tag: "ReleaseSlots", id: work.spec.id, start: work.start, hold: name })
    ))
