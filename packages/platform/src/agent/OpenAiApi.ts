/**
 * Models behind an HTTP API in the style of OpenAI's: `POST /v1/chat/completions`, a key as bearer. Many servers speak
 * it, hosted ones and those on one's own machine.
 *
 * `layer` is a coding agent; `modelLayer` is the bare model as Effect's `LanguageModel`, for whatever else one does
 * with that. No streaming: a reply is there whole, or not at all.
 */
import type * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { CodingAgent } from "../CodingAgent.ts"
import type { Model } from "../internal/effectAi.ts"
import { agentOf, modelOf, type Protocol, replyReader, TokenCount } from "../internal/modelApi.ts"
import { fetchLayer, type HttpClient, type Refusal } from "../internal/modelHttp.ts"
import type { Finish, ProviderFailure, WireMessage, WireRequest } from "../internal/modelWire.ts"
import type * as Agent from "./LanguageModel.ts"

/** Where the model is, and how it is asked. */
export interface ModelOptions {
  /** The server's name of the model. */
  readonly model: string
  /** What stands after `Bearer`. A server that wants none takes any word. */
  readonly apiKey: Redacted.Redacted
  /** Up to and without `/chat/completions`. Default `https://api.openai.com/v1`. */
  readonly baseUrl?: string | undefined
  /** Most tokens of one reply. Default 16,000. */
  readonly maxOutputTokens?: number | undefined
  /**
   * The field that carries `maxOutputTokens`. OpenAI itself wants `max_completion_tokens`, which is the default at
   * its address; other servers know `max_tokens`, which is the default everywhere else.
   */
  readonly maxTokensField?: "max_tokens" | "max_completion_tokens" | undefined
  /** Further fields of the request (`temperature`, `reasoning_effort`...). What the adapter sets itself is not overridden. */
  readonly body?: Readonly<Record<string, Schema.Json>> | undefined
  /** For one request. Default 10 minutes; Node's `fetch` gives up after 5 minutes without a byte in any case. */
  readonly requestTimeout?: Duration.Input | undefined
  /**
   * When a request is sent again that found no connection or a server's own error. Default: 4 times, after about 1,
   * 2, 4 and 8 seconds. A pause that the server asks for is kept; one of over a minute is not waited for. A rate
   * limit is never waited for: it is told.
   */
  readonly retry?: Schedule.Schedule<unknown> | undefined
  /** Most bytes of a reply. Default 16 MiB. */
  readonly maxReplyBytes?: number | undefined
}

const openAi = "https://api.openai.com/v1"

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
 * import * as OpenAiApi from "@espalier/platform/agent/OpenAiApi"
 * import { CodingAgent } from "@espalier/platform/CodingAgent"
 *
 * // Stands for a server of one's own.
 * const server = createServer((_, response) => {
 *   response.end(JSON.stringify({
 *     choices: [{ message: { content: "{\"workers\": 4}" }, finish_reason: "stop" }],
 *     usage: { prompt_tokens: 1000, completion_tokens: 100 }
 *   }))
 * })
 * await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
 *
 * const agent = OpenAiApi.layer({
 *   model: "a-model",
 *   apiKey: Redacted.make("none"),
 *   baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
 *   prices: "unknown", // electricity
 *   limits: { rounds: 30, time: "10 minutes" },
 *   maxTokens: 200_000
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
 * const { answer, usage } = await Effect.runPromise(program)
 * assert.deepEqual(answer, { workers: 4 })
 * assert.equal(usage.inputTokens, 1000)
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
  stream: false,
  [maxTokensField(options)]: maxOutputTokens,
  messages: [
    ...(request.system === "" ? [] : [{ role: "system", content: request.system }]),
    ...request.messages.flatMap(messageBodies)
  ],
  ...(request.tools.length === 0 ? {} : {
    tools: request.tools.map((tool) => ({ type: "function", function: tool })),
    tool_choice: typeof request.toolChoice === "object"
      ? { type: "function", function: { name: request.toolChoice.tool } }
      : request.toolChoice
  })
})

const maxTokensField = (options: ModelOptions): string =>
  options.maxTokensField ?? ((options.baseUrl ?? openAi) === openAi ? "max_completion_tokens" : "max_tokens")

