// A language model of Effect that plays turns: for tests of what stands on top of it.
import { Effect, type Layer } from "effect"
import { type Model, modelLayer } from "../../src/internal/effectAi.ts"
import type { ProviderFailure, WireReply, WireRequest } from "../../src/internal/modelWire.ts"
import type * as CodingAgentSuite from "../../src/testing/CodingAgentSuite.ts"

export const usage = { uncachedTokens: 100, cachedTokens: 0, cacheWriteTokens: 0, outputTokens: 10 }

/** By which 100 tokens read and 10 written cost a cent. */
export const prices = { "a-model": { inputUsd: 50, outputUsd: 500 } }

export const says = (text: string): WireReply => ({
  id: undefined,
  model: undefined,
  parts: [{ type: "text", text }],
  finish: "stop",
  usage
})

export const calls = (...calls: ReadonlyArray<readonly [name: string, params: unknown]>): WireReply => ({
  ...says(""),
  parts: calls.map(([name, params], index) => ({ type: "tool-call", id: `call-${index}`, name, params })),
  finish: "tool-calls"
})

export type Answer = WireReply | ProviderFailure | "hang"

/** The model, and the requests that it got. */
export const played = (answer: (request: WireRequest, index: number) => Answer) => {
  const requests: Array<WireRequest> = []
  const layer: Layer.Layer<Model> = modelLayer("Played", (request) =>
    Effect.suspend(() => {
      requests.push(request)
      const played = answer(request, requests.length - 1)
      if (played === "hang") return Effect.never
      return "_tag" in played ? Effect.fail(played) : Effect.succeed(played)
    }))
  return { layer, requests }
}

export const playOf = (play: CodingAgentSuite.Play): Answer => {
  switch (play._tag) {
    case "Text":
      return says(play.text)
    case "RateLimited":
      return { ...play, overloaded: false, detail: "429" }
    case "Overloaded":
      return { _tag: "RateLimited", retryAfterMillis: null, overloaded: true, detail: "529" }
    case "Unauthorized":
      return { _tag: "Unauthorized", detail: "401" }
    case "Unavailable":
      return { _tag: "Unreachable", retryAfterMillis: null, detail: "it is down" }
    case "Hang":
      return "hang"
  }
}

/** What the model was told of its calls, in order. */
export const outcomes = (requests: ReadonlyArray<WireRequest>) =>
  (requests.at(-1)?.messages ?? []).flatMap(({ parts }) =>
    parts.flatMap((part) => part.type === "tool-result" ? [{ text: part.text, isFailure: part.isFailure }] : [])
  )
