/**
 * The cases of the journal's conformance suite about snapshots, and about what may be deleted.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import assert from "node:assert/strict"
import { Journal, type JournalSnapshot } from "../../Journal.ts"
import { entries, events, failureOf, type JournalCase, snapshotAt, test } from "./JournalCase.ts"

/** A run of so many entries, and its writer. */
const runOf = (count: number) =>
  Effect.gen(function*() {
    const journal = yield* Journal
    const writer = yield* journal.open("run", { mode: "create" })
    yield* writer.append(events(1, count), 1)
    return { journal, writer }
  })

/** A snapshot is the whole of what was saved last. */
export const snapshotCases: ReadonlyArray<JournalCase> = [
  test(
    "a run has no snapshot before one is saved, and a run that is not there has none to ask for",
    Effect.gen(function*() {
      const { journal } = yield* runOf(3)
      assert.ok(Option.isNone(yield* journal.snapshot("run")))
      assert.equal((yield* journal.list)[0]?.snapshotSeq, undefined)
      assert.equal((yield* failureOf(journal.snapshot("another"), "RunNotFound")).runId, "another")
    })
  ),
  test(
    "a snapshot comes back exactly as it was saved",
    Effect.gen(function*() {
      const { journal, writer } = yield* runOf(9)
      const snapshots: ReadonlyArray<JournalSnapshot> = [
        { seq: 1, version: 0, parts: [] },
        { seq: 2, version: 12, parts: [null] },
        { seq: 3, version: 1, parts: ["", 0, false, [], {}, "\ud800\0", { a: [{ b: null }] }] },
        { seq: 4, version: 1, parts: ["ß".repeat(700_000), "small", "x".repeat(3_000_000), "small"] },
        { seq: 9, version: 1, parts: Array.from({ length: 3000 }, (_, part) => ({ part })) },
        { seq: 9, version: 2, parts: ["the same number again"] }
      ]
      for (const snapshot of snapshots) {
        yield* writer.saveSnapshot(snapshot)
        assert.deepEqual(Option.getOrThrow(yield* journal.snapshot("run")), snapshot)
        assert.equal((yield* journal.list)[0]?.snapshotSeq, snapshot.seq)
      }
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 9), "it changes nothing else")
    })
  ),
  test(
    "a run without entries may have a snapshot at 0",
    Effect.gen(function*() {
      const { journal, writer } = yield* runOf(0)
      yield* writer.saveSnapshot(snapshotAt(0))
      assert.deepEqual(Option.getOrThrow(yield* journal.snapshot("run")), snapshotAt(0))
      assert.equal(yield* writer.append(events(1, 1), 1), 1)
    })
  ),
  test(
    "a snapshot of more than is durable, of less than the last one, or of an impossible number is refused, and the writer goes on",
    Effect.gen(function*() {
      const { journal, writer } = yield* runOf(5)
      yield* writer.saveSnapshot(snapshotAt(3))
      for (
        const [refused, reason] of [
          [snapshotAt(6), /6.*last entry is 5/],
          [snapshotAt(2), /2.*snapshot at 3/],
          [snapshotAt(-1), /-1/],
          [snapshotAt(3.5), /3\.5/],
          [snapshotAt(Number.NaN), /NaN/],
          [{ ...snapshotAt(4), version: 0.5 }, /0\.5/]
        ] as const
      ) {
        const error = yield* failureOf(writer.saveSnapshot(refused), "JournalError")
        assert.equal(error.operation, "snapshot")
        assert.equal(error.runId, "run")
        assert.match(error.message, reason)
        assert.deepEqual(Option.getOrThrow(yield* journal.snapshot("run")), snapshotAt(3))
      }
      assert.equal(yield* writer.append(events(6, 6), 1), 6)
      yield* writer.saveSnapshot(snapshotAt(6))
    })
  ),
  test(
    "a snapshot may speak for an append that was asked for before it, and is not waited for",
    Effect.gen(function*() {
      const { journal, writer } = yield* runOf(2)
      yield* Effect.all([
        writer.append(events(3, 2000), 1),
        writer.saveSnapshot(snapshotAt(2000, 5)),
        writer.trim(2000),
        writer.append(events(2001, 2001), 1)
      ], { concurrency: "unbounded" })
      assert.deepEqual(Option.getOrThrow(yield* journal.snapshot("run")), snapshotAt(2000, 5))
      assert.deepEqual(yield* journal.read("run", { after: 2000 }), entries(2001, 2001))
    })
  ),
  test(
    "of snapshots that are saved at once the last one counts, whole, and appends go on meanwhile",
    Effect.gen(function*() {
      const { journal, writer } = yield* runOf(10)
      yield* Effect.all([
        writer.saveSnapshot(snapshotAt(4, 2000)),
        writer.append(events(11, 20), 1),
        writer.saveSnapshot(snapshotAt(7, 500)),
        writer.append(events(21, 30), 1),
        writer.saveSnapshot(snapshotAt(9, 1000)),
        writer.append(events(31, 40), 1)
      ], { concurrency: "unbounded" })
      assert.deepEqual(Option.getOrThrow(yield* journal.snapshot("run")), snapshotAt(9, 1000))
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 40))
    })
  ),
  test(
    "whoever reads a snapshot while it is replaced gets the one or the other",
    Effect.gen(function*() {
      const { journal, writer } = yield* runOf(30)
      yield* writer.saveSnapshot(snapshotAt(1, 10))
      const progress = { isDone: false }
      let seen = 0
      const reading = Effect.gen(function*() {
        while (!progress.isDone) {
          const snapshot = Option.getOrThrow(yield* journal.snapshot("run"))
          assert.ok(snapshot.seq >= seen, `${snapshot.seq} after ${seen}`)
          assert.deepEqual(snapshot, snapshotAt(snapshot.seq, snapshot.seq * 10))
          seen = snapshot.seq
          yield* Effect.yieldNow
        }
      })
      const saving = Effect.gen(function*() {
        for (let seq = 2; seq <= 30; seq++) yield* writer.saveSnapshot(snapshotAt(seq, seq * 10))
        progress.isDone = true
      })
      yield* Effect.all([reading, saving], { concurrency: "unbounded" })
      assert.equal(Option.getOrThrow(yield* journal.snapshot("run")).seq, 30)
    })
  )
]

