/**
 * What the writer of a run does to the file; each method is to be called inside a write transaction.
 */
import * as Rules from "./journalRules.ts"
import { chunkChecksum } from "./sqliteChecksum.ts"
import { failure, type Place } from "./sqliteFault.ts"
import type { WriterRequest } from "./sqliteMessages.ts"
import { lost, type Taken } from "./sqliteOwnership.ts"
import { eventsOf } from "./sqlitePage.ts"
import type { ChunkRow, RunRow } from "./sqliteSchema.ts"
import { type Piece, writePiece } from "./sqliteSnapshot.ts"

export class Writer {
  readonly taken: Taken
  /** Number of the last entry; ahead of what is durable as long as a transaction is open. */
  lastSeq: number
  /** Why an append failed, once one has. */
  broken: string | undefined = undefined

  constructor(taken: Taken) {
    this.taken = taken
    this.lastSeq = taken.run.last_seq
  }

  place(operation: Place["operation"]): Place {
    return { operation, file: this.taken.database.file, runId: this.taken.run.id }
  }

  append({ bodies, counts, version }: Extract<WriterRequest, { readonly op: "append" }>): number {
    const { database, run } = this.taken
    this.assertUsable("append")
    if (bodies.length === 0) return this.lastSeq
    let next = this.lastSeq
    for (const count of counts) next += count
    if (database.run("advanceRun", next, run.number, run.epoch, this.lastSeq) !== 1) {
      throw lost(this.place("append"), database.get<RunRow>("findRun", run.id))
    }
    let first = this.lastSeq + 1
    for (let index = 0; index < bodies.length; index++) {
      this.insert({ first_seq: first, count: counts[index]!, version, body: bodies[index]! })
      first += counts[index]!
    }
    this.lastSeq = next
    return next
  }

  /** Returns whether there is now something to delete. */
  savePiece(piece: Piece): boolean {
    return writePiece(this.taken.database, this.place("snapshot"), this.current("snapshot"), piece)
  }

  /** Returns whether there is now something to delete. */
  trim(upTo: number): boolean {
    const { database } = this.taken
    const place = this.place("trim")
    const run = this.current("trim")
    const fault = Rules.trimFault(run.id, upTo, { lastSeq: run.last_seq, snapshotSeq: run.snapshot_seq ?? undefined })
    if (fault !== undefined) throw failure(place, fault)
    if (upTo <= run.horizon) return false
    // A chunk that goes beyond is written anew from there on, so that nothing of what was trimmed stays in the file.
    const [last] = database.all<ChunkRow>("readChunks", run.number, upTo, run.number, upTo)
    if (last !== undefined && last.first_seq + last.count > upTo + 1) {
      const kept = eventsOf(place, run, last).slice(upTo + 1 - last.first_seq)
      this.insert({ first_seq: upTo + 1, count: kept.length, version: last.version, body: JSON.stringify(kept) })
    }
    database.run("trimRun", upTo, run.number)
    database.run("addGarbage", run.number)
    return true
  }

  private insert(chunk: Omit<ChunkRow, "checksum">): void {
    const { database, run } = this.taken
    const { body, count, first_seq, version } = chunk
    database.run("insertChunk", run.number, first_seq, count, version, chunkChecksum(run.number, chunk), body)
  }

  /** The run's row, if it is still this writer's. */
  private current(operation: Place["operation"]): RunRow {
    this.assertUsable(operation)
    const { database, run } = this.taken
    const row = database.get<RunRow>("findRun", run.id)
    if (row === undefined || row.number !== run.number || row.epoch !== run.epoch) {
      throw lost(this.place(operation), row)
    }
    return row
  }

  private assertUsable(operation: Place["operation"]): void {
    const { database, lock, run } = this.taken
    const place = this.place(operation)
    if (this.broken !== undefined) throw failure(place, Rules.brokenMessage(run.id, this.broken))
    database.assertInPlace(place)
    if (!lock.isHeld()) throw lost(place, database.get<RunRow>("findRun", run.id))
  }
}
