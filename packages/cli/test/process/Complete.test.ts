import { createHash } from "node:crypto"
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, describe, expect, it } from "vitest"
import { type Ended, make, run, type Workshop } from "../support/workshop.ts"

let workshop: Workshop
let ended: Ended

beforeAll(async () => {
  workshop = make({ limits: "experiments = 3", objective: "smallestGain = 0.005\npairs = 2\nlevel = 0.3" })
  ended = await run("run", workshop.workdir, "--json")
})

const views = ["master_table.tsv", "summary.md", "report.md", "progress.png", "hypothesis_tree.png"]

/** All derived files with a hash of their bytes. */
const derived = (): Readonly<Record<string, string>> => {
  const { workdir } = workshop
  const inTree = (readdirSync(join(workdir, "tree"), { recursive: true }) as Array<string>)
    .map((name) => join("tree", name))
    .filter((name) => statSync(join(workdir, name)).isFile())
  return Object.fromEntries(
    [...views, ...inTree].sort().map((name) => [
      name,
      createHash("sha256").update(readFileSync(join(workdir, name))).digest("hex")
    ])
  )
}

describe("a run that is complete", () => {
  it("with --json prints one document on standard output and nothing else, and plain lines on standard error", () => {
    expect(ended.code, ended.stderr).toBe(0)
    expect(JSON.parse(ended.stdout)).toMatchObject({ name: "bench", state: "completed", workdir: workshop.workdir })
    const lines = ended.stderr.trimEnd().split("\n")
    expect(lines.length).toBeGreaterThan(10)
    expect(lines.filter((line) => !/^ *[0-9.]+ (?:ms|s|min)  \S/.test(line))).toEqual([])
    expect(ended.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
    expect(ended.stderr).toMatch(/new best: e\d+ beats baseline: x1\.0/)
    expect(ended.stderr).toMatch(/final: e\d+ beside baseline: x1\.0/)
  })

  it("gets every derived file back, byte for byte, when all were deleted", async () => {
    const before = derived()
    expect(Object.keys(before)).toEqual(expect.arrayContaining([...views, "tree/e001/spec.json"]))
    for (const name of [...views, "tree"]) rmSync(join(workshop.workdir, name), { recursive: true })
    const again = await run("summary", workshop.workdir, "--json")
    expect(again.code, again.stderr).toBe(0)
    expect(derived()).toEqual(before)
    expect((JSON.parse(again.stdout) as { files: Array<string> }).files.sort()).toEqual(Object.keys(before))
    expect(again.stderr).toBe("")
    for (const picture of ["progress.png", "hypothesis_tree.png"]) {
      expect(readFileSync(join(workshop.workdir, picture)).subarray(1, 4).toString()).toBe("PNG")
    }
  })

  it("says when it is run again that it is complete and how to begin a new one, and changes nothing", async () => {
    const before = { ...derived(), journal: readFileSync(join(workshop.workdir, "journal.db")).toString("base64") }
    const again = await run("run", workshop.workdir)
    expect(again.code).toBe(0)
    expect(again.stderr).toContain(
      `The run in ${workshop.workdir} is complete. To begin a new one, use another directory`
    )
    expect(again.stdout).toMatch(/^Best +10\d by #\d+ width=\d$/m)
    expect(again.stdout).toMatch(/^Report +.*report\.md$/m)
    expect({ ...derived(), journal: readFileSync(join(workshop.workdir, "journal.db")).toString("base64") }).toEqual(
      before
    )
  })

  it("is shown by status, for people and for programs", async () => {
    const shown = await run("status", workshop.workdir)
    expect(shown).toMatchObject({ code: 0, stderr: "" })
    expect(shown.stdout).toMatch(/^State +completed$/m)
    expect(shown.stdout).toMatch(/^Speed-up +1\.0\d+× \(70 % CI .*2 pairs\)$/m)
    const document = JSON.parse((await run("status", "--json", workshop.workdir)).stdout) as Record<string, unknown>
    expect(document).toMatchObject({ state: "completed", owner: null, best: expect.stringMatching(/^e\d+$/) })
  })

  it("whose journal was removed is not begun anew on top of the old jobs", async () => {
    for (const name of readdirSync(workshop.workdir)) {
      if (name.startsWith("journal.db")) rmSync(join(workshop.workdir, name))
    }
    const again = await run("run", workshop.workdir)
    expect(again.code).toBe(1)
    expect(again.stderr).toMatch(/holds the jobs of an earlier run, whose journal is gone.*or remove them: rm -r /)
  })
})