/** Entries go when the writer says so, and only those that a snapshot stands for. */
export const trimmingCases: ReadonlyArray<JournalCase> = [
  test(
    "what was trimmed cannot be read, who asks for it is told, and what follows is as it was",
    Effect.gen(function*() {
      const { journal, writer } = yield* runOf(10)
      yield* writer.saveSnapshot(snapshotAt(8))
      yield* writer.trim(6)
      for (const options of [{ after: 0 }, { after: 5 }, { after: 0, limit: 0 }, { after: 2, limit: 2 }]) {
        const error = yield* failureOf(journal.read("run", options), "EventsTrimmed")
        assert.equal(error.runId, "run")
        assert.equal(error.horizon, 6)
        assert.match(error.message, /6.*"run"/)
      }
      assert.deepEqual(yield* journal.read("run", { after: 6 }), entries(7, 10))
      assert.deepEqual(yield* journal.read("run", { after: 7, limit: 2 }), entries(8, 9))
      assert.deepEqual(yield* journal.read("run", { after: 10 }), [])
      const { horizon, lastSeq, snapshotSeq } = (yield* journal.list)[0]!
      assert.deepEqual({ horizon, lastSeq, snapshotSeq }, { horizon: 6, lastSeq: 10, snapshotSeq: 8 })
      assert.equal(yield* writer.append(events(11, 12), 1), 12)
      assert.deepEqual(yield* journal.read("run", { after: 6 }), entries(7, 12))
    })
  ),
  test(
    "trimming may stop anywhere in an append",
    Effect.gen(function*() {
      const { journal, writer } = yield* runOf(1)
      yield* writer.append(events(2, 1500), 2)
      yield* writer.append(events(1501, 1501), 3)
      yield* writer.saveSnapshot(snapshotAt(1501))
      for (const upTo of [1, 2, 3, 500, 511, 512, 513, 514, 1025, 1026, 1499, 1500]) {
        yield* writer.trim(upTo)
        assert.equal((yield* failureOf(journal.read("run", { after: upTo - 1 }), "EventsTrimmed")).horizon, upTo)
        assert.deepEqual(yield* journal.read("run", { after: upTo }), [
          ...entries(upTo + 1, 1500, 2),
          ...entries(1501, 1501, 3)
        ])
      }
    })
  ),
  test(
    "a run may be trimmed to nothing, and goes on at its number",
    Effect.gen(function*() {
      const journal = yield* Journal
      yield* Effect.scoped(Effect.gen(function*() {
        const writer = yield* journal.open("run", { mode: "create" })
        yield* writer.append(events(1, 3), 1)
        yield* writer.saveSnapshot(snapshotAt(3))
        yield* writer.trim(3)
        assert.deepEqual(yield* journal.read("run", { after: 3 }), [])
        assert.equal(yield* writer.append([], 1), 3)
      }))
      const writer = yield* journal.open("run", { mode: "existing" })
      assert.equal(writer.lastSeq, 3)
      assert.equal(yield* writer.append(events(4, 5), 1), 5)
      assert.deepEqual(yield* journal.read("run", { after: 3 }), entries(4, 5))
    })
  ),
  test(
    "trimming what no snapshot stands for is refused, nothing is deleted, and the writer goes on",
    Effect.gen(function*() {
      const { journal, writer } = yield* runOf(10)
      yield* failureOf(writer.trim(1), "JournalError")
      yield* writer.saveSnapshot(snapshotAt(4))
      for (const [upTo, reason] of [[5, /5.*snapshot is at 4/], [-1, /-1/], [0.5, /0\.5/]] as const) {
        const error = yield* failureOf(writer.trim(upTo), "JournalError")
        assert.equal(error.operation, "trim")
        assert.equal(error.runId, "run")
        assert.match(error.message, reason)
      }
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 10))
      assert.equal(yield* writer.append(events(11, 11), 1), 11)
      yield* writer.trim(4)
    })
  ),
  test(
    "the horizon never falls: trimming again what was trimmed does nothing",
    Effect.gen(function*() {
      const { journal, writer } = yield* runOf(10)
      yield* writer.trim(0)
      yield* writer.saveSnapshot(snapshotAt(8))
      yield* writer.trim(6)
      for (const upTo of [6, 3, 0]) yield* writer.trim(upTo)
      assert.equal((yield* journal.list)[0]?.horizon, 6)
      assert.deepEqual(yield* journal.read("run", { after: 6 }), entries(7, 10))
    })
  ),
  test(
    "who reads while entries are trimmed gets them as they were, or is told",
    Effect.gen(function*() {
      const { journal, writer } = yield* runOf(0)
      const progress = { isDone: false }
      let pages = 0
      const reading = Effect.gen(function*() {
        let after = 0
        while (!progress.isDone) {
          const page = yield* Effect.result(journal.read("run", { after, limit: 70 }))
          if (page._tag === "Success") {
            assert.deepEqual(page.success, entries(after + 1, after + page.success.length))
            after += page.success.length
            pages++
          } else {
            assert.equal(page.failure._tag, "EventsTrimmed", page.failure.message)
            const { horizon } = page.failure as Extract<typeof page.failure, { readonly _tag: "EventsTrimmed" }>
            assert.ok(horizon > after)
            after = horizon
          }
          yield* Effect.yieldNow
        }
      })
      const writing = Effect.gen(function*() {
        for (let round = 1; round <= 40; round++) {
          yield* writer.append(events(round * 100 - 99, round * 100), 1)
          yield* writer.saveSnapshot(snapshotAt(round * 100))
          yield* writer.trim(round * 100 - 50)
        }
        progress.isDone = true
      })
      yield* Effect.all([reading, reading, writing], { concurrency: "unbounded" })
      assert.ok(pages > 0)
    })
  )
]

