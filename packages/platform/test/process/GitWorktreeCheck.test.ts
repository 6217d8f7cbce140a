import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as Path from "node:path"
import { type Tree, Workspace } from "../../src/Workspace.ts"
import * as GitWorktree from "../../src/workspace/GitWorktree.ts"
import { git, gitSource } from "./support/gitSource.ts"
import { files, onSource, open } from "./support/onSource.ts"

const guard = () => ({ editable: ["src"] })

const violationsIn = (workspace: Workspace["Service"], tree: Tree) =>
  Effect.map(Effect.flip(workspace.check(tree)), (error) => {
    assert.isTrue(error._tag === "ChangeRefused", String(error))
    return error._tag === "ChangeRefused" ? error.violations.map(({ file, problem }) => [file, problem]) : []
  })

describe("what an agent did to a worktree with git itself", () => {
  it.live("is seen whatever it staged, committed, reset or moved away", () =>
    onSource(
      (_, workspace) =>
        Effect.gen(function*() {
          const tree = yield* open(workspace)
          fs.writeFileSync(Path.join(tree.path, "README.md"), "staged\n")
          fs.writeFileSync(Path.join(tree.path, "committed.txt"), "committed\n")
          git(tree.path, "add", "--all")
          assert.deepStrictEqual(yield* violationsIn(workspace, tree), [["README.md", "outside"], [
            "committed.txt",
            "outside"
          ]])
          git(tree.path, "commit", "--quiet", "-m", "the agent's own")
          git(tree.path, "checkout", "--quiet", "-b", "elsewhere")
          assert.deepStrictEqual(yield* violationsIn(workspace, tree), [["README.md", "outside"], [
            "committed.txt",
            "outside"
          ]])
          git(tree.path, "rm", "--quiet", "--cached", "committed.txt", "src/main.ts")
          assert.deepStrictEqual(yield* violationsIn(workspace, tree), [["README.md", "outside"], [
            "committed.txt",
            "outside"
          ]])
          fs.rmSync(Path.join(tree.path, ".git"))
          assert.deepStrictEqual(yield* violationsIn(workspace, tree), [["README.md", "outside"], [
            "committed.txt",
            "outside"
          ]])
        }).pipe(Effect.scoped),
      files,
      guard
    ))

  it.live("cannot be hidden by telling git not to look", () =>
    onSource(
      (_, workspace) =>
        Effect.gen(function*() {
          const tree = yield* open(workspace)
          git(tree.path, "update-index", "--assume-unchanged", "README.md")
          git(tree.path, "update-index", "--skip-worktree", "src/main.ts")
          fs.writeFileSync(Path.join(tree.path, "README.md"), "hidden\n")
          assert.deepStrictEqual(yield* workspace.changed(tree), [])
          assert.deepStrictEqual(yield* violationsIn(workspace, tree), [["README.md", "hidden"], [
            "src/main.ts",
            "hidden"
          ]])
        }).pipe(Effect.scoped),
      files,
      guard
    ))

  it.live("may be a repository inside of the tree: that is refused by name", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        const tree = yield* open(workspace)
        git(source.home, "clone", "--quiet", source.repository, Path.join(tree.path, "cloned"))
        assert.deepStrictEqual(yield* violationsIn(workspace, tree), [["cloned", "repository"]])
      }).pipe(Effect.scoped)
    ))

  it.live("in ignored places is no change, whatever it is", () =>
    onSource(
      (_, workspace) =>
        Effect.gen(function*() {
          const tree = yield* open(workspace)
          fs.mkdirSync(Path.join(tree.path, "ignored"))
          fs.symlinkSync("/etc", Path.join(tree.path, "ignored", "link"))
          fs.writeFileSync(Path.join(tree.path, "src", "job.log"), "x".repeat(100))
          assert.deepStrictEqual(yield* workspace.check(tree), [])
        }).pipe(Effect.scoped),
      files,
      guard
    ))
})

describe("a source that is a directory of a repository", () => {
  it.live("has paths from there: a change beside it is outside, whatever may be changed", () =>
    Effect.gen(function*() {
      const source = yield* gitSource({ "pipelines/one/main.ts": "one\n", "shared/a.ts": "a\n" })
      const layer = GitWorktree.layer({
        ...source.options,
        repository: Path.join(source.repository, "pipelines", "one")
      })
      yield* Effect.gen(function*() {
        const workspace = yield* Workspace
        const tree = yield* open(workspace)
        const patch = "--- a/main.ts\n+++ b/main.ts\n@@ -1 +1 @@\n-one\n+two\n"
        assert.deepStrictEqual(
          yield* workspace.apply(tree, [
            { _tag: "Patch", name: "two", patch },
            { _tag: "File", name: "new", file: "deep/new.ts", content: "" }
          ]),
          [{ file: "deep/new.ts", change: "added" }, { file: "main.ts", change: "changed" }]
        )
        assert.deepStrictEqual((yield* workspace.check(tree)).map(({ file }) => file), ["deep/new.ts", "main.ts"])
        fs.symlinkSync("../../shared/a.ts", Path.join(tree.path, "link"))
        yield* workspace.check(tree)
        fs.writeFileSync(Path.join(tree.path, "..", "..", "shared", "a.ts"), "b\n")
        assert.deepStrictEqual(yield* violationsIn(workspace, tree), [["../../shared/a.ts", "outside"]])
        const commit = yield* workspace.commit(tree, { message: "two" })
        assert.strictEqual(source.git("show", `${commit}:pipelines/one/main.ts`), "two\n")
      }).pipe(Effect.scoped, Effect.provide(layer))
    }).pipe(Effect.scoped))
})
