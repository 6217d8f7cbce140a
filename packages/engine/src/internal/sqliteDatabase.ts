/**
 * The journal's database file: opening it, its schema, and its transactions.
 */
import { mkdirSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync, type StatementSync } from "node:sqlite"
import { failure, type Place } from "./sqliteFailure.ts"

/** Marks the file as ours ("Espa" in ASCII), so that nobody else's database is ever changed. */
const applicationId = 0x45737061

/** Version of the tables below, kept in `user_version`. */
export const schemaVersion = 1

/**
 * `last_seq` is what the writer has acknowledged: with it a lost tail is noticed. `epoch` grows by
 * one with every writer: with it a writer that lost its lock is refused. The other columns of
 * `runs` say who took the run last, and are NULL when it was given back in order.
 *
 * `events` is one b-tree in the order of reading (WITHOUT ROWID); its key makes two writers that
 * append the same numbers impossible, whatever else fails.
 */
const schema = `
  CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    owner TEXT,
    host TEXT,
    pid INTEGER,
    since INTEGER
  ) STRICT;
  CREATE TABLE events (
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (run, seq)
  ) STRICT, WITHOUT ROWID;
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${schemaVersion};
`

/** A row of `runs`. */
export interface RunRow {
  readonly number: number
  readonly id: string
  readonly created_at: number
  readonly last_seq: number
  readonly epoch: number
  readonly owner: string | null
  readonly host: string | null
  readonly pid: number | null
  readonly since: number | null
}

/** A row of `events`. */
export interface EventRow {
  readonly seq: number
  readonly checksum: number
  readonly body: string
}

/** `node:sqlite` types rows as records of unknown columns; the statements say what they hold. */
export const rows = <Row>(result: ReadonlyArray<unknown>): ReadonlyArray<Row> => result as ReadonlyArray<Row>
/** The same for one row, or none. */
export const row = <Row>(result: unknown): Row | undefined => result as Row | undefined

/** An open journal file with its statements, prepared once. */
export interface Database {
  /** Absolute, with symbolic links resolved: two names of one file must lead to one lock. */
  readonly file: string
  readonly findRun: StatementSync
  readonly listRuns: StatementSync
  readonly insertRun: StatementSync
  readonly takeRun: StatementSync
  readonly leaveRun: StatementSync
  readonly advanceRun: StatementSync
  readonly lastEvent: StatementSync
  readonly insertEvent: StatementSync
  readonly readEvents: StatementSync
  /** A `readEvents` of its own, for one use with `iterate`. */
  prepareReadEvents(): StatementSync
  /** Runs `body` in a write transaction; commits, or rolls back when it throws. */
  transaction<A>(body: () => A): A
  /** Throws when the file at this path is no longer the one that is open. */
  assertInPlace(place: Place): void
  readonly isOpen: () => boolean
  close(): void
}

/**
 * How long SQLite itself may wait for another process's lock; see `whileBusy` for why so short.
 */
const waitInPlaceMillis = 5

/** Opens the file, and makes it when it is not there. Throws; leaves no handle behind when it does. */
export const connect = (place: Place): Database => {
  mkdirSync(dirname(place.file), { recursive: true })
  if (statSync(place.file, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw failure(place, `The journal ${place.file} is a directory. Give the path of a file in it.`)
  }
  const database = new DatabaseSync(place.file, { timeout: waitInPlaceMillis })
  try {
    // FULL: in WAL mode anything less loses acknowledged commits when the machine (not just the process) dies.
    database.exec("PRAGMA synchronous = FULL")
    // In one snapshot: another process may be making the tables at this moment.
    const fresh = transaction(database, "BEGIN", () => isFresh(database, place))
    ensureWal(database, place)
    if (fresh) createSchema(database, place)
    // The WAL grows while a reader keeps an old snapshot; this gives the space back afterwards.
    database.exec("PRAGMA journal_size_limit = 67108864")
    return prepare(database, place)
  } catch (cause) {
    database.close()
    throw cause
  }
}

const pragma = (database: DatabaseSync, name: string): unknown =>
  Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0]

