/**
 * A kind of work: its name, its schemas, its policies, and the layer that handles it.
 *
 * A kind is declared apart from its handler, so that whoever submits work needs neither the handler's code nor its
 * dependencies.
 */
import { Context, type Duration, Effect, Layer, type Schedule, Schema, type Scope } from "effect"
import type { CurrentWork } from "./CurrentWork.ts"
import type { AnyCodec } from "./internal/codec.ts"
import type { InvalidWork } from "./internal/command.ts"
import { makeSpec, type SpecOptions } from "./internal/spec.ts"
import { currentTraceparent } from "./internal/trace.ts"
import type { WorkerDied } from "./WorkerPoolError.ts"
import type { Claims, WorkSpec } from "./WorkSpec.ts"

/**
 * The type-level name of the service that handles a kind: what `toLayer` provides and an engine's layer requires.
 */
export interface Handler<in out Tag extends string> {
  readonly _: unique symbol
  readonly kind: Tag
}

/** What a cancelled work had done, for `onCancel`. */
export interface Cancelled {
  readonly reason: string
  readonly actor: string
  /** The recorded result of a step, decoded; undefined when the step was never recorded. */
  readonly recorded: <A, I>(step: string, schema: Schema.Codec<A, I>) => A | undefined
}

/**
 * A handler as the engine sees it: its code, and the services that it was made with. `toLayer` makes it; a layer of one's own
 * (a handler that runs elsewhere, as those of `WorkerPool`) provides it under the kind's `handler`.
 */
export interface HandlerService {
  readonly context: Context.Context<never>
  /** How many works it can run at once (the size of a pool of workers); no bound when it is not given. */
  readonly limit?: number
  readonly run: (payload: never) => Effect.Effect<unknown, unknown, CurrentWork | Scope.Scope>
  readonly onCancel:
    | ((payload: never, cancelled: Cancelled) => Effect.Effect<void, unknown, CurrentWork | Scope.Scope>)
    | undefined
}

/**
 * An attempt that lived longer than its kind's `timeout`, as `retry`, `retryIf` and `retryFrom` see it.
 *
 * @example
 * ```ts
 * import { Journal, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Schedule } from "effect"
 * import assert from "node:assert"
 *
 * class Nap extends WorkKind.make("Nap", {
 *   payload: {},
 *   timeout: "10 millis",
 *   stallAfter: "1 minute",
 *   retry: Schedule.recurs(5),
 *   // Whoever overslept once oversleeps again: only what the handler itself fails with is tried again.
 *   retryIf: (failure) => !(failure instanceof WorkKind.AttemptTimedOut || failure instanceof WorkKind.AttemptStalled)
 * }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Nap] }) {}
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("naps", { concurrency: 1 })
 *   const job = yield* run.submit(Nap, {})
 *   yield* Effect.flip(job.await)
 *   return (yield* job.status).attempt
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(Jobs.layer.pipe(Layer.provide([Nap.toLayer(() => Effect.never), Journal.layerMemory])))
 * )
 *
 * assert.strictEqual(await Effect.runPromise(program), 1)
 * ```
 */
export class AttemptTimedOut extends Schema.TaggedError<AttemptTimedOut>()("AttemptTimedOut", {
  afterMillis: Schema.Finite
}) {}

/** An attempt that gave no sign of life for its kind's `stallAfter`, as `retry`, `retryIf` and `retryFrom` see it. */
export class AttemptStalled extends Schema.TaggedError<AttemptStalled>()("AttemptStalled", {
  afterMillis: Schema.Finite
}) {}

/** How an attempt fails that may be tried again. */
export type AttemptFailure<E> = E | AttemptTimedOut | AttemptStalled | WorkerDied

/** A payload may be given as a schema or as the fields of a struct. */
export type PayloadSchema<P extends AnyCodec | Schema.Struct.Fields> = P extends AnyCodec ? P
  : P extends Schema.Struct.Fields ? Schema.Struct<P> extends infer S extends AnyCodec ? S : never
  : never

/**
 * Policies of a kind.
 *
 * - `retry`: answers each failed attempt with a delay, or ends. Defects are not retried. Delays survive restarts: the
 *   schedule is replayed over the recorded failures.
 * - `retryIf`: which failures may be retried at all; all by default.
 * - `retryFrom`: names the step from which to run again after a failure: it and all recorded later are dropped, and the work
 *   begins a new generation. Undefined, or a step that is not recorded: what is recorded stays.
 * - `timeout`: how long one attempt may live, counted over restarts.
 * - `stallAfter`: how long an attempt may give no sign of life: no progress, heartbeat, or step begun or recorded.
 * - `grace`: how long a handler that is interrupted may take to end before it is given up as stuck; 30 seconds by default.
 * - `keepSlotsWhenStuck`: a stuck handler keeps the slots of its attempt until it ends; false by default.
 * - `limit`: how many works of this kind may run at the same time in one run.
 * - `slots`: units of pools that a work of this kind holds while it runs, when its spec says nothing. `priority` (lower runs first; 0
 *   by default) and `timeToLive` (how long it may lie in the queue before it first starts): likewise. These three are filled in by
 *   `submit` and `spawn` alone: a spec that is given to `add`, or to `start`, says them itself.
 */
export interface Policies<E> {
  readonly retry?: Schedule.Schedule<unknown, AttemptFailure<E>> | undefined
  readonly retryIf?: ((failure: AttemptFailure<E>) => boolean) | undefined
  readonly retryFrom?: ((failure: AttemptFailure<E>) => string | undefined) | undefined
  readonly timeout?: Duration.Input | undefined
  readonly stallAfter?: Duration.Input | undefined
  readonly grace?: Duration.Input | undefined
  readonly keepSlotsWhenStuck?: boolean | undefined
  readonly limit?: number | undefined
  readonly slots?: Claims | undefined
  readonly priority?: number | undefined
  readonly timeToLive?: Duration.Input | undefined
}

