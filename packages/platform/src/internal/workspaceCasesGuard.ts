/** Cases of the workspace suite: what the guard lets be changed, and what it finds in a tree that others changed. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { strict as assert } from "node:assert"
import {
  type EditRejected,
  type Guard,
  type PatchRejected,
  type Tree,
  type Violation,
  type Workspace,
  WorkspaceError
} from "../Workspace.ts"
import { type Case, type Check, edit, files, openAt, reasonOf, type Subject } from "./workspaceCases.ts"

const guard: Guard = {
  editable: ["src", "tests/**/*.ts", "*.json"],
  denied: ["src/secret", "**/*.lock.json", "src/.env*"],
  maxFileBytes: 1000,
  maxChangeBytes: 2500
}

const allowed = ["src/main.ts", "src/deep/er/a.ts", "src/.hidden", "tests/a.ts", "tests/deep/b.ts", "parameters.json"]

const forbidden = [
  "README.md",
  "srcs/a.ts",
  "tests/a.js",
  "deep/parameters.json",
  "src/secret",
  "src/secret/key",
  "src/SECRET/key",
  "src/secret/line\nend",
  "npm.lock.json",
  "src/a.LOCK.json",
  "src/.env",
  "src/.env.local",
  "./src/../README.md"
]

const problemsOf = (workspace: Workspace["Service"], tree: Tree) =>
  Effect.map(Effect.flip(workspace.check(tree)), (error) => {
    assert.ok(error._tag === "ChangeRefused", String(error))
    assert.equal(error.total, error.violations.length)
    return new Map(error.violations.map(({ file, problem }: Violation) => [file, problem]))
  })

/** One option of each kind that can never do what it is there for. */
const hopeless: ReadonlyArray<readonly [keyof Guard, string | number]> = [
  ["denied", "src/[s"],
  ["editable", "src\\secret"],
  ["maxFileBytes", NaN]
]

export const optionCases = (subject: Subject): ReadonlyArray<Case> =>
  hopeless.map(([field, value]) => ({
    name: `no workspace is made where ${field} is ${value}, and it is said why`,
    effect: Effect.gen(function*() {
      const guard: Guard = { [field]: typeof value === "string" ? ["src", value] : value }
      const error = yield* Effect.flip(Effect.scoped(Layer.build(subject.layer(files, guard))))
      assert.ok(error instanceof WorkspaceError && error.reason._tag === "OptionRefused", String(error))
      assert.equal(error.reason.field, field)
      assert.equal(error.reason.value, typeof value === "string" ? JSON.stringify(value) : String(value))
    })
  }))

