// The command with layers of one's own: jobs are simulated, and need a token. What `espalier` is to everybody else.
import * as Simulated from "@espalier/platform/execution/Simulated"
import * as Requirements from "@espalier/platform/Requirements"
import { start } from "../../src/Program.ts"

start(process.argv.slice(2), {
  layers: ({ config }) => ({
    execution: Simulated.layer(() => ({
      stdout: "throughput=7\n",
      durationMillis: Number(config.job.environment["JOB_MILLIS"])
    })),
    requirements: [Requirements.secret("CLUSTER_TOKEN")]
  })
})
