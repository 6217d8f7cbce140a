/**
 * The tables of the journal's file, and all statements on them.
 */

/** Marks the file as ours ("Espa" in ASCII), so that nobody else's database is ever changed. */
export const applicationId = 0x45737061

/** Version of the tables below, kept in `user_version`. `sqliteMigration.ts` knows the one before. */
export const schemaVersion = 2

/** Twice SQLite's default: a fifth more throughput for large appends, and no difference for small ones. */
export const pageSize = 8192

/**
 * `runs.last_seq` is what the writer has acknowledged: with it a lost tail is noticed. `epoch` grows by one with every
 * writer: with it a writer that lost its lock is refused. `horizon` is the last entry that was trimmed. The other columns of
 * `runs` say who took the run last, and are NULL when it was given back in order. A number is never used again
 * (AUTOINCREMENT), so that what belonged to a removed run cannot be taken for a later one's.
 *
 * A row of `chunks` holds `count` entries, the first of them number `first_seq`, as one JSON array. Its key makes two writers
 * that append the same numbers impossible, whatever else fails.
 *
 * A snapshot is a row of `snapshots` and the rows of `parts` of its generation. The parts of the next generation
 * are written first, and count for nothing until the row names them.
 *
 * `garbage` names runs that have something to delete: chunks up to the horizon, parts of former generations, and everything
 * of a run that has no row in `runs`. Nobody sees any of it; it is deleted a little at a time.
 */
export const schema = `
  CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    horizon INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    owner TEXT,
    host TEXT,
    pid INTEGER,
    since INTEGER
  ) STRICT;
  CREATE TABLE chunks (
    run INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    count INTEGER NOT NULL,
    version INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (run, first_seq)
  ) STRICT;
  CREATE TABLE snapshots (
    run INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE parts (
    run INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    number INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (run, generation, number)
  ) STRICT;
  CREATE TABLE garbage (run INTEGER PRIMARY KEY) STRICT;
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${schemaVersion};
`

/** A row of `runs`, with the number of the run's snapshot. */
export interface RunRow {
  readonly number: number
  readonly id: string
  readonly created_at: number
  readonly last_seq: number
  readonly horizon: number
  readonly snapshot_seq: number | null
  readonly epoch: number
  readonly owner: string | null
  readonly host: string | null
  readonly pid: number | null
  readonly since: number | null
}

/** A row of `chunks`. */
export interface ChunkRow {
  readonly first_seq: number
  readonly count: number
  readonly version: number
  readonly checksum: number
  readonly body: string
}

/** A row of `snapshots`. */
export interface SnapshotRow {
  readonly generation: number
  readonly seq: number
  readonly version: number
  readonly parts: number
  readonly checksum: number
}

/** A row of `parts`. */
export interface PartRow {
  readonly checksum: number
  readonly body: string
}

const runs = "SELECT runs.*, snapshots.seq AS snapshot_seq FROM runs LEFT JOIN snapshots ON snapshots.run = runs.number"

/** Every statement on the tables, by name. They are prepared when they are first used. */
export const statements = {
  begin: "BEGIN",
  beginImmediate: "BEGIN IMMEDIATE",
  commit: "COMMIT",
  rollback: "ROLLBACK",
  checkpoint: "PRAGMA wal_checkpoint(PASSIVE)",

  findRun: `${runs} WHERE id = ?`,
  listRuns: `${runs} ORDER BY number`,
  insertRun: "INSERT INTO runs (id, created_at, last_seq, horizon, epoch) VALUES (?, ?, 0, 0, 0)",
  takeRun: "UPDATE runs SET owner = ?, host = ?, pid = ?, since = ?, epoch = epoch + 1 WHERE id = ?",
  leaveRun: "UPDATE runs SET owner = NULL, host = NULL, pid = NULL, since = NULL WHERE number = ? AND epoch = ?",
  advanceRun: "UPDATE runs SET last_seq = ? WHERE number = ? AND epoch = ? AND last_seq = ?",
  trimRun: "UPDATE runs SET horizon = ? WHERE number = ?",
  removeRun: "DELETE FROM runs WHERE number = ?",

  insertChunk: "INSERT INTO chunks (run, first_seq, count, version, checksum, body) VALUES (?, ?, ?, ?, ?, ?)",
  lastChunk: "SELECT first_seq, count FROM chunks WHERE run = ? ORDER BY first_seq DESC LIMIT 1",
  readChunks: "SELECT first_seq, count, version, checksum, body FROM chunks WHERE run = ? AND first_seq <= ? AND " +
    "first_seq >= coalesce((SELECT max(first_seq) FROM chunks WHERE run = ? AND first_seq <= ?), 0) ORDER BY first_seq",
  deleteChunk: "DELETE FROM chunks WHERE run = ? AND first_seq = ?",

  findSnapshot: "SELECT generation, seq, version, parts, checksum FROM snapshots WHERE run = ?",
  saveSnapshot: "INSERT OR REPLACE INTO snapshots (run, generation, seq, version, parts, checksum) " +
    "VALUES (?, ?, ?, ?, ?, ?)",
  removeSnapshot: "DELETE FROM snapshots WHERE run = ?",
  insertPart: "INSERT INTO parts (run, generation, number, checksum, body) VALUES (?, ?, ?, ?, ?)",
  findPart: "SELECT checksum, body FROM parts WHERE run = ? AND generation = ? AND number = ?",
  deleteParts: "DELETE FROM parts WHERE run = ? AND generation >= ?",

  addGarbage: "INSERT OR IGNORE INTO garbage (run) VALUES (?)",
  listGarbage: "SELECT run FROM garbage ORDER BY run",
  removeGarbage: "DELETE FROM garbage WHERE run = ?",
  /** What of a run is garbage: for one that was removed, everything. */
  // One plain parameter: not every version of Node takes a numbered one that is used several times.
  garbageOf: "SELECT coalesce(runs.horizon, 9e15) AS horizon, " +
    "coalesce(snapshots.generation, CASE WHEN runs.number IS NULL THEN 9e15 ELSE 0 END) AS generation " +
    "FROM (SELECT ? AS run) AS asked LEFT JOIN runs ON runs.number = asked.run " +
    "LEFT JOIN snapshots ON snapshots.run = asked.run",
  sweepChunks: "DELETE FROM chunks WHERE rowid IN (SELECT rowid FROM chunks WHERE run = ? AND first_seq <= ? " +
    "ORDER BY first_seq LIMIT ?)",
  sweepParts: "DELETE FROM parts WHERE rowid IN (SELECT rowid FROM parts WHERE run = ? AND generation < ? " +
    "ORDER BY generation, number LIMIT ?)"
} as const

export type StatementName = keyof typeof statements
