/**
 * The entries of a run in their table: their checksums, and reading them without guessing.
 */
import { crc32 } from "node:zlib"
import { type JournalEntry, type JournalError, RunNotFound } from "../Journal.ts"
import { type Database, type EventRow, row, rows, type RunRow } from "./sqliteDatabase.ts"
import { failure, isBusy, isCorrupt, type Place } from "./sqliteFailure.ts"

/** The checksum of an entry. Its number is part of it, so that an entry in another's place is noticed too. */
export const checksum = (seq: number, body: string): number => crc32(body, seq % 0x1_0000_0000)

/** A page of entries, or the failure that names the first one that is not as it was written. */
export const readPage = (
  database: Database,
  place: Place,
  runId: string,
  { after, limit }: { readonly after: number; readonly limit?: number }
): ReadonlyArray<JournalEntry> => {
  // Two snapshots are enough: the second one can only hold more than the first.
  const run = row<RunRow>(database.findRun.get(runId))
  if (run === undefined) throw RunNotFound.of(runId)
  const page = readRows(database, place, run, after, limit ?? -1)
  let seq = after
  const entries: Array<JournalEntry> = []
  for (const event of page) {
    seq++
    if (event.seq !== seq) throw missing(place, seq, Math.max(run.last_seq, event.seq))
    if (checksum(seq, event.body) !== event.checksum) throw damaged(place, seq)
    entries.push({ seq, body: event.body })
  }
  if (page.length !== limit && seq < run.last_seq) throw missing(place, seq + 1, run.last_seq)
  return entries
}

const readRows = (database: Database, place: Place, run: RunRow, after: number, limit: number) => {
  try {
    return rows<EventRow>(database.readEvents.all(run.number, after, limit))
  } catch (cause) {
    if (!isCorrupt(cause)) throw cause
    // A page of the file is torn: SQLite gives nothing, so look how far it can be read one by one.
    throw damaged(place, countReadable(database, run, after) + after + 1, cause)
  }
}

const countReadable = (database: Database, run: RunRow, after: number): number => {
  let count = 0
  try {
    // On a statement of its own: an iterator that failed leaves its failure behind, for whoever uses the statement next.
    for (const _ of database.prepareReadEvents().iterate(run.number, after, -1)) count++
  } catch (cause) {
    if (isBusy(cause)) throw cause
  }
  return count
}

const damaged = (place: Place, seq: number, cause?: unknown): JournalError =>
  failure(
    place,
    `Entry ${seq} of the run ${
      JSON.stringify(place.runId)
    } in the journal ${place.file} is damaged: it is not what was ` +
      `written. Keep a copy of the file (with its -wal file) and restore it from a backup; the entries before ${seq} can be read.`,
    cause === undefined ? { seq } : { seq, cause }
  )

/** Refuses a run with a lost tail: a writer that began there would write over numbers that were acknowledged. */
export const assertTail = (database: Database, place: Place, run: RunRow): void => {
  const last = row<{ seq: number | null }>(database.lastEvent.get(run.number))?.seq ?? 0
  if (last < run.last_seq) throw missing(place, last + 1, run.last_seq)
  if (last > run.last_seq) {
    throw failure(
      place,
      `The run ${
        JSON.stringify(place.runId)
      } in the journal ${place.file} holds entry ${last}, but only ${run.last_seq} were ` +
        `acknowledged: something else than Espalier wrote to the file. Restore it from a backup.`,
      { seq: run.last_seq + 1 }
    )
  }
}

const missing = (place: Place, seq: number, lastSeq: number): JournalError =>
  failure(
    place,
    `Entry ${seq} of the run ${
      JSON.stringify(place.runId)
    } is missing in the journal ${place.file}, which acknowledged ` +
      `entries up to ${lastSeq}. Keep a copy of the file and restore it from a backup; the entries before ${seq} can be read.`,
    { seq }
  )
