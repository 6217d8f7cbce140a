import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as Path from "node:path"
import { Workspace } from "../../src/Workspace.ts"
import * as Detected from "../../src/workspace/Detected.ts"
import { copySource } from "./support/copySource.ts"
import { git, gitSource } from "./support/gitSource.ts"

describe("the layer of a source", () => {
  it.live("is git for a repository and for a directory in one, and a copy for any other directory", () =>
    Effect.gen(function*() {
      const repository = yield* gitSource({ "src/main.ts": "x\n" })
      const plain = yield* copySource()
      const answers: ReadonlyArray<readonly [string, string, RegExp]> = [
        [repository.repository, "git", /is a git repository, so every experiment gets a git worktree/],
        [Path.join(repository.repository, "src"), "git", /is in the git repository .*the source, so/],
        [plain.source, "copy", /is in no git repository, so every experiment gets a plain copy/]
      ]
      for (const [source, kind, why] of answers) {
        const found = yield* Detected.detect({ source })
        assert.strictEqual(found.kind, kind)
        assert.match(found.why, why)
        const layer = Detected.layer({ source, directory: Path.join(plain.home, "trees") })
        yield* Effect.gen(function*() {
          const workspace = yield* Workspace
          assert.strictEqual((yield* workspace.source).kind, kind)
          const tree = yield* workspace.open({ run: kind, node: "node", base: "HEAD" })
          yield* workspace.write(tree, "new.txt", "x")
          const commit = yield* workspace.commit(tree, { message: "node" })
          assert.match(commit, kind === "git" ? /^[0-9a-f]{40}$/ : /^[0-9a-f]{64}$/)
        }).pipe(Effect.scoped, Effect.provide(layer))
      }
    }).pipe(Effect.scoped))

  it.live("is a copy for a directory of a repository whose commit does not contain it, and says so", () =>
    Effect.gen(function*() {
      const repository = yield* gitSource({ "README.md": "x\n" })
      repository.write("new/main.ts", "x\n")
      const { kind, why } = yield* Detected.detect({ source: Path.join(repository.repository, "new") })
      assert.strictEqual(kind, "copy")
      assert.match(why, /its commit does not contain it/)
    }).pipe(Effect.scoped))

  it.live("is git for a repository without a commit: that is the user's to make, and no reason to copy", () =>
    Effect.gen(function*() {
      const repository = yield* gitSource(undefined)
      assert.strictEqual((yield* Detected.detect({ source: repository.repository })).kind, "git")
    }).pipe(Effect.scoped))

  it.live("is not guessed: a repository without git is an error, a directory without git is a copy", () =>
    Effect.gen(function*() {
      const repository = yield* gitSource({ "README.md": "x\n" })
      const plain = yield* copySource()
      const missing = { git: Path.join(plain.home, "no-git") }
      const error = yield* Effect.flip(Detected.detect({ source: repository.repository, ...missing }))
      assert.strictEqual(error.reason._tag, "GitMissing")
      assert.strictEqual((yield* Detected.detect({ source: plain.source, ...missing })).kind, "copy")
      const nowhere = yield* Effect.flip(Detected.detect({ source: Path.join(plain.home, "nowhere") }))
      assert.strictEqual(nowhere.reason._tag, "NotARepository")
      fs.writeFileSync(Path.join(repository.repository, ".git", "config"), "nonsense [")
      assert.strictEqual(
        (yield* Effect.flip(Detected.detect({ source: repository.repository }))).reason._tag,
        "GitFailed"
      )
    }).pipe(Effect.scoped))

  it.live("works without any git on a plain directory: commits, diffs, branches", () =>
    Effect.gen(function*() {
      const plain = yield* copySource()
      yield* Effect.gen(function*() {
        const workspace = yield* Workspace
        const tree = yield* workspace.open({ run: "run", node: "node", base: "HEAD" })
        yield* workspace.write(tree, "README.md", "changed\n")
        const commit = yield* workspace.commit(tree, { message: "node", body: "why" })
        assert.strictEqual(yield* workspace.resolve("espalier/run/node"), commit)
        assert.strictEqual((yield* workspace.show(commit)).body, "why")
        const { patch } = yield* workspace.diff(tree)
        // And git reads the diff that was made without it.
        git(plain.source, "init", "--quiet")
        fs.writeFileSync(Path.join(plain.home, "patch"), patch)
        git(plain.source, "apply", "--check", Path.join(plain.home, "patch"))
      }).pipe(
        Effect.scoped,
        Effect.provide(Detected.layer({ ...plain.options, git: Path.join(plain.home, "no-git") }))
      )
    }).pipe(Effect.scoped))
})
