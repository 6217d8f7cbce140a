import { describe, it } from "@effect/vitest"
import type { Workspace } from "@espalier/platform/Workspace"
import { Evidence } from "@espalier/platform/Evidence"
import { Execution } from "@espalier/platform/Execution"
import * as Simulated from "@espalier/platform/execution/Simulated"
import * as Requirements from "@espalier/platform/Requirements"
import * as Scripted from "@espalier/platform/agent/Scripted"
import { CodingAgent, make, noUsage } from "@espalier/platform/CodingAgent"
import { Context, Effect, Layer, Option, Schema } from "effect"
import assert from "node:assert"
import * as fs from "node:fs"
import * as Config from "../src/Config.ts"
import * as Layers from "../src/Layers.ts"
import { smallest } from "./support/smallestConfig.ts"

const local = smallest.replace("\".\"", "\"/srv/program\"")

const place = (more = ""): Layers.Place => ({
  workdir: "/runs/small",
  config: Effect.runSync(Config.fromString(`${local}${more}`))
})

const needs = (more = "", own: Layers.Own = {}) =>
  Layers.requirements(place(more), own).flatMap(({ by, requirements }) =>
    requirements.map(({ name }) => `${by}: ${name}`)
  )

describe("The layers of a project", () => {
  it("need what their kinds need, the program's source, and its program", () => {
    assert.deepStrictEqual(needs(`[build]\nargv = ["make"]\n`), [
      "every run: Node",
      "every run: SQLite",
      "every run: working directory",
      "every run: free disk space",
      "source: source directory",
      "job: program \"run\"",
      "figures of GPUs: nvidia-smi",
      "build: program \"make\"",
      "workspace \"detect\": git"
    ])
  })

  it("need of an agent its program and its secret, or nothing but what it is replayed from", () => {
    const ofAgent = (agent: string) =>
      needs(`[agent]\n${agent}`).filter((each) => each.startsWith("agent")).map((each) => each.replace(/^agent /, ""))
    assert.deepStrictEqual(ofAgent(`kind = "claude"`), ["\"claude\": claude", "\"claude\": $ANTHROPIC_API_KEY"])
    assert.deepStrictEqual(ofAgent(`kind = "codex"\nlogin = "/home/ada/.codex"`), [
      "\"codex\": codex",
      "\"codex\": codex' login"
    ])
    assert.deepStrictEqual(ofAgent(`kind = "anthropic"\nmodel = "m"\nsecret = "KEY"`), ["\"anthropic\": $KEY"])
    assert.deepStrictEqual(ofAgent(`kind = "openai-compatible"\nmodel = "m"\nbaseUrl = "http://localhost"`), [])
    assert.deepStrictEqual(
      ofAgent(`kind = "claude"\nrecordings = "/recordings"\nrecording = "replay"`),
      ["\"claude\": agent's recordings"]
    )
  })

  it("need nothing of what layers of one's own stand in for, and what those need", () => {
    const own = {
      execution: Simulated.layer(() => ({})),
      requirements: [Requirements.secret("CLUSTER_TOKEN")]
    }
    assert.deepStrictEqual(needs(`[build]\nargv = ["make"]\n`, own), [
      "every run: Node",
      "every run: SQLite",
      "every run: working directory",
      "every run: free disk space",
      "source: source directory",
      "build: program \"make\"",
      "workspace \"detect\": git",
      "layers of your own: $CLUSTER_TOKEN"
    ])
  })

  it.effect("are as the configuration says, but for one's own", () =>
    Effect.gen(function*() {
      const own = { execution: Simulated.layer(() => ({ stdout: "speed=3\n", exitCode: 0 })) }
      const record = yield* Effect.gen(function*() {
        const execution = yield* Execution
        const evidence = yield* Evidence
        const job = yield* execution.launch({ key: "a", argv: ["run"], directory: "/tree", environment: {} })
        return yield* evidence.collect(job, yield* execution.await(job.id))
      }).pipe(Effect.provide(Layers.layer(place(), own)))
      // Evidence by the configuration's rules, over the logs of the execution that was given.
      assert.deepStrictEqual(record.metrics, { speed: [3] })
    }))

  it.effect("tell for which capabilities they are a program's own", () =>
    Effect.gen(function*() {
      const replaced = (own: Layers.Own<never>) => Layers.Replaced.pipe(Effect.provide(Layers.layer(place(), own)))
      assert.deepStrictEqual(yield* replaced({}), [])
      assert.deepStrictEqual(yield* replaced({ requirements: [] }), [])
      assert.deepStrictEqual(yield* replaced({ execution: Simulated.layer(() => ({})) }), ["execution"])
      // Whichever agent is asked, experiments are measured in the same way.
      assert.deepStrictEqual(yield* replaced({ agent: Scripted.layer([]) }), [])
      assert.deepStrictEqual(yield* Layers.Replaced, [])
      assert.strictEqual(new Set(Layers.combinations.map(String)).size, Layers.combinations.length)
    }))

  it.effect("may ask for the execution that is used, but for that of execution itself", () =>
    Effect.gen(function*() {
      const agent = Layer.effect(
        CodingAgent,
        Effect.map(Execution, (execution) =>
          make({
            turn: () =>
              execution.launch({ key: "b", argv: ["ask"], directory: "/", environment: {} }).pipe(
                Effect.orDie,
                Effect.map(({ host }) => ({ text: JSON.stringify({ host }), usage: noUsage, costUsd: 0 }))
              )
          }))
      )
      const execution = Simulated.layer(() => ({}))
      const answer = yield* Effect.flatMap(CodingAgent, (each) =>
        each.run({ prompt: "?", schema: Schema.Struct({ host: Schema.String }), directory: "/", phase: "p" })).pipe(
          Effect.provide(Layers.layer(place(), { execution, agent }))
        )
      assert.strictEqual(answer.answer.host, "simulated")
      const wrapped: Layer.Layer<Execution, never, Execution> = Layer.effect(Execution, Execution)
      const needing: Layer.Layer<Layers.Platform, Layers.LayerError, Execution> = Layers.layer(place(), {
        execution: wrapped
      })
      assert(Layer.isLayer(needing))
    }))

  it("keep the types of one's own layers: what they may fail with and what they need", () => {
    class Token extends Context.Service<Token, string>()("test/Token") {}
    class NoCluster {
      readonly _tag = "NoCluster"
    }
    const execution: Layer.Layer<Execution, NoCluster, Token> = Layer.unwrap(
      Effect.gen(function*() {
        yield* Token
        return yield* Effect.fail(new NoCluster())
      })
    )
    const made = Layers.layer(place(), { execution })
    const needed: Layer.Layer<Layers.Platform, Layer.Error<typeof made>, Token> = made
    const failed: Option.Option<Extract<Layer.Error<typeof made>, { _tag: "NoCluster" }>> = Option.some(new NoCluster())
    assert(Option.isSome(failed) && Layer.isLayer(needed))
    // @ts-expect-error a layer in the place of another capability
    Layers.layer(place(), { workspace: execution })
    // @ts-expect-error a capability that is not one
    Layers.layer(place(), { exection: execution })
    // @ts-expect-error what it needs has to be provided
    const free: Layer.Layer<Workspace, Layer.Error<typeof made>> = made
    assert(Layer.isLayer(free))
  })
})

