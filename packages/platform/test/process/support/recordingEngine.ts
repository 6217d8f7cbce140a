// Records calls one after the other until it is killed. What it has recorded, it says.
import { Effect, Schema } from "effect"
import * as Recorded from "../../../src/agent/Recorded.ts"
import * as Scripted from "../../../src/agent/Scripted.ts"
import { CodingAgent } from "../../../src/CodingAgent.ts"

const [directory = "", from = "0"] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const agent = yield* CodingAgent
  for (let index = Number(from);; index++) {
    yield* agent.run({
      prompt: `Call ${index % 50}. ${"x".repeat(100_000)}`,
      schema: Schema.Struct({ text: Schema.String }),
      directory,
      phase: "planning"
    })
    yield* Effect.callback<void>((resume) => {
      process.stdout.write(`${index % 50}\n`, () => resume(Effect.void))
    })
  }
}).pipe(Effect.provide(Recorded.layer({
  mode: "record",
  directory,
  identity: "script",
  agent: (hooks) => Scripted.layer((_, index) => JSON.stringify({ text: `${index} ${"y".repeat(200_000)}` }), hooks)
})))

await Effect.runPromise(program)
