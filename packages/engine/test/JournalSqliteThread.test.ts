import type * as Journal from "@espalier/engine/Journal"
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { Worker } from "node:worker_threads"
import { connect, events, failing, query, tamper, test, written } from "./support/journalFile.ts"

/** The threads that are started while the scope is open. */
const startedThreads = Effect.acquireRelease(
  Effect.sync(() => {
    const threads: Array<Worker> = []
    const listener = (worker: Worker) => void threads.push(worker)
    process.on("worker", listener)
    return { threads, listener }
  }),
  ({ listener }) => Effect.sync(() => void process.off("worker", listener))
).pipe(Effect.map(({ threads }) => threads))

/** Keeps all others from writing to the file. */
const holdUp = (filename: string) => {
  const neighbour = new DatabaseSync(filename)
  neighbour.exec("BEGIN IMMEDIATE")
  return neighbour
}

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

describe("JournalSqlite: its thread", () => {
  test("is started by the first run that is opened, serves all of them, and ends with the layer", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 2)
      const threads = yield* startedThreads
      yield* Effect.scoped(Effect.gen(function*() {
        const journal = yield* connect(filename)
        yield* journal.read("run", { after: 0 })
        yield* journal.snapshot("run")
        yield* journal.list
        yield* journal.owner("run")
        assert.strictEqual(threads.length, 0)
        yield* Effect.scoped(journal.open("run", { mode: "existing" }))
        yield* journal.open("run", { mode: "existing" })
        yield* journal.open("another", { mode: "create" })
        assert.strictEqual(threads.length, 1)
        assert.isAbove(threads[0]!.threadId, 0)
      }))
      assert.strictEqual(threads[0]!.threadId, -1, "it has ended")
    }))

  test("fails what it was asked when it dies, and all that its writers are asked later", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const threads = yield* startedThreads
      const journal = yield* connect(filename)
      yield* Effect.scoped(Effect.gen(function*() {
        const writer = yield* journal.open("run", { mode: "create" })
        yield* writer.append(events(1, 2), 1)
        const neighbour = holdUp(filename)
        const underWay = yield* fork(writer.append(events(3, 4), 1))
        yield* Effect.promise(() => threads[0]!.terminate())
        const error = yield* failing(Fiber.join(underWay), "JournalError")
        assert.strictEqual(error.operation, "append")
        assert.strictEqual(error.runId, "run")
        assert.include(error.message, filename)
        assert.include(error.message, "has ended")
        neighbour.close()
        for (
          const later of [
            writer.append(events(3, 3), 1),
            writer.saveSnapshot({ seq: 1, version: 1, parts: [] }),
            writer.trim(0)
          ]
        ) {
          yield* failing(Effect.asVoid(later), "JournalError")
        }
      }))
      // A new one begins where the old one has stopped, at once: the locks have died with the thread.
      const writer = yield* journal.open("run", { mode: "existing" })
      assert.strictEqual(threads.length, 2)
      assert.strictEqual(writer.lastSeq, 2)
      assert.strictEqual(yield* writer.append(events(3, 3), 1), 3)
      assert.deepStrictEqual((yield* journal.read("run", { after: 0 })).map((entry) => entry.event), events(1, 3))
    }))

  test("frees the run when it dies, though its writer is still open", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const threads = yield* startedThreads
      const first = yield* connect(filename)
      const former = yield* first.open("run", { mode: "create" })
      yield* Effect.promise(() => threads[0]!.terminate())
      const second = yield* connect(filename)
      assert.isTrue(Option.isNone(yield* second.owner("run")))
      const writer = yield* second.open("run", { mode: "existing", owner: "the heir" })
      yield* failing(former.append(events(1, 1), 1), "JournalError")
      assert.strictEqual(yield* writer.append(events(1, 1), 1), 1)
      assert.strictEqual(Option.getOrThrow(yield* first.owner("run")).owner, "the heir")
    }))

  test("writes what many runs append at once, and a run that fails does not fail its neighbours", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const journal = yield* connect(filename)
      const runs = Array.from({ length: 8 }, (_, index) => `run ${index}`)
      const writers = yield* Effect.forEach(runs, (run) => journal.open(run, { mode: "create" }))
      yield* tamper(
        filename,
        "CREATE TRIGGER fault BEFORE INSERT ON chunks WHEN NEW.run = 4 BEGIN SELECT RAISE(ABORT, 'planned fault'); END"
      )
      // While the first of them waits for the file the others queue up, to share a commit afterwards.
      const neighbour = holdUp(filename)
      const appends = yield* Effect.forEach(
        writers,
        (writer) => fork(Effect.all([writer.append(events(1, 2), 1), writer.append(events(3, 4), 1)]))
      )
      const second = yield* Effect.forEach(writers, (writer) => fork(writer.append(events(3, 5), 1)))
      neighbour.close()
      for (const [index, append] of appends.entries()) {
        const run = runs[index]!
        if (index === 3) {
          assert.include((yield* failing(Fiber.join(append), "JournalError")).message, "planned fault")
          assert.include((yield* failing(Fiber.join(second[index]!), "JournalError")).message, "is broken")
          assert.deepStrictEqual(yield* journal.read(run, { after: 0 }), [])
          continue
        }
        assert.deepStrictEqual(yield* Fiber.join(append), [2, 7])
        assert.strictEqual(yield* Fiber.join(second[index]!), 5)
        const found = (yield* journal.read(run, { after: 0 })).map((entry) => entry.event)
        assert.deepStrictEqual(found, [...events(1, 2), ...events(3, 5), ...events(3, 4)])
      }
      yield* failing(writers[3]!.append(events(1, 1), 1), "JournalError")
    }))

  test("does not write what is not waited for any more when its turn comes", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const journal = yield* connect(filename)
      const first = yield* journal.open("first", { mode: "create" })
      const second = yield* journal.open("second", { mode: "create" })
      const neighbour = holdUp(filename)
      const kept = yield* fork(first.append(events(1, 2), 1))
      const dropped = yield* fork(first.append(events(3, 4), 1))
      const behind = yield* fork(second.append(events(1, 3), 1))
      yield* Fiber.interrupt(dropped)
      neighbour.close()
      assert.strictEqual(yield* Fiber.join(kept), 2)
      assert.strictEqual(yield* Fiber.join(behind), 3)
      assert.strictEqual(yield* first.append(events(3, 3), 1), 3)
      assert.deepStrictEqual((yield* journal.read("first", { after: 0 })).map((entry) => entry.event), events(1, 3))
    }))

  test("leaves the snapshot before one that was interrupted, and saves the next", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const journal = yield* connect(filename)
      const writer = yield* journal.open("run", { mode: "create" })
      yield* writer.append(events(1, 9), 1)
      const former = { seq: 3, version: 1, parts: ["former"] }
      yield* writer.saveSnapshot(former)
      const long = { seq: 9, version: 1, parts: Array.from({ length: 30 }, (_, part) => `${part}`.repeat(20_000)) }
      const neighbour = holdUp(filename)
      const saving = yield* fork(writer.saveSnapshot(long))
      yield* Fiber.interrupt(saving)
      neighbour.close()
      assert.deepStrictEqual(Option.getOrThrow(yield* journal.snapshot("run")), former)
      yield* writer.saveSnapshot(long)
      assert.deepStrictEqual(Option.getOrThrow(yield* journal.snapshot("run")), long)
    }))

  test("does what it was asked before the layer closed", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const scope = yield* Scope.make()
      const outer = yield* Scope.make()
      const journal = yield* connect(filename).pipe(Scope.provide(scope))
      const writer = yield* journal.open("run", { mode: "create" }).pipe(Scope.provide(outer))
      const append = yield* fork(writer.append(events(1, 2000), 1))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Fiber.join(append), 2000)
      const error = yield* failing(writer.append(events(2001, 2001), 1), "JournalError")
      assert.include(error.message, "is closed")
      yield* Scope.close(outer, Exit.void)
      const again = yield* connect(filename)
      assert.strictEqual((yield* again.read("run", { after: 0 })).length, 2000)
    }))
})

