import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as Path from "node:path"
import type { WorkspaceError } from "../../src/Workspace.ts"
import { fingerprint, git } from "./support/gitSource.ts"
import { errorOf, files, onSource, open, workspaceAt } from "./support/onSource.ts"

describe("a source that cannot be used is refused with a remedy", () => {
  it.live("a directory that is no repository", () =>
    onSource((source) =>
      Effect.gen(function*() {
        fs.mkdirSync(Path.join(source.home, "plain"))
        const workspace = yield* workspaceAt({ ...source.options, repository: Path.join(source.home, "plain") })
        const error = yield* errorOf(workspace.resolve("HEAD"))
        assert.strictEqual(error.reason._tag, "NotARepository")
        assert.match(error.message, /plain is not in a git repository.* git init && git add \. && git commit/)
      })
    ))

  it.live("a directory for trees that is the source, its repository, or above them", () =>
    onSource((source) =>
      Effect.gen(function*() {
        const before = fingerprint(source)
        const below = Path.join(source.repository, "src")
        for (const directory of [source.repository, below, source.home, "/"]) {
          const workspace = yield* workspaceAt({ ...source.options, repository: below, directory })
          const attempts: ReadonlyArray<Effect.Effect<unknown, WorkspaceError>> = [
            Effect.scoped(workspace.open({ run: "src", node: "main.ts", base: "HEAD" })),
            workspace.sweep("src"),
            workspace.resolve("HEAD")
          ]
          for (const attempt of attempts) {
            const error = yield* errorOf(attempt)
            assert.strictEqual(error.reason._tag, "DirectoryRefused")
            assert.match(error.message, /Choose a directory that is empty and used for nothing else/)
          }
        }
        // A tree there would be taken for a branch, a hook or a worktree.
        for (const directory of [".git", ".git/refs", ".git/hooks", ".git/new"]) {
          const place = Path.join(source.repository, directory)
          const workspace = yield* workspaceAt({ ...source.options, directory: place })
          const error = yield* errorOf(Effect.scoped(workspace.open({ run: "refs", node: "mine", base: "HEAD" })))
          assert.deepInclude(error.reason, { _tag: "OptionRefused", field: "directory", value: JSON.stringify(place) })
        }
        assert.strictEqual(fingerprint(source), before)
      })
    ))

  it.live("a directory that does not exist", () =>
    onSource((source) =>
      Effect.gen(function*() {
        const workspace = yield* workspaceAt({ ...source.options, repository: Path.join(source.home, "nowhere") })
        const error = yield* errorOf(workspace.resolve("HEAD"))
        assert.strictEqual(error.reason._tag, "NotARepository")
        assert.match(error.message, /nowhere does not exist/)
      })
    ))

  it.live("a repository without a commit", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        source.write("main.ts", "")
        for (const ref of ["HEAD", "main"]) {
          const error = yield* Effect.flip(workspace.anchor({ ref, snapshot: true }))
          assert.isTrue(error._tag === "WorkspaceError" && error.reason._tag === "NoCommit")
          assert.match(error.message, /has no commit yet.*git add \. && git commit/)
        }
      }), "empty"))

  it.live("a tag that names no commit", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        source.git("tag", "blob", "HEAD:README.md")
        const error = yield* errorOf(workspace.resolve("blob"))
        assert.strictEqual(error.reason._tag, "UnknownRef")
        assert.match(error.message, /"blob" is not a commit/)
      })
    ))

  it.live("a machine without git", () =>
    onSource(
      (_, workspace) =>
        Effect.gen(function*() {
          const error = yield* errorOf(workspace.resolve("HEAD"))
          assert.strictEqual(error.reason._tag, "GitMissing")
          assert.match(error.message, /no-such-git.*Install git/)
        }),
      files,
      () => ({ git: "/no-such-git" })
    ))

  it.live("a repository that git refuses to read, in git's own words", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        fs.appendFileSync(Path.join(source.repository, ".git", "config"), "[broken\n")
        const error = yield* errorOf(workspace.resolve("HEAD"))
        assert.strictEqual(error.reason._tag, "GitFailed")
        assert.match(error.message, /bad config line/)
      })
    ))

  it.live("a directory that the repository around it ignores", () =>
    onSource((source) =>
      Effect.gen(function*() {
        source.write("ignored/pipeline/main.ts", "")
        const repository = Path.join(source.repository, "ignored", "pipeline")
        const workspace = yield* workspaceAt({ ...source.options, repository })
        const error = yield* Effect.flip(workspace.anchor({ ref: "HEAD", snapshot: false }))
        assert.isTrue(error._tag === "WorkspaceError" && error.reason._tag === "NotInCommit")
        assert.match(error.message, /ignored\/pipeline is a directory of the repository .* git init/)
      })
    ))
})

