/**
 * Workspace on git worktrees: every experiment gets a checkout of its own that shares the objects of
 * the user's repository, so a tree costs its files and not a clone.
 *
 * Trees lie below `<directory>/<run>/<node>`, commits on `espalier/<run>/<node>`, snapshots of
 * an unclean checkout below `refs/espalier/snapshots/`. What a crashed attempt or an older run of the
 * same name had committed on a branch that is used anew stays below `refs/espalier/superseded/`. To see
 * a result: `git log espalier/<run>/<node>`; to be rid of a run: delete its branches.
 *
 * Several experiments may work at once. Only the short commands that change the list of worktrees
 * wait for each other; checking out, staging and committing do not. A lock that another git process
 * holds is waited for.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { cleanIdentity, makeGit } from "../internal/git.ts"
import { branchName, safeName } from "../internal/gitNames.ts"
import {
  anchorSource,
  locateRepository,
  realOrPlanned,
  type Repository,
  requirePrefix,
  resolveRef
} from "../internal/gitRepository.ts"
import {
  addWorktree,
  adoptWorktree,
  commitTree,
  diffTree,
  fill,
  registeredTrees,
  removeWorktree,
  type Worktree
} from "../internal/gitTree.ts"
import { editGuarded, entryAt, fileOperation, readGuarded, writeGuarded } from "../internal/guardFiles.ts"
import { type Identity, type Tree, Workspace, WorkspaceError } from "../Workspace.ts"

/** Where the source is, where trees go, and what may be changed in them. */
export interface Options {
  /**
   * The source: the top of a git repository, or a directory in one. In the second case the whole
   * repository is checked for uncommitted changes, checked out and committed, while `Tree.path` (and
   * with it every path of an edit) is the same directory inside the worktree.
   */
  readonly repository: string
  /** Where the trees are made. Created when needed; may lie in the repository. */
  readonly directory: string
  /**
   * Places in the checkout that are not source, such as the engine's own working directory: they never
   * count as uncommitted and are left out of snapshots. `directory` is always among them. Relative
   * paths start at the top of the repository.
   */
  readonly excluded?: ReadonlyArray<string> | undefined
  /** Path prefixes below the tree that `write` and `applyEdit` may change. Everything when left out. */
  readonly editable?: ReadonlyArray<string> | undefined
  /** Author and committer of the commits. Default `Espalier <espalier@localhost>`. */
  readonly identity?: Identity | undefined
  /** The git program. Default `git`, from the PATH. */
  readonly git?: string | undefined
  /** How long a lock that another git process holds is waited for. Default 10 seconds. */
  readonly lockWait?: Duration.Input | undefined
  /** How long one git command may run, with the filters that it starts, before it is ended. Default 10 minutes. */
  readonly timeLimit?: Duration.Input | undefined
}

const defaultIdentity: Identity = { name: "Espalier", email: "espalier@localhost" }

/**
 * The workspace of one repository. It touches nothing before its first operation, so that a wrong
 * directory or a missing git is that operation's typed error.
 */
