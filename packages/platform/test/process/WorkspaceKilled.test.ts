/** Engines that are killed at any moment, on both layers that work on a disk. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as Path from "node:path"
import { setTimeout as after } from "node:timers/promises"
import { Workspace } from "../../src/Workspace.ts"
import * as Detected from "../../src/workspace/Detected.ts"
import { copySource, fingerprint as fingerprintOfDirectory } from "./support/copySource.ts"
import { fingerprint, gitSource } from "./support/gitSource.ts"

const rounds = 6

const files = {
  "src/main.ts": "const workers = 1\n",
  ...Object.fromEntries(
    Array.from({ length: 150 }, (_, index) => [`data/${index % 7}/${index}.txt`, `${index}\n`.repeat(index)])
  )
}

/** Starts an engine and kills it so many milliseconds after its first commit. Returns what it said that it committed. */
const killedAfter = (options: Detected.Options, run: string, delayMillis: number) =>
  Effect.promise(async () => {
    const engine = spawn(process.execPath, [
      "--conditions=espalier-source",
      Path.join(import.meta.dirname, "support", "workingEngine.ts"),
      options.source,
      options.directory,
      run
    ], { stdio: ["ignore", "pipe", "inherit"] })
    let said = ""
    engine.stdout.on("data", (chunk: Buffer) => said += chunk.toString())
    while (!/ [0-9a-f]{40,64}\n/.test(said)) await once(engine.stdout, "data")
    await after(delayMillis)
    engine.kill("SIGKILL")
    await once(engine, "close")
    return said.split("\n").slice(0, -1).filter((line) => / [0-9a-f]{40,64}$/.test(line)).map((line) => {
      const [node = "", round = "", commit = ""] = line.split(" ")
      return { node, round: Number(round), commit }
    })
  })

/** What has to be true after any number of kills. */
const campaign = (options: Detected.Options, state: () => string) =>
  Effect.gen(function*() {
    const workspace = yield* Workspace
    const before = state()
    for (let round = 0; round < rounds; round++) {
      const run = `run-${round % 2}`
      // At another moment of its work each time.
      const committed = yield* killedAfter(options, run, 37 * round)
      assert.isAbove(committed.length, 0)
      for (const { commit, node, round: made } of committed.slice(-4)) {
        const record = yield* workspace.show(commit)
        assert.deepStrictEqual([record.message, record.body], [node, `Round ${made}`])
        yield* Effect.scoped(Effect.gen(function*() {
          const tree = yield* workspace.reopen({ run, node, commit })
          assert.strictEqual(
            yield* workspace.read(tree, "parameters.json"),
            JSON.stringify({ worker: Number(node.slice(-1)), round: made })
          )
          assert.strictEqual((yield* workspace.read(tree, `new/${made}.txt`)).split("\n").length, 401)
          assert.strictEqual(yield* workspace.read(tree, "data/6/146.txt"), "146\n".repeat(146))
          assert.deepStrictEqual(yield* workspace.changed(tree), [])
        }))
      }
      for (const { owner } of yield* workspace.trees) assert.strictEqual(owner, "left")
      yield* workspace.sweep(run)
      assert.deepStrictEqual(yield* workspace.trees, [])
      assert.isFalse(fs.existsSync(Path.join(options.directory, run)))
    }
    // And everything works on.
    const tree = yield* workspace.open({ run: "run-0", node: "node-0", base: "HEAD" })
    yield* workspace.write(tree, "after.txt", "x")
    yield* workspace.commit(tree, { message: "after" })
    assert.strictEqual(state(), before)
  }).pipe(Effect.scoped, Effect.provide(Detected.layer(options)))

describe("an engine that is killed while it opens, changes and commits", () => {
  it.live(
    "leaves no git repository broken: what it said is there, what it left is swept",
    () =>
      Effect.gen(function*() {
        const source = yield* gitSource(files)
        yield* campaign({ source: source.repository, directory: source.trees }, () => fingerprint(source))
        source.git("fsck", "--strict", "--no-dangling")
      }).pipe(Effect.scoped),
    180_000
  )

  it.live(
    "leaves no store of plain copies broken: what it said is there, what it left is swept",
    () =>
      Effect.gen(function*() {
        const { options, source } = yield* copySource(files)
        yield* campaign(options, () => fingerprintOfDirectory(source))
      }).pipe(Effect.scoped),
    180_000
  )
})
