/**
 * Bringing a file of format 1 to the present one.
 *
 * Format 1 had a row for each entry, and knew no versions: what came from it has version 1, the first that there was. Damage
 * stays what it was: an entry that is not as it was written goes into a chunk of its own whose checksum is wrong, and one that
 * is missing stays missing.
 */
import type { DatabaseSync } from "node:sqlite"
import { chunkChecksum, formerChecksum } from "./sqliteChecksum.ts"
import { chunkCount, chunkLength } from "./sqliteCutting.ts"
import { failure, type FaultError, type Place } from "./sqliteFault.ts"
import { lockFile, removeLockFile, tryLock } from "./sqliteLock.ts"
import { schema, statements } from "./sqliteSchema.ts"

interface FormerEvent {
  readonly run: number
  readonly seq: number
  readonly checksum: number
  readonly body: string
}

/** To be called inside a write transaction. */
export const migrate = (database: DatabaseSync, place: Place): void => {
  assertFree(database, place)
  database.exec("ALTER TABLE runs RENAME TO former_runs")
  database.exec(schema)
  database.exec(
    "INSERT INTO runs (number, id, created_at, last_seq, horizon, epoch, owner, host, pid, since) " +
      "SELECT number, id, created_at, last_seq, 0, epoch, owner, host, pid, since FROM former_runs"
  )
  copyEvents(database)
  database.exec("DROP TABLE events; DROP TABLE former_runs")
}

const copyEvents = (database: DatabaseSync): void => {
  const insert = database.prepare(statements.insertChunk)
  let chunk: { run: number; first_seq: number; bodies: Array<string>; length: number } | undefined
  const write = (isIntact: boolean): void => {
    if (chunk === undefined) return
    const { first_seq, run } = chunk
    const row = { first_seq, count: chunk.bodies.length, version: 1, body: `[${chunk.bodies.join(",")}]` }
    const checksum = chunkChecksum(run, row)
    insert.run(run, first_seq, row.count, row.version, isIntact ? checksum : checksum ^ 1, row.body)
    chunk = undefined
  }
  const events = database.prepare("SELECT run, seq, checksum, body FROM events ORDER BY run, seq").iterate()
  for (const event of events as unknown as Iterable<FormerEvent>) {
    const { body, run, seq } = event
    const isNext = chunk !== undefined && chunk.run === run && chunk.first_seq + chunk.bodies.length === seq &&
      chunk.bodies.length < chunkCount && chunk.length < chunkLength
    const isIntact = formerChecksum(seq, body) === event.checksum && isJson(body)
    if (!isNext || !isIntact) write(true)
    chunk ??= { run, first_seq: seq, bodies: [], length: 0 }
    chunk.bodies.push(body)
    chunk.length += body.length
    if (!isIntact) write(false)
  }
  write(true)
}

const isJson = (body: string): boolean => {
  try {
    JSON.parse(body)
    return true
  } catch {
    return false
  }
}

/** Throws when somebody, who can only be an earlier version, is writing to the file. */
const assertFree = (database: DatabaseSync, place: Place): void => {
  const holders = database.prepare("SELECT id, owner, host, pid FROM runs WHERE owner IS NOT NULL").all()
  for (const holder of holders) {
    const lock = tryLock(lockFile(database.location() ?? place.file, String(holder["id"])))
    if (lock === undefined) throw inUse(place, holder)
    lock.release()
    removeLockFile(lock.file)
  }
}

const inUse = (place: Place, holder: Record<string, unknown>): FaultError =>
  failure(
    place,
    `The journal ${place.file} has the format of an earlier version of Espalier, and ${holder["owner"]} (process ` +
      `${holder["pid"]} on ${holder["host"]}) is writing its run ${
        JSON.stringify(holder["id"])
      }. Stop that process first; ` +
      `the file is brought to the present format then. Nothing was changed.`
  )