/** A run that nobody writes can be removed, and only such a one. */
export const removingCases: ReadonlyArray<JournalCase> = [
  test(
    "a removed run is gone with all that belonged to it, and a later one of its id is new",
    Effect.gen(function*() {
      const journal = yield* Journal
      yield* Effect.scoped(Effect.gen(function*() {
        const { writer } = yield* runOf(1200)
        yield* writer.saveSnapshot(snapshotAt(5, 100))
        yield* writer.trim(3)
      }))
      yield* journal.remove("run")
      assert.deepEqual(yield* journal.list, [])
      assert.ok(Option.isNone(yield* journal.owner("run")))
      yield* failureOf(journal.read("run", { after: 3 }), "RunNotFound")
      yield* failureOf(journal.snapshot("run"), "RunNotFound")
      yield* failureOf(journal.open("run", { mode: "existing" }), "RunNotFound")
      const writer = yield* journal.open("run", { mode: "create" })
      assert.equal(writer.lastSeq, 0)
      assert.ok(Option.isNone(yield* journal.snapshot("run")))
      assert.deepEqual(yield* journal.read("run", { after: 0 }), [])
      assert.equal(yield* writer.append(events(1, 2), 1), 2)
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 2))
    })
  ),
  test(
    "a run is not removed while it has a writer, and loses nothing by that",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create", owner: "the writer" })
      yield* writer.append(events(1, 3), 1)
      const error = yield* failureOf(journal.remove("run"), "RunLocked")
      assert.equal(error.owner, "the writer")
      assert.equal(yield* writer.append(events(4, 4), 1), 4)
      assert.deepEqual(yield* journal.read("run", { after: 0 }), entries(1, 4))
    })
  ),
  test(
    "removing a run leaves the others alone",
    Effect.gen(function*() {
      const journal = yield* Journal
      for (const id of ["a", "b", "c"]) {
        yield* Effect.scoped(Effect.flatMap(journal.open(id, { mode: "create" }), (_) => _.append(events(1, 3), 1)))
      }
      const writer = yield* journal.open("c", { mode: "existing" })
      yield* journal.remove("b")
      assert.deepEqual((yield* journal.list).map((run) => run.runId), ["a", "c"])
      assert.equal(yield* writer.append(events(4, 4), 1), 4)
      assert.deepEqual(yield* journal.read("a", { after: 0 }), entries(1, 3))
      assert.deepEqual(yield* journal.read("c", { after: 0 }), entries(1, 4))
    })
  ),
  test(
    "a run that is not there cannot be removed",
    Effect.gen(function*() {
      const journal = yield* Journal
      assert.equal((yield* failureOf(journal.remove("run"), "RunNotFound")).runId, "run")
    })
  )
]
