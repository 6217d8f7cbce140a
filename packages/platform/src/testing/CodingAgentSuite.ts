/**
 * What every coding agent must do with what comes back from it, as named cases that any test runner
 * can register. The subject plays texts to the agent: a script, a recording, or a local server that
 * speaks a provider's protocol.
 *
 * Time passes by itself, or under the test clock: then give each case to `passingTime` of `ExecutionSuite`.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { strict as assert } from "node:assert"
import {
  type AgentAnswer,
  type AgentCall,
  type AgentError,
  type AgentRequest,
  CodingAgent,
  type MakeOptions
} from "../CodingAgent.ts"

/** A text that the provider answers with, and what it says that this took. */
export interface TextPlay {
  readonly _tag: "Text"
  readonly text: string
  readonly inputTokens: number
  readonly outputTokens: number
  readonly costUsd: number
}

/**
 * What the provider does on one turn: it answers; has no more for this account for now; is short of capacity for
 * everybody; does not accept the key; is broken; or never says a word.
 */
export type Play =
  | TextPlay
  | { readonly _tag: "RateLimited"; readonly retryAfterMillis: number }
  | { readonly _tag: "Overloaded" }
  | { readonly _tag: "Unauthorized" }
  | { readonly _tag: "Unavailable" }
  | { readonly _tag: "Hang" }

/** What the agent has to hand on to `make`. */
export type LayerOptions = Pick<MakeOptions, "record" | "limits" | "secrets">

/** The agent under test. */
export interface Subject {
  /** The agent, with a provider that plays these turns in order. */
  readonly layer: (plays: ReadonlyArray<Play>, options: LayerOptions) => Layer.Layer<CodingAgent, unknown>
  /** A directory that the agent may be pointed at. */
  readonly directory: string
  /**
   * What the agent says that a text cost, in US dollars, where that is not what the play says: some reckon it from
   * tokens. Zero where it cannot know: the case about a cost limit is then left out.
   */
  readonly costOf?: ((play: TextPlay) => number) | undefined
  /** How long an answer is that is too long, in characters. Default 50 Mi: less only for what itself takes too long with it. */
  readonly hugeAnswer?: number | undefined
  /** False where the agent never learns how long a provider that limits it asks to wait. Default true. */
  readonly knowsWait?: boolean | undefined
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
type Proposal = typeof Proposal.Type

const proposal = { hypothesis: "More workers hide the {latency}", parameters: { workers: 4, "a \"b\"": "}]" } }
const json = JSON.stringify(proposal)

const text = (content: string): TextPlay => ({
  _tag: "Text",
  text: content,
  inputTokens: 100,
  outputTokens: 10,
  costUsd: 0.01
})

/** Texts that hold the proposal, as agents write them. Where else an answer is found is not the agents' business. */
const wrappings: ReadonlyArray<readonly [string, string]> = [
  ["alone", json],
  ["with white space around it", `\n\n  ${json}\n`],
  ["in a fence", `Here it is:\n\n\`\`\`json\n${JSON.stringify(proposal, undefined, 2)}\n\`\`\`\n\nGood luck!`],
  ["in prose", `I thought about it [1] and {perhaps} propose ${json}, as in [2].`]
]

const secret = "sk-suite-0123456789"

/** Sums of decimal fractions are not exact. */
const assertCost = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) < 1e-9, `it says ${actual} US$, and it took ${expected} US$`)

