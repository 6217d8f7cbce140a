import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import * as fs from "node:fs"
import * as Path from "node:path"
import type { WorkspaceError } from "../src/Workspace.ts"
import * as PlainCopy from "../src/workspace/PlainCopy.ts"
import { files, fingerprint, onCopySource } from "./process/support/copySource.ts"

const list = (directory: string): ReadonlyArray<string> =>
  fs.readdirSync(directory, { recursive: true, encoding: "utf8" }).sort()

describe("a plain copy", () => {
  it.live("is a whole copy: modes, links, empty directories, any name; without pipes, .git and what is excluded", () =>
    onCopySource((source, workspace) =>
      Effect.gen(function*() {
        const at = (file: string) => Path.join(source.source, file)
        fs.mkdirSync(at("empty/directory"), { recursive: true })
        fs.symlinkSync("src/main.ts", at("link"))
        fs.symlinkSync("/data", at("absolute"))
        fs.writeFileSync(at("run.sh"), "#!/bin/sh\n", { mode: 0o700 })
        fs.writeFileSync(at("line\nend ü"), "x")
        source.write("nested/.git/config", "")
        source.write("nested/file", "")
        source.write("engine/journal.db", "")
        const tree = yield* workspace.open({ run: "run", node: "node", base: "HEAD" })
        assert.deepStrictEqual(list(tree.path), [
          "README.md",
          "absolute",
          "empty",
          "empty/directory",
          "line\nend ü",
          "link",
          "nested",
          "nested/file",
          "run.sh",
          "src",
          "src/main.ts"
        ])
        assert.strictEqual(fs.readlinkSync(Path.join(tree.path, "absolute")), "/data")
        assert.strictEqual(fs.statSync(Path.join(tree.path, "run.sh")).mode & 0o777, 0o700)
        assert.deepStrictEqual(yield* workspace.changed(tree), [])
      }).pipe(Effect.scoped), () => ({ excluded: ["engine"] })))

  it.live("may lie in the source: what the engine keeps there is no part of it", () =>
    onCopySource((source) =>
      Effect.gen(function*() {
        const inside = yield* PlainCopy.make({
          source: source.source,
          directory: Path.join(source.source, "experiments")
        })
        const first = yield* inside.resolve("HEAD")
        const tree = yield* inside.open({ run: "run", node: "node", base: first })
        assert.deepStrictEqual(list(tree.path), ["README.md", "src", "src/main.ts"])
        assert.strictEqual(yield* inside.resolve("HEAD"), first)
      }).pipe(Effect.scoped)
    ))

  it.live("is not made where the directory for trees is the source, or above it", () =>
    onCopySource((source) =>
      Effect.gen(function*() {
        const before = fingerprint(source.home)
        const link = Path.join(source.home, "..", `${Path.basename(source.home)}-link`)
        fs.symlinkSync(source.source, link)
        for (const directory of [source.source, `${source.source}/`, source.home, link, "/"]) {
          const workspace = yield* PlainCopy.make({ source: source.source, directory })
          const attempts: ReadonlyArray<Effect.Effect<unknown, WorkspaceError>> = [
            Effect.scoped(workspace.open({ run: "src", node: "main.ts", base: "HEAD" })),
            workspace.sweep("src"),
            workspace.resolve("HEAD")
          ]
          for (const attempt of attempts) {
            const error = yield* Effect.flip(attempt)
            assert.strictEqual(error.reason._tag, "DirectoryRefused")
            assert.match(error.message, /Choose a directory that is empty and used for nothing else/)
          }
        }
        fs.rmSync(link)
        assert.strictEqual(fingerprint(source.home), before)
      })
    ))

  it.live("leaves out what is ignored, there and here, but for what was written on purpose", () =>
    onCopySource((source, workspace) =>
      Effect.gen(function*() {
        source.write("node_modules/dep/index.js", "x".repeat(100))
        source.write("out/job.log", "log")
        const tree = yield* workspace.open({ run: "run", node: "node", base: "HEAD" })
        assert.deepStrictEqual(list(tree.path), ["README.md", "src", "src/main.ts"])
        fs.mkdirSync(Path.join(tree.path, "node_modules"))
        fs.writeFileSync(Path.join(tree.path, "node_modules", "made"), "")
        fs.writeFileSync(Path.join(tree.path, "made.log"), "")
        assert.deepStrictEqual(yield* workspace.changed(tree), [])
        yield* workspace.write(tree, "out/parameters.log", "{}")
        assert.deepStrictEqual(yield* workspace.changed(tree), [{ file: "out/parameters.log", change: "added" }])
        const commit = yield* workspace.commit(tree, { message: "node" })
        const next = yield* workspace.open({ run: "run", node: "next", base: commit })
        assert.deepStrictEqual(list(next.path), ["README.md", "out", "out/parameters.log", "src", "src/main.ts"])
        assert.deepStrictEqual(yield* workspace.changed(next), [])
      }).pipe(Effect.scoped), () => ({ ignored: ["node_modules", "**/*.log"] })))

  it.live("of a source that is too large is refused with what is largest, and nothing is copied", () =>
    onCopySource((source, workspace) =>
      Effect.gen(function*() {
        source.write("data/large.bin", "x".repeat(5000))
        const error = yield* Effect.flip(workspace.resolve("HEAD"))
        assert.strictEqual(error.reason._tag, "SourceTooLarge")
        assert.match(error.message, /"data" \(5000 bytes\)/)
        assert.isFalse(fs.existsSync(source.trees))
      }), () => ({ maxSourceBytes: 4000 })))

  it.live("of a source that is not there is refused, and made when it is", () =>
    onCopySource((source) =>
      Effect.gen(function*() {
        const missing = Path.join(source.home, "missing")
        const workspace = yield* PlainCopy.make({ source: missing, directory: source.trees })
        const error = yield* Effect.flip(workspace.resolve("HEAD"))
        assert.strictEqual(error.reason._tag, "NotARepository")
        fs.mkdirSync(missing)
        fs.writeFileSync(Path.join(missing, "file"), "")
        const tree = yield* workspace.open({ run: "run", node: "node", base: "HEAD" })
        assert.deepStrictEqual(list(tree.path), ["file"])
      }).pipe(Effect.scoped)
    ))

  it.live("shows a change of the same size that was made in the same moment", () =>
    onCopySource((_, workspace) =>
      Effect.gen(function*() {
        const tree = yield* workspace.open({ run: "run", node: "node", base: "HEAD" })
        for (let round = 0; round < 20; round++) {
          fs.writeFileSync(Path.join(tree.path, "README.md"), `A pipelin${round % 10}\n`)
          assert.deepStrictEqual(yield* workspace.changed(tree), [{ file: "README.md", change: "changed" }])
          fs.writeFileSync(Path.join(tree.path, "README.md"), files["README.md"])
          assert.deepStrictEqual(yield* workspace.changed(tree), [])
        }
      }).pipe(Effect.scoped)
    ))

  it.live("is not made from a store whose content was changed: that is said, with the place", () =>
    onCopySource((source, workspace) =>
      Effect.gen(function*() {
        const before = fingerprint(source.source)
        const commit = yield* workspace.resolve("HEAD")
        const stored = Path.join(source.trees, ".store", "files")
        const victim = list(stored).map((name) => Path.join(stored, name)).find((path) =>
          fs.statSync(path).isFile() && fs.readFileSync(path, "utf8") === files["README.md"]
        )!
        fs.writeFileSync(victim, "B pipeline\n")
        const fresh = yield* PlainCopy.make(source.options)
        const error = yield* Effect.flip(Effect.scoped(fresh.open({ run: "run", node: "node", base: commit })))
        assert.strictEqual(error.reason._tag, "StoreDamaged")
        assert.include(error.message, victim)
        assert.deepStrictEqual(yield* fresh.trees, [])
        fs.rmSync(victim)
        const again = yield* Effect.flip(Effect.scoped(fresh.open({ run: "run", node: "node", base: commit })))
        assert.strictEqual(again.reason._tag, "StoreDamaged")
        fs.writeFileSync(Path.join(source.trees, ".store", "commits", commit), "{}")
        assert.strictEqual((yield* Effect.flip(fresh.show(commit))).reason._tag, "StoreDamaged")
        assert.strictEqual(fingerprint(source.source), before)
      })
    ))

  it.live("that was half made, or whose record names another state, is made anew", () =>
    onCopySource((source, workspace) =>
      Effect.gen(function*() {
        const keep = Effect.succeed(true)
        const base = yield* workspace.resolve("HEAD")
        const { path } = yield* Effect.scoped(workspace.open({ run: "run", node: "node", base, keep }))
        const record = Path.join(Path.dirname(path), ".owner-node.json")
        const text = fs.readFileSync(record, "utf8")
        const reopen = Effect.scoped(workspace.reopen({ run: "run", node: "node", commit: base, keep }))
        for (const broken of [text.replace(base, "0".repeat(64)), "", "{", JSON.stringify({ pid: 1 })]) {
          fs.writeFileSync(record, broken)
          fs.writeFileSync(Path.join(path, "left"), "")
          assert.isFalse((yield* reopen).adopted)
          assert.isFalse(fs.existsSync(Path.join(path, "left")))
        }
        assert.isTrue((yield* reopen).adopted)
        fs.mkdirSync(Path.join(source.trees, "run", ".making-node"))
        assert.deepStrictEqual(yield* workspace.sweep("run"), [Path.join(source.trees, "run", ".making-node"), path])
      })
    ))
})

