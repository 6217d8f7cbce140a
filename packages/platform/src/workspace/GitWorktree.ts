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
import * as Path from "node:path"
import { cleanIdentity, makeGit, nobody } from "../internal/git.ts"
import { changedFiles, fromPrefix, showCommit, unseenFiles } from "../internal/gitInspect.ts"
import { branchName, safeName } from "../internal/gitNames.ts"
import {
  anchorSource,
  locateRepository,
  realOrPlanned,
  type Repository,
  requireApart,
  requireOutside,
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
import { policyOf } from "../internal/guard.ts"
import { checkTree } from "../internal/guardCheck.ts"
import { editGuarded, lookGuarded, readGuarded, storePlan, writeGuarded } from "../internal/guardFiles.ts"
import { requireOptions } from "../internal/guardOptions.ts"
import { requireRoot, type Root, rootAt } from "../internal/guardRoot.ts"
import { fileOperation, removeIfEmpty } from "../internal/workspaceFiles.ts"
import { messageText } from "../internal/workspaceMessage.ts"
import {
  type Address,
  claimLeft,
  claimTree,
  forgetTree,
  leaveTree,
  tidyRun,
  treesBelow,
  treesOfRun
} from "../internal/workspaceOwners.ts"
import { planChanges } from "../internal/workspacePlan.ts"
import { type Tree, type TreesOnDisk, Workspace, WorkspaceError } from "../Workspace.ts"

/** Where the source is, and how git is used on it. */
export interface Options extends TreesOnDisk {
  /**
   * The source: the top of a git repository, or a directory in one. In the second case the whole
   * repository is checked for uncommitted changes, checked out and committed, while `Tree.path` (and
   * with it every path of an edit) is the same directory inside the worktree.
   */
  readonly repository: string
  /** The git program. Default `git`, from the PATH. */
  readonly git?: string | undefined
  /** How long a lock that another git process holds is waited for. Default 10 seconds. */
  readonly lockWait?: Duration.Input | undefined
  /** How long one git command may run, with the filters that it starts, before it is ended. Default 10 minutes. */
  readonly timeLimit?: Duration.Input | undefined
}

/** A tree that this process has, from the moment at which it was claimed. */
interface Entry {
  /** Set once it is whole. */
  worktree: Worktree | undefined
  opened: Root | undefined
  readonly path: string
}

/**
 * The workspace of one repository. Fails where an option can never do what it is there for (`OptionRefused`). It touches
 * nothing before its first operation, so that a wrong directory or a missing git is that operation's typed error.
 */
export const make = (options: Options): Effect.Effect<Workspace["Service"], WorkspaceError> =>
  Effect.gen(function*() {
    yield* requireOptions(options)
    const git = makeGit(options.git ?? "git", options.lockWait ?? "10 seconds", options.timeLimit ?? "10 minutes")
    const identity = cleanIdentity(options.identity ?? nobody, nobody)
    const policy = policyOf(options)
    const metadata = yield* Semaphore.make(1)
    const open = new Map<string, Entry>()

    // Found once; a failure is not remembered, so that the user can mend it while the engine waits.
    let found: Repository | undefined
    const repository = Effect.suspend(() =>
      found === undefined
        ? Effect.gen(function*() {
          const located = yield* locateRepository(git, options.repository)
          const trees = yield* directory
          yield* requireApart(trees, Path.join(located.repository, located.prefix))
          yield* requireApart(trees, located.repository)
          yield* requireOutside(trees, located.commonDir)
          return found = located
        })
        : Effect.succeed(found)
    )

    // Git records real paths; ours have to be the same to be found among its own.
    const directory = fileOperation("look at", options.directory, () => realOrPlanned(Path.resolve(options.directory)))
    // A record may be gone, with a cleaning of files that begin with a dot. A branch of ours says whose it is as well.
    const ownTrees = (source: Repository, trees: string) =>
      Effect.map(registeredTrees(git, source, trees), (registered) =>
        new Set(
          registered.filter(({ branch }) => branch?.startsWith("refs/heads/espalier/") === true).map(({ path }) => path)
        ))
    const isOwn = (source: Repository, trees: string, root: string) =>
      Effect.map(ownTrees(source, trees), (own) => own.has(root))
    const worktreeOf = (tree: Tree): Effect.Effect<Worktree, WorkspaceError> =>
      Effect.suspend(() => {
        for (const { opened, path, worktree } of open.values()) {
          if (path !== tree.path || worktree === undefined || opened === undefined) continue
          return Effect.as(requireRoot(opened), worktree)
        }
        return Effect.fail(WorkspaceError.of({ _tag: "TreeClosed", path: tree.path }))
      })

    /** Removes a tree that this process has claimed or that nobody has, its record last. */
    const remove = (source: Repository, trees: string, root: string): Effect.Effect<void, WorkspaceError> =>
      removeWorktree(git, source, trees, metadata, root).pipe(
        Effect.andThen(forgetTree(root)),
        Effect.andThen(fileOperation("remove", Path.dirname(root), () => removeIfEmpty(Path.dirname(root)))),
        Effect.asVoid
      )

    // A finalizer has nobody to fail to. `sweep`, or the next `open`, removes what stays.
    const quietly = Effect.catch((error: WorkspaceError) =>
      Effect.logWarning(`A tree stays behind until the next sweep: ${error.message}`)
    )

    const checkOut = (
      request: Address & {
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
        const entry: Entry = { worktree: undefined, opened: undefined, path }
        // Registered before anything is made, so that an interruption half-way removes what is there.
        yield* Effect.acquireRelease(
          Effect.tap(claimTree(root, request, isOwn(source, trees, root)), Effect.sync(() => open.set(root, entry))),
          () =>
            Effect.flatMap(request.keep ?? Effect.succeed(false), (stays) =>
              // One that is not whole is of no use to anybody.
              stays && entry.worktree !== undefined
                ? leaveTree(root, request, undefined)
                : Effect.onError(remove(source, trees, root), () => Effect.ignore(leaveTree(root, request, undefined))))
              .pipe(quietly, Effect.ensuring(Effect.sync(() => open.delete(root))))
        )
        const standing = !request.adopt ? undefined : yield* adoptWorktree(git, root, commit)
        const worktree = standing ?? (yield* addWorktree(git, source, trees, metadata, {
          path: root,
          branch: branchName(request.run, request.node),
          commit,
          branchMoves: request.branchMoves
        }))
        if (standing === undefined) yield* fill(git, worktree)
        entry.opened = yield* rootAt(root, path)
        entry.worktree = worktree
        return { path, branch: worktree.branch, base: commit, adopted: standing !== undefined }
      })

    const noteWritten = (worktree: Worktree, tree: Tree, file: string) =>
      Effect.sync(() => {
        const prefix = Path.relative(worktree.root, tree.path).split(Path.sep).join("/")
        worktree.written.add(prefix === "" ? file : `${prefix}/${file}`)
      })

    const changedIn = (worktree: Worktree, prefix: string) =>
      Effect.map(changedFiles(git, worktree), (files) =>
        files.map(({ change, file }) => ({ file: fromPrefix(prefix, file), change })))

    return Workspace.of({
      source: Effect.map(repository, (source) => ({
        kind: "git" as const,
        repository: source.repository,
        prefix: source.prefix
      })),
      resolve: (ref) =>
        Effect.flatMap(repository, (source) => resolveRef(git, source, ref)),
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
      read: (tree, file) => Effect.andThen(worktreeOf(tree), readGuarded(tree.path, file, policy)),
      write: (tree, file, content) =>
        Effect.gen(function*() {
          const worktree = yield* worktreeOf(tree)
          yield* noteWritten(worktree, tree, yield* writeGuarded(tree.path, file, content, policy))
        }),
      applyEdit: (tree, edit) =>
        Effect.gen(function*() {
          const worktree = yield* worktreeOf(tree)
          yield* noteWritten(worktree, tree, yield* editGuarded(tree.path, edit, policy))
        }),
      apply: (tree, changes) =>
        Effect.gen(function*() {
          const worktree = yield* worktreeOf(tree)
          const plan = yield* planChanges(changes, policy, lookGuarded(tree.path, policy))
          // Noted first: what an error of the disk leaves in the middle is seen by `changed` all the same.
          for (const file of plan.writes.keys()) yield* noteWritten(worktree, tree, file)
          yield* storePlan(tree.path, plan)
          return plan.applied
        }),
      changed: (tree) =>
        Effect.gen(function*() {
          const worktree = yield* worktreeOf(tree)
          return yield* changedIn(worktree, (yield* repository).prefix)
        }),
      check: (tree) =>
        Effect.gen(function*() {
          const worktree = yield* worktreeOf(tree)
          const { prefix } = yield* repository
          const changed = yield* changedIn(worktree, prefix)
          const found = yield* unseenFiles(git, worktree, prefix)
          yield* checkTree({ path: tree.path, top: worktree.root, changed, found, policy })
          return changed
        }),
      diff: (tree) => Effect.flatMap(worktreeOf(tree), (worktree) => diffTree(git, worktree)),
      commit: (tree, { author, body, message }) =>
        Effect.flatMap(worktreeOf(tree), (worktree) =>
          commitTree(git, worktree, {
            text: messageText(message, body),
            author: author === undefined ? identity : cleanIdentity(author, identity),
            committer: identity
          })),
      show: (ref) =>
        Effect.flatMap(repository, (source) =>
          Effect.flatMap(resolveRef(git, source, ref), (commit) =>
            showCommit(git, source, commit))),
      drop: (address) =>
        Effect.gen(function*() {
          const source = yield* repository
          const trees = yield* directory
          const root = Path.join(trees, safeName(address.run), safeName(address.node))
          const standing = yield* treesOfRun(Path.dirname(root))
          const own = yield* isOwn(source, trees, root)
          if (
            !own && !standing.some(({ path }) =>
              path === root
            )
          ) return false
          yield* claimTree(root, address, Effect.succeed(own))
          yield* Effect.onError(remove(source, trees, root), () => Effect.ignore(leaveTree(root, address, undefined)))
          return true
        }).pipe(Effect.uninterruptible),
      trees: Effect.flatMap(directory, treesBelow),
      sweep: (run) =>
        Effect.gen(function*() {
          const source = yield* repository
          const trees = yield* directory
          const top = Path.join(trees, safeName(run))
          const standing = yield* treesOfRun(top)
          const recorded = [...yield* ownTrees(source, trees)]
          const left = new Set([
            ...standing.filter(({ owner }) => owner === "left").map(({ path }) => path),
            ...recorded.filter((path) => Path.dirname(path) === top && !standing.some((tree) => tree.path === path))
          ])
          const removed: Array<string> = []
          for (const path of [...left].sort()) {
            // Claimed first: another engine may take a tree at this moment. What has a dot is no tree, but what is left of one.
            const node = standing.find((tree) => tree.path === path)?.node ?? Path.basename(path)
            const isTree = !Path.basename(path).startsWith(".")
            const gone = Effect.onError(
              remove(source, trees, path),
              () => isTree ? Effect.ignore(leaveTree(path, { run, node }, undefined)) : Effect.void
            )
            // Whoever interrupts waits for the tree that is at hand: one that is claimed and not removed would be in use until
            // this process ends.
            const isGone = yield* Effect.uninterruptible(
              isTree
                ? Effect.tap(
                  claimLeft(path, { run, node }, isOwn(source, trees, path)),
                  (isOurs) => isOurs ? gone : Effect.void
                )
                : Effect.as(gone, true)
            )
            if (isGone) removed.push(path)
          }
          yield* tidyRun(top)
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
export const layer = (options: Options): Layer.Layer<Workspace, WorkspaceError> =>
  Layer.effect(Workspace, make(options))
