/**
 * The source code that experiments change: one isolated tree for each experiment, a commit for each
 * state that was measured.
 *
 * A tree belongs to the scope that opened it and disappears with it. What was committed in it stays,
 * on the branch `espalier/<run>/<node>`, so a crash costs at most what was not committed yet. The
 * checkout that the user works in is never written: not its files, index, HEAD, stash or config.
 *
 * The layers are `workspace/GitWorktree` (git worktrees), `workspace/PlainCopy` (a directory without source control),
 * `workspace/Detected` (which of the two it is), and `workspace/Memory` (a double without disk and process);
 * `WorkspaceSuite` in `@espalier/platform/testing` binds all of them.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type {
  AppliedFile,
  Change,
  ChangedFile,
  ChangeRefused,
  Edit,
  EditRejected,
  PatchRejected
} from "./internal/workspaceChanges.ts"
import type { UncleanSource, WorkspaceError } from "./internal/workspaceErrors.ts"

export * from "./internal/workspaceChanges.ts"
export * from "./internal/workspaceErrors.ts"

/** An isolated working tree. It is a handle: only the workspace that opened it can act on it. */
export interface Tree {
  /** Absolute path of the directory that edits, builds and jobs see as their root. */
  readonly path: string
  /** The branch that a commit in this tree moves, or undefined where the tree is detached. */
  readonly branch: string | undefined
  /** Full id of the commit that the tree started from; `diff` compares with it. */
  readonly base: string
  /** Whether it stood there already, with all that a build or a job has made in it since. */
  readonly adopted: boolean
}

/** Where the trees come from, said so that a person can check it. */
export interface Source {
  /** What keeps its states. */
  readonly kind: "git" | "copy" | "memory"
  /** Absolute path of its top, which may lie above the directory that was named where that is in a repository. */
  readonly repository: string
  /** The named directory below `repository`, with forward slashes; empty where both are the same. */
  readonly prefix: string
}

/** What a tree holds beyond its base, untracked files included, ignored files left out. */
export interface Diff {
  /** Unified diff, as `git diff` writes it. Empty where nothing changed. */
  readonly patch: string
  readonly filesChanged: number
  readonly insertions: number
  readonly deletions: number
}

/** Who a commit is attributed to. */
export interface Identity {
  readonly name: string
  readonly email: string
}

/** A commit as it was recorded. */
export interface CommitRecord {
  readonly commit: string
  /** What it stands on: one commit, none for a first one, several for a merge. */
  readonly parents: ReadonlyArray<string>
  readonly author: Identity
  /** When it was made, in milliseconds since the epoch. */
  readonly atMillis: number
  /** The first paragraph, as one line. */
  readonly message: string
  /** All that follows it, without the blank lines around it. */
  readonly body: string
}

/** A tree that stands on disk, and whose it is. */
export interface StandingTree {
  readonly path: string
  /** The run and node that it was made for; undefined where no record says so. */
  readonly run: string | undefined
  readonly node: string | undefined
  /**
   * `open`: this process has it open. `elsewhere`: another process that lives has. `left`: whoever had it is dead, or
   * closed it with `keep`, or nobody wrote down who. `unknown`: a process of another machine or container had it.
   */
  readonly owner: "open" | "elsewhere" | "left" | "unknown"
}

/** What every layer lets be changed in its trees: by `write`, `applyEdit` and `apply`, and what `check` accepts. */
export interface Guard {
  /**
   * What may be changed, as globs of paths below the tree: `src`, `lib/*.ts`, `tests/**`. A pattern without wildcards
   * names a file or a directory with all that is in it; one with wildcards has to match the whole path (`*` and `?` within
   * a segment, `**` over any number of them, `[a-z]`, `{a,b}`). Everything when left out.
   */
  readonly editable?: ReadonlyArray<string> | undefined
  /**
   * What may not be changed even so, as globs; upper and lower case count the same, and what lies below a
   * directory that matches is denied too. Nothing when left out. The metadata of git is always denied.
   */
  readonly denied?: ReadonlyArray<string> | undefined
  /** Most bytes that a file may have after a change. Default 8 MiB. */
  readonly maxFileBytes?: number | undefined
  /** Most bytes that all files of one change may have together. Default 32 MiB. */
  readonly maxChangeBytes?: number | undefined
}

