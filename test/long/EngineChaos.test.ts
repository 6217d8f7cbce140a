import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"

const campaign = fileURLToPath(new URL("../../scripts/chaos/campaign.ts", import.meta.url))
const run = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    ["--conditions=espalier-source", campaign, "--engine", ...args],
    { encoding: "utf8" }
  )
  expect(status, `${stdout}\n${stderr}`).toBe(0)
}

describe("an engine with 20,000 works", () => {
  it("loses nothing and doubles nothing in 200 kills", () => run("--kills", "200", "--seed", "21"), 3_600_000)

  it("is seen to do so when it does: every fault of durability that is put into it is noticed", () => {
    run("--mutants", "--seed", "22")
  }, 7_200_000)
})
