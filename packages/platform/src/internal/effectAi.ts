/**
 * The only file that knows `effect/ai`, which is still unstable: a conversation with any `LanguageModel` on one
 * side, a `LanguageModel` out of an adapter on the other.
 *
 * The history is kept in Effect's own form and not rebuilt, so what a provider puts beside its words (signatures
 * of its reasoning) goes back to it. Calls of tools come back unchecked and are not run here: what the model wrote may be
 * anything, and a wrong call is the model's to mend, not a failure of the conversation.
 */
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import type {
  Finish,
  ModelUsage,
  ProviderFailure,
  ToolCall,
  WireMessage,
  WirePart,
  WireReply,
  WireRequest,
  WireTool
} from "./modelWire.ts"

/** Effect's service of a language model, and its shape. */
export { LanguageModel as Model } from "effect/ai/LanguageModel"

/** What was said until now. */
export type Conversation = Prompt.Prompt

/** What came of a tool call, in words for the model. */
export interface ToolOutcome {
  readonly call: ToolCall
  readonly text: string
  readonly isFailure: boolean
}

/** A model's reply, and the conversation with it at the end. */
export interface Reply {
  readonly text: string
  readonly calls: ReadonlyArray<ToolCall>
  readonly finish: Finish
  readonly usage: ModelUsage | undefined
  readonly conversation: Conversation
}

/** Why there is no reply. `Unusable` is the model's own fault: asked again, it may do better. */
export type ModelFailure = ProviderFailure | { readonly _tag: "Unusable"; readonly detail: string }

/** A conversation that begins with these words. */
export const begin = (system: string, prompt: string): Conversation =>
  Prompt.fromMessages([
    Prompt.systemMessage({ content: system }),
    Prompt.userMessage({ content: [Prompt.textPart({ text: prompt })] })
  ])

/** The conversation with something more said to the model. */
export const say = (conversation: Conversation, text: string): Conversation =>
  Prompt.fromMessages([
    ...conversation.content,
    Prompt.userMessage({ content: [Prompt.textPart({ text })] })
  ])

/** The conversation with the outcomes of the calls that ended it. */
export const answerCalls = (conversation: Conversation, outcomes: ReadonlyArray<ToolOutcome>): Conversation =>
  Prompt.fromMessages([
    ...conversation.content,
    Prompt.toolMessage({
      content: outcomes.map(({ call, isFailure, text }) =>
        Prompt.toolResultPart({ id: call.id, name: call.name, isFailure, result: text, providerExecuted: false })
      )
    })
  ])

/** Asks the model. `mayCall` is false where it has to answer in words. */
export const ask = (
  model: LanguageModel.LanguageModel,
  conversation: Conversation,
  tools: ReadonlyArray<WireTool>,
  mayCall: boolean
): Effect.Effect<Reply, ModelFailure> => {
  const offered = tools.map(({ description, name, parameters }) =>
    Tool.dynamic(name, { description, parameters: { ...parameters } })
  )
  return model.generateText({
    prompt: conversation,
    toolkit: { tools: Toolkit.make(...offered).tools, handle: () => Effect.die("tools are run by the agent") },
    toolChoice: mayCall ? "auto" : "none",
    disableToolCallResolution: true,
    toolCallValidation: "deferred"
  }).pipe(
    Effect.mapError(failureOf),
    Effect.map((response) => ({
      text: response.text,
      calls: response.toolCalls
        .filter((call) => call.providerExecuted !== true)
        .map(({ id, name, params }) => ({ id, name, params })),
      finish: finishOf(response.finishReason),
      usage: usageOf(response.usage),
      conversation: Prompt.concat(conversation, Prompt.fromResponseParts(response.content))
    }))
  )
}

const finishOf = (reason: Response.FinishReason): Finish =>
  reason === "stop" || reason === "length" || reason === "content-filter" || reason === "tool-calls" ? reason : "other"

const usageOf = ({ inputTokens, outputTokens }: Response.Usage): ModelUsage | undefined => {
  if (outputTokens.total === undefined) return undefined
  const cachedTokens = inputTokens.cacheRead ?? 0
  const cacheWriteTokens = inputTokens.cacheWrite ?? 0
  const uncachedTokens = inputTokens.uncached ??
    (inputTokens.total === undefined ? undefined : inputTokens.total - cachedTokens - cacheWriteTokens)
  if (uncachedTokens === undefined) return undefined
  const usage = { uncachedTokens, cachedTokens, cacheWriteTokens, outputTokens: outputTokens.total }
  return Object.values(usage).every((tokens) => tokens >= 0) ? usage : undefined
}

