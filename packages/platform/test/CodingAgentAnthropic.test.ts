import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schedule, Schema, Stream } from "effect"
import { LanguageModel } from "effect/ai"
import { TestClock } from "effect/testing"
import * as AnthropicApi from "../src/agent/AnthropicApi.ts"
import { passingTime } from "../src/testing/ExecutionSuite.ts"
import { ask, asking, options, refusesWrongAddresses } from "./support/adapterCall.ts"
import { fakeHttp, json } from "./support/fakeHttp.ts"

const ok = (content: ReadonlyArray<unknown>, stop_reason = "end_turn") => ({
  content,
  stop_reason,
  usage: { input_tokens: 100, output_tokens: 10, cache_read_input_tokens: 20, cache_creation_input_tokens: null }
})
const words = ok([{ type: "text", text: "{\"n\":1}" }])

const run = asking<AnthropicApi.Options>(AnthropicApi.layerHttp)

describe("the request", () => {
  refusesWrongAddresses(run, words)

  it.effect("has the form of the protocol", () =>
    Effect.gen(function*() {
      const { sent: [sent] } = yield* run(() => json(words), {
        system: "Be brief.",
        maxOutputTokens: 99,
        body: { temperature: 0, model: "another", max_tokens: 1 }
      })
      assert.strictEqual(sent!.url, "https://api.anthropic.com/v1/messages")
      assert.deepInclude(sent!.headers, {
        "x-api-key": "the-key-of-a-test",
        "anthropic-version": "2023-06-01",
        "content-type": "application/json"
      })
      const { messages, system, tools, ...rest } = sent!.body
      assert.deepStrictEqual(rest, {
        temperature: 0,
        model: "a-model",
        max_tokens: 99,
        tool_choice: { type: "auto" }
      })
      assert.match(system[0].text, /^Be brief\.\n\nYou work on the source code[^]*not change them/)
      assert.deepStrictEqual(messages, [{
        role: "user",
        content: [{ type: "text", text: "Count.", cache_control: { type: "ephemeral" } }]
      }])
      assert.deepStrictEqual(tools.map(({ name }: { name: string }) => name), [
        "list_files",
        "read_file",
        "search_files"
      ])
      assert.strictEqual(tools[1].input_schema.type, "object")
      assert.deepStrictEqual(tools[1].input_schema.required, ["file"])
      const uncached = yield* run(() => json(words), { cache: false })
      assert.notInclude(JSON.stringify(uncached.sent[0]!.body), "cache_control")
    }))

  it.effect("gives back reasoning with its signature, and results of tools before words", () =>
    Effect.gen(function*() {
      const thinking = { type: "thinking", thinking: "hm", signature: "s1" }
      const hidden = { type: "redacted_thinking", data: "xyz" }
      const use = { type: "tool_use", id: "t1", name: "list_files", input: {} }
      const odd = { type: "tool_use", id: "t2", name: "read_file", input: "no object" }
      const { sent } = yield* run(
        (index) =>
          json(index === 0 ? ok([thinking, hidden, { type: "from_the_future" }, use, odd], "tool_use") : words),
        { limits: { rounds: 2 } }
      )
      const [, assistant, user] = sent[1]!.body.messages
      assert.deepStrictEqual(assistant, { role: "assistant", content: [thinking, hidden, use, { ...odd, input: {} }] })
      assert.deepStrictEqual(
        user.content.map((part: { type: string }) => part.type),
        ["tool_result", "tool_result", "text"]
      )
      assert.deepInclude(user.content[0], { tool_use_id: "t1", is_error: true })
      assert.deepStrictEqual(user.content[2].cache_control, { type: "ephemeral" })
      assert.deepStrictEqual(sent[1]!.body.tool_choice, { type: "none" })
    }))
})

describe("the reply", () => {
  it.effect("counts input from the cache as input, at its own price", () =>
    Effect.gen(function*() {
      const { result } = yield* run(() => json(words), {
        prices: { "a-model": { inputUsd: 10, cachedInputUsd: 1, outputUsd: 100 } }
      })
      assert.ok(result._tag === "Success")
      assert.deepStrictEqual(result.success.usage, {
        inputTokens: 120,
        cachedInputTokens: 20,
        outputTokens: 10,
        turns: 1
      })
      assert.approximately(result.success.costUsd, (1000 + 20 + 1000) / 1e6, 1e-12)
    }))

  it.effect("that is a refusal of the model is told as that", () =>
    Effect.gen(function*() {
      const { result } = yield* run(() => json(ok([{ type: "text", text: "No." }], "refusal")))
      assert.ok(result._tag === "Failure" && result.failure._tag === "AgentUnavailable")
      assert.strictEqual(result.failure.reason, "refused")
    }))
})

