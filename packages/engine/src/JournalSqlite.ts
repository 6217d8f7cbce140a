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
 * when it returns, and so has a snapshot. Readers see it after that, never before. Entries are stored in chunks, rows of at most
 * some hundred. Every row carries a checksum that also covers its place, and every run the number of its last entry: a
 * row that is changed, moved or missing is reported with its place. A damaged row takes all entries of its chunk
 * along; what precedes the chunk can be read.
 *
 * **Ownership.** Three things stand between two writers:
 *
 * 1. The lock (see `internal/sqliteLock.ts`): an exclusive transaction on a database beside the journal, held as
 *    long as the writer lives, and freed by the operating system when its process dies. It needs no
 *    renewal. Before an append the writer looks whether its transaction is still open.
 * 2. The epoch. A file lock can be lost behind SQLite's back (someone deletes the file; other code of this
 *    process opens and closes it). Whoever takes a run raises its epoch, and an append is one transaction with
 *    the check that the epoch is still the writer's: the former writer fails, and nothing is mixed.
 * 3. The key of a chunk is (run, number of its first entry): the same number cannot be written twice.
 *
 * Taking and giving back a lock happens inside a write transaction of the journal. So the lock and the row that
 * says who holds it change together for everybody who looks, and a second writer is never told about
 * the holder before last.
 *
 * **Threads.** `node:sqlite` is synchronous, so whatever writes is done in a worker thread, which a layer starts when a run is
 * opened for the first time and ends with its scope. The event loop goes on while the disk works, and while another
 * process is waited for. What an append costs the calling thread is `JSON.stringify` of its events. The thread does not keep the
 * process alive, except while something that was asked of it is not done. Reading happens in the calling thread: read in
 * pages (1 to 2 ms for a thousand entries).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { hostname } from "node:os"
import { resolve } from "node:path"
import {
  brokenWriter,
  checkPage,
  checkRunId,
  checkVersion,
  closedWriter,
  defaultOwner
} from "./internal/journalRefusal.ts"
import { Cutter } from "./internal/sqliteCutting.ts"
import { type Database, inspect, openForReading } from "./internal/sqliteDatabase.ts"
import { type Expected, toError, whileBusy } from "./internal/sqliteFailure.ts"
import { describe, failure, FaultError, type Place } from "./internal/sqliteFault.ts"
import type { Opened, WriterRequest } from "./internal/sqliteMessages.ts"
import { findOwner } from "./internal/sqliteOwnership.ts"
import { readPage } from "./internal/sqlitePage.ts"
import type { RunRow } from "./internal/sqliteSchema.ts"
import { findSnapshot, readPart } from "./internal/sqliteSnapshot.ts"
import { closedLayer, exitOf, WriterThread } from "./internal/sqliteThread.ts"
import {
  type EventsTrimmed,
  Journal,
  type JournalEntry,
  JournalError,
  type JournalSnapshot,
  type JournalWriter,
  type Json,
  type LockOwner,
  type RunInfo,
  type RunLocked,
  type RunNotFound
} from "./Journal.ts"

