/**
 * What Codex' program means when a turn fails. It says it in one sentence and nothing else, so the sentence is all there
 * is: a status of HTTP is taken from it by its form, and a few sentences are known as they are. What is not known
 * stays `failed`, with its words; nothing is guessed.
 */
import type { TurnError } from "../CodingAgent.ts"
import { statusFailure } from "./agentStatus.ts"

const status = /\b(?:last|unexpected) status:? (\d{3})\b/

const sentences: ReadonlyArray<readonly [RegExp, (detail: string) => TurnError]> = [
  [/^Quota exceeded\b/, (detail) => ({ _tag: "Unavailable", reason: "out-of-credit", detail })],
  [/^You've hit your usage limit\b/, (detail) => ({ _tag: "RateLimited", retryAfterMillis: null, detail })],
  [/^Missing environment variable\b/, (detail) => ({ _tag: "Unavailable", reason: "unauthorized", detail })],
  // What it says of a server's own faults.
  [
    /high demand, which may cause temporary errors/,
    (detail) => ({ _tag: "Unavailable", reason: "unreachable", detail })
  ],
  [/^Selected model is at capacity\b/, (detail) => ({
    _tag: "RateLimited",
    retryAfterMillis: null,
    overloaded: true,
    detail
  })],
  [/context window/, (detail) => ({ _tag: "Unavailable", reason: "refused", detail })],
  [/^(?:Connection failed|stream disconnected|error sending request)/, (detail) => ({
    _tag: "Unavailable",
    reason: "unreachable",
    detail
  })],
  // The body of a 400, as the provider sent it.
  [/^\s*\{\s*"error"/, (detail) => ({ _tag: "Unavailable", reason: "refused", detail })]
]

/** The failure that a sentence of the program tells. */
export const codexFailure = (message: string): TurnError => {
  const detail = message.slice(0, 1000)
  const code = status.exec(message)?.[1]
  if (code !== undefined) return statusFailure(Number(code), detail, null)
  const known = sentences.find(([pattern]) => pattern.test(message))
  return known === undefined ? { _tag: "Unavailable", reason: "failed", detail } : known[1](detail)
}
