/**
 * A coding agent: asked in words, it changes files in a directory and answers in data.
 *
 * What it answers is untrusted. The JSON in its text is decoded by the caller's schema; when that
 * fails the agent gets one repair turn, with its answer and the decode error in hand; after that the
 * call has failed, typed. Calls are stateless: the prompt holds all that is needed. Every turn
 * counts, also those of calls that fail: errors carry what was used.
 *
 * `make` turns anything that answers a prompt with text into this service. The layer here is
 * `agent/Scripted`; `CodingAgentSuite` in `@espalier/platform/testing` binds every agent.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { findAnswer } from "./internal/agentAnswer.ts"

/** What turns cost in tokens. Zero where the agent does not say. */
export const Usage = Schema.Struct({
  /** Tokens read, those from a cache included. */
  inputTokens: Schema.Finite,
  /** Of those, tokens that came from a cache. */
  cachedInputTokens: Schema.Finite,
  /** Tokens written. */
  outputTokens: Schema.Finite,
  /** Answers that were asked for: 1, or 2 with a repair. */
  turns: Schema.Int
})
/** See the schema of the same name. */
export type Usage = typeof Usage.Type

/** Nothing used. */
export const noUsage: Usage = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, turns: 0 }

/** The sum of two usages. */
export const addUsage = (one: Usage, other: Usage): Usage => ({
  inputTokens: one.inputTokens + other.inputTokens,
  cachedInputTokens: one.cachedInputTokens + other.cachedInputTokens,
  outputTokens: one.outputTokens + other.outputTokens,
  turns: one.turns + other.turns
})

const spent = {
  /** What the caller named the call. */
  phase: Schema.String,
  /** Everything that the call used before it failed. */
  usage: Usage,
  /** In US dollars. */
  costUsd: Schema.Finite,
  message: Schema.String
}

/** The agent answered, and its answer does not fit the schema, nor does its second one. */
export class AnswerRejected extends Schema.TaggedError<AnswerRejected>()("AnswerRejected", {
  ...spent,
  /** What is wrong with the last answer. */
  issue: Schema.String,
  /** The last answer as it came. */
  text: Schema.String
}) {}

/** The agent's provider asks to wait. */
export class AgentRateLimited extends Schema.TaggedError<AgentRateLimited>()("AgentRateLimited", {
  ...spent,
  /** How long to wait, where the provider says so. */
  retryAfterMillis: Schema.NullOr(Schema.Finite)
}) {}

/** The agent cannot be reached or does not run: not installed, not logged in, out of credit, down. */
export class AgentUnavailable extends Schema.TaggedError<AgentUnavailable>()("AgentUnavailable", {
  ...spent,
  detail: Schema.String
}) {}

/** In which ways a call can fail. */
export const AgentError = Schema.Union([AnswerRejected, AgentRateLimited, AgentUnavailable])
/** See the schema of the same name. */
export type AgentError = typeof AgentError.Type

/**
 * How an agent that has no hands of its own changes a file: `Workspace.write` on the experiment's
 * tree, which keeps it inside of that tree. Its failure is its message.
 */
export type Write = (file: string, content: string) => Effect.Effect<void, { readonly message: string }>

/** What an agent is asked. */
export interface AgentRequest<A> {
  /** Everything it needs to know. */
  readonly prompt: string
  /** What its answer must decode to. Services are not allowed, so an answer means the same everywhere. */
  readonly schema: Schema.Decoder<A>
  /** Absolute path of the directory that it works in. */
  readonly directory: string
  /** What the call is for, in records and messages: `planning`, `code_change`... */
  readonly phase: string
  /** Given where it may change files. */
  readonly write?: Write | undefined
}

/** What an agent answered, and what that took. */
export interface AgentAnswer<A> {
  /** The answer as it came, of the last turn. */
  readonly text: string
  readonly answer: A
  readonly usage: Usage
  /** In US dollars. Zero where the agent does not say. */
  readonly costUsd: number
}

/** One prompt, as the agent itself gets it. */
export interface Turn {
  readonly prompt: string
  readonly directory: string
  readonly phase: string
  readonly write: Write | undefined
  /** True for the second turn, which asks to mend the answer of the first. */
  readonly repair: boolean
}

/** What came of one prompt. */
export interface TurnResult {
  readonly text: string
  readonly usage: Omit<Usage, "turns">
  readonly costUsd: number
}

/** Why one prompt brought no text. What it used all the same is added by `make`. */
export type TurnError =
  | { readonly _tag: "RateLimited"; readonly retryAfterMillis: number | null; readonly detail: string }
  | { readonly _tag: "Unavailable"; readonly detail: string }

/** One call of an agent, for the record: how it went and what it used. */
export interface AgentCall {
  readonly phase: string
  readonly directory: string
  /** The prompts and the texts of its turns, in order. A turn that brought no text has null. */
  readonly turns: ReadonlyArray<{ readonly prompt: string; readonly text: string | null }>
  readonly usage: Usage
  readonly costUsd: number
  /** Null where the call succeeded. */
  readonly error: AgentError | null
}

