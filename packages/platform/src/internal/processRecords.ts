/**
 * The records of a local job, as they stand on the disk. The wrapper only uses their types (it must start
 * fast); whoever reads a record decodes it, because what lies on a disk may be damaged or of another version.
 */
import * as Schema from "effect/Schema"
import { JobHandle, JobResources, JobUsage } from "../Execution.ts"

/** Stands in every record: one of another version is not guessed at. */
export const version = Schema.Literal(1)

/** A process, told from a later one with the same number. */
const processIdentity = { pid: Schema.Int, startTicks: Schema.NullOr(Schema.Finite) }

/** The same, with the machine on which it can be seen. */
export const placedProcess = {
  ...processIdentity,
  host: Schema.String,
  bootId: Schema.NullOr(Schema.String),
  pidNamespace: Schema.NullOr(Schema.String)
}

const { argv, id, key } = JobHandle.fields

/** `command.json`: what to run. Written by the launcher; the first one that a key gets stays. */
export const Command = Schema.Struct({
  version,
  id,
  key,
  argv,
  directory: Schema.String,
  environment: Schema.Record(Schema.String, Schema.String),
  timeoutMillis: Schema.NullOr(Schema.Finite),
  graceMillis: Schema.Finite,
  requestedAt: Schema.Finite,
  /** What it asks of a scheduler; absent where there is none. */
  resources: Schema.optionalKey(JobResources)
})
export type Command = typeof Command.Type

/** `claim`: the one wrapper that may run the job. */
export const Claim = Schema.Struct({
  version,
  ...placedProcess,
  /** What the processes of this job carry in their environment. */
  token: Schema.NonEmptyString,
  claimedAt: Schema.Finite,
  /** The scheduler's number of the job that this wrapper is. A key may have been submitted twice: one has the claim. */
  schedulerId: Schema.optionalKey(Schema.NonEmptyString)
})
export type Claim = typeof Claim.Type

/** `start.json`: the job's first process. */
export const Start = Schema.Struct({
  version,
  ...processIdentity,
  startedAt: Schema.Finite
})
export type Start = typeof Start.Type

/** `cancel.json`: somebody asked for the end of the job. Written before any signal is sent. */
export const Cancel = Schema.Struct({
  version,
  requestedAt: Schema.Finite,
  graceMillis: Schema.Finite,
  host: Schema.String,
  pid: Schema.Int
})
export type Cancel = typeof Cancel.Type

/** `exit.json`: how the job ended. Nothing of the job runs when this appears. */
export const Exit = Schema.Struct({
  version,
  /** Null for a job that never ran: it was cancelled before, or could not be started. */
  startedAt: Schema.NullOr(Schema.Finite),
  endedAt: Schema.Finite,
  exitCode: Schema.NullOr(Schema.Int),
  signal: Schema.NullOr(Schema.String),
  /** What the wrapper ended it for; null when it ended by itself. */
  endedFor: Schema.NullOr(Schema.Literals(["timeout", "cancel", "termination"])),
  outOfMemory: Schema.Boolean,
  startError: Schema.NullOr(Schema.Struct({ code: Schema.String, message: Schema.String })),
  /** Processes of the job that outlived its first one, and were ended. */
  leftBehind: Schema.Int
})
export type Exit = typeof Exit.Type

/** `system.json`: what the job uses. Replaced every few seconds: its age is also the wrapper's sign of life. */
export const System = Schema.Struct({ version, usage: Schema.NullOr(JobUsage) })
export type System = typeof System.Type
