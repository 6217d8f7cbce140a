/**
 * An engine in a process of its own, to be killed: launches one job and then waits for it.
 * Arguments: the jobs' directory, and the request as JSON. Prints the handle as JSON when launched.
 */
import { Execution } from "@espalier/platform/Execution"
import * as LocalProcess from "@espalier/platform/execution/LocalProcess"
import { Effect } from "effect"

const [directory = "", request = ""] = process.argv.slice(2)
const program = Effect.gen(function*() {
  const execution = yield* Execution
  const job = yield* execution.launch(JSON.parse(request))
  process.stdout.write(`${JSON.stringify(job)}\n`)
  yield* execution.await(job.id)
})
await Effect.runPromise(Effect.provide(program, LocalProcess.layer({ directory })))
