/**
 * How calls of a coding agent fail, and what they used: the errors that every agent has. Import them from
 * `CodingAgent`, which is where they are used.
 */
import * as Schema from "effect/Schema"

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
  retryAfterMillis: Schema.NullOr(Schema.Finite),
  /** True where the provider is short of capacity for everybody, false where this account has used up its own. */
  overloaded: Schema.Boolean
}) {}

/** Which limit a call reached. */
export const LimitName = Schema.Literals(["time", "cost", "rounds", "answer"])
/** See the schema of the same name. */
export type LimitName = typeof LimitName.Type

/** The call was ended because it reached a limit. Asking again takes as much again: raise the limit, or ask for less. */
export class AgentLimitReached extends Schema.TaggedError<AgentLimitReached>()("AgentLimitReached", {
  ...spent,
  /** `time` and `cost` and `rounds` as in `Limits`; `answer` where the answer is longer than is read. */
  limit: LimitName,
  detail: Schema.String
}) {}

/**
 * Why an agent cannot be used:
 *
 * - `not-installed`: its program is not there or does not start. Nothing was asked.
 * - `unauthorized`: no key, or one that the provider does not accept. Asking again does not help.
 * - `out-of-credit`: the account has no money. Asking again does not help.
 * - `refused`: the provider does not take this request (no such model, prompt too long). Asking again does not help.
 * - `unreachable`: no connection, or the provider is down. Asking again later may help.
 * - `failed`: the agent ended without an answer. Asking again may help.
 */
export const UnavailableReason = Schema.Literals([
  "not-installed",
  "unauthorized",
  "out-of-credit",
  "refused",
  "unreachable",
  "failed"
])
/** See the schema of the same name. */
export type UnavailableReason = typeof UnavailableReason.Type

/** The agent cannot be reached or does not run: not installed, not logged in, out of credit, down. */
export class AgentUnavailable extends Schema.TaggedError<AgentUnavailable>()("AgentUnavailable", {
  ...spent,
  reason: UnavailableReason,
  detail: Schema.String
}) {}

/** In which ways a call can fail. */
export const AgentError = Schema.Union([AnswerRejected, AgentRateLimited, AgentLimitReached, AgentUnavailable])
/** See the schema of the same name. */
export type AgentError = typeof AgentError.Type
