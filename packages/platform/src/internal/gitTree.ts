/**
 * One worktree: created, filled, committed, removed.
 *
 * Commands inside a tree name its git directory and its root outright. They never let git look for
 * them: where a job or an agent deleted the tree's `.git`, git would find the repository around it
 * and stage and commit in the user's own checkout.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Semaphore from "effect/Semaphore"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import type { Diff, Identity } from "../Workspace.ts"
import { entryAt } from "./files.ts"
import { type Git, type GitPlace, isTornEntry } from "./git.ts"
import { refuseNested, type Repository } from "./gitRepository.ts"
import { WorkspaceError } from "./workspaceErrors.ts"
import { fileOperation, removeWhole } from "./workspaceFiles.ts"

/** A worktree that this process made and has not removed. */
export interface Worktree {
  /** Top of the worktree. */
  readonly root: string
  readonly place: GitPlace
  readonly branch: string | undefined
  readonly base: string
  /** The last commit made through this handle. */
  head: string
  /** Paths below `root` that were written on purpose: committed also where an ignore rule matches. */
  readonly written: Set<string>
}

/** What the repository records about one of its worktrees. */
interface Registered {
  readonly path: string
  /** Full ref name, or undefined where detached. */
  readonly branch: string | undefined
}

/** All worktrees that the repository records, the user's own among them. Ours lie below `directory`. */
export const registeredTrees = (
  git: Git,
  repository: Repository,
  directory: string
): Effect.Effect<ReadonlyArray<Registered>, WorkspaceError> => {
  const list = git.run(repository.place, ["worktree", "list", "--porcelain"])
  const mended = Effect.catchReason(list, "WorkspaceError", "GitFailed", (reason, error) =>
    Effect.gen(function*() {
      if (!isTornEntry(reason.stderr) || !(yield* dropTornEntries(repository, directory))) return yield* error
      return yield* list
    }))
  return Effect.map(mended, (output) => {
    // Only newer versions can end entries with NUL. A path may hold a line end, so an entry begins
    // where a "worktree" line comes first or after an empty one, and its path ends where the next field begins.
    const entry = /(?:^|\n\n)worktree ([\s\S]*?)\n(?:bare|HEAD [0-9a-f]+)(?:\nbranch ([^\n]*))?(?=\n)/g
    return [...output.matchAll(entry)].map((match) => ({ path: match[1]!, branch: match[2] }))
  })
}

/**
 * Removes entries of our own trees that a machine which went down left half written. Git can neither
 * list nor remove such an entry, and fails on every command that reads the list. Returns whether there was one.
 */
const dropTornEntries = (repository: Repository, directory: string): Effect.Effect<boolean, WorkspaceError> => {
  const entries = Path.join(repository.commonDir, "worktrees")
  return fileOperation("mend", entries, async () => {
    let dropped = false
    for (const name of await fs.readdir(entries)) {
      const entry = Path.join(entries, name)
      const read = (file: string) => fs.readFile(Path.join(entry, file), "utf8").catch(() => undefined)
      const ours = (await read("gitdir"))?.startsWith(directory + Path.sep) === true
      if (!ours || await read("commondir") !== "") continue
      await fs.rm(entry, { recursive: true, force: true })
      dropped = true
    }
    return dropped
  })
}

/**
 * Forgets a worktree whose directory is gone already. By name, and not by `git worktree prune`, which
 * would also forget those of the user's that lie on a disk that is not mounted just now. Forced
 * twice, for git locks a tree while it is being made and a crash leaves it locked.
 */
export const forget = (git: Git, repository: Repository, path: string): Effect.Effect<void, WorkspaceError> =>
  Effect.asVoid(git.run(repository.place, ["worktree", "remove", "--force", "--force", path]))

/** Where the tree is checked out to: which branch, and whether that branch moves. */
export interface TreeRequest {
  readonly path: string
  readonly branch: string
  readonly commit: string
  readonly branchMoves: boolean
}

