import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { connect, events, failing, tamper, test, written } from "./support/journalFile.ts"

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
      yield* former.append(events(1, 2), 1)
      for (const file of lockFiles(root)) rmSync(file)
      const current = yield* second.open("run", { mode: "existing", owner: "the current" })
      const error = yield* failing(former.append(events(3, 3), 1), "JournalError")
      assert.include(error.message, "the current")
      assert.strictEqual(yield* current.append(events(3, 4), 1), 4)
      yield* Scope.close(outer, Exit.void)
      assert.strictEqual(lockFiles(root).length, 1)
      assert.strictEqual(Option.getOrThrow(yield* first.owner("run")).owner, "the current")
      yield* failing(first.open("run", { mode: "existing" }), "RunLocked")
      assert.deepStrictEqual((yield* first.read("run", { after: 0 })).map((entry) => entry.event), events(1, 4))
    }))

  test("the same number cannot be written twice, whatever else fails", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const journal = yield* connect(filename)
      const writer = yield* journal.open("run", { mode: "create" })
      yield* writer.append(events(1, 2), 1)
      yield* tamper(filename, "INSERT INTO chunks VALUES (1, 3, 1, 1, 0, 'forged')")
      yield* failing(writer.append(events(3, 3), 1), "JournalError")
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
      const append = yield* Effect.forkChild(writer.append(events(1, 2), 1), { startImmediately: true })
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
      const append = yield* Effect.forkChild(writer.append(events(1, 2), 1), { startImmediately: true })
      yield* Fiber.interrupt(append)
      neighbour.close()
      assert.deepStrictEqual(yield* journal.read("run", { after: 0 }), [])
      assert.strictEqual(yield* writer.append(events(1, 1), 1), 1)
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
