/**
 * What Claude's program prints with `--output-format stream-json`, a JSON object a line, and what it comes to. Pure:
 * `step` takes a line, `conclude` the end. Of the many sorts of lines only those are read that tell of usage, of
 * failure, or of the result; others, and ones of later versions, are passed over.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { TurnError, TurnResult, Used } from "../CodingAgent.ts"
import type { Line } from "../evidence/LogText.ts"
import type { AgentEnded } from "./agentProcess.ts"
import { costPassed } from "./agentLimits.ts"
import { statusFailure, withoutResult } from "./agentStatus.ts"

const count = Schema.optional(Schema.NullOr(Schema.Finite))
const Tokens = Schema.Struct({
  input_tokens: count,
  cache_read_input_tokens: count,
  cache_creation_input_tokens: count,
  output_tokens: count
})
const MessageStart = Schema.Struct({
  type: Schema.Literal("stream_event"),
  event: Schema.Struct({ type: Schema.Literal("message_start"), message: Schema.Struct({ usage: Tokens }) })
})
const MessageDelta = Schema.Struct({
  type: Schema.Literal("stream_event"),
  event: Schema.Struct({ type: Schema.Literal("message_delta"), usage: Tokens })
})
const Retry = Schema.Struct({
  type: Schema.Literal("system"),
  subtype: Schema.Literal("api_retry"),
  retry_delay_ms: Schema.Finite,
  error_status: Schema.NullOr(Schema.Finite)
})
const RateLimit = Schema.Struct({
  type: Schema.Literal("rate_limit_event"),
  rate_limit_info: Schema.Struct({ status: Schema.Literal("rejected"), resetsAt: Schema.Finite })
})
/** Not from the model: the program puts it there to say why there is no answer. */
const ApiError = Schema.Struct({ type: Schema.Literal("assistant"), error: Schema.String })
const ModelUsage = Schema.Struct({
  inputTokens: Schema.Finite,
  outputTokens: Schema.Finite,
  cacheReadInputTokens: Schema.Finite,
  cacheCreationInputTokens: Schema.Finite
})
const Result = Schema.Struct({
  type: Schema.Literal("result"),
  subtype: Schema.String,
  is_error: Schema.Boolean,
  result: Schema.optional(Schema.NullOr(Schema.String)),
  errors: Schema.optional(Schema.Array(Schema.String)),
  api_error_status: count,
  total_cost_usd: count,
  modelUsage: Schema.optional(Schema.Record(Schema.String, ModelUsage))
})
type Result = typeof Result.Type

const decodeEvent = Schema.decodeUnknownOption(
  Schema.Union([MessageStart, MessageDelta, Retry, RateLimit, ApiError, Result])
)
const decodeJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

type Counted = Used["usage"]
const nothing: Counted = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 }

/** What is known of a call so far. */
export interface ClaudeState {
  /** Of messages that have ended, and of the one that is being written. */
  readonly ended: Counted
  readonly open: Counted
  readonly result: Result | undefined
  /** A pause that the program takes before it asks again, too long to be waited for here. */
  readonly pause: { readonly millis: number; readonly status: number } | undefined
  /** When a limit of the account ends, in milliseconds since the epoch. */
  readonly resetsAtMillis: number | undefined
  readonly apiError: string | undefined
  /** A line was too long to be kept: an answer, perhaps. */
  readonly isCut: boolean
}

/** At the start of a call. */
export const initial: ClaudeState = {
  ended: nothing,
  open: nothing,
  result: undefined,
  pause: undefined,
  resetsAtMillis: undefined,
  apiError: undefined,
  isCut: false
}

const counted = (tokens: typeof Tokens.Type): Counted => {
  const cached = tokens.cache_read_input_tokens ?? 0
  return {
    inputTokens: (tokens.input_tokens ?? 0) + cached + (tokens.cache_creation_input_tokens ?? 0),
    cachedInputTokens: cached,
    outputTokens: tokens.output_tokens ?? 0
  }
}

const sum = (one: Counted, other: Counted): Counted => ({
  inputTokens: one.inputTokens + other.inputTokens,
  cachedInputTokens: one.cachedInputTokens + other.cachedInputTokens,
  outputTokens: one.outputTokens + other.outputTokens
})

