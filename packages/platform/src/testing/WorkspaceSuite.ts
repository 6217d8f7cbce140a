/**
 * What every workspace must do, as named cases that any test runner can register:
 *
 * ```text
 * for (const { name, effect } of WorkspaceSuite.cases(subject)) it(name, () => Effect.runPromise(effect))
 * ```
 *
 * A case fails by a failed assertion (a defect) or by an error that it did not expect.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import { strict as assert } from "node:assert"
import { type Edit, type EditRejected, type Tree, Workspace, type WorkspaceError } from "../Workspace.ts"

/** The user's own checkout, as the suite plays the user. */
export class Checkout extends Context.Service<Checkout, {
  /** Changes or adds a file and commits nothing. */
  write(file: string, content: string): Effect.Effect<void>
  /** A text that differs when anything of the user's does: files, index, HEAD, branches, stash, config. */
  readonly fingerprint: Effect.Effect<string>
}>()("@espalier/platform/testing/WorkspaceSuite/Checkout") {}

/** The workspace under test. */
export interface Subject {
  /** A fresh workspace on a source whose one commit, on branch `main`, holds these files. */
  readonly layer: (files: Readonly<Record<string, string>>) => Layer.Layer<Workspace | Checkout, unknown>
}

/** One thing that holds for every workspace. */
export interface Case {
  readonly name: string
  readonly effect: Effect.Effect<void, unknown>
}

/** Ids of runs and nodes that break what takes them for a path, a ref, an option or a line. */
export const hostileIds: ReadonlyArray<string> = [
  "",
  " ",
  "two words",
  "-rf",
  "--force",
  ".",
  "..",
  "../../outside",
  "/etc/passwd",
  "a/b",
  "a",
  "A",
  "a.lock",
  "a..b",
  "a.",
  ".hidden",
  "@",
  "@{-1}",
  "HEAD",
  "x~1^2:y",
  "star*?[",
  "back\\slash",
  "quote'\"`$(touch x)",
  "line\nend",
  "tab\tnul\0",
  "ünïcödé",
  "u\u0308",
  "ü",
  "日本語",
  "🌳",
  "\ud800",
  "x".repeat(300)
]

const files = { "src/main.ts": "const workers = 1\nconst batch = 8\n", "README.md": "A pipeline\n" }

const edit = (changes: Partial<Edit>): Edit => ({
  name: "wider",
  file: "src/main.ts",
  search: "workers = 1",
  replace: "workers = 4",
  ...changes
})

const reasonOf = <A, R>(effect: Effect.Effect<A, WorkspaceError | EditRejected, R>) =>
  Effect.map(Effect.flip(effect), (error) => error._tag === "WorkspaceError" ? error.reason._tag : error._tag)

