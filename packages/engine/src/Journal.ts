/**
 * The store of a run's events: append-only, one writer at a time, many readers.
 *
 * A journal knows nothing of what it keeps: an entry is a number, a JSON value, and the version of the format that its
 * writer says it has. What the value means and how it is folded is the business of `RunEvent` and `RunState`.
 * A journal promises seven things, and `JournalSuite` in `@espalier/engine/testing` binds every
 * implementation to them:
 *
 * 1. An append is all or nothing, and durable when it returns. So is a snapshot, and so is trimming.
 * 2. The entries of a run are numbered from 1 without a gap.
 * 3. Nobody reads an entry that is not durable.
 * 4. A run has one writer at a time. A second one is refused, and told who holds the run. When the
 *    writer's scope closes, or its process dies, the run is free at once.
 * 5. What cannot be read as it was written is reported, never skipped and never guessed.
 * 6. A run's snapshot is replaced by a newer one as a whole: a reader gets the one or the other.
 * 7. Entries go only when the writer trims them, and only those that a snapshot stands for. Who asks for them is told.
 *
 * `layerMemory` is for tests and for runs that may be lost; `JournalSqlite` is the embedded default.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import {
  brokenWriter,
  checkPage,
  checkRunId,
  checkSnapshot,
  checkTrim,
  checkVersion,
  closedWriter,
  defaultOwner
} from "./internal/journalRefusal.ts"
import { EventsTrimmed, type JournalError, type LockOwner, RunExists, RunLocked, RunNotFound } from "./JournalError.ts"

export * from "./JournalError.ts"

/** What an entry or a part of a snapshot may be: what JSON can hold. */
export type Json = Schema.Json

/** One event of a run, as it is stored. */
export interface JournalEntry {
  /** Place in the run: 1 for the first, without gaps. */
  readonly seq: number
  /** The format of the event, as the writer numbers its formats; given with the append that it came with. */
  readonly version: number
  /** Opaque to the journal. */
  readonly event: Json
}

/** What the entries 1 to `seq` of a run amount to. */
export interface JournalSnapshot {
  /** Number of the last entry that it stands for. */
  readonly seq: number
  /** The format of the parts, as the writer numbers its formats. */
  readonly version: number
  /** Opaque to the journal. In parts, because a store writes and reads one part at a time: some 100 kB each are good. */
  readonly parts: ReadonlyArray<Json>
}

/** A snapshot that is to be saved: a durable store asks for one part after the other, and lets others run in between. */
export interface UnsavedSnapshot extends Omit<JournalSnapshot, "parts"> {
  readonly parts: Iterable<Json>
}

/** What a journal tells about a run without reading its entries. */
export interface RunInfo {
  readonly runId: string
  /** When the run was created, in milliseconds since the epoch. */
  readonly createdAt: number
  /** Number of the last durable entry; 0 for a run without entries. */
  readonly lastSeq: number
  /** Number of the last entry that was trimmed; 0 when all are there. */
  readonly horizon: number
  /** Number of the last entry that the snapshot stands for; `undefined` for a run without one. */
  readonly snapshotSeq: number | undefined
}

/**
 * The only handle that can change a run. It is valid as long as the scope that opened it. Fibers that use it need not wait
 * for each other: appends are done in the order in which they were asked for, and a snapshot or a trim after the appends,
 * snapshots and trims that were asked for before it.
 */
export interface JournalWriter {
  readonly runId: string
  /** Number of the last durable entry when the run was opened; 0 for a new run. */
  readonly lastSeq: number
  /**
   * Adds entries: all of them or none, durable when it returns. Returns the number of the run's
   * last entry. An empty list writes nothing and returns the number as it is. The events must not be changed
   * afterwards; what is in them that JSON cannot hold (`undefined`, `NaN`) does not survive in a store on disk.
   *
   * After a failure the writer is broken and everything that is asked of it later fails too: whoever goes on after a
   * failed append no longer knows what the journal holds, and has to open the run again and read it. An append that is
   * interrupted may have been written or not, but not in part, and the writer goes on.
   */
  append(events: ReadonlyArray<Json>, version: number): Effect.Effect<number, JournalError>
  /**
   * Replaces the run's snapshot; durable when it returns. Refused when it would stand for entries that are not durable, or
   * for fewer than the one before. A failure leaves the snapshot before it in place, and the writer as it was.
   */
  saveSnapshot(snapshot: UnsavedSnapshot): Effect.Effect<void, JournalError>
  /**
   * Deletes the entries 1 to `upTo` for good. Refused for entries that the snapshot does not stand for. With an `upTo`
   * that was trimmed before it does nothing. A failure leaves the writer as it was.
   */
  trim(upTo: number): Effect.Effect<void, JournalError>
}