/** The cases for one agent. Each builds its own, so they may run in any order and at once. */
export const cases = (subject: Subject): ReadonlyArray<Case> => {
  const costOf = subject.costOf ?? ((play: TextPlay) => play.costUsd)
  const turnCost = costOf(text(json))

  type Extra = Partial<Pick<AgentRequest<Proposal>, "prompt" | "limits">>
  type Run = (extra?: Extra) => Effect.Effect<AgentAnswer<Proposal>, AgentError>

  const check = (
    name: string,
    plays: ReadonlyArray<Play>,
    body: (run: Run, calls: ReadonlyArray<AgentCall>) => Effect.Effect<void, unknown>,
    options: LayerOptions = {}
  ): Case => ({
    name,
    effect: Effect.suspend(() => {
      const calls: Array<AgentCall> = []
      const record = (call: AgentCall) => Effect.sync(() => void calls.push(call))
      return Effect.flatMap(CodingAgent, (agent) =>
        body(
          (extra) =>
            agent.run({
              prompt: "Propose an experiment.",
              schema: Proposal,
              directory: subject.directory,
              phase: "planning",
              ...extra
            }),
          calls
        )).pipe(Effect.provide(subject.layer(plays, { ...options, record })))
    })
  })

  const costCases = turnCost === 0 ? [] : [
    check(
      "a call whose money is spent is not repaired",
      [text("{}"), text(json)],
      (run, calls) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(run({ limits: { costUsd: turnCost / 2 } }))
          assert.ok(error._tag === "AgentLimitReached", error.message)
          assert.equal(error.limit, "cost")
          assertCost(error.costUsd, turnCost)
          assert.equal(error.usage.turns, 1)
          assert.equal(calls[0]?.turns.length, 1)
        })
    )
  ]

  return [
    ...wrappings.map(([where, content]) =>
      check(`an answer is found ${where}`, [text(content)], (run) =>
        Effect.gen(function*() {
          const answer = yield* run()
          assert.deepEqual(answer.answer, proposal)
          assert.equal(answer.text, content)
          assert.equal(answer.usage.turns, 1)
        }))
    ),

    check(
      "usage and cost are those of the call, and are recorded with it",
      [text(json)],
      (run, calls) =>
        Effect.gen(function*() {
          const { costUsd, usage } = yield* run()
          assert.equal(usage.inputTokens, 100)
          assert.equal(usage.outputTokens, 10)
          assertCost(costUsd, turnCost)
          assert.deepEqual(calls, [{
            phase: "planning",
            directory: subject.directory,
            turns: [{ prompt: "Propose an experiment.", text: json }],
            usage,
            costUsd,
            error: null,
            interrupted: false,
            defect: null
          }])
        })
    ),

    check(
      "an answer that does not decode is repaired once, and both turns count",
      [text("{}"), text(json)],
      (run, calls) =>
        Effect.gen(function*() {
          const { answer, costUsd, usage } = yield* run()
          assert.deepEqual(answer, proposal)
          assert.deepEqual([usage.turns, usage.inputTokens, usage.outputTokens], [2, 200, 20])
          assertCost(costUsd, 2 * turnCost)
          assert.deepEqual(calls[0]?.turns.map((turn) => turn.text), ["{}", json])
          assert.match(calls[0]?.turns[1]?.prompt ?? "", /^Propose an experiment\.[^]*hypothesis/)
        })
    ),

    check(
      "an answer without JSON is repaired once",
      [text("I would rather not."), text(json)],
      (run) => Effect.map(run(), ({ answer }) => assert.deepEqual(answer, proposal))
    ),

    check(
      "an answer that does not decode twice is rejected with its issue, text and cost",
      [text("{}"), text("{\"hypothesis\": \"x\", \"parameters\": {\"workers\": null}}"), text(json)],
      (run, calls) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(run())
          assert.ok(error._tag === "AnswerRejected", error.message)
          assert.equal(error.phase, "planning")
          assert.match(error.issue, /workers/)
          assert.match(error.text, /null/)
          assert.equal(error.usage.turns, 2)
          assertCost(error.costUsd, 2 * turnCost)
          assert.match(error.message, /planning/)
          assert.deepEqual(calls.map((call) => call.error), [error])
        })
    ),

    check(
      "a rate limit is told with how long to wait",
      [{ _tag: "RateLimited", retryAfterMillis: 30_000 }],
      (run) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(run())
          assert.ok(error._tag === "AgentRateLimited", error.message)
          assert.equal(error.overloaded, false)
          if (subject.knowsWait === false) return assert.equal(error.retryAfterMillis, null)
          // Some add to it, so that not everybody comes back at the same moment.
          const wait = error.retryAfterMillis ?? 0
          assert.ok(wait >= 30_000 && wait <= 45_000, `it says to wait ${wait} ms, and the provider says 30 s`)
          assert.match(error.message, /Wait [34]\d s/)
        })
    ),

    check(
      "a provider that is short of capacity is told from a limit of the account",
      [{ _tag: "Overloaded" }],
      (run) =>
        Effect.map(Effect.flip(run()), (error) => {
          assert.ok(error._tag === "AgentRateLimited", error.message)
          assert.equal(error.overloaded, true)
        })
    ),

    check(
      "a key that is not accepted is told from a provider that is down",
      [{ _tag: "Unauthorized" }],
      (run) =>
        Effect.map(Effect.flip(run()), (error) => {
          assert.ok(error._tag === "AgentUnavailable", error.message)
          assert.equal(error.reason, "unauthorized")
        })
    ),

    check(
      "an agent that cannot be reached is told",
      [{ _tag: "Unavailable" }],
      (run) =>
        Effect.map(Effect.flip(run()), (error) => {
          assert.ok(error._tag === "AgentUnavailable", error.message)
          assert.ok(error.reason === "unreachable" || error.reason === "failed", error.reason)
        })
    ),

    check(
      "what was used before a repair failed is not lost",
      [text("{}"), { _tag: "Unavailable" }],
      (run) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(run())
          assert.ok(error._tag === "AgentUnavailable", error.message)
          assert.equal(error.usage.inputTokens, 100)
          assert.equal(error.usage.turns, 2)
          assertCost(error.costUsd, turnCost)
        })
    ),

    check(
      "a call that hangs is ended at its time limit, the narrower of the agent's and its own",
      [{ _tag: "Hang" }],
      (run, calls) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(run({ limits: { time: "2 seconds" } }))
          assert.ok(error._tag === "AgentLimitReached", error.message)
          assert.equal(error.limit, "time")
          assert.match(error.message, /longer than 2s/)
          assert.deepEqual(calls.map((call) => [call.turns.length, call.interrupted]), [[1, false]])
        }),
      { limits: { time: "1 hour" } }
    ),

    check(
      "a call that is given up ends at once, and is recorded as that",
      [{ _tag: "Hang" }],
      (run, calls) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(run(), { startImmediately: true })
          yield* Fiber.interrupt(fiber)
          assert.deepEqual(calls.map((call) => [call.interrupted, call.error]), [[true, null]])
        })
    ),

    check(
      "an answer that is far too long is survived, and does not go into the error",
      [text("x".repeat(subject.hugeAnswer ?? 50 * 1024 * 1024))],
      (run, calls) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(run())
          assert.ok(error._tag === "AgentLimitReached", error.message)
          assert.equal(error.limit, "answer")
          assert.equal(error.usage.inputTokens, 100)
          assert.ok(JSON.stringify([error, calls]).length < 10_000)
        })
    ),

    check(
      "a secret that the agent tells is in no answer, error or record",
      [
        text(`My key is ${secret}. {}`),
        text(`{"hypothesis": "${secret}", "parameters": {}}`),
        text(secret),
        text(secret)
      ],
      (run, calls) =>
        Effect.gen(function*() {
          const told = yield* run()
          assert.equal(told.answer.hypothesis, "<redacted>")
          const error = yield* Effect.flip(run())
          assert.equal(error._tag, "AnswerRejected")
          assert.equal(calls.length, 2)
          assert.ok(!JSON.stringify([told, error, calls]).includes(secret))
        }),
      { secrets: [Redacted.make(secret)] }
    ),

    check(
      "a secret in a prompt does not reach the agent",
      [text(json)],
      (run, calls) =>
        Effect.gen(function*() {
          yield* run({ prompt: `The log ends with KEY=${secret}. Propose an experiment.` })
          assert.equal(calls[0]?.turns[0]?.prompt, "The log ends with KEY=<redacted>. Propose an experiment.")
        }),
      { secrets: [Redacted.make(secret)] }
    ),

    ...costCases
  ]
}
