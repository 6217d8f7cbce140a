// The pure parts of agents that are programs: how they are called, and what their output comes to.
import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import * as fc from "fast-check"
import type { TurnError } from "../src/CodingAgent.ts"
import { LineSplitter } from "../src/evidence/LogText.ts"
import { agentEnvironment, secretNames, secretsAmong } from "../src/internal/agentHome.ts"
import type { AgentEnded } from "../src/internal/agentProcess.ts"
import { redactor } from "../src/internal/agentSecrets.ts"
import { claudeArguments } from "../src/internal/claudeArguments.ts"
import * as Claude from "../src/internal/claudeEvents.ts"
import { codexArguments } from "../src/internal/codexArguments.ts"
import * as Codex from "../src/internal/codexEvents.ts"
import { codexFailure } from "../src/internal/codexFailure.ts"

const ended: AgentEnded = { exitCode: 0, signal: null, stderr: "", tooLoud: false }

const line = (event: unknown) => ({ text: JSON.stringify(event), cut: false })
const cut = { text: "{\"type\":\"assist", cut: true }

describe("cutting output into lines", () => {
  it("gives the same lines however the bytes come", () => {
    fc.assert(fc.property(
      fc.array(fc.string({ unit: "grapheme", maxLength: 20 }).map((text) => text.replaceAll("\n", "")), {
        maxLength: 20
      }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      (texts, sizes) => {
        const bytes = Buffer.from(texts.map((text) => `${text}\n`).join(""))
        const splitter = new LineSplitter(1000, { exact: true })
        const lines = []
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length]!
          lines.push(...splitter.push(bytes.subarray(at, at + size)))
          at += size
        }
        assert.deepStrictEqual([...lines, ...splitter.end()], texts.map((text) => ({ text, cut: false })))
      }
    ))
  })

  it("keeps the beginning of a line that is too long, says so, and goes on with the next", () => {
    const splitter = new LineSplitter(10_000, { exact: true })
    const lines = []
    for (let count = 0; count < 1000; count++) lines.push(...splitter.push(Buffer.alloc(1 << 16, "x")))
    lines.push(...splitter.push(Buffer.from("\nshort\nlast")), ...splitter.end())
    assert.deepStrictEqual(lines.map(({ cut }) => cut), [true, false, false])
    assert.isAtMost(lines[0]!.text.length, 10_000)
    assert.match(lines[0]!.text, /^x+$/)
    assert.deepStrictEqual(lines.slice(1).map(({ text }) => text), ["short", "last"])
  })
})

describe("passing over lines", () => {
  it("leaves out whole lines that begin with something else, wherever a chunk ends, and tells of one that was cut", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 20 }), (size) => {
      const bytes = Buffer.from("x\n\n{1}\n {2}\n{3}\nyyyyyyyyyy\nx{4}\n{5}")
      const splitter = new LineSplitter(9, { exact: true, beginning: "{" })
      const lines = []
      for (let at = 0; at < bytes.length; at += size) lines.push(...splitter.push(bytes.subarray(at, at + size)))
      assert.deepStrictEqual([...lines, ...splitter.end()], [
        ...["{1}", "{3}"].map((text) => ({ text, cut: false })),
        { text: "yyyyyyyyy", cut: true },
        { text: "{5}", cut: false }
      ])
    }))
  })
})

