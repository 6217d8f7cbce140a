/**
 * The cases of the journal's conformance suite about adding entries and reading them.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import assert from "node:assert/strict"
import { Journal, type JournalEntry, type Json } from "../../Journal.ts"
import { entries, event, events, failureOf, type JournalCase, snapshotAt, test } from "./JournalCase.ts"

/** An append is all or nothing, and what it added is there for good. */
export const appendingCases: ReadonlyArray<JournalCase> = [
  test(
    "an append returns the number of the last entry, and numbers have no gap",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      assert.equal(yield* writer.append(events(1, 1), 1), 1)
      assert.equal(yield* writer.append(events(2, 4), 1), 4)
      assert.equal(yield* writer.append(events(5, 5), 1), 5)
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 5))
    })
  ),
  test(
    "an empty append writes nothing",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      assert.equal(yield* writer.append([], 1), 0)
      assert.equal(yield* writer.append(events(1, 2), 1), 2)
      assert.equal(yield* writer.append([], 1), 2)
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 2))
    })
  ),
  test(
    "an append does nothing before it is run, and again each time it is run",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      const append = writer.append([event(0)], 1)
      assert.deepEqual(yield* journal.read("run", { after: 0 }), [])
      assert.equal(yield* append, 1)
      assert.equal(yield* append, 2)
    })
  ),
  test(
    "an append that fails writes nothing",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      yield* writer.append(events(1, 2), 1)
      const error = yield* failureOf(writer.append(events(3, 5), 1.5), "JournalError")
      assert.equal(error.operation, "append")
      assert.equal(error.runId, "run")
      assert.match(error.message, /1\.5/)
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
        yield* writer.append(events(1, 2), 1)
        const first = yield* failureOf(writer.append(events(3, 3), -1), "JournalError")
        for (
          const later of [
            writer.append(events(3, 3), 1),
            writer.append([], 1),
            writer.saveSnapshot(snapshotAt(2)),
            writer.trim(0)
          ]
        ) {
          const error = yield* failureOf(Effect.asVoid(later), "JournalError")
          assert.ok(error.message.includes(first.message), error.message)
        }
      }))
      const writer = yield* journal.open("run", { mode: "existing" })
      assert.equal(yield* writer.append(events(3, 3), 1), 3)
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 3))
      assert.ok(Option.isNone(yield* journal.snapshot("run")))
    })
  ),
  test(
    "an append that is interrupted is there whole or not at all, and the writer goes on",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      let lastSeq = 0
      for (let round = 0; round < 10; round++) {
        const before = lastSeq
        const append = yield* Effect.forkChild(writer.append(events(before + 1, before + 1500), 1), {
          startImmediately: true
        })
        if (round % 2 === 0) yield* Effect.yieldNow
        yield* Fiber.interrupt(append)
        lastSeq = yield* writer.append([], 1)
        assert.ok(lastSeq === before || lastSeq === before + 1500, `${lastSeq} after ${before}`)
        assert.equal(yield* writer.append([event(lastSeq + 1)], 1), lastSeq + 1)
        lastSeq++
      }
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, lastSeq))
    })
  ),
  test(
    "a writer whose scope has closed can do nothing any more",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* Effect.scoped(journal.open("run", { mode: "create" }))
      const error = yield* failureOf(writer.append(events(1, 1), 1), "JournalError")
      assert.equal(error.operation, "append")
      assert.equal((yield* failureOf(writer.saveSnapshot(snapshotAt(0)), "JournalError")).operation, "snapshot")
      assert.equal((yield* failureOf(writer.trim(0), "JournalError")).operation, "trim")
      assert.deepEqual(yield* journal.read("run", { after: 0 }), [])
    })
  ),
  test(
    "events come back exactly as they were",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      const values: ReadonlyArray<Json> = [
        "",
        "ä",
        "🌳👩‍👩‍👧",
        "\ufeffbom",
        "\u2028\u2029",
        "'\"`;--",
        "\n\r\t\0\u001f",
        "e\u0301",
        "\ud800",
        "],[",
        0,
        1e21,
        -0.1,
        Number.MAX_SAFE_INTEGER,
        true,
        false,
        null,
        [],
        {},
        [[[]]],
        { "": { a: [null, { b: "c" }] }, "2": 1, "1": 2 }
      ]
      yield* writer.append(values, 1)
      assert.deepEqual((yield* journal.read("run", { after: 0 })).map((entry) => entry.event), values)
    })
  ),
  test(
    "events of a megabyte and more are kept, also among small ones",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      const large = [1, 2, 4].map((size): Json => `${size}ß`.repeat(size * 350_000))
      const values = [...events(1, 600), ...large, ...events(1, 600)]
      assert.equal(yield* writer.append(values, 1), 1203)
      const page = yield* journal.read("run", { after: 590, limit: 20 })
      // Not compared by `deepEqual`, which would print megabytes.
      assert.ok(JSON.stringify(page.map((entry) => entry.event)) === JSON.stringify(values.slice(590, 610)))
      assert.deepEqual((yield* journal.read("run", { after: 603 })).map((entry) => entry.event), events(1, 600))
    })
  ),
  test(
    "each entry has the version of the append that it came with",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      yield* writer.append(events(1, 2), 7)
      yield* writer.append(events(3, 1000), 0)
      yield* writer.append(events(1001, 1001), 8)
      assert.deepEqual(yield* journal.read("run", { after: 0 }), [
        ...entries(1, 2, 7),
        ...entries(3, 1000, 0),
        ...entries(1001, 1001, 8)
      ])
    })
  ),
  test(
    "appends of many fibers are all kept, each in one piece",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      const piece = (fiber: number) => [`${fiber}-1`, `${fiber}-2`, `${fiber}-3`]
      const ends = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, index) => index),
        (fiber) => Effect.andThen(Effect.yieldNow, writer.append(piece(fiber), 1)),
        { concurrency: "unbounded" }
      )
      const page = yield* journal.read("run", { after: 0 })
      assert.deepEqual(page.map((entry) => entry.seq), Array.from({ length: 150 }, (_, index) => index + 1))
      ends.forEach((end, fiber) => {
        assert.deepEqual(page.slice(end - 3, end).map((entry) => entry.event), piece(fiber))
      })
    })
  )
]