/** What the layers take beside the guard that make their trees on a disk. */
export interface TreesOnDisk extends Guard {
  /**
   * Where the trees are made, and the store of plain copies is kept. Created when needed; may lie in the source, but not be
   * or hold it (`DirectoryRefused`). Used for nothing else: what stands in the place of a tree and is none is `PlaceTaken`.
   */
  readonly directory: string
  /**
   * Places in the source that are not source, such as the engine's own working directory: they are not copied, never count
   * as uncommitted and are left out of snapshots. `directory` is always among them. Relative paths start at the source, or
   * at the top of the repository that it is in.
   */
  readonly excluded?: ReadonlyArray<string> | undefined
  /** Author of the commits, and their committer. Default `Espalier <espalier@localhost>`. */
  readonly identity?: Identity | undefined
}

/**
 * Isolated working trees at commits of one source.
 *
 * Ids of runs and nodes may be any text: they are turned into names of branches and directories
 * without collisions. A run's id must be unique among the runs on one repository, for it owns the
 * branches below `espalier/<run>/`.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { Effect } from "effect"
 * import * as Memory from "@espalier/platform/workspace/Memory"
 * import { Workspace } from "@espalier/platform/Workspace"
 *
 * const experiment = Effect.gen(function*() {
 *   const workspace = yield* Workspace
 *   const base = yield* workspace.anchor({ ref: "HEAD", snapshot: false })
 *   const tree = yield* workspace.open({ run: "search", node: "experiment-1", base })
 *   yield* workspace.write(tree, "parameters.json", JSON.stringify({ batch: 64 }))
 *   yield* workspace.applyEdit(tree, {
 *     name: "wider",
 *     file: "main.ts",
 *     search: "workers = 1",
 *     replace: "workers = 4"
 *   })
 *   const commit = yield* workspace.commit(tree, { message: "experiment-1" })
 *   return { base, commit, diff: yield* workspace.diff(tree) }
 * }).pipe(
 *   Effect.scoped, // the tree is gone afterwards, its commit stays
 *   Effect.provide(Memory.layer({ files: { "main.ts": "const workers = 1\n" } }))
 * )
 *
 * const { base, commit, diff } = await Effect.runPromise(experiment)
 * assert.notEqual(commit, base)
 * assert.equal(diff.filesChanged, 2)
 * ```
 */