/**
 * The journal of all runs of one store.
 *
 * - `open` takes the run's writer lock for the scope. Mode `create` fails with `RunExists` when the
 *   run is there, `existing` with `RunNotFound` when it is not, `either` creates it if need be.
 *   `owner` is the name shown to a second writer (default `espalier`).
 * - `read` returns the entries after `after`, in order, at most `limit` of them (default: all). It
 *   works in other processes while a writer writes. When one entry of the page is damaged the whole
 *   page fails, and the error carries its `seq`: a short page would look like the end of the run. Where entries
 *   after `after` were trimmed it fails with `EventsTrimmed`.
 * - `snapshot` returns the run's latest snapshot, whole; also in other processes while a writer writes.
 * - `list` returns the runs in order of creation.
 * - `owner` tells who holds the run now; nobody for a run that is free, or that does not exist.
 * - `remove` deletes a run with all that belongs to it. It is refused while the run has a writer. A later run of the same
 *   id is a new one.
 *
 * @example
 * ```ts
 * import { Journal } from "@espalier/engine"
 * import { Effect } from "effect"
 * import assert from "node:assert"
 *
 * const program = Effect.gen(function*() {
 *   const journal = yield* Journal.Journal
 *   const writer = yield* journal.open("nightly", { mode: "create" })
 *   yield* writer.append([{ _tag: "Started" }, { _tag: "Finished" }], 1)
 *   yield* writer.saveSnapshot({ seq: 1, version: 1, parts: [{ state: "running" }] })
 *   yield* writer.trim(1)
 *   return yield* journal.read("nightly", { after: 1 })
 * })
 *
 * const page = await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Journal.layerMemory)))
 * assert.deepStrictEqual(page, [{ seq: 2, version: 1, event: { _tag: "Finished" } }])
 * ```
 */
export class Journal extends Context.Service<Journal, {
  /** What it keeps is lost with the process: a snapshot would never be opened, and is made only to forget what it stands for. */
  readonly isVolatile?: boolean
  open(
    runId: string,
    options: { readonly mode: "create" | "existing" | "either"; readonly owner?: string }
  ): Effect.Effect<JournalWriter, RunLocked | RunExists | RunNotFound | JournalError, Scope.Scope>
  read(
    runId: string,
    options: { readonly after: number; readonly limit?: number }
  ): Effect.Effect<ReadonlyArray<JournalEntry>, RunNotFound | EventsTrimmed | JournalError>
  snapshot(runId: string): Effect.Effect<Option.Option<JournalSnapshot>, RunNotFound | JournalError>
  readonly list: Effect.Effect<ReadonlyArray<RunInfo>, JournalError>
  owner(runId: string): Effect.Effect<Option.Option<LockOwner>, JournalError>
  remove(runId: string): Effect.Effect<void, RunNotFound | RunLocked | JournalError>
}>()("@espalier/engine/Journal") {}

interface StoredRun {
  readonly createdAt: number
  /** Entry `horizon + 1` and those after it; `versions` beside them. */
  readonly events: Array<Json>
  readonly versions: Array<number>
  horizon: number
  snapshot: JournalSnapshot | undefined
  holder: LockOwner | undefined
}

const lastSeqOf = (run: StoredRun): number => run.horizon + run.events.length
const extentOf = (run: StoredRun) => ({ lastSeq: lastSeqOf(run), snapshotSeq: run.snapshot?.seq })

/**
 * A journal in memory: every build of the layer has a store of its own, lost with the process. What
 * it refuses and how it fails is the same as in a durable journal. It keeps the very values that it was given.
 */
