/**
 * The user's repository, read and never written, but for objects and refs below `refs/espalier/` and
 * `refs/heads/espalier/`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as Path from "node:path"
import type { Identity, Source } from "../Workspace.ts"
import { entryAt } from "./files.ts"
import { type Git, gitFailed, type GitPlace } from "./git.ts"
import { UncleanSource, WorkspaceError } from "./workspaceErrors.ts"
import { fileOperation, removeDirectory } from "./workspaceFiles.ts"

/** A repository that was found, and how to run git on it. */
export interface Repository extends Omit<Source, "kind"> {
  /** The git directory that all worktrees share. */
  readonly commonDir: string
  /** The checkout; undefined in a bare repository. */
  readonly workTree: string | undefined
  readonly place: GitPlace
}

/** Whether git would find a repository here, by what it looks for. Its own answer does not tell why it found none. */
export const hasRepository = async (directory: string): Promise<boolean> => {
  for (let at = directory;; at = Path.dirname(at)) {
    if (await entryAt(Path.join(at, ".git")) !== undefined) return true
    if (await entryAt(Path.join(at, "HEAD")) !== undefined && await entryAt(Path.join(at, "objects")) !== undefined) {
      return true
    }
    if (at === Path.dirname(at)) return false
  }
}

/** Finds the repository that a directory belongs to. */
export const locateRepository = (git: Git, named: string): Effect.Effect<Repository, WorkspaceError> =>
  Effect.gen(function*() {
    const absolute = Path.resolve(named)
    const directory = yield* Effect.tryPromise({
      try: () => fs.realpath(absolute),
      catch: () => WorkspaceError.of({ _tag: "NotARepository", directory: absolute, exists: false })
    })
    const ask = (...args: ReadonlyArray<string>) =>
      Effect.map(git.run({ directory }, ["rev-parse", ...args]), (output) => output.replace(/\r?\n$/, ""))
    const first = yield* git.attempt({ directory }, ["rev-parse", "--is-bare-repository"])
    if (first.exitCode !== 0) {
      // Found, but refused: by its owner (safe.directory) or a broken config. Git's words say which.
      if (yield* fileOperation("look for a repository in", directory, () => hasRepository(directory))) {
        return yield* gitFailed(["rev-parse", "--is-bare-repository"], first)
      }
      return yield* WorkspaceError.of({ _tag: "NotARepository", directory, exists: true })
    }
    // One question a call: a path may contain a line end, and then two answers cannot be told apart.
    const gitDir = yield* ask("--absolute-git-dir")
    const commonDir = Path.resolve(directory, yield* ask("--git-common-dir"))
    if (first.stdout.trim() === "true") {
      return { repository: gitDir, prefix: "", commonDir, workTree: undefined, place: { directory: gitDir, gitDir } }
    }
    const workTree = yield* ask("--show-toplevel")
    const prefix = (yield* ask("--show-prefix")).replace(/\/$/, "")
    return {
      repository: workTree,
      prefix,
      commonDir,
      workTree,
      place: { directory: workTree, gitDir, workTree }
    }
  })

