// Searches on the layers that espalier.toml chooses, besides those of all other tests here.
import { execFileSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import {
  commandLine,
  complete,
  configuration,
  type Figures,
  figures,
  follow,
  git,
  make,
  run,
  start,
  until
} from "../support/workshop.ts"

/** The command on a machine that has Node and git, and nothing else. */
const onBareMachine = (workdir: string, ...args: ReadonlyArray<string>) => {
  const bin = join(workdir, "bare")
  mkdirSync(bin)
  symlinkSync(process.execPath, join(bin, "node"))
  symlinkSync(execFileSync("/bin/sh", ["-c", "command -v git"], { encoding: "utf8" }).trim(), join(bin, "git"))
  return follow(["/usr/bin/env", `PATH=${bin}`, ...commandLine(...args)]).ended
}

describe("a directory without source control", () => {
  it("is searched on plain copies, which is said; it is never written, and its states are kept", async () => {
    const { program, records, workdir } = make({ limits: "experiments = 2" }, { program: "plain" })
    const before = readdirSync(program)
    const ended = await complete("run", workdir)
    expect(ended.stderr).toMatch(/program is in no git repository: every experiment gets a plain copy of it/)
    expect(ended.figures.nodes.map(({ status }) => status)).toEqual(["completed", "completed", "completed"])
    expect(new Set(ended.figures.nodes.map(({ commit }) => commit)).size).toBe(3)
    expect(readdirSync(program)).toEqual(before)
    expect(existsSync(join(program, "parameters.json"))).toBe(before.includes("parameters.json"))
    expect(records().filter(({ event }) => event === "end")).toHaveLength(3)
    expect((await run("summary", workdir)).code).toBe(0)
  })

  it("is gone on with after an interruption, from what was copied when the search began, whatever it is by then", async () => {
    const { program, workdir } = make({ jobMillis: 1_500, limits: "experiments = 1" }, { program: "plain" })
    const first = start("run", workdir)
    await until("the baseline runs", () => /baseline: job started/.test(first.stderr()))
    first.child.kill("SIGINT")
    expect((await first.ended).code).toBe(130)
    writeFileSync(join(program, "main.mjs"), "this would not even start")
    git(program, "init", "--quiet")
    git(program, "add", ".")
    git(program, "commit", "--quiet", "-m", "Too late")
    const { figures: { nodes } } = await complete("resume", workdir)
    expect(nodes.map(({ status }) => status)).toEqual(["completed", "completed"])
  })

  it("can be what a repository is treated as, and then no branch is made in it", async () => {
    const { program, workdir } = make({ limits: "experiments = 1", source: "[workspace]\nkind = \"copy\"" })
    const { stderr } = await complete("run", workdir)
    expect(stderr).not.toMatch(/no git repository/)
    expect(git(program, "branch", "--format", "%(refname:short)").trim()).toBe("main")
    expect(git(program, "status", "--porcelain")).toBe("")
  })
})

it("what may be changed in a tree is held: an edit outside of it fails its experiment, and the parameters are written", async () => {
  const { workdir } = make({
    limits: "experiments = 2",
    source: "[workspace]\neditable = [\"src\"]",
    more: `[parameters.width]
type = "integer"
values = [1, 2]
baseline = 1

[[edits]]
name = "tuned"
file = "main.mjs"
search = "const tuned = 0"
replace = "const tuned = 50"`
  })
  const { nodes } = (await complete("run", workdir)).figures
  for (const { changes, failure, status } of nodes) {
    if (changes.edits.length === 0) expect(status).toBe("completed")
    else {expect(failure).toMatchObject({
        kind: "code_change_failed",
        message: expect.stringMatching(/outside of what/)
      })}
  }
  expect(nodes.filter(({ changes }) => changes.edits.length > 0)).not.toEqual([])
})

it("metrics come from the columns of a file, without their warm-up", async () => {
  const script = "const w = JSON.parse(require('fs').readFileSync('parameters.json')).width;" +
    "require('fs').writeFileSync('out.csv', 'step,throughput\\n0,1\\n1,1\\n2,' + w * 10 + '\\n3,' + w * 10 + '\\n')"
  const { workdir } = make(
    configuration({ limits: "experiments = 1", job: `argv = ["node", "-e", ${JSON.stringify(script)}]` }) +
      `[[metrics]]
name = "throughput"
from = "csv"
files = "out.csv"
take = "mean"
warmup = { field = "step", from = 2 }
`
  )
  const { nodes } = (await complete("run", workdir)).figures
  for (const { changes, value } of nodes) expect(value).toBe(10 * Number(changes.parameters["width"] ?? 1))
})

describe("container images", () => {
  const inImage = "argv = [\"docker\", \"run\", \"--rm\", \"{artifact}\", \"node\", \"main.mjs\"]"
  const container = "[build]\nkind = \"container\"\n"

  /** A PATH with a docker that keeps its images below the directory. */
  const withDocker = (workdir: string) => {
    const state = join(workdir, "images")
    const bin = join(workdir, "bin")
    for (const directory of [state, bin]) mkdirSync(directory)
    const docker = join(import.meta.dirname, "../support/docker.mjs")
    writeFileSync(join(bin, "docker"), `#!/bin/sh\nexec "${process.execPath}" "${docker}" "${state}" "$@"\n`)
    chmodSync(join(bin, "docker"), 0o755)
    return { path: `${bin}:${process.env["PATH"]}`, asked: () => readFileSync(join(state, "asked"), "utf8") }
  }

  it("are built of each experiment, and its jobs run in its own", async () => {
    const { program, records, workdir } = make({ limits: "experiments = 2", job: inImage, source: container })
    writeFileSync(join(program, "Dockerfile"), "FROM scratch\nCOPY . /\n")
    git(program, "add", ".")
    git(program, "commit", "--quiet", "-m", "An image")
    const { asked, path } = withDocker(workdir)
    const ended = await follow(["/usr/bin/env", `PATH=${path}`, ...commandLine("run", "--json", workdir)]).ended
    expect(ended.code, ended.stderr).toBe(0)
    const { nodes } = JSON.parse(ended.stdout) as Figures
    for (const { changes, id, value } of nodes) {
      const width = Number(changes.parameters["width"] ?? 1)
      expect(value).toBe(100 + width)
      const own = records().filter(({ event, experiment }) => event === "end" && experiment === id)
      expect(own.map(({ parameters }) => parameters["width"])).toEqual([width])
    }
    expect(asked().match(/^build /gm)).toHaveLength(3)
    expect(asked().match(/^run --rm$/gm)).toHaveLength(3)
  })

  it("are not begun with where there is no docker, and nothing is recorded", async () => {
    const { workdir } = make({ job: inImage, source: container })
    const ended = await onBareMachine(workdir, "run", workdir)
    expect(ended.code).toBe(1)
    expect(ended.stderr).toMatch(/2 things that this run needs are missing\. Nothing was started\./)
    expect(ended.stderr).toMatch(/^ {2}docker \(build "container"\): it is not on the PATH\. Install Docker/m)
    expect(ended.stderr).toMatch(/^ {2}docker's daemon \(build "container"\)/m)
    expect(existsSync(join(workdir, "journal.db"))).toBe(false)
    expect((await run("status", workdir)).stderr).toMatch(/There is no run/)
  })
})

it("a cluster and an agent that are not there are named, each with what it is for", async () => {
  const { workdir } = make({
    source:
      "[execution]\nkind = \"slurm\"\npartition = \"gpu\"\n\n[agent]\nkind = \"codex\"\nsecret = \"NO_SUCH_SECRET\""
  })
  const ended = await onBareMachine(workdir, "run", workdir)
  expect(ended.code).toBe(1)
  for (const name of ["sbatch", "squeue", "scontrol", "scancel", "Slurm's controller", "Slurm's partition \"gpu\""]) {
    expect(ended.stderr).toContain(`  ${name} (execution "slurm"): `)
  }
  expect(ended.stderr).toMatch(/^ {2}codex \(agent "codex"\): it is not on the PATH\. Install it: npm install/m)
  expect(ended.stderr).toMatch(/^ {2}\$NO_SUCH_SECRET \(agent "codex"\): it is not set\. Set it before/m)
  expect(existsSync(join(workdir, "journal.db"))).toBe(false)
  // What only looks needs none of it.
  await expect(figures(workdir)).rejects.toThrow(/There is no run/)
})
