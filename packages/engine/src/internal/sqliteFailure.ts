/**
 * What SQLite and the file system say, told as `JournalError`s; and waiting while a file is busy.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { JournalError, RunExists, RunLocked, RunNotFound } from "../Journal.ts"

/** What may be thrown inside an attempt and is meant for the caller as it is. */
export type Expected = JournalError | RunLocked | RunExists | RunNotFound

const isExpected = (cause: unknown): cause is Expected =>
  cause instanceof JournalError || cause instanceof RunLocked || cause instanceof RunExists ||
  cause instanceof RunNotFound

/** The primary result code of SQLite, without the bits that refine it. */
export const sqliteCode = (cause: unknown): number | undefined =>
  Predicate.isObject(cause) && "errcode" in cause && typeof cause.errcode === "number"
    ? cause.errcode & 0xff
    : undefined

const BUSY = 5
const LOCKED = 6
const CORRUPT = 11

/** Thrown by an attempt that wants to be repeated. */
export class TryAgain extends Error {
  readonly errcode = BUSY
}

/** Someone else holds a lock that was needed: nothing was done, and it may be tried again. */
export const isBusy = (cause: unknown): boolean => {
  const code = sqliteCode(cause)
  return code === BUSY || code === LOCKED
}

export const isCorrupt = (cause: unknown): boolean => sqliteCode(cause) === CORRUPT

const remedies: Readonly<Record<string | number, string>> = {
  [BUSY]: "Another process has kept the file locked for too long: look for one that is stopped, or in a debugger.",
  [LOCKED]: "Another process has kept the file locked for too long: look for one that is stopped, or in a debugger.",
  3: "Give this user write permission for the file and its directory, or choose another path.",
  8: "Give this user write permission for the file and its directory, or choose another path.",
  10: "The disk or the file system failed: check its health and the system's log, then open the run again.",
  [CORRUPT]: "The file is damaged: keep a copy of it (with its -wal file), and restore it from a backup.",
  13: "The disk is full: free some space, then open the run again. What was appended before is safe.",
  14: "Check that the path is right, that its directory can be written, and that too many files are not open.",
  26: "The file is no SQLite database: choose another path, or move the file away.",
  EACCES: "Give this user write permission for the directory, or choose another path.",
  EPERM: "Give this user write permission for the directory, or choose another path.",
  EROFS: "The file system is read-only: choose another path.",
  ENOTDIR: "A part of the path is a file and not a directory: choose another path.",
  EEXIST: "A part of the path is a file and not a directory: choose another path.",
  ENOSPC: "The disk is full: free some space, then open the run again. What was appended before is safe.",
  ERR_INVALID_STATE: "The journal's layer is closed: use it only inside the scope that built it."
}

/** Where a failure happened, for its message. */
export interface Place {
  readonly operation: JournalError["operation"]
  readonly file: string
  readonly runId?: string
}

/** Any failure as a typed one that names the file and the remedy. */
export const describe = (place: Place, cause: unknown): Expected => {
  if (isExpected(cause)) return cause
  const code = sqliteCode(cause) ?? (Predicate.isObject(cause) && "code" in cause ? String(cause.code) : undefined)
  const reason = cause instanceof Error ? cause.message : String(cause)
  const what = place.runId === undefined ? "" : ` of the run ${JSON.stringify(place.runId)}`
  return failure(
    place,
    `The ${place.operation}${what} failed on the journal ${place.file}: ${reason}. ${
      (code === undefined ? undefined : remedies[code]) ?? "Check the file, then open the run again."
    }`,
    { cause }
  )
}

/** A failure that was found out and not thrown. */
export const failure = (
  place: Place,
  message: string,
  options: { readonly cause?: unknown; readonly seq?: number } = {}
): JournalError =>
  new JournalError({
    operation: place.operation,
    ...(place.runId === undefined ? {} : { runId: place.runId }),
    ...(options.seq === undefined ? {} : { seq: options.seq }),
    ...(options.cause === undefined ? {} : { cause: options.cause }),
    message
  })

const budgetMillis = 30_000
const longestPauseMillis = 20

/**
 * Runs a synchronous attempt, again and again while the file is busy, for half a minute at most.
 *
 * SQLite can wait by itself, but it does so by putting the thread to sleep, and with it every fiber,
 * timer and socket of the process. So it is told to wait for some milliseconds only (which spares a
 * turn of the event loop when a neighbour is in the middle of a commit), and the rest is waited for
 * here. The timer is the real one, not Effect's clock: another process's commit takes real time, also
 * in a test that stops the clock. An attempt has to leave nothing behind when it throws.
 *
 * `E` is what the attempt throws on purpose, which no type can check. `restore` makes the waiting, and
 * only that, interruptible in a region that is not.
 */
export const whileBusy = <A, E extends Expected = JournalError>(
  place: Place,
  attempt: () => A,
  restore: <B>(pause: Effect.Effect<B>) => Effect.Effect<B> = (pause) => pause
): Effect.Effect<A, E | JournalError> =>
  Effect.suspend(() => {
    const deadline = performance.now() + budgetMillis
    const go = (pauseMillis: number): Effect.Effect<A, E | JournalError> => {
      try {
        return Effect.succeed(attempt())
      } catch (cause) {
        if (!isBusy(cause) || performance.now() >= deadline) {
          return Effect.fail(describe(place, cause) as E | JournalError)
        }
        return Effect.flatMap(
          restore(pause(pauseMillis)),
          () => Effect.suspend(() => go(Math.min(pauseMillis * 2, longestPauseMillis)))
        )
      }
    }
    return go(1)
  })

const pause = (millis: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const timer = setTimeout(() => resume(Effect.void), millis)
    return Effect.sync(() => clearTimeout(timer))
  })