export const guardCases = (check: Check): ReadonlyArray<Case> => [
  check("every form of change is held to what is allowed and what is denied", (workspace) =>
    Effect.gen(function*() {
      const tree = yield* openAt(workspace, "node")
      for (const file of forbidden) {
        const quoted = JSON.stringify(file).replaceAll("\\u", "\\")
        const attempts = [
          workspace.write(tree, file, "x"),
          workspace.applyEdit(tree, edit({ file })),
          workspace.apply(tree, [{ _tag: "File", name: "x", file, content: "x" }]),
          workspace.apply(tree, [{ _tag: "Replace", name: "x", file, search: "a", replace: "b" }]),
          workspace.apply(tree, [{
            _tag: "Patch",
            name: "x",
            patch: `--- /dev/null\n+++ ${quoted}\n@@ -0,0 +1 @@\n+x\n`
          }]),
          workspace.apply(tree, [{
            _tag: "Patch",
            name: "x",
            patch: `diff --git a/x b/y\nrename from src/main.ts\nrename to ${quoted}\n`
          }]),
          workspace.apply(tree, [{
            _tag: "Patch",
            name: "x",
            patch: `diff --git a/x b/y\nrename from ${quoted}\nrename to src/taken.ts\n`
          }]),
          workspace.apply(tree, [{
            _tag: "Patch",
            name: "x",
            patch: `diff --git a/x b/x\n--- ${quoted}\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n`
          }])
        ]
        for (const attempt of attempts) assert.equal(yield* reasonOf(attempt), "PathRefused", file)
      }
      assert.deepEqual(yield* workspace.check(tree), [])
      for (const file of allowed) yield* workspace.write(tree, file, "x")
      assert.deepEqual((yield* workspace.check(tree)).map(({ file }) => file), [...allowed].sort())
    }).pipe(Effect.scoped), guard),

  check("a file, and all that one change writes, may be so large and no larger", (workspace) =>
    Effect.gen(function*() {
      const tree = yield* openAt(workspace, "node")
      yield* workspace.write(tree, "src/most.txt", "x".repeat(1000))
      assert.equal(yield* reasonOf(workspace.write(tree, "src/more.txt", "x".repeat(1001))), "TooLarge")
      assert.equal(yield* reasonOf(workspace.write(tree, "src/more.txt", "ü".repeat(501))), "TooLarge")
      assert.equal(yield* reasonOf(workspace.applyEdit(tree, edit({ replace: "x".repeat(1000) }))), "TooLarge")
      const three = ["a", "b", "c"].map((name) => ({
        _tag: "File" as const,
        name,
        file: `src/${name}`,
        content: "x".repeat(900)
      }))
      const error = yield* Effect.flip(workspace.apply(tree, three))
      assert.ok(error._tag === "WorkspaceError" && error.reason._tag === "TooLarge" && error.reason.file === null)
      yield* workspace.apply(tree, three.slice(0, 1))
      assert.deepEqual((yield* workspace.check(tree)).map(({ file }) => file), ["src/a", "src/most.txt"])
    }).pipe(Effect.scoped), guard),

  check(
    "a file that others made too large is not edited, but can be replaced as a whole",
    (workspace, checkout) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        yield* checkout.editTree(tree, "src/main.ts", `const workers = 1\n${"x".repeat(1000)}`)
        const shorter = edit({ search: "x".repeat(1000), replace: "" })
        const patch = (text: string) => ({ _tag: "Patch" as const, name: "patch", patch: text })
        const attempts: ReadonlyArray<Effect.Effect<unknown, EditRejected | PatchRejected | WorkspaceError>> = [
          workspace.applyEdit(tree, shorter),
          workspace.apply(tree, [{ _tag: "Replace", ...shorter }]),
          workspace.apply(tree, [
            patch("--- a/src/main.ts\n+++ b/src/main.ts\n@@ -1 +1 @@\n-const workers = 1\n+const workers = 2\n")
          ]),
          workspace.apply(tree, [patch("diff --git a/x b/x\nrename from src/main.ts\nrename to src/new.ts\n")]),
          workspace.apply(tree, [patch("diff --git a/src/main.ts b/src/main.ts\ndeleted file mode 100644\n")])
        ]
        for (const attempt of attempts) {
          const error = yield* Effect.flip(attempt)
          assert.ok(error._tag === "WorkspaceError" && error.reason._tag === "TooLarge", error.message)
          assert.equal(error.reason.bytes, 1018)
          assert.match(error.message, /"src\/main\.ts" is 1018 bytes long, and it is not read: 1000 are allowed/)
        }
        const small = { _tag: "File" as const, name: "small", file: "src/main.ts", content: "const workers = 1\n" }
        const applied = yield* workspace.apply(tree, [
          { ...small, content: "" },
          small,
          { _tag: "Replace", name: "wider", file: "src/main.ts", search: "1", replace: "4" }
        ])
        assert.deepEqual(applied, [{ file: "src/main.ts", change: "changed" }])
        assert.equal(yield* workspace.read(tree, "src/main.ts"), "const workers = 4\n")
        yield* checkout.editTree(tree, "src/main.ts", "x".repeat(2000))
        assert.equal((yield* workspace.apply(tree, [{ ...small, content: "" }])).length, 1)
        assert.equal(yield* workspace.read(tree, "src/main.ts"), "")
      }).pipe(Effect.scoped),
    guard
  ),

  check(
    "what others changed in a tree is refused by name: outside, denied, too large, all together",
    (workspace, checkout) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        yield* checkout.editTree(tree, "src/main.ts", "const workers = 2\n")
        assert.deepEqual(yield* workspace.check(tree), [{ file: "src/main.ts", change: "changed" }])
        yield* checkout.editTree(tree, "README.md", "changed\n")
        yield* checkout.editTree(tree, "other/new.txt", "new\n")
        yield* checkout.editTree(tree, "src/.ENV", "key\n")
        yield* checkout.editTree(tree, "src/large-1", "x".repeat(1001))
        yield* checkout.editTree(tree, "src/large-2", "x".repeat(1500))
        assert.deepEqual(
          yield* problemsOf(workspace, tree),
          new Map<string | null, string>([
            ["README.md", "outside"],
            ["other/new.txt", "outside"],
            ["src/.ENV", "denied"],
            ["src/large-1", "too large"],
            ["src/large-2", "too large"],
            [null, "too large"]
          ])
        )
        const error = yield* Effect.flip(workspace.check(tree))
        assert.match(error.message, /"README\.md": outside, lies outside of what may be changed/)
      }).pipe(Effect.scoped),
    guard
  ),

  check(
    "a file that others deleted counts as changed, also after it is committed",
    (workspace, checkout) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        yield* checkout.editTree(tree, "README.md", undefined)
        assert.deepEqual(yield* workspace.changed(tree), [{ file: "README.md", change: "deleted" }])
        assert.deepEqual(yield* problemsOf(workspace, tree), new Map([["README.md", "outside"]]))
        yield* workspace.commit(tree, { message: "deleted" })
        assert.deepEqual(yield* workspace.changed(tree), [{ file: "README.md", change: "deleted" }])
      }).pipe(Effect.scoped),
    guard
  ),

  check("without a guard everything in the tree may be changed", (workspace, checkout) =>
    Effect.gen(function*() {
      const tree = yield* openAt(workspace, "node")
      assert.deepEqual(yield* workspace.changed(tree), [])
      yield* checkout.editTree(tree, "README.md", "changed\n")
      yield* checkout.editTree(tree, "a b/new\n.txt", "")
      const expected = [{ file: "README.md", change: "changed" }, { file: "a b/new\n.txt", change: "added" }]
      assert.deepEqual(yield* workspace.check(tree), expected)
      assert.deepEqual(yield* workspace.changed(tree), expected)
      yield* checkout.editTree(tree, "README.md", "A pipeline\n")
      yield* checkout.editTree(tree, "a b/new\n.txt", undefined)
      assert.deepEqual(yield* workspace.changed(tree), [])
      assert.equal(yield* workspace.commit(tree, { message: "nothing" }), tree.base)
    }).pipe(Effect.scoped))
]