/** Beside what Effect's reasons can say. */
const metadataKey = "espalier"

/** The provider's own words, for which some of Effect's reasons have no place. */
const wordsIn = (own: unknown): string | undefined =>
  Predicate.hasProperty(own, "description") && typeof own.description === "string" ? own.description : undefined

const failureOf = (error: AiError.AiError): ModelFailure => {
  const { reason } = error
  const detail = reason.message
  switch (reason._tag) {
    case "RateLimitError": {
      const own = reason.metadata[metadataKey]
      return {
        _tag: "RateLimited",
        retryAfterMillis: reason.retryAfter === undefined ? null : Duration.toMillis(reason.retryAfter),
        overloaded: Predicate.hasProperty(own, "overloaded") && own.overloaded === true,
        detail: wordsIn(own) ?? detail
      }
    }
    case "QuotaExhaustedError":
      return { _tag: "OutOfCredit", detail: wordsIn(reason.metadata[metadataKey]) ?? detail }
    case "AuthenticationError":
      return { _tag: "Unauthorized", detail }
    case "InvalidRequestError":
      return { _tag: reason.metadata[metadataKey] === undefined ? "InvalidRequest" : "ContextTooLong", detail }
    case "ContentPolicyError":
    case "UnsupportedSchemaError":
    case "InvalidUserInputError":
    case "ToolConfigurationError":
    case "ToolkitRequiredError":
      return { _tag: "InvalidRequest", detail }
    case "NetworkError":
      return reason.reason === "TransportError"
        ? { _tag: "Unreachable", retryAfterMillis: null, detail }
        : { _tag: "InvalidRequest", detail }
    case "InternalProviderError":
      return { _tag: "Unreachable", retryAfterMillis: null, detail }
    case "InvalidOutputError":
    case "StructuredOutputError":
    case "ToolNotFoundError":
    case "ToolParameterValidationError":
      return { _tag: "Unusable", detail }
    case "InvalidResponseError":
      return { _tag: reason.metadata[metadataKey] === undefined ? "BadReply" : "ReplyTooLong", detail }
    case "InvalidToolResultError":
    case "ToolResultEncodingError":
    case "UnknownError":
      return { _tag: "BadReply", detail }
  }
}

/**
 * The service of Effect, out of something that sends one request. Texts only: a request with a file, or with a tool
 * of a provider's own, is refused. A streamed text comes in one piece, when it is there whole.
 */
export const modelLayer = <R>(
  module: string,
  send: (request: WireRequest) => Effect.Effect<WireReply, ProviderFailure, R>
): Layer.Layer<LanguageModel.LanguageModel, never, R> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.gen(function*() {
      const context = yield* Effect.context<R>()
      const generate = (method: string) => (options: LanguageModel.ProviderOptions) =>
        Effect.flatMap(requestOf(options), send).pipe(
          Effect.provide(context),
          Effect.mapError((failure) => AiError.make({ module, method, reason: reasonOf(failure) })),
          Effect.map(partsOf)
        )
      return yield* LanguageModel.make({
        generateText: generate("generateText"),
        streamText: (options) => Stream.unwrap(Effect.map(generate("streamText")(options), streamed))
      })
    })
  )

const reasonOf = (failure: ProviderFailure): AiError.AiErrorReason => {
  const description = failure.detail
  switch (failure._tag) {
    case "RateLimited":
      return new AiError.RateLimitError({
        ...(failure.retryAfterMillis === null ? {} : { retryAfter: Duration.millis(failure.retryAfterMillis) }),
        metadata: { [metadataKey]: { overloaded: failure.overloaded, description } }
      })
    case "Unauthorized":
      return new AiError.AuthenticationError({ kind: "Unknown", description })
    case "OutOfCredit":
      return new AiError.QuotaExhaustedError({ metadata: { [metadataKey]: { description } } })
    case "ContextTooLong":
      return new AiError.InvalidRequestError({
        parameter: "prompt",
        constraint: "is longer than the model's context",
        description,
        metadata: { [metadataKey]: { contextTooLong: true } }
      })
    case "InvalidRequest":
      return new AiError.InvalidRequestError({ description })
    case "Unreachable":
      return new AiError.InternalProviderError({ description })
    case "ReplyTooLong":
      return new AiError.InvalidResponseError({ description, metadata: { [metadataKey]: { tooLong: true } } })
    case "BadReply":
      return new AiError.InvalidResponseError({ description })
  }
}

