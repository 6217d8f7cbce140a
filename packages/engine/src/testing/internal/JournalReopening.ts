/**
 * The cases of the journal's conformance suite about stores that outlive their layer.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import assert from "node:assert/strict"
import { Journal, type JournalError } from "../../Journal.ts"
import { entries, event, events, failureOf, type ReopeningCase, snapshotAt, testReopening } from "./JournalCase.ts"

/** Builds the layer anew in the current scope, whatever was built before. */
const connect = (
  layer: Layer.Layer<Journal, JournalError>
): Effect.Effect<Journal["Service"], JournalError, Scope.Scope> =>
  Effect.map(Layer.build(Layer.fresh(layer)), (context) => Context.get(context, Journal))

/** The promises of a journal that outlives its layer. Each case wants an empty store of its own. */
export const reopeningCases: ReadonlyArray<ReopeningCase> = [
  testReopening(
    "what was appended is there after the store was closed and opened again",
    (layer) =>
      Effect.gen(function*() {
        for (let round = 0; round < 3; round++) {
          yield* Effect.scoped(Effect.gen(function*() {
            const journal = yield* connect(layer)
            const writer = yield* journal.open("run", { mode: "either" })
            assert.equal(writer.lastSeq, round * 2)
            assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, round * 2))
            yield* writer.append(events(round * 2 + 1, round * 2 + 2), 1)
          }))
        }
      })
  ),
  testReopening("two layers on one store see each other's runs", (layer) =>
    Effect.gen(function*() {
      const first = yield* connect(layer)
      const second = yield* connect(layer)
      const writer = yield* first.open("run", { mode: "create" })
      yield* second.open("another run", { mode: "create" })
      yield* writer.append(events(1, 3), 1)
      assert.deepEqual(yield* second.read("run", { after: 1 }), entries(2, 3))
      assert.deepEqual((yield* first.list).map((run) => run.runId), ["run", "another run"])
      assert.deepEqual(yield* first.list, yield* second.list)
      yield* failureOf(second.open("run", { mode: "create" }), "RunExists")
    })),
  testReopening("two layers of one process on one store exclude each other", (layer) =>
    Effect.gen(function*() {
      const first = yield* connect(layer)
      const second = yield* connect(layer)
      yield* Effect.scoped(Effect.gen(function*() {
        const writer = yield* first.open("run", { mode: "create", owner: "the first" })
        // Several times: a naive file lock is lost when the refused handle is closed.
        for (let number = 1; number <= 3; number++) {
          const error = yield* failureOf(second.open("run", { mode: "existing" }), "RunLocked")
          assert.equal(error.owner, "the first")
          assert.equal(Option.getOrThrow(yield* second.owner("run")).owner, "the first")
          assert.equal(yield* writer.append([event(number)], 1), number)
        }
      }))
      assert.ok(Option.isNone(yield* second.owner("run")))
      const writer = yield* second.open("run", { mode: "existing", owner: "the second" })
      assert.equal(writer.lastSeq, 3)
      yield* failureOf(first.open("run", { mode: "existing" }), "RunLocked")
    })),
  testReopening(
    "a layer that closes before its writer leaves the writer useless and the run free",
    (layer) =>
      Effect.gen(function*() {
        const inner = yield* Scope.make()
        const outer = yield* Scope.make()
        const first = yield* connect(layer).pipe(Scope.provide(inner))
        const writer = yield* first.open("run", { mode: "create" }).pipe(Scope.provide(outer))
        yield* Scope.close(inner, Exit.void)
        yield* failureOf(writer.append(events(1, 1), 1), "JournalError")
        yield* failureOf(first.read("run", { after: 0 }), "JournalError")
        yield* Scope.close(outer, Exit.void)
        const second = yield* connect(layer)
        assert.ok(Option.isNone(yield* second.owner("run")))
        assert.equal((yield* second.open("run", { mode: "existing" })).lastSeq, 0)
      })
  ),
  testReopening(
    "versions, snapshot and horizon are there after the store was closed and opened again",
    (layer) =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          const writer = yield* (yield* connect(layer)).open("run", { mode: "create" })
          yield* writer.append(events(1, 700), 3)
          yield* writer.append(events(701, 710), 4)
          yield* writer.saveSnapshot(snapshotAt(650, 30))
          yield* writer.trim(600)
        }))
        const journal = yield* connect(layer)
        const info = (yield* journal.list)[0]!
        assert.deepEqual([info.lastSeq, info.horizon, info.snapshotSeq], [710, 600, 650])
        assert.deepEqual(Option.getOrThrow(yield* journal.snapshot("run")), snapshotAt(650, 30))
        assert.equal((yield* failureOf(journal.read("run", { after: 599 }), "EventsTrimmed")).horizon, 600)
        assert.deepEqual(yield* journal.read("run", { after: 600 }), [...entries(601, 700, 3), ...entries(701, 710, 4)])
        const writer = yield* journal.open("run", { mode: "existing" })
        assert.equal(writer.lastSeq, 710)
        yield* failureOf(writer.saveSnapshot(snapshotAt(649)), "JournalError")
        yield* failureOf(writer.trim(651), "JournalError")
      })
  ),
  testReopening("a snapshot and a trim of one layer are seen in another", (layer) =>
    Effect.gen(function*() {
      const first = yield* connect(layer)
      const second = yield* connect(layer)
      const writer = yield* first.open("run", { mode: "create" })
      for (let round = 1; round <= 5; round++) {
        yield* writer.append(events(round * 10 - 9, round * 10), 1)
        yield* writer.saveSnapshot(snapshotAt(round * 10, round))
        assert.deepEqual(Option.getOrThrow(yield* second.snapshot("run")), snapshotAt(round * 10, round))
        yield* writer.trim(round * 10 - 5)
        yield* failureOf(second.read("run", { after: round * 10 - 6 }), "EventsTrimmed")
        assert.deepEqual(yield* second.read("run", { after: round * 10 - 5 }), entries(round * 10 - 4, round * 10))
      }
    })),
  testReopening(
    "a run is not removed while another layer writes it, and gone for all when it is",
    (layer) =>
      Effect.gen(function*() {
        const first = yield* connect(layer)
        const second = yield* connect(layer)
        yield* Effect.scoped(Effect.gen(function*() {
          const writer = yield* first.open("run", { mode: "create", owner: "the first" })
          yield* writer.append(events(1, 3), 1)
          assert.equal((yield* failureOf(second.remove("run"), "RunLocked")).owner, "the first")
          assert.equal(yield* writer.append(events(4, 4), 1), 4)
        }))
        yield* second.remove("run")
        yield* failureOf(first.read("run", { after: 0 }), "RunNotFound")
        assert.deepEqual(yield* first.list, [])
        assert.equal((yield* first.open("run", { mode: "create" })).lastSeq, 0)
      })
  )
]
