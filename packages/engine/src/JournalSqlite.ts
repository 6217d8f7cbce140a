/**
 * The journal in one SQLite file: the embedded default.
 *
 * One file holds any number of runs. Each run has one writer; different runs of a file may be written by
 * different processes at the same time, and everything can be read at any time. Beside the file `name.db`
 * lie SQLite's own `name.db-wal` and `name.db-shm`, and one empty `name.db.<hash>.lock` for each run that is
 * open for writing. Copy the file with its `-wal` or not at all, and keep it on a local disk: write-ahead
 * logging needs shared memory.
 *
 * **Durability.** An append is one transaction in WAL mode with `synchronous = FULL`: it has reached the disk
 * when it returns. Readers see it after that, never before. Every row carries a checksum that also covers
 * its number, and every run the number of its last entry: a row that is changed, moved or missing is
 * reported with its place.
 *
 * **Ownership.** Three things stand between two writers:
 *
 * 1. The lock (see `internal/sqliteLock.ts`): an exclusive transaction on a database beside the journal, held as
 *    long as the writer lives, and freed by the operating system when its process dies. It needs no
 *    renewal. Before an append the writer looks whether its transaction is still open.
 * 2. The epoch. A file lock can be lost behind SQLite's back (someone deletes the file; other code of this
 *    process opens and closes it). Whoever takes a run raises its epoch, and an append is one transaction with
 *    the check that the epoch is still the writer's: the former writer fails, and nothing is mixed.
 * 3. The key of an entry is (run, number): the same number cannot be written twice.
 *
 * Taking and giving back a lock happens inside a write transaction of the journal. So the lock and the row that
 * says who holds it change together for everybody who looks, and a second writer is never told about
 * the holder before last.
 *
 * **Blocking.** `node:sqlite` is synchronous: an append stops the event loop while the disk works (0.3 to 0.6 ms
 * for a small one, a few for a thousand entries), and a page is read in one go (about 2 ms for a thousand
 * entries). Read in pages. Waiting for other processes does not block.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { statSync } from "node:fs"
import { hostname } from "node:os"
import { resolve } from "node:path"
import { connect, type Database, row, rows, type RunRow } from "./internal/sqliteDatabase.ts"
import { type Expected, failure, type Place, whileBusy } from "./internal/sqliteFailure.ts"
import { findOwner, leave, lost, startTaking, type Taken } from "./internal/sqliteOwnership.ts"
import { checksum, readPage } from "./internal/sqlitePage.ts"
import {
  brokenWriter,
  checkBodies,
  checkPage,
  checkRunId,
  closedWriter,
  defaultOwner,
  Journal,
  type JournalEntry,
  JournalError,
  type JournalWriter,
  type LockOwner,
  RunNotFound
} from "./Journal.ts"

/**
 * The journal in the file `filename`. A file that is there is checked when the layer is built; one that is not is
 * made, with its directory, when a run is opened that may be created: reading makes nothing.
 *
 * Fails with `JournalError` for a file that cannot be opened, that is no journal, or that a newer version of
 * Espalier wrote.
 *
 * @example
 * ```ts
 * import { Journal } from "@espalier/engine"
 * import * as JournalSqlite from "@espalier/engine/JournalSqlite"
 * import { Effect } from "effect"
 * import assert from "node:assert"
 * import { mkdtempSync, rmSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 *
 * const directory = mkdtempSync(join(tmpdir(), "espalier-"))
 * const filename = join(directory, "journal.db")
 *
 * const write = Effect.gen(function*() {
 *   const journal = yield* Journal.Journal
 *   const writer = yield* journal.open("nightly", { mode: "either", owner: "example" })
 *   return yield* writer.append([`{"_tag":"Started"}`])
 * }).pipe(Effect.scoped, Effect.provide(JournalSqlite.layer({ filename })))
 *
 * assert.strictEqual(await Effect.runPromise(write), 1)
 * assert.strictEqual(await Effect.runPromise(write), 2)
 * rmSync(directory, { recursive: true })
 * ```
 */
export const layer = (options: { readonly filename: string }): Layer.Layer<Journal, JournalError> =>
  Layer.effect(Journal, make(options.filename))

