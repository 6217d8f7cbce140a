/** Tests on a git repository of their own. */
import { Effect } from "effect"
import * as fs from "node:fs"
import type { Workspace, WorkspaceError } from "../../../src/Workspace.ts"
import * as GitWorktree from "../../../src/workspace/GitWorktree.ts"
import { type GitSource, gitSource } from "./gitSource.ts"
import { onWorkspace } from "./source.ts"

export const files = {
  "src/main.ts": "const workers = 1\n",
  "README.md": "A pipeline\n",
  ".gitignore": "ignored/\n*.log\n"
}

/** A test on a repository of its own. */
export const onSource = <E>(
  body: (source: GitSource, workspace: Workspace["Service"]) => Effect.Effect<void, E, Workspace>,
  start: Readonly<Record<string, string>> | "empty" = files,
  options: (source: GitSource) => Partial<GitWorktree.Options> = () => ({})
) =>
  onWorkspace(
    gitSource(start === "empty" ? undefined : start),
    (source) => GitWorktree.layer({ ...source.options, ...options(source) }),
    body
  )

export const open = (workspace: Workspace["Service"], node = "node", run = "run") =>
  workspace.open({ run, node, base: "HEAD" })

export const errorOf = <A, R>(effect: Effect.Effect<A, WorkspaceError, R>) => Effect.flip(effect)

/** A process that ended but was not collected by its new parent yet is dead all the same. */
export const isAlive = (pid: number): boolean => {
  try {
    return !/^\d+ \(.*\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

export const workspaceAt = (options: GitWorktree.Options) => GitWorktree.make(options)
