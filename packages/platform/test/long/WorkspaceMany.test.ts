/**
 * 64 experiments prepare at once on one source of 5,000 files: on git worktrees, on plain copies, and, to compare with, in a
 * clone and in a `cp` each. Prints one table; docs/measurements/workspace.md holds one.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile, execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as Path from "node:path"
import { promisify } from "node:util"
import { type Tree, Workspace } from "../../src/Workspace.ts"
import * as GitWorktree from "../../src/workspace/GitWorktree.ts"
import * as PlainCopy from "../../src/workspace/PlainCopy.ts"
import { copySource, fingerprint as fingerprintOfDirectory } from "../process/support/copySource.ts"
import { fingerprint, gitSource, userEnvironment } from "../process/support/gitSource.ts"

const experiments = 64
const files = 5000

/** The same source every time: 5,000 files of 1 to 8 KiB in 100 directories. */
const source = (): Record<string, string> => {
  const found: Record<string, string> = { "src/main.ts": "const workers = 1\nconst batch = 8\n" }
  let state = 1
  const next = () => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648)
  for (let index = 1; index < files; index++) {
    const lines = Array.from(
      { length: 20 + next() % 130 },
      () => `export const value${next()} = ${next()} + ${next()}\n`
    )
    found[`src/part-${index % 10}/group-${index % 100}/file-${index}.ts`] = lines.join("")
  }
  return found
}

/** What a directory takes on the disk, each file counted once however many names it has. */
const diskBytes = (directory: string): number =>
  fs.existsSync(directory)
    ? Number(execFileSync("du", ["-s", "--block-size=1", directory], { encoding: "utf8" }).split("\t")[0])
    : 0

interface Row {
  readonly what: string
  readonly preparedSeconds: number
  readonly removedSeconds: number
  /** All that came to the disk, beside the source. */
  readonly mebibytes: number
}

const seconds = (since: number): number => (performance.now() - since) / 1000

const table = (rows: ReadonlyArray<Row>): string => {
  const head =
    `| ${experiments} at once, ${files} files each | prepared in | each | removed in | disk |\n| --- | ---: | ---: | ---: | ---: |`
  const body = rows.map(({ mebibytes, preparedSeconds, removedSeconds, what }) =>
    `| ${what} | ${preparedSeconds.toFixed(1)} s | ${(preparedSeconds * 1000 / experiments).toFixed(0)} ms | ` +
    `${removedSeconds.toFixed(1)} s | ${mebibytes.toFixed(0)} MiB |`
  )
  return [head, ...body].join("\n")
}

/** Opens, changes, checks and commits, all at once; all trees stand at the same time. */
const prepareAll = Effect.fnUntraced(function*(what: string, measured: ReadonlyArray<string>) {
  const workspace = yield* Workspace
  const before = measured.reduce((sum, directory) => sum + diskBytes(directory), 0)
  const began = performance.now()
  let preparedSeconds = 0
  let mebibytes = 0
  let ended = 0
  const prepared = yield* Effect.scoped(Effect.gen(function*() {
    const base = yield* workspace.anchor({ ref: "HEAD", snapshot: false })
    const prepared = yield* Effect.forEach(
      Array.from({ length: experiments }, (_, index) => index),
      Effect.fnUntraced(function*(index) {
        const tree = yield* workspace.open({ run: "many", node: `experiment-${index}`, base })
        yield* workspace.write(tree, "parameters.json", JSON.stringify({ index }))
        yield* workspace.apply(tree, [{
          _tag: "Patch",
          name: "wider",
          patch: `--- a/src/main.ts\n+++ b/src/main.ts\n@@ -1,2 +1,2 @@\n-const workers = 1\n+const workers = ${
            index + 2
          }\n const batch = 8\n`
        }])
        const changed = yield* workspace.check(tree)
        assert.deepStrictEqual(changed.map(({ file }) => file), ["parameters.json", "src/main.ts"])
        return { tree, commit: yield* workspace.commit(tree, { message: `Experiment ${index}` }) }
      }),
      { concurrency: "unbounded" }
    )
    preparedSeconds = seconds(began)
    mebibytes = (measured.reduce((sum, directory) => sum + diskBytes(directory), 0) - before) / 1024 ** 2
    ended = performance.now()
    return prepared
  }))
  const row: Row = { what, preparedSeconds, removedSeconds: seconds(ended), mebibytes }
  assert.strictEqual(new Set(prepared.map(({ commit }) => commit)).size, experiments)
  assert.deepStrictEqual(yield* workspace.trees, [])
  return { row, prepared: prepared as ReadonlyArray<{ readonly tree: Tree; readonly commit: string }> }
})

