/**
 * An engine of the campaign, to be killed: launches its jobs, waits for them, and prints a line of JSON for each.
 * Arguments: the place, and the requests, as JSON.
 */
import { Execution, type JobRequest } from "@espalier/platform/Execution"
import { Effect } from "effect"
import { layerOf } from "./place.ts"

const [place = "", requests = ""] = process.argv.slice(2)
const program = Effect.gen(function*() {
  const execution = yield* Execution
  const asked: ReadonlyArray<JobRequest> = JSON.parse(requests)
  yield* Effect.forEach(asked, (request) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(request)
      const status = yield* execution.await(job.id)
      process.stdout.write(`${JSON.stringify({ key: request.key, id: job.id, status })}\n`)
    }).pipe(Effect.catchTag("LaunchFailed", (error) =>
      Effect.sync(() =>
        process.stdout.write(`${JSON.stringify({ key: request.key, failed: error.reason, message: error.message })}\n`)
      ))), { concurrency: "unbounded" })
})
await Effect.runPromise(Effect.provide(program, layerOf(JSON.parse(place))))
