/**
 * What every journal has to do, as a list of named cases: the promises of `Journal.ts`, executable.
 *
 * The list knows no test framework. A test file runs each case of `cases` on a store of its own:
 *
 * ```
 * for (const { name, run } of JournalSuite.cases) {
 *   it.effect(name, () => run.pipe(Effect.provide(Journal.layerMemory)))
 * }
 * ```
 *
 * A store that outlives its layer also passes `reopeningCases`. They get a layer that leads to the same
 * store each time it is built. No case looks at the real clock, and none waits.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import assert from "node:assert/strict"
import { Journal } from "../Journal.ts"
import { entries, events, failureOf, type JournalCase, test } from "./internal/JournalCase.ts"
import { appendingCases, readingCases } from "./internal/JournalEntries.ts"
import { lockingCases } from "./internal/JournalLocking.ts"
import { removingCases, snapshotCases, trimmingCases } from "./internal/JournalRetention.ts"

export type { CaseError, JournalCase, ReopeningCase } from "./internal/JournalCase.ts"
export { reopeningCases } from "./internal/JournalReopening.ts"

const openingCases: ReadonlyArray<JournalCase> = [
  test(
    "a created run has no entries",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      assert.equal(writer.runId, "run")
      assert.equal(writer.lastSeq, 0)
      assert.deepEqual(yield* journal.read("run", { after: 0 }), [])
    })
  ),
  test(
    "a run that is there cannot be created again",
    Effect.gen(function*() {
      const journal = yield* Journal
      yield* Effect.scoped(journal.open("run", { mode: "create" }))
      const error = yield* failureOf(journal.open("run", { mode: "create" }), "RunExists")
      assert.equal(error.runId, "run")
      assert.match(error.message, /"run"/)
    })
  ),
  test(
    "a run that is not there cannot be opened as an existing one, and is not created by trying",
    Effect.gen(function*() {
      const journal = yield* Journal
      const error = yield* failureOf(journal.open("run", { mode: "existing" }), "RunNotFound")
      assert.equal(error.runId, "run")
      assert.match(error.message, /"run"/)
      assert.deepEqual(yield* journal.list, [])
    })
  ),
  test(
    "mode either creates a run and later opens it",
    Effect.gen(function*() {
      const journal = yield* Journal
      yield* Effect.scoped(Effect.flatMap(journal.open("run", { mode: "either" }), (_) => _.append(events(1, 2), 1)))
      const writer = yield* journal.open("run", { mode: "either" })
      assert.equal(writer.lastSeq, 2)
    })
  ),
  test(
    "a writer goes on after the last entry of the one before",
    Effect.gen(function*() {
      const journal = yield* Journal
      yield* Effect.scoped(Effect.flatMap(journal.open("run", { mode: "create" }), (_) => _.append(events(1, 3), 1)))
      const writer = yield* journal.open("run", { mode: "existing" })
      assert.equal(writer.lastSeq, 3)
      assert.equal(yield* writer.append(events(4, 5), 1), 5)
      assert.equal(writer.lastSeq, 3, "lastSeq is the number at open")
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 5))
    })
  ),
  test(
    "any text can be the id of a run, and different texts are different runs",
    Effect.gen(function*() {
      const journal = yield* Journal
      const ids = ["run", "RUN", "../run", "a/b\\c", "läuft 🌳", "run'; DROP TABLE runs; --", " ", "x".repeat(1000)]
      for (const id of ids) {
        yield* Effect.flatMap(journal.open(id, { mode: "create" }), (_) => _.append([id.length], 1))
      }
      for (const id of ids) {
        assert.deepEqual(yield* journal.read(id, { after: 0 }), [
          { seq: 1, version: 1, event: id.length }
        ])
      }
      assert.deepEqual((yield* journal.list).map((run) => run.runId), ids)
    })
  ),
  test(
    "an id that cannot be stored is refused with the id in the message",
    Effect.gen(function*() {
      const journal = yield* Journal
      for (const id of ["", "a\0b", "\ud800"]) {
        const error = yield* failureOf(journal.open(id, { mode: "either" }), "JournalError")
        assert.equal(error.operation, "open")
        assert.ok(error.message.includes(JSON.stringify(id)), error.message)
      }
      assert.deepEqual(yield* journal.list, [])
    })
  )
]

const listingCases: ReadonlyArray<JournalCase> = [
  test(
    "an empty store lists no runs",
    Effect.gen(function*() {
      assert.deepEqual(yield* (yield* Journal).list, [])
    })
  ),
  test(
    "runs are listed in order of creation, with when that was and their last number",
    Effect.gen(function*() {
      const journal = yield* Journal
      const before = yield* Clock.currentTimeMillis
      for (const [index, id] of ["c", "a", "b"].entries()) {
        yield* Effect.scoped(
          Effect.flatMap(journal.open(id, { mode: "create" }), (writer) => writer.append(events(1, index), 1))
        )
      }
      yield* journal.open("c", { mode: "existing" })
      const after = yield* Clock.currentTimeMillis
      const runs = yield* journal.list
      assert.deepEqual(runs.map(({ lastSeq, runId }) => [runId, lastSeq]), [["c", 0], ["a", 1], ["b", 2]])
      for (const { createdAt, horizon, snapshotSeq } of runs) {
        assert.ok(createdAt >= before && createdAt <= after)
        assert.deepEqual({ horizon, snapshotSeq }, { horizon: 0, snapshotSeq: undefined })
      }
    })
  )
]

/** The promises of every journal. Each case wants an empty store of its own. */
export const cases: ReadonlyArray<JournalCase> = [
  ...openingCases,
  ...appendingCases,
  ...readingCases,
  ...listingCases,
  ...lockingCases,
  ...snapshotCases,
  ...trimmingCases,
  ...removingCases
]
