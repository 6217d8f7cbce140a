/** Engines that want the tree of a dead one in the same moment, as processes of their own. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as Path from "node:path"
import { thisMachine } from "../../src/internal/processTable.ts"
import { recordOf, successorOf, tidyRun } from "../../src/internal/workspaceOwners.ts"

const engines = 4
const rounds = 120

const directory = Effect.acquireRelease(
  Effect.sync(() => fs.realpathSync(fs.mkdtempSync(Path.join(os.tmpdir(), "espalier test ")))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true, force: true }))
)

/** A record of a process that is no more: its id is in use, by one that began at another time. */
const deadRecord = (node: string, mark: string): string =>
  JSON.stringify({ run: "run", node, pid: process.ppid, startTicks: 1, ...thisMachine(), mark })

/** Runs engines that claim at once. Returns what each said, by its process, and ends them. */
const race = (home: string) =>
  Effect.promise(async () => {
    const begin = Date.now() + 2500
    const script = Path.join(import.meta.dirname, "support", "claimingEngine.ts")
    const started = Array.from({ length: engines }, () =>
      spawn(process.execPath, ["--conditions=espalier-source", script, home, `${rounds}`, `${begin}`, "15"], {
        stdio: ["pipe", "pipe", "inherit"]
      }))
    const said = await Promise.all(started.map(async (engine) => {
      let text = ""
      engine.stdout.on("data", (chunk: Buffer) =>
        text += chunk.toString())
      while (!text.endsWith("\n")) {
        await once(engine.stdout, "data")
      }
      return { pid: engine.pid!, results: JSON.parse(text) as ReadonlyArray<string> }
    }))
    for (const engine of started) {
      const closed = once(engine, "close")
      engine.stdin.end()
      await closed
    }
    return said
  })

describe("the tree of a dead engine", () => {
  it.live(
    "is taken over by one of several that want it in the same moment, also when others died while they took it over",
    () =>
      Effect.gen(function*() {
        const home = yield* directory
        const run = Path.join(home, "run")
        fs.mkdirSync(run)
        for (let round = 0; round < rounds; round++) {
          const node = `node-${round}`
          const file = recordOf(Path.join(run, node))
          // A third has no record yet, a third that of a dead one, a third also two dead who succeeded each other.
          if (round % 3 === 0) continue
          const texts = ["first", "second", "third"].map((mark) => deadRecord(node, mark))
          fs.writeFileSync(file, texts[0]!)
          if (round % 3 === 1) continue
          fs.writeFileSync(successorOf(file, texts[0]!), texts[1]!)
          fs.writeFileSync(successorOf(file, texts[1]!), texts[2]!)
        }
        const said = yield* race(home)
        for (let round = 0; round < rounds; round++) {
          const results = said.map((engine) => engine.results[round])
          assert.deepStrictEqual(
            results.toSorted(),
            [...Array.from({ length: engines - 1 }, () => "TreeInUse"), "taken"],
            `round ${round}`
          )
          const record = JSON.parse(fs.readFileSync(recordOf(Path.join(run, `node-${round}`)), "utf8"))
          assert.strictEqual(record.pid, said[results.indexOf("taken")]!.pid)
        }
        // Nothing else is left of it.
        const expected = Array.from({ length: rounds }, (_, round) => `.owner-node-${round}.json`).sort()
        assert.deepStrictEqual(fs.readdirSync(run).sort(), expected)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("leaves nothing behind once it is removed, whoever died while they took it over", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const run = Path.join(home, "run")
      fs.mkdirSync(run)
      const file = recordOf(Path.join(run, "node"))
      const text = deadRecord("node", "first")
      fs.writeFileSync(file, text)
      fs.writeFileSync(successorOf(file, text), deadRecord("node", "second"))
      yield* tidyRun(run)
      // As long as the record is there its successor counts.
      assert.strictEqual(fs.readdirSync(run).length, 2)
      fs.rmSync(file)
      yield* tidyRun(run)
      assert.isFalse(fs.existsSync(run))
    }).pipe(Effect.scoped))
})
