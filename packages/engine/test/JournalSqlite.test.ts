import * as Journal from "@espalier/engine/Journal"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import * as JournalSuite from "@espalier/engine/testing/JournalSuite"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"

/** A directory for one test. */
const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "espalier-journal-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A journal of its own on the file, open until the scope closes. */
const connect = (filename: string) =>
  Effect.map(
    Layer.build(Layer.fresh(JournalSqlite.layer({ filename }))),
    (context) => Context.get(context, Journal.Journal)
  )

/** Changes the file behind the journal's back. */
const tamper = (filename: string, sql: string, ...parameters: ReadonlyArray<SQLInputValue>) =>
  Effect.sync(() => {
    const database = new DatabaseSync(filename)
    try {
      return database.prepare(sql).run(...parameters)
    } finally {
      database.close()
    }
  })

const bodies = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => `"entry ${from + index}"`)

/** A file with one free run "run" of these entries. */
const written = (filename: string, count: number) =>
  Effect.scoped(Effect.gen(function*() {
    const journal = yield* connect(filename)
    const writer = yield* journal.open("run", { mode: "create" })
    yield* writer.append(bodies(1, count))
  }))

const failing = <A, E extends { readonly _tag: string; readonly message: string }, R, Tag extends E["_tag"]>(
  self: Effect.Effect<A, E, R>,
  tag: Tag
) =>
  Effect.map(Effect.flip(self), (error) => {
    assert.strictEqual(error._tag, tag, `got: ${error instanceof Error ? error.message : String(error)}`)
    return error as Extract<E, { readonly _tag: Tag }>
  })

const test = <E>(name: string, body: (root: string) => Effect.Effect<void, E, Scope.Scope>) =>
  it.effect(name, () => Effect.flatMap(directory, body))

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
      assert.include(error.message, "format 1")
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
      yield* writer.append(bodies(1, 1))
      renameSync(filename, `${filename}.moved`)
      const removed = yield* failing(writer.append(bodies(2, 2)), "JournalError")
      assert.include(removed.message, "was removed")
      yield* written(join(root, "other.db"), 1)
      renameSync(join(root, "other.db"), filename)
      const replaced = yield* failing(journal.read("run", { after: 0 }), "JournalError")
      assert.include(replaced.message, "was replaced")
    }))
})

describe("JournalSqlite: damage", () => {
  test("a changed body is reported with its run and number, and what precedes it can be read", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 10)
      yield* tamper(filename, "UPDATE events SET body = replace(body, 'entry', 'entrz') WHERE seq = 7")
      const journal = yield* connect(filename)
      for (const options of [{ after: 0 }, { after: 0, limit: 7 }, { after: 6, limit: 1 }]) {
        const error = yield* failing(journal.read("run", options), "JournalError")
        assert.strictEqual(error.operation, "read")
        assert.strictEqual(error.runId, "run")
        assert.strictEqual(error.seq, 7)
        assert.include(error.message, "Entry 7 of the run \"run\"")
        assert.include(error.message, filename)
      }
      assert.strictEqual((yield* journal.read("run", { after: 0, limit: 6 })).length, 6)
      assert.strictEqual((yield* journal.read("run", { after: 7 })).length, 3)
    }))

  test("one flipped bit is enough", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 3)
      const flipped = `"entry ${String.fromCharCode("2".charCodeAt(0) ^ 1)}"`
      yield* tamper(filename, "UPDATE events SET body = ? WHERE seq = 2", flipped)
      const journal = yield* connect(filename)
      assert.strictEqual((yield* failing(journal.read("run", { after: 0 }), "JournalError")).seq, 2)
    }))

  test("two entries that changed places are reported", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 5)
      for (const [from, to] of [[2, -1], [3, 2], [-1, 3]] as const) {
        yield* tamper(filename, "UPDATE events SET seq = ? WHERE seq = ?", to, from)
      }
      const journal = yield* connect(filename)
      assert.strictEqual((yield* failing(journal.read("run", { after: 0 }), "JournalError")).seq, 2)
    }))

  test("a missing entry is reported", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 5)
      yield* tamper(filename, "DELETE FROM events WHERE seq = 3")
      const journal = yield* connect(filename)
      const error = yield* failing(journal.read("run", { after: 0 }), "JournalError")
      assert.strictEqual(error.seq, 3)
      assert.include(error.message, "missing")
      assert.strictEqual((yield* failing(journal.read("run", { after: 2, limit: 1 }), "JournalError")).seq, 3)
    }))

  test("a lost tail is reported, and no writer begins behind it", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 5)
      yield* tamper(filename, "DELETE FROM events WHERE seq > 3")
      const journal = yield* connect(filename)
      assert.strictEqual((yield* failing(journal.read("run", { after: 0 }), "JournalError")).seq, 4)
      assert.strictEqual((yield* failing(journal.open("run", { mode: "existing" }), "JournalError")).seq, 4)
      assert.strictEqual((yield* journal.read("run", { after: 0, limit: 3 })).length, 3)
      assert.isTrue(Option.isNone(yield* journal.owner("run")), "the refused writer holds nothing")
    }))

  test("entries that something else added are reported to the next writer", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 2)
      yield* tamper(filename, "INSERT INTO events SELECT run, 3, checksum, body FROM events WHERE seq = 2")
      const journal = yield* connect(filename)
      const error = yield* failing(journal.open("run", { mode: "existing" }), "JournalError")
      assert.strictEqual(error.seq, 3)
    }))

  test("a torn page of the file is reported with the first number that it took away", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 2000)
      const file = readFileSync(filename)
      const place = file.indexOf("\"entry 1234\"")
      file.fill(0xff, place - (place % 4096), place - (place % 4096) + 4096)
      writeFileSync(filename, file)
      const journal = yield* connect(filename)
      const { seq } = yield* failing(journal.read("run", { after: 0 }), "JournalError")
      assert.isTrue(seq !== undefined && seq > 1000 && seq <= 1234, `seq: ${seq}`)
      assert.strictEqual((yield* journal.read("run", { after: 0, limit: seq! - 1 })).length, seq! - 1)
    }))

  test("an append that fails half-way leaves nothing of itself behind", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const journal = yield* connect(filename)
      yield* Effect.scoped(Effect.gen(function*() {
        const writer = yield* journal.open("run", { mode: "create" })
        yield* writer.append(bodies(1, 3))
        yield* tamper(
          filename,
          "CREATE TRIGGER fault BEFORE INSERT ON events WHEN NEW.seq = 6 BEGIN SELECT RAISE(ABORT, 'planned fault'); END"
        )
        const error = yield* failing(writer.append(bodies(4, 8)), "JournalError")
        assert.include(error.message, "planned fault")
        assert.include(error.message, filename)
        yield* tamper(filename, "DROP TRIGGER fault")
        yield* failing(writer.append(bodies(4, 4)), "JournalError")
        assert.strictEqual((yield* journal.read("run", { after: 0 })).length, 3)
      }))
      const writer = yield* journal.open("run", { mode: "existing" })
      assert.strictEqual(yield* writer.append(bodies(4, 5)), 5)
    }))
})