describe("JournalSqlite: what nobody can see any more", () => {
  const rows = (filename: string) =>
    Effect.map(
      query(
        filename,
        "SELECT (SELECT count(*) FROM chunks) + (SELECT count(*) FROM parts) + (SELECT count(*) FROM garbage) AS count"
      ),
      ([row]) => Number(row!["count"])
    )

  /** Asks for something until so many rows are left: with each answer the thread deletes some. */
  const sweptTo = (filename: string, journal: Journal.Journal["Service"], left: number) =>
    Effect.gen(function*() {
      for (let turn = 0; turn < 1000; turn++) {
        yield* journal.owner("nobody")
        if ((yield* rows(filename)) === left) return
      }
      assert.fail(`${yield* rows(filename)} rows are left, and not ${left}`)
    })

  test("is deleted from the file after a trim, a newer snapshot, and a removal", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, ...Array.from({ length: 700 }, () => 1))
      const journal = yield* connect(filename)
      const parts = (count: number) => Array.from({ length: count }, (_, part) => part)
      yield* Effect.scoped(Effect.gen(function*() {
        const writer = yield* journal.open("run", { mode: "existing" })
        yield* writer.saveSnapshot({ seq: 600, version: 1, parts: parts(500) })
        yield* writer.saveSnapshot({ seq: 700, version: 1, parts: parts(5) })
        yield* sweptTo(filename, journal, 700 + 5)
        yield* writer.trim(650)
        yield* sweptTo(filename, journal, 50 + 5)
        assert.strictEqual((yield* journal.read("run", { after: 650 })).length, 50)
        yield* journal.open("another", { mode: "create" })
      }))
      yield* journal.remove("run")
      yield* sweptTo(filename, journal, 0)
      assert.deepStrictEqual((yield* journal.list).map((run) => run.runId), ["another"])
    }))

  test("is deleted later when a process has died before it came to that", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      yield* written(filename, 3, 4)
      yield* tamper(filename, "UPDATE runs SET horizon = 3")
      yield* tamper(filename, "INSERT INTO garbage VALUES (1), (77)")
      yield* tamper(filename, "INSERT INTO chunks VALUES (77, 1, 1, 1, 0, '[1]'), (77, 2, 1, 1, 0, '[2]')")
      const journal = yield* connect(filename)
      yield* journal.open("another", { mode: "create" })
      yield* sweptTo(filename, journal, 1)
      assert.strictEqual((yield* journal.read("run", { after: 3 })).length, 4)
    }))
})
