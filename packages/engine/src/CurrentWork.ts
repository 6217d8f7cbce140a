/**
 * What a handler may know of the work that it is doing. Everything here is data or a message, so that a handler can
 * run in another process than its scheduler.
 */
import { Context, type Effect } from "effect"
import type { Command } from "./internal/decide.ts"
import type { Progress } from "./Progress.ts"
import type { RunError } from "./internal/errors.ts"
import type { Sequenced } from "./RunEvent.ts"
import type { ChildSpec, WorkSpec } from "./WorkSpec.ts"

/**
 * Why a handler is being interrupted.
 *
 * - `suspend`: the run stops and will go on; leave outside things (a remote job) running.
 * - `cancel`: the work is over for good.
 * - `timeout`: the attempt has lived longer than its kind allows.
 * - `journal`: the journal failed; nothing more can be recorded by this process.
 */
export type StopReason = "suspend" | "cancel" | "timeout" | "journal"

/**
 * How a handler reaches its scheduler. For `Step`, `Slots` and `Progress`; not for handlers.
 */
export interface Port {
  /** The run as this process has it open: what is cached beside it is keyed by this. */
  readonly session: object
  /** Encoded results of the steps that are recorded, by name. */
  readonly steps: ReadonlyMap<string, unknown>
  /** Names that this attempt has used. */
  readonly used: Set<string>
  /** Children spawned outside of steps. */
  readonly children: Array<ChildSpec>
  /** Tells the scheduler, and returns when what follows is durable. */
  readonly tell: (command: Command) => Effect.Effect<void, RunError>
  /** Asks for slots and returns when they are granted. */
  readonly acquire: (
    request: {
      readonly hold: string
      readonly claims: WorkSpec["slots"] & {}
      readonly until?: string
      readonly step?: string
    }
  ) => Effect.Effect<void, RunError>
  readonly report: (progress: Progress) => void
  readonly enter: (step: string | undefined) => void
}

/**
 * The work at hand: whatever runs inside a handler, or inside `onCancel`, may ask for it.
 *
 * @example
 * ```ts
 * import { CurrentWork, Journal, Step, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Order extends WorkKind.make("Order", { payload: { book: Schema.String }, success: Schema.String }) {}
 * class Shop extends WorkEngine.Service<Shop>()("app/Shop", { kinds: [Order] }) {}
 *
 * // The shop remembers keys: an order that was placed just before a crash is found, not placed again.
 * const placed = new Map<string, string>()
 * const place = (key: string, book: string) =>
 *   Effect.sync(() => {
 *     if (!placed.has(key)) placed.set(key, book)
 *     return key
 *   })
 *
 * const OrderLive = Order.toLayer(Effect.fn(function*({ book }) {
 *   const work = yield* CurrentWork.CurrentWork
 *   return yield* Step.run("place", Schema.String, place(work.idempotencyKey("place"), book))
 * }))
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Shop).open("orders", { concurrency: 1 })
 *   const job = yield* run.submit(Order, { book: "Middlemarch" }, { id: "order-1" })
 *   return yield* job.await
 * }).pipe(Effect.scoped, Effect.provide(Shop.layer.pipe(Layer.provide([OrderLive, Journal.layerMemory]))))
 *
 * assert.strictEqual(await Effect.runPromise(program), "orders/order-1/0/place")
 * ```
 */
export class CurrentWork extends Context.Service<CurrentWork, {
  readonly runId: string
  readonly spec: WorkSpec
  /** 1 for the first try. A try cut short by a suspend or a crash is not counted: the next one has the same number. */
  readonly attempt: number
  /** Why the handler is being interrupted; undefined while it is not. For finalizers. */
  readonly stopReason: Effect.Effect<StopReason | undefined>
  /**
   * A key for the outside world, the same in every attempt: hand it to whatever starts something there, and a start
   * that happened just before a crash is found instead of repeated. Made of run, work and name; opaque otherwise, and
   * unique only as far as ids of runs are.
   */
  readonly idempotencyKey: (name: string) => string
  /**
   * The run's events with `seq` greater than `after`, up to what is durable now; 0 gives all of them. Fails with
   * `JournalError`, or `RunQuarantined`, when they cannot be read.
   */
  readonly history: (after: number) => Effect.Effect<ReadonlyArray<Sequenced>, RunError>
  /** @internal */
  readonly port: Port
}>()("@espalier/engine/CurrentWork") {}
