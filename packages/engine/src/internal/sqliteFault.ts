/**
 * What SQLite and the file system say, as plain data that names the file and the remedy.
 *
 * The code that works on the journal's file runs in two threads, and the one that writes loads nothing of Effect, so that
 * it starts fast. It throws `FaultError`s; their data crosses to the other thread, where `sqliteFailure.ts` makes typed errors of it.
 */
import type { JournalError, LockOwner } from "../JournalError.ts"

/** A failure that the caller of the journal is told of. */
export type Fault =
  | {
    readonly _tag: "JournalError"
    readonly operation: JournalError["operation"]
    readonly runId?: string
    readonly seq?: number
    readonly cause?: Cause
    readonly message: string
  }
  | { readonly _tag: "RunLocked"; readonly runId: string; readonly holder: LockOwner }
  | { readonly _tag: "RunExists"; readonly runId: string }
  | { readonly _tag: "RunNotFound"; readonly runId: string }
  | { readonly _tag: "EventsTrimmed"; readonly runId: string; readonly horizon: number }

/** What an `Error` has to say; posting the error itself to another thread would lose its codes. */
export interface Cause {
  readonly message: string
  readonly stack?: string
  readonly code?: unknown
  readonly errcode?: unknown
}

/** A fault on its way to the caller. */
export class FaultError extends Error {
  readonly fault: Fault
  constructor(fault: Fault) {
    super(fault._tag)
    this.fault = fault
  }
}

/** Where a failure happened, for its message. */
export interface Place {
  readonly operation: JournalError["operation"]
  readonly file: string
  readonly runId?: string
}

const BUSY = 5
const LOCKED = 6
const CORRUPT = 11

const property = (cause: unknown, name: string): unknown =>
  typeof cause === "object" && cause !== null ? (cause as Record<string, unknown>)[name] : undefined

/** The primary result code of SQLite, without the bits that refine it. */
const sqliteCode = (cause: unknown): number | undefined => {
  const code = property(cause, "errcode")
  return typeof code === "number" ? code & 0xff : undefined
}

/** Thrown by an attempt that wants to be repeated a little later, without holding up anybody else. */
export class TryAgain extends Error {
  readonly errcode = BUSY
}

/** Someone else holds a lock that was needed: nothing was done, and it may be tried again. */
export const isBusy = (cause: unknown): boolean => {
  const code = sqliteCode(cause)
  return code === BUSY || code === LOCKED
}

export const isCorrupt = (cause: unknown): boolean => sqliteCode(cause) === CORRUPT

/** How long a busy file is waited for. */
export const busyBudgetMillis = 30_000

const locked = "Another process has kept the file locked for too long: look for one that is stopped, or in a debugger."
const full = "The disk is full: free some space, then open the run again. What was appended before is safe."
const unwritable = "Give this user write permission for the file and its directory, or choose another path."
const noDirectory = "A part of the path is a file and not a directory: choose another path."

const remedies: Readonly<Record<string | number, string>> = {
  [BUSY]: locked,
  [LOCKED]: locked,
  3: unwritable,
  8: unwritable,
  10: "The disk or the file system failed: check its health and the system's log, then open the run again.",
  [CORRUPT]: "The file is damaged: keep a copy of it (with its -wal file), and restore it from a backup.",
  13: full,
  14: "Check that the path is right, that its directory can be written, and that too many files are not open.",
  26: "The file is no SQLite database: choose another path, or move the file away.",
  EACCES: unwritable,
  EPERM: unwritable,
  EROFS: "The file system is read-only: choose another path.",
  ENOTDIR: noDirectory,
  EEXIST: noDirectory,
  ENOSPC: full
}

/** Any failure as a fault that names the file and the remedy. */
export const describe = (place: Place, cause: unknown): Fault => {
  if (cause instanceof FaultError) return cause.fault
  const code = sqliteCode(cause) ?? property(cause, "code")
  const reason = cause instanceof Error ? cause.message : String(cause)
  const what = place.runId === undefined ? "" : ` of the run ${JSON.stringify(place.runId)}`
  const remedy = typeof code === "number" || typeof code === "string" ? remedies[code] : undefined
  return failure(
    place,
    `The ${place.operation}${what} failed on the journal ${place.file}: ${reason}. ` +
      (remedy ?? "Check the file, then open the run again."),
    { cause }
  ).fault
}

/** A failure that was found out and not thrown. */
export const failure = (
  { operation, runId }: Place,
  message: string,
  { cause, seq }: { readonly cause?: unknown; readonly seq?: number } = {}
): FaultError =>
  new FaultError({
    _tag: "JournalError",
    operation,
    ...(runId === undefined ? {} : { runId }),
    ...(seq === undefined ? {} : { seq }),
    ...(cause === undefined ? {} : { cause: causeOf(cause) }),
    message
  })

const causeOf = (cause: unknown): Cause => ({
  message: cause instanceof Error ? cause.message : String(cause),
  ...(cause instanceof Error && cause.stack !== undefined ? { stack: cause.stack } : {}),
  ...(property(cause, "code") === undefined ? {} : { code: property(cause, "code") }),
  ...(property(cause, "errcode") === undefined ? {} : { errcode: property(cause, "errcode") })
})