/**
 * A kind of work. Extend it: `class Audit extends WorkKind.make("Audit", { ... }) {}`.
 */
export interface WorkKind<
  Tag extends string,
  Payload extends AnyCodec,
  Success extends AnyCodec,
  Failure extends AnyCodec
> {
  new(_: never): { readonly kind: Tag }
  readonly kind: Tag
  readonly payload: Payload
  readonly success: Success
  readonly error: Failure
  readonly policies: Policies<Failure["Type"]>
  readonly handler: Context.Key<Handler<Tag>, HandlerService>
  /**
   * The layer that handles this kind. `onCancel` undoes what a cancelled work has left outside (a remote job): it runs
   * when the work had begun, even if its handler is no longer alive, again and again until it succeeds.
   */
  readonly toLayer: <R, RC = never>(
    handler: (payload: Payload["Type"]) => Effect.Effect<Success["Type"], Failure["Type"], R>,
    options?: {
      readonly onCancel?: (payload: Payload["Type"], cancelled: Cancelled) => Effect.Effect<void, unknown, RC>
    }
  ) => Layer.Layer<Handler<Tag>, never, Exclude<R | RC, CurrentWork | Scope.Scope>>
}

/** Any kind: for code that takes kinds, whichever they are. */
export interface Any {
  readonly kind: string
  readonly payload: AnyCodec
  readonly success: AnyCodec
  readonly error: AnyCodec
  readonly policies: Policies<never>
  // oxlint-disable-next-line typescript/no-explicit-any -- the name of the handler is invariant: none would fit all kinds
  readonly handler: Context.Key<any, HandlerService>
}

/** The handler services that kinds need. */
export type HandlersOf<K extends Any> = K extends { readonly kind: infer Tag extends string } ? Handler<Tag> : never

/**
 * Declares a kind. `kind` is the name under which its works lie in journals: it must be unique in an engine, and stay. `payload`: a
 * schema, or the fields of a struct. `success` is `Schema.Void` by default, `error` `Schema.Never`. All three have to encode and
 * decode synchronously and without services.
 *
 * @example
 * ```ts
 * import { WorkKind } from "@espalier/engine"
 * import { Schedule, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Thumbnail extends WorkKind.make("Thumbnail", {
 *   payload: { url: Schema.String },
 *   success: Schema.Int,
 *   retry: Schedule.exponential("1 second"),
 *   timeout: "1 minute"
 * }) {}
 *
 * assert.strictEqual(Thumbnail.kind, "Thumbnail")
 * ```
 */
export const make = <
  const Tag extends string,
  Payload extends AnyCodec | Schema.Struct.Fields,
  Success extends AnyCodec = Schema.Void,
  Failure extends AnyCodec = Schema.Never
>(
  kind: Tag,
  options:
    & {
      readonly payload: Payload
      readonly success?: Success
      readonly error?: Failure
    }
    & Policies<Failure["Type"]>
): WorkKind<Tag, PayloadSchema<Payload>, Success, Failure> => {
  const { error, payload, success, ...policies } = options
  const handler = Context.Service<Handler<Tag>, HandlerService>(`@espalier/engine/Handler/${kind}`)
  class Kind {
    static readonly kind = kind
    static readonly payload = Schema.isSchema(payload) ? payload : Schema.Struct(payload as Schema.Struct.Fields)
    static readonly success = success ?? Schema.Void
    static readonly error = error ?? Schema.Never
    static readonly policies = policies
    static readonly handler = handler
    static toLayer(
      run: (payload: unknown) => Effect.Effect<unknown, unknown, unknown>,
      layerOptions?: {
        readonly onCancel?: (payload: unknown, cancelled: Cancelled) => Effect.Effect<void, unknown, unknown>
      }
    ) {
      return Layer.effect(
        handler,
        Effect.contextWith((context: Context.Context<unknown>) => {
          return Effect.succeed({ context, run, onCancel: layerOptions?.onCancel } as unknown as HandlerService)
        })
      )
    }
  }
  return Kind as never
}

/**
 * A spec for `run.add`, from a kind and a typed payload: what `run.submit` makes, for batches. The kind's `slots`, `priority` and
 * `timeToLive` are filled in. Fails with `InvalidWork` that names the field.
 *
 * @example
 * ```ts
 * import { Journal, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Square extends WorkKind.make("Square", { payload: { n: Schema.Int }, success: Schema.Int, priority: 3 }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Square] }) {}
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("squares", { concurrency: 2 })
 *   yield* run.add(yield* Effect.forEach([1, 2, 3], (n) => WorkKind.spec(Square, { n }, { id: `square-${n}` })))
 *   const { spec } = yield* run.work("square-2")
 *   assert.strictEqual(spec.priority, 3)
 *   return yield* (yield* run.job(Square, "square-3")).await
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(Jobs.layer.pipe(
 *     Layer.provide(Square.toLayer(({ n }) => Effect.succeed(n * n))),
 *     Layer.provide(Journal.layerMemory)
 *   ))
 * )
 *
 * assert.strictEqual(await Effect.runPromise(program), 9)
 * ```
 */
export const spec = <K extends Any>(
  kind: K,
  payload: K["payload"]["Type"],
  options: SpecOptions = {}
): Effect.Effect<WorkSpec, InvalidWork> =>
  Effect.flatMap(currentTraceparent, (traceparent) => makeSpec(kind, payload, options, undefined, traceparent))
