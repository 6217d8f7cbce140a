// Both HTTP adapters against a server on loopback: what every agent promises, and what only a wire can do wrong.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Layer, Logger, Redacted, References, Schedule, Schema, Tracer } from "effect"
import * as fs from "node:fs"
import type { ServerResponse } from "node:http"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import * as AnthropicApi from "../../src/agent/AnthropicApi.ts"
import type { OptionsInvalid } from "../../src/agent/LanguageModel.ts"
import * as OpenAiApi from "../../src/agent/OpenAiApi.ts"
import { type AgentCall, CodingAgent } from "../../src/CodingAgent.ts"
import * as CodingAgentSuite from "../../src/testing/CodingAgentSuite.ts"
import { prices } from "../support/playedModel.ts"
import { anthropic, type Handler, json, openAi, type Protocol, type Said, serve } from "./support/providerDouble.ts"

const key = "sk-marked-6b1f0c93-do-not-show"
const Summary = Schema.Struct({ summary: Schema.String })
const done: Said = { text: "{\"summary\":\"done\"}" }

type Options = Omit<AnthropicApi.Options, "model" | "apiKey" | "prices" | "baseUrl"> & { readonly key?: string }

const adapters: ReadonlyArray<{
  readonly protocol: Protocol
  readonly layer: (url: string, options?: Options) => Layer.Layer<CodingAgent, OptionsInvalid>
}> = [
  {
    protocol: anthropic,
    layer: (baseUrl, { key: given = key, ...options } = {}) =>
      AnthropicApi.layer({ model: "a-model", apiKey: Redacted.make(given), baseUrl, prices, ...options })
  },
  {
    protocol: openAi,
    layer: (url, { key: given = key, ...options } = {}) =>
      OpenAiApi.layer({
        model: "a-model",
        apiKey: Redacted.make(given),
        baseUrl: `${url}/v1`,
        prices,
        ...options
      })
  }
]

const twice = { retry: Schedule.recurs(2) }

const call = (directory = "/tree") =>
  Effect.flatMap(CodingAgent, (agent) =>
    agent.run({
      prompt: "Make it faster.",
      schema: Summary,
      directory,
      phase: "code_change",
      write: (file, content) => Effect.sync(() => fs.writeFileSync(join(directory, file), content))
    }))

