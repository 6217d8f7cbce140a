/**
 * Live progress of a work: shown on the status, never in the journal, conflated per work (the newest wins). Reporting is a
 * field write, so a handler may report as often as it likes.
 */
import { Effect } from "effect"
import { CurrentWork } from "./CurrentWork.ts"

/**
 * How far a work has come. `current` and `total` are in a unit of the handler's own; `data` is anything serializable.
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
