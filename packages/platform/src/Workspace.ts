/**
 * The source code that experiments change: one isolated tree for each experiment, a commit for each
 * state that was measured.
 *
 * A tree belongs to the scope that opened it and disappears with it. What was committed in it stays,
 * on the branch `espalier/<run>/<node>`, so a crash costs at most what was not committed yet. The
 * checkout that the user works in is never written: not its files, index, HEAD, stash or config.
 *
 * The layers are `workspace/GitWorktree` (git worktrees) and `workspace/Memory` (a double without
 * disk and process); `WorkspaceSuite` in `@espalier/platform/testing` binds both.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

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
  /** Absolute path of the top of the repository, which may lie above the directory that was named. */
  readonly repository: string
  /** The named directory below `repository`, with forward slashes; empty where both are the same. */
  readonly prefix: string
}

/** A change of one place in one file: `search` is literal text that must occur exactly once. */
export interface Edit {
  /** Name for messages and records. */
  readonly name: string
  /** Path below the tree, with forward slashes. */
  readonly file: string
  readonly search: string
  readonly replace: string
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

/** The directory is not part of a git repository, or does not exist. */
export const NotARepository = Schema.TaggedStruct("NotARepository", {
  directory: Schema.String,
  exists: Schema.Boolean
})

/** The directory lies in a repository whose commit does not contain it (untracked or ignored there). */
export const NotInCommit = Schema.TaggedStruct("NotInCommit", {
  repository: Schema.String,
  prefix: Schema.String,
  commit: Schema.String
})

/** The repository has no commit to start from. */
export const NoCommit = Schema.TaggedStruct("NoCommit", { repository: Schema.String })

/** The name does not lead to a commit. */
export const UnknownRef = Schema.TaggedStruct("UnknownRef", {
  repository: Schema.String,
  ref: Schema.String,
  detail: Schema.String
})

/** A snapshot was asked for, but the checkout stands at another commit than the ref names. */
export const SnapshotElsewhere = Schema.TaggedStruct("SnapshotElsewhere", {
  repository: Schema.String,
  ref: Schema.String,
  commit: Schema.String,
  head: Schema.String
})

/** Repositories inside the tree would be committed as bare links, without their content. */
export const NestedRepository = Schema.TaggedStruct("NestedRepository", {
  directory: Schema.String,
  files: Schema.Array(Schema.String)
})

/** The path leads out of the tree, into its metadata, or out of what may be changed. */
export const PathRefused = Schema.TaggedStruct("PathRefused", {
  file: Schema.String,
  why: Schema.String
})

/** The tree of this run and node is open already: two owners would destroy each other's work. */
export const TreeInUse = Schema.TaggedStruct("TreeInUse", { path: Schema.String })

/** The tree was closed, or was opened by another workspace. */
export const TreeClosed = Schema.TaggedStruct("TreeClosed", { path: Schema.String })

/** The experiment's branch is checked out somewhere that is not this workspace's to remove. */
export const BranchInUse = Schema.TaggedStruct("BranchInUse", {
  branch: Schema.String,
  path: Schema.String
})

/** There is no git to run. */
export const GitMissing = Schema.TaggedStruct("GitMissing", {
  executable: Schema.String,
  detail: Schema.String
})

/** A git command failed in a way that has no name of its own here. */
export const GitFailed = Schema.TaggedStruct("GitFailed", {
  argv: Schema.Array(Schema.String),
  exitCode: Schema.NullOr(Schema.Int),
  signal: Schema.NullOr(Schema.String),
  stderr: Schema.String
})

/** The file system refused an operation. */
export const FileFailed = Schema.TaggedStruct("FileFailed", {
  file: Schema.String,
  operation: Schema.String,
  detail: Schema.String
})

/** Everything that can go wrong with a workspace, apart from an unclean source and a rejected edit. */
export const WorkspaceErrorReason = Schema.Union([
  NotARepository,
  NotInCommit,
  NoCommit,
  UnknownRef,
  SnapshotElsewhere,
  NestedRepository,
  PathRefused,
  TreeInUse,
  TreeClosed,
  BranchInUse,
  GitMissing,
  GitFailed,
  FileFailed
])
/** See the schema of the same name. */
export type WorkspaceErrorReason = typeof WorkspaceErrorReason.Type

const describe = (reason: WorkspaceErrorReason): string => {
  switch (reason._tag) {
    case "NotARepository":
      return reason.exists
        ? `${reason.directory} is not in a git repository. Make it one: ` +
          `cd ${quoted(reason.directory)} && git init && git add . && git commit -m "First state"`
        : `The source directory ${reason.directory} does not exist. Correct the path, or create the repository there.`
    case "NotInCommit":
      return `${reason.prefix} is a directory of the repository ${reason.repository}, but commit ` +
        `${
          short(reason.commit)
        } does not contain it: it is untracked or ignored there. Commit it there, or make it a ` +
        `repository of its own: cd ${quoted(`${reason.repository}/${reason.prefix}`)} && git init && git add . && ` +
        `git commit -m "First state"`
    case "NoCommit":
      return `The repository ${reason.repository} has no commit yet, and an experiment starts from a commit. ` +
        `Make one: cd ${quoted(reason.repository)} && git add . && git commit -m "First state"`
    case "UnknownRef":
      return `${JSON.stringify(reason.ref)} is not a commit of the repository ${reason.repository}` +
        `${reason.detail === "" ? "" : ` (${reason.detail})`}. Name a branch, a tag or a commit that it has: ` +
        `git branch --all, git tag, git log`
    case "SnapshotElsewhere":
      return `A snapshot of the unclean checkout ${reason.repository} was asked for, but it stands at ` +
        `${short(reason.head)} while ${JSON.stringify(reason.ref)} is ${short(reason.commit)}. ` +
        `Take ref = "HEAD" to start from the checkout, or snapshot = false to start from ${JSON.stringify(reason.ref)}`
    case "NestedRepository":
      return `${reason.directory} holds repositories of their own, whose files a commit would leave out: ` +
        `${bounded(reason.files)}. Remove them, ignore them in .gitignore, or add them as submodules`
    case "PathRefused":
      return `The path ${JSON.stringify(reason.file)} is refused: ${reason.why}`
    case "TreeInUse":
      return `The tree ${reason.path} is open already. Close the scope that holds it first, ` +
        `or give the experiment a name of its own`
    case "TreeClosed":
      return `The tree ${reason.path} is not open in this workspace: its scope was closed, or another workspace ` +
        `opened it. Open it again with reopen`
    case "BranchInUse":
      return `The branch ${reason.branch} is checked out at ${reason.path}. Check out another branch there, ` +
        `or give the run a name of its own`
    case "GitMissing":
      return `git could not be started (${reason.executable}: ${reason.detail}). Install git 2.25 or newer, ` +
        `or put it on the PATH`
    case "GitFailed":
      return `${reason.argv.join(" ")} ${
        reason.signal !== null
          ? `was ended by ${reason.signal}`
          : reason.exitCode === null
          ? "failed"
          : `ended with exit code ${reason.exitCode}`
      }: ${reason.stderr.trim() === "" ? "it said nothing" : reason.stderr.trim()}`
    case "FileFailed":
      return `Cannot ${reason.operation} ${reason.file}: ${reason.detail}`
  }
}

const quoted = (path: string): string => /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`

const short = (commit: string): string => commit.slice(0, 12)

const listed = 20

const bounded = (files: ReadonlyArray<string>, total = files.length): string => {
  const shown = files.slice(0, listed).map((file) => JSON.stringify(file)).join(", ")
  return total > listed ? `${shown} and ${total - Math.min(files.length, listed)} more` : shown
}

/**
 * A workspace could not do what it was asked. `reason` says which way, as data
 * (`Effect.catchReason("WorkspaceError", "UnknownRef", ...)`); `message` is for a person and tells
 * what to do.
 */
export class WorkspaceError extends Schema.TaggedError<WorkspaceError>()("WorkspaceError", {
  reason: WorkspaceErrorReason,
  message: Schema.String
}) {
  /** The error with the standard message of its reason. */
  static of(reason: WorkspaceErrorReason): WorkspaceError {
    return new WorkspaceError({ reason, message: describe(reason) })
  }
}

/**
 * The source has changes that no commit holds, so experiments would silently run without them.
 * `files` names the first of them (at most 20), `total` says how many there are.
 */
export class UncleanSource extends Schema.TaggedError<UncleanSource>()("UncleanSource", {
  repository: Schema.String,
  files: Schema.Array(Schema.String),
  total: Schema.Int,
  message: Schema.String
}) {
  /** The error with its standard message. */
  static at(repository: string, files: ReadonlyArray<string>): UncleanSource {
    return new UncleanSource({
      repository,
      files: files.slice(0, listed),
      total: files.length,
      message:
        `The source ${repository} has ${files.length} uncommitted ${files.length === 1 ? "change" : "changes"}: ` +
        `${bounded(files)}. An experiment starts from a commit and would run without them. Commit them (git commit), ` +
        `put them aside (git stash --include-untracked), or set snapshot = true to start from a snapshot of them`
    })
  }
}

/** An edit does not fit the file as it is: its search text must occur exactly once. */
export class EditRejected extends Schema.TaggedError<EditRejected>()("EditRejected", {
  edit: Schema.String,
  file: Schema.String,
  /** How often the search text occurs, overlapping occurrences included; 0 where there is no such file. */
  matches: Schema.Int,
  message: Schema.String
}) {
  /** The error with its standard message. */
  static because(edit: Edit, matches: number, why: string): EditRejected {
    return new EditRejected({
      edit: edit.name,
      file: edit.file,
      matches,
      message: `The edit ${JSON.stringify(edit.name)} does not apply to ${edit.file}: ${why}`
    })
  }
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
   * `base`. The branch outlives the tree.
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
  /** What the tree holds beyond its base, committed or not. */
  diff(tree: Tree): Effect.Effect<Diff, WorkspaceError>
  /**
   * Commits everything in the tree that is not ignored. Returns the new commit, or the tree's last
   * commit (its base at first) when nothing changed.
   */
  commit(tree: Tree, options: {
    readonly message: string
    readonly author?: Identity | undefined
  }): Effect.Effect<string, WorkspaceError>
  /**
   * Removes the trees that crashes left of this run, and no others; trees that are open stay.
   * Branches stay. Returns the paths that were removed, sorted.
   */
  sweep(run: string): Effect.Effect<ReadonlyArray<string>, WorkspaceError>
}>()("@espalier/platform/Workspace") {}
