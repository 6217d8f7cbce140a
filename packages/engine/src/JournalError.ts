/**
 * How a journal fails. `Journal` exports all of this again; import it from there.
 */
import * as Schema from "effect/Schema"
import { trimmedMessage } from "./internal/journalRules.ts"

/** Who holds a run for writing. */
export interface LockOwner {
  /** The name that the writer gave itself. */
  readonly owner: string
  readonly host: string
  readonly pid: number
  /** When the run was taken, in milliseconds since the epoch. */
  readonly since: number
}

/** The run is open for writing somewhere else. */
export class RunLocked extends Schema.TaggedError<RunLocked>()("RunLocked", {
  runId: Schema.String,
  owner: Schema.String,
  host: Schema.String,
  pid: Schema.Int,
  /** In milliseconds since the epoch. */
  since: Schema.Finite,
  message: Schema.String
}) {
  /** The error with its standard message. */
  static heldBy(runId: string, holder: LockOwner): RunLocked {
    return new RunLocked({
      runId,
      owner: holder.owner,
      host: holder.host,
      pid: holder.pid,
      since: holder.since,
      message: `The run ${JSON.stringify(runId)} is open for writing by ${holder.owner} (process ${holder.pid} on ` +
        `${holder.host}, since ${new Date(holder.since).toISOString()}). A run has one writer at a time: stop that ` +
        `process or wait for it to end. Reading the run is possible meanwhile.`
    })
  }
}

/** A run of this id is there already, and the caller asked for a new one. */
export class RunExists extends Schema.TaggedError<RunExists>()("RunExists", {
  runId: Schema.String,
  message: Schema.String
}) {
  /** The error with its standard message. */
  static of(runId: string): RunExists {
    return new RunExists({
      runId,
      message: `The journal holds a run ${
        JSON.stringify(runId)
      } already. Open it to go on with it, or choose another id.`
    })
  }
}

/** There is no run of this id. */
export class RunNotFound extends Schema.TaggedError<RunNotFound>()("RunNotFound", {
  runId: Schema.String,
  message: Schema.String
}) {
  /** The error with its standard message. */
  static of(runId: string): RunNotFound {
    return new RunNotFound({
      runId,
      message: `The journal holds no run ${
        JSON.stringify(runId)
      }. Check the id against the list of runs, or start the run first.`
    })
  }
}

/** Entries were asked for that the run's writer has trimmed: its snapshot stands for them. */
export class EventsTrimmed extends Schema.TaggedError<EventsTrimmed>()("EventsTrimmed", {
  runId: Schema.String,
  /** Number of the last entry that was trimmed. */
  horizon: Schema.Int,
  message: Schema.String
}) {
  /** The error with its standard message. */
  static of(runId: string, horizon: number): EventsTrimmed {
    return new EventsTrimmed({ runId, horizon, message: trimmedMessage(runId, horizon) })
  }
}

/** The store failed: the disk, the file, the database, or what is stored in it. */
export class JournalError extends Schema.TaggedError<JournalError>()("JournalError", {
  operation: Schema.Literals([
    "connect",
    "open",
    "append",
    "read",
    "list",
    "owner",
    "snapshot",
    "trim",
    "remove"
  ]),
  runId: Schema.optionalKey(Schema.String),
  /**
   * The entry from which on nothing can be read. All entries before it can: read with a `limit` that ends before it. A
   * journal that keeps entries in groups names the first of the group.
   */
  seq: Schema.optionalKey(Schema.Int),
  cause: Schema.optionalKey(Schema.Defect()),
  message: Schema.String
}) {}
