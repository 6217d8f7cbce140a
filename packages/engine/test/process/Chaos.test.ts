import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"

const campaign = fileURLToPath(new URL("../../../../scripts/chaos/campaign.ts", import.meta.url))

// `npm run chaos -- --engine` is the long one: more kills, and ten times the works.
it("loses nothing and doubles nothing when its process is killed again and again", () => {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    ["--conditions=espalier-source", campaign, "--engine", "--works", "2000", "--kills", "12", "--seed", "3"],
    { encoding: "utf8" }
  )
  expect(status, `${stdout}\n${stderr}`).toBe(0)
  expect(stdout).toContain("seed 3, 12 kills in")
})