describe("All that can be chosen", () => {
  it("stands in docs/choosing-layers.md with what it is and what it needs, and nothing else does", () => {
    const page = fs.readFileSync(new URL("../../../docs/choosing-layers.md", import.meta.url), "utf8")
    const named = ({ level, name }: Requirements.Requirement) => level === "needed" ? name : `(${name})`
    const rows = Layers.list().map(({ about, module, name, needs }) => {
      const alternatives = needs.map((each) => each.map(named).join(", ")).join("; or ")
      const file = module === null ? "" : `\`${module}\``
      return `| ${name} | ${file} | ${about} | ${alternatives || "nothing"} |`
    })
    assert.deepStrictEqual(page.split("\n").filter((line) => /^\| (?!section|---)/.test(line)), rows)
  })

  it("is told by section and kind, each once, with a module that is there", async () => {
    const listed = Layers.list()
    assert.strictEqual(new Set(listed.map(({ name }) => name)).size, listed.length)
    for (const { module, name } of listed) {
      if (module === null) continue
      const loaded: unknown = await import(`@espalier/platform/${module}`)
      assert(Reflect.get(Object(loaded), "layer") !== undefined, name)
    }
  })

  it("makes nothing needed as long as nothing is chosen, but what every run needs", async () => {
    const checks = await Effect.runPromise(Requirements.inspect(
      Layers.everything("/").map((each) => ({
        ...each,
        // Not this machine's business here.
        requirements: each.requirements.map((one) => ({
          ...one,
          check: Effect.succeed(Requirements.missing("", null))
        }))
      }))
    ))
    assert.deepStrictEqual(Requirements.lacking(checks).map(({ name }) => name), ["Node", "SQLite"])
  })
})