/**
 * The journal in the file `filename`. A file that is there is checked when the layer is built; one that is not is
 * made, with its directory, when a run is opened that may be created: reading makes nothing. A file that an earlier
 * version of Espalier wrote is brought to the present format when a run is opened.
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
 *   return yield* writer.append([{ _tag: "Started" }], 1)
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
  let reader: Database | undefined
  let thread: WriterThread | undefined
  let closed = false
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closed = true
      // First, so that it is the thread that closes the file last, and has the work of that.
      reader?.close()
      return thread?.close ?? Effect.void
    })
  )

  const placeOf = (operation: JournalError["operation"], runId?: string): Place => ({
    operation,
    file: path,
    ...(runId === undefined ? {} : { runId })
  })

  const assertOpen = (place: Place): void => {
    if (closed) throw failure(place, closedLayer(path))
  }

  /** Runs what reads from the file, which is `undefined` as long as there is none. */
  const reading = <A, E extends Expected = JournalError>(
    place: Place,
    body: (database: Database | undefined) => A
  ): Effect.Effect<A, E | JournalError> =>
    whileBusy<A, E>(place, () => {
      assertOpen(place)
      reader ??= openForReading(place)
      reader?.assertInPlace(place)
      return body(reader)
    })

  const readingRun = <A>(
    place: Place & { readonly runId: string },
    body: (database: Database) => A
  ): Effect.Effect<A, RunNotFound | JournalError> =>
    reading<A, RunNotFound>(place, (database) => {
      if (database === undefined) throw new FaultError({ _tag: "RunNotFound", runId: place.runId })
      return body(database)
    })

  /** The thread that writes; a new one when there is none, or when the one before has died. */
  const writing = (place: Place): Effect.Effect<WriterThread, JournalError> =>
    Effect.suspend(() => {
      try {
        assertOpen(place)
        if (thread?.isAlive !== true) thread = new WriterThread(path)
        return Effect.succeed(thread)
      } catch (cause) {
        // A process may have been forbidden to start threads.
        return Effect.fail(toError(describe(place, cause)))
      }
    })

  yield* whileBusy(placeOf("connect"), () => inspect(placeOf("connect")))

  const readSnapshot = (runId: string): Effect.Effect<Option.Option<JournalSnapshot>, RunNotFound | JournalError> =>
    Effect.gen(function*() {
      const place = { ...placeOf("snapshot", runId), runId }
      const found = yield* readingRun(place, (database) => findSnapshot(database, place, runId))
      if (found === undefined) return Option.none()
      const { parts: count, seq, version } = found.row
      const parts: Array<Json> = []
      while (parts.length < count) {
        const next = yield* readingRun(place, (database) => readPart(database, place, found, parts.length))
        // Replaced while it was read: its parts may be gone, and there is a newer one.
        if (next === undefined) return yield* readSnapshot(runId)
        parts.push(next.part)
        // A snapshot can be large: others have their turn between two parts.
        yield* Effect.yieldNow
      }
      return Option.some({ seq, version, parts })
    })

  return Journal.of({
    open: (runId, { mode, owner = defaultOwner }) =>
      Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
        const fault = checkRunId(runId)
        if (fault !== undefined) return yield* fault
        const place = placeOf("open", runId)
        const since = Math.floor(yield* Clock.currentTimeMillis)
        const claim: LockOwner = { owner, host: hostname(), pid: process.pid, since }
        const thread = yield* writing(place)
        const opened = yield* restore(thread.ask<Opened, Exclude<Expected, { readonly _tag: "EventsTrimmed" }>>(
          place,
          { op: "open", runId, mode, claim }
        ))
        const writer = makeWriter(thread, path, runId, opened)
        yield* Scope.addFinalizer(yield* Effect.scope, writer.close)
        // From now on both threads have the same file open, and each notices when it is replaced.
        yield* Effect.onError(reading(place, () => {}), () => writer.close)
        return writer
      })),
    read: Effect.fnUntraced(function*(runId, options) {
      const fault = checkPage(runId, options)
      if (fault !== undefined) return yield* fault
      const place = placeOf("read", runId)
      return yield* reading<ReadonlyArray<JournalEntry>, RunNotFound | EventsTrimmed>(place, (database) => {
        if (database === undefined) throw new FaultError({ _tag: "RunNotFound", runId })
        return readPage(database, place, runId, options)
      })
    }),
    snapshot: readSnapshot,
    list: reading(placeOf("list"), (database) => database?.all<RunRow>("listRuns").map(infoOf) ?? []),
    owner: (runId) =>
      Effect.suspend(() => {
        const place = placeOf("owner", runId)
        const owner = thread?.isAlive === true
          // It may be in the middle of a commit, for which this thread would have to wait.
          ? thread.ask<LockOwner | undefined, JournalError>(place, { op: "owner", runId })
          : reading(place, (database) => database === undefined ? undefined : findOwner(database, runId))
        return Effect.map(owner, Option.fromUndefinedOr)
      }),
    remove: Effect.fnUntraced(function*(runId) {
      const place = placeOf("remove", runId)
      const thread = yield* writing(place)
      yield* thread.ask<void, RunNotFound | RunLocked | JournalError>(place, { op: "remove", runId })
    })
  })
})

