/**
 * Models behind an HTTP API in the style of Anthropic's: `POST /v1/messages`, a key in `x-api-key`.
 *
 * `layer` is a coding agent; `modelLayer` is the bare model as Effect's `LanguageModel`, for whatever else one does
 * with that. No streaming: a reply is there whole, or not at all. Where tools are offered, the conversation so far is
 * marked for the provider's cache, for every round sends it again.
 */
import type * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { CodingAgent } from "../CodingAgent.ts"
import type { Model } from "../internal/effectAi.ts"
import { agentOf, modelOf, type Protocol, replyReader, TokenCount } from "../internal/modelApi.ts"
import { fetchLayer, type HttpClient, type Refusal } from "../internal/modelHttp.ts"
import type { Finish, ProviderFailure, WireMessage, WirePart, WireReply, WireRequest } from "../internal/modelWire.ts"
import type * as Agent from "./LanguageModel.ts"

/** Where the model is, and how it is asked. */
export interface ModelOptions {
  /** The provider's name of the model. */
  readonly model: string
  readonly apiKey: Redacted.Redacted
  /** Default `https://api.anthropic.com`. The path `/v1/messages` is added. */
  readonly baseUrl?: string | undefined
  /** The version of the protocol that is asked for. Default `2023-06-01`. */
  readonly version?: string | undefined
  /** Most tokens of one reply. Default 16,000. */
  readonly maxOutputTokens?: number | undefined
  /** Whether the conversation is marked for the provider's cache where tools are offered. Default true. */
  readonly cache?: boolean | undefined
  /** Further fields of the request (`temperature`, `thinking`...). What the adapter sets itself is not overridden. */
  readonly body?: Readonly<Record<string, Schema.Json>> | undefined
  /** For one request. Default 10 minutes; Node's `fetch` gives up after 5 minutes without a byte in any case. */
  readonly requestTimeout?: Duration.Input | undefined
  /**
   * When a request is sent again that found no connection, a server's own error, or no capacity. Default: 4 times,
   * after about 1, 2, 4 and 8 seconds. A pause that the provider asks for is kept; one of over a minute is not
   * waited for. A rate limit of the account is never waited for: it is told.
   */
  readonly retry?: Schedule.Schedule<unknown> | undefined
  /** Most bytes of a reply. Default 16 MiB. */
  readonly maxReplyBytes?: number | undefined
}

/** The model as a service of Effect. */
export const modelLayer = (options: ModelOptions): Layer.Layer<Model, never, HttpClient> => modelOf(protocol, options)

/** What a coding agent needs beside its model. */
export interface Options extends ModelOptions, Omit<Agent.Options, "model" | "maxOutputTokens"> {}

/**
 * A coding agent on such a model, over Node's `fetch`.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { createServer } from "node:http"
 * import type { AddressInfo } from "node:net"
 * import { Effect, Redacted, Schema } from "effect"
 * import * as AnthropicApi from "@espalier/platform/agent/AnthropicApi"
 * import { CodingAgent } from "@espalier/platform/CodingAgent"
 *
 * // Stands for the provider: a real one needs a key, and no `baseUrl`.
 * const server = createServer((_, response) => {
 *   response.end(JSON.stringify({
 *     content: [{ type: "text", text: "{\"workers\": 4}" }],
 *     stop_reason: "end_turn",
 *     usage: { input_tokens: 1000, output_tokens: 100 }
 *   }))
 * })
 * await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
 *
 * const agent = AnthropicApi.layer({
 *   model: "a-model",
 *   apiKey: Redacted.make("the-key-of-an-example"),
 *   baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
 *   prices: { "a-model": { inputUsd: 3, outputUsd: 15 } },
 *   limits: { costUsd: 0.5, rounds: 30, time: "10 minutes" }
 * })
 *
 * const program = Effect.flatMap(CodingAgent, (agent) =>
 *   agent.run({
 *     prompt: "How many workers?",
 *     schema: Schema.Struct({ workers: Schema.Int }),
 *     directory: "/tree",
 *     phase: "planning"
 *   })).pipe(Effect.provide(agent))
 *
 * const { answer, costUsd } = await Effect.runPromise(program)
 * assert.deepEqual(answer, { workers: 4 })
 * assert.equal(costUsd, 0.0045)
 * server.close()
 * ```
 */
export const layer = (options: Options): Layer.Layer<CodingAgent, Agent.OptionsInvalid> =>
  Layer.provide(layerHttp(options), fetchLayer)

/** The same, over an HTTP client of one's own: it must not follow redirects, or the key goes with them. */
export const layerHttp = (options: Options): Layer.Layer<CodingAgent, Agent.OptionsInvalid, HttpClient> =>
  agentOf(protocol, options)

