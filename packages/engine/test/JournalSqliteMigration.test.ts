import { assert, describe } from "@effect/vitest"
import { Effect, Option } from "effect"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { crc32 } from "node:zlib"
import { connect, failing, query, tamper, test } from "./support/journalFile.ts"

/** The tables as an earlier version made them. */
const formerTables = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE runs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL, last_seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL, owner TEXT, host TEXT, pid INTEGER, since INTEGER
  ) STRICT;
  CREATE TABLE events (
    run INTEGER NOT NULL, seq INTEGER NOT NULL, checksum INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, seq)
  ) STRICT, WITHOUT ROWID;
  PRAGMA application_id = 1165193313;
  PRAGMA user_version = 1;
`

const formerEvent = (run: string, seq: number) => ({ run, seq, text: "ß".repeat(seq % 50) })

/** A file of format 1 with these runs, as the version that wrote it left it. */
const formerFile = (filename: string, runs: Readonly<Record<string, number>>) =>
  Effect.sync(() => {
    const database = new DatabaseSync(filename)
    database.exec(formerTables)
    database.exec("BEGIN")
    const insertRun = database.prepare("INSERT INTO runs (id, created_at, last_seq, epoch) VALUES (?, ?, ?, 7)")
    const insertEvent = database.prepare("INSERT INTO events (run, seq, checksum, body) VALUES (?, ?, ?, ?)")
    for (const [id, count] of Object.entries(runs)) {
      const run = Number(insertRun.run(id, 1_700_000_000_000, count).lastInsertRowid)
      for (let seq = 1; seq <= count; seq++) {
        const body = JSON.stringify(formerEvent(id, seq))
        insertEvent.run(run, seq, crc32(body, seq), body)
      }
    }
    database.exec("COMMIT")
    database.close()
  })

const formerEntries = (run: string, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => ({
    seq: from + index,
    version: 1,
    event: formerEvent(run, from + index)
  }))

describe("JournalSqlite: a file of format 1", () => {
  test("is brought to the present format when a run is opened, with all that is in it", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* formerFile(filename, { a: 1300, b: 0, läuft: 3 })
      const journal = yield* connect(filename)
      const writer = yield* journal.open("a", { mode: "existing" })
      assert.strictEqual(writer.lastSeq, 1300)
      assert.deepStrictEqual(
        yield* journal.list,
        [["a", 1300], ["b", 0], ["läuft", 3]].map(([runId, lastSeq]) => ({
          runId: String(runId),
          lastSeq: Number(lastSeq),
          createdAt: 1_700_000_000_000,
          horizon: 0,
          snapshotSeq: undefined
        }))
      )
      assert.deepStrictEqual(yield* journal.read("a", { after: 0 }), formerEntries("a", 1, 1300))
      assert.deepStrictEqual(yield* journal.read("läuft", { after: 1 }), formerEntries("läuft", 2, 3))
      assert.strictEqual(yield* writer.append(["new"], 2), 1301)
      yield* writer.saveSnapshot({ seq: 1301, version: 2, parts: [] })
      yield* writer.trim(700)
      assert.deepStrictEqual(yield* journal.read("a", { after: 700 }), [
        ...formerEntries("a", 701, 1300),
        { seq: 1301, version: 2, event: "new" }
      ])
      assert.strictEqual((yield* journal.open("c", { mode: "create" })).lastSeq, 0)
      assert.deepStrictEqual(yield* query(filename, "PRAGMA user_version"), [{ user_version: 2 }])
      assert.deepStrictEqual(yield* query(filename, "PRAGMA integrity_check"), [{ integrity_check: "ok" }])
    }))

  test("can be looked at, but not read, before that: the error says what to do", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* formerFile(filename, { a: 3 })
      const journal = yield* connect(filename)
      for (const reading of [Effect.asVoid(journal.list), Effect.asVoid(journal.read("a", { after: 0 }))]) {
        const error = yield* failing(reading, "JournalError")
        assert.include(error.message, "has the format 1")
        assert.include(error.message, "opened for writing")
      }
      assert.deepStrictEqual(yield* query(filename, "PRAGMA user_version"), [{ user_version: 1 }])
      yield* Effect.scoped(journal.open("a", { mode: "existing" }))
      assert.deepStrictEqual(yield* journal.read("a", { after: 0 }), formerEntries("a", 1, 3))
    }))

  test("keeps what was damaged as damaged, at its number, and what was missing as missing", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* formerFile(filename, { changed: 10, gone: 10, cut: 10, text: 2 })
      yield* tamper(filename, "UPDATE events SET body = replace(body, 'ß', 's') WHERE run = 1 AND seq = 4")
      yield* tamper(filename, "DELETE FROM events WHERE run = 2 AND seq = 5")
      yield* tamper(filename, "DELETE FROM events WHERE run = 3 AND seq > 8")
      yield* tamper(filename, "UPDATE events SET body = 'no', checksum = ? WHERE run = 4 AND seq = 2", crc32("no", 2))
      const journal = yield* connect(filename)
      yield* journal.open("changed", { mode: "existing" })
      for (const [run, seq] of [["changed", 4], ["gone", 5], ["cut", 9], ["text", 2]] as const) {
        assert.strictEqual((yield* failing(journal.read(run, { after: 0 }), "JournalError")).seq, seq)
        assert.deepStrictEqual(
          yield* journal.read(run, { after: 0, limit: seq - 1 }),
          formerEntries(run, 1, seq - 1)
        )
      }
      assert.deepStrictEqual(yield* journal.read("changed", { after: 4 }), formerEntries("changed", 5, 10))
      assert.deepStrictEqual(yield* journal.read("gone", { after: 5 }), formerEntries("gone", 6, 10))
      assert.strictEqual((yield* failing(journal.open("cut", { mode: "existing" }), "JournalError")).seq, 9)
    }))

  test("is left as it is while an earlier version writes to it", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* formerFile(filename, { a: 1, b: 1 })
      // The name of a lock has not changed, so the present version can make one.
      const modern = join(root, "modern.db")
      yield* Effect.scoped(Effect.gen(function*() {
        const journal = yield* connect(modern)
        yield* journal.open("a", { mode: "create" })
        const lock = readdirSync(root).find((name) => name.startsWith("modern.db.") && name.endsWith(".lock"))!
        const holder = new DatabaseSync(join(root, lock.replace("modern", "journal")))
        holder.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")
        yield* tamper(filename, "UPDATE runs SET owner = 'the old one', host = 'h', pid = 1, since = 1 WHERE id = 'a'")
        const former = yield* connect(filename)
        const error = yield* failing(former.open("b", { mode: "existing" }), "JournalError")
        assert.include(error.message, "the old one")
        assert.include(error.message, "Stop that process")
        assert.deepStrictEqual(yield* query(filename, "PRAGMA user_version"), [{ user_version: 1 }])
        holder.close()
        yield* former.open("b", { mode: "existing" })
        assert.isTrue(Option.isNone(yield* former.owner("a")))
      }))
    }))

  test("is left as it is when that fails half-way", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* formerFile(filename, { a: 3 })
      // In the way of a table that is to be made after the entries were copied into another.
      yield* tamper(filename, "CREATE TABLE garbage (something TEXT)")
      const journal = yield* connect(filename)
      const error = yield* failing(journal.open("a", { mode: "existing" }), "JournalError")
      assert.include(error.message, "garbage")
      assert.deepStrictEqual(yield* query(filename, "SELECT count(*) AS count FROM events"), [{ count: 3 }])
      assert.deepStrictEqual(yield* query(filename, "PRAGMA user_version"), [{ user_version: 1 }])
      yield* tamper(filename, "DROP TABLE garbage")
      assert.strictEqual((yield* journal.open("a", { mode: "existing" })).lastSeq, 3)
    }))
})
