/**
 * The journal's database file: opening it, its statements, and its transactions.
 *
 * Two connections are open in a process that writes: one in its main thread, which reads, and one in the thread that
 * writes (`sqliteWorker.ts`). Other processes have theirs.
 */
import { mkdirSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import { failure, type FaultError, type Place } from "./sqliteFault.ts"
import { migrate } from "./sqliteMigration.ts"
import { applicationId, pageSize, schema, schemaVersion, type StatementName, statements } from "./sqliteSchema.ts"

/** An open journal file. */
export interface Database {
  /** Absolute, with symbolic links resolved: two names of one file must lead to one lock. */
  readonly file: string
  /** The first row, or none. The caller says what the columns are: `node:sqlite` types rows as records of anything. */
  get<Row>(statement: StatementName, ...parameters: ReadonlyArray<SQLInputValue>): Row | undefined
  all<Row>(statement: StatementName, ...parameters: ReadonlyArray<SQLInputValue>): ReadonlyArray<Row>
  /** Like `all`, one by one. The statement is its own, so an iteration that fails leaves nothing behind. */
  iterate<Row>(statement: StatementName, ...parameters: ReadonlyArray<SQLInputValue>): Iterable<Row>
  /** Returns the number of rows that were changed. */
  run(statement: StatementName, ...parameters: ReadonlyArray<SQLInputValue>): number
  /** Runs `body` in a write transaction; commits, or rolls back when it throws. */
  write<A>(body: () => A): A
  /** Runs `body` on one state of the file. */
  read<A>(body: () => A): A
  /** Throws when the file at this path is no longer the one that is open. */
  assertInPlace(place: Place): void
  close(): void
}

/** For reading: how long SQLite itself may hold up the event loop for another process's lock; see `whileBusy`. */
const readerWaitMillis = 5

/** For writing: a thread of its own may sleep. It still has to hear now and then of who does not wait any more. */
const writerWaitMillis = 50

/** Opens a journal for reading. `undefined` for a file that is not there, or in which there is nothing yet. */
export const openForReading = (place: Place): Database | undefined => {
  if (statSync(place.file, { throwIfNoEntry: false }) === undefined) return undefined
  return connect(place, readerWaitMillis, (database) => {
    const format = formatOf(database, place)
    if (format !== 0 && format !== schemaVersion) throw outdated(place, format)
    return format === schemaVersion
  })
}

/** Opens a journal for writing; makes the file and its tables, or brings them to the present format. */
export const openForWriting = (place: Place): Database => {
  mkdirSync(dirname(place.file), { recursive: true })
  return connect(place, writerWaitMillis, (database) => {
    const format = formatOf(database, place)
    // Before there is a page; in a file that has some it does nothing.
    if (format === 0) database.exec(`PRAGMA page_size = ${pageSize}`)
    ensureWal(database, place)
    if (format !== schemaVersion) prepareTables(database, place)
    // Checkpoints are made by hand, after the appends have been answered.
    database.exec("PRAGMA wal_autocheckpoint = 0")
    return true
  })!
}

/** Looks at a file without keeping it open: throws for one that cannot be opened, that is not ours, or too new. */
export const inspect = (place: Place): void => {
  if (statSync(place.file, { throwIfNoEntry: false }) === undefined) return
  connect(place, readerWaitMillis, (database) => {
    formatOf(database, place)
    return false
  })
}

/** Opens the file; closes it again when `accept` says no, or throws. */
const connect = (
  place: Place,
  waitMillis: number,
  accept: (database: DatabaseSync) => boolean
): Database | undefined => {
  if (statSync(place.file, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw failure(place, `The journal ${place.file} is a directory. Give the path of a file in it.`)
  }
  const database = new DatabaseSync(place.file, { timeout: waitMillis })
  let accepted = false
  try {
    // FULL: in WAL mode anything less loses acknowledged commits when the machine (not just the process) dies.
    database.exec("PRAGMA synchronous = FULL")
    accepted = accept(database)
    if (!accepted) return undefined
    // The WAL grows while a reader keeps an old snapshot; this gives the space back afterwards.
    database.exec("PRAGMA journal_size_limit = 67108864")
    return wrap(database, place)
  } finally {
    if (!accepted && database.isOpen) database.close()
  }
}

const pragma = (database: DatabaseSync, name: string): unknown =>
  Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0]

/** The format of the file, 0 for one without anything in it. Throws for one that is not ours, or too new. */
const formatOf = (database: DatabaseSync, place: Place): number =>
  // In one snapshot: another process may be making the tables at this moment.
  transaction(database, "BEGIN", () => readFormat(database, place))

const readFormat = (database: DatabaseSync, place: Place): number => {
  const owner = pragma(database, "application_id")
  const version = Number(pragma(database, "user_version"))
  if (owner === applicationId) {
    if (version >= 1 && version <= schemaVersion) return version
    throw failure(
      place,
      `The journal ${place.file} has the format ${version}, and this version of Espalier reads format ` +
        `${schemaVersion}. Use the version of Espalier that wrote it, or a newer one. Nothing was changed.`
    )
  }
  const tables = database.prepare("SELECT count(*) AS count FROM sqlite_schema").get()
  if (owner === 0 && version === 0 && tables?.["count"] === 0) return 0
  throw failure(
    place,
    `The file ${place.file} is a SQLite database, but no journal of Espalier. Choose another path. Nothing was changed.`
  )
}

const outdated = (place: Place, format: number): FaultError =>
  failure(
    place,
    `The journal ${place.file} has the format ${format}, which an earlier version of Espalier wrote. It is brought to ` +
      `format ${schemaVersion}, with all that is in it, when one of its runs is opened for writing; it can be read then.`
  )

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

const prepareTables = (database: DatabaseSync, place: Place): void =>
  transaction(database, "BEGIN IMMEDIATE", () => {
    // Looked at again: another process may have been faster.
    const format = readFormat(database, place)
    if (format === 0) database.exec(schema)
    else if (format !== schemaVersion) migrate(database, place)
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

const wrap = (database: DatabaseSync, place: Place): Database => {
  const file = database.location() ?? place.file
  const opened = statSync(file, { bigint: true })
  const prepared = new Map<StatementName, StatementSync>()
  const statement = (name: StatementName): StatementSync => {
    let found = prepared.get(name)
    if (found === undefined) {
      found = database.prepare(statements[name])
      prepared.set(name, found)
    }
    return found
  }
  const inTransaction = <A>(begin: "begin" | "beginImmediate", body: () => A): A => {
    statement(begin).run()
    try {
      const result = body()
      statement("commit").run()
      return result
    } catch (cause) {
      if (database.isOpen && database.isTransaction) statement("rollback").run()
      throw cause
    }
  }
  return {
    file,
    get: <Row>(name: StatementName, ...parameters: ReadonlyArray<SQLInputValue>) =>
      statement(name).get(...parameters) as Row | undefined,
    all: <Row>(name: StatementName, ...parameters: ReadonlyArray<SQLInputValue>) =>
      statement(name).all(...parameters) as unknown as ReadonlyArray<Row>,
    iterate: <Row>(name: StatementName, ...parameters: ReadonlyArray<SQLInputValue>) =>
      database.prepare(statements[name]).iterate(...parameters) as unknown as Iterable<Row>,
    run: (name, ...parameters) => Number(statement(name).run(...parameters).changes),
    write: (body) => inTransaction("beginImmediate", body),
    read: (body) => inTransaction("begin", body),
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
    close: () => {
      if (database.isOpen) database.close()
    }
  }
}
