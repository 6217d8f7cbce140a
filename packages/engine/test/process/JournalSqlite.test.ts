import * as Journal from "@espalier/engine/Journal"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { isDeepStrictEqual } from "node:util"
import { type Answer, type Command, event, horizonOf, snapshot } from "./JournalChild.ts"

const script = fileURLToPath(new URL("./JournalChild.ts", import.meta.url))

/** A child process that obeys commands; killed for good when the scope closes. */
class Child {
  readonly process: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #exited: Promise<void>

  constructor() {
    this.process = spawn(process.execPath, ["--conditions=espalier-source", script], {
      stdio: ["pipe", "pipe", "inherit"]
    })
    this.#lines = createInterface({ input: this.process.stdout! })[Symbol.asyncIterator]()
    this.#exited = new Promise((resolve) => {
      this.process.once("exit", () => resolve())
    })
  }

  tell(command: Command): void {
    this.process.stdin!.write(`${JSON.stringify(command)}\n`)
  }

  /** The next answer, or `undefined` when there will be none. */
  async next(): Promise<Answer | undefined> {
    const line = await this.#lines.next()
    return line.done === true ? undefined : JSON.parse(line.value)
  }

  async ask(command: Command): Promise<Answer | undefined> {
    this.tell(command)
    return this.next()
  }

  /** Kills it as a power cut would, and returns when the operating system has taken it away. */
  async kill(): Promise<void> {
    this.process.kill("SIGKILL")
    await this.#exited
  }
}

const start = Effect.acquireRelease(
  Effect.promise(async () => {
    const child = new Child()
    assert.deepStrictEqual(await child.next(), { is: "ready" })
    return child
  }),
  (child) => Effect.promise(() => child.kill())
)

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "espalier-journal-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const test = <E>(name: string, make: (root: string) => Effect.Effect<void, E, Scope.Scope>) =>
  it.live(name, () => Effect.flatMap(directory, make))

const using = <A, E>(
  filename: string,
  use: (journal: Journal.Journal["Service"]) => Effect.Effect<A, E, Scope.Scope>
) => Effect.flatMap(Journal.Journal, use).pipe(Effect.scoped, Effect.provide(JournalSqlite.layer({ filename })))

/** Reads a run from an entry on and checks each that follows; returns the number of the last one. */
const verify = (journal: Journal.Journal["Service"], run: string, after = 0) =>
  Effect.map(journal.read(run, { after }), (entries) => {
    entries.forEach((entry, index) => {
      const seq = after + index + 1
      if (entry.seq !== seq || entry.version !== 1 || !isDeepStrictEqual(entry.event, event(run, seq))) {
        assert.fail(`${run}: entry ${seq} is ${JSON.stringify(entry)}`)
      }
    })
    return after + entries.length
  })

/** A small seeded generator: the moments of death differ, and a failing round can be looked at again. */
const random = (seed: number) => () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
  return seed / 2 ** 32
}

