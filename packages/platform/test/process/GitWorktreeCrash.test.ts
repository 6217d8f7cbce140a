import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as Path from "node:path"
import type { Workspace } from "../../src/Workspace.ts"
import type { GitSource } from "./support/gitSource.ts"
import { errorOf, files, isAlive, onSource, open, workspaceAt } from "./support/onSource.ts"

describe("what a crash leaves behind", () => {
  const crash = (source: GitSource, run: string, node: string) =>
    Effect.promise(async () => {
      const engine = spawn(process.execPath, [
        "--conditions=espalier-source",
        Path.join(import.meta.dirname, "support", "crashingEngine.ts"),
        source.repository,
        source.trees,
        run,
        node
      ], { stdio: ["ignore", "pipe", "inherit"] })
      await once(engine.stdout, "data")
      engine.kill("SIGKILL")
      await once(engine, "exit")
    })

  it.live("is replaced by a fresh tree, and what it committed is kept under a ref", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        yield* crash(source, "run", "node")
        const left = source.git("rev-parse", "espalier/run/node").trim()
        assert.isTrue(fs.existsSync(Path.join(source.trees, "run", "node", "dirty.txt")))
        const tree = yield* open(workspace)
        assert.deepStrictEqual(fs.readdirSync(tree.path).sort(), [".git", ".gitignore", "README.md", "src"])
        assert.strictEqual(source.git("rev-parse", "espalier/run/node").trim(), tree.base)
        assert.strictEqual(source.git("rev-parse", `refs/espalier/superseded/run/node/${left}`).trim(), left)
        const again = yield* Effect.scoped(workspace.reopen({ run: "run", node: "other", commit: left }))
        assert.strictEqual(again.base, left)
      }).pipe(Effect.scoped)
    ))

  it.live("is swept for its own run only", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        yield* crash(source, "run", "node")
        yield* crash(source, "another", "node")
        const users = Path.join(source.home, "users own")
        source.git("worktree", "add", "--quiet", "-b", "users-own", users)
        const unmounted = Path.join(source.home, "unmounted")
        source.git("worktree", "add", "--quiet", "-b", "unmounted", unmounted)
        fs.rmSync(unmounted, { recursive: true })
        const path = Path.join(source.trees, "run", "node")
        assert.deepStrictEqual(yield* workspace.sweep("run"), [path])
        assert.deepStrictEqual(yield* workspace.sweep("run"), [])
        assert.deepStrictEqual(fs.readdirSync(source.trees), ["another"])
        const list = source.git("worktree", "list", "--porcelain").split("\n").filter((line) =>
          line.startsWith("worktree ")
        )
        assert.deepStrictEqual(list.map((line) => Path.basename(line)).sort(), [
          "node",
          "the source",
          "unmounted",
          "users own"
        ])
        assert.notStrictEqual(source.git("rev-parse", "espalier/run/node"), source.git("rev-parse", "HEAD"))
      })
    ))

  it.live("can be in any state: locked, without its .git, without its directory, or only an empty directory", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        const path = Path.join(source.trees, "run", "node")
        const states: ReadonlyArray<() => void> = [
          () => source.git("worktree", "lock", path),
          () => fs.rmSync(Path.join(path, ".git")),
          () => fs.rmSync(path, { recursive: true }),
          () => source.git("worktree", "remove", "--force", path) && fs.mkdirSync(path),
          () => fs.writeFileSync(Path.join(source.repository, ".git", "worktrees", "node", "index.lock"), "")
        ]
        for (const leave of states) {
          source.git("worktree", "add", "--quiet", "-B", "espalier/run/node", path)
          leave()
          const content = yield* Effect.scoped(
            Effect.flatMap(open(workspace), (tree) => workspace.read(tree, "README.md"))
          )
          assert.strictEqual(content, "A pipeline\n")
          assert.strictEqual(source.git("worktree", "list").trim().split("\n").length, 1)
        }
      })
    ))

  it.live("may be an entry in git's list that was never finished, on which git itself fails", () =>
    onSource(
      (source, workspace) =>
        Effect.gen(function*() {
          source.git("worktree", "add", "--quiet", "--detach", Path.join(source.trees, "run", "torn"))
          fs.writeFileSync(Path.join(source.repository, ".git", "worktrees", "torn", "commondir"), "")
          // Whoever made it had written down that it is a tree, before it was one.
          fs.writeFileSync(Path.join(source.trees, "run", ".owner-torn.json"), "")
          assert.throws(() => source.git("worktree", "list"), /failed to read/)
          const tree = yield* open(workspace)
          assert.strictEqual(yield* workspace.read(tree, "README.md"), "A pipeline\n")
          assert.deepStrictEqual(yield* workspace.sweep("run"), [Path.join(source.trees, "run", "torn")])
        }).pipe(Effect.scoped),
      files,
      () => ({ lockWait: "50 millis" })
    ))

  it.live("does not block a run whose working directory was deleted or moved away", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        yield* crash(source, "run", "node")
        fs.rmSync(source.trees, { recursive: true })
        const elsewhere = yield* workspaceAt({ ...source.options, directory: Path.join(source.home, "other") })
        const tree = yield* open(elsewhere)
        assert.strictEqual(tree.branch, "espalier/run/node")
        assert.deepStrictEqual(yield* workspace.sweep("run"), [])
      }).pipe(Effect.scoped)
    ))
})

