/**
 * The lock of a run: an exclusive transaction, held open on an empty database of its own.
 *
 * An advisory file lock is the only thing that an operating system takes back at the very moment at
 * which its holder dies, however it dies. Node has no call for one; SQLite does take one for an
 * exclusive transaction (`fcntl` on POSIX, `LockFileEx` on Windows), and keeps it until the transaction
 * ends or the process does. The database stays empty (0 bytes): nothing is ever written to it.
 *
 * Rejected: a row with an expiry time (after a crash everybody waits for it to run out, and a process
 * that was suspended for longer comes back as a second writer); a file made exclusively with a pid
 * in it (pids are used again, and who removes the file of a dead one races with who does the same);
 * an addon for `flock` (something to compile, for one call).
 *
 * POSIX locks belong to the process, and closing any descriptor of a file drops all of the process's locks
 * on it. SQLite guards against that among its own handles, also over two layers and worker threads. It
 * cannot guard against others: code of the same process that opens and closes the lock file itself
 * (to copy the directory, say) frees the lock. That is what the epoch in `JournalSqlite` is for.
 */
import { createHash } from "node:crypto"
import { rmSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { isBusy } from "./sqliteFault.ts"

export interface RunLock {
  readonly file: string
  /** The transaction is open, so the lock is held. */
  isHeld(): boolean
  /** Frees the lock. Calling it again does nothing. */
  release(): void
}

/** The lock file of a run. The id is hashed: it may hold what no file name can. */
export const lockFile = (journalFile: string, runId: string): string =>
  `${journalFile}.${createHash("sha256").update(runId).digest("hex").slice(0, 16)}.lock`

/** Takes the lock, or returns `undefined` at once when someone holds it. */
export const tryLock = (file: string): RunLock | undefined => {
  const database = new DatabaseSync(file, { timeout: 0 })
  try {
    // Without MEMORY an exclusive transaction makes a journal file, which a kill would leave behind.
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")
  } catch (cause) {
    database.close()
    if (isBusy(cause)) return undefined
    throw cause
  }
  return {
    file,
    isHeld: () => database.isOpen && database.isTransaction,
    release: () => {
      if (database.isOpen) database.close()
    }
  }
}

/**
 * Removes the file of a lock that was freed. Only to be called where nobody else can be opening it: else
 * one process holds a file that no longer has a name, and a second one makes and holds a new one.
 */
export const removeLockFile = (file: string): void => rmSync(file, { force: true })
