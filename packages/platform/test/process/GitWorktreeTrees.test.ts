import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as Path from "node:path"
import { git } from "./support/gitSource.ts"
import { errorOf, files, onSource, open } from "./support/onSource.ts"

describe("a tree", () => {
  it.live("refuses every way out by a symbolic link", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        const tree = yield* open(workspace)
        const secret = Path.join(source.home, "secret")
        fs.mkdirSync(secret)
        fs.writeFileSync(Path.join(secret, "key"), "key\n")
        fs.symlinkSync(secret, Path.join(tree.path, "directory"))
        fs.symlinkSync(Path.join(secret, "key"), Path.join(tree.path, "file"))
        fs.symlinkSync(Path.join(secret, "new"), Path.join(tree.path, "dangling"))
        fs.symlinkSync("loop", Path.join(tree.path, "loop"))
        fs.symlinkSync(".git", Path.join(tree.path, "metadata"))
        fs.symlinkSync("../..", Path.join(tree.path, "src", "up"))
        for (const file of ["directory/key", "directory/new", "file", "dangling", "loop", "metadata", "src/up/other"]) {
          assert.strictEqual((yield* errorOf(workspace.write(tree, file, "x"))).reason._tag, "PathRefused", file)
          const edit = { name: "edit", file, search: "key", replace: "x" }
          const error = yield* Effect.flip(workspace.applyEdit(tree, edit))
          assert.isTrue(error._tag === "WorkspaceError" && error.reason._tag === "PathRefused", file)
          assert.strictEqual((yield* errorOf(workspace.read(tree, file))).reason._tag, "PathRefused", file)
        }
        assert.deepStrictEqual(fs.readdirSync(secret), ["key"])
        assert.strictEqual(fs.readFileSync(Path.join(secret, "key"), "utf8"), "key\n")
      }).pipe(Effect.scoped)
    ))

  it.live("follows a symbolic link inside of it only to where changes are allowed", () =>
    onSource(
      (_, workspace) =>
        Effect.gen(function*() {
          const tree = yield* open(workspace)
          fs.symlinkSync("main.ts", Path.join(tree.path, "src", "alias.ts"))
          fs.symlinkSync("../README.md", Path.join(tree.path, "src", "readme"))
          yield* workspace.write(tree, "src/alias.ts", "const workers = 3\n")
          assert.strictEqual(yield* workspace.read(tree, "src/main.ts"), "const workers = 3\n")
          const error = yield* errorOf(workspace.write(tree, "src/readme", ""))
          assert.match(error.message, /leads to "README\.md", which lies outside of what may be changed \(src\)/)
        }).pipe(Effect.scoped),
      files,
      () => ({ editable: ["src"] })
    ))

  it.live("keeps bytes that are no UTF-8, and a file's mode, through an edit", () =>
    onSource((_, workspace) =>
      Effect.gen(function*() {
        const tree = yield* open(workspace)
        const file = Path.join(tree.path, "latin.sh")
        fs.writeFileSync(file, Buffer.from([0xe9, 0x0a, 0x61, 0x62, 0x0a, 0xff]), { mode: 0o755 })
        yield* workspace.applyEdit(tree, { name: "edit", file: "latin.sh", search: "ab", replace: "ü" })
        assert.deepStrictEqual([...fs.readFileSync(file)], [0xe9, 0x0a, 0xc3, 0xbc, 0x0a, 0xff])
        assert.strictEqual(fs.statSync(file).mode & 0o777, 0o755)
      }).pipe(Effect.scoped)
    ))

  it.live("commits a file that was written on purpose even where it is ignored, and nothing else that is", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        const tree = yield* open(workspace)
        yield* workspace.write(tree, "ignored/parameters.json", "{}")
        fs.writeFileSync(Path.join(tree.path, "ignored", "other"), "")
        fs.writeFileSync(Path.join(tree.path, "job.log"), "")
        const commit = yield* workspace.commit(tree, { message: "node" })
        assert.strictEqual(source.git("diff", "--name-only", tree.base, commit), "ignored/parameters.json\n")
      }).pipe(Effect.scoped)
    ))

  it.live("refuses to commit a repository inside of it, whose files would be lost", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        const tree = yield* open(workspace)
        git(source.home, "clone", "--quiet", source.repository, Path.join(tree.path, "cloned"))
        const error = yield* errorOf(workspace.commit(tree, { message: "node" }))
        assert.strictEqual(error.reason._tag, "NestedRepository")
        assert.match(error.message, /"cloned"/)
      }).pipe(Effect.scoped)
    ))

  it.live("commits on its own branch, wherever an agent has moved HEAD", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        const tree = yield* open(workspace)
        git(tree.path, "checkout", "--quiet", "-b", "elsewhere")
        fs.writeFileSync(Path.join(tree.path, "agent.txt"), "agent\n")
        git(tree.path, "add", "--all")
        git(tree.path, "commit", "--quiet", "-m", "the agent's own")
        const commit = yield* workspace.commit(tree, { message: "node" })
        assert.strictEqual(source.git("rev-parse", "espalier/run/node", `${commit}^`), `${commit}\n${tree.base}\n`)
        assert.strictEqual(source.git("show", `${commit}:agent.txt`), "agent\n")
        assert.strictEqual(git(tree.path, "symbolic-ref", "HEAD"), "refs/heads/espalier/run/node\n")
      }).pipe(Effect.scoped)
    ))

  it.live("is removed with its scope, also where a build locked directories, and its branch is kept", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        const tree = yield* Effect.scoped(Effect.tap(open(workspace), (tree) =>
          Effect.sync(() => {
            fs.mkdirSync(Path.join(tree.path, "ignored", "cache", "deep"), { recursive: true })
            fs.writeFileSync(Path.join(tree.path, "ignored", "cache", "deep", "file"), "")
            fs.chmodSync(Path.join(tree.path, "ignored", "cache", "deep"), 0o555)
            fs.chmodSync(Path.join(tree.path, "ignored", "cache"), 0o555)
          })))
        assert.isFalse(fs.existsSync(tree.path))
        assert.deepStrictEqual(fs.readdirSync(source.trees), [])
        assert.strictEqual(source.git("rev-parse", "espalier/run/node").trim(), tree.base)
        assert.strictEqual(source.git("worktree", "list").trim().split("\n").length, 1)
      })
    ))

  it.live("is not given a branch that the user has checked out, and is detached when it is opened again", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        const { base, branch } = yield* Effect.scoped(open(workspace))
        source.git("checkout", "--quiet", branch!)
        const error = yield* errorOf(Effect.scoped(open(workspace)))
        assert.strictEqual(error.reason._tag, "BranchInUse")
        assert.include(error.message, source.repository)
        const tree = yield* workspace.reopen({ run: "run", node: "node", commit: base })
        assert.strictEqual(tree.branch, undefined)
        assert.strictEqual(git(source.repository, "symbolic-ref", "HEAD"), "refs/heads/espalier/run/node\n")
      }).pipe(Effect.scoped)
    ))
})
