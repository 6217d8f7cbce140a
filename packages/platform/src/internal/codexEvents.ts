/**
 * What Codex' program prints with `exec --json`, a JSON object a line, together with what its session file says of usage,
 * and what it comes to. Pure: `step` takes a line, `spend` what was used, `conclude` the end.
 *
 * The program knows no limit of rounds or cost. Both are kept here: a turn that has reached one is over as soon as it
 * goes on, that is with the next thing that it does, and not before, for it may just be about to answer.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { costUsd, type Price } from "../agent/Prices.ts"
import type { TurnError, TurnResult, Used } from "../CodingAgent.ts"
import type { Line } from "../evidence/LogText.ts"
import type { AgentEnded } from "./agentProcess.ts"
import { costPassed } from "./agentLimits.ts"
import { withoutResult } from "./agentStatus.ts"
import { codexFailure } from "./codexFailure.ts"

/** Tokens as the program counts them: those from a cache are among the input. */
export const CodexTokens = Schema.Struct({
  input_tokens: Schema.Finite,
  cached_input_tokens: Schema.optional(Schema.Finite),
  cache_write_input_tokens: Schema.optional(Schema.Finite),
  output_tokens: Schema.Finite
})
/** See the schema of the same name. */
export type CodexTokens = typeof CodexTokens.Type

const Message = Schema.Struct({ message: Schema.String })
const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Union([
  Schema.Struct({ type: Schema.Literal("turn.completed"), usage: CodexTokens }),
  Schema.Struct({ type: Schema.Literal("turn.failed"), error: Message }),
  Schema.Struct({ type: Schema.Literal("error"), message: Schema.String }),
  Schema.Struct({
    type: Schema.Literals(["item.started", "item.completed"]),
    item: Schema.Struct({ type: Schema.String, text: Schema.optional(Schema.String) })
  })
])))

/** Items that are work, and so mean that the turn goes on. */
const work = new Set(["command_execution", "file_change", "mcp_tool_call", "web_search", "collab_tool_call"])

/** What a turn may take, and what its tokens cost. */
export interface CodexLimits {
  readonly rounds: number | undefined
  readonly costUsd: number | undefined
  readonly price: Price | undefined
}

/** What is known of a turn so far. */
export interface CodexState {
  readonly tokens: CodexTokens
  /** Answers of the model that the session file has told of. */
  readonly rounds: number
  readonly reached: "rounds" | "cost" | undefined
  /** It went on past a limit, or may have. */
  readonly isOver: boolean
  /** Why nothing is known any more of what it uses. */
  readonly lost: string | undefined
  /** Its session has been seen: without it nobody knows how many rounds there were. */
  readonly hasSession: boolean
  readonly text: string | undefined
  readonly isCompleted: boolean
  readonly failure: string | undefined
  readonly lastError: string | undefined
  /** A line was too long to be kept: an answer, perhaps. */
  readonly isCut: boolean
}

/** At the start of a turn. */
export const initial: CodexState = {
  tokens: { input_tokens: 0, output_tokens: 0 },
  rounds: 0,
  reached: undefined,
  isOver: false,
  lost: undefined,
  hasSession: false,
  text: undefined,
  isCompleted: false,
  failure: undefined,
  lastError: undefined,
  isCut: false
}

/** The state after one line. */
export const step = (state: CodexState, line: Line): CodexState => {
  if (line.cut) return { ...state, isCut: true }
  const event = Option.getOrUndefined(decodeEvent(line.text))
  switch (event?.type) {
    case undefined:
      return state
    case "turn.completed":
      return { ...state, tokens: event.usage, isCompleted: true }
    case "turn.failed":
      return { ...state, failure: event.error.message }
    case "error":
      return { ...state, lastError: event.message }
    case "item.started":
    case "item.completed":
      if (event.type === "item.completed" && event.item.type === "agent_message") {
        return { ...state, text: event.item.text, isCut: false }
      }
      return state.reached !== undefined && work.has(event.item.type) ? { ...state, isOver: true } : state
  }
}

