/**
 * How a workspace fails: reasons as data, and the words for a person. What a caller needs of it is exported by
 * `Workspace`.
 */
import * as Schema from "effect/Schema"

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
export const TreeInUse = Schema.TaggedStruct("TreeInUse", {
  path: Schema.String,
  /** The other process that has it, where it is another. */
  owner: Schema.optionalKey(Schema.String)
})

/** An option of the layer can never do what it is there for: a pattern that matches nothing, a limit that is no number. */
export const OptionRefused = Schema.TaggedStruct("OptionRefused", {
  field: Schema.String,
  value: Schema.String,
  why: Schema.String
})

/** The tree was closed, or was opened by another workspace. */
export const TreeClosed = Schema.TaggedStruct("TreeClosed", { path: Schema.String })

/** Something stands where a tree would be made, and nothing says that this workspace made it. */
export const PlaceTaken = Schema.TaggedStruct("PlaceTaken", { path: Schema.String })

/** The directory for trees is the source itself, or holds it. */
export const DirectoryRefused = Schema.TaggedStruct("DirectoryRefused", {
  directory: Schema.String,
  source: Schema.String
})

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

/** A file, or all that a change writes together, is larger than the guard allows. */
export const TooLarge = Schema.TaggedStruct("TooLarge", {
  /** The file, or null where it is the sum. */
  file: Schema.NullOr(Schema.String),
  bytes: Schema.Int,
  limitBytes: Schema.Int,
  /** True where the file stands so large in the tree already, so that it was not read. */
  stands: Schema.optionalKey(Schema.Boolean)
})

/** The directory that plain copies would be made of holds more than its limit. */
export const SourceTooLarge = Schema.TaggedStruct("SourceTooLarge", {
  directory: Schema.String,
  bytes: Schema.Int,
  limitBytes: Schema.Int,
  /** What lies directly below it, the largest first, with its size. */
  largest: Schema.Array(Schema.Struct({ name: Schema.String, bytes: Schema.Int }))
})

/** The workspace's own store lacks something that it recorded, or holds something else in its place. */
export const StoreDamaged = Schema.TaggedStruct("StoreDamaged", {
  file: Schema.String,
  detail: Schema.String
})

/** Everything that can go wrong with a workspace, apart from an unclean source and a refused change. */
export const WorkspaceErrorReason = Schema.Union([
  NotARepository,
  NotInCommit,
  NoCommit,
  UnknownRef,
  SnapshotElsewhere,
  NestedRepository,
  PathRefused,
  TreeInUse,
  PlaceTaken,
  DirectoryRefused,
  OptionRefused,
  TreeClosed,
  BranchInUse,
  GitMissing,
  GitFailed,
  FileFailed,
  TooLarge,
  SourceTooLarge,
  StoreDamaged
])
/** See the schema of the same name. */
export type WorkspaceErrorReason = typeof WorkspaceErrorReason.Type

const describe = (reason: WorkspaceErrorReason): string => {
  switch (reason._tag) {
    case "NotARepository":
      return reason.exists
        ? `${reason.directory} is not in a git repository. Make it one: ` +
          `cd ${quoted(reason.directory)} && git init && git add . && git commit -m "First state"`
        : `The source directory ${reason.directory} does not exist. Correct the path, or create it`
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
        `${reason.detail === "" ? "" : ` (${reason.detail})`}. Name HEAD, a branch or a commit that it has ` +
        `(in git: git branch --all, git tag, git log)`
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
      return `The tree ${reason.path} is open already${reason.owner === undefined ? "" : ` in ${reason.owner}`}. ` +
        `Close the scope that holds it first, or give the experiment a name of its own`
    case "PlaceTaken":
      return `${
        quoted(reason.path)
      } stands where a tree would be made, and nothing says that this workspace made it, so ` +
        `it is left as it is. Choose a directory for the trees that is empty and used for nothing else, or move it away`
    case "DirectoryRefused":
      return `The directory for trees ${quoted(reason.directory)} ` +
        `${
          reason.directory === reason.source ? "is the source itself" : `holds the source ${quoted(reason.source)}`
        }, ` +
        `so trees would come in among files that are not theirs. Choose a directory that is empty and used for nothing ` +
        `else, beside the source or below it`
    case "OptionRefused":
      return `The option ${reason.field} of the workspace is refused for ${reason.value}: ${reason.why}`
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
    case "TooLarge":
      if (reason.stands === true) {
        return `The file ${JSON.stringify(reason.file)} is ${reason.bytes} bytes long, and it is not read: ` +
          `${reason.limitBytes} are allowed (maxFileBytes). Replace it as a whole, make it smaller, or allow more`
      }
      return reason.file === null
        ? `The change writes ${reason.bytes} bytes in all, and ${reason.limitBytes} are allowed (maxChangeBytes). ` +
          `Make it smaller, or allow more`
        : `The change makes ${JSON.stringify(reason.file)} ${reason.bytes} bytes long, and ${reason.limitBytes} are ` +
          `allowed (maxFileBytes). Make it smaller, or allow more`
    case "SourceTooLarge":
      return `The source ${reason.directory} holds ${reason.bytes} bytes, and a copy may have ${reason.limitBytes} ` +
        `(maxSourceBytes). Leave out what is not source (ignored), or allow more. The largest in it: ` +
        reason.largest.map(({ bytes, name }) => `${JSON.stringify(name)} (${bytes} bytes)`).join(", ")
    case "StoreDamaged":
      return `The store of states is damaged at ${reason.file}: ${reason.detail}. What was recorded of the states ` +
        `that need it is lost; give the run a directory of its own, or restore the store from a copy`
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
