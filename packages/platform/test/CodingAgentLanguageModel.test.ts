import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { LanguageModel } from "effect/ai"
import * as fs from "node:fs"
import * as Agent from "../src/agent/LanguageModel.ts"
import { CodingAgent } from "../src/CodingAgent.ts"
import * as CodingAgentSuite from "../src/testing/CodingAgentSuite.ts"
import { passingTime } from "../src/testing/ExecutionSuite.ts"
import { done, place, run, Summary } from "./support/modelRun.ts"
import { calls, played, playOf, prices, says } from "./support/playedModel.ts"

describe("an agent on a language model keeps what every coding agent promises", () => {
  const subject: CodingAgentSuite.Subject = {
    directory: "/tree",
    layer: (plays, options) =>
      Layer.provide(
        Agent.layer({ model: "a-model", prices, ...options }),
        played((_, index) => playOf(plays[index]!)).layer
      )
  }
  for (const { effect, name } of CodingAgentSuite.cases(subject)) it.effect(name, () => passingTime(effect))
})

describe("the limits of a model", () => {
  const look = calls(["list_files", {}])

  it.effect("end an endless loop of tools, after a last round without them", () =>
    Effect.gen(function*() {
      const model = played(() => look)
      const error = yield* Effect.flip(
        Effect.flatMap(CodingAgent, (agent) =>
          agent.run({ prompt: "x", schema: Summary, directory: place.directory, phase: "p" })).pipe(
            Effect.provide(
              Layer.provide(Agent.layer({ model: "a-model", prices, limits: { rounds: 4 } }), model.layer)
            )
          )
      )
      assert.ok(error._tag === "AgentLimitReached", error.message)
      assert.strictEqual(error.limit, "rounds")
      assert.strictEqual(error.usage.inputTokens, 400)
      assert.approximately(error.costUsd, 0.04, 1e-9)
      assert.deepStrictEqual(
        model.requests.map(({ toolChoice }) =>
          toolChoice
        ),
        ["auto", "auto", "auto", "none"]
      )
      assert.match(JSON.stringify(model.requests.at(-1)!.messages.at(-1)), /last round/)
    }))

  it.effect("keep a model from changing files in the last round, whatever it calls", () =>
    Effect.gen(function*() {
      const write = (file: string) => calls(["write_file", { file, content: "" }])
      const error = yield* Effect.flip(run([write("first"), write("second")], { limits: { rounds: 2 } }))
      assert.strictEqual(error._tag, "AgentLimitReached")
      assert.deepStrictEqual(fs.readdirSync(place.directory), ["first"])
    }))

  it.effect("end a model whose replies can never be used", () =>
    Effect.gen(function*() {
      const broken = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({
          generateText: () => Effect.succeed([{ type: "text", text: null as never }]),
          streamText: () => undefined as never
        })
      )
      const error = yield* Effect.flip(
        Effect.flatMap(CodingAgent, (agent) =>
          agent.run({ prompt: "x", schema: Summary, directory: place.directory, phase: "p" })).pipe(
            Effect.provide(
              Layer.provide(Agent.layer({ model: "m", prices: "unknown", limits: { rounds: 3 } }), broken)
            )
          )
      )
      assert.ok(error._tag === "AgentLimitReached")
      assert.match(error.message, /no answer that can be used came in 3 rounds/)
    }))

  it.effect("count a reply that cannot be used, which was paid too, as what it was expected to be", () =>
    Effect.gen(function*() {
      const ask = (options: Partial<Agent.Options>) => {
        let asked = 0
        const broken = Layer.effect(
          LanguageModel.LanguageModel,
          LanguageModel.make({
            generateText: () =>
              Effect.sync(() => {
                asked++
                return [{ type: "text", text: null as never }]
              }),
            streamText: () => undefined as never
          })
        )
        return Effect.flip(
          Effect.flatMap(
            CodingAgent,
            (agent) => agent.run({ prompt: "x", schema: Summary, directory: place.directory, phase: "p" })
          )
            .pipe(
              Effect.provide(
                Layer.provide(Agent.layer({ model: "a-model", prices, maxOutputTokens: 10, ...options }), broken)
              )
            )
        ).pipe(Effect.map((error) => {
          assert.ok(error._tag === "AgentLimitReached", error.message)
          return { asked, error }
        }))
      }
      const money = yield* ask({ limits: { costUsd: 0.5 } })
      assert.strictEqual(money.error.limit, "cost")
      assert.isTrue(money.asked > 1 && money.asked < 20, String(money.asked))
      assert.isTrue(money.error.costUsd > 0.05 && money.error.costUsd <= 0.5, String(money.error.costUsd))
      const { asked, error: { limit, usage } } = yield* ask({ maxTokens: 10_000 })
      assert.strictEqual(limit, "cost")
      assert.isTrue(asked > 1 && asked < 20, String(asked))
      assert.strictEqual(usage.outputTokens, asked * 10)
      assert.isTrue(usage.inputTokens > 1000 && usage.inputTokens + usage.outputTokens <= 10_000)
    }))

  it.effect("are 50 rounds where nothing is said", () =>
    Effect.gen(function*() {
      let asked = 0
      const error = yield* Effect.flip(run(() => {
        asked++
        return look
      }))
      assert.strictEqual(error._tag, "AgentLimitReached")
      assert.strictEqual(asked, 50)
    }))

  it.effect("leave an answer that comes in the last round", () =>
    Effect.map(
      run([look, look, done], { limits: { rounds: 3 } }),
      ({ answer }) => assert.strictEqual(answer.summary, "done")
    ))

  it.effect("end a turn before the round that would break the limit in money, not after it", () =>
    Effect.gen(function*() {
      let asked = 0
      const error = yield* Effect.flip(run(() => {
        asked++
        return look
      }, { limits: { costUsd: 0.05 }, maxOutputTokens: 10 }))
      assert.ok(error._tag === "AgentLimitReached", error.message)
      assert.strictEqual(error.limit, "cost")
      assert.isTrue(error.costUsd <= 0.05, String(error.costUsd))
      assert.approximately(error.costUsd, asked * 0.01, 1e-9)
      assert.isTrue(asked >= 3, String(asked))
      assert.match(error.message, /0\.0\d+ US\$ were spent in \d rounds/)
    }))

  it.effect("count tokens, those of the cache too", () =>
    Effect.gen(function*() {
      const cached = { uncachedTokens: 10, cachedTokens: 900, cacheWriteTokens: 90, outputTokens: 10 }
      const error = yield* Effect.flip(
        run(() => ({ ...look, usage: cached }), { maxTokens: 5000, maxOutputTokens: 10, prices: "unknown" })
      )
      assert.ok(error._tag === "AgentLimitReached", error.message)
      assert.strictEqual(error.usage.cachedInputTokens, error.usage.inputTokens * 0.9)
      assert.isTrue(error.usage.inputTokens + error.usage.outputTokens <= 5000)
      assert.match(error.message, /the limit is 5000/)
    }))

  it.effect("cost what the table says, the cache apart", () =>
    Effect.gen(function*() {
      const used = { uncachedTokens: 1000, cachedTokens: 10_000, cacheWriteTokens: 2000, outputTokens: 500 }
      const { costUsd } = yield* run([{ ...done, usage: used }], {
        prices: { "a-model": { inputUsd: 3, cachedInputUsd: 0.3, cacheWriteUsd: 3.75, outputUsd: 15 } }
      })
      assert.approximately(costUsd, 0.003 + 0.003 + 0.0075 + 0.0075, 1e-12)
    }))

  it.effect("in money are refused where no price is known, of the agent and of a call", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(run([done], { prices: "unknown", limits: { costUsd: 1 } }))
      assert.ok(refused._tag === "OptionsInvalid")
      assert.strictEqual(refused.field, "limits.costUsd")
      const model = played(() => done)
      const error = yield* Effect.flip(
        Effect.flatMap(CodingAgent, (agent) =>
          agent.run({ prompt: "x", schema: Summary, directory: place.directory, phase: "p", limits: { costUsd: 1 } }))
          .pipe(
            Effect.provide(Layer.provide(Agent.layer({ model: "a-model", prices: "unknown" }), model.layer))
          )
      )
      assert.ok(error._tag === "AgentUnavailable")
      assert.strictEqual(error.reason, "refused")
      assert.match(error.message, /price of a-model is unknown\. Give its price, or limit maxTokens instead$/)
      assert.strictEqual(model.requests.length, 0)
    }))

  it.effect("cannot be kept, and are not pretended to be, where the model does not say what it used", () =>
    Effect.gen(function*() {
      const silent = { ...done, usage: undefined }
      const { costUsd, usage } = yield* run([silent])
      assert.deepStrictEqual([costUsd, usage.inputTokens], [0, 0])
      const error = yield* Effect.flip(run([silent], { maxTokens: 1000 }))
      assert.match(error.message, /does not say how many tokens/)
    }))

  it.effect("that make no sense, and models without a price, are refused by name", () =>
    Effect.gen(function*() {
      const field = (options: Partial<Agent.Options>) =>
        Effect.map(Effect.flip(run([done], options)), (error) => error._tag === "OptionsInvalid" ? error.field : error)
      assert.strictEqual(yield* field({ model: "other" }), "prices")
      assert.strictEqual(yield* field({ model: "toString" }), "prices")
      assert.strictEqual(yield* field({ prices: { "a-model": { inputUsd: -1, outputUsd: 1 } } }), "prices")
      assert.strictEqual(yield* field({ maxTokens: 0 }), "maxTokens")
      assert.strictEqual(yield* field({ limits: { rounds: Number.NaN } }), "limits.rounds")
    }))
})