/** The cases for one workspace. Each builds its own, so they may run in any order and at once. */
export const cases = (subject: Subject): ReadonlyArray<Case> => {
  const check = (
    name: string,
    body: (workspace: Workspace["Service"], checkout: Checkout["Service"]) => Effect.Effect<
      void,
      unknown,
      Workspace | Checkout
    >
  ): Case => ({
    name,
    effect: Effect.gen(function*() {
      yield* body(yield* Workspace, yield* Checkout)
    }).pipe(Effect.provide(subject.layer(files)))
  })

  const openAt = (workspace: Workspace["Service"], node: string, run = "run") =>
    Effect.flatMap(workspace.resolve("HEAD"), (base) => workspace.open({ run, node, base }))

  return [
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

    check("a second commit stands on the first, and the diff still compares with the base", (workspace) =>
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
      }).pipe(Effect.scoped)),

    check("a diff counts changed and new files, before and after they are committed", (workspace) =>
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
      }).pipe(Effect.scoped)),

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

    check("opening a node anew starts at the base, whatever an earlier attempt committed", (workspace) =>
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
      })),

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

    check("a ref that does not exist is named in the error", (workspace) =>
      Effect.gen(function*() {
        for (const ref of ["no-such-branch", "", "-n", "--all", "main\nmain", "0".repeat(40)]) {
          const error = yield* Effect.flip(workspace.resolve(ref))
          assert.equal(error.reason._tag, "UnknownRef")
          assert.ok(error.message.includes(JSON.stringify(ref)), error.message)
          assert.equal((yield* Effect.flip(workspace.anchor({ ref, snapshot: false })))._tag, "WorkspaceError")
          assert.equal(yield* reasonOf(Effect.scoped(workspace.open({ run: "run", node: "n", base: ref }))), "UnknownRef")
        }
      })),

    check("HEAD, a branch, a full id and a short one name the same commit", (workspace) =>
      Effect.gen(function*() {
        const head = yield* workspace.resolve("HEAD")
        assert.match(head, /^[0-9a-f]{40,64}$/)
        for (const ref of ["main", head, head.slice(0, 12)]) assert.equal(yield* workspace.resolve(ref), head)
      })),

    check("the anchor of a clean source is the commit that the ref names", (workspace, checkout) =>
      Effect.gen(function*() {
        const before = yield* checkout.fingerprint
        const head = yield* workspace.resolve("HEAD")
        assert.equal(yield* workspace.anchor({ ref: "HEAD", snapshot: false }), head)
        assert.equal(yield* workspace.anchor({ ref: "main", snapshot: true }), head)
        assert.equal(yield* checkout.fingerprint, before)
      })),

    check("an unclean source is refused with its files and a remedy", (workspace, checkout) =>
      Effect.gen(function*() {
        yield* checkout.write("src/main.ts", "const workers = 9\n")
        yield* checkout.write("new file.txt", "new\n")
        const before = yield* checkout.fingerprint
        const error = yield* Effect.flip(workspace.anchor({ ref: "HEAD", snapshot: false }))
        assert.ok(error._tag === "UncleanSource")
        assert.deepEqual([...error.files].sort(), ["new file.txt", "src/main.ts"])
        assert.equal(error.total, 2)
        assert.match(error.message, /snapshot = true/)
        assert.equal(yield* checkout.fingerprint, before)
      })),

    check("an unclean source with many files names the first of them and the number of all", (workspace, checkout) =>
      Effect.gen(function*() {
        for (let index = 0; index < 50; index++) yield* checkout.write(`new/${index}.txt`, "new\n")
        const error = yield* Effect.flip(workspace.anchor({ ref: "HEAD", snapshot: false }))
        assert.ok(error._tag === "UncleanSource")
        assert.equal(error.total, 50)
        assert.equal(error.files.length, 20)
        assert.match(error.message, /and 30 more/)
      })),

    check("a snapshot holds changed and new files and leaves the checkout alone", (workspace, checkout) =>
      Effect.gen(function*() {
        yield* checkout.write("src/main.ts", "const workers = 9\n")
        yield* checkout.write("new file.txt", "new\n")
        const before = yield* checkout.fingerprint
        const snapshot = yield* workspace.anchor({ ref: "HEAD", snapshot: true })
        assert.equal(yield* workspace.anchor({ ref: "HEAD", snapshot: true }), snapshot)
        assert.notEqual(snapshot, yield* workspace.resolve("HEAD"))
        const tree = yield* workspace.open({ run: "run", node: "node", base: snapshot })
        assert.equal(yield* workspace.read(tree, "src/main.ts"), "const workers = 9\n")
        assert.equal(yield* workspace.read(tree, "new file.txt"), "new\n")
        assert.equal(yield* workspace.read(tree, "README.md"), files["README.md"])
        assert.equal(yield* checkout.fingerprint, before)
      }).pipe(Effect.scoped)),

    check("a commit other than the checkout's can be anchored while the checkout is unclean", (workspace, checkout) =>
      Effect.gen(function*() {
        const commit = yield* Effect.scoped(Effect.gen(function*() {
          const tree = yield* openAt(workspace, "node")
          yield* workspace.write(tree, "new.txt", "new\n")
          return yield* workspace.commit(tree, { message: "node" })
        }))
        yield* checkout.write("README.md", "changed\n")
        assert.equal(yield* workspace.anchor({ ref: commit, snapshot: false }), commit)
        const error = yield* Effect.flip(workspace.anchor({ ref: commit, snapshot: true }))
        assert.ok(error._tag === "WorkspaceError" && error.reason._tag === "SnapshotElsewhere")
      })),

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
        const names = ["-rf", "a b", "quote'\"", "line\nend", "日本語/🌳.txt", ":(top)x", "*.ts", "$(touch x)", ".gitkeep"]
        const commit = yield* Effect.scoped(Effect.gen(function*() {
          const tree = yield* openAt(workspace, "node")
          for (const name of names) yield* workspace.write(tree, name, `${name}\n`)
          assert.equal((yield* workspace.diff(tree)).filesChanged, names.length)
          return yield* workspace.commit(tree, { message: "names" })
        }))
        const tree = yield* workspace.reopen({ run: "run", node: "node", commit })
        for (const name of names) assert.equal(yield* workspace.read(tree, name), `${name}\n`)
      }).pipe(Effect.scoped)),

    check("an edit replaces its one match literally and keeps every other character", (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        yield* workspace.write(tree, "odd.txt", "\ufeffone\r\ntwo (.*)\r\nüthree")
        yield* workspace.applyEdit(tree, edit({ file: "odd.txt", search: "two (.*)\r\nü", replace: "$& $1 \\n ✓" }))
        assert.equal((yield* workspace.read(tree, "odd.txt")).replace("\ufeff", ""), "one\r\n$& $1 \\n ✓three")
      }).pipe(Effect.scoped)),

    check("an edit whose text does not occur exactly once is rejected and changes nothing", (workspace) =>
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
      }).pipe(Effect.scoped)),

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

    check("sweeping leaves open trees alone, and finds nothing where nothing was left", (workspace) =>
      Effect.gen(function*() {
        const tree = yield* openAt(workspace, "node")
        assert.deepEqual(yield* workspace.sweep("run"), [])
        assert.deepEqual(yield* workspace.sweep("never started"), [])
        assert.equal(yield* workspace.read(tree, "README.md"), files["README.md"])
      }).pipe(Effect.scoped))
  ]
}