/** Makes an empty worktree in place of whatever was there; `fill` then writes its files. */
export const addWorktree = (
  git: Git,
  repository: Repository,
  directory: string,
  metadata: Semaphore.Semaphore,
  request: TreeRequest
): Effect.Effect<Worktree, WorkspaceError> =>
  Effect.gen(function*() {
    const { path, branch, commit } = request
    yield* removeWhole(path)
    yield* fileOperation("create", Path.dirname(path), () => fs.mkdir(Path.dirname(path), { recursive: true }))
    const attached = yield* metadata.withPermit(Effect.gen(function*() {
      const trees = yield* registeredTrees(git, repository, directory)
      if (trees.some((tree) => tree.path === path)) yield* forget(git, repository, path)
      const elsewhere = yield* checkedOutElsewhere(git, repository, trees, branch, path)
      const head = yield* branchHead(git, repository, branch)
      if (request.branchMoves && elsewhere !== undefined) {
        return yield* WorkspaceError.of({ _tag: "BranchInUse", branch, path: elsewhere.path })
      }
      if (request.branchMoves && head !== undefined) yield* keepSuperseded(git, repository, branch, head, commit)
      const attached = request.branchMoves || (elsewhere === undefined && (head === undefined || head === commit))
      const mode = attached ? ["-B", branch] : ["--detach"]
      yield* git.run(repository.place, ["worktree", "add", "--quiet", "--no-checkout", ...mode, path, commit])
      return attached
    }))
    const gitDir = yield* gitDirOf(path)
    return {
      root: path,
      place: { directory: path, gitDir, workTree: path },
      branch: attached ? branch : undefined,
      base: commit,
      head: commit,
      written: new Set<string>()
    }
  })

/**
 * The worktree that stands at `path` already, if it is whole and at this commit: its index is written last, when
 * every file is there, and a removal gives it another name first. The files themselves are not compared: a job that
 * outlived the engine may work on them at this moment, and must not lose its tree for what it deleted of it. Nothing
 * in it is touched.
 */