describe("a model's reply", () => {
  it.effect("that does not fit the interface is asked for again, and the rounds count", () =>
    Effect.gen(function*() {
      let round = 0
      const finish = { type: "finish" as const, reason: "stop" as const, usage: { inputTokens: {}, outputTokens: {} } }
      const model = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({
          generateText: () =>
            Effect.sync(() =>
              round++ === 0
                ? [{ type: "text", text: 7 as never }, finish]
                : [{ type: "text", text: "{\"summary\":\"again\"}" }, finish]
            ),
          streamText: () => undefined as never
        })
      )
      const { answer } = yield* Effect.flatMap(CodingAgent, (agent) =>
        agent.run({ prompt: "x", schema: Summary, directory: place.directory, phase: "p" })).pipe(
          Effect.provide(Layer.provide(Agent.layer({ model: "m", prices: "unknown" }), model))
        )
      assert.deepStrictEqual([answer.summary, round], ["again", 2])
    }))

  it.effect("without words takes those that were said on the way", () =>
    Effect.gen(function*() {
      const { answer } = yield* run([
        { ...calls(["list_files", {}]), parts: [...done.parts, ...calls(["list_files", {}]).parts] },
        { ...done, parts: [] }
      ])
      assert.strictEqual(answer.summary, "done")
    }))

  it.effect("that declines is told as that", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(run([{ ...says("I will not."), finish: "content-filter" }]))
      assert.ok(error._tag === "AgentUnavailable")
      assert.strictEqual(error.reason, "refused")
      assert.match(error.message, /I will not/)
      assert.strictEqual(error.usage.inputTokens, 100)
    }))

  it.effect("keeps what the provider put beside its reasoning", () =>
    Effect.gen(function*() {
      const data = { type: "thinking", thinking: "hm", signature: "abc" }
      const reasoning = { type: "reasoning" as const, text: "hm", data }
      const look = calls(["list_files", {}])
      const { requests } = yield* run([{ ...look, parts: [reasoning, ...look.parts] }, done])
      assert.deepStrictEqual(requests[1]!.messages[1]!.parts[0], reasoning)
    }))

  it.effect("that never comes is ended by the time limit, and what came before it counts", () =>
    Effect.gen(function*() {
      const error = yield* passingTime(
        Effect.flip(run([calls(["list_files", {}]), "hang"], { limits: { time: "2 seconds" } }))
      )
      assert.ok(error._tag === "AgentLimitReached", error.message)
      assert.strictEqual(error.limit, "time")
      assert.strictEqual(error.usage.inputTokens, 100)
      assert.approximately(error.costUsd, 0.01, 1e-9)
    }))

  it.effect("that fails in the middle of a turn leaves what the turn used", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        run([calls(["list_files", {}]), { _tag: "ContextTooLong", detail: "200001 tokens > 200000" }])
      )
      assert.ok(error._tag === "AgentUnavailable")
      assert.strictEqual(error.reason, "refused")
      assert.match(error.message, /too long for the model: .*200001/)
      assert.strictEqual(error.usage.inputTokens, 100)
      assert.approximately(error.costUsd, 0.01, 1e-9)
    }))
})
