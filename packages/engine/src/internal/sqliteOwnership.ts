/**
 * Taking a run for writing, giving it back, removing it, and telling who has it.
 *
 * All of this happens inside a write transaction of the journal. So a lock and the row that names its holder
 * change together for everybody who looks, and lock files are made, tried and removed by one
 * process at a time.
 */
import { hostname } from "node:os"
import type { LockOwner } from "../JournalError.ts"
import type { Database } from "./sqliteDatabase.ts"
import { failure, FaultError, type Place, TryAgain } from "./sqliteFault.ts"
import { lockFile, removeLockFile, type RunLock, tryLock } from "./sqliteLock.ts"
import { assertTail, findRun } from "./sqlitePage.ts"
import type { RunRow } from "./sqliteSchema.ts"

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
 * The lock of a run, or the failure that says who has it.
 *
 * The holder of a lock is named in the run's row, because both change in one transaction. Only when the
 * holder is just dying may they disagree, as the operating system frees a dead process's files one after the
 * other. That is a matter of microseconds, so it is waited for, within bounds: `TryAgain`.
 */
const startLocking = (runId: string, place: Place) => {
  let unsettledUntil: number | undefined
  return (database: Database, run: RunRow | undefined): RunLock => {
    const file = lockFile(database.file, runId)
    const lock = tryLock(file)
    if (lock !== undefined) return lock
    const holder = holderOf(run)
    const isSettled = holder !== undefined && isAlive(holder)
    unsettledUntil ??= performance.now() + settleMillis
    if (!isSettled && performance.now() < unsettledUntil) throw new TryAgain("The holder of the lock is not known yet")
    throw holder === undefined ? strangeLock(place, file) : new FaultError({ _tag: "RunLocked", runId, holder })
  }
}

/** An attempt at taking a run, to be repeated while it throws a busy error. */
export const startTaking = (runId: string, mode: "create" | "existing" | "either", claim: LockOwner, place: Place) => {
  const locking = startLocking(runId, place)
  return (database: Database): Taken => {
    let lock: RunLock | undefined
    try {
      return database.write(() => {
        const found = database.get<RunRow>("findRun", runId)
        if (found === undefined && mode === "existing") throw new FaultError({ _tag: "RunNotFound", runId })
        if (found !== undefined && mode === "create") throw new FaultError({ _tag: "RunExists", runId })
        lock = locking(database, found)
        if (found === undefined) database.run("insertRun", runId, claim.since)
        database.run("takeRun", claim.owner, claim.host, claim.pid, claim.since, runId)
        const run = findRun(database, runId)
        assertTail(database, place, run)
        return { database, lock, run }
      })
    } catch (cause) {
      lock?.release()
      throw cause
    }
  }
}

const strangeLock = (place: Place, file: string): FaultError =>
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
export const lost = (place: Place, run: RunRow | undefined): FaultError => {
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

/** An attempt at giving the run back, to be repeated while it throws a busy error. The lock has to be released besides. */
export const leave = ({ database, lock, run }: Taken): void => {
  // In another file's place our lock file may be somebody else's.
  database.assertInPlace({ operation: "open", file: database.file, runId: run.id })
  database.write(() => {
    const isOurs = database.run("leaveRun", run.number, run.epoch) === 1
    lock.release()
    // Inside the transaction nobody else can be opening the file; see `removeLockFile`.
    if (isOurs) removeLockFile(lock.file)
  })
}

/**
 * An attempt at removing a run that nobody has, to be repeated while it throws a busy error. What belongs to the run
 * becomes garbage in the same transaction; so the run is gone whole, however much there is to delete.
 */
export const startRemoving = (runId: string, place: Place) => {
  const locking = startLocking(runId, place)
  return (database: Database): number =>
    database.write(() => {
      const run = findRun(database, runId)
      const lock = locking(database, run)
      try {
        database.run("removeSnapshot", run.number)
        database.run("removeRun", run.number)
        database.run("addGarbage", run.number)
      } finally {
        lock.release()
      }
      removeLockFile(lock.file)
      return run.number
    })
}

/**
 * Who holds a run now.
 *
 * The row alone does not tell: it outlives a killed holder. So the lock is tried, in a transaction, so that
 * nobody who opens the run meanwhile takes the trial for a holder. A row that outlived its holder is cleared.
 */
export const findOwner = (database: Database, runId: string): LockOwner | undefined => {
  if (holderOf(database.get<RunRow>("findRun", runId)) === undefined) return undefined
  return database.write(() => {
    const run = database.get<RunRow>("findRun", runId)
    const holder = holderOf(run)
    if (run === undefined || holder === undefined) return undefined
    const lock = tryLock(lockFile(database.file, runId))
    if (lock === undefined) return holder
    try {
      database.run("leaveRun", run.number, run.epoch)
    } finally {
      lock.release()
    }
    removeLockFile(lock.file)
    return undefined
  })
}
