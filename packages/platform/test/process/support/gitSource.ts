/** A git repository of its own for a test, and what the test needs to know of it. */
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as Path from "node:path"
import type { Guard } from "../../../src/Workspace.ts"
import * as GitWorktree from "../../../src/workspace/GitWorktree.ts"
import { checkedOut, hash, userDirectory } from "./source.ts"

/** The environment of a user's shell: an identity, and no repository or config from outside. */
export const userEnvironment: NodeJS.ProcessEnv = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_"))),
  GIT_AUTHOR_NAME: "Ada",
  GIT_AUTHOR_EMAIL: "ada@example.org",
  GIT_COMMITTER_NAME: "Ada",
  GIT_COMMITTER_EMAIL: "ada@example.org",
  GIT_OPTIONAL_LOCKS: "0",
  LC_ALL: "C"
}

export const git = (directory: string, ...args: ReadonlyArray<string>): string =>
  execFileSync("git", args, {
    cwd: directory,
    env: userEnvironment,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"]
  })

export interface GitSource {
  readonly home: string
  readonly repository: string
  readonly trees: string
  readonly write: (file: string, content: string) => void
  readonly git: (...args: ReadonlyArray<string>) => string
  readonly options: GitWorktree.Options
}

/** Makes a repository on branch `main`; without files it has no commit. Removed with the scope. */
export const gitSource = (files: Readonly<Record<string, string>> | undefined) =>
  Effect.map(userDirectory, ({ home, source: repository, write }): GitSource => {
    git(repository, "init", "--quiet", "-b", "main")
    if (files !== undefined) {
      for (const [file, content] of Object.entries(files)) write(file, content)
      git(repository, "add", "--all")
      git(repository, "commit", "--quiet", "-m", "First state")
    }
    const trees = Path.join(home, "work", "worktrees")
    return {
      home,
      repository,
      trees,
      write,
      git: (...args) => git(repository, ...args),
      options: { repository, directory: trees }
    }
  })

/** Everything of the user's that the engine must leave alone, as one text. */
export const fingerprint = (source: GitSource): string => {
  const index = Path.join(source.repository, ".git", "index")
  const ownRefs = source.git("for-each-ref", "--format=%(refname) %(objectname)")
    .split("\n").filter((line) => !/^refs\/(?:heads\/)?espalier\//.test(line))
  const files = fs.readdirSync(source.repository, { recursive: true, withFileTypes: true })
    .map((entry) => Path.join(entry.parentPath, entry.name))
    .filter((path) => !path.startsWith(Path.join(source.repository, ".git")) && fs.lstatSync(path).isFile())
    .map((path) => `${path} ${fs.statSync(path).mtimeMs} ${hash(fs.readFileSync(path))}`)
  return JSON.stringify(
    {
      status: source.git("status", "--porcelain"),
      head: fs.readFileSync(Path.join(source.repository, ".git", "HEAD"), "utf8"),
      index: fs.existsSync(index) ? `${fs.statSync(index).mtimeMs} ${hash(fs.readFileSync(index))}` : "none",
      config: fs.readFileSync(Path.join(source.repository, ".git", "config"), "utf8"),
      stash: source.git("stash", "list"),
      ownRefs,
      files: files.sort()
    },
    undefined,
    1
  )
}

/** The layer that the suite asks for. */
export const subjectLayer = (files: Readonly<Record<string, string>>, guard: Guard) =>
  checkedOut(gitSource(files), (source) => GitWorktree.layer({ ...source.options, ...guard }), fingerprint)