const infoOf = (run: RunRow): RunInfo => ({
  runId: run.id,
  createdAt: run.created_at,
  lastSeq: run.last_seq,
  horizon: run.horizon,
  snapshotSeq: run.snapshot_seq ?? undefined
})

/** How much of a snapshot is posted, and committed, at once; an append may come between two pieces. */
const pieceLength = 256 * 1024

const makeWriter = (
  thread: WriterThread,
  file: string,
  runId: string,
  { lastSeq, writer }: Opened
): JournalWriter & { readonly close: Effect.Effect<void> } => {
  const cutter = new Cutter()
  // A snapshot takes several requests. What is asked meanwhile, of the snapshot or of what it allows to trim, comes after it.
  const order = Semaphore.makeUnsafe(1)
  let broken: JournalError | undefined
  let closed = false

  const useless = (operation: JournalError["operation"]): JournalError | undefined =>
    closed ? closedWriter(runId, operation) : broken === undefined ? undefined : brokenWriter(runId, broken, operation)
  const placeOf = (operation: JournalError["operation"]): Place => ({ operation, file, runId })
  const ask = (operation: JournalError["operation"], request: WriterRequest): Effect.Effect<void, JournalError> =>
    Effect.suspend(() => useless(operation) ?? thread.ask<void, JournalError>(placeOf(operation), request))

  /** Fails as `JSON.stringify` does, for a value that no type should have let through. */
  const encode = <A>(operation: JournalError["operation"], encoding: () => A): A | JournalError => {
    try {
      return encoding()
    } catch (cause) {
      return toError(describe(placeOf(operation), cause))
    }
  }

  return {
    runId,
    lastSeq,
    append: (events, version) =>
      Effect.callback<number, JournalError>((resume) => {
        const refused = useless("append")
        if (refused !== undefined) return resume(Exit.fail(refused))
        const chunks = checkVersion(runId, version) ?? encode("append", () => cutter.cut(events))
        if (chunks instanceof JournalError) {
          broken = chunks
          return resume(Exit.fail(chunks))
        }
        const { bodies, counts } = chunks
        const id = thread.post(placeOf("append"), { op: "append", writer, version, counts, bodies }, (answer) => {
          const exit = exitOf<number, JournalError>(answer)
          if ("fault" in answer) broken ??= toError(answer.fault)
          resume(exit)
        })
        return Effect.sync(() => thread.cancel(id))
      }),
    saveSnapshot: ({ parts, seq, version }) =>
      order.withPermit(Effect.gen(function*() {
        const left = parts[Symbol.iterator]()
        let next = left.next()
        let from = 0
        do {
          const bodies: Array<string> = []
          let length = 0
          while (next.done !== true && length < pieceLength) {
            const part = next.value
            const body = encode("snapshot", () => JSON.stringify(part))
            if (body instanceof JournalError) return yield* body
            bodies.push(body)
            length += body.length
            next = left.next()
          }
          const piece = { seq, version, from, bodies, isLast: next.done === true }
          yield* ask("snapshot", { op: "snapshot", writer, piece })
          from += bodies.length
        } while (next.done !== true)
      })),
    trim: (upTo) => order.withPermit(ask("trim", { op: "trim", writer, upTo })),
    close: Effect.suspend(() => {
      if (closed) return Effect.void
      closed = true
      return thread.isAlive ? thread.ask<void, JournalError>(placeOf("open"), { op: "leave", writer }) : Effect.void
    }).pipe(
      Effect.catch((error) =>
        Effect.logWarning(`The run is free again, but its row still names this process: ${error.message}`)
      )
    )
  }
}