describe("JournalSqlite between processes", () => {
  test("a second process is told who holds the run, and the first is not disturbed", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const holder = yield* start
      const before = Date.now()
      yield* Effect.promise(() => holder.ask({ do: "open", file: filename, run: "run", owner: "the holder" }))
      yield* using(filename, (journal) =>
        Effect.gen(function*() {
          for (let round = 0; round < 5; round++) {
            const error = yield* Effect.flip(journal.open("run", { mode: "existing" }))
            assert.strictEqual(error._tag, "RunLocked")
            if (error._tag !== "RunLocked") return
            assert.strictEqual(error.owner, "the holder")
            assert.strictEqual(error.pid, holder.process.pid)
            assert.isTrue(error.since >= before && error.since <= Date.now())
            assert.strictEqual(Option.getOrThrow(yield* journal.owner("run")).pid, holder.process.pid)
          }
        }))
      assert.deepStrictEqual(yield* Effect.promise(() => holder.ask({ do: "append", entries: 3, batch: 3 })), {
        is: "appended",
        lastSeq: 3
      })
    }))

  test("a run is free at once when its holder is killed, and nobody owns it any more", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const holder = yield* start
      yield* Effect.promise(() => holder.ask({ do: "open", file: filename, run: "run", owner: "the dead" }))
      yield* Effect.promise(() => holder.ask({ do: "append", entries: 5, batch: 5 }))
      yield* using(filename, (journal) =>
        Effect.gen(function*() {
          assert.strictEqual((yield* Effect.flip(journal.open("run", { mode: "existing" })))._tag, "RunLocked")
          yield* Effect.promise(() => holder.kill())
          assert.isTrue(Option.isNone(yield* journal.owner("run")))
          // The first try has to succeed: nothing is waited for.
          const writer = yield* journal.open("run", { mode: "existing", owner: "the heir" })
          assert.strictEqual(writer.lastSeq, 5)
          assert.strictEqual(Option.getOrThrow(yield* journal.owner("run")).owner, "the heir")
        }))
      assert.deepStrictEqual(readdirSync(root), ["journal.db"])
    }))

  test("of two processes that open a run at once exactly one gets it, and the other is told of it", (root) =>
    Effect.gen(function*() {
      const children = [yield* start, yield* start]
      for (let round = 0; round < 25; round++) {
        // Every other round on a file that is not there yet, so that they also contend for making it.
        const file = join(root, `journal-${Math.floor(round / 2)}.db`)
        const run = `run ${round}`
        const answers = yield* Effect.promise(() =>
          Promise.all(
            children.map((child) => child.ask({ do: "open", file, run, owner: `process ${child.process.pid}` }))
          )
        )
        const winner = answers.findIndex((answer) => answer?.is === "opened")
        const loser = answers[1 - winner]
        assert.isTrue(winner >= 0, JSON.stringify(answers))
        assert.strictEqual(loser?.is, "refused", JSON.stringify(answers))
        if (loser?.is !== "refused") return
        assert.strictEqual(loser.error._tag, "RunLocked", loser.error.message)
        assert.strictEqual(loser.error["pid"], children[winner]!.process.pid)
        yield* Effect.promise(() => children[winner]!.ask({ do: "close" }))
      }
    }))

  test("of two heirs of a killed holder exactly one gets the run, and the other is not told of the dead", (root) =>
    Effect.gen(function*() {
      const file = join(root, "journal.db")
      let holder = yield* start
      yield* Effect.promise(() => holder.ask({ do: "open", file, run: "run", owner: "first" }))
      let heirs = [yield* start, yield* start]
      for (let round = 0; round < 4; round++) {
        yield* Effect.promise(() => holder.kill())
        const answers = yield* Effect.promise(() =>
          Promise.all(heirs.map((heir) => heir.ask({ do: "open", file, run: "run", owner: `round ${round}` })))
        )
        const winner = answers.findIndex((answer) => answer?.is === "opened")
        const loser = answers[1 - winner]
        assert.isTrue(winner >= 0, JSON.stringify(answers))
        assert.strictEqual(loser?.is === "refused" ? loser.error["pid"] : undefined, heirs[winner]!.process.pid)
        holder = heirs[winner]!
        heirs = [heirs[1 - winner]!, yield* start]
      }
    }))

  test("what was acknowledged before a kill is there, without a gap, twenty times over", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const next = random(20_260_101)
      let acknowledged = 0
      for (let round = 0; round < 20; round++) {
        const child = yield* start
        const opened = yield* Effect.promise(() =>
          child.ask({ do: "open", file: filename, run: "run", owner: "mortal" })
        )
        assert.isTrue(opened?.is === "opened" && opened.lastSeq >= acknowledged, JSON.stringify(opened))
        const answersUntilDeath = 1 + Math.floor(next() * 40)
        const batch = 1 + Math.floor(next() * 30)
        child.tell({ do: "append", entries: 1_000_000, batch })
        yield* Effect.promise(async () => {
          for (let count = 0;; count++) {
            // The child goes on while we count, so it dies anywhere in an append.
            if (count === answersUntilDeath) child.process.kill("SIGKILL")
            const answer = await child.next()
            if (answer === undefined) break
            if (answer.is === "appended") acknowledged = answer.lastSeq
          }
          await child.kill()
        })
        const found = yield* using(filename, (journal) =>
          Effect.gen(function*() {
            const writer = yield* journal.open("run", { mode: "existing" })
            assert.strictEqual(yield* verify(journal, "run"), writer.lastSeq)
            return writer.lastSeq
          }))
        // At most the one append that was under way may be there unacknowledged, and then all of it.
        assert.isTrue(
          found === acknowledged || found === acknowledged + batch,
          `${found} found, ${acknowledged} acknowledged`
        )
        acknowledged = found
      }
    }))

  test("a kill in the middle of appends, snapshots and trims leaves each whole or undone", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const next = random(20_260_202)
      let acknowledged = { lastSeq: 0, snapshotSeq: 0, horizon: 0 }
      for (let round = 0; round < 15; round++) {
        const child = yield* start
        yield* Effect.promise(() => child.ask({ do: "open", file: filename, run: "run", owner: "mortal" }))
        const batch = 10 + Math.floor(next() * 1000)
        child.tell({ do: "retain", batch })
        const answersUntilDeath = 1 + Math.floor(next() * 12)
        const delayMillis = next() * 4
        const before = acknowledged
        yield* Effect.promise(async () => {
          for (let count = 0;; count++) {
            const answer = await child.next()
            if (answer === undefined) break
            if (answer.is === "appended") acknowledged = { ...acknowledged, lastSeq: answer.lastSeq }
            if (answer.is === "saved") acknowledged = { ...acknowledged, snapshotSeq: answer.seq }
            if (answer.is === "trimmed") acknowledged = { ...acknowledged, horizon: answer.upTo }
            // The child goes on while this waits, so it dies anywhere.
            if (count === answersUntilDeath) setTimeout(() => child.process.kill("SIGKILL"), delayMillis)
          }
          await child.kill()
        })
        assert.notDeepEqual(acknowledged, before, "something was done in this round")
        const { horizon, lastSeq, snapshotSeq } = yield* using(filename, (journal) =>
          Effect.gen(function*() {
            const writer = yield* journal.open("run", { mode: "existing" })
            const info = (yield* journal.list)[0]!
            assert.strictEqual(writer.lastSeq, info.lastSeq)
            const found = Option.getOrUndefined(yield* journal.snapshot("run"))
            assert.strictEqual(found?.seq, info.snapshotSeq)
            if (found !== undefined) assert.deepStrictEqual(found, snapshot("run", found.seq))
            if (info.horizon > 0) {
              const error = yield* Effect.flip(journal.read("run", { after: info.horizon - 1 }))
              assert.strictEqual(error._tag, "EventsTrimmed")
            }
            assert.strictEqual(yield* verify(journal, "run", info.horizon), info.lastSeq)
            return { ...info, snapshotSeq: info.snapshotSeq ?? 0 }
          }))
        // Of what was not acknowledged, at most the one thing that was under way may be there.
        const isNext = { append: lastSeq, snapshot: snapshotSeq, trim: horizon }
        const isAcknowledged = {
          append: acknowledged.lastSeq,
          snapshot: acknowledged.snapshotSeq,
          trim: acknowledged.horizon
        }
        const newer = (["append", "snapshot", "trim"] as const).filter((what) => isNext[what] !== isAcknowledged[what])
        assert.isAtMost(newer.length, 1, JSON.stringify({ isNext, isAcknowledged }))
        const mayBe = {
          append: acknowledged.lastSeq + batch,
          snapshot: acknowledged.lastSeq,
          trim: horizonOf(acknowledged.snapshotSeq)
        }
        for (const what of newer) assert.strictEqual(isNext[what], mayBe[what])
        acknowledged = { lastSeq, snapshotSeq, horizon }
      }
      const left = new DatabaseSync(filename)
      assert.deepStrictEqual({ ...left.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" })
      left.close()
    }))

  test("the event loop goes on while an append is committed, however long that takes", (root) =>
    Effect.gen(function*() {
      const file = join(root, "journal.db")
      const child = yield* start
      yield* Effect.promise(() => child.ask({ do: "open", file, run: "run", owner: "writer" }))
      // Work for the thread that writes: what a slow disk would be, but one that depends on no disk.
      const database = new DatabaseSync(file)
      database.exec(
        "CREATE TRIGGER slow AFTER INSERT ON chunks BEGIN UPDATE runs SET epoch = epoch + (WITH RECURSIVE numbers(n) AS " +
          "(SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000) SELECT count(*) * 0 FROM numbers); END"
      )
      database.close()
      const answer = yield* Effect.promise(() => child.ask({ do: "turn", entries: 20_000 }))
      // An append in the same thread leaves it none; a busy machine takes some of many.
      assert.isTrue(answer?.is === "turned" && answer.turns > 100, JSON.stringify(answer))
      yield* using(file, (journal) => Effect.map(verify(journal, "run"), (last) => assert.strictEqual(last, 20_000)))
    }))

  test("a process whose runs are open ends when it has nothing else to do, and not before an append is done", (root) =>
    Effect.gen(function*() {
      const file = join(root, "journal.db")
      const child = yield* start
      const exited = new Promise<number | null>((resolve) => void child.process.once("exit", resolve))
      yield* Effect.promise(() => child.ask({ do: "open", file, run: "run", owner: "writer" }))
      const neighbour = new DatabaseSync(file)
      neighbour.exec("BEGIN IMMEDIATE")
      child.tell({ do: "append", entries: 5, batch: 5 })
      child.process.stdin!.end()
      setTimeout(() => neighbour.close(), 300)
      assert.deepStrictEqual(yield* Effect.promise(() => child.next()), { is: "appended", lastSeq: 5 })
      assert.strictEqual(yield* Effect.promise(() => exited), 0)
      yield* using(file, (journal) => Effect.map(verify(journal, "run"), (last) => assert.strictEqual(last, 5)))
    }))

  test("a process reads a run while another writes it", (root) =>
    Effect.gen(function*() {
      const file = join(root, "journal.db")
      const writer = yield* start
      const reader = yield* start
      yield* Effect.promise(() => writer.ask({ do: "open", file, run: "run", owner: "writer" }))
      writer.tell({ do: "append", entries: 3000, batch: 10 })
      const answer = yield* Effect.promise(() => reader.ask({ do: "read", file, run: "run", until: 3000 }))
      assert.strictEqual(answer?.is, "read", JSON.stringify(answer))
    }))

  test("several processes write different runs of one file at the same time", (root) =>
    Effect.gen(function*() {
      const file = join(root, "journal.db")
      const children = yield* Effect.all([start, start, start], { concurrency: "unbounded" })
      yield* Effect.promise(() =>
        Promise.all(children.map(async (child, index) => {
          assert.strictEqual(
            (await child.ask({ do: "open", file, run: `run ${index}`, owner: "writer" }))?.is,
            "opened"
          )
          child.tell({ do: "append", entries: 1000, batch: 10 })
          for (let lastSeq = 0; lastSeq < 1000;) {
            const answer = await child.next()
            assert.strictEqual(answer?.is, "appended", JSON.stringify(answer))
            if (answer?.is === "appended") lastSeq = answer.lastSeq
          }
        }))
      )
      yield* using(file, (journal) =>
        Effect.gen(function*() {
          for (const index of [0, 1, 2]) assert.strictEqual(yield* verify(journal, `run ${index}`), 1000)
        }))
    }))

  test("a lock file freed by foreign code of the holder's process does not let two writers mix", (root) =>
    Effect.gen(function*() {
      // POSIX: closing any descriptor of a file drops the process's locks on it. Elsewhere the lock holds.
      const filename = join(root, "journal.db")
      yield* using(filename, (journal) =>
        Effect.gen(function*() {
          const former = yield* journal.open("run", { mode: "create", owner: "the former" })
          yield* former.append([event("run", 1)], 1)
          const lock = readdirSync(root).find((name) => name.endsWith(".lock"))!
          const { closeSync, openSync } = yield* Effect.promise(() => import("node:fs"))
          closeSync(openSync(join(root, lock), "r"))
          const child = yield* start
          const answer = yield* Effect.promise(() =>
            child.ask({ do: "open", file: filename, run: "run", owner: "the thief" })
          )
          if (answer?.is === "refused") {
            assert.strictEqual(yield* former.append([event("run", 2)], 1), 2)
            return
          }
          yield* Effect.promise(() => child.ask({ do: "append", entries: 2, batch: 2 }))
          const error = yield* Effect.flip(former.append([event("run", 2)], 1))
          assert.include(error.message, "the thief")
          assert.strictEqual(yield* verify(journal, "run"), 3)
        }))
    }))

  test("a lock held by someone whom the journal does not know is reported, with how to find it", (root) =>
    Effect.gen(function*() {
      const filename = join(root, "journal.db")
      const lock = yield* using(
        filename,
        (journal) =>
          Effect.map(
            journal.open("run", { mode: "create" }),
            () => readdirSync(root).find((name) => name.endsWith(".lock"))!
          )
      )
      const stranger = new DatabaseSync(join(root, lock))
      stranger.exec("BEGIN EXCLUSIVE")
      const error = yield* using(filename, (journal) => Effect.flip(journal.open("run", { mode: "existing" })))
      stranger.close()
      assert.strictEqual(error._tag, "JournalError")
      assert.include(error.message, lock)
    }))
})