const make = Effect.fnUntraced(function*(filename: string) {
  if (filename === "" || filename === ":memory:" || filename.startsWith("file:")) {
    return yield* new JournalError({
      operation: "connect",
      message: `${JSON.stringify(filename)} is no path of a journal file. Give a path such as "journal.db", or use ` +
        `Journal.layerMemory for a journal that is lost with the process.`
    })
  }
  const path = resolve(filename)
  let current: Database | undefined
  let closed = false
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closed = true
      current?.close()
    })
  )

  const use = (place: Place, create: boolean): Database | undefined => {
    if (closed) {
      throw failure(place, `The layer of the journal ${path} is closed: use it only inside the scope that built it.`)
    }
    if (current === undefined && (create || statSync(path, { throwIfNoEntry: false }) !== undefined)) {
      current = connect(place)
    }
    current?.assertInPlace(place)
    return current
  }

  /** Runs what needs the database, which is `undefined` as long as there is no file. */
  const attempt = <A, E extends Expected = JournalError>(
    operation: JournalError["operation"],
    runId: string | undefined,
    body: (database: Database | undefined, place: Place) => A
  ): Effect.Effect<A, E | JournalError> => {
    const place: Place = { operation, file: path, ...(runId === undefined ? {} : { runId }) }
    return whileBusy<A, E>(place, () => body(use(place, false), place))
  }

  yield* attempt("connect", undefined, () => {})

  return Journal.of({
    open: (runId, { mode, owner = defaultOwner }) =>
      Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
        const fault = checkRunId(runId)
        if (fault !== undefined) return yield* fault
        const place: Place = { operation: "open", file: path, runId }
        const since = Math.floor(yield* Clock.currentTimeMillis)
        const claim: LockOwner = { owner, host: hostname(), pid: process.pid, since }
        const taking = startTaking(runId, mode, claim, place)
        const taken = yield* whileBusy<Taken, Expected>(place, () => {
          const database = use(place, mode !== "existing")
          if (database === undefined) throw RunNotFound.of(runId)
          return taking(database)
        }, restore)
        const writer = makeWriter(taken, () => use({ ...place, operation: "append" }, false))
        yield* Scope.addFinalizer(yield* Effect.scope, writer.close())
        return writer
      })),
    read: Effect.fnUntraced(function*(runId, options) {
      const fault = checkPage(runId, options)
      if (fault !== undefined) return yield* fault
      return yield* attempt<ReadonlyArray<JournalEntry>, RunNotFound>("read", runId, (database, place) => {
        if (database === undefined) throw RunNotFound.of(runId)
        return readPage(database, place, runId, options)
      })
    }),
    list: attempt("list", undefined, (database) =>
      rows<RunRow>(database?.listRuns.all() ?? []).map((run) => ({
        runId: run.id,
        createdAt: run.created_at,
        lastSeq: run.last_seq
      }))),
    owner: (runId) =>
      attempt(
        "owner",
        runId,
        (database) => Option.fromUndefinedOr(database === undefined ? undefined : findOwner(database, runId))
      )
  })
})

const makeWriter = (
  { database, lock, run }: Taken,
  use: () => Database | undefined
): JournalWriter & { readonly close: () => Effect.Effect<void> } => {
  const place: Place = { operation: "append", file: database.file, runId: run.id }
  let lastSeq = run.last_seq
  let broken: JournalError | undefined
  let closed = false

  const write = (bodies: ReadonlyArray<string>): number => {
    // All of it is looked at in every attempt: the waiting between two attempts is not atomic.
    if (closed) throw closedWriter(run.id)
    if (broken !== undefined) throw brokenWriter(run.id, broken)
    use()
    if (!lock.isHeld()) throw lost(place, row<RunRow>(database.findRun.get(run.id)))
    if (bodies.length === 0) return lastSeq
    const fault = checkBodies(run.id, lastSeq, bodies)
    if (fault !== undefined) throw fault
    const next = lastSeq + bodies.length
    database.transaction(() => {
      if (database.advanceRun.run(next, run.number, run.epoch, lastSeq).changes !== 1) {
        throw lost(place, row<RunRow>(database.findRun.get(run.id)))
      }
      let seq = lastSeq
      for (const body of bodies) {
        seq++
        database.insertEvent.run(run.number, seq, checksum(seq, body), body)
      }
    })
    lastSeq = next
    return next
  }

  return {
    runId: run.id,
    lastSeq: run.last_seq,
    append: (bodies) =>
      Effect.tapError(whileBusy(place, () => write(bodies)), (error) => Effect.sync(() => void (broken ??= error))),
    close: () =>
      Effect.suspend(() => {
        if (closed) return Effect.void
        closed = true
        return leave({ database, lock, run })
      })
  }
}
