import { assert, describe } from "@effect/vitest"
import { Effect, Option } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { connect, events, failing, query, tamper, test, written } from "./support/journalFile.ts"

describe("JournalSqlite: damage", () => {
  test("a changed chunk is reported with its run and its first number, and what precedes it can be read", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 3, 4, 3)
      yield* tamper(filename, "UPDATE chunks SET body = replace(body, 'entry 6', 'entrz 6')")
      const journal = yield* connect(filename)
      for (const options of [{ after: 0 }, { after: 0, limit: 7 }, { after: 5, limit: 1 }, { after: 6, limit: 1 }]) {
        const error = yield* failing(journal.read("run", options), "JournalError")
        assert.strictEqual(error.operation, "read")
        assert.strictEqual(error.runId, "run")
        assert.strictEqual(error.seq, 4)
        assert.include(error.message, "Entry 4 of the run \"run\"")
        assert.include(error.message, filename)
      }
      assert.strictEqual((yield* journal.read("run", { after: 0, limit: 3 })).length, 3)
      assert.strictEqual((yield* journal.read("run", { after: 7 })).length, 3)
    }))

  test("one flipped bit is enough", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 1, 1, 1)
      const flipped = `["entry ${String.fromCharCode("2".charCodeAt(0) ^ 1)}"]`
      yield* tamper(filename, "UPDATE chunks SET body = ? WHERE first_seq = 2", flipped)
      const journal = yield* connect(filename)
      assert.strictEqual((yield* failing(journal.read("run", { after: 0 }), "JournalError")).seq, 2)
    }))

  for (const column of ["count", "version"]) {
    test(`a changed ${column} is reported`, (root) =>
      Effect.gen(function*() {
        const filename = join(root, "journal.db")
        yield* written(filename, 2, 2, 2)
        yield* tamper(filename, `UPDATE chunks SET ${column} = ${column} + 1 WHERE first_seq = 3`)
        const journal = yield* connect(filename)
        assert.strictEqual((yield* failing(journal.read("run", { after: 0 }), "JournalError")).seq, 3)
      }))
  }

  test("two chunks that changed places are reported", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 1, 1, 1, 1, 1)
      for (const [from, to] of [[2, -1], [3, 2], [-1, 3]] as const) {
        yield* tamper(filename, "UPDATE chunks SET first_seq = ? WHERE first_seq = ?", to, from)
      }
      const journal = yield* connect(filename)
      assert.strictEqual((yield* failing(journal.read("run", { after: 0 }), "JournalError")).seq, 2)
    }))

  test("a chunk that came from another run is reported", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 2, 2)
      yield* Effect.scoped(Effect.gen(function*() {
        const other = yield* (yield* connect(filename)).open("other", { mode: "create" })
        yield* other.append(events(1, 2), 1)
        yield* other.append(events(3, 4), 1)
      }))
      yield* tamper(filename, "DELETE FROM chunks WHERE run = 1 AND first_seq = 3")
      yield* tamper(filename, "UPDATE chunks SET run = 1 WHERE run = 2 AND first_seq = 3")
      const journal = yield* connect(filename)
      assert.strictEqual((yield* failing(journal.read("run", { after: 0 }), "JournalError")).seq, 3)
    }))

  test("a missing chunk is reported", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 2, 2, 2)
      yield* tamper(filename, "DELETE FROM chunks WHERE first_seq = 3")
      const journal = yield* connect(filename)
      const error = yield* failing(journal.read("run", { after: 0 }), "JournalError")
      assert.strictEqual(error.seq, 3)
      assert.include(error.message, "missing")
      assert.strictEqual((yield* failing(journal.read("run", { after: 3, limit: 1 }), "JournalError")).seq, 4)
      assert.strictEqual((yield* journal.read("run", { after: 4 })).length, 2)
    }))

  test("a missing first chunk is reported, of a whole run and of a trimmed one", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 2, 2, 2)
      const journal = yield* connect(filename)
      yield* tamper(filename, "DELETE FROM chunks WHERE first_seq = 1")
      assert.strictEqual((yield* failing(journal.read("run", { after: 0 }), "JournalError")).seq, 1)
      yield* tamper(filename, "UPDATE runs SET horizon = 2")
      assert.strictEqual((yield* journal.read("run", { after: 2 })).length, 4)
      yield* tamper(filename, "DELETE FROM chunks WHERE first_seq = 3")
      assert.strictEqual((yield* failing(journal.read("run", { after: 2 }), "JournalError")).seq, 3)
    }))

  test("a lost tail is reported, and no writer begins behind it", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 3, 1, 1)
      yield* tamper(filename, "DELETE FROM chunks WHERE first_seq > 3")
      const journal = yield* connect(filename)
      assert.strictEqual((yield* failing(journal.read("run", { after: 0 }), "JournalError")).seq, 4)
      assert.strictEqual((yield* failing(journal.open("run", { mode: "existing" }), "JournalError")).seq, 4)
      assert.strictEqual((yield* journal.read("run", { after: 0, limit: 3 })).length, 3)
      assert.isTrue(Option.isNone(yield* journal.owner("run")), "the refused writer holds nothing")
    }))

  test("entries that something else added are reported to the next writer", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 1, 1)
      yield* tamper(
        filename,
        "INSERT INTO chunks SELECT run, 3, count, version, checksum, body FROM chunks WHERE first_seq = 2"
      )
      const journal = yield* connect(filename)
      const error = yield* failing(journal.open("run", { mode: "existing" }), "JournalError")
      assert.strictEqual(error.seq, 3)
    }))

  test("a torn page of the file is reported with the first number that it took away", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, ...Array.from({ length: 2000 }, () => 1))
      const file = readFileSync(filename)
      const pageSize = Number((yield* query(filename, "PRAGMA page_size"))[0]!["page_size"])
      const place = file.indexOf("\"entry 1234\"")
      file.fill(0xff, place - (place % pageSize), place - (place % pageSize) + pageSize)
      writeFileSync(filename, file)
      const journal = yield* connect(filename)
      const { seq } = yield* failing(journal.read("run", { after: 0 }), "JournalError")
      assert.isTrue(seq !== undefined && seq > 1000 && seq <= 1234, `seq: ${seq}`)
      assert.strictEqual((yield* journal.read("run", { after: 0, limit: seq! - 1 })).length, seq! - 1)
    }))

  test("a damaged snapshot is named, and the entries can be read all the same", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 5)
      const journal = yield* connect(filename)
      yield* Effect.scoped(Effect.gen(function*() {
        const writer = yield* journal.open("run", { mode: "existing" })
        yield* writer.saveSnapshot({ seq: 4, version: 1, parts: ["one", "two", "three"] })
      }))
      for (
        const [damage, expected] of [
          ["UPDATE parts SET body = '\"2\"' WHERE number = 1", "part 2 of 3 is not what was written"],
          ["DELETE FROM parts WHERE number = 0", "part 1 of 3 is missing"],
          ["UPDATE snapshots SET seq = 3", "it is not what was written"]
        ] as const
      ) {
        yield* tamper(filename, damage)
        const error = yield* failing(journal.snapshot("run"), "JournalError")
        assert.strictEqual(error.operation, "snapshot")
        assert.strictEqual(error.runId, "run")
        assert.include(error.message, "The snapshot at entry")
        assert.include(error.message, expected)
        assert.include(error.message, filename)
      }
      assert.strictEqual((yield* journal.read("run", { after: 0 })).length, 5)
      const writer = yield* journal.open("run", { mode: "existing" })
      yield* writer.saveSnapshot({ seq: 5, version: 1, parts: ["whole again"] })
      assert.deepStrictEqual(Option.getOrThrow(yield* journal.snapshot("run")).parts, ["whole again"])
    }))

  test("trimming does not hide damage: a chunk that it would have to cut is reported, and nothing is deleted", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 2, 4)
      yield* tamper(filename, "UPDATE chunks SET body = replace(body, 'entry 5', 'entrz 5')")
      const journal = yield* connect(filename)
      const writer = yield* journal.open("run", { mode: "existing" })
      yield* writer.saveSnapshot({ seq: 6, version: 1, parts: [] })
      const error = yield* failing(writer.trim(4), "JournalError")
      assert.strictEqual(error.operation, "trim")
      assert.strictEqual(error.seq, 3)
      assert.strictEqual((yield* journal.read("run", { after: 0, limit: 2 })).length, 2)
      yield* writer.trim(6)
      assert.strictEqual(yield* writer.append(events(7, 7), 1), 7)
    }))

  test("a damaged run can be removed", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 3, 1)
      yield* tamper(filename, "DELETE FROM chunks WHERE first_seq > 3")
      const journal = yield* connect(filename)
      yield* failing(journal.open("run", { mode: "existing" }), "JournalError")
      yield* journal.remove("run")
      assert.deepStrictEqual(yield* journal.list, [])
    }))

  test("an append that fails half-way leaves nothing of itself behind", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const journal = yield* connect(filename)
      yield* Effect.scoped(Effect.gen(function*() {
        const writer = yield* journal.open("run", { mode: "create" })
        yield* writer.append(events(1, 3), 1)
        yield* tamper(
          filename,
          "CREATE TRIGGER fault BEFORE INSERT ON chunks WHEN NEW.first_seq > 600 " +
            "BEGIN SELECT RAISE(ABORT, 'planned fault'); END"
        )
        const error = yield* failing(writer.append(events(4, 2000), 1), "JournalError")
        assert.include(error.message, "planned fault")
        assert.include(error.message, filename)
        assert.isDefined(error.cause)
        yield* tamper(filename, "DROP TRIGGER fault")
        yield* failing(writer.append(events(4, 4), 1), "JournalError")
        assert.strictEqual((yield* journal.read("run", { after: 0 })).length, 3)
      }))
      const writer = yield* journal.open("run", { mode: "existing" })
      assert.strictEqual(yield* writer.append(events(4, 5), 1), 5)
    }))

  test("a snapshot or a trim that fails half-way leaves the one before, and the writer goes on", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const journal = yield* connect(filename)
      const writer = yield* journal.open("run", { mode: "create" })
      yield* writer.append(events(1, 10), 1)
      const former = { seq: 5, version: 1, parts: ["former"] }
      yield* writer.saveSnapshot(former)
      // The first piece of a long one is committed before the fault.
      const long = { seq: 10, version: 1, parts: Array.from({ length: 40 }, (_, part) => `${part}`.repeat(20_000)) }
      yield* tamper(
        filename,
        "CREATE TRIGGER fault BEFORE INSERT ON parts WHEN NEW.number = 35 BEGIN SELECT RAISE(ABORT, 'planned'); END"
      )
      assert.include((yield* failing(writer.saveSnapshot(long), "JournalError")).message, "planned")
      assert.deepStrictEqual(Option.getOrThrow(yield* journal.snapshot("run")), former)
      yield* tamper(filename, "DROP TRIGGER fault")
      yield* tamper(
        filename,
        "CREATE TRIGGER fault BEFORE UPDATE OF horizon ON runs BEGIN SELECT RAISE(ABORT, 'planned'); END"
      )
      assert.include((yield* failing(writer.trim(3), "JournalError")).message, "planned")
      assert.strictEqual((yield* journal.read("run", { after: 0 })).length, 10)
      yield* tamper(filename, "DROP TRIGGER fault")
      assert.strictEqual(yield* writer.append(events(11, 11), 1), 11)
      yield* writer.saveSnapshot(long)
      assert.deepStrictEqual(Option.getOrThrow(yield* journal.snapshot("run")), long)
      yield* writer.trim(10)
    }))
})