export class Workspace extends Context.Service<Workspace, {
  /** Which repository is used, and which directory of it. */
  readonly source: Effect.Effect<Source, WorkspaceError>
  /** The full id of the commit that a branch, tag, `HEAD` or commit id names. */
  resolve(ref: string): Effect.Effect<string, WorkspaceError>
  /**
   * The commit that experiments start from. Where the ref names the commit of the checkout and the
   * checkout has uncommitted changes, fails with `UncleanSource`; or, with `snapshot`, returns a commit
   * that holds tracked and untracked files as they are (ignored ones left out) and leaves the checkout
   * as it is. A ref that names another commit does not depend on the checkout.
   */
  anchor(options: {
    readonly ref: string
    readonly snapshot: boolean
  }): Effect.Effect<string, WorkspaceError | UncleanSource>
  /**
   * A fresh tree at `base`, on the branch of this run and node, until the scope closes. What an
   * earlier attempt left behind (a crash, say) is replaced: its directory goes, the branch moves to
   * `base`. The branch outlives the tree. What else stands there is left alone (`PlaceTaken`).
   *
   * `keep` is asked when the scope closes: where it answers true the tree stays on disk for the next `reopen`,
   * because a job still runs in it.
   */
  open(options: {
    readonly run: string
    readonly node: string
    readonly base: string
    readonly keep?: Effect.Effect<boolean> | undefined
  }): Effect.Effect<Tree, WorkspaceError, Scope.Scope>
  /**
   * A tree at a state that was committed before, to build or launch from after a resume. The branch
   * is not moved: where its head is not `commit`, the tree is detached and `branch` is undefined. A tree of
   * this run and node that stands complete at `commit` (one that was kept, or that a crash left) is taken as it
   * is: a job may be running in it. With `adopt: false` it is made anew all the same. `keep` as for `open`.
   */
  reopen(options: {
    readonly run: string
    readonly node: string
    readonly commit: string
    readonly keep?: Effect.Effect<boolean> | undefined
    readonly adopt?: boolean | undefined
  }): Effect.Effect<Tree, WorkspaceError, Scope.Scope>
  /** The text of a file of the tree (UTF-8). */
  read(tree: Tree, file: string): Effect.Effect<string, WorkspaceError>
  /**
   * Creates or replaces a file. The path stays inside the tree after every symbolic link is followed,
   * and inside what the layer allows to be changed. A file written this way is committed even where
   * `.gitignore` names it.
   */
  write(tree: Tree, file: string, content: string): Effect.Effect<void, WorkspaceError>
  /** Replaces the one place that an edit names; the rest of the file keeps every byte. Guarded as `write` is. */
  applyEdit(tree: Tree, edit: Edit): Effect.Effect<void, EditRejected | WorkspaceError>
  /**
   * Applies changes, in order, each to what those before it left: all of them, or none where one is refused or it is
   * interrupted. Every file
   * that is written, renamed or deleted is guarded as `write` guards it. Returns what became of each file, by path.
   */
  apply(
    tree: Tree,
    changes: ReadonlyArray<Change>
  ): Effect.Effect<ReadonlyArray<AppliedFile>, EditRejected | PatchRejected | WorkspaceError>
  /** The files that differ from the tree's base, committed or not, by path; ignored ones left out. */
  changed(tree: Tree): Effect.Effect<ReadonlyArray<ChangedFile>, WorkspaceError>
  /**
   * Holds the tree as it stands against the guard, for changes that did not come through it: a coding agent edits the
   * files itself. Whatever is changed, and not ignored, must be a plain file or a link that stays in the tree, lie in what
   * may be changed, have a name in UTF-8, and not be too large. Returns what `changed` does. It says what is committed next,
   * not what a program with a shell did elsewhere.
   */
  check(tree: Tree): Effect.Effect<ReadonlyArray<ChangedFile>, ChangeRefused | WorkspaceError>
  /** What the tree holds beyond its base, committed or not. */
  diff(tree: Tree): Effect.Effect<Diff, WorkspaceError>
  /**
   * Commits everything in the tree that is not ignored; it does not `check`. Returns the new commit, or the tree's last
   * commit (its base at first) when nothing changed. `body` is any text; it stands below the message, after a blank line.
   */
  commit(tree: Tree, options: {
    readonly message: string
    readonly body?: string | undefined
    readonly author?: Identity | undefined
  }): Effect.Effect<string, WorkspaceError>
  /** Who made a commit, when, on what, and what was said of it. */
  show(ref: string): Effect.Effect<CommitRecord, WorkspaceError>
  /** Removes the tree of this run and node that was kept or left; its branch stays. Returns whether there was one. */
  drop(options: { readonly run: string; readonly node: string }): Effect.Effect<boolean, WorkspaceError>
  /** The trees that stand on disk, of every run, by path. */
  readonly trees: Effect.Effect<ReadonlyArray<StandingTree>, WorkspaceError>
  /**
   * Removes the trees of this run that nobody has open any more: those that crashes left and those that were kept. A
   * tree that is open here, or in another process that lives, stays; so does one of another machine, for nobody here can
   * tell. Branches stay. Returns the paths that were removed, sorted.
   */
  sweep(run: string): Effect.Effect<ReadonlyArray<string>, WorkspaceError>
}>()("@espalier/platform/Workspace") {}