describe("trying again", () => {
  const times = (sent: ReadonlyArray<{ readonly atMillis: number }>) => sent.map(({ atMillis }) => atMillis)

  it.effect("happens four times after about 1, 2, 4 and 8 seconds where nothing is said", () =>
    Effect.gen(function*() {
      const { result, sent } = yield* passingTime(run((index) => index % 2 === 0 ? "no connection" : json({}, 500)))
      assert.ok(result._tag === "Failure" && result.failure._tag === "AgentUnavailable")
      assert.strictEqual(result.failure.reason, "unreachable")
      const pauses = times(sent).map((at, index, all) => at - (all[index - 1] ?? 0)).slice(1)
      assert.strictEqual(pauses.length, 4)
      pauses.forEach((pause, index) => {
        const expected = 1000 * 2 ** index
        assert.isTrue(pause >= expected * 0.75 && pause <= expected * 1.25, `pause ${index}: ${pause}`)
      })
    }))

  it.effect("waits as long as the provider asks, and not shorter than the schedule", () =>
    Effect.gen(function*() {
      const retry = Schedule.max([Schedule.spaced("5 seconds"), Schedule.recurs(3)])
      const asked = ["20", "1", undefined]
      const { result, sent } = yield* passingTime(run((index) => {
        if (index === 3) return json(words)
        const after = asked[index]
        return json({}, 529, after === undefined ? {} : { "retry-after": after })
      }, { retry }))
      assert.strictEqual(result._tag, "Success")
      assert.deepStrictEqual(times(sent), [0, 20_000, 25_000, 30_000])
    }))

  it.effect("does not happen for a rate limit of the account, whatever the pause", () =>
    Effect.gen(function*() {
      const { result, sent } = yield* run(() => json({}, 429, { "retry-after": "1" }))
      assert.ok(result._tag === "Failure" && result.failure._tag === "AgentRateLimited")
      assert.strictEqual(sent.length, 1)
    }))

  it.effect("ends with the call that it belongs to", () =>
    Effect.gen(function*() {
      const http = fakeHttp(() => "no connection")
      const layer = Layer.provide(AnthropicApi.layerHttp({ ...options, limits: { time: "2 seconds" } }), http.layer)
      const fiber = yield* Effect.forkChild(Effect.flip(Effect.provide(ask, layer)))
      yield* TestClock.adjust("2 seconds")
      const error = yield* Fiber.join(fiber)
      assert.ok(error._tag === "AgentLimitReached")
      assert.strictEqual(error.limit, "time")
      const before = http.sent.length
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(http.sent.length, before)
    }))
})

describe("the bare model", () => {
  const model = (body: unknown, status = 200, headers = {}) => {
    const http = fakeHttp(() => json(body, status, headers))
    return { sent: http.sent, layer: Layer.provide(AnthropicApi.modelLayer(options), http.layer) }
  }

  it.effect("is a language model of Effect: words, objects and a stream", () =>
    Effect.gen(function*() {
      const { layer, sent } = model(words)
      const said = yield* Effect.provide(LanguageModel.generateText({ prompt: "Count." }), layer)
      assert.strictEqual(said.text, "{\"n\":1}")
      assert.deepStrictEqual(sent[0]!.body.messages, [{ role: "user", content: [{ type: "text", text: "Count." }] }])
      assert.isUndefined(sent[0]!.body.system)

      const { value } = yield* Effect.provide(
        LanguageModel.generateObject({ prompt: "Count.", schema: Schema.Struct({ n: Schema.Int }) }),
        layer
      )
      assert.deepStrictEqual(value, { n: 1 })
      assert.match(sent[1]!.body.system[0].text, /JSON schema:\n\{/)

      const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "Count." }).pipe(Stream.provide(layer)))
      assert.deepStrictEqual(parts.map(({ type }) => type), [
        "response-metadata",
        "text-start",
        "text-delta",
        "text-end",
        "finish"
      ])
    }))

  it.effect("fails with the reasons of Effect", () =>
    Effect.gen(function*() {
      const error = (type: string, message: string) => ({ type: "error", error: { type, message } })
      const reason = (body: unknown, status: number, headers = {}) =>
        Effect.map(
          Effect.flip(
            Effect.provide(LanguageModel.generateText({ prompt: "Count." }), model(body, status, headers).layer)
          ),
          (failure) => failure.reason._tag
        )
      assert.strictEqual(yield* reason(error("rate_limit_error", "x"), 429), "RateLimitError")
      assert.strictEqual(yield* reason(error("authentication_error", "x"), 401), "AuthenticationError")
      assert.strictEqual(yield* reason(error("billing_error", "x"), 402), "QuotaExhaustedError")
      assert.strictEqual(yield* reason(error("invalid_request_error", "x"), 400), "InvalidRequestError")
      assert.strictEqual(yield* reason({}, 200), "InvalidResponseError")
      assert.strictEqual(
        yield* reason(error("api_error", "x"), 500, { "retry-after": "3600" }),
        "InternalProviderError"
      )
    }))

  it.effect("refuses a prompt with a file, instead of leaving the file out", () =>
    Effect.gen(function*() {
      const { layer, sent } = model(words)
      const file = { type: "file" as const, mediaType: "image/png", data: new Uint8Array([1]) }
      const failure = yield* Effect.flip(
        Effect.provide(LanguageModel.generateText({ prompt: [{ role: "user", content: [file] }] }), layer)
      )
      assert.strictEqual(failure.reason._tag, "InvalidRequestError")
      assert.match(failure.message, /part of type file/)
      assert.strictEqual(sent.length, 0)
    }))
})