/** True for a file without anything in it. Throws for one that is not ours, or too new. */
const isFresh = (database: DatabaseSync, place: Place): boolean => {
  const owner = pragma(database, "application_id")
  const version = Number(pragma(database, "user_version"))
  if (owner === applicationId) {
    if (version === schemaVersion) return false
    throw failure(
      place,
      `The journal ${place.file} has the format ${version}, and this version of Espalier reads format ` +
        `${schemaVersion}. Use the version of Espalier that wrote it, or a newer one. Nothing was changed.`
    )
  }
  const tables = database.prepare("SELECT count(*) AS count FROM sqlite_schema").get()
  if (owner === 0 && version === 0 && tables?.["count"] === 0) return true
  throw failure(
    place,
    `The file ${place.file} is a SQLite database, but no journal of Espalier. Choose another path. Nothing was changed.`
  )
}

/** The mode is stored in the file; asking for it again would need a lock for nothing. */
const ensureWal = (database: DatabaseSync, place: Place): void => {
  if (pragma(database, "journal_mode") === "wal") return
  const mode = pragma(database, "journal_mode = WAL")
  if (mode !== "wal") {
    throw failure(
      place,
      `The journal ${place.file} cannot be switched to write-ahead logging (it stays in mode "${mode}"). This happens on ` +
        `file systems without shared memory, such as network shares: put the journal on a local disk.`
    )
  }
}

const createSchema = (database: DatabaseSync, place: Place): void =>
  transaction(database, "BEGIN IMMEDIATE", () => {
    // Looked at again: another process may have been faster.
    if (isFresh(database, place)) database.exec(schema)
  })

const transaction = <A>(database: DatabaseSync, begin: "BEGIN" | "BEGIN IMMEDIATE", body: () => A): A => {
  database.exec(begin)
  try {
    const result = body()
    database.exec("COMMIT")
    return result
  } catch (cause) {
    // Some failures (a full disk, for one) have rolled back already.
    if (database.isOpen && database.isTransaction) database.exec("ROLLBACK")
    throw cause
  }
}

const prepare = (database: DatabaseSync, place: Place): Database => {
  const file = database.location() ?? place.file
  const prepareReadEvents = () =>
    database.prepare("SELECT seq, checksum, body FROM events WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?")
  const opened = statSync(file, { bigint: true })
  return {
    file,
    findRun: database.prepare("SELECT * FROM runs WHERE id = ?"),
    listRuns: database.prepare("SELECT * FROM runs ORDER BY number"),
    insertRun: database.prepare("INSERT INTO runs (id, created_at, last_seq, epoch) VALUES (?, ?, 0, 0)"),
    takeRun: database.prepare(
      "UPDATE runs SET owner = ?, host = ?, pid = ?, since = ?, epoch = epoch + 1 WHERE id = ? RETURNING *"
    ),
    leaveRun: database.prepare(
      "UPDATE runs SET owner = NULL, host = NULL, pid = NULL, since = NULL WHERE number = ? AND epoch = ?"
    ),
    advanceRun: database.prepare("UPDATE runs SET last_seq = ? WHERE number = ? AND epoch = ? AND last_seq = ?"),
    lastEvent: database.prepare("SELECT max(seq) AS seq FROM events WHERE run = ?"),
    insertEvent: database.prepare("INSERT INTO events (run, seq, checksum, body) VALUES (?, ?, ?, ?)"),
    readEvents: prepareReadEvents(),
    prepareReadEvents,
    transaction: (body) => transaction(database, "BEGIN IMMEDIATE", body),
    assertInPlace: (here) => {
      const now = statSync(file, { bigint: true, throwIfNoEntry: false })
      if (now === undefined || now.ino !== opened.ino || now.dev !== opened.dev) {
        throw failure(
          here,
          `The journal ${file} was ${
            now === undefined ? "removed" : "replaced"
          } while this process had it open. What ` +
            `would be written now would be lost. Put the file back if you moved it, and start the process again.`
        )
      }
    },
    isOpen: () => database.isOpen,
    close: () => {
      if (database.isOpen) database.close()
    }
  }
}
