/**
 * Taking a run for writing, giving it back, and telling who has it.
 *
 * All three happen inside a write transaction of the journal. So a lock and the row that names its holder
 * change together for everybody who looks, and lock files are made, tried and removed by one
 * process at a time.
 */
import * as Effect from "effect/Effect"
import { hostname } from "node:os"
import { type JournalError, type LockOwner, RunExists, RunLocked, RunNotFound } from "../Journal.ts"
import { type Database, row, type RunRow } from "./sqliteDatabase.ts"
import { failure, type Place, TryAgain, whileBusy } from "./sqliteFailure.ts"
import { lockFile, removeLockFile, type RunLock, tryLock } from "./sqliteLock.ts"
import { assertTail } from "./sqlitePage.ts"

const holderOf = (run: RunRow | undefined): LockOwner | undefined =>
  run === undefined || run.owner === null || run.host === null || run.pid === null || run.since === null
    ? undefined
    : { owner: run.owner, host: run.host, pid: run.pid, since: run.since }

/** A run that this process has taken. */
export interface Taken {
  readonly database: Database
  readonly lock: RunLock
  readonly run: RunRow
}

/** How long a lock may be held by someone whom the journal does not name: see below. */
const settleMillis = 1000

/**
 * An attempt at taking a run, to be repeated while it throws a busy error.
 *
 * The holder of a lock is named in the run's row, because both change in one transaction. Only when the
 * holder is just dying may they disagree, as the operating system frees a dead process's files one after the
 * other. That is a matter of microseconds, so it is waited for, within bounds.
 */
export const startTaking = (runId: string, mode: "create" | "existing" | "either", claim: LockOwner, place: Place) => {
  let unsettledUntil: number | undefined
  return (database: Database): Taken => {
    let lock: RunLock | undefined
    try {
      return database.transaction(() => {
        const found = row<RunRow>(database.findRun.get(runId))
        if (found === undefined && mode === "existing") throw RunNotFound.of(runId)
        if (found !== undefined && mode === "create") throw RunExists.of(runId)
        lock = tryLock(lockFile(database.file, runId))
        if (lock === undefined) {
          const holder = holderOf(found)
          if (holder !== undefined && isAlive(holder)) throw RunLocked.heldBy(runId, holder)
          unsettledUntil ??= performance.now() + settleMillis
          if (performance.now() < unsettledUntil) throw new TryAgain("The holder of the lock is not known yet")
          throw holder === undefined
            ? strangeLock(place, lockFile(database.file, runId))
            : RunLocked.heldBy(runId, holder)
        }
        if (found === undefined) database.insertRun.run(runId, claim.since)
        const run = row<RunRow>(database.takeRun.get(claim.owner, claim.host, claim.pid, claim.since, runId))!
        assertTail(database, place, run)
        return { database, lock, run }
      })
    } catch (cause) {
      lock?.release()
      throw cause
    }
  }
}

const strangeLock = (place: Place, file: string): JournalError =>
  failure(
    place,
    `The run ${
      JSON.stringify(place.runId)
    } is locked by a process that the journal ${place.file} does not know. It may have ` +
      `opened the run before the journal was deleted or replaced. Find it (for example with "fuser ${file}") and stop it.`
  )

/** Whether the process is there, as far as can be seen from here: of another host nothing is known. */
const isAlive = (holder: LockOwner): boolean => {
  if (holder.host !== hostname()) return true
  try {
    process.kill(holder.pid, 0)
    return true
  } catch (cause) {
    // EPERM: it is there, and belongs to someone else.
    return (cause as NodeJS.ErrnoException).code !== "ESRCH"
  }
}

/** The failure of a writer whose run was taken by someone else. */
export const lost = (place: Place, run: RunRow | undefined): JournalError => {
  const holder = holderOf(run)
  return failure(
    place,
    `The writer of the run ${JSON.stringify(place.runId)} has lost its lock on the journal ${place.file}` +
      (holder === undefined
        ? ". "
        : `; the run was last taken by ${holder.owner} (process ${holder.pid} on ${holder.host}). `) +
      `Nothing was written. Was the lock file deleted or copied? Leave the files beside the journal alone, and open the run again.`
  )
}

/** Gives the run back. What matters, the lock, is freed whatever happens to the rest. */
export const leave = ({ database, lock, run }: Taken): Effect.Effect<void> => {
  const place: Place = { operation: "open", file: database.file, runId: run.id }
  return whileBusy(place, () => {
    if (!database.isOpen()) return lock.release()
    // In another file's place our lock file may be somebody else's.
    database.assertInPlace(place)
    database.transaction(() => {
      const ours = database.leaveRun.run(run.number, run.epoch).changes === 1
      lock.release()
      // Inside the transaction nobody else can be opening the file; see `removeLockFile`.
      if (ours) removeLockFile(lock.file)
    })
  }).pipe(
    Effect.catch((error) =>
      Effect.logWarning(`The run is free again, but its row still names this process: ${error.message}`)
    ),
    Effect.ensuring(Effect.sync(() => lock.release()))
  )
}

/**
 * Who holds a run now.
 *
 * The row alone does not tell: it outlives a killed holder. So the lock is tried, in a transaction, so that
 * nobody who opens the run meanwhile takes the trial for a holder. A row that outlived its holder is cleared.
 */
export const findOwner = (database: Database, runId: string): LockOwner | undefined => {
  if (holderOf(row<RunRow>(database.findRun.get(runId))) === undefined) return undefined
  return database.transaction(() => {
    const run = row<RunRow>(database.findRun.get(runId))
    const holder = holderOf(run)
    if (run === undefined || holder === undefined) return undefined
    const lock = tryLock(lockFile(database.file, runId))
    if (lock === undefined) return holder
    try {
      database.leaveRun.run(run.number, run.epoch)
    } finally {
      lock.release()
    }
    removeLockFile(lock.file)
    return undefined
  })
}
