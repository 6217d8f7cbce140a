/**
 * A working directory with a small program in a git repository, and the real command run on it in processes of their own.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"

const here = import.meta.dirname
const entry = join(here, "../../src/main.ts")

const started = new Set<ChildProcess>()
const directories = new Set<string>()

// Whatever a test left, also one that failed half-way.
afterAll(() => {
  for (const child of started) child.kill("SIGKILL")
  // A job may still write for a moment into what is being removed.
  for (const directory of directories) {
    rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
})

/** What a job of the program wrote about itself. */
export interface OwnRecord {
  readonly event: "start" | "end"
  readonly at: number
  readonly directory: string
  readonly experiment: string
  readonly hash: string
  readonly parameters: Readonly<Record<string, unknown>>
  readonly exitCode?: number | null
  readonly pid?: number
}

/** How a command ended, and what it had printed. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  readonly millis: number
}

/** A command that was started. */
export interface Started {
  readonly child: ChildProcess
  readonly pid: number
  readonly startedAt: number
  readonly ended: Promise<Ended>
  readonly hasEnded: () => boolean
  readonly stdout: () => string
  readonly stderr: () => string
}

/** The environment of a user's shell: an identity, and nothing of a terminal or of another repository. */
const environment: NodeJS.ProcessEnv = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(?:GIT_|VITEST|NODE_OPTIONS)/.test(name))),
  GIT_AUTHOR_NAME: "Ada",
  GIT_AUTHOR_EMAIL: "ada@example.org",
  GIT_COMMITTER_NAME: "Ada",
  GIT_COMMITTER_EMAIL: "ada@example.org",
  LC_ALL: "C"
}

export const git = (directory: string, ...args: ReadonlyArray<string>): string =>
  execFileSync("git", args, { cwd: directory, env: environment, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })

/** The command, as a person would type it. */
export const commandLine = (...args: ReadonlyArray<string>): ReadonlyArray<string> => [
  process.execPath,
  "--conditions=espalier-source",
  entry,
  ...args
]

/** Starts the command. Its process group is its own, so that a signal to the group is what Ctrl-C is in a terminal. */
export const start = (...args: ReadonlyArray<string>): Started => follow(commandLine(...args))

/** Starts any command line in a process group of its own. */
export const follow = ([program, ...args]: ReadonlyArray<string>, stdin: "ignore" | "pipe" = "ignore"): Started => {
  const startedAt = Date.now()
  const child = spawn(program!, args, {
    cwd: tmpdir(),
    env: environment,
    stdio: [stdin, "pipe", "pipe"],
    detached: true
  })
  started.add(child)
  let stdout = ""
  let stderr = ""
  let over = false
  child.stdout!.setEncoding("utf8").on("data", (text: string) => void (stdout += text))
  child.stderr!.setEncoding("utf8").on("data", (text: string) => void (stderr += text))
  const ended = new Promise<Ended>((resolve) => {
    child.once("close", (code, signal) => {
      over = true
      started.delete(child)
      resolve({ code, signal, stdout, stderr, millis: Date.now() - startedAt })
    })
  })
  return { child, pid: child.pid!, startedAt, ended, hasEnded: () => over, stdout: () => stdout, stderr: () => stderr }
}

/** Runs the command to its end. */
export const run = (...args: ReadonlyArray<string>): Promise<Ended> => start(...args).ended

/** Waits until something is so. Fails after a while, with what was waited for. */
export const until = async (what: string, isSo: () => boolean, limitMillis = 30_000): Promise<void> => {
  const deadline = Date.now() + limitMillis
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error(`${what}: this did not come about in ${limitMillis} ms`)
    await new Promise((resolve) => {
      setTimeout(resolve, 10)
    })
  }
}

/** What stands in `espalier.toml`, apart from what every test of these has in common. */
export interface Recipe {
  readonly jobMillis?: number
  readonly job?: string
  readonly source?: string
  readonly objective?: string
  readonly limits?: string
  readonly planner?: string
  readonly more?: string
}

