/**
 * What the adapters of providers' HTTP APIs share: options that cannot be used are told before anything is sent, what is not
 * given has a default, and layers are made of the provider's protocol. The protocol is in the adapter's own file.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Agent from "../agent/LanguageModel.ts"
import { CodingAgent } from "../CodingAgent.ts"
import { addressRefused } from "./agentAddress.ts"
import { type Model, modelLayer } from "./effectAi.ts"
import { defaultRetry, type Endpoint, type HttpClient, post } from "./modelHttp.ts"
import type { ProviderFailure, WireReply, WireRequest } from "./modelWire.ts"

/** What every adapter takes. What each of it means is told where users read it: in the adapters. */
export interface ApiOptions {
  readonly model: string
  readonly apiKey: Redacted.Redacted
  readonly baseUrl?: string | undefined
  readonly maxOutputTokens?: number | undefined
  readonly requestTimeout?: Duration.Input | undefined
  readonly retry?: Schedule.Schedule<unknown> | undefined
  readonly maxReplyBytes?: number | undefined
}

/** What differs between providers. `provider` is how errors call it, `name` how the model's spans do. */
export interface Protocol<Options extends ApiOptions> extends Pick<Endpoint, "provider" | "classify"> {
  readonly name: string
  /** Where the provider is, unless the options say otherwise. */
  readonly baseUrl: string
  /** Added to the address. */
  readonly path: string
  readonly headers: (key: string, options: Options) => Record<string, string>
  readonly requestBody: (options: Options, request: WireRequest, maxOutputTokens: number) => unknown
  readonly readReply: (body: unknown) => Effect.Effect<WireReply, ProviderFailure>
}

const outputTokens = (options: ApiOptions): number => options.maxOutputTokens ?? 16_000

/** The bare model. An address that cannot be used is told by every request: the layer of a model cannot fail. */
export const modelOf = <Options extends ApiOptions>(
  protocol: Protocol<Options>,
  options: Options
): Layer.Layer<Model, never, HttpClient> =>
  modelLayer(protocol.name, (request) => {
    const wrong = addressRefused(options.baseUrl)
    if (wrong !== undefined) return Effect.fail<ProviderFailure>({ _tag: "InvalidRequest", detail: wrong })
    const endpoint: Endpoint = {
      provider: protocol.provider,
      url: `${(options.baseUrl ?? protocol.baseUrl).replace(/\/+$/, "")}${protocol.path}`,
      key: options.apiKey,
      headers: (key) => protocol.headers(key, options),
      classify: protocol.classify,
      requestTimeout: options.requestTimeout ?? Duration.minutes(10),
      retry: options.retry ?? defaultRetry,
      maxReplyBytes: options.maxReplyBytes ?? 16 * 1024 * 1024
    }
    return post(endpoint, protocol.requestBody(options, request, outputTokens(options))).pipe(
      Effect.flatMap(protocol.readReply)
    )
  })

/** The coding agent. Its key is among what is kept out of prompts, answers and errors. */
export const agentOf = <Options extends ApiOptions>(
  protocol: Protocol<Options>,
  options: Options & Omit<Agent.Options, "model" | "maxOutputTokens">
): Layer.Layer<CodingAgent, Agent.OptionsInvalid, HttpClient> => {
  const wrong = addressRefused(options.baseUrl)
  if (wrong !== undefined) {
    return Layer.effect(CodingAgent, Effect.fail(new Agent.OptionsInvalid({ field: "baseUrl", message: wrong })))
  }
  return Agent.layer({
    ...options,
    maxOutputTokens: outputTokens(options),
    secrets: [options.apiKey, ...options.secrets ?? []]
  }).pipe(Layer.provide(modelOf(protocol, options)))
}

/** Reads replies of this form; `whose` they are stands in the failure of one that has another. */
export const replyReader =
  <Body>(schema: Schema.Decoder<Body>, whose: string, read: (body: Body) => WireReply) =>
  (body: unknown): Effect.Effect<WireReply, ProviderFailure> =>
    Effect.mapBoth(Schema.decodeUnknownEffect(schema)(body), {
      onSuccess: read,
      onFailure: (error): ProviderFailure => ({
        _tag: "BadReply",
        detail: `the reply of ${whose} does not have the form of its protocol: ${error.message.slice(0, 500)}`
      })
    })

/** A count of tokens in a reply. */
export const TokenCount = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
