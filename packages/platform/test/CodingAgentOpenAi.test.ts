import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as OpenAiApi from "../src/agent/OpenAiApi.ts"
import { passingTime } from "../src/testing/ExecutionSuite.ts"
import { asking, refusesWrongAddresses } from "./support/adapterCall.ts"
import { json } from "./support/fakeHttp.ts"

const usage = { prompt_tokens: 100, completion_tokens: 10 }
const ok = (message: unknown, finish_reason: string | null = "stop", more: object = { usage }) => ({
  choices: [{ message, finish_reason }],
  ...more
})
const words = ok({ content: "{\"n\":1}" })

const run = asking<OpenAiApi.Options>(OpenAiApi.layerHttp)

describe("the request", () => {
  refusesWrongAddresses(run, words)

  it.effect("has the form of the protocol", () =>
    Effect.gen(function*() {
      const { sent: [sent] } = yield* run(() => json(words), { maxOutputTokens: 99, body: { temperature: 0, n: 1 } })
      assert.strictEqual(sent!.url, "https://api.openai.com/v1/chat/completions")
      assert.strictEqual(sent!.headers["authorization"], "Bearer the-key-of-a-test")
      const { messages, tools, ...rest } = sent!.body
      assert.deepStrictEqual(rest, {
        temperature: 0,
        n: 1,
        model: "a-model",
        stream: false,
        max_completion_tokens: 99,
        tool_choice: "auto"
      })
      assert.deepStrictEqual(messages.map(({ role }: { role: string }) => role), ["system", "user"])
      assert.deepStrictEqual(messages[1], { role: "user", content: "Count." })
      assert.strictEqual(tools[0].type, "function")
      assert.strictEqual(tools[0].function.name, "list_files")
      assert.strictEqual(tools[0].function.parameters.type, "object")
    }))

  it.effect("names the length of a reply as other servers do, away from the first one's address", () =>
    Effect.gen(function*() {
      const local = yield* run(() => json(words), { baseUrl: "http://localhost:11434/v1/", maxOutputTokens: 9 })
      assert.strictEqual(local.sent[0]!.url, "http://localhost:11434/v1/chat/completions")
      assert.strictEqual(local.sent[0]!.body.max_tokens, 9)
      assert.isUndefined(local.sent[0]!.body.max_completion_tokens)
      const told = yield* run(() => json(words), { maxTokensField: "max_tokens" })
      assert.strictEqual(told.sent[0]!.body.max_tokens, 16_000)
    }))

  it.effect("gives back calls as they came, each with its result", () =>
    Effect.gen(function*() {
      const tool_calls = [
        { id: "a", type: "function", function: { name: "list_files", arguments: "{\"directory\":null}" } },
        { id: null, type: "function", function: { name: "read_file", arguments: "{\"file\": " } },
        { type: "function", function: { name: "read_file", arguments: "" } },
        { id: "d", function: { name: "read_file", arguments: { file: "x" } } }
      ]
      const { result, sent } = yield* run(
        (index) => json(index === 0 ? ok({ content: null, tool_calls }, "tool_calls") : words),
        { limits: { rounds: 2 } }
      )
      assert.strictEqual(result._tag, "Success")
      const [, , assistant, ...results] = sent[1]!.body.messages
      assert.isNull(assistant.content)
      assert.deepStrictEqual(
        assistant.tool_calls.map((call: { id: string; function: { arguments: string } }) => [
          call.id,
          call.function.arguments
        ]),
        [["a", "{\"directory\":null}"], ["call_1", "{\"file\": "], ["call_2", "{}"], ["d", "{\"file\":\"x\"}"]]
      )
      assert.deepStrictEqual(
        results.map(({ role, tool_call_id }: { role: string; tool_call_id?: string }) => [role, tool_call_id]),
        [["tool", "a"], ["tool", "call_1"], ["tool", "call_2"], ["tool", "d"], ["user", undefined]]
      )
      assert.match(results[1].content, /not JSON/)
      assert.strictEqual(sent[1]!.body.tool_choice, "none")
    }))
})

describe("the reply", () => {
  const usageOf = (more: object) =>
    Effect.map(run(() => json(ok({ content: "{\"n\":1}" }, "stop", more))), ({ result }) => {
      assert.ok(result._tag === "Success")
      return [result.success.usage.inputTokens, result.success.usage.cachedInputTokens, result.success.costUsd] as const
    })

  it.effect("counts cached input within the input, as this protocol does", () =>
    Effect.gen(function*() {
      const cached = { usage: { ...usage, prompt_tokens_details: { cached_tokens: 60 } } }
      const { result } = yield* run(() => json(ok({ content: "{\"n\":1}" }, "stop", cached)), {
        prices: { "a-model": { inputUsd: 10, cachedInputUsd: 1, outputUsd: 100 } }
      })
      assert.ok(result._tag === "Success")
      assert.deepStrictEqual([result.success.usage.inputTokens, result.success.usage.cachedInputTokens], [100, 60])
      assert.approximately(result.success.costUsd, (400 + 60 + 1000) / 1e6, 1e-12)
    }))

  it.effect("may lack a count, or parts of it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* usageOf({}), [0, 0, 0])
      assert.deepStrictEqual(yield* usageOf({ usage: null }), [0, 0, 0])
      assert.deepStrictEqual(yield* usageOf({ usage: { ...usage, prompt_tokens_details: null } }), [100, 0, 0.01])
      const more = { usage: { ...usage, prompt_tokens_details: { cached_tokens: 999 } } }
      assert.deepStrictEqual(yield* usageOf(more), [100, 100, 0.01])
    }))

  it.effect("may give its words in parts", () =>
    Effect.gen(function*() {
      const content = [{ type: "text", text: "{\"n\":" }, { type: "other" }, { type: "text", text: "1}" }]
      const { result } = yield* run(() => json(ok({ content }, null)))
      assert.ok(result._tag === "Success")
      assert.strictEqual(result.success.text, "{\"n\":1}")
    }))

  it.effect("that is a refusal of the model is told as that", () =>
    Effect.gen(function*() {
      for (
        const [message, finish] of [
          [{ content: null, refusal: "I cannot." }, "stop"],
          [{ content: "{\"n\":1}" }, "content_filter"]
        ] as const
      ) {
        const { result } = yield* run(() => json(ok(message, finish)))
        assert.ok(result._tag === "Failure" && result.failure._tag === "AgentUnavailable")
        assert.strictEqual(result.failure.reason, "refused")
      }
    }))

  it.effect("is asked for again where the server is at fault", () =>
    Effect.gen(function*() {
      const { result, sent } = yield* passingTime(
        run((index) => index < 3 ? json({ error: "busy" }, 503) : json(words))
      )
      assert.strictEqual(result._tag, "Success")
      assert.strictEqual(sent.length, 4)
    }))
})
