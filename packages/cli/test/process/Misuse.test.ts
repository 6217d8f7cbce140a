import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { configuration, type Ended, git, make, run } from "../support/workshop.ts"

/** Refused: exit code 1, nothing on standard output, one message that begins so, and no trace of how it was found. */
const expectRefused = (ended: Ended, message: RegExp): void => {
  expect(ended.stderr).toMatch(message)
  expect(ended).toMatchObject({ code: 1, signal: null, stdout: "" })
  expect(ended.stderr.match(/^espalier: /gm)).toHaveLength(1)
  expect(ended.stderr).not.toMatch(/\n\s+at |Error:|_tag|Cause|FiberFailure/)
  expect(ended.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
}

describe("a mistake in espalier.toml is refused before anything starts:", () => {
  it("what is not TOML, with its line", async () => {
    const { toml, workdir } = make(configuration().replace("[job]", "[job"), { program: "none" })
    expectRefused(
      await run("run", workdir),
      /espalier\.toml: 1 problem\. Nothing was started\.[^]*espalier\.toml:7\n +This is not TOML/
    )
    expect(existsSync(toml.replace("espalier.toml", "journal.db"))).toBe(false)
  })

  it("an unknown key and a wrong value, both at once, with what is allowed", async () => {
    const text = configuration({ limits: "experimnets = 3\nmachine = 0" })
    const { workdir } = make(text, { program: "none" })
    const ended = await run("run", workdir)
    expectRefused(ended, /2 problems/)
    expect(ended.stderr).toMatch(/limits\.experimnets[^]*Did you mean "experiments"\?/)
    expect(ended.stderr).toMatch(/limits\.machine = 0[^]*Allowed: a whole number from 1 to 1000/)
  })
})

describe("a directory in which there is nothing to do:", () => {
  it("without espalier.toml, one that does not exist, and a file", async () => {
    const { toml, workdir } = make()
    expectRefused(await run("run", join(workdir, "program")), /There is no .*program\/espalier\.toml\. Create it/)
    expectRefused(
      await run("run", join(workdir, "nowhere")),
      /There is no .*nowhere\. Name the directory that holds espalier\.toml/
    )
    expectRefused(
      await run("run", toml),
      /espalier\.toml is no directory\. Name the directory that holds espalier\.toml: /
    )
  })

  it("resume and status where no run began say how to begin one", async () => {
    const { workdir } = make()
    for (const command of ["resume", "status"]) {
      expectRefused(await run(command, workdir), /There is no run in .+ yet\. Begin one: espalier run /)
    }
    expect(existsSync(join(workdir, "journal.db"))).toBe(false)
  })
})

describe("a source that cannot be searched:", () => {
  it("no git repository, and one without a commit", async () => {
    const inGit = { source: "[workspace]\nkind = \"git\"" }
    expectRefused(
      await run("run", make(inGit, { program: "plain" }).workdir),
      /program is in no git repository\. Make it one/
    )
    expectRefused(await run("run", make({}, { program: "uncommitted" }).workdir), /has no commit yet/)
  })

  it("one with changes that are not committed is refused with the remedy, and taken as it is with snapshot = true", async () => {
    const { configure, program, records, workdir } = make({ limits: "experiments = 1" })
    writeFileSync(join(program, "notes.txt"), "not committed\n")
    const refused = await run("run", workdir)
    expectRefused(refused, /notes\.txt/)
    expect(refused.stderr).toMatch(/[Cc]ommit/)
    expect(refused.stderr).toMatch(/snapshot = true/)

    configure(configuration({ limits: "experiments = 1", source: "snapshot = true" }))
    const accepted = await run("run", workdir)
    expect(accepted.code, accepted.stderr).toBe(0)
    expect(records().filter(({ event }) => event === "end")).toHaveLength(2)
    expect(git(program, "status", "--porcelain")).toBe("?? notes.txt\n")
    expect(git(program, "ls-tree", "--name-only", "espalier/bench/e001")).toContain("notes.txt")

    // Its name names the run and its branches.
    configure(configuration({ source: "snapshot = true" }).replace("bench", "other"))
    expectRefused(
      await run("run", workdir),
      /holds the run "bench", and espalier\.toml now says name = "other"\. Put the name back/
    )
  })
})

describe("a wrong command line:", () => {
  it("an unknown command and an unknown flag get one message, and help on request only", async () => {
    expectRefused(await run("rum"), /^espalier: Unknown subcommand "rum".*\nUsage: espalier <subcommand> \[flags\]/)
    expectRefused(
      await run("status", "--jsno", "x"),
      /^espalier: Unrecognized flag: --jsno .*Did you mean --json\?\nUsage: espalier status/
    )
    const help = await run("--help")
    expect(help).toMatchObject({ code: 0, stderr: "" })
    expect(help.stdout).toMatch(/^ +summary +Make all tables/m)
  })
})
