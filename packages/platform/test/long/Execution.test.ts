import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"

const campaign = fileURLToPath(new URL("./campaign/campaign.ts", import.meta.url))

describe("engine, job, wrapper, slurmctld and slurmd, killed in turn in 200 rounds", () => {
  it.each(["local", "slurm"])("leave each job launched once, and each outcome true or honestly lost (%s)", (layer) => {
    const { status, stderr, stdout } = spawnSync(
      process.execPath,
      ["--conditions=espalier-source", campaign, "--rounds", "200", "--seed", "31", "--layer", layer],
      { encoding: "utf8" }
    )
    assert.strictEqual(status, 0, `${stdout}\n${stderr}`)
  }, 3_600_000)
})