const requestBody = (options: ModelOptions, request: WireRequest, maxOutputTokens: number): unknown => ({
  ...options.body,
  model: options.model,
  max_tokens: maxOutputTokens,
  ...(request.system === "" ? {} : { system: [{ type: "text", text: request.system }] }),
  messages: request.messages.map((message, index) =>
    messageBody(message, options.cache !== false && request.tools.length > 0 && index === request.messages.length - 1)
  ),
  ...(request.tools.length === 0 ? {} : {
    tools: request.tools.map(({ description, name, parameters }) => ({ name, description, input_schema: parameters })),
    tool_choice: typeof request.toolChoice === "object"
      ? { type: "tool", name: request.toolChoice.tool }
      : { type: request.toolChoice === "required" ? "any" : request.toolChoice }
  })
})

const messageBody = (message: WireMessage, cached: boolean): unknown => {
  // Empty texts are refused.
  const content = message.parts.filter((part) => part.type !== "text" || part.text.trim() !== "").map(partBody)
  const last = content.length - 1
  return {
    role: message.role,
    content: content.map((part, index) =>
      cached && index === last ? { ...part, cache_control: { type: "ephemeral" } } : part
    )
  }
}

const partBody = (part: WirePart): object => {
  switch (part.type) {
    case "text":
      return { type: "text", text: part.text }
    case "reasoning":
      return typeof part.data === "object" && part.data !== null ? part.data : { type: "thinking", thinking: part.text }
    case "tool-call":
      return {
        type: "tool_use",
        id: part.id,
        name: part.name,
        // The protocol takes objects only; what the model wrote may be anything.
        input: typeof part.params === "object" && part.params !== null && !Array.isArray(part.params) ? part.params : {}
      }
    case "tool-result":
      return {
        type: "tool_result",
        tool_use_id: part.id,
        content: part.text === "" ? "(empty)" : part.text,
        is_error: part.isFailure
      }
  }
}

const Block = Schema.Union([
  Schema.Struct({ type: Schema.Literal("text"), text: Schema.String }),
  Schema.Struct({ type: Schema.Literal("tool_use"), id: Schema.String, name: Schema.String, input: Schema.Unknown }),
  Schema.Struct({
    type: Schema.Literal("thinking"),
    thinking: Schema.String,
    signature: Schema.optional(Schema.String)
  }),
  Schema.Struct({ type: Schema.Literal("redacted_thinking"), data: Schema.String })
])

const ReplyBody = Schema.Struct({
  id: Schema.optional(Schema.String),
  model: Schema.optional(Schema.String),
  content: Schema.Array(Schema.Union([Block, Schema.Struct({ type: Schema.String })])),
  stop_reason: Schema.NullOr(Schema.String),
  usage: Schema.Struct({
    input_tokens: TokenCount,
    output_tokens: TokenCount,
    cache_read_input_tokens: Schema.optional(Schema.NullOr(TokenCount)),
    cache_creation_input_tokens: Schema.optional(Schema.NullOr(TokenCount))
  })
})

const readReply = replyReader(ReplyBody, "Anthropic", ({ content, id, model, stop_reason, usage }) => ({
  id,
  model,
  parts: content.flatMap((block): WireReply["parts"] => "id" in block || isKnown(block) ? partOf(block) : []),
  finish: finishes[stop_reason ?? ""] ?? "other",
  usage: {
    uncachedTokens: usage.input_tokens,
    cachedTokens: usage.cache_read_input_tokens ?? 0,
    cacheWriteTokens: usage.cache_creation_input_tokens ?? 0,
    outputTokens: usage.output_tokens
  }
}))

const isKnown = Schema.is(Block)

const partOf = (block: typeof Block.Type): WireReply["parts"] => {
  switch (block.type) {
    case "text":
      return [{ type: "text", text: block.text }]
    case "tool_use":
      return [{ type: "tool-call", id: block.id, name: block.name, params: block.input }]
    case "thinking":
      return [{ type: "reasoning", text: block.thinking, data: { ...block } }]
    case "redacted_thinking":
      return [{ type: "reasoning", text: "", data: { ...block } }]
  }
}

const finishes: Readonly<Record<string, Finish>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  tool_use: "tool-calls",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  refusal: "content-filter"
}

/** Where the status alone does not say it. */
const classify = ({ body, detail, status }: Refusal): ProviderFailure | undefined => {
  const type = Schema.is(ErrorBody)(body) ? body.error.type : undefined
  if (type === "billing_error") return { _tag: "OutOfCredit", detail }
  if (status !== 400 || type !== "invalid_request_error") return undefined
  // Two failures that the protocol has no type for: its documentation gives their words.
  if (/prompt is too long|exceeds? (?:the )?context/i.test(detail)) return { _tag: "ContextTooLong", detail }
  if (/credit balance is too low/i.test(detail)) return { _tag: "OutOfCredit", detail }
  return undefined
}

const ErrorBody = Schema.Struct({ error: Schema.Struct({ type: Schema.String }) })

const protocol: Protocol<ModelOptions> = {
  name: "Anthropic",
  provider: "Anthropic",
  baseUrl: "https://api.anthropic.com",
  path: "/v1/messages",
  headers: (key, { version = "2023-06-01" }) => ({ "x-api-key": key, "anthropic-version": version }),
  requestBody,
  readReply,
  classify
}
