// Options of the agents' programs that no call can be made with: refused by name before anything is started.
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, type Layer, Schema } from "effect"
import * as ClaudeCli from "../src/agent/ClaudeCli.ts"
import * as CodexCli from "../src/agent/CodexCli.ts"
import { CodingAgent } from "../src/CodingAgent.ts"
import { optionsRefused } from "../src/internal/agentOptions.ts"

const ask = (layer: Layer.Layer<CodingAgent>) =>
  Effect.flatMap(
    CodingAgent,
    (agent) => agent.run({ prompt: "Answer.", schema: Schema.Unknown, directory: process.cwd(), phase: "planning" })
  ).pipe(
    Effect.provide(layer),
    Effect.flip
  )

/** As a configuration gives them that nobody checked. */
const untyped = (options: Readonly<Record<string, unknown>>) => options as ClaudeCli.Options & CodexCli.Options

const ofBoth: ReadonlyArray<readonly [Readonly<Record<string, unknown>>, RegExp]> = [
  [{ grace: "ten" }, /`grace` is "ten": give a duration from 0, such as "3 seconds", or milliseconds/],
  [{ grace: Number.NaN }, /`grace` is NaN: give/],
  [{ grace: -1 }, /`grace` is -1: give/],
  [{ grace: { seconds: Number.NaN } }, /`grace` is \{"seconds":null\}: give/],
  [{ grace: null }, /`grace` is null: give/],
  [{ retries: Number.NaN }, /`retries` is NaN: give a whole number of 0 or more/],
  [{ retries: -1 }, /`retries` is -1: give/],
  [{ retries: 1.5 }, /`retries` is 1\.5: give/],
  [{ retries: "2" }, /`retries` is "2": give/],
  [{ retries: Infinity }, /`retries` is Infinity: give/],
  [{ answerCharacters: Number.NaN }, /`answerCharacters` is NaN: give a whole number of 1 or more/],
  [{ answerCharacters: -1 }, /`answerCharacters` is -1: give/],
  [{ answerCharacters: 0 }, /`answerCharacters` is 0: give/],
  [{ model: "a\0b" }, /`model` holds a zero byte, which no argument of a program can: take it out/],
  [{ arguments: ["--a", "b\0"] }, /`arguments` holds a zero byte/]
]

const ofOne: ReadonlyArray<readonly [string, Layer.Layer<CodingAgent>, RegExp]> = [
  ["Claude's", ClaudeCli.layer(untyped({ longestPause: "ten" })), /`longestPause` is "ten": give a duration/],
  ["Claude's", ClaudeCli.layer({ longestPause: -1 }), /`longestPause` is -1: give/],
  ["Claude's", ClaudeCli.layer({ commands: ["npm\0test"] }), /`commands` holds a zero byte/],
  ["Claude's", ClaudeCli.layer({ readTools: ["Read\0"] }), /`readTools` holds a zero byte/],
  ["Codex'", CodexCli.layer({ price: { inputUsd: Number.NaN, outputUsd: 1 } }), /`price\.inputUsd` is NaN: give US\$/],
  ["Codex'", CodexCli.layer({ price: { inputUsd: 1, outputUsd: -1 } }), /`price\.outputUsd` is -1: give US\$/]
]

describe("an option of an agent's program that no call can be made with", () => {
  const program = "/no/such/program"
  const cases = [
    ...ofBoth.flatMap(([options, expected]) => [
      ["Claude's", ClaudeCli.layer(untyped({ program, ...options })), expected] as const,
      ["Codex'", CodexCli.layer(untyped({ program, ...options })), expected] as const
    ]),
    ...ofOne
  ]
  for (const [whose, layer, expected] of cases) {
    it.effect(`is refused before ${whose} program is looked for: ${expected.source}`, () =>
      Effect.gen(function*() {
        const error = yield* ask(layer)
        assert.strictEqual(error._tag === "AgentUnavailable" && error.reason, "refused", error.message)
        assert.match(error.message, expected)
        assert.match(error.message, /\. Correct the options of the agent$/)
        assert.strictEqual(error.costUsd, 0)
      }))
  }

  it("is none that has an end far away, or none: a pause, a grace, an answer of any length", () => {
    assert.isUndefined(optionsRefused({}))
    assert.isUndefined(optionsRefused({ grace: 0, longestPause: "2 weeks", retries: 0, answerCharacters: 1 }))
    assert.isUndefined(
      optionsRefused({ grace: Infinity, longestPause: Duration.infinity, answerCharacters: Infinity })
    )
  })
})