/** The same by a command an experiment, all at once. */
const byCommand = Effect.fnUntraced(function*(
  what: string,
  directory: string,
  argv: (target: string) => readonly [string, ...ReadonlyArray<string>]
) {
  const began = performance.now()
  const run = promisify(execFile)
  yield* Effect.promise(() =>
    Promise.all(Array.from({ length: experiments }, (_, index) => {
      const [file, ...args] = argv(Path.join(directory, String(index)))
      return run(file, args, { env: userEnvironment })
    }))
  )
  const preparedSeconds = seconds(began)
  const mebibytes = diskBytes(directory) / 1024 ** 2
  const ended = performance.now()
  yield* Effect.promise(() => fs.promises.rm(directory, { recursive: true }))
  return { what, preparedSeconds, removedSeconds: seconds(ended), mebibytes } satisfies Row
})

describe("64 experiments that prepare at once on one source of 5,000 files", () => {
  it.live("leave the user's checkout alone, meet no lock, and each gets its own commit", () =>
    Effect.gen(function*() {
      const content = source()
      const rows: Array<Row> = []

      const repository = yield* gitSource(content)
      const before = fingerprint(repository)
      const git = yield* prepareAll("git worktrees", [repository.trees, Path.join(repository.repository, ".git")]).pipe(
        Effect.provide(GitWorktree.layer(repository.options))
      )
      rows.push(git.row)
      assert.strictEqual(fingerprint(repository), before)
      for (const [index, { commit, tree }] of git.prepared.entries()) {
        assert.strictEqual(repository.git("show", `${commit}:parameters.json`), JSON.stringify({ index }))
        assert.strictEqual(repository.git("rev-parse", tree.branch!).trim(), commit)
      }
      assert.strictEqual(repository.git("worktree", "list").trim().split("\n").length, 1)
      repository.git("fsck", "--strict", "--no-dangling")

      const directory = yield* copySource(content)
      const untouched = fingerprintOfDirectory(directory.source)
      yield* Effect.gen(function*() {
        const plain = yield* prepareAll("plain copies, the first time", [directory.trees])
        rows.push(plain.row)
        rows.push((yield* prepareAll("plain copies, with the store filled", [directory.trees])).row)
        const workspace = yield* Workspace
        for (const [index, { commit }] of plain.prepared.entries()) {
          yield* Effect.scoped(Effect.gen(function*() {
            const tree = yield* workspace.reopen({ run: "again", node: String(index), commit })
            assert.strictEqual(yield* workspace.read(tree, "parameters.json"), JSON.stringify({ index }))
          })).pipe(Effect.when(Effect.succeed(index % 16 === 0)))
        }
      }).pipe(Effect.provide(PlainCopy.layer(directory.options)))
      assert.strictEqual(fingerprintOfDirectory(directory.source), untouched)

      const clones = Path.join(repository.home, "clones")
      fs.mkdirSync(clones)
      const clone = ["git", "clone", "--quiet"] as const
      rows.push(
        yield* byCommand("`git clone` (objects shared by hard links)", clones, (target) => [
          ...clone,
          repository.repository,
          target
        ])
      )
      fs.mkdirSync(clones)
      rows.push(
        yield* byCommand("`git clone --no-local`", clones, (target) => [
          ...clone,
          "--no-local",
          repository.repository,
          target
        ])
      )
      fs.mkdirSync(clones)
      rows.push(
        yield* byCommand("`cp --recursive`", clones, (target) => ["cp", "--recursive", directory.source, target])
      )

      console.log(`\nThe source: ${(diskBytes(directory.source) / 1024 ** 2).toFixed(0)} MiB\n\n${table(rows)}\n`)
    }).pipe(Effect.scoped))
})
