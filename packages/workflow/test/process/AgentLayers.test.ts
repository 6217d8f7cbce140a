// The agents of a configuration, against a server on loopback that stands for a provider, and programs that are not there.
import { Artifacts } from "@espalier/platform/Artifacts"
import { CodingAgent } from "@espalier/platform/CodingAgent"
import { Execution } from "@espalier/platform/Execution"
import { Cause, Effect, Exit, Layer, Option, Schema } from "effect"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import * as Config from "../../src/Config.ts"
import * as Layers from "../../src/Layers.ts"
import { smallest } from "../support/smallestConfig.ts"

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
  mkdirSync(join(home, "tree"))
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
const ask = (agent: string, { phase = "planning", prompt = "How many workers?" } = {}) =>
  Effect.gen(function*() {
    const config = yield* Config.fromString(`${smallest}[agent]\n${agent}`)
    const layer = Layers.layer({ workdir: home, config })
    return yield* Effect.flatMap(CodingAgent, (agent) =>
      agent.run({
        prompt,
        schema: Schema.Struct({ workers: Schema.Int }),
        directory: join(home, "tree"),
        phase
      })).pipe(Effect.provide(layer))
  })

/** All that stands in the files of a directory. */
const textsBelow = (directory: string): string =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"))
    .join("\n")

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
      writeFileSync(join(home, "tree", "main.ts"), "slow()")
      const first = await Effect.runPromise(ask(recorded("replay-or-record")))
      expect((await Effect.runPromise(ask(recorded("replay-or-record")))).answer).toEqual(first.answer)
      expect(await Effect.runPromise(ask(recorded("replay")))).toEqual(first)
      expect(asked).toHaveLength(1)

      writeFileSync(join(home, "tree", "main.ts"), "fast()")
      expect(await failureOf(recorded("replay"))).toMatchObject({ _tag: "AgentUnavailable" })
      expect((await Effect.runPromise(ask(recorded("record")))).answer).toEqual({ workers: 2 })
    } finally {
      rmSync(`${home}-recordings`, { recursive: true, force: true })
    }
  })

  it("has its secret kept out of recordings, whatever its variable is called", async () => {
    process.env["TEAM_WORD"] = "open-sesame-4711"
    const recorded = (mode: string) =>
      `kind = "anthropic"\nmodel = "m"\nbaseUrl = "${baseUrl}"\nsecret = "TEAM_WORD"\nrecordings = "${home}/recordings"\n` +
      `recording = "${mode}"\n`
    const prompt = "The word is open-sesame-4711. How many workers?"
    try {
      for (const mode of ["record", "replay-or-record", "replay"]) {
        expect((await Effect.runPromise(ask(recorded(mode), { prompt }))).answer).toEqual({ workers: 1 })
      }
      expect(asked).toHaveLength(1)
      expect(textsBelow(join(home, "recordings"))).toMatch(/The word is <redacted>/)
      expect(textsBelow(home)).not.toContain("open-sesame")
      // A replay needs no secret, though what was recorded with one is found only with it.
      delete process.env["TEAM_WORD"]
      expect(
        (await Effect.runPromise(ask(recorded("replay"), { prompt: "The word is <redacted>. How many workers?" })))
          .answer
      ).toEqual({ workers: 1 })
    } finally {
      delete process.env["TEAM_WORD"]
    }
  })

  it("has each call kept below the working directory: what was asked, answered and used", async () => {
    process.env["TEAM_KEY"] = "open-sesame"
    const agent = `kind = "anthropic"\nmodel = "m"\nsecret = "TEAM_KEY"\nbaseUrl = "${baseUrl}"\n` +
      `price = { inputUsd = 3, outputUsd = 15 }\n`
    await Effect.runPromise(ask(agent, { phase: "../code change/1", prompt: "The key is open-sesame. How many?" }))
    const names = readdirSync(join(home, "agent")).sort()
    expect(names).toEqual([
      expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z_\.\.-code-change-1_output\.md$/),
      expect.stringMatching(/_prompt\.md$/),
      expect.stringMatching(/_usage\.json$/)
    ])
    const [output, prompt, usage] = names.map((name) => readFileSync(join(home, "agent", name), "utf8"))
    expect(output).toContain(`{"workers": 1}`)
    expect(prompt).toContain("The key is <redacted>. How many?")
    expect(JSON.parse(usage!)).toMatchObject({
      phase: "../code change/1",
      asked: true,
      usage: { inputTokens: 1000, outputTokens: 100, turns: 1 },
      costUsd: 0.0045,
      error: null
    })
    expect(textsBelow(home)).not.toContain("open-sesame")
  })

  it("has what a recording answered kept too, and marked as not asked", async () => {
    const recorded =
      `kind = "openai-compatible"\nmodel = "m"\nbaseUrl = "${baseUrl}/v1"\nrecordings = "${home}/recordings"\n`
    for (const mode of ["replay-or-record", "replay-or-record", "replay"]) {
      await Effect.runPromise(ask(`${recorded}recording = "${mode}"\n`))
    }
    const usages = readdirSync(join(home, "agent")).filter((name) => name.endsWith("_usage.json")).sort()
    const documents = usages.map((name) => JSON.parse(readFileSync(join(home, "agent", name), "utf8")))
    expect(documents.map((each) => each.asked)).toEqual([true, false, false])
  })

  it("answers also where its calls cannot be kept", async () => {
    writeFileSync(join(home, "agent"), "in the way")
    const agent = `kind = "openai-compatible"\nmodel = "m"\nbaseUrl = "${baseUrl}/v1"\n`
    expect((await Effect.runPromise(ask(agent))).answer).toEqual({ workers: 1 })
  })

  it("has its keys withheld from jobs and builds, which print what they are given", async () => {
    process.env["TEAM_KEY"] = "open-sesame-4711"
    process.env["ANTHROPIC_API_KEY"] = "another-key-4711"
    process.env["NEIGHBOUR"] = "of-the-engine"
    const print = [process.execPath, "-e", "console.log(JSON.stringify(process.env))"]
    try {
      const config = await Effect.runPromise(Config.fromString(
        `${smallest}[agent]\nkind = "claude"\nsecret = "TEAM_KEY"\nprogram = "/no/such/claude"\n[build]\nargv = ${
          JSON.stringify(print)
        }\n`
      ))
      await Effect.runPromise(
        Effect.gen(function*() {
          const artifacts = yield* Artifacts
          yield* artifacts.build({ tree: join(home, "tree"), commit: "c0ffee", log: join(home, "builds", "a.log") })
          const execution = yield* Execution
          const job = yield* execution.launch({
            key: "a",
            argv: [print[0]!, ...print.slice(1)],
            directory: home,
            environment: {}
          })
          yield* execution.await(job.id)
        }).pipe(Effect.provide(Layers.layer({ workdir: home, config })))
      )
      expect(textsBelow(join(home, "builds"))).toContain("of-the-engine")
      expect(textsBelow(join(home, "jobs"))).toContain("of-the-engine")
      expect(textsBelow(home)).not.toMatch(/open-sesame|another-key/)
    } finally {
      delete process.env["ANTHROPIC_API_KEY"]
      delete process.env["NEIGHBOUR"]
    }
  })

  it("has its keys withheld from a cluster and a container engine too", async () => {
    process.env["TEAM_KEY"] = "open-sesame-4711"
    process.env["NEIGHBOUR"] = "of-the-engine"
    const path = process.env["PATH"]
    const bin = join(home, "bin")
    mkdirSync(bin)
    for (const [name, words] of [["sbatch", "invalid partition specified: none"], ["docker", "no daemon"]]) {
      const script = `#!/bin/sh\nenv > '${home}/${name}.seen'\necho '${name}: error: ${words}' >&2\nexit 1\n`
      writeFileSync(join(bin, name!), script, { mode: 0o755 })
    }
    process.env["PATH"] = `${bin}:${path}`
    try {
      const config = await Effect.runPromise(Config.fromString(
        smallest.replace(`["run"]`, `["run", "{artifact}"]`) +
          `[agent]\nkind = "codex"\nsecret = "TEAM_KEY"\n[build]\nkind = "container"\n[execution]\nkind = "slurm"\n`
      ))
      writeFileSync(join(home, "tree", "Dockerfile"), "FROM scratch\n")
      const [build, launch] = await Effect.runPromise(
        Effect.gen(function*() {
          const artifacts = yield* Artifacts
          const execution = yield* Execution
          return [
            yield* Effect.flip(artifacts.build({ tree: join(home, "tree"), commit: "c", log: join(home, "a.log") })),
            yield* Effect.flip(execution.launch({ key: "a", argv: ["run"], directory: home, environment: {} }))
          ] as const
        }).pipe(Effect.provide(Layers.layer({ workdir: home, config })))
      )
      expect(build.failure).toBe("engine-unreachable")
      expect(launch.message).toMatch(/Slurm refused it/)
      for (const name of ["sbatch", "docker"]) {
        const seen = readFileSync(join(home, `${name}.seen`), "utf8")
        expect(seen).toContain("NEIGHBOUR=of-the-engine")
        expect(seen).not.toContain("open-sesame")
      }
    } finally {
      process.env["PATH"] = path
      delete process.env["NEIGHBOUR"]
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
  const config = await Effect.runPromise(Config.fromString(smallest))
  const call = Effect.flatMap(
    CodingAgent,
    (agent) => agent.run({ prompt: "?", schema: Schema.Struct({}), directory: home, phase: "planning" })
  )
  const error = await Effect.runPromise(
    Effect.flip(call.pipe(Effect.provide(Layer.orDie(Layers.layer({ workdir: home, config })))))
  )
  expect(error.message).toMatch(/no agent is chosen\. Add a section \[agent\] to espalier\.toml/)
})
