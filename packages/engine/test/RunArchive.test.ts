import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"
import { Journal, RunArchive, WorkEngine, WorkKind } from "@espalier/engine"

class Task extends WorkKind.make("Task", { payload: { n: Schema.Int }, success: Schema.Int }) {}
class Jobs extends WorkEngine.Service<Jobs>()("test/Jobs", { kinds: [Task] }) {}

const layer = Jobs.layer.pipe(
  Layer.provide(Task.toLayer(({ n }) => Effect.succeed(n * 2))),
  Layer.provideMerge(Journal.layerMemory)
)

const made = Effect.scoped(Effect.gen(function*() {
  const run = yield* (yield* Jobs).open("original", { concurrency: 2 })
  for (let n = 0; n < 3; n++) yield* Effect.flatMap(run.submit(Task, { n }, { id: `t${n}` }), (job) => job.await)
}))

const lines = Stream.runCollect(RunArchive.exportRun("original"))
const imported = (of: Iterable<string>) => RunArchive.importRun("copy", Stream.fromIterable(of))

describe("a run as lines of JSON", () => {
  it.effect("comes out in another journal as it went in, event for event", () =>
    Effect.gen(function*() {
      yield* made
      yield* imported(yield* lines)
      const journal = yield* Journal.Journal
      assert.deepStrictEqual(yield* journal.read("copy", { after: 0 }), yield* journal.read("original", { after: 0 }))
      assert.strictEqual((yield* (yield* Jobs).inspect("copy")).counts.succeeded, 3)
    }).pipe(Effect.provide(layer)))

  it.effect("that has forgotten events keeps its snapshot, its numbers and its horizon", () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      yield* Effect.scoped(Effect.gen(function*() {
        const writer = yield* journal.open("original", { mode: "create" })
        yield* writer.append([{ n: 1 }, { n: 2 }, { n: 3 }], 7)
        yield* writer.saveSnapshot({ seq: 3, version: 4, parts: [{ head: true }, ["works"]] })
        yield* writer.trim(2)
        yield* writer.append([{ n: 4 }], 8)
      }))
      yield* imported(yield* lines)
      assert.deepStrictEqual(yield* journal.read("copy", { after: 2 }), yield* journal.read("original", { after: 2 }))
      assert.deepStrictEqual(yield* journal.snapshot("copy"), yield* journal.snapshot("original"))
      const [original, copy] = yield* journal.list
      assert.deepInclude(copy, { horizon: original!.horizon, lastSeq: original!.lastSeq })
    }).pipe(Effect.provide(layer)))

  it.effect("that was cut off, changed or mixed up is refused with its line, and leaves nothing behind", () =>
    Effect.gen(function*() {
      yield* made
      const good = yield* lines
      const last = good.length - 1
      const bad: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
        [[], /line 0 .* cut off/],
        [good.slice(0, last), /cut off/],
        [good.toSpliced(3, 1), /line 4 of the archive is event 4; 3 was expected/],
        [good.with(0, "{}"), /line 1 of the archive is not the head/],
        [good.with(2, "no json"), /line 3 of the archive is no JSON/],
        [good.with(last, JSON.stringify({ end: 2 })), /says that the run ends with 2/],
        [[...good, good[1]!], /comes after the end/]
      ]
      const journal = yield* Journal.Journal
      for (const [archive, message] of bad) {
        const error = yield* Effect.flip(imported(archive))
        assert.strictEqual(error._tag, "ArchiveDamaged")
        assert.match(error.message, message)
        assert.deepStrictEqual((yield* journal.list).map(({ runId }) => runId), ["original"])
      }
      yield* imported(good)
    }).pipe(Effect.provide(layer)))

  it.effect("does not overwrite a run, and an unknown one is not exported", () =>
    Effect.gen(function*() {
      yield* made
      const archive = yield* lines
      assert.strictEqual(
        (yield* Effect.flip(RunArchive.importRun("original", Stream.fromIterable(archive))))._tag,
        "RunExists"
      )
      assert.strictEqual((yield* Effect.flip(Stream.runCollect(RunArchive.exportRun("nobody"))))._tag, "RunNotFound")
      assert.strictEqual((yield* (yield* Jobs).inspect("original")).counts.succeeded, 3)
    }).pipe(Effect.provide(layer)))
})
