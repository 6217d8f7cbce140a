/**
 * The store of a run's events: append-only, one writer at a time, many readers.
 *
 * A journal knows nothing of what it keeps: an entry is a number and a string. What the string
 * means, which version it has and how it is folded is the business of `RunEvent` and `RunState`.
 * A journal promises five things, and `JournalSuite` in `@espalier/engine/testing` binds every
 * implementation to them:
 *
 * 1. An append is all or nothing, and durable when it returns.
 * 2. The entries of a run are numbered from 1 without a gap.
 * 3. Nobody reads an entry that is not durable.
 * 4. A run has one writer at a time. A second one is refused, and told who holds the run. When the
 *    writer's scope closes, or its process dies, the run is free at once.
 * 5. What cannot be read as it was written is reported, never skipped and never guessed.
 *
 * `layerMemory` is for tests and for runs that may be lost; `JournalSqlite` is the embedded default.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

/** One event of a run, as it is stored. */
export interface JournalEntry {
  /** Place in the run: 1 for the first, without gaps. */
  readonly seq: number
  /** One event as JSON text; opaque to the journal. */
  readonly body: string
}

/** What a journal tells about a run without reading its entries. */
export interface RunInfo {
  readonly runId: string
  /** When the run was created, in milliseconds since the epoch. */
  readonly createdAt: number
  /** Number of the last durable entry; 0 for a run without entries. */
  readonly lastSeq: number
}

/** Who holds a run for writing. */
export interface LockOwner {
  /** The name that the writer gave itself. */
  readonly owner: string
  readonly host: string
  readonly pid: number
  /** When the run was taken, in milliseconds since the epoch. */
  readonly since: number
}

/** The only handle that can add to a run. It is valid as long as the scope that opened it. */
export interface JournalWriter {
  readonly runId: string
  /** Number of the last durable entry when the run was opened; 0 for a new run. */
  readonly lastSeq: number
  /**
   * Adds entries: all of them or none, durable when it returns. Returns the number of the run's
   * last entry. An empty list writes nothing and returns the number as it is.
   *
   * After a failure the writer is broken and every later append fails too: whoever goes on after a
   * failed append no longer knows what the journal holds, and has to open the run again and read it.
   */
  append(bodies: ReadonlyArray<string>): Effect.Effect<number, JournalError>
}

/** The run is open for writing somewhere else. */
export class RunLocked extends Schema.TaggedError<RunLocked>()("RunLocked", {
  runId: Schema.String,
  owner: Schema.String,
  host: Schema.String,
  pid: Schema.Int,
  /** In milliseconds since the epoch. */
  since: Schema.Finite,
  message: Schema.String
}) {
  /** The error with its standard message. */
  static heldBy(runId: string, holder: LockOwner): RunLocked {
    return new RunLocked({
      runId,
      owner: holder.owner,
      host: holder.host,
      pid: holder.pid,
      since: holder.since,
      message: `The run ${JSON.stringify(runId)} is open for writing by ${holder.owner} (process ${holder.pid} on ` +
        `${holder.host}, since ${new Date(holder.since).toISOString()}). A run has one writer at a time: stop that ` +
        `process or wait for it to end. Reading the run is possible meanwhile.`
    })
  }
}

/** A run of this id is there already, and the caller asked for a new one. */
export class RunExists extends Schema.TaggedError<RunExists>()("RunExists", {
  runId: Schema.String,
  message: Schema.String
}) {
  /** The error with its standard message. */
  static of(runId: string): RunExists {
    return new RunExists({
      runId,
      message: `The journal holds a run ${
        JSON.stringify(runId)
      } already. Open it to go on with it, or choose another id.`
    })
  }
}

/** There is no run of this id. */
export class RunNotFound extends Schema.TaggedError<RunNotFound>()("RunNotFound", {
  runId: Schema.String,
  message: Schema.String
}) {
  /** The error with its standard message. */
  static of(runId: string): RunNotFound {
    return new RunNotFound({
      runId,
      message: `The journal holds no run ${
        JSON.stringify(runId)
      }. Check the id against the list of runs, or start the run first.`
    })
  }
}

/** The store failed: the disk, the file, the database, or what is stored in it. */
export class JournalError extends Schema.TaggedError<JournalError>()("JournalError", {
  operation: Schema.Literals(["connect", "open", "append", "read", "list", "owner"]),
  runId: Schema.optionalKey(Schema.String),
  /** The entry that cannot be read. All entries before it can: read with a `limit` that ends before it. */
  seq: Schema.optionalKey(Schema.Int),
  cause: Schema.optionalKey(Schema.Defect()),
  message: Schema.String
}) {}

/**
 * The journal of all runs of one store.
 *
 * - `open` takes the run's writer lock for the scope. Mode `create` fails with `RunExists` when the
 *   run is there, `existing` with `RunNotFound` when it is not, `either` creates it if need be.
 *   `owner` is the name shown to a second writer (default `espalier`).
 * - `read` returns the entries after `after`, in order, at most `limit` of them (default: all). It
 *   works in other processes while a writer writes. When one entry of the page is damaged the whole
 *   page fails, and the error carries its `seq`: a short page would look like the end of the run.
 * - `list` returns the runs in order of creation.
 * - `owner` tells who holds the run now; nobody for a run that is free, or that does not exist.
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
 *   yield* writer.append([`{"_tag":"Started"}`, `{"_tag":"Finished"}`])
 *   return yield* journal.read("nightly", { after: 1 })
 * })
 *
 * const page = await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Journal.layerMemory)))
 * assert.deepStrictEqual(page, [{ seq: 2, body: `{"_tag":"Finished"}` }])
 * ```
 */
