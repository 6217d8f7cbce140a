import { createHash } from "node:crypto"
import { expect, it } from "vitest"
import { complete, git, make } from "../support/workshop.ts"

it("three experiments at once run each its own code and parameters", async () => {
  const { program, records, workdir } = make({
    jobMillis: 1_500,
    limits: "experiments = 3\nconcurrency = 4\nmachine = 3",
    more: `[parameters.width]
type = "integer"
values = [1, 2, 3]
baseline = 1

[[edits]]
name = "tuned"
file = "main.mjs"
search = "const tuned = 0"
replace = "const tuned = 50"`,
    planner: "seed = 3"
  })
  const { nodes } = (await complete("run", workdir)).figures
  const experiments = nodes.filter(({ id }) => id !== "baseline")
  expect(experiments).toHaveLength(3)
  const hashes = experiments.map(({ changes, commit, id, value }) => {
    const own = records().filter((record) => record.experiment === id)
    expect(own.map(({ event }) => event)).toEqual(["start", "end"])
    // The commit of the experiment, read by git, is what the job says that it ran.
    const hash = createHash("sha256")
    for (const file of ["main.mjs", "parameters.json"]) hash.update(git(program, "show", `${commit}:${file}`))
    expect(own[1]!.hash).toBe(hash.digest("hex"))
    const width = Number(changes.parameters["width"] ?? 1)
    expect(own[1]!.parameters["width"]).toBe(width)
    expect(value).toBe(100 + width + (changes.edits.includes("tuned") ? 50 : 0))
    return own[1]!.hash
  })
  expect(new Set(hashes).size).toBe(3)
  expect(experiments.some(({ changes }) => changes.edits.includes("tuned"))).toBe(true)

  // All three ran at one time: the last began before the first ended.
  const times = records().filter((record) => record.experiment !== "baseline")
  const lastStart = Math.max(...times.filter(({ event }) => event === "start").map(({ at }) => at))
  const firstEnd = Math.min(...times.filter(({ event }) => event === "end").map(({ at }) => at))
  expect(lastStart).toBeLessThan(firstEnd)
  // The user's own checkout is as it was.
  expect(git(program, "status", "--porcelain")).toBe("")
  expect(git(program, "rev-parse", "--abbrev-ref", "HEAD").trim()).toBe("main")
})
