/**
 * Live progress of a work: shown on the status, never in the journal, conflated per work (the newest wins). Reporting is a
 * field write, so a handler may report as often as it likes.
 */
import { Effect, Exit, type Schema } from "effect"
import { CurrentWork } from "./CurrentWork.ts"
import { codecOf, messageOf } from "./internal/codec.ts"
import type { Any } from "./WorkKind.ts"

/**
 * How far a work has come. `current` and `total` are in a unit of the handler's own; without a `total`, how much there is is not
 * known, and no time that is left is told by it. `stage`: what it is doing now; `message`: a line for a person; `data`: anything
 * that JSON can hold.
 */
export interface Progress {
  readonly current: number
  readonly total?: number
  readonly message?: string
  readonly stage?: string
  readonly data?: unknown
}

/**
 * Shows where the current work is: `status.running[n].progress`. It is gone with the attempt, and after a restart until the
 * handler reports again; what must last belongs in a step.
 *
 * @example
 * ```ts
 * import { Journal, Progress, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Deferred, Effect, Layer, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Copy extends WorkKind.make("Copy", { payload: { files: Schema.Int } }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Copy] }) {}
 *
 * const program = Effect.gen(function*() {
 *   const half = yield* Deferred.make<void>()
 *   const rest = yield* Deferred.make<void>()
 *   const CopyLive = Copy.toLayer(({ files }) =>
 *     Progress.report({ current: files / 2, total: files, message: "half of it" }).pipe(
 *       Effect.andThen(Deferred.succeed(half, undefined)),
 *       Effect.andThen(Deferred.await(rest))
 *     )
 *   )
 *   yield* Effect.gen(function*() {
 *     const run = yield* (yield* Jobs).open("backup", { concurrency: 1 })
 *     const job = yield* run.submit(Copy, { files: 8 })
 *     yield* Deferred.await(half)
 *     const { running } = yield* run.status
 *     assert.deepStrictEqual(running[0]?.progress, { current: 4, total: 8, message: "half of it" })
 *     yield* Deferred.succeed(rest, undefined)
 *     yield* job.await
 *   }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provide([CopyLive, Journal.layerMemory]))))
 * })
 *
 * await Effect.runPromise(program)
 * ```
 */
export const report = (progress: Progress): Effect.Effect<void, never, CurrentWork> =>
  Effect.map(CurrentWork, (work) => work.port.report(progress))

/**
 * A sign of life for a kind with `stallAfter`, when there is nothing new to show. Every `report` and every step is one too.
 *
 * @example
 * ```ts
 * import { Journal, Progress, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer } from "effect"
 * import { TestClock } from "effect/testing"
 * import assert from "node:assert"
 *
 * class Watch extends WorkKind.make("Watch", { payload: {}, stallAfter: "10 seconds" }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Watch] }) {}
 *
 * // It would be given up after 10 seconds of silence; it lives for a minute.
 * const WatchLive = Watch.toLayer(() =>
 *   Effect.andThen(Effect.sleep("6 seconds"), Progress.heartbeat).pipe(Effect.repeat({ times: 9 }), Effect.asVoid)
 * )
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("watching", { concurrency: 1 })
 *   const job = yield* run.submit(Watch, {})
 *   yield* TestClock.adjust("1 minute")
 *   yield* job.await
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(Jobs.layer.pipe(Layer.provide([WatchLive, Journal.layerMemory]))),
 *   Effect.provide(TestClock.layer())
 * )
 *
 * assert.strictEqual(await Effect.runPromise(program), undefined)
 * ```
 */
export const heartbeat: Effect.Effect<void, never, CurrentWork> = Effect.map(
  CurrentWork,
  (work) => work.port.report(undefined)
)

/** Progress whose `data` has a schema. */
export interface Typed<A> {
  /** As `Progress.report`. Data that do not fit the schema are a defect. */
  readonly report: (progress: Omit<Progress, "data"> & { readonly data: A }) => Effect.Effect<void, never, CurrentWork>
  /** The data that a running work of the kind has shown; undefined when it has shown none, or is of another kind. */
  readonly read: (work: { readonly kind: string; readonly progress: Progress | undefined }) => A | undefined
}

/**
 * Gives the `data` of a kind's progress a schema: what the handler reports and what a watcher reads is the same type, across
 * processes too.
 *
 * @example
 * ```ts
 * import { Journal, Progress, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Fit extends WorkKind.make("Fit", { payload: {} }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Fit] }) {}
 * const FitProgress = Progress.typed(Fit, Schema.Struct({ loss: Schema.Finite }))
 *
 * const FitLive = Fit.toLayer(() =>
 *   Effect.andThen(FitProgress.report({ current: 3, total: 10, stage: "warmup", data: { loss: 0.25 } }), Effect.never)
 * )
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("fits", { concurrency: 1 })
 *   yield* run.submit(Fit, {})
 *   const { running } = yield* run.status
 *   return running.map(FitProgress.read)
 * }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provide([FitLive, Journal.layerMemory]))))
 *
 * assert.deepStrictEqual(await Effect.runPromise(program), [{ loss: 0.25 }])
 * ```
 */
export const typed = <A, I>(kind: Any, data: Schema.Codec<A, I>): Typed<A> => {
  const { decode, encode } = codecOf(data)
  return {
    report: (progress) => {
      const encoded = encode(progress.data)
      return Exit.isSuccess(encoded)
        ? report({ ...progress, data: encoded.value })
        : Effect.die(new Error(`the progress of a "${kind.kind}" does not fit its schema: ${messageOf(encoded)}`))
    },
    read: (work) => {
      if (work.kind !== kind.kind || work.progress?.data === undefined) return undefined
      const decoded = decode(work.progress.data)
      return Exit.isSuccess(decoded) ? decoded.value as A : undefined
    }
  }
}
