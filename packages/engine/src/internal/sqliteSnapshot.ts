/**
 * The snapshot of a run: writing it in pieces that others may come between, and reading it whole.
 */
import type { Json } from "../Journal.ts"
import * as Rules from "./journalRules.ts"
import { partChecksum, snapshotChecksum } from "./sqliteChecksum.ts"
import type { Database } from "./sqliteDatabase.ts"
import { failure, type FaultError, type Place } from "./sqliteFault.ts"
import { findRun } from "./sqlitePage.ts"
import type { PartRow, RunRow, SnapshotRow } from "./sqliteSchema.ts"

/** Some parts of a snapshot that is being saved. */
export interface Piece {
  readonly seq: number
  readonly version: number
  /** Number of the first of these parts. With 0 the snapshot begins anew. */
  readonly from: number
  readonly bodies: ReadonlyArray<string>
  /** With these the snapshot is whole, and takes the place of the one before. */
  readonly isLast: boolean
}

/** Writes a piece; to be called inside a write transaction. Returns whether there is now something to delete. */
export const writePiece = (database: Database, place: Place, run: RunRow, piece: Piece): boolean => {
  const fault = Rules.snapshotFault(run.id, piece, {
    lastSeq: run.last_seq,
    snapshotSeq: run.snapshot_seq ?? undefined
  })
  if (fault !== undefined) throw failure(place, fault)
  const former = database.get<SnapshotRow>("findSnapshot", run.number)
  const generation = (former?.generation ?? 0) + 1
  // What is there of this generation was left by someone who did not get to the end.
  if (piece.from === 0) database.run("deleteParts", run.number, generation)
  let number = piece.from
  for (const body of piece.bodies) {
    database.run("insertPart", run.number, generation, number, partChecksum(run.number, generation, number, body), body)
    number++
  }
  if (!piece.isLast) return false
  const row = { generation, seq: piece.seq, version: piece.version, parts: number }
  const checksum = snapshotChecksum(run.number, row)
  database.run("saveSnapshot", run.number, generation, row.seq, row.version, row.parts, checksum)
  if (former === undefined || former.parts === 0) return false
  database.run("addGarbage", run.number)
  return true
}

/** A snapshot that is being read. */
export interface Reading {
  readonly run: number
  readonly row: SnapshotRow
}

/** Begins reading; `undefined` for a run without a snapshot. */
export const findSnapshot = (database: Database, place: Place, runId: string): Reading | undefined =>
  database.read(() => {
    const run = findRun(database, runId).number
    const row = database.get<SnapshotRow>("findSnapshot", run)
    if (row === undefined) return undefined
    if (snapshotChecksum(run, row) !== row.checksum) throw damaged(place, row.seq, "it is not what was written")
    return { run, row }
  })

/** One part; `undefined` when the snapshot has been replaced meanwhile, so that the reader has to begin again. */
export const readPart = (
  database: Database,
  place: Place,
  { row, run }: Reading,
  number: number
): { readonly part: Json } | undefined =>
  database.read(() => {
    const part = database.get<PartRow>("findPart", run, row.generation, number)
    if (part !== undefined && partChecksum(run, row.generation, number, part.body) === part.checksum) {
      return { part: JSON.parse(part.body) }
    }
    if (database.get<SnapshotRow>("findSnapshot", run)?.generation !== row.generation) return undefined
    const what = part === undefined ? "is missing" : "is not what was written"
    throw damaged(place, row.seq, `part ${number + 1} of ${row.parts} ${what}`)
  })

const damaged = (place: Place, seq: number, what: string): FaultError =>
  failure(
    place,
    `The snapshot at entry ${seq} of the run ${JSON.stringify(place.runId)} in the journal ${place.file} is damaged: ` +
      `${what}. Keep a copy of the file (with its -wal file) and restore it from a backup; the entries that were not trimmed ` +
      `can be read.`,
    { seq }
  )
