/** Cases of the workspace suite: the life of a tree, its name, its commits. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { strict as assert } from "node:assert"
import type { Tree } from "../Workspace.ts"
import { type Case, type Check, edit, files, hostileIds, openAt, reasonOf } from "./workspaceCases.ts"

export const treeCases = (check: Check): ReadonlyArray<Case> => [
  check("a tree holds the files of its base", (workspace) =>
    Effect.gen(function*() {
      const tree = yield* openAt(workspace, "node")
      assert.equal(tree.base, yield* workspace.resolve("HEAD"))
      assert.equal(yield* workspace.read(tree, "src/main.ts"), files["src/main.ts"])
      assert.deepEqual(yield* workspace.diff(tree), { patch: "", filesChanged: 0, insertions: 0, deletions: 0 })
    }).pipe(Effect.scoped)),

  check("trees that are open together see only their own changes", (workspace) =>
    Effect.gen(function*() {
      const trees = yield* Effect.forEach(["2", "3", "4"], (workers) =>
        Effect.gen(function*() {
          const tree = yield* openAt(workspace, `workers-${workers}`)
          yield* workspace.applyEdit(tree, edit({ replace: `workers = ${workers}` }))
          return { tree, workers, commit: yield* workspace.commit(tree, { message: workers }) }
        }), { concurrency: "unbounded" })
      for (const { commit, tree, workers } of trees) {
        assert.equal(yield* workspace.read(tree, "src/main.ts"), `const workers = ${workers}\nconst batch = 8\n`)
        assert.equal(yield* workspace.resolve(tree.branch!), commit)
      }
      assert.equal(new Set(trees.map(({ commit }) => commit)).size, 3)
    }).pipe(Effect.scoped)),

  check("eight trees are opened, changed and committed at once", (workspace, checkout) =>
    Effect.gen(function*() {
      const before = yield* checkout.fingerprint
      const commits = yield* Effect.forEach(
        Array.from({ length: 8 }, (_, index) => index),
        (index) =>
          Effect.scoped(Effect.gen(function*() {
            const tree = yield* openAt(workspace, `node-${index}`)
            yield* workspace.write(tree, "parameters.json", JSON.stringify({ index }))
            return yield* workspace.commit(tree, { message: `Experiment ${index}` })
          })),
        { concurrency: "unbounded" }
      )
      assert.equal(new Set(commits).size, 8)
      for (const [index, commit] of commits.entries()) {
        yield* Effect.scoped(Effect.gen(function*() {
          const tree = yield* workspace.reopen({ run: "run", node: `node-${index}`, commit })
          assert.equal(yield* workspace.read(tree, "parameters.json"), JSON.stringify({ index }))
        }))
      }
      assert.equal(yield* checkout.fingerprint, before)
    })),

  check("committing a tree without changes returns its base", (workspace) =>
    Effect.gen(function*() {
      const tree = yield* openAt(workspace, "node")
      assert.equal(yield* workspace.commit(tree, { message: "nothing" }), tree.base)
      yield* workspace.write(tree, "src/main.ts", files["src/main.ts"])
      assert.equal(yield* workspace.commit(tree, { message: "nothing" }), tree.base)
    }).pipe(Effect.scoped)),

  check(
    "a second commit stands on the first, and the diff still compares with the base",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        yield* workspace.write(tree, "one.txt", "1\n")
        const first = yield* workspace.commit(tree, { message: "one" })
        yield* workspace.write(tree, "two.txt", "2\n")
        const second = yield* workspace.commit(tree, { message: "two" })
        assert.notEqual(second, first)
        assert.equal(yield* workspace.commit(tree, { message: "nothing" }), second)
        assert.equal((yield* workspace.diff(tree)).filesChanged, 2)
        assert.equal(yield* workspace.resolve(tree.branch!), second)
      }).pipe(Effect.scoped)
  ),

  check(
    "a diff counts changed and new files, before and after they are committed",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        yield* workspace.applyEdit(tree, edit({}))
        yield* workspace.write(tree, "docs/new.md", "one\ntwo\n")
        const diff = yield* workspace.diff(tree)
        assert.deepEqual({ ...diff, patch: "" }, { patch: "", filesChanged: 2, insertions: 3, deletions: 1 })
        assert.match(diff.patch, /^-const workers = 1$/m)
        assert.match(diff.patch, /^\+const workers = 4$/m)
        assert.match(diff.patch, /^\+two$/m)
        yield* workspace.commit(tree, { message: "edit" })
        assert.deepEqual(yield* workspace.diff(tree), diff)
      }).pipe(Effect.scoped)
  ),

  check("a commit comes back whole when its tree is opened again", (workspace) =>
    Effect.gen(function*() {
      const commit = yield* Effect.scoped(Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        yield* workspace.write(tree, "parameters.json", "{\"batch\":64}")
        return yield* workspace.commit(tree, { message: "node" })
      }))
      const tree = yield* workspace.reopen({ run: "run", node: "node", commit })
      assert.equal(tree.base, commit)
      assert.equal(yield* workspace.resolve(tree.branch!), commit)
      assert.equal(yield* workspace.read(tree, "parameters.json"), "{\"batch\":64}")
    }).pipe(Effect.scoped)),

  check("opening an older commit again leaves the branch where it is", (workspace) =>
    Effect.gen(function*() {
      const { branch, commit } = yield* Effect.scoped(Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        yield* workspace.write(tree, "new.txt", "new\n")
        return { branch: tree.branch!, commit: yield* workspace.commit(tree, { message: "node" }) }
      }))
      const base = yield* workspace.resolve("HEAD")
      const tree = yield* workspace.reopen({ run: "run", node: "node", commit: base })
      assert.equal(tree.branch, undefined)
      yield* workspace.write(tree, "other.txt", "other\n")
      const detached = yield* workspace.commit(tree, { message: "detached" })
      assert.notEqual(detached, base)
      assert.equal(yield* workspace.resolve(branch), commit)
    }).pipe(Effect.scoped)),

  check(
    "opening a node anew starts at the base, whatever an earlier attempt committed",
    (workspace) =>
      Effect.gen(function*() {
        const attempt = Effect.scoped(Effect.gen(function*() {
          const tree = yield* openAt(workspace, "node")
          const before = yield* Effect.exit(workspace.read(tree, "left.txt"))
          yield* workspace.write(tree, "left.txt", "left over\n")
          yield* workspace.commit(tree, { message: "node" })
          return { tree, fresh: Exit.isFailure(before) }
        }))
        const first = yield* attempt
        const second = yield* attempt
        assert.ok(first.fresh && second.fresh)
        assert.equal(second.tree.path, first.tree.path)
        const base = yield* workspace.resolve("HEAD")
        yield* Effect.scoped(workspace.open({ run: "run", node: "node", base }))
        assert.equal(yield* workspace.resolve(first.tree.branch!), base)
      })
  ),

  check("a tree that is open cannot be opened a second time", (workspace) =>
    Effect.gen(function*() {
      const tree = yield* openAt(workspace, "node")
      assert.equal(yield* reasonOf(openAt(workspace, "node")), "TreeInUse")
      assert.equal(yield* reasonOf(workspace.reopen({ run: "run", node: "node", commit: tree.base })), "TreeInUse")
      yield* workspace.write(tree, "still.txt", "here\n")
      assert.equal(yield* workspace.read(tree, "still.txt"), "here\n")
    }).pipe(Effect.scoped)),

  check("a tree whose scope is closed refuses every use", (workspace) =>
    Effect.gen(function*() {
      const tree = yield* Effect.scoped(openAt(workspace, "node"))
      assert.equal(yield* reasonOf(workspace.read(tree, "README.md")), "TreeClosed")
      assert.equal(yield* reasonOf(workspace.write(tree, "a", "b")), "TreeClosed")
      assert.equal(yield* reasonOf(workspace.applyEdit(tree, edit({}))), "TreeClosed")
      assert.equal(yield* reasonOf(workspace.diff(tree)), "TreeClosed")
      assert.equal(yield* reasonOf(workspace.commit(tree, { message: "m" })), "TreeClosed")
    })),

  check("a tree is closed when the work in it fails", (workspace) =>
    Effect.gen(function*() {
      let path: Tree | undefined
      yield* openAt(workspace, "node").pipe(
        Effect.tap((tree) => Effect.sync(() => path = tree)),
        Effect.andThen(Effect.fail("the work failed")),
        Effect.scoped,
        Effect.exit
      )
      assert.equal(yield* reasonOf(workspace.read(path!, "README.md")), "TreeClosed")
      yield* Effect.scoped(openAt(workspace, "node"))
    })),

  check("ids of runs and nodes may be any text and never meet", (workspace, checkout) =>
    Effect.gen(function*() {
      const before = yield* checkout.fingerprint
      const trees = yield* Effect.forEach(hostileIds, (id) =>
        Effect.gen(function*() {
          const tree = yield* openAt(workspace, id, "run")
          yield* workspace.write(tree, "id.json", JSON.stringify(id))
          return { id, tree, commit: yield* workspace.commit(tree, { message: id }) }
        }))
      for (const { commit, id, tree } of trees) {
        assert.equal(yield* workspace.read(tree, "id.json"), JSON.stringify(id))
        assert.equal(yield* workspace.resolve(tree.branch!), commit)
      }
      assert.equal(new Set(trees.map(({ tree }) => tree.path.toLowerCase())).size, hostileIds.length)
      assert.equal(yield* checkout.fingerprint, before)
    }).pipe(Effect.scoped)),

  check("hostile ids of runs never meet either", (workspace) =>
    Effect.gen(function*() {
      const chosen = ["a", "A", "a/b", "..", "-rf", "line\nend", "日本語"]
      const trees = yield* Effect.forEach(chosen, (run) => openAt(workspace, "node", run))
      assert.equal(new Set(trees.map(({ path }) => path.toLowerCase())).size, chosen.length)
      for (const run of chosen) assert.deepEqual(yield* workspace.sweep(run), [])
      for (const tree of trees) yield* workspace.read(tree, "README.md")
    }).pipe(Effect.scoped)),

  check("a commit takes any message and author", (workspace) =>
    Effect.gen(function*() {
      const tree = yield* openAt(workspace, "node")
      const messages = ["", "-m", "# only a comment", "one\n\ntwo", "nul\0byte", "ünïcödé 🌳"]
      const seen = new Set<string>([tree.base])
      for (const [index, message] of messages.entries()) {
        yield* workspace.write(tree, "count.txt", String(index))
        seen.add(yield* workspace.commit(tree, { message, author: { name: "<Ada>\n", email: "" } }))
      }
      assert.equal(seen.size, messages.length + 1)
    }).pipe(Effect.scoped)),

  check(
    "sweeping leaves open trees alone, and finds nothing where nothing was left",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        assert.deepEqual(yield* workspace.sweep("run"), [])
        assert.deepEqual(yield* workspace.sweep("never started"), [])
        assert.equal(yield* workspace.read(tree, "README.md"), files["README.md"])
      }).pipe(Effect.scoped)
  ),

  check(
    "a commit tells who made it, when, on what, and all that was said of it",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        yield* workspace.write(tree, "one.txt", "1\n")
        const body =
          "# not a comment\n\n  indented\n\ttab, `$(touch x)`, \"quotes\" and --flags\n\nSigned-off-by: ünïcödé 🌳\n" +
          "-- \ndiff --git a/x b/x\n..\nEOF"
        const author = { name: "Ada Lovelace", email: "ada@example.org" }
        const commit = yield* workspace.commit(tree, { message: "Wider", body, author })
        const { atMillis, ...record } = yield* workspace.show(commit)
        assert.deepEqual(record, { commit, parents: [tree.base], author, message: "Wider", body })
        assert.ok(Number.isInteger(atMillis) && atMillis >= 0)
        assert.deepEqual(yield* workspace.show(tree.branch!), { atMillis, ...record })
        assert.deepEqual((yield* workspace.show(tree.base)).parents, [])
        assert.equal(yield* reasonOf(workspace.show("no-such-branch")), "UnknownRef")
      }).pipe(Effect.scoped)
  ),

  check(
    "a commit without a body has none, and one of many paragraphs has the rest as its body",
    (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        const texts: ReadonlyArray<readonly [string, string | undefined, string, string]> = [
          ["one", undefined, "one", ""],
          ["two", "\n\n", "two", ""],
          ["three\nlines", "\nbody\n\n", "three lines", "body"],
          ["four\n\nof the message", "of the body", "four", "of the message\n\nof the body"]
        ]
        for (const [index, [message, body, head, rest]] of texts.entries()) {
          yield* workspace.write(tree, "count.txt", String(index))
          const record = yield* workspace.show(yield* workspace.commit(tree, { message, body }))
          assert.deepEqual([record.message, record.body], [head, rest])
        }
      }).pipe(Effect.scoped)
  ),

  check(
    "a tree that is kept is listed, can be dropped, and is swept with its run",
    (workspace) =>
      Effect.gen(function*() {
        const base = yield* workspace.resolve("HEAD")
        const keep = Effect.succeed(true)
        const kept = (run: string, node: string) => Effect.scoped(workspace.open({ run, node, base, keep }))
        const [one, two, other] = [
          yield* kept("run", "one"),
          yield* kept("run", "Two words"),
          yield* kept("other", "one")
        ]
        const open = yield* workspace.open({ run: "run", node: "open", base })
        const listed = [...yield* workspace.trees].map(({ node, owner, path, run }) => [run, node, owner, path])
        assert.deepEqual(
          listed,
          [
            ["other", "one", "left", other.path],
            ["run", "one", "left", one.path],
            ["run", "open", "open", open.path],
            ["run", "Two words", "left", two.path]
          ]
        )
        assert.equal(yield* reasonOf(workspace.drop({ run: "run", node: "open" })), "TreeInUse")
        assert.equal(yield* workspace.drop({ run: "run", node: "one" }), true)
        assert.equal(yield* workspace.drop({ run: "run", node: "one" }), false)
        assert.equal(yield* workspace.drop({ run: "run", node: "never opened" }), false)
        assert.deepEqual(yield* workspace.sweep("run"), [two.path])
        assert.deepEqual((yield* workspace.trees).map(({ path }) => path), [other.path, open.path])
        assert.equal(yield* workspace.resolve(two.branch!), base)
      }).pipe(Effect.scoped)
  )
]