/** The parameter that the search is over, unless a recipe declares others. */
export const width = `[parameters.width]
type = "integer"
values = [1, 2, 3, 4, 5, 6]
baseline = 1
`

/** The configuration of a search over `width`, or over what `more` declares. */
export const configuration = (recipe: Recipe = {}): string =>
  `name = "bench"

[source]
repository = "program"
${recipe.source ?? ""}

[job]
${recipe.job ?? "argv = [\"node\", \"main.mjs\"]"}
environment = { RECORDS = "{workdir}/records.jsonl", JOB_MILLIS = "${recipe.jobMillis ?? 150}" }

[objective]
metric = "throughput"
direction = "maximize"
${recipe.objective ?? "smallestGain = 5"}

[planner]
kind = "random"
batch = 3
${recipe.planner ?? ""}

[limits]
${recipe.limits ?? "experiments = 3"}

${recipe.more ?? width}
`

/** A working directory of a test. */
export interface Workshop {
  readonly workdir: string
  readonly program: string
  readonly toml: string
  readonly configure: (text: string) => void
  readonly records: () => ReadonlyArray<OwnRecord>
}

/**
 * Makes the directory, with the program in a repository with one commit, in one without, in no repository, or not at all.
 * It is removed when the tests of the file are over.
 */
export const make = (
  recipe: Recipe | string = {},
  options: { readonly program?: "committed" | "uncommitted" | "plain" | "none" } = {}
): Workshop => {
  const workdir = realpathSync(mkdtempSync(join(tmpdir(), "espalier cli ")))
  directories.add(workdir)
  const toml = join(workdir, "espalier.toml")
  const configure = (text: string): void => writeFileSync(toml, text)
  configure(typeof recipe === "string" ? recipe : configuration(recipe))
  const program = join(workdir, "program")
  const state = options.program ?? "committed"
  if (state !== "none") {
    mkdirSync(program)
    cpSync(join(here, "program"), program, { recursive: true })
    if (state !== "plain") git(program, "init", "--quiet", "--initial-branch", "main")
    if (state === "committed") {
      git(program, "add", ".")
      git(program, "commit", "--quiet", "-m", "The program")
    }
  }
  const records = (): ReadonlyArray<OwnRecord> => {
    const file = join(workdir, "records.jsonl")
    return existsSync(file)
      ? readFileSync(file, "utf8").split("\n").filter((line) => line !== "").map((line) =>
        JSON.parse(line) as OwnRecord
      )
      : []
  }
  return { workdir, program, toml, configure, records }
}

/** The figures of a run, as `--json` prints them; `owner` by `status` only. */
export interface Figures {
  readonly state: string
  readonly best: string | null
  readonly stopped: string | null
  readonly jobs: number
  readonly owner?: { readonly owner: string; readonly pid: number; readonly since: string } | null
  readonly nodes: ReadonlyArray<{
    readonly id: string
    readonly order: number
    readonly status: string
    readonly value: number | null
    readonly commit: string | null
    readonly jobs: number
    readonly parent: string | null
    readonly failure: {
      readonly kind: string
      readonly phase: string
      readonly message: string
      readonly attempt: number
    } | null
    readonly changes: { readonly parameters: Readonly<Record<string, unknown>>; readonly edits: ReadonlyArray<string> }
  }>
}

/** Runs the command to the end of the run; the figures are the document that it prints then. */
export const complete = async (
  command: "run" | "resume",
  workdir: string
): Promise<Ended & { readonly figures: Figures }> => {
  const ended = await run(command, "--json", workdir)
  if (ended.code !== 0) throw new Error(`${command} ended with ${ended.code}: ${ended.stderr}`)
  return { ...ended, figures: JSON.parse(ended.stdout) as Figures }
}

/** Asks the command itself where a run stands. */
export const figures = async (workdir: string): Promise<Figures> => {
  const { code, stderr, stdout } = await run("status", "--json", workdir)
  if (code !== 0) throw new Error(`status ended with ${code}: ${stderr}`)
  return JSON.parse(stdout) as Figures
}