describe("a tree that a resumed run finds", () => {
  const kept = (workspace: Workspace["Service"]) =>
    Effect.scoped(Effect.gen(function*() {
      const tree = yield* workspace.open({ run: "run", node: "node", base: "HEAD", keep: Effect.succeed(true) })
      yield* workspace.write(tree, "parameters.json", "{}")
      return { path: tree.path, commit: yield* workspace.commit(tree, { message: "first" }) }
    }))

  it.live("is taken over as it stands: a job that outlived the engine may have deleted files of it", () =>
    onSource((_, workspace) =>
      Effect.gen(function*() {
        const { commit, path } = yield* kept(workspace)
        fs.rmSync(Path.join(path, "src"), { recursive: true })
        const tree = yield* workspace.reopen({ run: "run", node: "node", commit })
        assert.isTrue(tree.adopted)
        assert.isFalse(fs.existsSync(Path.join(tree.path, "src")))
      }).pipe(Effect.scoped)
    ))

  it.live("is not one whose removal was cut short: that has another name, and is swept", () =>
    onSource((source, workspace) =>
      Effect.gen(function*() {
        const { path } = yield* kept(workspace)
        const run = Path.dirname(path)
        const renamed = yield* Effect.forkChild(
          Effect.callback<string>((resume) => {
            const watcher = fs.watch(run, (_, name) => {
              if (name?.startsWith(".removed-") === true) resume(Effect.succeed(name))
            })
            return Effect.sync(() => watcher.close())
          }),
          { startImmediately: true }
        )
        assert.deepStrictEqual(yield* workspace.sweep("run"), [path])
        const aside = yield* Fiber.join(renamed)
        assert.match(aside, /^\.removed-[0-9a-f]{12}$/)
        fs.mkdirSync(Path.join(run, aside, "src"), { recursive: true })
        assert.deepStrictEqual(yield* workspace.sweep("run"), [Path.join(run, aside)])
        assert.deepStrictEqual(fs.readdirSync(source.trees), [])
        assert.strictEqual(source.git("worktree", "list").trim().split("\n").length, 1)
      })
    ))
})