describe("taking secrets out", () => {
  it("finds a secret as it is, in JSON, in a URL and in base64, and none in a text without", () => {
    const secret = "key/with \"quotes\"+and=more"
    const clean = redactor([Redacted.make(secret), Redacted.make(""), Redacted.make("none"), Redacted.make("key/with")])
    const forms = [
      secret,
      JSON.stringify({ secret }),
      `https://host/?key=${encodeURIComponent(secret)}`,
      `Basic ${Buffer.from(secret).toString("base64")}`,
      Buffer.from(secret).toString("base64url")
    ]
    for (const form of forms) {
      assert.include(clean(form), "<redacted>")
      assert.notMatch(clean(form), /quotes|more|cXVvdGVz/)
    }
    assert.strictEqual(clean("none is here"), "none is here")
  })

  it("finds a secret in base64 of something longer, wherever it stands there", () => {
    fc.assert(fc.property(
      fc.string({ unit: "binary", minLength: 8 }).filter((text) => text.trim() === text && !/^\0|\0$/.test(text)),
      fc.uint8Array({ maxLength: 7 }),
      fc.uint8Array({ maxLength: 7 }),
      fc.constantFrom("base64" as const, "base64url" as const),
      (secret, before, after, encoding) => {
        const encoded = Buffer.concat([before, Buffer.from(secret), after]).toString(encoding)
        const left = redactor([Redacted.make(secret)])(encoded).split("<redacted>")
        assert.strictEqual(left.length, 2)
        // Of the secret, less than a byte at each end.
        assert.isAtMost(left[0]!.length, Math.ceil(before.length * 8 / 6))
        assert.isAtMost(left[1]!.length, Math.ceil(after.length * 8 / 6) + 3)
      }
    ))
  })

  it("finds a secret without the white space around it, and takes a short one for none, whatever surrounds it", () => {
    const clean = redactor([
      Redacted.make(" a-long-secret\n"),
      Redacted.make("another-secret\0"),
      Redacted.make("  none      "),
      Redacted.make("        ")
    ])
    const plain = Buffer.from("a-long-secret").toString("base64")
    assert.strictEqual(clean(`a-long-secret ${plain} another-secret`), "<redacted> <redacted> <redacted>")
    const harmless = `  none      and none, ${Buffer.from("  none      ").toString("base64")}           `
    assert.strictEqual(clean(harmless), harmless)
  })
})

describe("the environment of an agent", () => {
  const home = { root: "/r", home: "/r/h", config: "/r/c", temporary: "/r/t" }

  it("is what is on the list, what the layer needs, and what the user adds, in this order", () => {
    const own = { PATH: "/bin", HOME: "/root", AWS_SECRET_ACCESS_KEY: "x", HTTPS_PROXY: "http://user:password@proxy" }
    const added = { PATH: "/usr/bin", TOKEN: Redacted.make("t") }
    assert.deepStrictEqual(agentEnvironment(own, home, { PATH: "/sbin", A: "1" }, added), {
      PATH: "/usr/bin",
      HOME: "/r/h",
      TMPDIR: "/r/t",
      A: "1",
      TOKEN: "t"
    })
    assert.deepStrictEqual(secretNames(added), ["TOKEN"])
    assert.deepStrictEqual(secretsAmong(added).map(Redacted.value), ["t"])
  })
})

describe("how Claude's program is called", () => {
  const call = {
    program: "claude",
    model: undefined,
    mayWrite: false,
    readTools: ["Read", "Grep"],
    writeTools: ["Edit", "Read"],
    commands: ["npm test"],
    rounds: undefined,
    costUsd: undefined,
    extra: []
  }

  it("gives it the reading tools, and the others only in a call that may write", () => {
    const reading = claudeArguments(call)
    assert.include(reading, "--tools=Read,Grep")
    assert.isEmpty(reading.filter((argument) => /allowedTools|permission-mode/.test(argument)))
    const writing = claudeArguments({ ...call, mayWrite: true })
    assert.include(writing, "--tools=Read,Grep,Edit,Bash")
    assert.include(writing, "--allowedTools=Bash(npm test)")
    assert.notInclude(claudeArguments({ ...call, mayWrite: true, commands: [] }), "Bash")
  })

  it("keeps every value in one argument with its flag", () => {
    const model = "--dangerously-skip-permissions"
    const argv = claudeArguments({ ...call, model, rounds: 3, costUsd: 0.25, extra: ["--effort=low"] })
    assert.notInclude(argv, model)
    assert.includeMembers([...argv], [`--model=${model}`, "--max-turns=3", "--max-budget-usd=0.25"])
    assert.strictEqual(argv.at(-1), "--effort=low")
  })
})

describe("how Codex' program is called", () => {
  const call = {
    program: "codex",
    model: "m",
    mayWrite: false,
    mayUseNetwork: false,
    provider: { baseUrl: "http://127.0.0.1/v1", keyVariable: "KEY" },
    retries: 2,
    hidden: ["KEY"],
    extra: []
  }

  it("has the sandbox that the call may have, and no session where the home is somebody's", () => {
    assert.include(codexArguments(call), "--sandbox=read-only")
    assert.notInclude(codexArguments(call), "--ephemeral")
    const own = codexArguments({ ...call, mayWrite: true, provider: undefined })
    assert.includeMembers([...own], ["--sandbox=workspace-write", "--ephemeral"])
    assert.isEmpty(own.filter((argument) => argument.includes("model_provider")))
  })

  it("writes values that cannot end the setting they stand in", () => {
    const argv = codexArguments({ ...call, provider: { baseUrl: "x\"\nsandbox_mode=\"danger", keyVariable: "KEY" } })
    assert.include(argv, "--config=model_providers.espalier.base_url=\"x\\\"\\nsandbox_mode=\\\"danger\"")
  })
})

