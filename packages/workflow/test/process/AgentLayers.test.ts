// The agents of a configuration, against a server on loopback that stands for a provider, and programs that are not there.
import { CodingAgent } from "@espalier/platform/CodingAgent"
import { Cause, Effect, Exit, Layer, Option, Schema } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import * as Config from "../../src/Config.ts"
import * as Layers from "../../src/Layers.ts"

const smallest = `name = "small"
[source]
repository = "."
[job]
argv = ["run"]
[objective]
metric = "speed"
direction = "maximize"
[parameters.workers]
type = "integer"
values = [1, 2, 4]
baseline = 1
[agent]
`

let home = ""
let asked: Array<{ readonly path: string; readonly headers: IncomingHttpHeaders }> = []
let baseUrl = ""
const server = createServer((request, response) => {
  asked.push({ path: request.url ?? "", headers: request.headers })
  const text = `{"workers": ${asked.length}}`
  response.end(JSON.stringify(
    request.url === "/v1/messages"
      ? {
        content: [{ type: "text", text }],
        stop_reason: "end_turn",
        usage: { input_tokens: 1_000, output_tokens: 100 }
      }
      : {
        choices: [{ message: { content: text }, finish_reason: "stop" }],
        usage: { prompt_tokens: 1_000, completion_tokens: 100 }
      }
  ))
})

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "espalier-agent-"))
  asked = []
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(async () => {
  rmSync(home, { recursive: true, force: true })
  delete process.env["TEAM_KEY"]
  await new Promise((resolve) => void server.close(resolve))
})

/** Asks the agent of a configuration how many workers there should be. */
const ask = (agent: string) =>
  Effect.gen(function*() {
    const config = yield* Config.fromString(`${smallest}${agent}`)
    const layer = Layers.layer({ workdir: home, config })
    return yield* Effect.flatMap(CodingAgent, (agent) =>
      agent.run({
        prompt: "How many workers?",
        schema: Schema.Struct({ workers: Schema.Int }),
        directory: home,
        phase: "planning"
      })).pipe(Effect.provide(layer))
  })

const failureOf = async (agent: string): Promise<unknown> => {
  const exit = await Effect.runPromiseExit(ask(agent))
  return Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : exit
}

describe("the agent of a configuration", () => {
  it("is a model over HTTP, with the secret that is named and the price that is told", async () => {
    process.env["TEAM_KEY"] = "open-sesame"
    const { answer, costUsd } = await Effect.runPromise(ask(
      `kind = "anthropic"\nmodel = "m"\nsecret = "TEAM_KEY"\nbaseUrl = "${baseUrl}"\n` +
        `price = { inputUsd = 3, outputUsd = 15 }\ncostLimitUsd = 1\n`
    ))
    expect(answer).toEqual({ workers: 1 })
    expect(costUsd).toBeCloseTo(0.0045)
    expect(asked[0]?.path).toBe("/v1/messages")
    expect(asked[0]?.headers["x-api-key"]).toBe("open-sesame")
  })

  it("is a server of one's own, which wants no secret", async () => {
    const { answer } = await Effect.runPromise(
      ask(`kind = "openai-compatible"\nmodel = "m"\nbaseUrl = "${baseUrl}/v1"\n`)
    )
    expect(answer).toEqual({ workers: 1 })
    expect(asked[0]?.path).toBe("/v1/chat/completions")
  })

  it("is asked once and replayed for ever, as long as the files are the same", async () => {
    const recorded = (mode: string) =>
      `kind = "openai-compatible"\nmodel = "m"\nbaseUrl = "${baseUrl}/v1"\nrecordings = "${home}-recordings"\n` +
      `recording = "${mode}"\n`
    try {
      writeFileSync(join(home, "main.ts"), "slow()")
      const first = await Effect.runPromise(ask(recorded("replay-or-record")))
      expect((await Effect.runPromise(ask(recorded("replay-or-record")))).answer).toEqual(first.answer)
      expect(await Effect.runPromise(ask(recorded("replay")))).toEqual(first)
      expect(asked).toHaveLength(1)

      writeFileSync(join(home, "main.ts"), "fast()")
      expect(await failureOf(recorded("replay"))).toMatchObject({ _tag: "AgentUnavailable" })
      expect((await Effect.runPromise(ask(recorded("record")))).answer).toEqual({ workers: 2 })
    } finally {
      rmSync(`${home}-recordings`, { recursive: true, force: true })
    }
  })

  it("cannot be made without its secret, and says which one", async () => {
    expect(await failureOf(`kind = "anthropic"\nmodel = "m"\nsecret = "TEAM_KEY"\n`)).toMatchObject({
      _tag: "SecretMissing",
      variable: "TEAM_KEY",
      message: expect.stringMatching(/TEAM_KEY.* is not set/)
    })
  })

  it("is a program, which is told when it is not there", async () => {
    process.env["TEAM_KEY"] = "open-sesame"
    for (const kind of ["claude", "codex"]) {
      expect(await failureOf(`kind = "${kind}"\nsecret = "TEAM_KEY"\nprogram = "/no/such/${kind}"\n`)).toMatchObject({
        _tag: "AgentUnavailable",
        reason: "not-installed"
      })
    }
  })
})

it("without an agent a call fails, and says what to add", async () => {
  const config = await Effect.runPromise(Config.fromString(smallest.replace("[agent]\n", "")))
  const call = Effect.flatMap(
    CodingAgent,
    (agent) => agent.run({ prompt: "?", schema: Schema.Struct({}), directory: home, phase: "planning" })
  )
  const error = await Effect.runPromise(
    Effect.flip(call.pipe(Effect.provide(Layer.orDie(Layers.layer({ workdir: home, config })))))
  )
  expect(error.message).toMatch(/no agent is chosen\. Add a section \[agent\] to espalier\.toml/)
})