describe("other git processes", () => {
  /** A git that does what a shell script says before it becomes the real one. */
  const gitThat = (source: GitSource, script: string): string => {
    const file = Path.join(source.home, "git")
    fs.writeFileSync(file, `#!/bin/sh\nhome='${source.home}'\n${script}\nexec git "$@"\n`)
    fs.chmodSync(file, 0o755)
    return file
  }

  it.live("that hold a lock for a moment are waited for", () =>
    onSource(
      (source, workspace) =>
        Effect.gen(function*() {
          const tree = yield* open(workspace)
          assert.strictEqual(yield* workspace.read(tree, "README.md"), "A pipeline\n")
          assert.strictEqual(fs.readFileSync(Path.join(source.home, "tries"), "utf8"), "xx")
        }).pipe(Effect.scoped),
      files,
      (source) => ({
        git: gitThat(
          source,
          `case "$*" in *"worktree add"*)
             if [ "$(cat "$home/tries")" != xx ]; then
               printf x >> "$home/tries"
               echo "fatal: Unable to create '/r/.git/worktrees/node/index.lock': File exists." >&2
               exit 128
             fi;;
           esac`
        )
      })
    ))

  it.live("that hold a lock for ever are named in the error", () =>
    onSource(
      (source, workspace) =>
        Effect.gen(function*() {
          const lock = Path.join(source.repository, ".git", "refs", "heads", "espalier", "run", "node.lock")
          fs.mkdirSync(Path.dirname(lock), { recursive: true })
          fs.writeFileSync(lock, "")
          const error = yield* errorOf(Effect.scoped(open(workspace)))
          assert.strictEqual(error.reason._tag, "GitFailed")
          assert.include(error.message, "node.lock")
          assert.isFalse(fs.existsSync(Path.join(source.trees, "run", "node")))
        }),
      files,
      () => ({ lockWait: "50 millis" })
    ))

  it.live("run from eight workspaces at once on one repository without harm", () =>
    onSource((source) =>
      Effect.gen(function*() {
        const commits = yield* Effect.forEach(["1", "2", "3", "4", "5", "6", "7", "8"], (run) =>
          Effect.gen(function*() {
            const workspace = yield* workspaceAt(source.options)
            const tree = yield* open(workspace, "node", `run-${run}`)
            yield* workspace.write(tree, "parameters.json", run)
            return yield* workspace.commit(tree, { message: run })
          }).pipe(Effect.scoped), { concurrency: "unbounded" })
        for (const [index, commit] of commits.entries()) {
          assert.strictEqual(source.git("show", `${commit}:parameters.json`), String(index + 1))
          assert.strictEqual(source.git("rev-parse", `espalier/run-${index + 1}/node`).trim(), commit)
        }
        source.git("fsck", "--strict", "--no-dangling")
      })
    ))

  it.live("that do not end are ended, with whatever holds their output, and the error says so", () =>
    onSource(
      (source, workspace) =>
        Effect.gen(function*() {
          const error = yield* errorOf(Effect.scoped(open(workspace)))
          assert.strictEqual(error.reason._tag, "GitFailed")
          assert.match(error.message, /reset --hard .* failed: it did not end within 2s and was ended/)
          const pid = Number(fs.readFileSync(Path.join(source.home, "holder"), "utf8"))
          assert.isFalse(isAlive(pid))
          assert.isFalse(fs.existsSync(Path.join(source.trees, "run", "node")))
        }),
      files,
      (source) => ({
        timeLimit: "2 seconds",
        // As a filter does that git started and does not wait for: git is over, and its output still open.
        git: gitThat(source, `case "$*" in *"reset --hard"*) sleep 1000 & echo "$!" > "$home/holder"; exit 0;; esac`)
      })
    ))

  it.live("are ended with all their children when the work is interrupted", () =>
    onSource(
      (source, workspace) =>
        Effect.gen(function*() {
          const started = Path.join(source.home, "started")
          const fiber = yield* Effect.forkChild(Effect.scoped(open(workspace)), { startImmediately: true })
          yield* Effect.callback<void>((resume) => {
            const watcher = fs.watch(source.home, () => {
              if (fs.existsSync(started) && fs.readFileSync(started, "utf8").endsWith("\n")) resume(Effect.void)
            })
            return Effect.sync(() => watcher.close())
          })
          const pids = fs.readFileSync(started, "utf8").trim().split(" ").map(Number)
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(pids.map(isAlive), [false, false])
          assert.isFalse(fs.existsSync(Path.join(source.trees, "run", "node")))
        }),
      files,
      (source) => ({
        git: gitThat(
          source,
          `case "$*" in *"worktree add"*) sleep 1000 & echo "$$ $!" > "$home/started"; wait;; esac`
        )
      })
    ))
})