export const adoptWorktree = (
  git: Git,
  path: string,
  commit: string
): Effect.Effect<Worktree | undefined, WorkspaceError> =>
  Effect.gen(function*() {
    const gitDir = yield* Effect.option(gitDirOf(path))
    if (gitDir._tag === "None") return undefined
    const place: GitPlace = { directory: path, gitDir: gitDir.value, workTree: path }
    const head = yield* git.attempt(place, ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
    if (head.exitCode !== 0 || head.stdout.trim() !== commit) return undefined
    const index = yield* git.attempt(place, ["diff-index", "--cached", "--quiet", commit, "--"])
    if (index.exitCode !== 0) return undefined
    const branch = yield* git.attempt(place, ["symbolic-ref", "--quiet", "--short", "HEAD"])
    return {
      root: path,
      place,
      branch: branch.exitCode === 0 ? branch.stdout.trim() : undefined,
      base: commit,
      head: commit,
      written: new Set<string>()
    }
  })

/** Writes the files of the commit. Needs no lock: the index and the files are the tree's own. */
export const fill = (git: Git, tree: Worktree): Effect.Effect<void, WorkspaceError> =>
  Effect.asVoid(git.run(tree.place, ["reset", "--hard", "--quiet", "--no-recurse-submodules", tree.base, "--"]))

/** Removes the directory and what the repository records of it. Both may be gone already. */
export const removeWorktree = (
  git: Git,
  repository: Repository,
  directory: string,
  metadata: Semaphore.Semaphore,
  path: string
): Effect.Effect<void, WorkspaceError> =>
  Effect.gen(function*() {
    yield* removeWhole(path)
    yield* metadata.withPermit(Effect.gen(function*() {
      const trees = yield* registeredTrees(git, repository, directory)
      if (trees.some((tree) => tree.path === path)) yield* forget(git, repository, path)
    }))
  })

/**
 * The worktree outside of this workspace that has the branch checked out. A record of one whose
 * directory is gone (a working directory that was moved or deleted after a crash) is dropped: only
 * this engine makes worktrees on its own branches, so it is nobody else's.
 */
const checkedOutElsewhere = (
  git: Git,
  repository: Repository,
  trees: ReadonlyArray<Registered>,
  branch: string,
  path: string
): Effect.Effect<Registered | undefined, WorkspaceError> =>
  Effect.gen(function*() {
    for (const tree of trees) {
      if (tree.branch !== `refs/heads/${branch}` || tree.path === path) continue
      const entry = yield* fileOperation("look at", tree.path, () => entryAt(tree.path))
      if (entry !== undefined) return tree
      yield* forget(git, repository, tree.path)
    }
    return undefined
  })

const branchHead = (
  git: Git,
  repository: Repository,
  branch: string
): Effect.Effect<string | undefined, WorkspaceError> =>
  Effect.map(
    git.attempt(repository.place, ["rev-parse", "--verify", "--quiet", `refs/heads/${branch}^{commit}`]),
    (found) => found.exitCode === 0 ? found.stdout.trim() : undefined
  )

/**
 * A branch that is about to move back may hold commits that nothing else holds: those of an attempt
 * that crashed, or of an older run that had the same name. A ref of their own keeps them from git's garbage collection.
 */
const keepSuperseded = (
  git: Git,
  repository: Repository,
  branch: string,
  head: string,
  commit: string
): Effect.Effect<void, WorkspaceError> =>
  Effect.gen(function*() {
    if (head === commit) return
    const contained = yield* git.attempt(repository.place, ["merge-base", "--is-ancestor", head, commit])
    if (contained.exitCode === 0) return
    const ref = `refs/espalier/superseded/${branch.slice("espalier/".length)}/${head}`
    yield* git.run(repository.place, ["update-ref", ref, head])
  })

/** The tree's git directory, read at once after git wrote it and before anybody else could. */
const gitDirOf = (path: string): Effect.Effect<string, WorkspaceError> =>
  fileOperation("read", Path.join(path, ".git"), async () => {
    const text = await fs.readFile(Path.join(path, ".git"), "utf8")
    const gitDir = /^gitdir: ([\s\S]*?)\r?\n?$/.exec(text)?.[1]
    if (gitDir === undefined) throw new Error(`it does not name a git directory: ${JSON.stringify(text)}`)
    return Path.resolve(path, gitDir)
  })

/** Brings the tree's own index to what its files are. */
const stage = (git: Git, tree: Worktree): Effect.Effect<void, WorkspaceError> =>
  Effect.gen(function*() {
    yield* git.run(tree.place, ["add", "--all", "--", ":(top)"])
    const written: Array<string> = []
    for (const file of tree.written) {
      const path = Path.join(tree.root, file)
      if ((yield* fileOperation("look at", path, () => entryAt(path))) !== undefined) written.push(file)
    }
    if (written.length > 0) {
      const paths = ["--pathspec-from-file=-", "--pathspec-file-nul"]
      yield* git.run(tree.place, ["add", "--force", ...paths], { stdin: written.join("\0"), literalPaths: true })
    }
    yield* refuseNested(git, tree.place, tree.root, tree.base)
  })

/** What the tree holds beyond its base. */
export const diffTree = (git: Git, tree: Worktree): Effect.Effect<Diff, WorkspaceError> =>
  Effect.gen(function*() {
    yield* stage(git, tree)
    const diff = ["diff", "--cached", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color"]
    const counts = (yield* git.run(tree.place, [...diff, "--numstat", "-z", tree.base, "--"]))
      .split("\0")
      .filter((entry) => entry !== "")
      // A binary file counts as changed, with "-" for its lines.
      .map((entry) => entry.split("\t", 2).map((count) => count === "-" ? 0 : Number(count)))
    return {
      patch: yield* git.run(tree.place, [...diff, "--patch", tree.base, "--"]),
      filesChanged: counts.length,
      insertions: counts.reduce((sum, [inserted]) => sum + inserted!, 0),
      deletions: counts.reduce((sum, [, deleted]) => sum + deleted!, 0)
    }
  })

/**
 * Commits the tree on top of the last commit that was made here, whatever HEAD says: an agent in the
 * tree may have moved it. The plumbing commands leave out hooks, templates and editors.
 */
export const commitTree = (
  git: Git,
  tree: Worktree,
  options: { readonly text: string; readonly author: Identity; readonly committer: Identity }
): Effect.Effect<string, WorkspaceError> =>
  Effect.gen(function*() {
    yield* stage(git, tree)
    const content = (yield* git.run(tree.place, ["write-tree"])).trim()
    const before = (yield* git.run(tree.place, ["rev-parse", "--verify", `${tree.head}^{tree}`])).trim()
    if (content === before) return tree.head
    const commit = (yield* git.run(tree.place, ["commit-tree", "-p", tree.head, "-F", "-", content], {
      stdin: options.text,
      author: options.author,
      committer: options.committer,
      atMillis: yield* Clock.currentTimeMillis
    })).trim()
    const reflog = ["-m", "espalier: commit"]
    if (tree.branch === undefined) {
      yield* git.run(tree.place, ["update-ref", ...reflog, "--no-deref", "HEAD", commit])
    } else {
      const ref = `refs/heads/${tree.branch}`
      yield* git.run(tree.place, ["update-ref", ...reflog, ref, commit])
      yield* git.run(tree.place, ["symbolic-ref", ...reflog, "HEAD", ref])
    }
    tree.head = commit
    return commit
  })
