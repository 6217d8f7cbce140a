/**
 * What can go wrong for those who use a run. Errors of the journal are in `Journal`.
 */
import { Schema } from "effect"
import { JournalError, RunExists, RunLocked, RunNotFound } from "./Journal.ts"
import { DuplicateWork, InvalidWork, Late, RunNotAccepting, WorkNotFound, WorkSettled } from "./internal/decide.ts"

export {
  DuplicateWork,
  InvalidWork,
  JournalError,
  Late,
  RunExists,
  RunLocked,
  RunNotAccepting,
  RunNotFound,
  WorkNotFound,
  WorkSettled
}

/**
 * Why a work stopped without its kind's own success or error.
 */
export const StopReason = Schema.Union([
  Schema.TaggedStruct("Cancelled", { reason: Schema.String, actor: Schema.String }),
  Schema.TaggedStruct("TimedOut", { afterMillis: Schema.Finite }),
  Schema.TaggedStruct("Defect", { message: Schema.String, stack: Schema.optionalKey(Schema.String) })
])
export type StopReason = typeof StopReason.Type

/**
 * A work ended with neither a success nor a typed error of its kind.
 */
export class WorkStopped extends Schema.TaggedError<WorkStopped>()("WorkStopped", {
  id: Schema.String,
  reason: StopReason,
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
 * The journal of the run holds something that this version cannot read. The run is left as it is.
 */
export class RunQuarantined extends Schema.TaggedError<RunQuarantined>()("RunQuarantined", {
  runId: Schema.String,
  seq: Schema.Finite,
  message: Schema.String
}) {}