describe("JournalSqlite: ownership", () => {
  const lockFiles = (root: string) =>
    readdirSync(root).filter((name) => name.endsWith(".lock")).map((name) => join(root, name))

  test("a writer whose lock was taken behind its back cannot append, and does not disturb the new one", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const first = yield* connect(filename)
      const second = yield* connect(filename)
      const outer = yield* Scope.make()
      const former = yield* first.open("run", { mode: "create", owner: "the former" }).pipe(Scope.provide(outer))
      yield* former.append(bodies(1, 2))
      for (const file of lockFiles(root)) rmSync(file)
      const current = yield* second.open("run", { mode: "existing", owner: "the current" })
      const error = yield* failing(former.append(bodies(3, 3)), "JournalError")
      assert.include(error.message, "the current")
      assert.strictEqual(yield* current.append(bodies(3, 4)), 4)
      yield* Scope.close(outer, Exit.void)
      assert.strictEqual(lockFiles(root).length, 1)
      assert.strictEqual(Option.getOrThrow(yield* first.owner("run")).owner, "the current")
      yield* failing(first.open("run", { mode: "existing" }), "RunLocked")
      assert.deepStrictEqual((yield* first.read("run", { after: 0 })).map((entry) => entry.body), bodies(1, 4))
    }))

  test("the same number cannot be written twice, whatever else fails", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const journal = yield* connect(filename)
      const writer = yield* journal.open("run", { mode: "create" })
      yield* writer.append(bodies(1, 2))
      yield* tamper(filename, "INSERT INTO events VALUES (1, 3, 0, 'forged')")
      yield* failing(writer.append(bodies(3, 3)), "JournalError")
    }))

  test("the row of a holder that died is neither believed nor in the way", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 1)
      const claim = "UPDATE runs SET owner = 'a dead one', host = 'some host', pid = 1, since = 1"
      yield* tamper(filename, claim)
      const journal = yield* connect(filename)
      assert.isTrue(Option.isNone(yield* journal.owner("run")))
      yield* tamper(filename, claim)
      yield* journal.open("run", { mode: "existing", owner: "the living" })
      assert.strictEqual(Option.getOrThrow(yield* journal.owner("run")).owner, "the living")
    }))

  test("an append waits for another process's commit without stopping the event loop", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const journal = yield* connect(filename)
      const writer = yield* journal.open("run", { mode: "create" })
      const neighbour = new DatabaseSync(filename)
      neighbour.exec("BEGIN IMMEDIATE")
      const append = yield* Effect.forkChild(writer.append(bodies(1, 2)), { startImmediately: true })
      // It is this callback that ends the neighbour's commit: it would never run if the append held the thread.
      yield* Effect.callback<void>((resume) => {
        setImmediate(() => {
          neighbour.close()
          resume(Effect.void)
        })
      })
      assert.strictEqual(yield* Fiber.join(append), 2)
    }))

  test("an append that is interrupted while it waits has written nothing, and the writer goes on", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const journal = yield* connect(filename)
      const writer = yield* journal.open("run", { mode: "create" })
      const neighbour = new DatabaseSync(filename)
      neighbour.exec("BEGIN IMMEDIATE")
      const append = yield* Effect.forkChild(writer.append(bodies(1, 2)), { startImmediately: true })
      yield* Fiber.interrupt(append)
      neighbour.close()
      assert.deepStrictEqual(yield* journal.read("run", { after: 0 }), [])
      assert.strictEqual(yield* writer.append(bodies(1, 1)), 1)
    }))

  test("opening a run that is interrupted while it waits holds nothing", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 1)
      const journal = yield* connect(filename)
      const neighbour = new DatabaseSync(filename)
      neighbour.exec("BEGIN IMMEDIATE")
      const opening = yield* Effect.forkChild(Effect.scoped(journal.open("run", { mode: "existing" })), {
        startImmediately: true
      })
      yield* Fiber.interrupt(opening)
      neighbour.close()
      assert.isTrue(Option.isNone(yield* journal.owner("run")))
      yield* journal.open("run", { mode: "existing" })
    }))
})
