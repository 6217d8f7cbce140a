/**
 * Reading the entries of a run from their chunks, without guessing.
 */
import type { JournalEntry, Json } from "../Journal.ts"
import { chunkChecksum } from "./sqliteChecksum.ts"
import type { Database } from "./sqliteDatabase.ts"
import { failure, FaultError, isBusy, isCorrupt, type Place } from "./sqliteFault.ts"
import type { ChunkRow, RunRow } from "./sqliteSchema.ts"

/** A page of entries, or the failure that names the first one that cannot be read as it was written. */
export const readPage = (
  database: Database,
  place: Place,
  runId: string,
  { after, limit = Number.MAX_SAFE_INTEGER - after }: { readonly after: number; readonly limit?: number }
): ReadonlyArray<JournalEntry> =>
  // On one state of the file: between two queries the run might be trimmed.
  database.read(() => {
    const run = findRun(database, runId)
    if (after < run.horizon) throw new FaultError({ _tag: "EventsTrimmed", runId, horizon: run.horizon })
    const end = Math.min(after + limit, run.last_seq)
    const entries: Array<JournalEntry> = []
    if (after >= end) return entries
    let seq = after
    for (const chunk of readRows(database, place, run, after, end)) {
      // The first chunk may begin before the page, and may have nothing of it when what follows is missing.
      if (chunk.first_seq > seq + 1) throw missing(place, seq + 1, run.last_seq)
      if (chunk.first_seq + chunk.count <= seq + 1) continue
      const events = eventsOf(place, run, chunk)
      for (let index = seq + 1 - chunk.first_seq; index < chunk.count && seq < end; index++) {
        entries.push({ seq: ++seq, version: chunk.version, event: events[index]! })
      }
    }
    if (seq < end) throw missing(place, seq + 1, run.last_seq)
    return entries
  })

/** The row of a run that has to be there. */
export const findRun = (database: Database, runId: string): RunRow => {
  const run = database.get<RunRow>("findRun", runId)
  if (run === undefined) throw new FaultError({ _tag: "RunNotFound", runId })
  return run
}

/** The events of a chunk, if they are those that were written. */
export const eventsOf = (place: Place, run: RunRow, chunk: ChunkRow): ReadonlyArray<Json> => {
  if (chunkChecksum(run.number, chunk) !== chunk.checksum) throw damaged(place, chunk.first_seq)
  return JSON.parse(chunk.body)
}

const readRows = (
  database: Database,
  place: Place,
  run: RunRow,
  after: number,
  end: number
): ReadonlyArray<ChunkRow> => {
  const parameters = [run.number, end, run.number, after + 1]
  try {
    return database.all<ChunkRow>("readChunks", ...parameters)
  } catch (cause) {
    if (!isCorrupt(cause)) throw cause
    // A page of the file is torn: SQLite gives nothing, so look how far it can be read one by one.
    let seq = after + 1
    try {
      for (const chunk of database.iterate<ChunkRow>("readChunks", ...parameters)) {
        seq = Math.max(seq, chunk.first_seq + chunk.count)
      }
    } catch (second) {
      if (isBusy(second)) throw second
    }
    throw damaged(place, seq, cause)
  }
}

const damaged = (place: Place, seq: number, cause?: unknown): FaultError =>
  failure(
    place,
    `Entry ${seq} of the run ${
      JSON.stringify(place.runId)
    } in the journal ${place.file}, or one of those stored with it, is ` +
      `damaged: it is not what was written. Keep a copy of the file (with its -wal file) and restore it from a backup; the ` +
      `entries before ${seq} can be read.`,
    cause === undefined ? { seq } : { seq, cause }
  )

/** Refuses a run with a lost tail: a writer that began there would write over numbers that were acknowledged. */
export const assertTail = (database: Database, place: Place, run: RunRow): void => {
  const chunk = database.get<Pick<ChunkRow, "first_seq" | "count">>("lastChunk", run.number)
  const last = Math.max(run.horizon, chunk === undefined ? 0 : chunk.first_seq + chunk.count - 1)
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

const missing = (place: Place, seq: number, lastSeq: number): FaultError =>
  failure(
    place,
    `Entry ${seq} of the run ${
      JSON.stringify(place.runId)
    } is missing in the journal ${place.file}, which acknowledged ` +
      `entries up to ${lastSeq}. Keep a copy of the file and restore it from a backup; the entries before ${seq} can be read.`,
    { seq }
  )