export const make = (options: Options): Effect.Effect<Workspace["Service"]> =>
  Effect.gen(function*() {
    const git = makeGit(options.git ?? "git", options.lockWait ?? "10 seconds", options.timeLimit ?? "10 minutes")
    const identity = cleanIdentity(options.identity ?? defaultIdentity, defaultIdentity)
    const metadata = yield* Semaphore.make(1)
    const open = new Map<string, { worktree: Worktree | undefined; readonly path: string }>()

    // Found once; a failure is not remembered, so that the user can mend it while the engine waits.
    let found: Repository | undefined
    const repository = Effect.suspend(() =>
      found === undefined
        ? Effect.tap(locateRepository(git, options.repository), (located) =>
          Effect.sync(() => {
            found = located
          }))
        : Effect.succeed(found)
    )

    // Git records real paths; ours have to be the same to be found among its own.
    const directory = fileOperation("look at", options.directory, () => realOrPlanned(Path.resolve(options.directory)))
    const worktreeOf = (tree: Tree): Effect.Effect<Worktree, WorkspaceError> =>
      Effect.suspend(() => {
        for (const { path, worktree } of open.values()) {
          if (path === tree.path && worktree !== undefined) return Effect.succeed(worktree)
        }
        return Effect.fail(WorkspaceError.of({ _tag: "TreeClosed", path: tree.path }))
      })

    const close = (source: Repository, trees: string, root: string): Effect.Effect<void> =>
      removeWorktree(git, source, trees, metadata, root).pipe(
        Effect.andThen(fileOperation("remove", Path.dirname(root), () => removeIfEmpty(Path.dirname(root)))),
        // A finalizer has nobody to fail to. `sweep`, or the next `open`, removes what stays.
        Effect.catch((error) => Effect.logWarning(`A tree stays behind until the next sweep: ${error.message}`)),
        Effect.andThen(Effect.sync(() => open.delete(root)))
      )

    const checkOut = (
      request: {
        readonly run: string
        readonly node: string
        readonly commit: string
        readonly branchMoves: boolean
        readonly adopt: boolean
        readonly keep: Effect.Effect<boolean> | undefined
      }
    ): Effect.Effect<Tree, WorkspaceError, Scope.Scope> =>
      Effect.gen(function*() {
        const source = yield* repository
        const commit = yield* resolveRef(git, source, request.commit)
        yield* requirePrefix(git, source, commit)
        const trees = yield* directory
        const root = Path.join(trees, safeName(request.run), safeName(request.node))
        const path = Path.join(root, source.prefix)
        const entry: { worktree: Worktree | undefined; readonly path: string } = { worktree: undefined, path }
        // Registered before anything is made, so that an interruption half-way removes what is there.
        yield* Effect.acquireRelease(
          Effect.suspend(() => {
            if (open.has(root)) return Effect.fail(WorkspaceError.of({ _tag: "TreeInUse", path }))
            open.set(root, entry)
            return Effect.void
          }),
          () =>
            Effect.flatMap(request.keep ?? Effect.succeed(false), (stays) =>
              // One that is not whole is of no use to anybody.
              stays && entry.worktree !== undefined
                ? Effect.sync(() => open.delete(root))
                : close(source, trees, root))
        )
        const standing = !request.adopt ? undefined : yield* adoptWorktree(git, root, commit)
        const worktree = standing ?? (yield* addWorktree(git, source, trees, metadata, {
          path: root,
          branch: branchName(request.run, request.node),
          commit,
          branchMoves: request.branchMoves
        }))
        if (standing === undefined) yield* fill(git, worktree)
        entry.worktree = worktree
        return { path, branch: worktree.branch, base: commit, adopted: standing !== undefined }
      })

    const noteWritten = (worktree: Worktree, real: string) =>
      Effect.sync(() => worktree.written.add(Path.relative(worktree.root, real).split(Path.sep).join("/")))

    return Workspace.of({
      source: Effect.map(repository, (source) => ({ repository: source.repository, prefix: source.prefix })),
      resolve: (ref) => Effect.flatMap(repository, (source) => resolveRef(git, source, ref)),
      anchor: ({ ref, snapshot }) =>
        Effect.flatMap(repository, (source) =>
          anchorSource(git, source, {
            ref,
            snapshot,
            identity,
            excluded: [Path.resolve(options.directory), ...(options.excluded ?? [])]
          })),
      open: ({ run, node, base, keep }) => checkOut({ run, node, commit: base, branchMoves: true, adopt: false, keep }),
      reopen: ({ run, node, commit, keep, adopt }) =>
        checkOut({ run, node, commit, branchMoves: false, adopt: adopt ?? true, keep }),
      read: (tree, file) => Effect.andThen(worktreeOf(tree), readGuarded(tree.path, file)),
      write: (tree, file, content) =>
        Effect.gen(function*() {
          const worktree = yield* worktreeOf(tree)
          yield* noteWritten(worktree, yield* writeGuarded(tree.path, file, content, options.editable))
        }),
      applyEdit: (tree, edit) =>
        Effect.gen(function*() {
          const worktree = yield* worktreeOf(tree)
          yield* noteWritten(worktree, yield* editGuarded(tree.path, edit, options.editable))
        }),
      diff: (tree) => Effect.flatMap(worktreeOf(tree), (worktree) => diffTree(git, worktree)),
      commit: (tree, { author, message }) =>
        Effect.flatMap(worktreeOf(tree), (worktree) =>
          commitTree(git, worktree, {
            message,
            author: author === undefined ? identity : cleanIdentity(author, identity),
            committer: identity
          })),
      sweep: (run) =>
        Effect.gen(function*() {
          const source = yield* repository
          const trees = yield* directory
          const top = Path.join(trees, safeName(run))
          const present = yield* fileOperation("list", top, () => childrenOf(top))
          const recorded = (yield* registeredTrees(git, source, trees)).map((tree) => tree.path)
          const left = new Set([...present, ...recorded.filter((path) => Path.dirname(path) === top)])
          const removed = [...left].filter((path) => !open.has(path)).sort()
          for (const path of removed) yield* removeWorktree(git, source, trees, metadata, path)
          yield* fileOperation("remove", top, () => removeIfEmpty(top))
          return removed
        })
    })
  })

/**
 * The layer of `make`.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { execFileSync } from "node:child_process"
 * import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import { Effect } from "effect"
 * import * as GitWorktree from "@espalier/platform/workspace/GitWorktree"
 * import { Workspace } from "@espalier/platform/Workspace"
 *
 * const home = mkdtempSync(join(tmpdir(), "espalier-example-"))
 * const repository = join(home, "pipeline")
 * execFileSync("git", ["init", "--quiet", "-b", "main", repository])
 * writeFileSync(join(repository, "main.ts"), "const workers = 1\n")
 *
 * const program = Effect.gen(function*() {
 *   const workspace = yield* Workspace
 *   const base = yield* workspace.anchor({ ref: "HEAD", snapshot: false })
 *   const tree = yield* workspace.open({ run: "search", node: "first", base })
 *   yield* workspace.write(tree, "parameters.json", "{}")
 *   return yield* workspace.commit(tree, { message: "first" })
 * }).pipe(Effect.scoped, Effect.provide(GitWorktree.layer({ repository, directory: join(home, "worktrees") })))
 *
 * const refused = await Effect.runPromise(Effect.flip(program))
 * assert.match(refused.message, /has no commit yet/)
 *
 * const identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
 * execFileSync("git", ["-C", repository, "add", "."])
 * execFileSync("git", ["-C", repository, ...identity, "commit", "--quiet", "-m", "First state"])
 * const commit = await Effect.runPromise(program)
 * const branch = execFileSync("git", ["-C", repository, "rev-parse", "espalier/search/first"], { encoding: "utf8" })
 * assert.equal(branch.trim(), commit)
 * rmSync(home, { recursive: true, force: true })
 * ```
 */
export const layer = (options: Options): Layer.Layer<Workspace> => Layer.effect(Workspace, make(options))

/** Only real directories: a link in the run's directory is none of ours. */
const childrenOf = async (directory: string): Promise<ReadonlyArray<string>> => {
  if (!(await entryAt(directory))?.isDirectory()) return []
  const entries = await fs.readdir(directory, { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map((entry) => Path.join(directory, entry.name))
}

const removeIfEmpty = async (directory: string): Promise<void> => {
  try {
    await fs.rmdir(directory)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOENT" && code !== "ENOTDIR") throw error
  }
}
