/** What git knows of a tree and of a commit, without staging or writing anything. */
import * as Effect from "effect/Effect"
import * as Path from "node:path"
import type { CommitRecord } from "../Workspace.ts"
import { entryAt } from "./files.ts"
import { type Git, gitFailed } from "./git.ts"
import type { Repository } from "./gitRepository.ts"
import type { Worktree } from "./gitTree.ts"
import { specialFiles } from "./guardCheck.ts"
import type { ChangedFile, Violation } from "./workspaceChanges.ts"
import type { WorkspaceError } from "./workspaceErrors.ts"
import { fileOperation } from "./workspaceFiles.ts"
import { messageParts } from "./workspaceMessage.ts"

const listOf = (output: string): ReadonlyArray<string> => output.split("\0").filter((entry) => entry !== "")

/** Paths below the top of the worktree that ignore rules match and git does not track. */
const ignoredAmong = (
  git: Git,
  tree: Worktree,
  files: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string>, WorkspaceError> =>
  Effect.gen(function*() {
    if (files.length === 0) return []
    const args = ["check-ignore", "-z", "--stdin"]
    const answer = yield* git.attempt(tree.place, args, { stdin: files.join("\0") })
    // 1 says that there is none among them.
    if (answer.exitCode !== 0 && answer.exitCode !== 1) return yield* gitFailed(args, answer)
    return listOf(answer.stdout)
  })

/**
 * The files that differ from the base, by path below the top of the worktree. Asks for what is on disk, so that it does not
 * matter what a program in the tree staged or committed.
 */
export const changedFiles = (git: Git, tree: Worktree): Effect.Effect<ReadonlyArray<ChangedFile>, WorkspaceError> =>
  Effect.gen(function*() {
    const found = new Map<string, ChangedFile["change"]>()
    const diff = ["diff", "--name-status", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", tree.base, "--"]
    const fields = listOf(yield* git.run(tree.place, diff))
    for (let index = 0; index + 1 < fields.length; index += 2) {
      const status = fields[index]!
      found.set(fields[index + 1]!, status === "A" ? "added" : status === "D" ? "deleted" : "changed")
    }
    const others = listOf(
      yield* git.run(tree.place, ["ls-files", "-z", "--others", "--exclude-standard", "--", ":(top)"])
    )
    // With a slash at its end: a repository of its own, whose files git does not look at.
    const untracked = others.map((file) => file.replace(/\/$/, ""))
    // Written on purpose, so they are committed although they are ignored.
    for (const file of yield* ignoredAmong(git, tree, [...tree.written])) {
      const path = Path.join(tree.root, file)
      if ((yield* fileOperation("look at", path, () => entryAt(path))) !== undefined) untracked.push(file)
    }
    for (const file of untracked) found.set(file, found.has(file) ? "changed" : "added")
    return [...found].map(([file, change]): ChangedFile => ({ file, change }))
      .sort((one, other) => one.file < other.file ? -1 : one.file > other.file ? 1 : 0)
  })

/** The path as seen from the directory of the worktree that is the source. */
export const fromPrefix = (prefix: string, file: string): string =>
  prefix === "" ? file : Path.posix.relative(`/${prefix}`, `/${file}`)

/** What `changedFiles` cannot tell: files that git does not see, and files that it was told not to look at. */
export const unseenFiles = (
  git: Git,
  tree: Worktree,
  prefix: string
): Effect.Effect<ReadonlyArray<Violation>, WorkspaceError> =>
  Effect.gen(function*() {
    const found: Array<Violation> = []
    const args = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory", "--", ":(top)"]
    const ignored = new Set(listOf(yield* git.run(tree.place, args)).map((file) => file.replace(/\/$/, "")))
    const special = yield* fileOperation(
      "look through",
      tree.root,
      () => specialFiles(tree.root, (file) => file === ".git" || ignored.has(file))
    )
    const unwanted = new Set(yield* ignoredAmong(git, tree, special))
    for (const file of special) {
      if (unwanted.has(file)) continue
      found.push({ file: fromPrefix(prefix, file), problem: "special", detail: "is no plain file" })
    }
    // Lower case: assumed to be unchanged. S: left out of the checkout, which is a lie where the file is there.
    for (const entry of listOf(yield* git.run(tree.place, ["ls-files", "-z", "-v", "--", ":(top)"]))) {
      const [mark, file] = [entry[0]!, entry.slice(2)]
      if (!/[a-zS]/.test(mark)) continue
      const path = Path.join(tree.root, file)
      const isThere = (yield* fileOperation("look at", path, () => entryAt(path))) !== undefined
      // One that is no UTF-8 is not found by what is shown of it.
      if (mark === "S" && !isThere && !file.includes("\ufffd")) continue
      found.push({ file: fromPrefix(prefix, file), problem: "hidden", detail: "git was told not to look at it" })
    }
    return found
  })

/** A commit as it was recorded. `commit` is a full id. */
export const showCommit = (
  git: Git,
  repository: Repository,
  commit: string
): Effect.Effect<CommitRecord, WorkspaceError> =>
  Effect.gen(function*() {
    const format = "--format=%H%x00%P%x00%an%x00%ae%x00%at%x00%B"
    const args = [
      "log",
      "-1",
      "--no-show-signature",
      "--no-color",
      "--encoding=UTF-8",
      "--no-notes",
      format,
      commit,
      "--"
    ]
    const [id = "", parents = "", name = "", email = "", at = "0", ...text] = (yield* git.run(repository.place, args))
      .split("\0")
    return {
      commit: id,
      parents: parents === "" ? [] : parents.split(" "),
      author: { name, email },
      atMillis: Number(at) * 1000,
      ...messageParts(text.join("\0"))
    }
  })
