import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import assert from "node:assert"
import * as Autoresearch from "../src/Autoresearch.ts"
import * as Config from "../src/Config.ts"
import { smallest } from "./support/smallestConfig.ts"

const local = smallest.replace("\".\"", "\"/srv/program\"")

const fingerprint = async (more: string): Promise<string> => {
  const config = await Effect.runPromise(Config.fromString(`${local}${more}`))
  return (await Effect.runPromise(Autoresearch.project("/runs/small", config))).fingerprint
}

const slurm = (more: string) => fingerprint(`[execution]\nkind = "slurm"\ncpus = 4\n${more}`)

describe("The fingerprint of a configuration", () => {
  it("changes with the machines that jobs run on, and with what they get of them", async () => {
    const prints = [
      await fingerprint(""),
      await slurm(""),
      await slurm("partition = \"gpu\"\n"),
      await slurm("memory = \"4 GiB\"\n"),
      await slurm("options = [\"--constraint=a100\"]\n"),
      await fingerprint("[execution]\nkind = \"slurm\"\ncpus = 8\n")
    ]
    assert.strictEqual(new Set(prints).size, prints.length)
  })

  it("is the same however often the scheduler is asked, wherever it is configured, and whoever pays", async () => {
    const print = await slurm("")
    for (
      const more of [
        "pollEvery = \"30 seconds\"\n",
        "configuration = \"/opt/slurm/slurm.conf\"\n",
        "node = \"/opt/node/bin/node\"\n",
        "account = \"vision\"\n"
      ]
    ) assert.strictEqual(await slurm(more), print, more)
  })
})