/** Entries are read in order, in pages of any size, also while they are written. */
export const readingCases: ReadonlyArray<JournalCase> = [
  test(
    "entries are read in pages",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      yield* writer.append(events(1, 2500), 1)
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
      yield* writer.append(events(1, 2500), 1)
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 2500))
      assert.deepEqual(yield* journal.read("run", { after: 2500 }), [])
      assert.deepEqual(yield* journal.read("run", { after: 1_000_000, limit: 10 }), [])
    })
  ),
  test(
    "a page may begin and end anywhere, whatever the appends were",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create" })
      let last = 0
      const all: Array<JournalEntry> = []
      for (const [index, size] of [1, 3, 1300, 1, 700, 2].entries()) {
        yield* writer.append(events(last + 1, last + size), index)
        all.push(...entries(last + 1, last + size, index))
        last += size
      }
      // Each may be where a store begins a new row, or one beside it.
      const places = [0, 1, 4, 512, 513, 516, 1024, 1028, 1304, 1305, 1817, 2005, 2007]
        .flatMap((place) => [place - 1, place, place + 1]).filter((place) => place >= 0)
      for (const after of places) {
        for (const limit of [0, 1, 2, 511, 513, 5000]) {
          const page = yield* journal.read("run", { after, limit })
          assert.deepEqual(page, all.slice(after, after + limit), `after ${after}, limit ${limit}`)
        }
      }
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
        yield* writer.append([event(number)], 1)
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
        yield* Effect.forEach(writers, (writer) => writer.append([`${writer.runId} ${round}`], 1), {
          concurrency: "unbounded"
        })
      }
      for (const id of ids) {
        assert.deepEqual(
          (yield* journal.read(id, { after: 0 })).map((entry) => entry.event),
          [1, 2, 3, 4, 5].map((round) => `${id} ${round}`)
        )
      }
    })
  )
]
