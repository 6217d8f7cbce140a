import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { commandLine, configuration, type Ended, follow, git, make } from "../support/workshop.ts"

interface Document {
  readonly workdir: string | null
  readonly isReady: boolean
  readonly missing: ReadonlyArray<string>
  readonly checks: ReadonlyArray<{
    readonly name: string
    readonly state: string
    readonly isNeeded: boolean
    readonly found: string
    readonly neededBy: ReadonlyArray<string>
    readonly remedy: string | null
  }>
}

/** The command with another PATH, as on another machine. `env` of the system sets it, and is named by its own path. */
const withPath = (path: string, ...args: ReadonlyArray<string>): Promise<Ended> =>
  follow(["/usr/bin/env", `PATH=${path}`, ...commandLine(...args)]).ended

/** A directory of programs: Node, and those that are given, as scripts of the shell. */
const machine = (programs: Readonly<Record<string, string>>): string => {
  const bin = join(make({}, { program: "none" }).workdir, "bin")
  mkdirSync(bin)
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(bin, name), 0o755)
  }
  symlinkSync(process.execPath, join(bin, "node"))
  return bin
}

it("a machine that has everything is told so, with versions and places, and exit code 0", async () => {
  const { workdir } = make()
  const ended = await withPath(process.env["PATH"]!, "doctor", workdir)
  expect(ended).toMatchObject({ code: 0, stderr: "" })
  expect(ended.stdout).toMatch(/^ok +Node +24\./m)
  expect(ended.stdout).toMatch(/^ok +SQLite +3\./m)
  expect(ended.stdout).toMatch(/^ok +git +2\..*\/git$/m)
  expect(ended.stdout).toMatch(/^ok +program "node"/m)
  // It only looks.
  expect(readdirSync(workdir).toSorted()).toEqual(["espalier.toml", "program"])
})

it("what is missing is said at once, by name, with who needs it and what to do; a run is refused in the same words", async () => {
  const { workdir } = make({ limits: "experiments = 1" })
  const bare = machine({})
  const ended = await withPath(bare, "doctor", workdir)
  expect(ended.code).toBe(1)
  expect(ended.stderr).toMatch(/^espalier: One thing that .* needs is missing: git\.\n$/)
  expect(ended.stdout).toMatch(
    /^missing +git +it is not on the PATH +\[needed by workspace "detect"\]\n +Install git 2\.25 or newer/m
  )

  const document = JSON.parse((await withPath(bare, "doctor", "--json", workdir)).stdout) as Document
  expect(document).toMatchObject({ workdir, isReady: false, missing: ["git"] })
  expect(document.checks.find(({ name }) => name === "git")).toMatchObject({
    state: "missing",
    isNeeded: true,
    neededBy: ["workspace \"detect\""]
  })

  const refused = await withPath(bare, "run", workdir)
  expect(refused).toMatchObject({ code: 1, stdout: "" })
  expect(refused.stderr).toMatch(
    /^espalier: One thing that this run needs is missing\. Nothing was started\.\n {2}git \(workspace "detect"\): it is not on the PATH\. Install git/
  )
  expect(refused.stderr).toMatch(/\nAll that was looked at: espalier doctor '/)
  expect(existsSync(join(workdir, "journal.db"))).toBe(false)

  // A finished run is told without anything that a run would need.
  expect((await withPath(process.env["PATH"]!, "run", workdir)).code).toBe(0)
  for (const look of ["run", "status", "summary"]) {
    expect(await withPath(bare, look, workdir), look).toMatchObject({ code: 0 })
  }
})

it("programs that hang, print rubbish, or are too old are named; the others do not wait for them", async () => {
  const { workdir } = make()
  const hung = machine({ git: "trap '' TERM; while :; do /bin/sleep 1; done" })
  const begun = Date.now()
  const ended = await withPath(hung, "doctor", workdir)
  expect(Date.now() - begun).toBeLessThan(30_000)
  expect(ended.code).toBe(1)
  expect(ended.stdout).toMatch(/^missing +git +git --version did not answer within 10 s, and was ended/m)

  const hostile = machine({ git: "printf '\\033]0;owned\\007\\033[2Jgit version 2.1.0\\nok  everything\\n'" })
  const told = await withPath(hostile, "doctor", workdir)
  expect(told.code).toBe(1)
  expect(told.stdout).toMatch(/^missing +git +2\.1\.0, .*; 2\.25 or newer is needed/m)
  expect(told.stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]|^ok  everything/m)
})

it("a source that is not there and a directory that is no project are refused; without a project nothing is needed", async () => {
  const { configure, program, workdir } = make({}, { program: "none" })
  const ended = await follow(commandLine("doctor", workdir)).ended
  expect(ended.code).toBe(1)
  expect(ended.stdout).toMatch(/^missing +source directory .*program does not exist/m)

  mkdirSync(program)
  git(program, "init", "--quiet")
  expect((await follow(commandLine("doctor", workdir)).ended).code).toBe(0)
  configure(configuration().replace("[job]", "[jop]"))
  const mistaken = await follow(commandLine("doctor", workdir)).ended
  expect(mistaken).toMatchObject({ code: 1, stdout: "" })
  expect(mistaken.stderr).toMatch(/Did you mean "job"\?/)

  // Without source control nothing needs git.
  const plain = make({}, { program: "plain" })
  const copied = await withPath(machine({}), "doctor", plain.workdir)
  expect(copied.code, copied.stderr).toBe(0)
  expect(copied.stdout).toMatch(/^ok +git +not needed: .*program is in no git repository, so every experiment gets/m)

  const general = await withPath(machine({}), "doctor")
  expect(general.code).toBe(0)
  expect(general.stdout).toMatch(/^missing +git +it is not on the PATH +\[for workspace "detect", workspace "git"\]/m)
  expect(general.stderr).toMatch(/^Nothing has been chosen yet/)
})