/** The full id of the commit that a ref names. */
export const resolveRef = (git: Git, repository: Repository, ref: string): Effect.Effect<string, WorkspaceError> =>
  Effect.gen(function*() {
    const unknown = (detail: string) =>
      WorkspaceError.of({ _tag: "UnknownRef", repository: repository.repository, ref, detail })
    // No name of a commit starts with a dash; git would take it for an option.
    if (ref === "" || ref.startsWith("-") || /[\0\n]/.test(ref)) return yield* unknown("no commit can be called this")
    const found = yield* git.attempt(repository.place, ["rev-parse", "--verify", `${ref}^{commit}`])
    if (found.exitCode === 0) return found.stdout.trim()
    const any = yield* git.attempt(repository.place, ["rev-list", "--max-count=1", "--all"])
    if (any.exitCode === 0 && any.stdout.trim() === "") {
      const head = yield* git.attempt(repository.place, ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
      if (head.exitCode !== 0) return yield* WorkspaceError.of({ _tag: "NoCommit", repository: repository.repository })
    }
    return yield* unknown(found.stderr.trim().replace(/^fatal: /, ""))
  })

/** Fails where the directory that the user named is not part of a commit. */
export const requirePrefix = (
  git: Git,
  repository: Repository,
  commit: string
): Effect.Effect<void, WorkspaceError> =>
  Effect.gen(function*() {
    if (repository.prefix === "") return
    const found = yield* git.attempt(repository.place, ["cat-file", "-t", `${commit}:${repository.prefix}`])
    if (found.exitCode === 0 && found.stdout.trim() === "tree") return
    return yield* WorkspaceError.of({
      _tag: "NotInCommit",
      repository: repository.repository,
      prefix: repository.prefix,
      commit
    })
  })

/** Pathspecs for the whole checkout but the places in it that are not source: the engine's own files. */
const sourcePaths = (
  workTree: string,
  excluded: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string>, WorkspaceError> =>
  Effect.gen(function*() {
    const specs: Array<string> = [":(top)"]
    for (const path of excluded) {
      const real = yield* fileOperation("look at", path, () => realOrPlanned(Path.resolve(workTree, path)))
      const relative = Path.relative(workTree, real)
      const outside = relative === ".." || relative.startsWith(`..${Path.sep}`) || Path.isAbsolute(relative)
      if (relative === "" || outside) continue
      specs.push(`:(top,exclude,literal)${relative.split(Path.sep).join("/")}`)
    }
    return specs
  })

/** Fails where the directory for trees is the source, or above it. Both are real paths. */
export const requireApart = (directory: string, source: string): Effect.Effect<void, WorkspaceError> => {
  const below = Path.relative(directory, source)
  const isBeside = below === ".." || below.startsWith(`..${Path.sep}`) || Path.isAbsolute(below)
  return isBeside ? Effect.void : Effect.fail(WorkspaceError.of({ _tag: "DirectoryRefused", directory, source }))
}

/** Fails where the directory for trees lies in git's own data: a tree there is taken for a branch, a hook or another worktree. */
export const requireOutside = (directory: string, commonDir: string): Effect.Effect<void, WorkspaceError> => {
  const above = Path.relative(commonDir, directory)
  const isOutside = above === ".." || above.startsWith(`..${Path.sep}`) || Path.isAbsolute(above)
  return isOutside ? Effect.void : Effect.fail(WorkspaceError.of({
    _tag: "OptionRefused",
    field: "directory",
    value: JSON.stringify(directory),
    why: `it lies in git's own data, ${commonDir}. Choose a directory beside the repository, or among its files`
  }))
}

/** The real path of what exists of a path, and the rest of it as it is. */
export const realOrPlanned = async (path: string): Promise<string> => {
  try {
    return await fs.realpath(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || path === Path.dirname(path)) throw error
    return Path.join(await realOrPlanned(Path.dirname(path)), Path.basename(path))
  }
}

/** Files of the checkout that no commit holds as they are: changed, deleted, staged, untracked. */
const uncommitted = (
  git: Git,
  repository: Repository,
  paths: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string>, WorkspaceError> =>
  Effect.map(
    git.run(repository.place, [
      "status",
      "--porcelain=v1",
      "-z",
      "--untracked-files=all",
      "--no-renames",
      "--",
      ...paths
    ]),
    (output) => output.split("\0").filter((entry) => entry !== "").map((entry) => entry.slice(3))
  )

/** What `Workspace.anchor` promises. */
export const anchorSource = (
  git: Git,
  repository: Repository,
  options: {
    readonly ref: string
    readonly snapshot: boolean
    readonly excluded: ReadonlyArray<string>
    readonly identity: Identity
  }
): Effect.Effect<string, WorkspaceError | UncleanSource> =>
  Effect.gen(function*() {
    const commit = yield* resolveRef(git, repository, options.ref)
    const workTree = repository.workTree
    if (workTree === undefined) return commit
    const head = yield* git.attempt(repository.place, ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
    const atHead = head.stdout.trim() === commit
    // Another commit than the checkout's: what lies in the checkout plays no part, unless it was asked for.
    if (!atHead && !options.snapshot) {
      yield* requirePrefix(git, repository, commit)
      return commit
    }
    const paths = yield* sourcePaths(workTree, options.excluded)
    const files = yield* uncommitted(git, repository, paths)
    if (files.length === 0) {
      yield* requirePrefix(git, repository, commit)
      return commit
    }
    if (!options.snapshot) return yield* UncleanSource.at(repository.repository, files)
    if (!atHead) {
      return yield* WorkspaceError.of({
        _tag: "SnapshotElsewhere",
        repository: repository.repository,
        ref: options.ref,
        commit,
        head: head.stdout.trim()
      })
    }
    const snapshot = yield* takeSnapshot(git, repository, commit, paths, options.identity)
    yield* requirePrefix(git, repository, snapshot)
    return snapshot
  })

/**
 * Commits the checkout as it is, by way of a copy of its index: the index itself, HEAD and the files
 * stay as they are. A copy, and not an index read from HEAD, because the index knows which
 * files a sparse checkout left out on purpose. The same state gives the same commit again: its ref is
 * named for its content.
 */
const takeSnapshot = (
  git: Git,
  repository: Repository,
  head: string,
  paths: ReadonlyArray<string>,
  identity: Identity
): Effect.Effect<string, WorkspaceError> =>
  Effect.scoped(Effect.gen(function*() {
    const scratch = yield* Effect.acquireRelease(
      fileOperation("create", "a temporary directory", () => fs.mkdtemp(Path.join(os.tmpdir(), "espalier-index-"))),
      (path) =>
        Effect.catch(removeDirectory(path), (error) =>
          Effect.logWarning(`A temporary directory stays behind: ${error.message}`))
    )
    const indexFile = Path.join(scratch, "index")
    const place: GitPlace = { ...repository.place, indexFile }
    const gitDir = repository.place.gitDir ?? repository.commonDir
    yield* fileOperation("copy", Path.join(gitDir, "index"), async () => {
      if (await entryAt(Path.join(gitDir, "index")) === undefined) {
        return
      }
      await fs.copyFile(Path.join(gitDir, "index"), indexFile)
    })
    yield* git.run(place, ["add", "--all", "--", ...paths])
    yield* refuseNested(git, place, repository.repository, head)
    const tree = (yield* git.run(place, ["write-tree"])).trim()
    if (tree === (yield* git.run(repository.place, ["rev-parse", `${head}^{tree}`])).trim()) {
      return head
    }
    const ref = `refs/espalier/snapshots/${head.slice(0, 12)}-${tree}`
    const taken = yield* git.attempt(repository.place, ["rev-parse", "--verify", "--quiet", `${ref}^{commit}`])
    if (taken.exitCode === 0) {
      return taken.stdout.trim()
    }
    const atMillis = yield* Clock.currentTimeMillis
    const commit = (yield* git.run(place, ["commit-tree", "-p", head, "-F", "-", tree], {
      stdin: `Snapshot of the working tree at ${head.slice(0, 12)}\n`,
      author: identity,
      committer: identity,
      atMillis
    })).trim()
    // Without a ref the commit would be garbage to git, and gone one day.
    yield* git.run(repository.place, ["update-ref", "-m", "espalier: snapshot", ref, commit])
    return commit
  }))

/** Fails where the index holds a repository of its own that `parent` does not: a commit would hold only its id. */
export const refuseNested = (
  git: Git,
  place: GitPlace,
  directory: string,
  parent: string
): Effect.Effect<void, WorkspaceError> =>
  Effect.gen(function*() {
    const raw = yield* git.run(place, [
      "diff-index",
      "--cached",
      "--raw",
      "-z",
      "--no-renames",
      "--diff-filter=AT",
      parent,
      "--"
    ])
    const fields = raw.split("\0")
    const nested: Array<string> = []
    for (let index = 0; index + 1 < fields.length; index += 2) {
      // ":<mode before> <mode after> <id> <id> <status>", then the path. 160000 is a link to a repository.
      const [, modeAfter] = fields[index]!.split(" ")
      if (modeAfter === "160000" && !(yield* isDeclared(place, fields[index + 1]!))) nested.push(fields[index + 1]!)
    }
    if (nested.length > 0) return yield* WorkspaceError.of({ _tag: "NestedRepository", directory, files: nested })
  })

/** A submodule is a nested repository that somebody declared: its link is meant. */
const isDeclared = (place: GitPlace, path: string): Effect.Effect<boolean, WorkspaceError> => {
  const file = Path.join(place.workTree ?? place.directory, ".gitmodules")
  return fileOperation("read", file, async () => {
    if (await entryAt(file) === undefined) return false
    const lines = (await fs.readFile(file, "utf8")).split("\n")
    return lines.some((line) => /^\s*path\s*=\s*(.*?)\s*$/.exec(line)?.[1] === path)
  })
}
