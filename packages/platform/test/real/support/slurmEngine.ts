/**
 * An engine in a process of its own, to be killed: launches one job on a cluster and then waits for it.
 * Arguments: the layer's options as JSON (`directory`, `configuration`, `programs`, ...), and the request as JSON.
 */
import { Execution } from "@espalier/platform/Execution"
import * as Slurm from "@espalier/platform/execution/Slurm"
import { Effect } from "effect"

const [options = "", request = ""] = process.argv.slice(2)
const program = Effect.gen(function*() {
  const execution = yield* Execution
  const job = yield* execution.launch(JSON.parse(request))
  process.stdout.write(`${JSON.stringify(job)}\n`)
  yield* execution.await(job.id)
})
await Effect.runPromise(Effect.provide(program, Slurm.layer(JSON.parse(options))))