/** The state after one line. `longestPauseMillis`: how long the program may wait by itself before it asks again. */
export const step = (state: ClaudeState, line: Line, longestPauseMillis: number): ClaudeState => {
  if (line.cut) return { ...state, isCut: true }
  const event = Option.getOrUndefined(Option.flatMap(decodeJson(line.text), decodeEvent))
  if (event === undefined) return state
  switch (event.type) {
    case "stream_event":
      // The beginning of a message tells what was read, its end what was written.
      return event.event.type === "message_start"
        ? { ...state, ended: sum(state.ended, state.open), open: counted(event.event.message.usage) }
        : {
          ...state,
          open: { ...state.open, outputTokens: event.event.usage.output_tokens ?? state.open.outputTokens }
        }
    case "system":
      return event.retry_delay_ms > longestPauseMillis
        ? { ...state, pause: { millis: event.retry_delay_ms, status: event.error_status ?? 0 } }
        : state
    case "rate_limit_event":
      return { ...state, resetsAtMillis: event.rate_limit_info.resetsAt * 1000 }
    case "assistant":
      return { ...state, apiError: event.error }
    case "result":
      return { ...state, result: event }
  }
}

const larger = (one: Counted, other: Counted): Counted => ({
  inputTokens: Math.max(one.inputTokens, other.inputTokens),
  cachedInputTokens: Math.max(one.cachedInputTokens, other.cachedInputTokens),
  outputTokens: Math.max(one.outputTokens, other.outputTokens)
})

/**
 * What the call has used, as far as it is known. The result counts what the stream does not show (other agents that it
 * asked), and the stream what the result leaves out (a message that was cut off). The price only stands in the result.
 */
export const used = ({ ended, open, result }: ClaudeState): Used => {
  const ofModels = Object.values(result?.modelUsage ?? {}).map((model): Counted => ({
    inputTokens: model.inputTokens + model.cacheReadInputTokens + model.cacheCreationInputTokens,
    cachedInputTokens: model.cacheReadInputTokens,
    outputTokens: model.outputTokens
  }))
  return {
    usage: larger(sum(ended, open), ofModels.reduce(sum, nothing)),
    // A program that gives money back is not believed: it would raise the limit of the call.
    costUsd: Math.max(0, result?.total_cost_usd ?? 0)
  }
}

/**
 * What it all comes to, when the program has ended. `limitUsd`: what it may cost. The program is told too, but an answer can
 * come of the round that passes it, and not every program that speaks like this one keeps it.
 */
export const conclude = (
  state: ClaudeState,
  ended: AgentEnded,
  nowMillis: number,
  limitUsd?: number
): TurnResult | TurnError => {
  const spent = used(state)
  const { isCut, pause, resetsAtMillis, result } = state
  if (pause !== undefined) {
    const detail = `it would wait ${
      Math.ceil(pause.millis / 1000)
    } s before it asks again, after status ${pause.status}`
    return { ...statusFailure(pause.status, detail, Math.round(pause.millis)), used: spent }
  }
  if (result !== undefined) {
    if (!result.is_error && typeof result.result === "string") {
      const passed = costPassed(spent.costUsd, limitUsd)
      return passed === undefined ? { text: result.result, ...spent } : { ...passed, used: spent }
    }
    const wait = resetsAtMillis === undefined ? null : Math.max(0, resetsAtMillis - nowMillis)
    return { ...resultFailure(result, state.apiError, wait), used: spent }
  }
  if (isCut || ended.tooLoud) {
    return { _tag: "LimitReached", limit: "answer", detail: "it printed more than is read", used: spent }
  }
  return { _tag: "Unavailable", reason: "failed", detail: withoutResult(ended), used: spent }
}

const resultFailure = (result: Result, apiError: string | undefined, wait: number | null): TurnError => {
  const detail = (result.result ?? result.errors?.join("; ") ?? result.subtype).slice(0, 1000)
  switch (result.subtype) {
    case "error_max_turns":
      return { _tag: "LimitReached", limit: "rounds", detail }
    case "error_max_budget_usd":
      return { _tag: "LimitReached", limit: "cost", detail }
  }
  // Its own word for what is wrong comes first: for want of money the status is an ordinary 400.
  switch (apiError) {
    case "billing_error":
      return { _tag: "Unavailable", reason: "out-of-credit", detail }
    case "authentication_failed":
      return { _tag: "Unavailable", reason: "unauthorized", detail }
  }
  const status = result.api_error_status
  if (typeof status === "number") return statusFailure(status, detail, wait)
  switch (apiError) {
    case "rate_limit":
      return { _tag: "RateLimited", retryAfterMillis: wait, detail }
    case "invalid_request":
      return { _tag: "Unavailable", reason: "refused", detail }
    case undefined:
      return { _tag: "Unavailable", reason: "failed", detail }
    default:
      return { _tag: "Unavailable", reason: "unreachable", detail }
  }
}
