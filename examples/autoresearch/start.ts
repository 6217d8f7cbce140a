/**
 * `npm start`: sets the example up under `runs/autoresearch` and runs the loop, or goes on with it.
 *
 *   node --conditions=espalier-source examples/autoresearch/start.ts [DIRECTORY]
 *
 * The working directory gets a copy of `espalier.toml`, the dataset, and the pipeline in a git repository of its own: the
 * experiments' branches are made there, and nothing of this checkout is touched.
 */
import { start } from "@espalier/cli/Program"
import { execFileSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join, relative, resolve } from "node:path"
import { ensureDataset, SPECIFICATION } from "./dataset.ts"

const here = import.meta.dirname
const root = resolve(here, "../..")

/** The pipeline as a repository with one commit that is the same on every machine. */
const prepareRepository = (repository: string): void => {
  if (existsSync(join(repository, ".git"))) return
  cpSync(join(here, "pipeline"), repository, { recursive: true })
  const git = (...args: ReadonlyArray<string>) =>
    execFileSync("git", ["-c", "core.autocrlf=false", "-C", repository, ...args], {
      stdio: ["ignore", "ignore", "inherit"],
      env: {
        ...process.env,
        GIT_AUTHOR_NAME: "Espalier",
        GIT_AUTHOR_EMAIL: "espalier@localhost",
        GIT_COMMITTER_NAME: "Espalier",
        GIT_COMMITTER_EMAIL: "espalier@localhost",
        GIT_AUTHOR_DATE: "2026-01-01T00:00:00Z",
        GIT_COMMITTER_DATE: "2026-01-01T00:00:00Z"
      }
    })
  git("init", "--quiet", "--initial-branch", "main")
  git("add", ".")
  git("commit", "--quiet", "--no-gpg-sign", "--no-verify", "-m", "The pipeline as it was first written")
}

const prepare = async (workdir: string): Promise<void> => {
  mkdirSync(workdir, { recursive: true })
  prepareRepository(join(workdir, "pipeline"))
  const configuration = join(workdir, "espalier.toml")
  if (!existsSync(configuration)) cpSync(join(here, "espalier.toml"), configuration)
  const { madeBecause } = await ensureDataset(join(workdir, "data"), SPECIFICATION)
  if (madeBecause !== undefined) {
    process.stderr.write(`Dataset made in ${relative(process.cwd(), join(workdir, "data"))}\n`)
  }
  writeFileSync(join(workdir, ".gitignore"), "*\n")
}

const workdir = resolve(process.argv[2] ?? join(root, "runs/autoresearch"))

await prepare(workdir)
start(["run", relative(process.cwd(), workdir) || "."])