describe("what Claude's program prints", () => {
  const fold = (...events: ReadonlyArray<unknown>) =>
    events.reduce<Claude.ClaudeState>(
      (state, event) => Claude.step(state, event === cut ? cut : line(event), 10_000),
      Claude.initial
    )
  const start = (input: number, cached: number) => ({
    type: "stream_event",
    event: {
      type: "message_start",
      message: {
        usage: {
          input_tokens: input,
          cache_read_input_tokens: cached,
          cache_creation_input_tokens: 5,
          output_tokens: 1
        }
      }
    }
  })
  const delta = (output: number) => ({
    type: "stream_event",
    event: { type: "message_delta", usage: { output_tokens: output } }
  })
  const result = (fields: object) => ({ type: "result", subtype: "success", is_error: false, ...fields })
  const failure = (...events: ReadonlyArray<unknown>) => {
    const { used: _, ...rest } = Claude.conclude(fold(...events), ended, 1_000_000) as TurnError
    return rest
  }

  it("tells of usage while it goes on, message by message", () => {
    assert.deepStrictEqual(Claude.used(fold(start(100, 20), delta(10), start(200, 120), delta(3))), {
      usage: { inputTokens: 100 + 20 + 5 + 200 + 120 + 5, cachedInputTokens: 140, outputTokens: 13 },
      costUsd: 0
    })
  })

  it("counts what only the result knows, such as other agents, and what it leaves out", () => {
    const usage = { inputTokens: 10, cacheReadInputTokens: 20, cacheCreationInputTokens: 30, outputTokens: 40 }
    const modelUsage = { one: usage, other: usage }
    const { text, ...used } = Claude.conclude(
      fold(start(1, 0), delta(90), result({ result: "x", total_cost_usd: 2, modelUsage })),
      ended,
      0
    ) as {
      text: string
    }
    assert.strictEqual(text, "x")
    assert.deepStrictEqual(used, { usage: { inputTokens: 120, cachedInputTokens: 40, outputTokens: 90 }, costUsd: 2 })
  })

  it("has reached its limit of cost where its answer cost more, whatever the program was told", () => {
    const answered = fold(result({ result: "x", total_cost_usd: 0.3 }))
    const over = Claude.conclude(answered, ended, 0, 0.2) as TurnError
    assert.deepInclude(over, { _tag: "LimitReached", limit: "cost", detail: "its answer cost 0.3 of 0.2 US$" })
    assert.strictEqual(over.used?.costUsd, 0.3)
    assert.deepInclude(Claude.conclude(answered, ended, 0, 0.1 + 0.2), { text: "x" })
    const rounded = fold(result({ result: "x", total_cost_usd: 0.1 + 0.2 }))
    assert.deepInclude(Claude.conclude(rounded, ended, 0, 0.3), { text: "x" })
  })

  it("is not believed where it says that it has cost less than nothing", () => {
    assert.strictEqual(Claude.used(fold(result({ result: "x", total_cost_usd: -5 }))).costUsd, 0)
  })

  it("passes over what it does not know", () => {
    const state = fold({ type: "new" }, [], null, 7, { type: "result" }, { type: "stream_event", event: { type: "x" } })
    assert.deepStrictEqual(state, Claude.initial)
    assert.deepStrictEqual(Claude.step(Claude.initial, { text: "no JSON", cut: false }, 0), Claude.initial)
  })

  const error = (status: number | null, word?: string) => [
    ...(word === undefined ? [] : [{ type: "assistant", error: word, message: {} }]),
    result({ is_error: true, api_error_status: status, result: "words" })
  ]
  const failures: ReadonlyArray<readonly [string, ReadonlyArray<unknown>, object]> = [
    ["its limit of rounds", [result({ is_error: true, subtype: "error_max_turns", errors: ["a", "b"] })], {
      _tag: "LimitReached",
      limit: "rounds",
      detail: "a; b"
    }],
    ["its limit of cost", [result({ is_error: true, subtype: "error_max_budget_usd" })], {
      _tag: "LimitReached",
      limit: "cost",
      detail: "error_max_budget_usd"
    }],
    ["a fault of its own", [result({ is_error: true, subtype: "error_during_execution", errors: ["broken"] })], {
      _tag: "Unavailable",
      reason: "failed",
      detail: "broken"
    }],
    ["a rate limit", error(429, "rate_limit"), {
      _tag: "RateLimited",
      retryAfterMillis: null,
      overloaded: false,
      detail: "words"
    }],
    [
      "a limit of the account, with its end",
      [{ type: "rate_limit_event", rate_limit_info: { status: "rejected", resetsAt: 1060 } }, ...error(429)],
      { _tag: "RateLimited", retryAfterMillis: 60_000, overloaded: false, detail: "words" }
    ],
    ["a provider without capacity", error(529), {
      _tag: "RateLimited",
      retryAfterMillis: null,
      overloaded: true,
      detail: "words"
    }],
    ["a key that is not accepted", error(401), { _tag: "Unavailable", reason: "unauthorized", detail: "words" }],
    ["no login", error(null, "authentication_failed"), {
      _tag: "Unavailable",
      reason: "unauthorized",
      detail: "words"
    }],
    ["no money, whatever the status", error(400, "billing_error"), {
      _tag: "Unavailable",
      reason: "out-of-credit",
      detail: "words"
    }],
    ["a request that is not taken", error(404), { _tag: "Unavailable", reason: "refused", detail: "words" }],
    ["no connection", error(null, "unknown"), { _tag: "Unavailable", reason: "unreachable", detail: "words" }]
  ]
  for (const [name, events, expected] of failures) {
    it(`tells ${name}`, () => assert.deepStrictEqual(failure(...events), expected))
  }

  it("says that it waits too long, and then nothing that follows counts", () => {
    const retry = (millis: number) => ({
      type: "system",
      subtype: "api_retry",
      retry_delay_ms: millis,
      error_status: 529
    })
    assert.strictEqual(fold(retry(10_000)).pause, undefined)
    const told = failure(retry(10_001), ...error(500))
    assert.deepInclude(told, { _tag: "RateLimited", retryAfterMillis: 10_001, overloaded: true })
  })

  it("loses an answer that is too long, but not one after something else that was", () => {
    assert.deepInclude(failure(start(1, 0), cut, cut), { _tag: "LimitReached", limit: "answer" })
    assert.deepInclude(Claude.conclude(fold(cut, result({ result: "short" })), ended, 0), { text: "short" })
  })
})

