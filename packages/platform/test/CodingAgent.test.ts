import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Redacted, Result, Schema } from "effect"
import * as Scripted from "../src/agent/Scripted.ts"
import { CodingAgent } from "../src/CodingAgent.ts"
import { findAnswer } from "../src/internal/agentAnswer.ts"
import { passingTime } from "../src/testing/ExecutionSuite.ts"
import * as CodingAgentSuite from "../src/testing/CodingAgentSuite.ts"
import { Workspace } from "../src/Workspace.ts"
import * as Memory from "../src/workspace/Memory.ts"
import { scripted } from "./support/scriptedPlay.ts"

describe("the scripted agent keeps what every coding agent promises", () => {
  const subject: CodingAgentSuite.Subject = {
    directory: "/tree",
    layer: (plays, options) => Scripted.layer((_, index) => scripted(plays[index]!), options)
  }
  for (const { effect, name } of CodingAgentSuite.cases(subject)) it.effect(name, () => passingTime(effect))
})

const Answer = Schema.Struct({ summary: Schema.String })

const run = (
  extra: { readonly write?: (file: string, content: string) => Effect.Effect<void, { message: string }> } = {}
) =>
  Effect.flatMap(
    CodingAgent,
    (agent) =>
      agent.run({ prompt: "Make it faster.", schema: Answer, directory: "/tree", phase: "code_change", ...extra })
  )

const calls = Effect.flatMap(Scripted.Calls, ({ all }) => all)

describe("the scripted agent", () => {
  it.effect("changes files by the writes it is granted, which stay inside the tree", () =>
    Effect.gen(function*() {
      const workspace = yield* Workspace
      const tree = yield* workspace.open({ run: "run", node: "node", base: "HEAD" })
      const write = (file: string, content: string) => workspace.write(tree, file, content)
      yield* run({ write })
      assert.strictEqual(yield* workspace.read(tree, "src/main.ts"), "fast()\n")
      const error = yield* Effect.flip(run({ write }))
      assert.strictEqual(error._tag, "AgentUnavailable")
      assert.match(error.message, /"\.\.\/outside" is refused/)
    }).pipe(
      Effect.scoped,
      Effect.provide(Memory.layer({ files: {} })),
      Effect.provide(Scripted.layer([
        { text: "{\"summary\":\"done\"}", edits: [{ file: "src/main.ts", content: "fast()\n" }] },
        { text: "{\"summary\":\"escaped\"}", edits: [{ file: "../outside", content: "" }] }
      ]))
    ))

  it.effect("cannot change files in a call that does not grant it", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(run())
      assert.match(error.message, /Give the call a `write`/)
    }).pipe(Effect.provide(Scripted.layer([{ text: "{}", edits: [{ file: "a", content: "" }] }]))))

  it.effect("tells what its provider said without what steers a terminal, and without a secret that stood apart by it", () =>
    Effect.gen(function*() {
      const said = "a\u001b[2Jb\u0007c sk-ant-\u001b[0mabcdef"
      const request = { prompt: "p", schema: Answer, directory: "/tree", phase: "planning" }
      const ask = (answers: ReadonlyArray<Scripted.Answer>) =>
        Effect.flip(Effect.flatMap(CodingAgent, (agent) => agent.run(request))).pipe(
          Effect.provide(Scripted.layer(answers, { secrets: [Redacted.make("sk-ant-abcdef")] }))
        )
      const failed = yield* ask([{ _tag: "Unavailable", detail: said }])
      assert.match(failed.message, /: ab\u2407c <redacted>\. /)
      const rejected = yield* ask([`{"${said}": 1}`, `{"summary": 1, "${said}": 1}`])
      assert.strictEqual(rejected._tag, "AnswerRejected")
      assert.notMatch(rejected.message, /[\u0000-\u0008\u000b-\u001f]|abcdef/)
    }))

  it.effect("is not asked with limits that mean nothing", () =>
    Effect.gen(function*() {
      const agent = yield* CodingAgent
      const request = { prompt: "", schema: Answer, directory: "/tree", phase: "planning" }
      const times = [0, -1, NaN, "-5 seconds", "0 seconds", "x", Duration.zero].map((time) => ({
        time: time as Duration.Input
      }))
      for (
        const limits of [{ rounds: 0 }, { rounds: 1.5 }, { rounds: NaN }, { costUsd: 0 }, { costUsd: NaN }, ...times]
      ) {
        const error = yield* Effect.flip(agent.run({ ...request, limits }))
        assert.strictEqual(error._tag === "AgentUnavailable" && error.reason, "refused")
        assert.match(error.message, /limits\.(?:rounds|costUsd|time) is [^:]+: give a[^]*\. Correct the limits$/)
      }
      yield* agent.run({ ...request, limits: { rounds: Infinity, costUsd: Infinity, time: "Infinity" } })
      assert.deepStrictEqual((yield* calls).map(({ turns }) => turns.length), [...Array(12).fill(0), 1])
    }).pipe(Effect.provide(Scripted.layer(["{\"summary\":\"\"}"]))))

  it.effect("says so when its script is at its end", () =>
    Effect.gen(function*() {
      yield* run()
      const error = yield* Effect.flip(run())
      assert.match(error.message, /script has 1 answers, and this is turn 2/)
    }).pipe(Effect.provide(Scripted.layer(["{\"summary\":\"\"}"]))))

  it.effect("may be a function of the turn, and sees in a repair what was wrong", () =>
    Effect.gen(function*() {
      const { answer } = yield* run()
      assert.deepStrictEqual(answer, { summary: "turn 1" })
      const [call] = yield* calls
      assert.strictEqual(call?.turns.length, 2)
      const repair = call?.turns[1]?.prompt ?? ""
      assert.isTrue(repair.startsWith("Make it faster.\n"))
      assert.include(repair, "{\"summary\": 7}")
      assert.match(repair, /Expected string\s+at \["summary"\]/)
    }).pipe(Effect.provide(
      Scripted.layer((turn, index) => turn.repair ? `{"summary": "turn ${index}"}` : "{\"summary\": 7}")
    )))

  it.effect("records every call that ended, with what it used, also those that failed", () =>
    Effect.gen(function*() {
      yield* run()
      yield* Effect.exit(run())
      const all = yield* calls
      assert.deepStrictEqual(all.map(({ costUsd, error, usage }) => [error?._tag ?? null, usage.turns, costUsd]), [
        [null, 1, 0.5],
        ["AgentRateLimited", 2, 0.25]
      ])
      assert.deepStrictEqual(all[1]?.turns.map(({ text }) => text), ["no", null])
    }).pipe(Effect.provide(Scripted.layer([
      { text: "{\"summary\":\"\"}", costUsd: 0.5 },
      { text: "no", costUsd: 0.25 },
      { _tag: "RateLimited", retryAfterMillis: null, detail: "429" }
    ]))))

  it.effect("records a call that dies of what was given to it, with what it used until then", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(run({ write: () => Effect.die(new Error("a disk named sk-secret-value")) }))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      const all = yield* calls
      assert.deepStrictEqual(
        all.map((
          { costUsd, defect, error, interrupted, turns }
        ) => [costUsd, defect, error, interrupted, turns.length]),
        [[0.5, "Error: a disk named <redacted>", null, false, 2]]
      )
    }).pipe(Effect.provide(Scripted.layer([
      { text: "no", costUsd: 0.5 },
      { text: "{\"summary\":\"\"}", edits: [{ file: "a", content: "" }] }
    ], { secrets: [Redacted.make("sk-secret-value")] }))))

  it.effect("records a call that is given up and dies of it, with what it had reported", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(run(), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      const [call] = yield* calls
      assert.deepStrictEqual(
        [call?.interrupted, call?.defect, call?.error, call?.costUsd, call?.usage.turns],
        [true, "it does not end", null, 0.25, 1]
      )
    }).pipe(Effect.provide(Scripted.layer((turn) => {
      turn.report({ usage: { inputTokens: 1, cachedInputTokens: 0, outputTokens: 1 }, costUsd: 0.25 })
      return Effect.onInterrupt(Effect.never, () => Effect.die("it does not end"))
    }))))
})