describe("the source may be", () => {
  it.live("a directory inside a repository: it is the tree's root, and the whole repository is the source", () =>
    onSource((source) =>
      Effect.gen(function*() {
        const workspace = yield* workspaceAt({ ...source.options, repository: Path.join(source.repository, "src") })
        assert.deepStrictEqual(yield* workspace.source, { kind: "git", repository: source.repository, prefix: "src" })
        const tree = yield* open(workspace)
        assert.strictEqual(Path.basename(tree.path), "src")
        yield* workspace.write(tree, "main.ts", "const workers = 2\n")
        assert.strictEqual((yield* errorOf(workspace.write(tree, "../README.md", ""))).reason._tag, "PathRefused")
        const commit = yield* workspace.commit(tree, { message: "node" })
        assert.strictEqual(source.git("show", `${commit}:src/main.ts`), "const workers = 2\n")
        source.write("README.md", "changed\n")
        const error = yield* Effect.flip(workspace.anchor({ ref: "HEAD", snapshot: false }))
        assert.strictEqual(error._tag, "UncleanSource")
      }).pipe(Effect.scoped)
    ))

  it.live("a bare repository, which is never unclean", () =>
    onSource((source) =>
      Effect.gen(function*() {
        const repository = Path.join(source.home, "bare.git")
        git(source.home, "clone", "--quiet", "--bare", source.repository, repository)
        const workspace = yield* workspaceAt({ ...source.options, repository })
        const head = yield* workspace.anchor({ ref: "HEAD", snapshot: true })
        assert.strictEqual(head, source.git("rev-parse", "HEAD").trim())
        const tree = yield* open(workspace)
        assert.strictEqual(yield* workspace.read(tree, "README.md"), "A pipeline\n")
      }).pipe(Effect.scoped)
    ))

  it.live("a worktree that the user made, whose branch is HEAD", () =>
    onSource((source) =>
      Effect.gen(function*() {
        const repository = Path.join(source.home, "linked")
        source.git("worktree", "add", "--quiet", "-b", "feature", repository)
        fs.writeFileSync(Path.join(repository, "README.md"), "feature\n")
        git(repository, "commit", "--quiet", "--all", "-m", "feature")
        fs.writeFileSync(Path.join(repository, "new.txt"), "new\n")
        const workspace = yield* workspaceAt({ ...source.options, repository })
        const snapshot = yield* workspace.anchor({ ref: "HEAD", snapshot: true })
        assert.strictEqual(source.git("show", `${snapshot}:README.md`), "feature\n")
        assert.strictEqual(source.git("show", `${snapshot}:new.txt`), "new\n")
        assert.strictEqual(git(repository, "status", "--porcelain"), "?? new.txt\n")
      })
    ))
})