describe("what Codex' program prints", () => {
  const price = { inputUsd: 10, cachedInputUsd: 1, outputUsd: 100 }
  const limits = { rounds: 2, costUsd: undefined, price }
  const fold = (...events: ReadonlyArray<unknown>) =>
    events.reduce<Codex.CodexState>(
      (state, event) => Codex.step(state, event === cut ? cut : line(event)),
      Codex.appear(Codex.initial)
    )
  const says = (text: string) => ({ type: "item.completed", item: { id: "i", type: "agent_message", text } })
  const works = { type: "item.started", item: { id: "i", type: "command_execution", command: "ls" } }
  const tokens = (count: number) => ({
    input_tokens: 100 * count,
    cached_input_tokens: 40 * count,
    output_tokens: 10 * count
  })
  const completes = { type: "turn.completed", usage: tokens(3) }

  it("answers with its last message, and says at its end what it used", () => {
    assert.deepStrictEqual(Codex.conclude(fold(says("first"), works, says("last"), completes), ended, limits), {
      text: "last",
      usage: { inputTokens: 300, cachedInputTokens: 120, outputTokens: 30 },
      costUsd: (180 * 10 + 120 * 1 + 30 * 100) / 1e6
    })
  })

  it("has failed without a message, without an end, and by what it says itself", () => {
    const tell = (...events: ReadonlyArray<unknown>) =>
      Codex.conclude(fold(...events), { ...ended, exitCode: 1 }, limits)
    assert.deepInclude(tell(completes), { reason: "failed", detail: "it ended its turn without an answer" })
    assert.match(
      (tell(says("x"), { type: "error", message: "lost" }) as TurnError).detail,
      /exit code 1.*told is: lost/
    )
    assert.deepInclude(tell(says("x"), { type: "turn.failed", error: { message: "Quota exceeded. Pay." } }), {
      reason: "out-of-credit"
    })
    assert.deepInclude(tell(says("x"), cut, completes), { _tag: "LimitReached", limit: "answer" })
    assert.deepInclude(tell(cut, says("x"), completes), { text: "x" })
  })

  it("is over when it goes on after its last round, not when it may be answering", () => {
    const after = (count: number, state = Codex.initial) => Codex.spend(state, tokens(count), limits)
    const second = after(2, after(1))
    assert.deepStrictEqual([second.reached, second.isOver], ["rounds", false])
    assert.isTrue(Codex.step(second, line(works)).isOver)
    assert.isFalse(Codex.step(second, line(says("x"))).isOver)
    assert.isTrue(after(3, second).isOver)
    assert.isFalse(after(2, second).isOver)
    const over = Codex.conclude(after(3, second), ended, limits)
    assert.deepInclude(over, { _tag: "LimitReached", limit: "rounds" })
    const answered = [says("x"), completes].reduce((state, event) => Codex.step(state, line(event)), second)
    assert.deepInclude(Codex.conclude(Codex.appear(answered), ended, limits), { text: "x" })
  })

  it("is over also where it answers while it is being ended", () => {
    const over = [1, 2, 3].reduce((state, count) => Codex.spend(state, tokens(count), limits), Codex.initial)
    const answered = [says("x"), completes].reduce((state, event) => Codex.step(state, line(event)), over)
    assert.deepInclude(Codex.conclude(Codex.appear(answered), ended, limits), { limit: "rounds" })
  })

  it("is no success past its limit of cost, nor with a limit of rounds where no session was seen", () => {
    const answered = [says("x"), completes].reduce((state, event) => Codex.step(state, line(event)), Codex.initial)
    const costly = { rounds: undefined, costUsd: 0.001, price }
    for (const state of [answered, Codex.appear(answered)]) {
      const over = Codex.conclude(state, ended, costly) as TurnError
      assert.deepInclude(over, { _tag: "LimitReached", limit: "cost", detail: "its answer cost 0.00492 of 0.001 US$" })
      assert.strictEqual(over.used?.usage.outputTokens, 30)
      assert.deepInclude(Codex.conclude(state, ended, { ...costly, costUsd: 0.00492 }), { text: "x" })
    }
    const unseen = Codex.conclude(answered, ended, { ...limits, rounds: 100 }) as TurnError
    assert.deepInclude(unseen, { _tag: "Unavailable", reason: "failed" })
    assert.match(unseen.detail, /limits of rounds and cost cannot be kept: it left no session/)
    assert.strictEqual(unseen.used?.usage.inputTokens, 300)
  })

  it("is over when it goes on after its money is spent", () => {
    const costly = { rounds: undefined, costUsd: 0.001, price }
    const spent = Codex.spend(Codex.initial, tokens(1), costly)
    assert.strictEqual(spent.reached, "cost")
    const over = Codex.conclude(Codex.step(spent, line(works)), ended, costly) as TurnError
    assert.deepInclude(over, { _tag: "LimitReached", limit: "cost" })
    assert.strictEqual(over.used?.costUsd, (60 * 10 + 40 + 10 * 100) / 1e6)
  })

  const sentences: ReadonlyArray<readonly [string, object]> = [
    ["exceeded retry limit, last status: 429 Too Many Requests", { _tag: "RateLimited", overloaded: false }],
    ["unexpected status 503 Service Unavailable: x, url: http://h", { _tag: "RateLimited", overloaded: true }],
    ["unexpected status 401 Unauthorized: x, url: http://h", { reason: "unauthorized" }],
    ["unexpected status 402 Payment Required: x", { reason: "out-of-credit" }],
    ["unexpected status 502 Bad Gateway: x", { reason: "unreachable" }],
    ["Quota exceeded. Check your plan and billing details.", { reason: "out-of-credit" }],
    ["You've hit your usage limit. Try again at 5 PM.", { _tag: "RateLimited", retryAfterMillis: null }],
    ["Missing environment variable: `CODEX_API_KEY`.", { reason: "unauthorized" }],
    ["{\"error\":{\"code\":\"invalid\"}}", { reason: "refused" }],
    ["Codex ran out of room in the model's context window. Start a new thread.", { reason: "refused" }],
    ["a sentence of the next version", { reason: "failed", detail: "a sentence of the next version" }]
  ]
  for (const [sentence, expected] of sentences) {
    it(`means by "${sentence}" what it says`, () => assert.deepInclude(codexFailure(sentence), expected))
  }
})
