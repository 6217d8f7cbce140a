// One call of an agent on an HTTP adapter, over a client that answers without a network; and what every adapter refuses.
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import type { OptionsInvalid } from "../../src/agent/LanguageModel.ts"
import { CodingAgent } from "../../src/CodingAgent.ts"
import type { HttpClient } from "../../src/internal/modelHttp.ts"
import { fakeHttp, json } from "./fakeHttp.ts"
import { prices } from "./playedModel.ts"

/** What every adapter needs. */
export const options = { model: "a-model", apiKey: Redacted.make("the-key-of-a-test"), prices }

export const ask = Effect.flatMap(CodingAgent, (agent) =>
  agent.run({
    prompt: "Count.",
    schema: Schema.Struct({ n: Schema.Int }),
    directory: "/no/such/tree",
    phase: "planning"
  }))

/** Asks an adapter; gives how that went, and what was sent. */
export const asking = <Extra>(
  layerHttp: (given: typeof options & Partial<Extra>) => Layer.Layer<CodingAgent, OptionsInvalid, HttpClient>
) =>
(answer: (index: number) => Response | "no connection", extra: Partial<Extra> = {}) => {
  const http = fakeHttp(answer)
  return Effect.map(
    Effect.result(Effect.provide(ask, Layer.provide(layerHttp({ ...options, ...extra }), http.layer))),
    (result) => ({ result, sent: http.sent })
  )
}

/** For the request of every adapter. */
export const refusesWrongAddresses = (
  run: ReturnType<typeof asking<{ readonly baseUrl?: string | undefined }>>,
  reply: unknown
) =>
  it.effect("goes to no address that is none, or that holds a password, which is not shown", () =>
    Effect.gen(function*() {
      for (const baseUrl of ["https://user:pa55word99@host", "pa55word99", "ftp://pa55word99"]) {
        const { result, sent } = yield* run(() => json(reply), { baseUrl })
        assert.isEmpty(sent)
        assert(result._tag === "Failure" && result.failure._tag === "OptionsInvalid")
        assert.strictEqual(result.failure.field, "baseUrl")
        assert.match(result.failure.message, /`baseUrl` (holds a name or a password|is no address)/)
        assert.notInclude(result.failure.message, "pa55")
      }
    }))
