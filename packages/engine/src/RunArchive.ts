/**
 * A run as lines of JSON, to be kept elsewhere, looked at with a text editor, or taken up in another journal.
 *
 * The first line says what it is and how the run lies in its journal; the parts of its snapshot follow, if it has forgotten
 * events; then its events, one a line, as the journal has them; the last line says where the run ended, so that a file that was
 * cut off is noticed.
 */
import { Effect, Option, Result, Schema, Stream } from "effect"
import {
  type EventsTrimmed,
  Journal,
  type JournalError,
  type JournalWriter,
  type RunExists,
  RunNotFound
} from "./Journal.ts"

const Header = Schema.Struct({
  format: Schema.Literal("espalier-run"),
  version: Schema.Literal(1),
  runId: Schema.String,
  /** Events up to this one were no longer kept: the snapshot stands for them. */
  horizon: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  lastSeq: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  snapshot: Schema.NullOr(Schema.Struct({ seq: Schema.Int, version: Schema.Int, parts: Schema.Int }))
})
const Part = Schema.Struct({ part: Schema.Json })
const Event = Schema.Struct({ seq: Schema.Int, version: Schema.Int, event: Schema.Json })
const End = Schema.Struct({ end: Schema.Int })

/** A line of an archive that is not what it has to be there; `line` counts from 1. Take the file from where it came once more. */
export class ArchiveDamaged extends Schema.TaggedError<ArchiveDamaged>()("ArchiveDamaged", {
  line: Schema.Int,
  message: Schema.String
}) {}

const pageSize = 1_000
const fillerSize = 10_000

/**
 * The lines of a run, without line ends. Fails with `RunNotFound`, `JournalError`, or `EventsTrimmed` when whoever has the run
 * open makes it forget what is being read: try again. A run that is being written is told up to where it was when the export began.
 */
export const exportRun = (
  runId: string
): Stream.Stream<string, RunNotFound | EventsTrimmed | JournalError, Journal> =>
  Stream.unwrap(Effect.gen(function*() {
    const journal = yield* Journal
    const info = (yield* journal.list).find((each) => each.runId === runId)
    if (info === undefined) return yield* RunNotFound.of(runId)
    const { horizon, lastSeq } = info
    const found = horizon === 0 ? undefined : Option.getOrUndefined(yield* journal.snapshot(runId))
    const snapshot = found === undefined ? null : { seq: found.seq, version: found.version, parts: found.parts.length }
    const header: typeof Header.Type = { format: "espalier-run", version: 1, runId, horizon, lastSeq, snapshot }
    const events = Stream.flattenIterable(Stream.unfold(horizon, (after) =>
      Effect.gen(function*() {
        if (after >= lastSeq) return undefined
        const page = yield* journal.read(runId, { after, limit: Math.min(pageSize, lastSeq - after) })
        if (page.length === 0) return undefined
        return [page.map((entry) => JSON.stringify(entry)), page[page.length - 1]!.seq] as const
      })))
    return Stream.fromIterable([header, ...(found?.parts ?? []).map((part) => ({ part }))]).pipe(
      Stream.map((line) => JSON.stringify(line)),
      Stream.concat(events),
      Stream.concat(Stream.make(JSON.stringify({ end: lastSeq })))
    )
  }))

/** What has been read of an archive, line by line, and goes into the journal in batches. */
class Import {
  line = 0
  private header: typeof Header.Type | undefined = undefined
  private readonly parts: Array<Schema.Json> = []
  private batch: Array<Schema.Json> = []
  private batchVersion = 0
  private seq = 0
  private isOver = false
  private readonly writer: JournalWriter

  constructor(writer: JournalWriter) {
    this.writer = writer
  }

  damaged(message: string): ArchiveDamaged {
    return new ArchiveDamaged({ line: this.line, message: `line ${this.line} of the archive ${message}` })
  }

  private decode<A, I>(schema: Schema.Codec<A, I>, json: unknown, what: string): Effect.Effect<A, ArchiveDamaged> {
    return Effect.mapError(
      Schema.decodeUnknownEffect(schema)(json),
      (error) => this.damaged(`is not ${what}: ${error.message}`)
    )
  }

  readonly take = (text: string): Effect.Effect<void, ArchiveDamaged | JournalError> =>
    Effect.gen({ self: this }, function*() {
      this.line += 1
      if (text.trim() === "") return
      const json = yield* Effect.try({
        try: () => JSON.parse(text) as unknown,
        catch: (cause) => this.damaged(`is no JSON: ${String(cause)}`)
      })
      if (this.isOver) return yield* this.damaged("comes after the end")
      if (this.header === undefined) return yield* this.begin(json)
      if (this.parts.length < (this.header.snapshot?.parts ?? 0)) {
        this.parts.push((yield* this.decode(Part, json, "a part of the snapshot")).part)
      } else if (typeof json === "object" && json !== null && "end" in json) {
        yield* this.end(this.header, json)
      } else {
        yield* this.event(yield* this.decode(Event, json, "an event"))
      }
    })

