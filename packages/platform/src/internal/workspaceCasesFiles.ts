/** Cases of the workspace suite: which files may be read, written and edited. */
import * as Effect from "effect/Effect"
import { strict as assert } from "node:assert"
import type { Edit } from "../Workspace.ts"
import { type Case, type Check, edit, openAt, reasonOf } from "./workspaceCases.ts"

export const fileCases = (check: Check): ReadonlyArray<Case> => [
  check("a path that leads out of the tree or into git's data is refused", (workspace) =>
    Effect.gen(function*() {
      const tree = yield* openAt(workspace, "node")
      const outside = [
        "",
        ".",
        "/etc/passwd",
        "C:\\windows",
        "..",
        "../other/file",
        "src/../../other",
        ".git",
        ".git/config",
        ".GIT/hooks/pre-commit",
        "sub/.git/config",
        ".git./config",
        ".g\u200cit/config",
        "src",
        "src/",
        "README.md/below",
        "nul\0"
      ]
      for (const file of outside) {
        assert.equal(yield* reasonOf(workspace.write(tree, file, "x")), "PathRefused", JSON.stringify(file))
        assert.equal(yield* reasonOf(workspace.applyEdit(tree, edit({ file }))), "PathRefused", JSON.stringify(file))
        assert.equal(yield* reasonOf(workspace.read(tree, file)), "PathRefused", JSON.stringify(file))
      }
      assert.equal((yield* workspace.diff(tree)).filesChanged, 0)
    }).pipe(Effect.scoped)),

  check("a file may have any name that stays inside the tree", (workspace) =>
    Effect.gen(function*() {
      const names = [
        "-rf",
        "a b",
        "quote'\"",
        "line\nend",
        "日本語/🌳.txt",
        ":(top)x",
        "*.ts",
        "$(touch x)",
        ".gitkeep"
      ]
      const commit = yield* Effect.scoped(Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        for (const name of names) yield* workspace.write(tree, name, `${name}\n`)
        assert.equal((yield* workspace.diff(tree)).filesChanged, names.length)
        return yield* workspace.commit(tree, { message: "names" })
      }))
      const tree = yield* workspace.reopen({ run: "run", node: "node", commit })
      for (const name of names) assert.equal(yield* workspace.read(tree, name), `${name}\n`)
    }).pipe(Effect.scoped)),

  check(
    "an edit replaces its one match literally and keeps every other character",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        yield* workspace.write(tree, "odd.txt", "\ufeffone\r\ntwo (.*)\r\nüthree")
        yield* workspace.applyEdit(tree, edit({ file: "odd.txt", search: "two (.*)\r\nü", replace: "$& $1 \\n ✓" }))
        assert.equal((yield* workspace.read(tree, "odd.txt")).replace("\ufeff", ""), "one\r\n$& $1 \\n ✓three")
      }).pipe(Effect.scoped)
  ),

  check(
    "an edit whose text does not occur exactly once is rejected and changes nothing",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        yield* workspace.write(tree, "repeat.txt", "aaa\nb\nb\n")
        const before = yield* workspace.diff(tree)
        const attempts: ReadonlyArray<readonly [Partial<Edit>, number]> = [
          [{ search: "workers = 2" }, 0],
          [{ search: "" }, 0],
          [{ file: "missing.ts" }, 0],
          [{ file: "repeat.txt", search: "b\n" }, 2],
          [{ file: "repeat.txt", search: "aa" }, 2]
        ]
        for (const [change, matches] of attempts) {
          const error = yield* Effect.flip(workspace.applyEdit(tree, edit(change)))
          assert.ok(error._tag === "EditRejected")
          assert.equal(error.edit, "wider")
          assert.equal(error.file, edit(change).file)
          assert.equal(error.matches, matches)
          assert.ok(error.message.includes("wider") && error.message.includes(error.file))
        }
        assert.deepEqual(yield* workspace.diff(tree), before)
      }).pipe(Effect.scoped)
  )
]