describe("the source of plain copies", () => {
  it.live("is looked at once for a snapshot: what is saved meanwhile makes no second state of it", () =>
    onCopySource((source, workspace) =>
      Effect.gen(function*() {
        const clock = yield* Clock.Clock
        let saves = 0
        // The time is asked for when the state was read and is written down: that is when somebody saves a file.
        const saving = {
          ...clock,
          currentTimeMillis: Effect.suspend(() => {
            source.write("README.md", `Saved ${++saves}\n`)
            return clock.currentTimeMillis
          })
        }
        for (const ref of ["HEAD", "main", "HEAD"]) {
          const before = saves
          const commit = yield* Effect.provideService(workspace.anchor({ ref, snapshot: true }), Clock.Clock, saving)
          assert.strictEqual(saves, before + 1)
          assert.strictEqual(commit, yield* workspace.resolve("main"))
        }
      })
    ))

  it.live("has a store that is tidied by the clock of the engine", () =>
    onCopySource((source, workspace) =>
      Effect.gen(function*() {
        yield* workspace.resolve("HEAD")
        const left = Path.join(source.trees, ".store", "tmp", "left")
        fs.mkdirSync(Path.dirname(left), { recursive: true })
        fs.writeFileSync(left, "")
        yield* workspace.sweep("run")
        assert.isTrue(fs.existsSync(left))
        const clock = yield* Clock.Clock
        const later = {
          ...clock,
          currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + 2 * 86_400_000)
        }
        yield* Effect.provideService(workspace.sweep("run"), Clock.Clock, later)
        assert.isFalse(fs.existsSync(left))
      })
    ))
})