  private begin(json: unknown) {
    return Effect.gen({ self: this }, function*() {
      const header = this.header = yield* this.decode(Header, json, "the head of an espalier-run, version 1")
      const { horizon, snapshot } = header
      if (horizon > 0 && (snapshot === null || snapshot.seq < horizon)) {
        return yield* this.damaged(`has no snapshot for the events up to ${horizon}, which it does not hold`)
      }
      // A journal numbers from 1: what was forgotten keeps its numbers by entries that are trimmed in the end.
      for (let left = horizon; left > 0; left -= fillerSize) {
        yield* this.writer.append(Array.from({ length: Math.min(left, fillerSize) }, () => null), 0)
      }
      this.seq = horizon
    })
  }

  private event({ event, seq, version }: typeof Event.Type) {
    return Effect.gen({ self: this }, function*() {
      if (seq !== this.seq + 1) return yield* this.damaged(`is event ${seq}; ${this.seq + 1} was expected`)
      if (version !== this.batchVersion || this.batch.length >= pageSize) yield* this.flush
      this.batchVersion = version
      this.batch.push(event)
      this.seq = seq
    })
  }

  private readonly flush: Effect.Effect<void, JournalError> = Effect.suspend(() => {
    const { batch, batchVersion } = this
    this.batch = []
    return batch.length === 0 ? Effect.void : Effect.asVoid(this.writer.append(batch, batchVersion))
  })

  private end({ horizon, snapshot }: typeof Header.Type, json: unknown) {
    return Effect.gen({ self: this }, function*() {
      const { end } = yield* this.decode(End, json, "the end")
      if (end !== this.seq) {
        return yield* this.damaged(`says that the run ends with ${end}; the last event was ${this.seq}`)
      }
      yield* this.flush
      if (snapshot !== null) {
        yield* this.writer.saveSnapshot({ seq: snapshot.seq, version: snapshot.version, parts: this.parts })
        yield* this.writer.trim(horizon)
      }
      this.isOver = true
    })
  }

  readonly finish: Effect.Effect<void, ArchiveDamaged> = Effect.suspend(() =>
    this.isOver
      ? Effect.void
      : Effect.fail(this.damaged("is the last, and the end is missing: the archive was cut off"))
  )
}

/**
 * Writes an archive into the journal as the run `runId`, which must not be there. Fails with `ArchiveDamaged` for a line that is
 * not what it has to be, and for an archive that was cut off; then nothing of it is left. What events mean is looked at when the run is
 * opened.
 *
 * @example
 * ```ts
 * import { Journal, RunArchive, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Stream } from "effect"
 * import assert from "node:assert"
 *
 * class Task extends WorkKind.make("Task", { payload: {} }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Task] }) {}
 *
 * const JobsLive = Jobs.layer.pipe(Layer.provide(Task.toLayer(() => Effect.void)), Layer.provideMerge(Journal.layerMemory))
 *
 * const program = Effect.gen(function*() {
 *   const jobs = yield* Jobs
 *   yield* Effect.scoped(Effect.flatMap(jobs.open("monday", { concurrency: 1 }), (run) => run.submit(Task, {}, { id: "a" })))
 *   const lines = yield* Stream.runCollect(RunArchive.exportRun("monday"))
 *
 *   yield* RunArchive.importRun("copy of monday", Stream.fromIterable(lines))
 *   const run = yield* jobs.resume("copy of monday", { concurrency: 1, keepOpen: false })
 *   return (yield* run.await).counts.succeeded
 * }).pipe(Effect.scoped, Effect.provide(JobsLive))
 *
 * assert.strictEqual(await Effect.runPromise(program), 1)
 * ```
 */
export const importRun = <E, R>(
  runId: string,
  lines: Stream.Stream<string, E, R>
): Effect.Effect<void, E | ArchiveDamaged | RunExists | JournalError, Journal | R> =>
  Effect.gen(function*() {
    const journal = yield* Journal
    const write = Effect.gen(function*() {
      const writer = yield* journal.open(runId, { mode: "create", owner: "import" })
      const archive = new Import(writer)
      // The run is there now, and is ours: what went wrong leaves nothing behind.
      return yield* Effect.result(Effect.andThen(Stream.runForEach(lines, archive.take), archive.finish))
    })
    const imported = yield* Effect.catchTag(Effect.scoped(write), ["RunLocked", "RunNotFound"], Effect.die)
    if (Result.isSuccess(imported)) return
    yield* Effect.catchTag(journal.remove(runId), ["RunLocked", "RunNotFound"], Effect.die)
    return yield* Effect.fail(imported.failure)
  })
