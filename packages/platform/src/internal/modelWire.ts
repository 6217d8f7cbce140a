/**
 * What goes between a coding agent and a provider of models, in words that belong to neither: the HTTP adapters
 * translate it to their wire, `effectAi` to the interface of Effect.
 */

/** Tokens of one reply, as far as the provider says. The three kinds of input do not overlap. */
export interface ModelUsage {
  /** Read at the full price. */
  readonly uncachedTokens: number
  /** Read from the provider's cache. */
  readonly cachedTokens: number
  /** Read, and written to the provider's cache. */
  readonly cacheWriteTokens: number
  readonly outputTokens: number
}

/** A tool that a model may call: JSON schema of its parameters, words that say what it does. */
export interface WireTool {
  readonly name: string
  readonly description: string
  readonly parameters: Readonly<Record<string, unknown>>
}

/** A call of a tool, as the model wrote it: nothing about `params` is known. */
export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly params: unknown
}

/** A piece of a message. `data` of a reasoning is the provider's own, and goes back to it unchanged. */
export type WirePart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string; readonly data: unknown }
  | ({ readonly type: "tool-call" } & ToolCall)
  | {
    readonly type: "tool-result"
    readonly id: string
    readonly name: string
    readonly text: string
    readonly isFailure: boolean
  }

/** Messages of one role never follow each other; results of tools belong to the user. */
export interface WireMessage {
  readonly role: "user" | "assistant"
  readonly parts: ReadonlyArray<WirePart>
}

/** One request to a model. */
export interface WireRequest {
  readonly system: string
  readonly messages: ReadonlyArray<WireMessage>
  readonly tools: ReadonlyArray<WireTool>
  readonly toolChoice: "auto" | "none" | "required" | { readonly tool: string }
}

/** Why a model ended its reply. `length` leaves it cut off in the middle. */
export type Finish = "stop" | "length" | "content-filter" | "tool-calls" | "other"

/** One reply of a model. */
export interface WireReply {
  readonly id: string | undefined
  readonly model: string | undefined
  readonly parts: ReadonlyArray<Exclude<WirePart, { readonly type: "tool-result" }>>
  readonly finish: Finish
  /** Undefined where the provider does not say. */
  readonly usage: ModelUsage | undefined
}

/**
 * Why a provider did not reply. `detail` is its own words where it has some, without secrets.
 *
 * `Unreachable` is worth another try: no connection, a connection that broke, an error of the server's own.
 */
export type ProviderFailure =
  & (
    | { readonly _tag: "RateLimited"; readonly retryAfterMillis: number | null; readonly overloaded: boolean }
    | { readonly _tag: "Unauthorized" }
    | { readonly _tag: "OutOfCredit" }
    | { readonly _tag: "ContextTooLong" }
    | { readonly _tag: "InvalidRequest" }
    | { readonly _tag: "Unreachable"; readonly retryAfterMillis: number | null }
    | { readonly _tag: "BadReply" }
    | { readonly _tag: "ReplyTooLong" }
  )
  & { readonly detail: string }
