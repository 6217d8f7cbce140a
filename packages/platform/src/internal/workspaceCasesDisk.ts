/** Cases of the workspace suite for trees on a real disk: links, pipes, second names, modes. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { strict as assert } from "node:assert"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as Path from "node:path"
import type { Guard, Tree } from "../Workspace.ts"
import { type Case, type Check, openAt, reasonOf } from "./workspaceCases.ts"

const guard: Guard = { editable: ["src"] }

const patch = (text: string) => [{ _tag: "Patch" as const, name: "change", patch: text }]

/** A directory beside the tree with a file in it, as the rest of the machine. */
const secretBeside = (tree: Tree) => {
  const secret = Path.join(tree.path, "..", "..", "secret")
  fs.mkdirSync(secret, { recursive: true })
  fs.writeFileSync(Path.join(secret, "key"), "key\n")
  return secret
}

export const diskCases = (check: Check): ReadonlyArray<Case> => [
  check(
    "links that leave the tree, pipes and second names of files are found and named",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        const at = (file: string) => Path.join(tree.path, file)
        const secret = secretBeside(tree)
        fs.symlinkSync("/etc/passwd", at("src/absolute"))
        fs.symlinkSync(at("README.md"), at("src/into-this-tree"))
        fs.symlinkSync("../../../secret", at("src/out"))
        fs.symlinkSync("out/key", at("src/by-way"))
        fs.symlinkSync("../.git/config", at("src/metadata"))
        fs.symlinkSync("loop", at("src/loop"))
        fs.symlinkSync("main.ts", at("src/fine"))
        fs.symlinkSync("not/there/yet", at("src/dangling"))
        fs.linkSync(Path.join(secret, "key"), at("src/second-name"))
        execFileSync("mkfifo", [at("src/pipe")])
        fs.symlinkSync("src", at("outside"))
        const error = yield* Effect.flip(workspace.check(tree))
        assert.ok(error._tag === "ChangeRefused")
        assert.deepEqual(
          new Map(error.violations.map(({ file, problem }) => [file, problem])),
          new Map([
            ["outside", "outside"],
            ["src/absolute", "link"],
            ["src/by-way", "link"],
            ["src/into-this-tree", "link"],
            ["src/metadata", "link"],
            ["src/out", "link"],
            ["src/pipe", "special"],
            ["src/second-name", "hard link"]
          ])
        )
        fs.rmSync(secret, { recursive: true })
      }).pipe(Effect.scoped),
    guard
  ),

  check(
    "no form of change goes through a link that leaves the tree, nor a patch through any",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        const secret = secretBeside(tree)
        fs.symlinkSync(secret, Path.join(tree.path, "directory"))
        fs.symlinkSync(Path.join(secret, "key"), Path.join(tree.path, "file"))
        fs.symlinkSync(Path.join(secret, "new"), Path.join(tree.path, "dangling"))
        fs.symlinkSync("src", Path.join(tree.path, "inside"))
        for (const file of ["directory/key", "directory/new", "file", "dangling"]) {
          const attempts = [
            workspace.write(tree, file, "x"),
            workspace.apply(tree, [{ _tag: "File", name: "x", file, content: "x" }]),
            workspace.apply(tree, [{ _tag: "Replace", name: "x", file, search: "key", replace: "x" }]),
            workspace.apply(tree, patch(`--- a/${file}\n+++ b/${file}\n@@ -1 +1 @@\n-key\n+x\n`)),
            workspace.apply(tree, patch(`--- /dev/null\n+++ b/${file}\n@@ -0,0 +1 @@\n+x\n`)),
            workspace.apply(tree, patch(`--- a/${file}\n+++ /dev/null\n@@ -1 +0,0 @@\n-key\n`))
          ]
          for (const attempt of attempts) assert.equal(yield* reasonOf(attempt), "PathRefused", file)
        }
        const through =
          "--- a/inside/main.ts\n+++ b/inside/main.ts\n@@ -1 +1 @@\n-const workers = 1\n+const workers = 2\n"
        assert.equal(yield* reasonOf(workspace.apply(tree, patch(through))), "PathRefused")
        assert.deepEqual(fs.readdirSync(secret), ["key"])
        assert.equal(fs.readFileSync(Path.join(secret, "key"), "utf8"), "key\n")
        fs.rmSync(secret, { recursive: true })
      }).pipe(Effect.scoped)
  ),

  check(
    "a file with a second name outside of the tree is written beside it, not through it",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        const secret = secretBeside(tree)
        fs.linkSync(Path.join(secret, "key"), Path.join(tree.path, "key"))
        yield* workspace.write(tree, "key", "written\n")
        assert.equal(fs.readFileSync(Path.join(secret, "key"), "utf8"), "key\n")
        assert.equal(yield* workspace.read(tree, "key"), "written\n")
        fs.rmSync(secret, { recursive: true })
      }).pipe(Effect.scoped)
  ),

  check(
    "a file of gigabytes that others made is a typed refusal for whoever reads or edits it",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        const bytes = 1_900_000_000
        // With a hole: it takes no space.
        fs.writeFileSync(Path.join(tree.path, "huge"), "")
        fs.truncateSync(Path.join(tree.path, "huge"), bytes)
        const edit = { name: "edit", file: "huge", search: "x", replace: "y" }
        const attempts = [
          workspace.read(tree, "huge"),
          workspace.applyEdit(tree, edit),
          workspace.apply(tree, [{ _tag: "Replace", ...edit }]),
          workspace.apply(tree, patch("--- a/huge\n+++ b/huge\n@@ -1 +1 @@\n-x\n+y\n"))
        ]
        for (const attempt of attempts) assert.equal(yield* reasonOf(attempt), "TooLarge")
        yield* workspace.apply(tree, [{ _tag: "File", name: "small", file: "huge", content: "small\n" }])
        assert.equal(yield* workspace.read(tree, "huge"), "small\n")
      }).pipe(Effect.scoped)
  ),

  check(
    "trees share no file with each other or with the source: writing in one changes no other",
    (workspace, checkout) =>
      Effect.gen(function*() {
        const before = yield* checkout.fingerprint
        const one = yield* openAt(workspace, "one")
        const other = yield* openAt(workspace, "other")
        const file = Path.join(one.path, "src/main.ts")
        assert.equal(fs.statSync(file).nlink, 1)
        // In place, as a program does that knows nothing of the workspace.
        const handle = fs.openSync(file, "r+")
        fs.writeSync(handle, "CONST")
        fs.closeSync(handle)
        assert.match(yield* workspace.read(other, "src/main.ts"), /^const workers/)
        const third = yield* openAt(workspace, "third")
        assert.match(yield* workspace.read(third, "src/main.ts"), /^const workers/)
        assert.equal(yield* checkout.fingerprint, before)
        assert.deepEqual(yield* workspace.changed(one), [{ file: "src/main.ts", change: "changed" }])
      }).pipe(Effect.scoped)
  ),

  check("links and executable files come back as they were committed", (workspace) =>
    Effect.gen(function*() {
      const commit = yield* Effect.scoped(Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        fs.symlinkSync("src/main.ts", Path.join(tree.path, "link"))
        fs.writeFileSync(Path.join(tree.path, "run.sh"), "#!/bin/sh\n", { mode: 0o755 })
        fs.writeFileSync(Path.join(tree.path, "binary"), Buffer.from([0, 255, 10, 13, 0]))
        const diff = yield* workspace.diff(tree)
        assert.match(diff.patch, /new file mode 120000/)
        assert.match(diff.patch, /new file mode 100755/)
        assert.match(diff.patch, /Binary files \/dev\/null and b\/binary differ/)
        return yield* workspace.commit(tree, { message: "node" })
      }))
      const tree = yield* workspace.reopen({ run: "run", node: "node", commit })
      assert.equal(fs.readlinkSync(Path.join(tree.path, "link")), "src/main.ts")
      assert.equal(fs.statSync(Path.join(tree.path, "run.sh")).mode & 0o100, 0o100)
      assert.deepEqual([...fs.readFileSync(Path.join(tree.path, "binary"))], [0, 255, 10, 13, 0])
      assert.deepEqual(yield* workspace.changed(tree), [])
    }).pipe(Effect.scoped)),

  check(
    "a name that is no UTF-8 is refused by name, whatever is behind it",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        const at = (file: string) => Buffer.from(Path.join(tree.path, file), "latin1")
        const makers: ReadonlyArray<readonly [string, (path: Buffer) => void]> = [
          ["src/link\xff", (path) => fs.symlinkSync("/etc/passwd", path)],
          ["src/file\xff", (path) => fs.writeFileSync(path, "x".repeat(5000))],
          ["src/directory\xff/file", (path) => {
            fs.mkdirSync(at("src/directory\xff"))
            fs.writeFileSync(path, "")
          }]
        ]
        for (const [file, make] of makers) {
          make(at(file))
          const error = yield* Effect.flip(workspace.check(tree))
          assert.ok(error._tag === "ChangeRefused", String(error))
          assert.ok(error.violations.length > 0)
          assert.deepEqual([...new Set(error.violations.map(({ problem }) => problem))], ["name"])
          fs.rmSync(at(file))
          if (file.includes("directory")) fs.rmdirSync(at("src/directory\xff"))
        }
        // A name in UTF-8 that is shown in the same way does not hide the other.
        fs.writeFileSync(Path.join(tree.path, "src/link\ufffd"), "")
        fs.symlinkSync("/etc/passwd", at("src/link\xff"))
        const error = yield* Effect.flip(workspace.check(tree))
        assert.ok(error._tag === "ChangeRefused" && error.violations[0]?.problem === "name")
      }).pipe(Effect.scoped),
    guard
  ),

  check(
    "a tree whose directory was replaced by a link, or by another directory, is neither read nor written",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        const secret = secretBeside(tree)
        const away = `${tree.path}-away`
        fs.renameSync(tree.path, away)
        const change = { _tag: "File" as const, name: "new", file: "new", content: "x" }
        const attempts: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
          workspace.write(tree, "key", "x"),
          workspace.apply(tree, [change]),
          workspace.applyEdit(tree, { name: "edit", file: "key", search: "key", replace: "x" }),
          workspace.read(tree, "key"),
          workspace.check(tree),
          workspace.commit(tree, { message: "x" })
        ]
        const replacements = [() => fs.symlinkSync(secret, tree.path), () =>
          fs.cpSync(secret, tree.path, { recursive: true })]
        for (const replace of replacements) {
          replace()
          for (const attempt of attempts) {
            assert.equal(yield* reasonOf(attempt), "PathRefused")
          }
          assert.deepEqual(fs.readdirSync(secret), ["key"])
          assert.equal(fs.readFileSync(Path.join(secret, "key"), "utf8"), "key\n")
          fs.rmSync(tree.path, { recursive: true })
        }
        fs.renameSync(away, tree.path)
        yield* workspace.apply(tree, [change])
        fs.rmSync(secret, { recursive: true })
      }).pipe(Effect.scoped)
  ),

  check(
    "a change that is interrupted is there as a whole, or not at all",
    (workspace) =>
      Effect.gen(function*() {
        const files = Array.from({ length: 60 }, (_, index) => `new/${index}`)
        const change = files.map((file) => ({ _tag: "File" as const, name: file, file, content: "x" }))
        const seen = new Set<number>()
        for (const first of ["new/0", "new/30"]) {
          const tree = yield* openAt(workspace, first)
          const applying = yield* Effect.forkChild(workspace.apply(tree, change))
          // In the middle of the writing: when this one is there.
          while (!fs.existsSync(Path.join(tree.path, first))) yield* Effect.promise(() => new Promise(setImmediate))
          yield* Fiber.interrupt(applying)
          seen.add(fs.readdirSync(Path.join(tree.path, "new")).length)
        }
        assert.deepEqual([...seen], [files.length])
      }).pipe(Effect.scoped)
  ),

  check(
    "what nobody made for a tree is neither replaced, dropped nor swept",
    (workspace) =>
      Effect.gen(function*() {
        const path = yield* Effect.scoped(Effect.map(openAt(workspace, "photos"), (tree) => tree.path))
        const run = Path.dirname(path)
        for (const directory of ["photos", "other", ".making-other", ".hidden"]) {
          fs.mkdirSync(Path.join(run, directory), { recursive: true })
          fs.writeFileSync(Path.join(run, directory, "precious"), "")
        }
        fs.writeFileSync(Path.join(run, "file"), "")
        const before = fs.readdirSync(run, { recursive: true }).sort()
        for (const node of ["photos", "other", "file"]) {
          const error = yield* Effect.flip(Effect.scoped(openAt(workspace, node)))
          assert.equal(error.reason._tag, "PlaceTaken")
          assert.ok(error.message.includes(Path.join(run, node)))
          assert.match(error.message, /Choose a directory for the trees that is empty/)
          assert.equal(
            yield* reasonOf(Effect.scoped(workspace.reopen({ run: "run", node, commit: "HEAD" }))),
            "PlaceTaken"
          )
          assert.equal(yield* workspace.drop({ run: "run", node }), false)
        }
        assert.deepEqual(yield* workspace.trees, [])
        assert.deepEqual(yield* workspace.sweep("run"), [])
        assert.deepEqual(fs.readdirSync(run, { recursive: true }).sort(), before)
        // Where it is gone, nothing is in the way of the tree.
        fs.rmSync(run, { recursive: true })
        yield* Effect.scoped(openAt(workspace, "photos"))
      })
  ),

  check(
    "a tree is gone from the disk with its scope, and one that is kept stands as it was left",
    (workspace) =>
      Effect.gen(function*() {
        const gone = yield* Effect.scoped(openAt(workspace, "gone"))
        assert.equal(fs.existsSync(gone.path), false)
        const { commit, path } = yield* Effect.scoped(Effect.gen(function*() {
          const base = yield* workspace.resolve("HEAD")
          const tree = yield* workspace.open({ run: "run", node: "kept", base, keep: Effect.succeed(true) })
          yield* workspace.write(tree, "new.txt", "new\n")
          const commit = yield* workspace.commit(tree, { message: "kept" })
          fs.writeFileSync(Path.join(tree.path, "made by the job"), "")
          return { commit, path: tree.path }
        }))
        const again = yield* Effect.scoped(
          workspace.reopen({ run: "run", node: "kept", commit, keep: Effect.succeed(true) })
        )
        assert.equal(again.adopted, true)
        assert.equal(fs.existsSync(Path.join(path, "made by the job")), true)
        const anew = yield* Effect.scoped(workspace.reopen({ run: "run", node: "kept", commit, adopt: false }))
        assert.equal(anew.adopted, false)
        assert.equal(fs.existsSync(path), false)
      })
  )
]
