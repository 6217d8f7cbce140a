import { assert, describe, it } from "vitest"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const campaign = fileURLToPath(new URL("../../scripts/chaos/campaign.ts", import.meta.url))

describe("a search that is killed again and again", () => {
  it.each([11, 12, 13, 14])("loses nothing, doubles nothing and tells no untruth (25 kills, seed %i)", (seed) => {
    const { status, stderr, stdout } = spawnSync(
      process.execPath,
      ["--conditions=espalier-source", campaign, "--kills", "25", "--seed", String(seed)],
      { encoding: "utf8" }
    )
    assert.strictEqual(status, 0, `${stdout}\n${stderr}`)
  }, 900_000)
})
