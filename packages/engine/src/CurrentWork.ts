/**
 * What a handler may know of the work that it is doing. Everything here is data or a message, so that a handler can
 * run in another process than its scheduler.
 */
import { Context, Effect } from "effect"
import type { JournalError } from "./Journal.ts"
import { type Command, WorkNotAccepting, WorkNotFound } from "./internal/command.ts"
import { only, type RunError } from "./internal/errors.ts"
import { fromOutcome } from "./internal/outcomes.ts"
import type { Outcome } from "./Outcome.ts"
import type { Progress } from "./Progress.ts"
import type { RunQuarantined, WorkStopped } from "./RunError.ts"
import type { Sequenced } from "./RunEvent.ts"
import type { Any } from "./WorkKind.ts"
import type { ChildSpec, WorkSpec } from "./WorkSpec.ts"

/**
 * Why a handler is being interrupted.
 *
 * - `suspend`: the run stops and will go on; leave outside things (a remote job) running.
 * - `pause`: this work was paused and has come to a step boundary; it will go on.
 * - `cancel`: the work is over for good.
 * - `timeout`: the attempt has lived longer than its kind allows.
 * - `stall`: the attempt has given no sign of life for longer than its kind allows.
 * - `deadline`: the work's deadline has come.
 * - `journal`: the journal failed, or was lost to another process; nothing more can be recorded by this one.
 */
export type StopReason = "suspend" | "pause" | "cancel" | "timeout" | "stall" | "deadline" | "journal"

/**
 * What is known of another work.
 * @internal
 */
export interface Ended {
  readonly kind: string
  readonly outcome: Outcome | undefined
}

/**
 * What a handler may tell its scheduler.
 * @internal
 */
export type Message = Extract<Command, { readonly _tag: "RecordStep" | "ReleaseSlots" }>

/**
 * How a handler reaches its scheduler. For `Step`, `Slots` and `Progress`; not for handlers.
 * @internal
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
  readonly tell: (message: Message) => Effect.Effect<void, RunError>
  /** Asks for slots and returns when they are granted. */
  readonly acquire: (
    request: {
      readonly hold: string
      readonly claims: WorkSpec["slots"] & {}
      readonly until?: string
      readonly step?: string
    }
  ) => Effect.Effect<void, RunError>
  /** Shows progress; undefined is a mere sign of life. */
  readonly report: (progress: Progress | undefined) => void
  /** A step begins, or ends (undefined). At such a boundary a paused work is interrupted: then it does not return. */
  readonly enter: (step: string | undefined) => Effect.Effect<void>
  /** The kind of a work of the run, and how it ended (undefined when it has not); fails when it is not there. */
  readonly outcome: (id: string) => Effect.Effect<Ended, RunError>
}

/**
 * The work at hand: whatever runs inside a handler, or inside `onCancel`, may ask for it. In `onCancel` it can be looked at and
 * gives keys; it records nothing, asks for no slots and spawns nothing there.
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
  /** 0 at first; grows when the work is retried by name, or from a step. */
  readonly generation: number
  /** Number of this start of the work: what its handler says is recorded only while it is the latest. */
  readonly start: number
  /** Why the handler is being interrupted; undefined while it is not. For finalizers. */
  readonly stopReason: Effect.Effect<StopReason | undefined>
  /**
   * A key for the outside world, the same in every attempt of a generation: hand it to whatever starts something there, and a start
   * that happened just before a crash is found instead of repeated. Made of run, work, generation and name; opaque otherwise, and
   * unique only as far as ids of runs are.
   */
  readonly idempotencyKey: (name: string) => string
  /**
   * The run's events with `seq` greater than `after`, up to what is durable now; 0 gives all of them. Where the run has forgotten
   * some of them, the first is a `RunSnapshot`. Fails when they cannot be read.
   */
  readonly history: (after: number) => Effect.Effect<ReadonlyArray<Sequenced>, JournalError | RunQuarantined>
  /** @internal */
  readonly port: Port
}>()("@espalier/engine/CurrentWork") {}

/**
 * How a work of a known kind ended, typed as `job.await` would: its success, its typed error, or `WorkStopped`. For works that
 * this one comes `after`: those have settled. Of others, `WorkNotAccepting` says that one has not, `WorkNotFound` that it is
 * not there.
 *
 * @example
 * ```ts
 * import { CurrentWork, Journal, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Part extends WorkKind.make("Part", { payload: { n: Schema.Int }, success: Schema.Int }) {}
 * class Sum extends WorkKind.make("Sum", { payload: { of: Schema.Array(Schema.String) }, success: Schema.Int }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Part, Sum] }) {}
 *
 * const PartLive = Part.toLayer(({ n }) => Effect.succeed(n * n))
 * const SumLive = Sum.toLayer(({ of }) =>
 *   Effect.forEach(of, (id) => CurrentWork.outcome(Part, id)).pipe(
 *     Effect.map((parts) => parts.reduce((sum, part) => sum + part, 0)),
 *     Effect.orDie
 *   )
 * )
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("squares", { concurrency: 2 })
 *   const of = ["two", "three"]
 *   yield* run.submit(Part, { n: 2 }, { id: "two" })
 *   yield* run.submit(Part, { n: 3 }, { id: "three" })
 *   return yield* (yield* run.submit(Sum, { of }, { after: of })).await
 * }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provide([PartLive, SumLive, Journal.layerMemory]))))
 *
 * assert.strictEqual(await Effect.runPromise(program), 13)
 * ```
 */
export const outcome = <K extends Any>(
  kind: K,
  id: string
): Effect.Effect<
  K["success"]["Type"],
  K["error"]["Type"] | WorkStopped | WorkNotFound | WorkNotAccepting | JournalError,
  CurrentWork
> =>
  Effect.flatMap(CurrentWork, ({ port }) =>
    Effect.flatMap(
      only("WorkNotFound", "JournalError")(port.outcome(id)),
      (
        found
      ): Effect.Effect<K["success"]["Type"], K["error"]["Type"] | WorkStopped | WorkNotAccepting | WorkNotFound> =>
        found.kind !== kind.kind
          ? Effect.fail(
            new WorkNotFound({ id, message: `work "${id}" is of the kind "${found.kind}", not "${kind.kind}"` })
          )
          : found.outcome === undefined
          ? Effect.fail(
            new WorkNotAccepting({
              id,
              command: "outcome",
              status: "unsettled",
              message: `work "${id}" has not settled: name it in \`after\` of the work that reads its outcome`
            })
          )
          : fromOutcome(kind, id, found.outcome) as Effect.Effect<
            K["success"]["Type"],
            K["error"]["Type"] | WorkStopped
          >
    ))
