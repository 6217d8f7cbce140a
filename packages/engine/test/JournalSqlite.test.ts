import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import * as JournalSuite from "@espalier/engine/testing/JournalSuite"
import { assert, describe } from "@effect/vitest"
import { Effect, Option } from "effect"
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { connect, events, failing, tamper, test, written } from "./support/journalFile.ts"

describe("JournalSqlite", () => {
  for (const { name, run } of JournalSuite.cases) {
    test(name, (root) => run.pipe(Effect.provide(JournalSqlite.layer({ filename: join(root, "journal.db") }))))
  }
  for (const { name, run } of JournalSuite.reopeningCases) {
    test(name, (root) => run(JournalSqlite.layer({ filename: join(root, "journal.db") })))
  }
})

describe("JournalSqlite: the file", () => {
  test("is made with its directory when the first run is created, and not by reading", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "deep", "down", "journal.db")
      const journal = yield* connect(filename)
      assert.deepStrictEqual(yield* journal.list, [])
      assert.isTrue(Option.isNone(yield* journal.owner("run")))
      yield* failing(journal.read("run", { after: 0 }), "RunNotFound")
      yield* failing(journal.open("run", { mode: "existing" }), "RunNotFound")
      assert.deepStrictEqual(readdirSync(root), [])
      yield* journal.open("run", { mode: "create" })
      assert.isTrue(existsSync(filename))
    }))

  test("is seen by a reader that was there before it", (root) =>
    Effect.gen(function*() {
      const reader = yield* connect(join(root, "journal.db"))
      assert.deepStrictEqual(yield* reader.list, [])
      yield* written(join(root, "journal.db"), 2)
      assert.strictEqual((yield* reader.read("run", { after: 0 })).length, 2)
    }))

  test("is all that is left when nobody has it open", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* Effect.scoped(Effect.gen(function*() {
        const journal = yield* connect(filename)
        yield* journal.open("a", { mode: "create" })
        yield* journal.open("b", { mode: "create" })
        const names = readdirSync(root).map((name) => name.replace(/[0-9a-f]{16}/, "<hash>")).sort()
        assert.deepStrictEqual(names, [
          "journal.db",
          "journal.db-shm",
          "journal.db-wal",
          "journal.db.<hash>.lock",
          "journal.db.<hash>.lock"
        ])
      }))
      assert.deepStrictEqual(readdirSync(root), ["journal.db"])
    }))

  test("is in write-ahead logging mode, so that it can be read while it is written", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 1)
      const database = new DatabaseSync(filename)
      assert.deepStrictEqual({ ...database.prepare("PRAGMA journal_mode").get() }, { journal_mode: "wal" })
      database.close()
    }))

  test("is one file under all its names: a run opened under one is locked under the other", (root) =>
    Effect.gen(function*() {
      yield* written(join(root, "journal.db"), 1)
      mkdirSync(join(root, "elsewhere"))
      symlinkSync(join(root, "journal.db"), join(root, "elsewhere", "link.db"))
      const first = yield* connect(join(root, "journal.db"))
      const second = yield* connect(join(root, "elsewhere", "link.db"))
      yield* first.open("run", { mode: "existing" })
      yield* failing(second.open("run", { mode: "existing" }), "RunLocked")
    }))

  test("cannot be a directory: the error names the path", (root) =>
    Effect.gen(function*() {
      const error = yield* failing(Effect.scoped(connect(root)), "JournalError")
      assert.strictEqual(error.operation, "connect")
      assert.include(error.message, root)
      assert.include(error.message, "is a directory")
    }))

  test("cannot lie below another file: the error names the path and says what to do", (root) =>
    Effect.gen(function*() {
      writeFileSync(join(root, "file"), "")
      const filename = join(root, "file", "journal.db")
      const journal = yield* connect(filename)
      const error = yield* failing(journal.open("run", { mode: "create" }), "JournalError")
      assert.include(error.message, filename)
      assert.include(error.message, "choose another path")
      assert.isDefined(error.cause)
    }))

  test("cannot be a text file, and is left as it is", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "notes.txt")
      writeFileSync(filename, "to do\n".repeat(200))
      const error = yield* failing(Effect.scoped(connect(filename)), "JournalError")
      assert.include(error.message, filename)
      assert.include(error.message, "no SQLite database")
      assert.strictEqual(readFileSync(filename, "utf8"), "to do\n".repeat(200))
    }))

  test("cannot be someone else's database, and is left as it is", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "other.db")
      yield* tamper(filename, "CREATE TABLE customers (name TEXT)")
      const before = readFileSync(filename)
      const error = yield* failing(Effect.scoped(connect(filename)), "JournalError")
      assert.include(error.message, "no journal of Espalier")
      assert.deepStrictEqual(readFileSync(filename), before)
    }))

  test("of a newer version is refused with both versions, and left as it is", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 1)
      yield* tamper(filename, "PRAGMA user_version = 99")
      const error = yield* failing(Effect.scoped(connect(filename)), "JournalError")
      assert.include(error.message, "format 99")
      assert.include(error.message, "format 2")
    }))

  test("needs a path, not a URL and not memory", () =>
    Effect.gen(function*() {
      for (const filename of ["", ":memory:", "file:journal.db"]) {
        const error = yield* failing(Effect.scoped(connect(filename)), "JournalError")
        assert.include(error.message, JSON.stringify(filename))
      }
    }))

  test("that was removed or replaced while it was open is noticed before anything is lost", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const journal = yield* connect(filename)
      const writer = yield* journal.open("run", { mode: "create" })
      yield* writer.append(events(1, 1), 1)
      renameSync(filename, `${filename}.moved`)
      const removed = yield* failing(writer.append(events(2, 2), 1), "JournalError")
      assert.include(removed.message, "was removed")
      yield* written(join(root, "other.db"), 1)
      renameSync(join(root, "other.db"), filename)
      const replaced = yield* failing(journal.read("run", { after: 0 }), "JournalError")
      assert.include(replaced.message, "was replaced")
    }))
})