for (const { layer, protocol } of adapters) {
  const reply = (response: ServerResponse, said: Said) => json(response, 200, protocol.reply(said))

  /** Serves the answers in order, the last one for ever, and calls the agent once. */
  const against = (handlers: ReadonlyArray<Handler>, options: Options = {}, directory?: string) =>
    Effect.gen(function*() {
      const server = yield* serve((response, seen, index) =>
        handlers[Math.min(index, handlers.length - 1)]!(response, seen, index)
      )
      const result = yield* Effect.result(Effect.provide(call(directory), layer(server.url, { ...twice, ...options })))
      return { result, seen: server.seen }
    })
  const failing = (handlers: ReadonlyArray<Handler>, options: Options = {}) =>
    Effect.flatMap(
      against(handlers, options),
      ({ result, seen }) =>
        result._tag === "Failure" && result.failure._tag !== "OptionsInvalid"
          ? Effect.succeed({ error: result.failure, seen })
          : Effect.die(result)
    )

  describe(`an agent on the ${protocol.name} API keeps what every coding agent promises`, () => {
    const play = (play: CodingAgentSuite.Play): Handler => (response) => {
      switch (play._tag) {
        case "Text":
          return reply(response, play)
        case "RateLimited":
          return json(response, 429, protocol.error("rate_limit_error", "slow down"), {
            "retry-after": String(play.retryAfterMillis / 1000)
          })
        case "Overloaded":
          return json(response, 529, protocol.error("overloaded_error", "busy"))
        case "Unauthorized":
          return json(response, 401, protocol.error("authentication_error", "invalid key"))
        case "Unavailable":
          return json(response, 500, protocol.error("api_error", "broken"))
        case "Hang":
          return
      }
    }
    const subject: CodingAgentSuite.Subject = {
      directory: "/tree",
      layer: (plays, options) =>
        Layer.unwrap(Effect.map(
          serve((response, seen, index) => play(plays[index]!)(response, seen, index)),
          ({ url }) => layer(url, { retry: Schedule.recurs(0), maxReplyBytes: 64 * 1024 * 1024, ...options })
        ))
    }
    for (const { effect, name } of CodingAgentSuite.cases(subject)) it.live(name, () => effect)
  })

  describe(`the ${protocol.name} API`, () => {
    it.live("changes files by tools, round after round", () =>
      Effect.gen(function*() {
        const directory = fs.mkdtempSync(join(tmpdir(), "espalier-http-"))
        yield* Effect.addFinalizer(() => Effect.sync(() => fs.rmSync(directory, { recursive: true })))
        fs.writeFileSync(join(directory, "main.ts"), "const workers = 1\n")
        const edit = { file: "main.ts", search: "workers = 1", replace: "workers = 4" }
        const { result, seen } = yield* against(
          [
            (response) => reply(response, { text: "I look.", calls: [["read_file", { file: "main.ts" }]] }),
            (response) =>
              reply(response, {
                calls: [["replace_in_file", edit], ["write_file", "not json"], ["no_such_tool", {}]],
                cachedTokens: 60
              }),
            (response) => reply(response, done)
          ],
          {},
          directory
        )
        assert.ok(result._tag === "Success", inspect(result))
        const { usage } = result.success
        assert.deepStrictEqual(usage, { inputTokens: 300, cachedInputTokens: 60, outputTokens: 30, turns: 1 })
        assert.strictEqual(fs.readFileSync(join(directory, "main.ts"), "utf8"), "const workers = 4\n")
        assert.strictEqual(seen.length, 3)
        const last = JSON.stringify(seen[2]!.body)
        for (const words of ["I look.", "const workers = 1", "Replaced in main.ts", "There is no tool"]) {
          assert.include(last, words)
        }
      }))

    it.live("sends the key in its header alone, and no ids of traces", () =>
      Effect.gen(function*() {
        const { seen } = yield* against([(response) => reply(response, done)])
        const [{ body, headers, url }] = seen as [typeof seen[number]]
        assert.strictEqual(
          protocol === anthropic ? headers["x-api-key"] : headers.authorization,
          protocol === anthropic ? key : `Bearer ${key}`
        )
        assert.notInclude(JSON.stringify(body) + url, key)
        assert.isUndefined(headers["traceparent"] ?? headers["b3"])
      }))

    it.live("is asked again after errors of the server, and then answers", () =>
      Effect.gen(function*() {
        const broken: Handler = (response) => json(response, 503, protocol.error("api_error", "broken"))
        const { result, seen } = yield* against([broken, broken, (response) => reply(response, done)])
        assert.strictEqual(result._tag, "Success")
        assert.strictEqual(seen.length, 3)
      }))

    it.live("is not asked for ever", () =>
      Effect.gen(function*() {
        const { error, seen } = yield* failing([
          (response) => json(response, 500, protocol.error("api_error", "broken"))
        ])
        assert.ok(error._tag === "AgentUnavailable")
        assert.strictEqual(error.reason, "unreachable")
        assert.match(error.message, /answered 500: broken/)
        assert.strictEqual(seen.length, 3)
      }))

    it.live("is asked again where the connection breaks in the middle of a reply", () =>
      Effect.gen(function*() {
        const cut: Handler = (response) => {
          response.writeHead(200, { "content-length": "1000" })
          response.write("{\"id\":")
          setTimeout(() => response.destroy(), 20)
        }
        const { result } = yield* against([cut, (response) => reply(response, done)])
        assert.strictEqual(result._tag, "Success")
        const { error } = yield* failing([cut])
        assert.ok(error._tag === "AgentUnavailable")
        assert.strictEqual(error.reason, "unreachable")
        assert.match(error.message, /broke off after 6 bytes/)
      }))

    it.live("that replies with what is not its protocol has failed, and is not asked again", () =>
      Effect.gen(function*() {
        const wrong: ReadonlyArray<string> = [
          "",
          "<html>502</html>",
          "{\"choices\": [], \"content\": 7}",
          "null",
          "[]",
          `{"content":[],"choices":[{"message":{"content":7}}],"stop_reason":1}`,
          "{".repeat(100_000),
          `${"[".repeat(200_000)}${"]".repeat(200_000)}`,
          JSON.stringify(protocol.reply({ ...done, inputTokens: -5 })),
          JSON.stringify(protocol.reply({ ...done, outputTokens: 1.5 }))
        ]
        for (const body of wrong) {
          const { error, seen } = yield* failing([(response) => response.end(body)])
          assert.ok(error._tag === "AgentUnavailable", `${body.slice(0, 50)}: ${error.message.slice(0, 200)}`)
          assert.strictEqual(error.reason, "failed", body.slice(0, 50))
          assert.isBelow(error.message.length, 2000)
          assert.strictEqual(seen.length, 1)
        }
      }))

    it.live("is read no further than the bound", () =>
      Effect.gen(function*() {
        let sent = 0
        const endless: Handler = (response) => {
          const chunk = Buffer.alloc(64 * 1024, " ")
          const more = () => {
            if (response.destroyed) return
            sent += chunk.length
            response.write(chunk, more)
          }
          more()
        }
        const { error, seen } = yield* failing([endless], { maxReplyBytes: 1024 * 1024 })
        assert.ok(error._tag === "AgentLimitReached", error.message)
        assert.strictEqual(error.limit, "answer")
        assert.match(error.message, /longer than 1048576 bytes/)
        assert.strictEqual(seen.length, 1)
        assert.isBelow(sent, 32 * 1024 * 1024)
      }))

    it.live("that hangs is given up at the time limit of a request", () =>
      Effect.gen(function*() {
        const { error, seen } = yield* failing([() => {}], { requestTimeout: "100 millis" })
        assert.ok(error._tag === "AgentUnavailable")
        assert.match(error.message, /did not answer within 100ms/)
        assert.strictEqual(seen.length, 1)
      }))

    it.live("that hangs in the middle of a reply is given up as well", () =>
      Effect.gen(function*() {
        const { error } = yield* failing([(response) => void response.write("{")], { requestTimeout: "100 millis" })
        assert.match(error.message, /did not answer within 100ms/)
      }))

    it.live("that is not there is told", () =>
      Effect.gen(function*() {
        const port = yield* freePort
        const error = yield* Effect.flip(Effect.provide(call(), layer(`http://127.0.0.1:${port}`, twice)))
        assert.ok(error._tag === "AgentUnavailable")
        assert.strictEqual(error.reason, "unreachable")
        assert.match(error.message, /ECONNREFUSED/)
      }))

    it.live("is not followed elsewhere: the key would go along", () =>
      Effect.gen(function*() {
        const thief = yield* serve((response) => reply(response, done))
        const { error } = yield* failing([(response) => {
          response.writeHead(307, { location: `${thief.url}/v1/messages` })
          response.end()
        }])
        assert.match(error.message, /answered 307/)
        assert.deepStrictEqual(thief.seen, [])
      }))

    it.live("tells apart why it refuses", () =>
      Effect.gen(function*() {
        const tooLong = protocol === anthropic
          ? protocol.error("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")
          : protocol.error("context_length_exceeded", "This model's maximum context length is 8192 tokens")
        const noCredit = protocol === anthropic
          ? protocol.error("invalid_request_error", "Your credit balance is too low to access the API")
          : protocol.error("insufficient_quota", "You exceeded your current quota")
        const cases: ReadonlyArray<readonly [number, unknown, string, RegExp]> = [
          [400, tooLong, "refused", /too long for the model/],
          [413, protocol.error("request_too_large", "too large"), "refused", /too long for the model/],
          [protocol === anthropic ? 400 : 429, noCredit, "out-of-credit", /credit|quota/],
          [402, protocol.error("billing_error", "pay"), "out-of-credit", /./],
          [400, protocol.error("invalid_request_error", "temperature: too hot"), "refused", /too hot/],
          [404, protocol.error("not_found_error", "no such model"), "refused", /no such model/],
          [401, protocol.error("authentication_error", "bad key"), "unauthorized", /bad key/],
          [403, protocol.error("permission_error", "not yours"), "unauthorized", /not yours/]
        ]
        for (const [status, body, reason, words] of cases) {
          const { error, seen } = yield* failing([(response) => json(response, status, body)])
          assert.ok(error._tag === "AgentUnavailable", error.message)
          assert.strictEqual(error.reason, reason, `${status}: ${error.message}`)
          assert.match(error.message, words)
          assert.strictEqual(seen.length, 1)
        }
      }))

    it.live("says how long to wait in each of the forms that there are", () =>
      Effect.gen(function*() {
        const waits = (headers: Record<string, string>) =>
          Effect.map(
            failing([(response) => json(response, 429, protocol.error("rate_limit_error", "slow"), headers)]),
            ({ error, seen }) => {
              assert.ok(error._tag === "AgentRateLimited", error.message)
              assert.strictEqual(seen.length, 1)
              return error.retryAfterMillis
            }
          )
        assert.strictEqual(yield* waits({ "retry-after": "7" }), 7000)
        assert.strictEqual(yield* waits({ "retry-after": "0.5" }), 500)
        assert.strictEqual(yield* waits({ "retry-after": "7", "retry-after-ms": "6500" }), 6500)
        assert.isNull(yield* waits({}))
        assert.isNull(yield* waits({ "retry-after": "soon" }))
        assert.isNull(yield* waits({ "retry-after": "-1" }))
        const dated = yield* waits({ "retry-after": new Date(Date.now() + 60_000).toUTCString() })
        assert.isTrue(dated !== null && dated > 50_000 && dated <= 60_000, String(dated))
      }))

    it.live("is not waited for where it asks for a long pause", () =>
      Effect.gen(function*() {
        const { error, seen } = yield* failing([
          (response) => json(response, 529, protocol.error("overloaded_error", "busy"), { "retry-after": "3600" })
        ])
        assert.ok(error._tag === "AgentRateLimited")
        assert.deepStrictEqual([error.overloaded, error.retryAfterMillis, seen.length], [true, 3_600_000, 1])
      }))

    it.live("refuses a key that no header can carry, without showing it", () =>
      Effect.gen(function*() {
        for (const wrong of [`${key}\nx: y`, `${key} ${key}`, "clé-marked-6b1f0c93", "  "]) {
          const { error, seen } = yield* failing([(response) => reply(response, done)], { key: wrong })
          assert.ok(error._tag === "AgentUnavailable")
          assert.strictEqual(error.reason, "unauthorized")
          assert.notInclude(inspect(error), "marked")
          assert.strictEqual(seen.length, 0)
        }
        // A line end behind it is what files have.
        const { result, seen } = yield* against([(response) => reply(response, done)], { key: `${key}\n` })
        assert.strictEqual(result._tag, "Success")
        assert.include(JSON.stringify(seen[0]!.headers), `${key}"`)
      }))

    it.live("takes an everyday word for a key, and leaves the word in the answers", () =>
      Effect.gen(function*() {
        const { result } = yield* against([(response) => reply(response, { text: "{\"summary\":\"stop at none\"}" })], {
          key: "none"
        })
        assert.ok(result._tag === "Success")
        assert.strictEqual(result.success.answer.summary, "stop at none")
      }))

    it.live("shows its key in no answer, error, record, log or span, whatever it replies", () =>
      Effect.gen(function*() {
        const escaped = [...key].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")
        const text = (body: string, status = 200): Handler => (response) => {
          response.writeHead(status, { "x-echo": key, "retry-after": "0" })
          response.end(body)
        }
        const told = JSON.stringify(protocol.reply({ text: `{"summary": "MARK"}` }))
        const handlers: ReadonlyArray<Handler> = [
          ...[400, 401, 402, 403, 404, 413, 418, 429, 500, 503, 529].flatMap((status) => [
            text(JSON.stringify(protocol.error("x", `bad key ${key}`)), status),
            text(JSON.stringify(protocol.error("x", "bad key MARK")).replace("MARK", escaped), status),
            text(`<html>${key}</html>`, status)
          ]),
          text(key),
          text(`{"${key}": 1}`),
          text(`{"content": "${key}", "choices": ["${key}"]}`),
          text(told.replace("MARK", key)),
          text(told.replace("MARK", escaped)),
          text(JSON.stringify(protocol.reply({ text: key }))),
          text(JSON.stringify(protocol.reply({ calls: [["read_file", { file: key }], [key, {}]] }))),
          (response) => {
            response.writeHead(307, { location: `/${key}` })
            response.end()
          },
          (response) => {
            response.writeHead(200, { "content-length": "1000" })
            response.write(key)
            setTimeout(() => response.destroy(), 5)
          },
          (response) => response.destroy(),
          () => {}
        ]
        const shown: Array<string> = []
        const plain = (_: string, value: unknown) => typeof value === "bigint" ? String(value) : value
        const keep = (value: unknown) => {
          shown.push(inspect(value, { depth: 20, showHidden: true, maxStringLength: null, maxArrayLength: null }))
          shown.push(String(JSON.stringify(value, plain)))
        }
        const logger = Logger.make((options) => keep([options.message, Cause.pretty(options.cause)]))
        const spans: Array<Tracer.Span> = []
        const tracer = Tracer.make({
          span: (options) => {
            const span = new Tracer.NativeSpan(options)
            spans.push(span)
            return span
          }
        })
        const calls: Array<AgentCall> = []
        for (const handler of handlers) {
          const server = yield* serve(handler)
          const agent = layer(server.url, {
            retry: Schedule.recurs(1),
            requestTimeout: "300 millis",
            limits: { rounds: 3 },
            record: (call) => Effect.sync(() => void calls.push(call))
          })
          const exit = yield* Effect.exit(
            call(`/tmp/no-such-directory`).pipe(
              Effect.tapCause((cause) => Effect.logError("the call failed", cause)),
              Effect.provide(agent),
              Effect.withSpan("test"),
              Effect.provideService(Tracer.Tracer, tracer),
              Effect.provide(Logger.layer([logger])),
              Effect.provideService(References.MinimumLogLevel, "All")
            )
          )
          keep(exit)
          if (exit._tag === "Failure") keep(Cause.pretty(exit.cause))
          // What the model is told of its own calls goes out again: without the key as well.
          keep(server.seen.map(({ body }) => body as unknown))
        }
        keep(calls)
        for (const span of spans) {
          const { attributes, events, name, status } = span as Tracer.NativeSpan
          keep([name, [...attributes], status, events])
        }
        assert.strictEqual(calls.length, handlers.length)
        assert.isAbove(spans.length, handlers.length)
        const found = shown.filter((one) => one.includes("6b1f0c93") || one.includes(escaped))
        assert.deepStrictEqual(found.map((one) => one.slice(0, 3000)), [])
        // The search itself works: what was put there instead is found.
        assert.isTrue(shown.some((one) => one.includes("<redacted>")))
      }))
  })
}

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})
