/**
 * A kind of work: its name, its schemas, its policies, and the layer that handles it.
 *
 * A kind is declared apart from its handler, so that whoever submits work needs neither the handler's code nor its
 * dependencies.
 */
import { Context, type Duration, Effect, Layer, type Schedule, Schema, type Scope } from "effect"
import type { CurrentWork } from "./CurrentWork.ts"
import type { Claims } from "./WorkSpec.ts"

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
 * A handler with its requirements provided, as the engine sees it.
 */
export interface HandlerService {
  readonly run: (payload: never) => Effect.Effect<unknown, unknown, CurrentWork | Scope.Scope>
  readonly onCancel:
    | ((payload: never, cancelled: Cancelled) => Effect.Effect<void, unknown, CurrentWork | Scope.Scope>)
    | undefined
}

/** An attempt that lived longer than its kind's `timeout`, as a retry schedule sees it. */
export class AttemptTimedOut extends Schema.TaggedError<AttemptTimedOut>()("AttemptTimedOut", {
  afterMillis: Schema.Finite
}) {}

// Payload, success and error of any kind at all: the position is invariant, so `unknown` would fit none.
// oxlint-disable-next-line typescript/no-explicit-any
type AnyCodec = Schema.Codec<any, any>

/** A payload may be given as a schema or as the fields of a struct. */
export type PayloadSchema<P extends AnyCodec | Schema.Struct.Fields> = P extends AnyCodec ? P
  : P extends Schema.Struct.Fields ? Schema.Struct<P> extends infer S extends AnyCodec ? S : never
  : never

/**
 * Policies of a kind.
 *
 * - `retry`: answers each failed attempt with a delay, or ends. Its input is the kind's error, or `AttemptTimedOut`.
 *   Defects are not retried. Delays survive restarts: the schedule is replayed over the recorded failures.
 * - `timeout`: how long one attempt may live, counted over restarts.
 * - `limit`: how many works of this kind may run at the same time in one run.
 * - `slots`: units of pools that every work of this kind holds while it runs.
 * - `priority`: used when a spec gives none. Lower runs first; 0 by default.
 */
export interface Policies<E> {
  readonly retry?: Schedule.Schedule<unknown, E | AttemptTimedOut> | undefined
  readonly timeout?: Duration.Input | undefined
  readonly limit?: number | undefined
  readonly slots?: Claims | undefined
  readonly priority?: number | undefined
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

/** Any kind. */
export interface Any {
  readonly kind: string
  readonly payload: AnyCodec
  readonly success: AnyCodec
  readonly error: AnyCodec
  readonly policies: Policies<never>
  // oxlint-disable-next-line typescript/no-explicit-any -- as above
  readonly handler: Context.Key<any, HandlerService>
}

/** The handler services that kinds need. */
export type HandlersOf<K extends Any> = K extends { readonly kind: infer Tag extends string } ? Handler<Tag> : never

/**
 * Declares a kind.
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
          const onCancel = layerOptions?.onCancel
          const provide = <A>(effect: Effect.Effect<A, unknown, unknown>) =>
            Effect.updateContext(effect, (own: Context.Context<unknown>) => Context.merge(context, own))
          return Effect.succeed(
            {
              run: (value: never) => provide(run(value)),
              onCancel: onCancel === undefined
                ? undefined
                : (value: never, cancelled: Cancelled) => provide(onCancel(value, cancelled))
            } as HandlerService
          )
        })
      )
    }
  }
  return Kind as never
}
