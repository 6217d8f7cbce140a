/**
 * What can go wrong for those who use a run. The journal's own errors are in `Journal`; those that a run passes on are here too.
 * `message` says what happened, with the values in question, and what to do.
 */
import { Schema } from "effect"
import { JournalError, RunExists, RunLocked, RunNotFound } from "./Journal.ts"
import {
  DuplicateKey,
  DuplicateWork,
  InvalidWork,
  Late,
  RunFull,
  RunNotAccepting,
  WorkNotAccepting,
  WorkNotFound,
  WorkSettled
} from "./internal/command.ts"
import { SkipCause } from "./Outcome.ts"

export {
  DuplicateKey,
  DuplicateWork,
  InvalidWork,
  JournalError,
  Late,
  RunExists,
  RunFull,
  RunLocked,
  RunNotAccepting,
  RunNotFound,
  WorkNotAccepting,
  WorkNotFound,
  WorkSettled
}

/**
 * How a work ended without its kind's own success or error.
 *
 * - `Cancelled`: by whom (`actor`) and why (`reason`), as given to `cancelWork` or `cancel`.
 * - `Skipped`: it never began: see `Outcome.SkipCause`.
 * - `TimedOut`: an attempt lived longer than its kind's `timeout` (milliseconds), and the retry schedule had ended.
 * - `Stalled`: an attempt gave no sign of life for its kind's `stallAfter` (milliseconds), and the retry schedule had ended.
 * - `Expired`: its `deadline` (milliseconds since the epoch) came after it had begun.
 * - `Crashed`: the process died `times` times in a row with it in the middle, without a step recorded or an orderly stop in between.
 * - `WorkerDied`: the worker that ran the handler died with it in the middle, and the retry schedule had ended.
 * - `Defect`: the handler threw, or succeeded or failed with what its kind does not declare. `stack` is cut at 8000
 *   characters.
 */
export const EndReason = Schema.Union([
  Schema.TaggedStruct("Cancelled", { reason: Schema.String, actor: Schema.String }),
  Schema.TaggedStruct("Skipped", { cause: SkipCause }),
  Schema.TaggedStruct("TimedOut", { afterMillis: Schema.Finite }),
  Schema.TaggedStruct("Stalled", { afterMillis: Schema.Finite }),
  Schema.TaggedStruct("Expired", { deadline: Schema.Finite }),
  Schema.TaggedStruct("Crashed", { times: Schema.Int }),
  Schema.TaggedStruct("WorkerDied", {
    reason: Schema.Literals(["memory", "exit", "signal", "error"]),
    message: Schema.String,
    exitCode: Schema.optionalKey(Schema.Int),
    signal: Schema.optionalKey(Schema.String)
  }),
  Schema.TaggedStruct("Defect", { message: Schema.String, stack: Schema.optionalKey(Schema.String) })
])
export type EndReason = typeof EndReason.Type

/**
 * A work ended with neither a success nor a typed error of its kind: `reason` says which way, as data, `message` for a
 * person. What `job.await` fails with besides the kind's own error.
 *
 * @example
 * ```ts
 * import { Journal, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Nap extends WorkKind.make("Nap", { payload: {}, success: Schema.Int, timeout: "10 millis" }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Nap] }) {}
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("naps", { concurrency: 1 })
 *   const job = yield* run.submit(Nap, {})
 *   return yield* job.await
 * }).pipe(
 *   Effect.catchTag("WorkStopped", ({ reason }) => Effect.succeed(reason)),
 *   Effect.scoped,
 *   Effect.provide(Jobs.layer.pipe(Layer.provide([Nap.toLayer(() => Effect.never), Journal.layerMemory])))
 * )
 *
 * assert.deepStrictEqual(await Effect.runPromise(program), { _tag: "TimedOut", afterMillis: 10 })
 * ```
 */
export class WorkStopped extends Schema.TaggedError<WorkStopped>()("WorkStopped", {
  id: Schema.String,
  reason: EndReason,
  message: Schema.String
}) {}

/**
 * The run was suspended while somebody waited for it. Nothing is lost: open the run again and ask again.
 */
export class RunSuspended extends Schema.TaggedError<RunSuspended>()("RunSuspended", {
  runId: Schema.String,
  message: Schema.String
}) {}

/**
 * The journal of the run holds something that this version cannot read: event number `seq` is of an unknown version or
 * shape. The run is left as it is, and can be opened by the version that wrote it, or a newer one.
 */
export class RunQuarantined extends Schema.TaggedError<RunQuarantined>()("RunQuarantined", {
  runId: Schema.String,
  seq: Schema.Finite,
  message: Schema.String
}) {}

/**
 * The work settled so long ago that the run, which keeps only some of its settled works, has forgotten how it ended.
 */
export class OutcomeExpired extends Schema.TaggedError<OutcomeExpired>()("OutcomeExpired", {
  id: Schema.String,
  message: Schema.String
}) {}