/** One message may become several: each result of a tool is a message of its own here. */
const messageBodies = ({ parts, role }: WireMessage): ReadonlyArray<unknown> => {
  const text = parts.flatMap((part) => part.type === "text" && part.text !== "" ? [part.text] : []).join("\n\n")
  if (role === "assistant") {
    const calls = parts.flatMap((part) =>
      part.type !== "tool-call" ? [] : [{
        id: part.id,
        type: "function",
        function: {
          name: part.name,
          // What was no JSON when it came goes back as it came.
          arguments: typeof part.params === "string" ? part.params : JSON.stringify(part.params ?? {})
        }
      }]
    )
    return [{
      role,
      content: text === "" && calls.length > 0 ? null : text,
      ...(calls.length === 0 ? {} : { tool_calls: calls })
    }]
  }
  const results = parts.flatMap((part) =>
    part.type === "tool-result" ? [{ role: "tool", tool_call_id: part.id, content: part.text }] : []
  )
  return text === "" && results.length > 0 ? results : [...results, { role, content: text }]
}

const maybe = <S extends Schema.Constraint>(schema: S) => Schema.optional(Schema.NullOr(schema))

const Call = Schema.Struct({
  id: maybe(Schema.String),
  function: Schema.Struct({ name: Schema.String, arguments: Schema.Unknown })
})

const ReplyBody = Schema.Struct({
  id: maybe(Schema.String),
  model: maybe(Schema.String),
  choices: Schema.NonEmptyArray(Schema.Struct({
    message: Schema.Struct({
      content: maybe(Schema.Union([
        Schema.String,
        Schema.Array(Schema.Struct({ type: Schema.String, text: Schema.optional(Schema.String) }))
      ])),
      refusal: maybe(Schema.String),
      tool_calls: maybe(Schema.Array(Call))
    }),
    finish_reason: maybe(Schema.String)
  })),
  usage: maybe(Schema.Struct({
    prompt_tokens: TokenCount,
    completion_tokens: TokenCount,
    prompt_tokens_details: maybe(Schema.Struct({ cached_tokens: maybe(TokenCount) }))
  }))
})

const readReply = replyReader(
  ReplyBody,
  "the model's server",
  ({ choices: [{ finish_reason, message }], id, model, usage }) => {
    const text = typeof message.content === "string"
      ? message.content
      : (message.content ?? []).map((part) => part.text ?? "").join("")
    const refused = typeof message.refusal === "string" && message.refusal !== ""
    return {
      id: id ?? undefined,
      model: model ?? undefined,
      parts: [
        ...(text === "" && !refused ? [] : [{ type: "text" as const, text: text === "" ? message.refusal! : text }]),
        ...(message.tool_calls ?? []).map((call, index) => ({
          type: "tool-call" as const,
          // Some servers give none, and the result has to name its call.
          id: (call.id ?? "") === "" ? `call_${index}` : call.id!,
          name: call.function.name,
          params: argumentsOf(call.function.arguments)
        }))
      ],
      finish: refused ? "content-filter" : finishes[finish_reason ?? ""] ?? "other",
      usage: usage === null || usage === undefined ? undefined : {
        uncachedTokens: Math.max(0, usage.prompt_tokens - cached(usage)),
        cachedTokens: cached(usage),
        cacheWriteTokens: 0,
        outputTokens: usage.completion_tokens
      }
    }
  }
)

const cached = (usage: NonNullable<(typeof ReplyBody.Type)["usage"]>): number =>
  Math.min(usage.prompt_tokens, usage.prompt_tokens_details?.cached_tokens ?? 0)

/** The protocol sends them as a text of JSON. One that does not parse stays a text, which no tool takes. */
const argumentsOf = (text: unknown): unknown => {
  if (typeof text !== "string") return text
  if (text.trim() === "") return {}
  return Result.getOrElse(Result.try((): unknown => JSON.parse(text)), () => text)
}

const finishes: Readonly<Record<string, Finish>> = {
  stop: "stop",
  tool_calls: "tool-calls",
  function_call: "tool-calls",
  length: "length",
  content_filter: "content-filter"
}

/** Where the status alone does not say it. */
const classify = ({ body, detail }: Refusal): ProviderFailure | undefined => {
  if (!Schema.is(ErrorBody)(body)) return undefined
  const { code, type } = body.error
  if (code === "context_length_exceeded") return { _tag: "ContextTooLong", detail }
  if (code === "insufficient_quota" || type === "insufficient_quota") return { _tag: "OutOfCredit", detail }
  return undefined
}

const ErrorBody = Schema.Struct({
  error: Schema.Struct({ code: Schema.optional(Schema.Unknown), type: Schema.optional(Schema.Unknown) })
})

const protocol: Protocol<ModelOptions> = {
  name: "OpenAI",
  provider: "The model's server",
  baseUrl: openAi,
  path: "/chat/completions",
  headers: (key) => ({ authorization: `Bearer ${key}` }),
  requestBody,
  readReply,
  classify
}