export const layerMemory: Layer.Layer<Journal> = Layer.sync(Journal, () => {
  const runs = new Map<string, StoredRun>()

  const acquire = Effect.fnUntraced(function*(runId: string, mode: "create" | "existing" | "either", owner: string) {
    const fault = checkRunId(runId)
    if (fault !== undefined) return yield* fault
    const since = yield* Clock.currentTimeMillis
    let run = runs.get(runId)
    if (run === undefined) {
      if (mode === "existing") return yield* RunNotFound.of(runId)
      run = { createdAt: since, events: [], versions: [], horizon: 0, snapshot: undefined, holder: undefined }
      runs.set(runId, run)
    } else if (mode === "create") {
      return yield* RunExists.of(runId)
    }
    if (run.holder !== undefined) return yield* RunLocked.heldBy(runId, run.holder)
    // A browser has no process; there the pid says nothing, and nobody outside could hold the run.
    run.holder = { owner, host: "memory", pid: globalThis.process?.pid ?? 0, since }
    return memoryWriter(runId, run)
  })

  const find = (runId: string): Effect.Effect<StoredRun, RunNotFound> =>
    Effect.suspend(() => {
      const run = runs.get(runId)
      return run === undefined ? RunNotFound.of(runId) : Effect.succeed(run)
    })

  return Journal.of({
    isVolatile: true,
    open: (runId, options) =>
      Effect.acquireRelease(
        acquire(runId, options.mode, options.owner ?? defaultOwner),
        (writer) => Effect.sync(writer.close)
      ),
    read: Effect.fnUntraced(function*(runId, { after, limit }) {
      const fault = checkPage(runId, { after, ...(limit === undefined ? {} : { limit }) })
      if (fault !== undefined) return yield* fault
      const { events, horizon, versions } = yield* find(runId)
      if (after < horizon) return yield* EventsTrimmed.of(runId, horizon)
      const from = after - horizon
      return events.slice(from, limit === undefined ? undefined : from + limit)
        .map((event, index) => ({ seq: after + index + 1, version: versions[from + index]!, event }))
    }),
    snapshot: (runId) => Effect.map(find(runId), (run) => Option.fromUndefinedOr(run.snapshot)),
    list: Effect.sync(() =>
      Array.from(runs, ([runId, run]) => ({
        runId,
        createdAt: run.createdAt,
        horizon: run.horizon,
        ...extentOf(run)
      }))
    ),
    owner: (runId) => Effect.sync(() => Option.fromUndefinedOr(runs.get(runId)?.holder)),
    remove: Effect.fnUntraced(function*(runId) {
      const { holder } = yield* find(runId)
      if (holder !== undefined) return yield* RunLocked.heldBy(runId, holder)
      runs.delete(runId)
    })
  })
})

const memoryWriter = (runId: string, run: StoredRun): JournalWriter & { readonly close: () => void } => {
  let broken: JournalError | undefined
  let closed = false
  const useless = (operation: JournalError["operation"]): JournalError | undefined =>
    closed ? closedWriter(runId, operation) : broken === undefined ? undefined : brokenWriter(runId, broken, operation)
  return {
    runId,
    lastSeq: lastSeqOf(run),
    append: (events, version) =>
      Effect.suspend(() => {
        const fault = useless("append")
        if (fault !== undefined) return fault
        broken = checkVersion(runId, version)
        if (broken !== undefined) return broken
        for (const event of events) {
          run.events.push(event)
          run.versions.push(version)
        }
        return Effect.succeed(lastSeqOf(run))
      }),
    saveSnapshot: (snapshot) =>
      Effect.suspend(() => {
        const fault = useless("snapshot") ?? checkSnapshot(runId, snapshot, extentOf(run))
        if (fault !== undefined) return fault
        run.snapshot = { seq: snapshot.seq, version: snapshot.version, parts: Array.from(snapshot.parts) }
        return Effect.void
      }),
    trim: (upTo) =>
      Effect.suspend(() => {
        const fault = useless("trim") ?? checkTrim(runId, upTo, extentOf(run))
        if (fault !== undefined) return fault
        if (upTo > run.horizon) {
          run.events.splice(0, upTo - run.horizon)
          run.versions.splice(0, upTo - run.horizon)
          run.horizon = upTo
        }
        return Effect.void
      }),
    close: () => {
      if (closed) return
      closed = true
      run.holder = undefined
    }
  }
}
