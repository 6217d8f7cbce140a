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
import { entries, event, events, failureOf, type JournalCase, test } from "./JournalCase.ts"
import { lockingCases } from "./JournalLocking.ts"

export type { CaseError, JournalCase, ReopeningCase } from "./JournalCase.ts"
export { reopeningCases } from "./JournalLocking.ts"

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
      yield* Effect.scoped(Effect.flatMap(journal.open("run", { mode: "either" }), (_) => _.append(events(1, 2))))
      const writer = yield* journal.open("run", { mode: "either" })
      assert.equal(writer.lastSeq, 2)
    })
  ),
  test(
    "a writer goes on after the last entry of the one before",
    Effect.gen(function*() {
      const journal = yield* Journal
      yield* Effect.scoped(Effect.flatMap(journal.open("run", { mode: "create" }), (_) => _.append(events(1, 3))))
      const writer = yield* journal.open("run", { mode: "existing" })
      assert.equal(writer.lastSeq, 3)
      assert.equal(yield* writer.append(events(4, 5)), 5)
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
        yield* Effect.flatMap(journal.open(id, { mode: "create" }), (_) => _.append([`"${id.length}"`]))
      }
      for (const id of ids) {
        assert.deepEqual(yield* journal.read(id, { after: 0 }), [{ seq: 1, body: `"${id.length}"` }])
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

const appendingCases: ReadonlyArray<JournalCase> = [
  test(
    "an append returns the number of the last entry, and numbers have no gap",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      assert.equal(yield* writer.append(events(1, 1)), 1)
      assert.equal(yield* writer.append(events(2, 4)), 4)
      assert.equal(yield* writer.append(events(5, 5)), 5)
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 5))
    })
  ),
  test(
    "an empty append writes nothing",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      assert.equal(yield* writer.append([]), 0)
      assert.equal(yield* writer.append(events(1, 2)), 2)
      assert.equal(yield* writer.append([]), 2)
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 2))
    })
  ),
  test(
    "an append does nothing before it is run, and again each time it is run",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      const append = writer.append([event(0)])
      assert.deepEqual(yield* journal.read("run", { after: 0 }), [])
      assert.equal(yield* append, 1)
      assert.equal(yield* append, 2)
    })
  ),
  test(
    "an append that fails writes none of its entries",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      yield* writer.append(events(1, 2))
      const error = yield* failureOf(writer.append([event(3), "\"\ud800\"", event(5)]), "JournalError")
      assert.equal(error.operation, "append")
      assert.equal(error.runId, "run")
      assert.equal(error.seq, 4)
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 2))
      assert.equal((yield* journal.list)[0]?.lastSeq, 2)
    })
  ),
  test(
    "a writer is broken after a failed append, and the next writer goes on without a gap",
    Effect.gen(function*() {
      const journal = yield* Journal
      yield* Effect.scoped(Effect.gen(function*() {
        const writer = yield* journal.open("run", { mode: "create" })
        yield* writer.append(events(1, 2))
        const first = yield* failureOf(writer.append(["\0"]), "JournalError")
        const later = yield* failureOf(writer.append(events(3, 3)), "JournalError")
        assert.ok(later.message.includes(first.message), later.message)
        yield* failureOf(writer.append([]), "JournalError")
      }))
      const writer = yield* journal.open("run", { mode: "existing" })
      assert.equal(yield* writer.append(events(3, 3)), 3)
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 3))
    })
  ),
  test(
    "a writer whose scope has closed cannot append",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* Effect.scoped(journal.open("run", { mode: "create" }))
      const error = yield* failureOf(writer.append(events(1, 1)), "JournalError")
      assert.equal(error.operation, "append")
      assert.deepEqual(yield* journal.read("run", { after: 0 }), [])
    })
  ),
  test(
    "bodies come back exactly as they were",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      const values = [
        "",
        "ä",
        "🌳👩‍👩‍👧",
        "\ufeffbom",
        "\u2028\u2029",
        "'\"`;--",
        "\n\r\t\0\u001f",
        "e\u0301",
        "\ud800",
        1e21,
        null
      ]
      const bodies = [...values.map((value) => JSON.stringify(value)), "", " ", "not json at all"]
      yield* writer.append(bodies)
      assert.deepEqual((yield* journal.read("run", { after: 0 })).map((entry) => entry.body), bodies)
    })
  ),
  test(
    "bodies of a megabyte and more are kept",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      const bodies = [1, 2, 4].map((size) => JSON.stringify(`${size}ß`.repeat(size * 350_000)))
      assert.equal(yield* writer.append(bodies), 3)
      const page = yield* journal.read("run", { after: 0 })
      assert.ok(page.every((entry, index) => entry.body === bodies[index]))
    })
  ),
  test(
    "appends of many fibers are all kept, each in one piece",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      const piece = (fiber: number) => [`"${fiber}-1"`, `"${fiber}-2"`, `"${fiber}-3"`]
      const ends = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, index) => index),
        (fiber) => Effect.andThen(Effect.yieldNow, writer.append(piece(fiber))),
        { concurrency: "unbounded" }
      )
      const page = yield* journal.read("run", { after: 0 })
      assert.deepEqual(page.map((entry) => entry.seq), Array.from({ length: 150 }, (_, index) => index + 1))
      ends.forEach((end, fiber) => {
        assert.deepEqual(page.slice(end - 3, end).map((entry) => entry.body), piece(fiber))
      })
    })
  )
]

