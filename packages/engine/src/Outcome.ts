/**
 * How a work ended, in the form that is journaled.
 */
import { Schema } from "effect"

/**
 * Why an attempt did not succeed.
 *
 * - `Error`: the handler failed with its kind's typed error, here in encoded form.
 * - `Defect`: the handler threw, or failed in a way that its kind does not declare.
 * - `TimedOut`: the attempt lived longer than the kind's `timeout`.
 * - `Stalled`: the attempt gave no sign of life (progress, heartbeat, step) for the kind's `stallAfter`.
 * - `Expired`: the work's `deadline` came while it ran, or between two attempts.
 * - `Crashed`: the process died `times` times in a row with the work in the middle, without a step recorded or an orderly stop in
 *   between.
 * - `WorkerDied`: the worker that ran the handler died with it in the middle, by what `reason` says; see `WorkerPool`.
 */
export const WorkFailure = Schema.Union([
  Schema.TaggedStruct("Error", { error: Schema.Json }),
  Schema.TaggedStruct("Defect", { message: Schema.String, stack: Schema.optionalKey(Schema.String) }),
  Schema.TaggedStruct("TimedOut", { afterMillis: Schema.Finite }),
  Schema.TaggedStruct("Stalled", { afterMillis: Schema.Finite }),
  Schema.TaggedStruct("Expired", { deadline: Schema.Finite }),
  Schema.TaggedStruct("Crashed", { times: Schema.Int }),
  Schema.TaggedStruct("WorkerDied", {
    reason: Schema.Literals(["memory", "exit", "signal", "error"]),
    message: Schema.String,
    exitCode: Schema.optionalKey(Schema.Int),
    signal: Schema.optionalKey(Schema.String)
  })
])
export type WorkFailure = typeof WorkFailure.Type

/**
 * Why a work was never begun and never will be.
 *
 * - `Dependency`: a work that it waits for did not succeed: `id` and how that one ended (`unknown`: it is not in the run).
 * - `Expired`: its `deadline`, or its time to live in the queue, ran out at `at` (milliseconds since the epoch).
 * - `Replaced`: a later work with the same idempotency key, of this id, took its place.
 */
export const SkipCause = Schema.Union([
  Schema.TaggedStruct("Dependency", {
    id: Schema.String,
    state: Schema.Literals(["failed", "skipped", "cancelled", "unknown"])
  }),
  Schema.TaggedStruct("Expired", { by: Schema.Literals(["deadline", "timeToLive"]), at: Schema.Finite }),
  Schema.TaggedStruct("Replaced", { by: Schema.String })
])
export type SkipCause = typeof SkipCause.Type

/**
 * The final outcome of a work, as it lies in the journal: `result` in the encoded form of its kind's success. It never changes
 * within a generation; a retry by name begins another one. `job.await` gives it in the kind's own types.
 */
export const Outcome = Schema.Union([
  Schema.TaggedStruct("Succeeded", { result: Schema.Json }),
  Schema.TaggedStruct("Failed", { failure: WorkFailure }),
  Schema.TaggedStruct("Skipped", { cause: SkipCause }),
  Schema.TaggedStruct("Cancelled", { reason: Schema.String, actor: Schema.String })
])
export type Outcome = typeof Outcome.Type

/**
 * One line for a person about a failure.
 *
 * @example
 * ```ts
 * import { Outcome } from "@espalier/engine"
 * import { Schema } from "effect"
 * import assert from "node:assert"
 *
 * const read = Schema.decodeUnknownSync(Outcome.Outcome)
 * const timedOut = read({ _tag: "Failed", failure: { _tag: "TimedOut", afterMillis: 500 } })
 * assert(timedOut._tag === "Failed")
 * assert.strictEqual(Outcome.describeFailure(timedOut.failure), "timed out after 500 ms")
 * ```
 */
export const describeFailure = (failure: WorkFailure): string => {
  switch (failure._tag) {
    case "Error":
      return JSON.stringify(failure.error)
    case "Defect":
    case "WorkerDied":
      return failure.message
    case "TimedOut":
      return `timed out after ${failure.afterMillis} ms`
    case "Stalled":
      return `gave no sign of life for ${failure.afterMillis} ms`
    case "Expired":
      return `its deadline, ${new Date(failure.deadline).toISOString()}, has passed`
    case "Crashed":
      return `the process died ${failure.times} times in a row in the middle of it`
  }
}

/**
 * One line for a person: why a work was skipped.
 *
 * @example
 * ```ts
 * import { Outcome } from "@espalier/engine"
 * import { Schema } from "effect"
 * import assert from "node:assert"
 *
 * const skipped = Schema.decodeUnknownSync(Outcome.Outcome)({
 *   _tag: "Skipped",
 *   cause: { _tag: "Dependency", id: "upload", state: "failed" }
 * })
 * assert(skipped._tag === "Skipped")
 * assert.strictEqual(Outcome.describeSkip(skipped.cause), `"upload", which it waits for, is failed`)
 * ```
 */
export const describeSkip = (cause: SkipCause): string => {
  switch (cause._tag) {
    case "Dependency":
      return cause.state === "unknown"
        ? `it waits for "${cause.id}", which is not in the run`
        : `"${cause.id}", which it waits for, is ${cause.state}`
    case "Expired":
      return cause.by === "deadline"
        ? `its deadline, ${new Date(cause.at).toISOString()}, has passed`
        : `its time to live in the queue ran out at ${new Date(cause.at).toISOString()}`
    case "Replaced":
      return `"${cause.by}" has the same idempotency key and took its place`
  }
}