describe("a tree that another process has", () => {
  const record = (changes: Record<string, unknown>) => (text: string) =>
    JSON.stringify({ ...JSON.parse(text), ...changes })

  it.live("is neither opened nor swept while that process lives, and both when it is dead", () =>
    onCopySource((source, workspace) =>
      Effect.gen(function*() {
        const keep = Effect.succeed(true)
        const base = yield* workspace.resolve("HEAD")
        const open = Effect.scoped(workspace.open({ run: "run", node: "node", base, keep }))
        const { path } = yield* open
        const file = Path.join(source.trees, "run", ".owner-node.json")
        const owners: ReadonlyArray<readonly [Record<string, unknown>, string]> = [
          // The parent of this process lives as long as it does; without a start its id alone counts.
          [{ pid: process.ppid, startTicks: null }, "elsewhere"],
          [{ pid: process.ppid, startTicks: 1 }, "left"],
          [{ pid: process.ppid, startTicks: null, bootId: "another boot" }, "left"],
          [{ pid: process.ppid, startTicks: null, host: "another machine" }, "unknown"],
          [{ pid: process.ppid, startTicks: null, pidNamespace: "another container" }, "unknown"]
        ]
        for (const [changes, owner] of owners) {
          fs.writeFileSync(file, record(changes)(fs.readFileSync(file, "utf8")))
          assert.deepStrictEqual((yield* workspace.trees).map((tree) => tree.owner), [owner])
          if (owner === "left") {
            yield* open
            continue
          }
          const error = yield* Effect.flip(open)
          assert.match(error.message, new RegExp(`is open already in process ${process.ppid} on `))
          assert.strictEqual(
            (yield* Effect.flip(workspace.drop({ run: "run", node: "node" }))).reason._tag,
            "TreeInUse"
          )
          assert.deepStrictEqual(yield* workspace.sweep("run"), [])
          assert.isTrue(fs.existsSync(path))
          fs.writeFileSync(file, record({ pid: null, startTicks: null, host: "here" })(fs.readFileSync(file, "utf8")))
          yield* open
        }
        assert.deepStrictEqual(yield* workspace.sweep("run"), [path])
      })
    ))

  it.live("is given to one of many who ask at once", () =>
    onCopySource((source, workspace) =>
      Effect.gen(function*() {
        const base = yield* workspace.resolve("HEAD")
        const workspaces = yield* Effect.forEach([1, 2, 3, 4, 5, 6], () => PlainCopy.make(source.options))
        const got = yield* Effect.forEach(
          workspaces,
          (each) => Effect.option(each.open({ run: "run", node: "node", base })),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(got.filter(({ _tag }) => _tag === "Some").length, 1)
      }).pipe(Effect.scoped)
    ))
})
