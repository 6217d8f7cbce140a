/** A git repository of its own for a test, and what the test needs to know of it. */
import { Effect, Layer } from "effect"
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as Path from "node:path"
import { Checkout } from "../../../src/testing/WorkspaceSuite.ts"
import type { Guard, Tree, Workspace } from "../../../src/Workspace.ts"
import * as GitWorktree from "../../../src/workspace/GitWorktree.ts"

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
  Effect.acquireRelease(
    Effect.sync((): GitSource => {
      const home = fs.realpathSync(fs.mkdtempSync(Path.join(os.tmpdir(), "espalier test ")))
      const repository = Path.join(home, "the source")
      fs.mkdirSync(repository)
      const write = (file: string, content: string) => {
        fs.mkdirSync(Path.dirname(Path.join(repository, file)), { recursive: true })
        fs.writeFileSync(Path.join(repository, file), content)
      }
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
    }),
    (source) => Effect.sync(() => fs.rmSync(source.home, { recursive: true, force: true }))
  )

const hash = (content: Buffer | string): string => createHash("sha256").update(content).digest("hex")

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

/** Changes a file as a program in the tree would. */
export const editTree = (tree: Tree, file: string, content: string | undefined) =>
  Effect.sync(() => {
    const path = Path.join(tree.path, file)
    if (content === undefined) return fs.rmSync(path)
    fs.mkdirSync(Path.dirname(path), { recursive: true })
    fs.writeFileSync(path, content)
  })

/** The layer that the suite asks for. */
export const subjectLayer = (
  files: Readonly<Record<string, string>>,
  guard: Guard
): Layer.Layer<Workspace | Checkout> =>
  Layer.unwrap(Effect.map(gitSource(files), (source) =>
    Layer.merge(
      GitWorktree.layer({ ...source.options, ...guard }),
      Layer.succeed(
        Checkout,
        Checkout.of({
          write: (file, content) => Effect.sync(() => source.write(file, content)),
          editTree,
          fingerprint: Effect.sync(() => fingerprint(source))
        })
      )
    )))
