import { afterAll, describe, it } from "@effect/vitest"
import * as Slurm from "@espalier/platform/execution/Slurm"
import * as ExecutionSuite from "@espalier/platform/testing/ExecutionSuite"
import { Effect } from "effect"
import { join } from "node:path"
import { startSlurm } from "./support/slurm.ts"

const slurm = await startSlurm()
afterAll(() => slurm.stop(), 30_000)

const directory = join(slurm.directory, "jobs")
const layer = Slurm.layer({
  directory,
  configuration: slurm.configuration,
  pollEvery: "300 millis",
  fileDelay: "1 second"
})

describe.concurrent("jobs of a cluster do what every Execution does", () => {
  const cases = ExecutionSuite.cases({
    command: ExecutionSuite.nodeCommand,
    directory: slurm.directory,
    otherEngine: layer
  })
  for (const { name, run } of cases) {
    it.live(name, () => run.pipe(Effect.scoped, Effect.provide(layer)))
  }
})
