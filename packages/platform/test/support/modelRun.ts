// One call of an agent on a language model that plays its answers, in a directory of its own for each test.
import { Effect, Layer, Schema } from "effect"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach } from "vitest"
import * as Agent from "../../src/agent/LanguageModel.ts"
import { CodingAgent, type Write } from "../../src/CodingAgent.ts"
import { type Answer, outcomes, played, prices, says } from "./playedModel.ts"

/** Of the test that runs. */
export const place = { directory: "" }

beforeEach(() => {
  place.directory = fs.mkdtempSync(join(tmpdir(), "espalier-model-"))
})
afterEach(() => fs.rmSync(place.directory, { recursive: true, force: true }))

export const Summary = Schema.Struct({ summary: Schema.String })
export const done = says("{\"summary\":\"done\"}")

/** The naive write of a careless user: all that guards it is the agent. */
const naive: Write = (file, content) => Effect.sync(() => fs.writeFileSync(join(place.directory, file), content))

export const run = (
  answers: ReadonlyArray<Answer> | ((index: number) => Answer),
  options: Partial<Agent.Options> = {},
  write: Write | null = naive
) => {
  const model = played((_, index) => typeof answers === "function" ? answers(index) : answers[index]!)
  return Effect.flatMap(
    CodingAgent,
    (agent) =>
      agent.run({
        prompt: "Make it faster.",
        schema: Summary,
        directory: place.directory,
        phase: "code_change",
        write: write ?? undefined
      })
  ).pipe(
    Effect.provide(Layer.provide(Agent.layer({ model: "a-model", prices, ...options }), model.layer)),
    Effect.map((answer) => ({ ...answer, requests: model.requests, told: outcomes(model.requests) }))
  )
}