const readingCases: ReadonlyArray<JournalCase> = [
  test(
    "entries are read in pages",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      yield* writer.append(events(1, 2500))
      assert.deepEqual(yield* journal.read("run", { after: 0, limit: 3 }), entries(1, 3))
      assert.deepEqual(yield* journal.read("run", { after: 3, limit: 1000 }), entries(4, 1003))
      assert.deepEqual(yield* journal.read("run", { after: 2498, limit: 1000 }), entries(2499, 2500))
      assert.deepEqual(yield* journal.read("run", { after: 2499, limit: 1 }), entries(2500, 2500))
      assert.deepEqual(yield* journal.read("run", { after: 5, limit: 0 }), [])
    })
  ),
  test(
    "without a limit all entries are read, and none beyond the last",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      yield* writer.append(events(1, 2500))
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 2500))
      assert.deepEqual(yield* journal.read("run", { after: 2500 }), [])
      assert.deepEqual(yield* journal.read("run", { after: 1_000_000, limit: 10 }), [])
    })
  ),
  test(
    "a page with impossible bounds is refused",
    Effect.gen(function*() {
      const journal = yield* Journal
      yield* journal.open("run", { mode: "create" })
      for (
        const options of [{ after: -1 }, { after: 0.5 }, { after: Number.NaN }, { after: 0, limit: -1 }, {
          after: 0,
          limit: 1.5
        }]
      ) {
        const error = yield* failureOf(journal.read("run", options), "JournalError")
        assert.equal(error.operation, "read")
      }
    })
  ),
  test(
    "a run that is not there cannot be read",
    Effect.gen(function*() {
      const journal = yield* Journal
      const error = yield* failureOf(journal.read("run", { after: 0 }), "RunNotFound")
      assert.equal(error.runId, "run")
    })
  ),
  test(
    "a run can be read while it is written, and each append is seen at once",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      for (let number = 1; number <= 20; number++) {
        yield* writer.append([event(number)])
        assert.deepEqual(yield* journal.read("run", { after: number - 1 }), entries(number, number))
      }
    })
  ),
  test(
    "many runs are written side by side and do not mix",
    Effect.gen(function*() {
      const journal = yield* Journal
      const ids = Array.from({ length: 20 }, (_, index) => `run-${index}`)
      const writers = yield* Effect.forEach(ids, (id) => journal.open(id, { mode: "create" }))
      for (let round = 1; round <= 5; round++) {
        yield* Effect.forEach(writers, (writer) => writer.append([`"${writer.runId} ${round}"`]), {
          concurrency: "unbounded"
        })
      }
      for (const id of ids) {
        assert.deepEqual(
          (yield* journal.read(id, { after: 0 })).map((entry) => entry.body),
          [1, 2, 3, 4, 5].map((round) => `"${id} ${round}"`)
        )
      }
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
          Effect.flatMap(journal.open(id, { mode: "create" }), (writer) => writer.append(events(1, index)))
        )
      }
      yield* journal.open("c", { mode: "existing" })
      const after = yield* Clock.currentTimeMillis
      const runs = yield* journal.list
      assert.deepEqual(runs.map(({ lastSeq, runId }) => [runId, lastSeq]), [["c", 0], ["a", 1], ["b", 2]])
      for (const { createdAt } of runs) assert.ok(createdAt >= before && createdAt <= after)
    })
  )
]

/** The promises of every journal. Each case wants an empty store of its own. */
export const cases: ReadonlyArray<JournalCase> = [
  ...openingCases,
  ...appendingCases,
  ...readingCases,
  ...listingCases,
  ...lockingCases
]