/**
 * A coding agent.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { Effect, Schema } from "effect"
 * import * as Scripted from "@espalier/platform/agent/Scripted"
 * import { CodingAgent } from "@espalier/platform/CodingAgent"
 *
 * const Proposal = Schema.Struct({ workers: Schema.Int })
 *
 * const program = Effect.gen(function*() {
 *   const agent = yield* CodingAgent
 *   return yield* agent.run({
 *     prompt: "How many workers should the pipeline have?",
 *     schema: Proposal,
 *     directory: "/tree",
 *     phase: "planning"
 *   })
 * }).pipe(Effect.provide(Scripted.layer([
 *   "I think four would do.", // no JSON: the agent is asked once more
 *   "Here it is: {\"workers\": 4}"
 * ])))
 *
 * const { answer, usage } = await Effect.runPromise(program)
 * assert.deepEqual(answer, { workers: 4 })
 * assert.equal(usage.turns, 2)
 * ```
 */
export class CodingAgent extends Context.Service<CodingAgent, {
  /** Asks, decodes the answer, and asks once more where it does not decode. */
  run<A>(request: AgentRequest<A>): Effect.Effect<AgentAnswer<A>, AgentError>
}>()("@espalier/platform/CodingAgent") {}

/**
 * The service, from something that answers one prompt with text.
 *
 * `record` is called once for each call that ends, also for one that fails, with all that it used; not
 * for one that is interrupted.
 */
export const make = (options: {
  readonly turn: (turn: Turn) => Effect.Effect<TurnResult, TurnError>
  readonly record?: ((call: AgentCall) => Effect.Effect<void>) | undefined
}): CodingAgent["Service"] => {
  const record = options.record ?? (() => Effect.void)
  return CodingAgent.of({
    run: <A>(request: AgentRequest<A>) =>
      Effect.suspend(() => {
        const turns: Array<AgentCall["turns"][number]> = []
        let usage = noUsage
        let costUsd = 0

        const ask = (prompt: string, repair: boolean) =>
          options.turn({ prompt, repair, directory: request.directory, phase: request.phase, write: request.write })
            .pipe(
              Effect.mapError((error) => {
                turns.push({ prompt, text: null })
                return turnFailed(error, request.phase, addUsage(usage, { ...noUsage, turns: 1 }), costUsd)
              }),
              Effect.map((result) => {
                turns.push({ prompt, text: result.text })
                usage = addUsage(usage, { ...result.usage, turns: 1 })
                costUsd += result.costUsd
                return result.text
              })
            )

        const call = Effect.gen(function*() {
          const first = yield* ask(request.prompt, false)
          const decoded = yield* findAnswer(first, request.schema)
          if (Result.isSuccess(decoded)) return { text: first, answer: decoded.success, usage, costUsd }
          const second = yield* ask(repairPrompt(request.prompt, first, decoded.failure), true)
          const repaired = yield* findAnswer(second, request.schema)
          if (Result.isSuccess(repaired)) return { text: second, answer: repaired.success, usage, costUsd }
          return yield* new AnswerRejected({
            phase: request.phase,
            usage,
            costUsd,
            issue: repaired.failure,
            text: second,
            message: `The agent's answer in phase ${request.phase} does not fit its schema, also after one repair: ` +
              `${repaired.failure}. Look at the prompt and the answer; a clearer prompt or another model may help`
          })
        })

        const recorded = (error: AgentError | null) =>
          record({
            phase: request.phase,
            directory: request.directory,
            turns,
            usage: error === null ? usage : error.usage,
            costUsd: error === null ? costUsd : error.costUsd,
            error
          })
        return call.pipe(
          Effect.tap(() => recorded(null)),
          Effect.tapError(recorded)
        )
      })
  })
}

const turnFailed = (error: TurnError, phase: string, usage: Usage, costUsd: number): AgentError => {
  switch (error._tag) {
    case "RateLimited":
      return new AgentRateLimited({
        phase,
        usage,
        costUsd,
        retryAfterMillis: error.retryAfterMillis,
        message: `The agent is rate limited in phase ${phase} (${error.detail}). ` +
          (error.retryAfterMillis === null
            ? "Wait, or lower the concurrency of agent calls"
            : `Wait ${Math.ceil(error.retryAfterMillis / 1000)} s, or lower the concurrency of agent calls`)
      })
    case "Unavailable":
      return new AgentUnavailable({
        phase,
        usage,
        costUsd,
        detail: error.detail,
        message: `The agent cannot be used in phase ${phase}: ${error.detail}`
      })
  }
}

/** Most of an answer that goes back to the agent. Its end is kept: that is where answers are. */
const quotedCharacters = 20_000

/** Stateless like every prompt: the task, what was answered, what is wrong with it. */
const repairPrompt = (prompt: string, answer: string, issue: string): string =>
  [
    prompt,
    "",
    "----------",
    "",
    "You have answered this already, and your answer could not be read:",
    "",
    issue,
    "",
    "Your answer was:",
    "",
    answer.slice(-quotedCharacters),
    "",
    "----------",
    "",
    "Answer again with one JSON value that mends this, and nothing else. Do not change any file."
  ].join("\n")