describe("the user's checkout", () => {
  it.live("is left as it is by everything that an experiment does", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        source.write("staged.txt", "staged\n")
        source.git("add", "staged.txt")
        source.write("README.md", "stashed\n")
        source.git("stash", "push", "--quiet", "README.md")
        source.write("src/main.ts", "const workers = 7\n")
        const before = fingerprint(source)
        const base = yield* workspace.anchor({ ref: "HEAD", snapshot: true })
        yield* Effect.scoped(Effect.gen(function*() {
          const tree = yield* workspace.open({ run: "run", node: "node", base })
          yield* workspace.write(tree, "src/main.ts", "const workers = 8\n")
          yield* workspace.diff(tree)
          yield* workspace.commit(tree, { message: "node" })
        }))
        yield* workspace.sweep("run")
        assert.strictEqual(fingerprint(source), before)
      })
    ))

  it.live("stays unharmed when a job deletes the .git of a tree that lies inside of it", () =>
    onSource(
      (source, workspace) =>
        Effect.gen(function*() {
          const before = fingerprint(source)
          const commit = yield* Effect.scoped(Effect.gen(function*() {
            const tree = yield* open(workspace)
            fs.rmSync(Path.join(tree.path, ".git"))
            yield* workspace.write(tree, "src/main.ts", "const workers = 2\n")
            return yield* workspace.commit(tree, { message: "node" })
          }))
          assert.strictEqual(source.git("show", `${commit}:src/main.ts`), "const workers = 2\n")
          assert.strictEqual(source.git("show", `${commit}:README.md`), "A pipeline\n")
          assert.strictEqual(fingerprint(source), before)
          assert.strictEqual(source.git("worktree", "list").trim().split("\n").length, 1)
        }),
      files,
      (source) => ({ directory: Path.join(source.repository, "ignored", "worktrees") })
    ))

  it.live("is not unclean by the engine's own files in it, and a snapshot leaves them out", () =>
    onSource(
      (source, workspace) =>
        Effect.gen(function*() {
          source.write("work/journal.db", "journal\n")
          const tree = yield* open(workspace)
          const head = yield* workspace.anchor({ ref: "HEAD", snapshot: false })
          assert.strictEqual(head, tree.base)
          source.write("new.txt", "new\n")
          const snapshot = yield* workspace.anchor({ ref: "HEAD", snapshot: true })
          assert.strictEqual(
            source.git("diff", "--name-only", head, snapshot),
            "new.txt\n"
          )
        }).pipe(Effect.scoped),
      files,
      (source) => ({
        directory: Path.join(source.repository, "work", "worktrees"),
        excluded: ["work"]
      })
    ))

  it.live("gives a snapshot of what is deleted, executable and staged, without what is ignored", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        source.write("run.sh", "#!/bin/sh\n")
        fs.chmodSync(Path.join(source.repository, "run.sh"), 0o755)
        fs.rmSync(Path.join(source.repository, "README.md"))
        source.write("ignored/secret.txt", "secret\n")
        source.write("job.log", "log\n")
        source.git("add", "run.sh")
        const snapshot = yield* workspace.anchor({ ref: "HEAD", snapshot: true })
        const listed = source.git("ls-tree", "-r", "--format=%(objectmode) %(path)", snapshot).trim().split("\n")
        assert.deepStrictEqual(listed, ["100644 .gitignore", "100755 run.sh", "100644 src/main.ts"])
        source.git("gc", "--quiet", "--prune=now")
        assert.strictEqual(yield* workspace.resolve(snapshot), snapshot)
      })
    ))

  it.live("does not have its hooks, signing, templates or identity used", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        const hooks = [
          "post-checkout",
          "pre-commit",
          "commit-msg",
          "post-commit",
          "reference-transaction",
          "post-index-change"
        ]
        for (const hook of hooks) {
          const file = Path.join(source.repository, ".git", "hooks", hook)
          fs.writeFileSync(file, `#!/bin/sh\ntouch '${source.home}/hook-ran'\n`)
          fs.chmodSync(file, 0o755)
        }
        source.git("config", "commit.gpgSign", "true")
        source.git("config", "gpg.program", "/no-such-program")
        source.git("config", "user.name", "Somebody Else")
        fs.rmSync(Path.join(source.home, "hook-ran"), { force: true })
        const tree = yield* open(workspace)
        yield* workspace.write(tree, "new.txt", "")
        const author = { name: "Planner", email: "planner@example.org" }
        const commit = yield* workspace.commit(tree, { message: "# a comment\n\nbody", author })
        assert.strictEqual(
          source.git("log", "-1", "--format=%an <%ae> %cn <%ce>%n%B", commit),
          "Planner <planner@example.org> Espalier <espalier@localhost>\n# a comment\n\nbody\n\n"
        )
        assert.isFalse(fs.existsSync(Path.join(source.home, "hook-ran")))
      }).pipe(Effect.scoped)
    ))

  it.live("is found also when this process was started by git, with another repository in its environment", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        const names = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"]
        yield* Effect.acquireRelease(
          Effect.sync(() => names.forEach((name) => process.env[name] = Path.join(source.home, "elsewhere"))),
          () => Effect.sync(() => names.forEach((name) => Reflect.deleteProperty(process.env, name)))
        )
        const tree = yield* open(workspace)
        yield* workspace.write(tree, "new.txt", "")
        assert.notStrictEqual(yield* workspace.commit(tree, { message: "node" }), tree.base)
      }).pipe(Effect.scoped)
    ))
})
