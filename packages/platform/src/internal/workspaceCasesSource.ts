/** Cases of the workspace suite: refs, anchors and snapshots of the user's source. */
import * as Effect from "effect/Effect"
import { strict as assert } from "node:assert"
import { type Case, type Check, files, openAt, reasonOf } from "./workspaceCases.ts"

export const sourceCases = (check: Check): ReadonlyArray<Case> => [
  check("a ref that does not exist is named in the error", (workspace) =>
    Effect.gen(function*() {
      for (const ref of ["no-such-branch", "", "-n", "--all", "main\nmain", "0".repeat(40)]) {
        const error = yield* Effect.flip(workspace.resolve(ref))
        assert.equal(error.reason._tag, "UnknownRef")
        assert.ok(error.message.includes(JSON.stringify(ref)), error.message)
        assert.equal((yield* Effect.flip(workspace.anchor({ ref, snapshot: false })))._tag, "WorkspaceError")
        assert.equal(
          yield* reasonOf(Effect.scoped(workspace.open({ run: "run", node: "n", base: ref }))),
          "UnknownRef"
        )
      }
    })),

  check("HEAD, a branch, a full id and a short one name the same commit", (workspace) =>
    Effect.gen(function*() {
      const head = yield* workspace.resolve("HEAD")
      assert.match(head, /^[0-9a-f]{40,64}$/)
      for (const ref of ["main", head, head.slice(0, 12)]) assert.equal(yield* workspace.resolve(ref), head)
    })),

  check(
    "the anchor of a clean source is the commit that the ref names",
    (workspace, checkout) =>
      Effect.gen(function*() {
        const before = yield* checkout.fingerprint
        const head = yield* workspace.resolve("HEAD")
        assert.equal(yield* workspace.anchor({ ref: "HEAD", snapshot: false }), head)
        assert.equal(yield* workspace.anchor({ ref: "main", snapshot: true }), head)
        assert.equal(yield* checkout.fingerprint, before)
      })
  ),

  check(
    "a snapshot holds changed and new files and leaves the checkout alone",
    (workspace, checkout) =>
      Effect.gen(function*() {
        const clean = yield* workspace.resolve("HEAD")
        yield* checkout.write("src/main.ts", "const workers = 9\n")
        yield* checkout.write("new file.txt", "new\n")
        const before = yield* checkout.fingerprint
        const snapshot = yield* workspace.anchor({ ref: "HEAD", snapshot: true })
        assert.equal(yield* workspace.anchor({ ref: "HEAD", snapshot: true }), snapshot)
        assert.notEqual(snapshot, clean)
        const tree = yield* workspace.open({ run: "run", node: "node", base: snapshot })
        assert.equal(yield* workspace.read(tree, "src/main.ts"), "const workers = 9\n")
        assert.equal(yield* workspace.read(tree, "new file.txt"), "new\n")
        assert.equal(yield* workspace.read(tree, "README.md"), files["README.md"])
        assert.equal(yield* checkout.fingerprint, before)
      }).pipe(Effect.scoped)
  ),

  check(
    "a commit other than the checkout's can be anchored while the checkout is unclean",
    (workspace, checkout) =>
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
      })
  )
]

/** Cases for a source whose `HEAD` is what its user committed. */
export const committedCases = (check: Check): ReadonlyArray<Case> => [
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

  check(
    "an unclean source with many files names the first of them and the number of all",
    (workspace, checkout) =>
      Effect.gen(function*() {
        for (let index = 0; index < 50; index++) yield* checkout.write(`new/${index}.txt`, "new\n")
        const error = yield* Effect.flip(workspace.anchor({ ref: "HEAD", snapshot: false }))
        assert.ok(error._tag === "UncleanSource")
        assert.equal(error.total, 50)
        assert.equal(error.files.length, 20)
        assert.match(error.message, /and 30 more/)
      })
  ),

  check("a snapshot is another commit than HEAD", (workspace, checkout) =>
    Effect.gen(function*() {
      yield* checkout.write("new file.txt", "new\n")
      const snapshot = yield* workspace.anchor({ ref: "HEAD", snapshot: true })
      assert.notEqual(snapshot, yield* workspace.resolve("HEAD"))
    }))
]

/** Cases for a source whose `HEAD` is what it holds when somebody asks. */
export const standingCases = (check: Check): ReadonlyArray<Case> => [
  check(
    "HEAD is the source as it stands, with what was changed and added a moment ago",
    (workspace, checkout) =>
      Effect.gen(function*() {
        const first = yield* workspace.resolve("HEAD")
        yield* checkout.write("src/main.ts", "const workers = 9\n")
        yield* checkout.write("new file.txt", "new\n")
        const before = yield* checkout.fingerprint
        const second = yield* workspace.anchor({ ref: "HEAD", snapshot: false })
        assert.notEqual(second, first)
        assert.equal(yield* workspace.resolve("HEAD"), second)
        assert.equal(yield* workspace.resolve("main"), second)
        assert.deepEqual((yield* workspace.show(second)).parents, [first])
        const tree = yield* workspace.open({ run: "run", node: "node", base: second })
        assert.equal(yield* workspace.read(tree, "src/main.ts"), "const workers = 9\n")
        assert.equal(yield* workspace.read(tree, "new file.txt"), "new\n")
        const older = yield* workspace.open({ run: "run", node: "older", base: first })
        assert.equal(yield* workspace.read(older, "src/main.ts"), files["src/main.ts"])
        assert.equal(yield* checkout.fingerprint, before)
      }).pipe(Effect.scoped)
  )
]
