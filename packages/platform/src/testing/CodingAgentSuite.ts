/**
 * What every coding agent must do with what comes back from it, as named cases that any test runner
 * can register. The subject plays texts to the agent: a script, a recording, or a local server that
 * speaks a provider's protocol.
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { strict as assert } from "node:assert"
import { CodingAgent } from "../CodingAgent.ts"

/** What the provider does on one turn. */
export type Play =
  | {
    readonly _tag: "Text"
    readonly text: string
    readonly inputTokens: number
    readonly outputTokens: number
    readonly costUsd: number
  }
  | { readonly _tag: "RateLimited"; readonly retryAfterMillis: number }
  | { readonly _tag: "Unavailable" }

/** The agent under test. */
export interface Subject {
  /** The agent, with a provider that plays these turns in order. */
  readonly layer: (plays: ReadonlyArray<Play>) => Layer.Layer<CodingAgent, unknown>
  /** A directory that the agent may be pointed at. */
  readonly directory: string
}

/** One thing that holds for every coding agent. */
export interface Case {
  readonly name: string
  readonly effect: Effect.Effect<void, unknown>
}

const Proposal = Schema.Struct({
  hypothesis: Schema.String,
  parameters: Schema.Record(Schema.String, Schema.Union([Schema.Finite, Schema.String, Schema.Boolean]))
})

const proposal = { hypothesis: "More workers hide the {latency}", parameters: { workers: 4, "a \"b\"": "}]" } }
const json = JSON.stringify(proposal)

const text = (content: string): Play => ({
  _tag: "Text",
  text: content,
  inputTokens: 100,
  outputTokens: 10,
  costUsd: 0.01
})

/** Texts that hold the proposal, as agents write them. */
const wrappings: ReadonlyArray<readonly [string, string]> = [
  ["alone", json],
  ["with white space around it", `\n\n  ${json}\n`],
  ["in a fence", `Here it is:\n\n\`\`\`json\n${JSON.stringify(proposal, undefined, 2)}\n\`\`\`\n\nGood luck!`],
  ["in a fence without a language", `\`\`\`\n${json}\n\`\`\``],
  ["in the last of several fences", `\`\`\`json\n{"example": true}\n\`\`\`\nand so:\n\`\`\`json\n${json}\n\`\`\``],
  ["after a fence of code", `\`\`\`ts\nconst a = {}\n\`\`\`\n\n\`\`\`json\n${json}\n\`\`\``],
  ["in prose", `I thought about it [1] and {perhaps} propose ${json}, as in [2].`],
  ["after an example that does not fit", `Not {"hypothesis": 1} but ${json}`]
]

/** The cases for one agent. Each builds its own, so they may run in any order and at once. */
export const cases = (subject: Subject): ReadonlyArray<Case> => {
  const check = (
    name: string,
    plays: ReadonlyArray<Play>,
    body: (run: ReturnType<typeof ask>) => Effect.Effect<void, unknown>
  ): Case => ({
    name,
    effect: Effect.flatMap(CodingAgent, (agent) => body(ask(agent))).pipe(Effect.provide(subject.layer(plays)))
  })

  const ask = (agent: CodingAgent["Service"]) =>
    agent.run({ prompt: "Propose an experiment.", schema: Proposal, directory: subject.directory, phase: "planning" })

  return [
    ...wrappings.map(([where, content]) =>
      check(`an answer is found ${where}`, [text(content)], (run) =>
        Effect.gen(function*() {
          const answer = yield* run
          assert.deepEqual(answer.answer, proposal)
          assert.equal(answer.text, content)
          assert.equal(answer.usage.turns, 1)
        }))
    ),

    check("usage and cost are those of the call", [text(json)], (run) =>
      Effect.gen(function*() {
        const { costUsd, usage } = yield* run
        assert.equal(usage.inputTokens, 100)
        assert.equal(usage.outputTokens, 10)
        assert.equal(costUsd, 0.01)
      })),

    check(
      "an answer that does not decode is repaired once, and both turns count",
      [text("{}"), text(json)],
      (run) =>
        Effect.gen(function*() {
          const { answer, costUsd, usage } = yield* run
          assert.deepEqual(answer, proposal)
          assert.deepEqual([usage.turns, usage.inputTokens, usage.outputTokens], [2, 200, 20])
          assert.equal(costUsd, 0.02)
        })
    ),

    check(
      "an answer without JSON is repaired once",
      [text("I would rather not."), text(json)],
      (run) => Effect.map(run, ({ answer }) => assert.deepEqual(answer, proposal))
    ),

    check(
      "an answer that does not decode twice is rejected with its issue, text and cost",
      [text("{}"), text("{\"hypothesis\": \"x\", \"parameters\": {\"workers\": null}}"), text(json)],
      (run) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(run)
          assert.ok(error._tag === "AnswerRejected")
          assert.equal(error.phase, "planning")
          assert.match(error.issue, /workers/)
          assert.match(error.text, /null/)
          assert.equal(error.usage.turns, 2)
          assert.equal(error.costUsd, 0.02)
          assert.match(error.message, /planning/)
        })
    ),

    check(
      "a rate limit is told with how long to wait",
      [{ _tag: "RateLimited", retryAfterMillis: 30_000 }],
      (run) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(run)
          assert.ok(error._tag === "AgentRateLimited")
          assert.equal(error.retryAfterMillis, 30_000)
          assert.match(error.message, /30 s/)
        })
    ),

    check(
      "an agent that cannot be reached is told",
      [{ _tag: "Unavailable" }],
      (run) => Effect.map(Effect.flip(run), (error) => assert.equal(error._tag, "AgentUnavailable"))
    ),

    check(
      "what was used before a repair failed is not lost",
      [text("{}"), { _tag: "Unavailable" }],
      (run) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(run)
          assert.ok(error._tag === "AgentUnavailable")
          assert.equal(error.usage.inputTokens, 100)
          assert.equal(error.usage.turns, 2)
          assert.equal(error.costUsd, 0.01)
        })
    )
  ]
}