/** The state after the session file told what all answers of the model have used together. */
export const spend = (state: CodexState, tokens: CodexTokens, limits: CodexLimits): CodexState => {
  const isMore = tokens.input_tokens + tokens.output_tokens > state.tokens.input_tokens + state.tokens.output_tokens
  if (!isMore || state.isCompleted) return state
  if (state.reached !== undefined) return { ...state, tokens, rounds: state.rounds + 1, isOver: true }
  const next = { ...state, tokens, rounds: state.rounds + 1 }
  const isAt = (limit: number | undefined, value: number) => limit !== undefined && value >= limit
  return {
    ...next,
    reached: isAt(limits.rounds, next.rounds)
      ? "rounds"
      : isAt(limits.costUsd, used(next, limits.price).costUsd)
      ? "cost"
      : undefined
  }
}

/** The state after a session has been seen. */
export const appear = (state: CodexState): CodexState => ({ ...state, hasSession: true })

/** The state of a limited turn whose session file cannot be read any more: it cannot go on without a limit. */
export const lose = (state: CodexState, detail: string): CodexState =>
  state.isCompleted ? state : { ...state, lost: detail, isOver: true }

/** What the turn has used, as far as it is known. */
export const used = ({ tokens }: CodexState, price: Price | undefined): Used => {
  const { cache_write_input_tokens: written = 0, cached_input_tokens: cached = 0 } = tokens
  return {
    usage: { inputTokens: tokens.input_tokens, cachedInputTokens: cached, outputTokens: tokens.output_tokens },
    costUsd: price === undefined ? 0 : costUsd(price, {
      uncachedTokens: Math.max(0, tokens.input_tokens - cached - written),
      cachedTokens: cached,
      cacheWriteTokens: written,
      outputTokens: tokens.output_tokens
    })
  }
}

/** What it all comes to, when the program has ended. */
export const conclude = (state: CodexState, ended: AgentEnded, limits: CodexLimits): TurnResult | TurnError => {
  const spent = used(state, limits.price)
  const { hasSession, isCompleted, isCut, isOver, text } = state
  // One that went on past its limit may still answer while it is being ended.
  if (!isCompleted || isCut || isOver || text === undefined) {
    return { ...failureOf(state, ended, limits), used: spent }
  }
  const passed = costPassed(spent.costUsd, limits.costUsd)
  if (passed !== undefined) return { ...passed, used: spent }
  return limits.rounds === undefined || hasSession
    ? { text, ...spent }
    : { ...limitsLost("it left no session until it ended"), used: spent }
}

/** Asked again it may keep them: a machine with too much to do can be late. */
const limitsLost = (detail: string): TurnError => ({
  _tag: "Unavailable",
  reason: "failed",
  detail: `limits of rounds and cost cannot be kept: ${detail}`,
  remedy: "Ask again; if it stays, limit the time instead"
})

const failureOf = (state: CodexState, ended: AgentEnded, limits: CodexLimits): TurnError => {
  const { failure, isCompleted, isCut, isOver, lastError, lost, reached, rounds } = state
  if (isOver && reached !== undefined) {
    const detail = reached === "rounds"
      ? `it went back to its model more often than ${limits.rounds} times (${rounds} answers are known)`
      : `it went on after ${used(state, limits.price).costUsd.toFixed(4)} of ${limits.costUsd} US$`
    return { _tag: "LimitReached", limit: reached, detail }
  }
  if (failure !== undefined) return codexFailure(failure)
  if (lost !== undefined) return limitsLost(lost)
  if (isCut || ended.tooLoud) return { _tag: "LimitReached", limit: "answer", detail: "it printed more than is read" }
  if (isCompleted) return { _tag: "Unavailable", reason: "failed", detail: "it ended its turn without an answer" }
  const said = lastError === undefined ? "" : `; the last error it told is: ${lastError.slice(0, 500)}`
  return { _tag: "Unavailable", reason: "failed", detail: withoutResult(ended) + said }
}