describe("finding the answer in a text", () => {
  const find = <A>(text: string, schema: Schema.Decoder<A>) => findAnswer(text, schema)

  const json = JSON.stringify({ summary: "more {workers} \"]}\"" })
  const places: ReadonlyArray<readonly [string, string]> = [
    ["in a fence without a language", `\`\`\`\n${json}\n\`\`\``],
    ["in the last of several fences", `\`\`\`json\n{"example": true}\n\`\`\`\nand so:\n\`\`\`json\n${json}\n\`\`\``],
    ["after a fence of code", `\`\`\`ts\nconst a = {}\n\`\`\`\n\n\`\`\`json\n${json}\n\`\`\``],
    ["after an example that does not fit", `Not {"summary": 1} but ${json}`]
  ]
  for (const [place, text] of places) {
    it.effect(`finds it ${place}`, () =>
      Effect.map(
        find(text, Answer),
        (found) => assert.deepStrictEqual(found, Result.succeed({ summary: "more {workers} \"]}\"" }))
      ))
  }

  it.effect("reports a mistake in the last fenced block, and does not take the example above it", () =>
    Effect.gen(function*() {
      const text = "For example\n```json\n{\"summary\":\"example\"}\n```\nMine:\n```json\n{\"summary\": 1}\n```\n"
      const result = yield* find(text, Answer)
      assert.isTrue(Result.isFailure(result) && /summary/.test(result.failure))
    }))

  it.effect("says where JSON that is nearly right breaks", () =>
    Effect.gen(function*() {
      const result = yield* find("{\"summary\": \"a\",}", Answer)
      assert.isTrue(
        Result.isFailure(result) && /no JSON object or array that parses: .*position 16/.test(result.failure)
      )
    }))

  it.effect("takes arrays and plain values where they are asked for", () =>
    Effect.gen(function*() {
      const numbers = yield* find("Try [1, 2] or rather [3, 4].", Schema.Array(Schema.Finite))
      assert.deepStrictEqual(numbers, Result.succeed([3, 4]))
      assert.deepStrictEqual(yield* find("7", Schema.Finite), Result.succeed(7))
    }))

  it.effect("does not let an answer pollute prototypes", () =>
    Effect.gen(function*() {
      const result = yield* find("{\"summary\":\"x\",\"__proto__\":{\"polluted\":true}}", Answer)
      assert.deepStrictEqual(result, Result.succeed({ summary: "x" }))
      assert.isFalse("polluted" in {})
    }))

  it.effect("gives up on a text that is nothing but brackets, in bounded time", () =>
    Effect.gen(function*() {
      for (const piece of ["{[", "{", "```\n", "```json\n{", "{\"", "[}", "{{}"]) {
        assert.isTrue(Result.isFailure(yield* find(piece.repeat(100_000), Answer)), piece)
      }
      const nested = yield* find("[".repeat(50_000) + "]".repeat(50_000), Answer)
      assert.isTrue(Result.isFailure(nested))
    }))
})