const invalid = (detail: string): Effect.Effect<never, ProviderFailure> =>
  Effect.fail({ _tag: "InvalidRequest", detail })

const requestOf = (options: LanguageModel.ProviderOptions): Effect.Effect<WireRequest, ProviderFailure> =>
  Effect.gen(function*() {
    const system: Array<string> = []
    const messages: Array<{ readonly role: WireMessage["role"]; readonly parts: Array<WirePart> }> = []
    for (const message of options.prompt.content) {
      if (message.role === "system") {
        system.push(message.content)
        continue
      }
      const role = message.role === "assistant" ? "assistant" : "user"
      const parts: Array<WirePart> = []
      for (const part of message.content) parts.push(yield* wirePart(part))
      const previous = messages.at(-1)
      if (previous?.role === role) previous.parts.push(...parts)
      else messages.push({ role, parts })
    }
    const { responseFormat } = options
    if (responseFormat.type === "json") {
      system.push(
        `Answer with one JSON value and nothing else. It must fit this JSON schema:\n` +
          JSON.stringify(Tool.getJsonSchemaFromSchema(responseFormat.schema))
      )
    }
    const provided = options.tools.filter((tool) => Tool.isProviderDefined(tool)).map(({ name }) => name)
    if (provided.length > 0) return yield* invalid(`Tools of a provider's own cannot be sent: ${provided.join(", ")}`)
    const tools = options.tools.map((tool): WireTool => ({
      name: tool.name,
      description: Tool.getDescription(tool) ?? "",
      parameters: Tool.getJsonSchema(tool) as Record<string, unknown>
    }))
    const { toolChoice } = options
    return {
      system: system.join("\n\n"),
      messages,
      tools,
      toolChoice: typeof toolChoice === "string"
        ? toolChoice
        : "tool" in toolChoice
        ? { tool: toolChoice.tool }
        : toolChoice.mode ?? "auto"
    }
  })

const wirePart = (
  part: Prompt.UserMessagePart | Prompt.AssistantMessagePart | Prompt.ToolMessagePart
): Effect.Effect<WirePart, ProviderFailure> => {
  switch (part.type) {
    case "text":
      return Effect.succeed({ type: "text", text: part.text })
    case "reasoning":
      return Effect.succeed({ type: "reasoning", text: part.text, data: part.options[metadataKey] ?? null })
    case "tool-call":
      return Effect.succeed({ type: "tool-call", id: part.id, name: part.name, params: part.params })
    case "tool-result":
      return Effect.succeed({
        type: "tool-result",
        id: part.id,
        name: part.name,
        isFailure: part.isFailure,
        text: typeof part.result === "string" ? part.result : JSON.stringify(part.result ?? null)
      })
    default:
      return invalid(`A prompt with a part of type ${part.type} cannot be sent: only texts and tools can`)
  }
}

const partsOf = (reply: WireReply): Array<Response.PartEncoded> => [
  { type: "response-metadata", id: reply.id, modelId: reply.model },
  ...reply.parts.map((part): Response.PartEncoded =>
    part.type === "reasoning"
      ? { type: "reasoning", text: part.text, metadata: { [metadataKey]: part.data as Response.ProviderMetadata } }
      : part
  ),
  {
    type: "finish",
    reason: reply.finish,
    usage: {
      inputTokens: reply.usage === undefined ? {} : {
        uncached: reply.usage.uncachedTokens,
        cacheRead: reply.usage.cachedTokens,
        cacheWrite: reply.usage.cacheWriteTokens,
        total: reply.usage.uncachedTokens + reply.usage.cachedTokens + reply.usage.cacheWriteTokens
      },
      outputTokens: reply.usage === undefined ? {} : { total: reply.usage.outputTokens }
    }
  }
]

/** The same parts, as a stream has them. */
const streamed = (parts: ReadonlyArray<Response.PartEncoded>): Stream.Stream<Response.StreamPartEncoded> =>
  Stream.fromIterable(parts.flatMap((part, index): ReadonlyArray<Response.StreamPartEncoded> => {
    const id = String(index)
    switch (part.type) {
      case "text":
        return [{ type: "text-start", id }, { type: "text-delta", id, delta: part.text }, { type: "text-end", id }]
      case "reasoning":
        return [
          { type: "reasoning-start", id },
          { type: "reasoning-delta", id, delta: part.text },
          { type: "reasoning-end", id, metadata: part.metadata }
        ]
      default:
        return [part]
    }
  }))
