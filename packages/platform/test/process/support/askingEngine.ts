/** An engine that asks an agent which never answers, and lives until it is killed. */
import { Effect, Schema } from "effect"
import * as ClaudeCli from "../../../src/agent/ClaudeCli.ts"
import { CodingAgent } from "../../../src/CodingAgent.ts"

const [program, directory] = process.argv.slice(2) as [string, string]

const asking = Effect.flatMap(
  CodingAgent,
  (agent) => agent.run({ prompt: "Wait.", schema: Schema.Unknown, directory, phase: "planning" })
)

await Effect.runPromise(Effect.provide(asking, ClaudeCli.layer({ program, grace: "200 millis" })))