export class Journal extends Context.Service<Journal, {
  open(
    runId: string,
    options: { readonly mode: "create" | "existing" | "either"; readonly owner?: string }
  ): Effect.Effect<JournalWriter, RunLocked | RunExists | RunNotFound | JournalError, Scope.Scope>
  read(
    runId: string,
    options: { readonly after: number; readonly limit?: number }
  ): Effect.Effect<ReadonlyArray<JournalEntry>, RunNotFound | JournalError>
  readonly list: Effect.Effect<ReadonlyArray<RunInfo>, JournalError>
  owner(runId: string): Effect.Effect<Option.Option<LockOwner>, JournalError>
}>()("@espalier/engine/Journal") {}

/** The owner's name when `open` was given none. */
export const defaultOwner = "espalier"

/**
 * What is wrong with a run id, for implementations of a journal: an id is text that survives UTF-8.
 */
export const checkRunId = (runId: string): JournalError | undefined =>
  runId.length > 0 && runId.isWellFormed() && !runId.includes("\0") ? undefined : new JournalError({
    operation: "open",
    runId,
    message: `${JSON.stringify(runId)} cannot be the id of a run: it has to be a non-empty text without unpaired ` +
      `surrogates and without NUL. Choose another id.`
  })

/** What is wrong with the bounds of a page, for implementations of a journal. */
export const checkPage = (
  runId: string,
  options: { readonly after: number; readonly limit?: number }
): JournalError | undefined => {
  const fault = !Number.isSafeInteger(options.after) || options.after < 0
    ? `after: ${options.after}`
    : options.limit !== undefined && (!Number.isSafeInteger(options.limit) || options.limit < 0)
    ? `limit: ${options.limit}`
    : undefined
  return fault === undefined ? undefined : new JournalError({
    operation: "read",
    runId,
    message: `A page of the run ${
      JSON.stringify(runId)
    } was asked for with ${fault}: it has to be an integer, 0 or more.`
  })
}

/**
 * What is wrong with the bodies of an append, for implementations of a journal. Text that UTF-8
 * cannot carry would come back changed; `JSON.stringify` never produces it.
 */
export const checkBodies = (
  runId: string,
  lastSeq: number,
  bodies: ReadonlyArray<string>
): JournalError | undefined => {
  for (let index = 0; index < bodies.length; index++) {
    const body = bodies[index]!
    if (!body.isWellFormed() || body.includes("\0")) {
      return new JournalError({
        operation: "append",
        runId,
        seq: lastSeq + index + 1,
        message: `Entry ${lastSeq + index + 1} of the run ${JSON.stringify(runId)} is no JSON text: it holds an ` +
          `unpaired surrogate or NUL. Nothing of this append was written. Encode the event with JSON.stringify.`
      })
    }
  }
  return undefined
}

/** The failure of every append after one that failed, for implementations of a journal. */
export const brokenWriter = (runId: string, first: JournalError): JournalError =>
  new JournalError({
    operation: "append",
    runId,
    cause: first,
    message: `The writer of the run ${JSON.stringify(runId)} is broken, because an earlier append failed: ` +
      `${first.message} Close its scope, open the run again and read it before appending.`
  })

/** The failure of an append after the scope of its writer was closed, for implementations of a journal. */
export const closedWriter = (runId: string): JournalError =>
  new JournalError({
    operation: "append",
    runId,
    message:
      `The writer of the run ${JSON.stringify(runId)} is closed: its scope has ended and the run may belong to ` +
      `someone else. Open the run again.`
  })

interface StoredRun {
  readonly createdAt: number
  readonly bodies: Array<string>
  holder: LockOwner | undefined
}

/**
 * A journal in memory: every build of the layer has a store of its own, lost with the process. What
 * it refuses and how it fails is the same as in a durable journal.
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
      run = { createdAt: since, bodies: [], holder: undefined }
      runs.set(runId, run)
    } else if (mode === "create") {
      return yield* RunExists.of(runId)
    }
    if (run.holder !== undefined) return yield* RunLocked.heldBy(runId, run.holder)
    // A browser has no process; there the pid says nothing, and nobody outside could hold the run.
    run.holder = { owner, host: "memory", pid: globalThis.process?.pid ?? 0, since }
    return memoryWriter(runId, run)
  })

  return Journal.of({
    open: (runId, options) =>
      Effect.acquireRelease(
        acquire(runId, options.mode, options.owner ?? defaultOwner),
        (writer) => Effect.sync(writer.close)
      ),
    read: Effect.fnUntraced(function*(runId, options) {
      const fault = checkPage(runId, options)
      if (fault !== undefined) return yield* fault
      const run = runs.get(runId)
      if (run === undefined) return yield* RunNotFound.of(runId)
      const end = options.limit === undefined ? undefined : options.after + options.limit
      return run.bodies.slice(options.after, end).map((body, index) => ({ seq: options.after + index + 1, body }))
    }),
    list: Effect.sync(() =>
      Array.from(runs, ([runId, run]) => ({ runId, createdAt: run.createdAt, lastSeq: run.bodies.length }))
    ),
    owner: (runId) => Effect.sync(() => Option.fromUndefinedOr(runs.get(runId)?.holder))
  })
})

const memoryWriter = (runId: string, run: StoredRun): JournalWriter & { readonly close: () => void } => {
  let broken: JournalError | undefined
  let closed = false
  return {
    runId,
    lastSeq: run.bodies.length,
    append: (bodies) =>
      Effect.suspend(() => {
        if (closed) return closedWriter(runId)
        if (broken !== undefined) return brokenWriter(runId, broken)
        broken = checkBodies(runId, run.bodies.length, bodies)
        if (broken !== undefined) return broken
        for (const body of bodies) run.bodies.push(body)
        return Effect.succeed(run.bodies.length)
      }),
    close: () => {
      if (closed) return
      closed = true
      run.holder = undefined
    }
  }
}
