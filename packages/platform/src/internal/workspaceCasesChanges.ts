/** Cases of the workspace suite: changes in three forms, all of them or none. */
import * as Effect from "effect/Effect"
import { strict as assert } from "node:assert"
import type { Change, Tree, Workspace } from "../Workspace.ts"
import { type Case, type Check, edit, files, openAt, reasonOf } from "./workspaceCases.ts"
import { escaping, fits, refused } from "./workspaceCasesPatches.ts"

const patch = (text: string): Change => ({ _tag: "Patch", name: "change", patch: text })

const numbered = (count: number): string => Array.from({ length: count }, (_, index) => `line ${index + 1}\n`).join("")

/** Content of the files of a tree that a case is about; undefined where there is none. */
const contentsOf = (workspace: Workspace["Service"], tree: Tree, names: ReadonlyArray<string>) =>
  Effect.forEach(names, (name) =>
    workspace.read(tree, name).pipe(
      Effect.catchReason("WorkspaceError", "FileFailed", () => Effect.succeed(undefined))
    ))

export const changeCases = (check: Check): ReadonlyArray<Case> => [
  check(
    "changes in all three forms are applied in order, and each file is told of",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        const applied = yield* workspace.apply(tree, [
          { _tag: "File", name: "new", file: "docs/new.md", content: "one\n" },
          { _tag: "Replace", name: "more", file: "docs/new.md", search: "one", replace: "two" },
          patch(fits),
          { _tag: "Replace", name: "most", file: "src/main.ts", search: "workers = 4", replace: "workers = 16" }
        ])
        assert.deepEqual(applied, [
          { file: "docs/new.md", change: "added" },
          { file: "src/main.ts", change: "changed" }
        ])
        assert.equal(yield* workspace.read(tree, "docs/new.md"), "two\n")
        assert.equal(yield* workspace.read(tree, "src/main.ts"), "const workers = 16\nconst batch = 8\n")
        assert.deepEqual(yield* workspace.changed(tree), applied)
      }).pipe(Effect.scoped)
  ),

  check("what cannot all be written is refused before any of it is", (workspace) =>
    Effect.gen(function*() {
      const tree = yield* openAt(workspace, "node")
      const file = (path: string) => ({ _tag: "File" as const, name: path, file: path, content: "x" })
      const created = (path: string) => `--- /dev/null\n+++ b/${path}\n@@ -0,0 +1 @@\n+x\n`
      const impossible: ReadonlyArray<ReadonlyArray<string>> = [
        ["both", "both/below"],
        ["both/below", "both"],
        ["both/deep/er/below", "both"],
        ["x".repeat(256)],
        ["ü".repeat(128)],
        [`${"y/".repeat(3000)}x`],
        [`${"y".repeat(200)}/`.repeat(18) + "x"]
      ]
      for (const paths of impossible) {
        const forms: ReadonlyArray<ReadonlyArray<Change>> = [
          paths.map(file),
          [{ _tag: "Patch", name: "patch", patch: paths.map(created).join("") }]
        ]
        for (const changes of forms) {
          const attempt = workspace.apply(tree, [{ _tag: "Replace", ...edit({}) }, ...changes])
          assert.equal(yield* reasonOf(attempt), "PathRefused", paths[0]!.slice(0, 20))
          assert.deepEqual(yield* workspace.changed(tree), [])
        }
      }
      const longest = `${"z".repeat(255)}/${"z".repeat(255)}`
      yield* workspace.apply(tree, [file("both"), file("both.x"), file(longest)])
      assert.equal(yield* workspace.read(tree, longest), "x")
    }).pipe(Effect.scoped)),

  check("where one change is refused none is applied", (workspace) =>
    Effect.gen(function*() {
      const tree = yield* openAt(workspace, "node")
      const good: Change = { _tag: "File", name: "new", file: "new.txt", content: "x" }
      const bad: ReadonlyArray<Change> = [
        { _tag: "Replace", name: "no", file: "README.md", search: "not there", replace: "" },
        { _tag: "File", name: "no", file: "../x", content: "" },
        patch("nonsense"),
        patch(fits + fits.replaceAll("src/main.ts", "src/missing.ts"))
      ]
      for (const change of bad) {
        yield* Effect.flip(workspace.apply(tree, [good, patch(fits), change]))
        assert.deepEqual(yield* workspace.changed(tree), [])
      }
      assert.deepEqual(yield* workspace.apply(tree, []), [])
    }).pipe(Effect.scoped)),

  check(
    "a patch creates, changes, renames, copies and deletes files, and says so",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        yield* workspace.write(tree, "gone.txt", "1\n2\n")
        yield* workspace.write(tree, "old/name.txt", numbered(5))
        const applied = yield* workspace.apply(tree, [patch(`Some words of the agent first.

diff --git a/src/main.ts b/src/main.ts
index 1111111..2222222 100644
--- a/src/main.ts
+++ b/src/main.ts
@@ -1,2 +1,3 @@ const
 const workers = 1
+const queue = 2
 const batch = 8
diff --git a/new/file.txt b/new/file.txt
new file mode 100755
index 0000000..3333333
--- /dev/null
+++ b/new/file.txt
@@ -0,0 +1,2 @@
+hello
+there
\\ No newline at end of file
diff --git a/gone.txt b/gone.txt
deleted file mode 100644
--- a/gone.txt
+++ /dev/null
@@ -1,2 +0,0 @@
-1
-2
diff --git a/old/name.txt b/young/name.txt
similarity index 80%
rename from old/name.txt
rename to young/name.txt
--- a/old/name.txt
+++ b/young/name.txt
@@ -2,3 +2,3 @@
 line 2
-line 3
+line three
 line 4
diff --git a/README.md b/COPY.md
similarity index 100%
copy from README.md
copy to COPY.md
diff --git a/empty b/empty
new file mode 100644
index 0000000..e69de29
`)])
        assert.deepEqual(applied, [
          { file: "COPY.md", change: "added" },
          { file: "empty", change: "added" },
          { file: "gone.txt", change: "deleted" },
          { file: "new/file.txt", change: "added", executable: true },
          { file: "src/main.ts", change: "changed" },
          { file: "young/name.txt", change: "renamed", from: "old/name.txt" }
        ])
        const names = ["COPY.md", "empty", "gone.txt", "new/file.txt", "src/main.ts", "young/name.txt", "old/name.txt"]
        assert.deepEqual(yield* contentsOf(workspace, tree, names), [
          files["README.md"],
          "",
          undefined,
          "hello\nthere",
          "const workers = 1\nconst queue = 2\nconst batch = 8\n",
          numbered(5).replace("line 3", "line three"),
          undefined
        ])
        const commit = yield* workspace.commit(tree, { message: "all" })
        assert.match((yield* workspace.diff(tree)).patch, /new file mode 100755/)
        assert.equal(yield* workspace.resolve(tree.branch!), commit)
      }).pipe(Effect.scoped)
  ),

  check("a change of mode alone is applied, told of, and committed", (workspace) =>
    Effect.gen(function*() {
      const tree = yield* openAt(workspace, "node")
      const set = "diff --git a/README.md b/README.md\nold mode 100644\nnew mode 100755\n"
      assert.deepEqual(yield* workspace.apply(tree, [patch(set)]), [
        { file: "README.md", change: "changed", executable: true }
      ])
      assert.deepEqual(yield* workspace.changed(tree), [{ file: "README.md", change: "changed" }])
      const first = yield* workspace.commit(tree, { message: "executable" })
      assert.notEqual(first, tree.base)
      const unset = "diff --git a/README.md b/README.md\nold mode 100755\nnew mode 100644\n"
      assert.deepEqual(yield* workspace.apply(tree, [patch(unset)]), [
        { file: "README.md", change: "changed", executable: false }
      ])
      assert.deepEqual(yield* workspace.changed(tree), [])
    }).pipe(Effect.scoped)),

  check("renames of one patch happen at once, also in a circle", (workspace) =>
    Effect.gen(function*() {
      const tree = yield* openAt(workspace, "node")
      yield* workspace.write(tree, "one", "1\n")
      yield* workspace.write(tree, "two", "2\n")
      const move = (from: string, to: string) => `diff --git a/${from} b/${to}\nrename from ${from}\nrename to ${to}\n`
      yield* workspace.apply(tree, [patch(move("one", "two") + move("two", "one"))])
      assert.deepEqual(yield* contentsOf(workspace, tree, ["one", "two"]), ["2\n", "1\n"])
    }).pipe(Effect.scoped)),

  check(
    "numbers and counts of hunks may be wrong or missing where the lines occur once",
    (workspace) =>
      Effect.gen(function*() {
        const before = numbered(40)
        const after = before.replace("line 20\n", "line twenty\nand more\n")
        const body = " line 19\n-line 20\n+line twenty\n+and more\n line 21\n"
        const headers = [
          "@@ -19,3 +19,4 @@",
          "@@ -1,3 +1,4 @@",
          "@@ -19,9 +19,9 @@",
          "@@ -19 +19 @@",
          "@@ ... @@",
          "@@",
          "@@ -900,3 +900,4 @@ f()"
        ]
        for (const [index, header] of headers.entries()) {
          const tree = yield* openAt(workspace, `node-${index}`)
          yield* workspace.write(tree, "list.txt", before)
          yield* workspace.apply(tree, [patch(`--- a/list.txt\n+++ b/list.txt\n${header}\n${body}`)])
          assert.equal(yield* workspace.read(tree, "list.txt"), after, header)
        }
      }).pipe(Effect.scoped)
  ),

  check("lines that occur more than once are changed only where the patch says", (workspace) =>
    Effect.gen(function*() {
      const block = "begin\nvalue\nend\n"
      const tree = yield* openAt(workspace, "node")
      yield* workspace.write(tree, "list.txt", block.repeat(4))
      const at = (line: number | string) =>
        `--- a/list.txt\n+++ b/list.txt\n@@ -${line},3 +${line},3 @@\n begin\n-value\n+changed\n end\n`
      for (const line of [2, 5, 100]) {
        const error = yield* Effect.flip(workspace.apply(tree, [patch(at(line))]))
        assert.ok(error._tag === "PatchRejected" && error.problem === "ambiguous", String(error))
        assert.equal(error.hunk, 1)
        assert.match(error.message, /occur 4 times \(at the lines 1, 4, 7, 10\)/)
      }
      yield* workspace.apply(tree, [patch(at(7))])
      assert.equal(yield* workspace.read(tree, "list.txt"), `${block}${block}begin\nchanged\nend\n${block}`)
    }).pipe(Effect.scoped)),

  check(
    "a patch names what it needs in ways that agents write: without a/ and b/, with a time, with CR LF",
    (workspace) =>
      Effect.gen(function*() {
        const variants = [
          fits.replace("a/src", "src").replace("b/src", "src"),
          fits.replace("a/src/main.ts", "a/src/main.ts\t2026-01-01 00:00:00").replace(
            "b/src/main.ts",
            "b/src/main.ts\t2026-01-01"
          ),
          fits.replaceAll("\n", "\r\n"),
          fits.trimEnd(),
          `\`\`\`diff\n${fits}\`\`\`\n`,
          `From 123 Mon Sep 17\nSubject: x\n\n---\n src/main.ts | 2 +-\n\n${fits}-- \n2.39.5\n\n`,
          fits.replace("a/src", "i/src").replace("b/src", "w/src")
        ]
        for (const [index, variant] of variants.entries()) {
          const tree = yield* openAt(workspace, `node-${index}`)
          yield* workspace.apply(tree, [patch(variant)])
          assert.equal(yield* workspace.read(tree, "src/main.ts"), "const workers = 4\nconst batch = 8\n", variant)
        }
      }).pipe(Effect.scoped)
  ),

  check(
    "a file keeps its line ends, its bytes and the lack of a line end through a patch",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        const dos = "one\r\ntwo\r\n\r\nthree ü\r\n"
        yield* workspace.write(tree, "dos.txt", dos)
        yield* workspace.apply(tree, [
          patch("--- a/dos.txt\n+++ b/dos.txt\n@@ -1,4 +1,5 @@\n one\n two\n+more\n\n three ü\n")
        ])
        assert.equal(yield* workspace.read(tree, "dos.txt"), dos.replace("two\r\n", "two\r\nmore\r\n"))
        yield* workspace.apply(tree, [
          patch("--- a/dos.txt\n+++ b/dos.txt\n@@ -2,2 +2,1 @@\n two\r\n-more\r\n")
        ])
        assert.equal(yield* workspace.read(tree, "dos.txt"), dos)
        yield* workspace.write(tree, "end.txt", "a\nb")
        const none = "\\ No newline at end of file\n"
        yield* workspace.apply(tree, [
          patch(`--- a/end.txt\n+++ b/end.txt\n@@ -1,2 +1,3 @@\n a\n-b\n${none}+b\n+c\n${none}`)
        ])
        assert.equal(yield* workspace.read(tree, "end.txt"), "a\nb\nc")
        yield* workspace.apply(tree, [patch(`--- a/end.txt\n+++ b/end.txt\n@@ -2,2 +2,2 @@\n b\n-c\n${none}+c\n`)])
        assert.equal(yield* workspace.read(tree, "end.txt"), "a\nb\nc\n")
      }).pipe(Effect.scoped)
  ),

  check(
    "a patch that does not fit is refused by what is wrong with it, and changes nothing",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        for (const [problem, text] of refused) {
          const error = yield* Effect.flip(workspace.apply(tree, [patch(text)]))
          assert.ok(error._tag === "PatchRejected", `${JSON.stringify(text)}: ${String(error)}`)
          assert.equal(error.problem, problem, `${JSON.stringify(text)}: ${error.message}`)
          assert.match(error.message, /^The patch "change" does not apply/)
        }
        assert.deepEqual(yield* workspace.changed(tree), [])
      }).pipe(Effect.scoped)
  ),

  check(
    "a patch that leads out of the tree or into metadata is refused, whatever it does there",
    (workspace, checkout) =>
      Effect.gen(function*() {
        const before = yield* checkout.fingerprint
        const tree = yield* openAt(workspace, "node")
        for (const path of escaping) {
          const attempts = [
            `--- /dev/null\n+++ b/${path}\n@@ -0,0 +1 @@\n+x\n`,
            `--- /dev/null\n+++ ${path}\n@@ -0,0 +1 @@\n+x\n`,
            `--- a/${path}\n+++ b/${path}\n@@ -1 +1 @@\n-x\n+y\n`,
            `--- a/${path}\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n`,
            `diff --git a/README.md b/${path}\nrename from README.md\nrename to ${path}\n`,
            `diff --git a/${path} b/stolen\ncopy from ${path}\ncopy to stolen\n`,
            `diff --git a/README.md b/README.md\nrename from README.md\nrename to "${path}"\n`
          ]
          for (const text of attempts) {
            assert.equal(yield* reasonOf(workspace.apply(tree, [patch(text)])), "PathRefused", text)
          }
          const whole: Change = { _tag: "File", name: "x", file: path, content: "" }
          assert.equal(yield* reasonOf(workspace.apply(tree, [whole])), "PathRefused", path)
        }
        assert.deepEqual(yield* workspace.changed(tree), [])
        assert.equal(yield* checkout.fingerprint, before)
      }).pipe(Effect.scoped)
  ),

  check("files of any name are patched, named as git names them", (workspace) =>
    Effect.gen(function*() {
      const names = [
        "-rf",
        "two words",
        "quote'\"",
        "line\nend",
        "tab\there",
        "日本語/🌳.txt",
        "$(touch x)",
        "a b/b b",
        "back\\slash"
      ]
      const commit = yield* Effect.scoped(Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        for (const name of names) yield* workspace.write(tree, name, `${numbered(3)}`)
        return yield* workspace.commit(tree, { message: "names" })
      }))
      const tree = yield* workspace.open({ run: "run", node: "next", base: commit })
      for (const name of names) yield* workspace.write(tree, name, "line 1\nline two\nline 3\n")
      const { patch: text } = yield* workspace.diff(tree)
      const other = yield* workspace.open({ run: "run", node: "other", base: commit })
      const applied = yield* workspace.apply(other, [patch(text)])
      assert.deepEqual(applied.map(({ file }) => file), [...names].sort())
      for (const name of names) assert.equal(yield* workspace.read(other, name), "line 1\nline two\nline 3\n")
      assert.deepEqual(yield* workspace.diff(other), yield* workspace.diff(tree))
    }).pipe(Effect.scoped)),

  check("the diff of one tree is a patch for another of the same base", (workspace) =>
    Effect.gen(function*() {
      const tree = yield* openAt(workspace, "node")
      yield* workspace.apply(tree, [
        patch(fits),
        { _tag: "File", name: "new", file: "new.txt", content: "no line end" },
        { _tag: "File", name: "empty", file: "empty.txt", content: "" },
        patch("diff --git a/README.md b/README.md\nold mode 100644\nnew mode 100755\n")
      ])
      const diff = yield* workspace.diff(tree)
      const other = yield* openAt(workspace, "other")
      yield* workspace.apply(other, [patch(diff.patch)])
      assert.deepEqual(yield* workspace.diff(other), diff)
    }).pipe(Effect.scoped)),

  check(
    "a gigantic patch is refused by its size and does not hold the engine up",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        const lines = "+a line of a patch that nobody reads\n".repeat(60_000)
        const text = `--- /dev/null\n+++ b/large.txt\n@@ -0,0 +1,60000 @@\n${lines}`
        assert.equal(yield* reasonOf(workspace.apply(tree, [patch(text)])), "TooLarge")
        const many = Array.from({ length: 12 }, (_, index) => text.slice(0, 100_000).replace("large", `part-${index}`))
        assert.equal(yield* reasonOf(workspace.apply(tree, [patch(many.join("\n"))])), "TooLarge")
        assert.deepEqual(yield* workspace.changed(tree), [])
      }).pipe(Effect.scoped),
    { maxFileBytes: 1_000_000, maxChangeBytes: 1_000_000 }
  )
]
