// The limits of Codex' program where the system does not tell of changes to files: inotify is used up, or there is none.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as Path from "node:path"
import { beforeEach, vi } from "vitest"
import * as CodexCli from "../../src/agent/CodexCli.ts"
import { CodingAgent, type Limits } from "../../src/CodingAgent.ts"
import { followSession } from "../../src/internal/codexSession.ts"
import { programOf } from "./support/fakeAgents.ts"

const system = vi.hoisted(() => ({ watcherFails: false, mayMakeSessions: true }))

vi.mock("node:fs", async (original) => {
  const real = await original<typeof fs>()
  const { EventEmitter } = await import("node:events")
  return {
    ...real,
    watch: () => {
      if (!system.watcherFails) throw Object.assign(new Error("no watches left"), { code: "ENOSPC" })
      const watcher = Object.assign(new EventEmitter(), { close: () => undefined })
      setImmediate(() => watcher.emit("error", new Error("the watch is gone")))
      return watcher
    },
    mkdirSync: (path: string, options: object) => {
      if (!system.mayMakeSessions && path.endsWith("/sessions")) throw new Error("no space left on device")
      return real.mkdirSync(path, options)
    }
  }
})

beforeEach(() => {
  Object.assign(system, { watcherFails: false, mayMakeSessions: true })
})

const temporary = Effect.acquireRelease(
  Effect.sync(() => fs.realpathSync(fs.mkdtempSync(Path.join(os.tmpdir(), "espalier-session-")))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true, force: true }))
)

/** Speaks like Codex' program; `answered` is one more answer of its model, as its session file tells it. */
const speaking = `
  const fs = require("node:fs")
  const sessions = process.env.CODEX_HOME + "/sessions"
  const print = (event) => console.log(JSON.stringify(event))
  const works = () => print({ type: "item.started", item: { type: "command_execution" } })
  let answers = 0
  const answered = () => {
    answers++
    const usage = { input_tokens: 100 * answers, output_tokens: 10 * answers }
    const payload = { thread_token_usage: usage }
    fs.appendFileSync(sessions + "/s.jsonl", JSON.stringify({ type: "token_usage_record", payload }) + "\\n")
  }
`

const asked = (script: string, limits: Limits) =>
  Effect.gen(function*() {
    const home = yield* temporary
    const program = programOf(Path.join(home, "bin"), `${speaking}\n${script}`)
    const agent = CodexCli.layer({
      program,
      apiKey: Redacted.make("sk-a-key-of-tests"),
      price: { inputUsd: 10, outputUsd: 100 },
      limits: { time: "1 minute", ...limits },
      grace: "200 millis"
    })
    return yield* Effect.flatMap(CodingAgent, (agent) =>
      agent.run({ prompt: "Answer.", schema: Schema.Unknown, directory: home, phase: "planning" })).pipe(
        Effect.provide(agent)
      )
  }).pipe(Effect.scoped)

describe("without a watch on its session file, Codex' program", () => {
  for (const watcherFails of [false, true]) {
    const how = watcherFails ? "whose watch breaks" : "that gets no watch"
    for (const [limit, limits] of [["rounds", { rounds: 3 }], ["cost", { costUsd: 0.006 }]] as const) {
      it.live(`${how} is ended at its limit of ${limit} when it goes on`, () =>
        Effect.gen(function*() {
          system.watcherFails = watcherFails
          const error = yield* Effect.flip(asked("setInterval(() => { answered(); works() }, 50)", limits))
          assert.ok(error._tag === "AgentLimitReached", error.message)
          assert.strictEqual(error.limit, limit)
          assert.isTrue(error.usage.inputTokens >= 300, String(error.usage.inputTokens))
        }))
    }
  }

  it.live("is ended at its limit also where it prints nothing", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(asked("setInterval(answered, 200)", { rounds: 2 }))
      assert.ok(error._tag === "AgentLimitReached", error.message)
      assert.strictEqual(error.limit, "rounds")
    }))

  it.live("is not started with such a limit where its session cannot be followed at all, and is without", () =>
    Effect.gen(function*() {
      system.mayMakeSessions = false
      const answers = `
        print({ type: "item.completed", item: { type: "agent_message", text: "[1]" } })
        print({ type: "turn.completed", usage: { input_tokens: 1, output_tokens: 1 } })`
      for (const limits of [{ rounds: 3 }, { costUsd: 1 }]) {
        const error = yield* Effect.flip(asked(answers, limits))
        assert.strictEqual(error._tag === "AgentUnavailable" && error.reason, "refused", error.message)
        assert.match(
          error.message,
          /cannot be kept where its session cannot be read: no space left.*\. Correct the limits$/
        )
        assert.strictEqual(error.usage.inputTokens, 0)
      }
      assert.deepStrictEqual((yield* asked(answers, {})).answer, [1])
    }))

  const answersLate = `setTimeout(() => {
      print({ type: "item.completed", item: { type: "agent_message", text: "[1]" } })
      print({ type: "turn.completed", usage: { input_tokens: 100, output_tokens: 100 } })
    }, 700)`

  it.live("that answers without a session has failed where its rounds are limited, and counts what it used", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(asked(answersLate, { rounds: 1 }))
      assert.strictEqual(error._tag === "AgentUnavailable" && error.reason, "failed", error.message)
      assert.match(error.message, /limits of rounds and cost cannot be kept: it left no session/)
      assert.strictEqual(error.usage.inputTokens, 100)
      const seen = yield* asked(`fs.writeFileSync(sessions + "/s.jsonl", "");${answersLate}`, { rounds: 1 })
      assert.deepStrictEqual(seen.answer, [1])
    }))

  it.live("that answers without a session is held to its limit of cost by what it says that it used", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(asked(answersLate, { costUsd: 0.01 }))
      assert.strictEqual(error._tag === "AgentLimitReached" && error.limit, "cost", error.message)
      assert.closeTo(error.costUsd, 0.011, 1e-9)
      assert.deepStrictEqual((yield* asked(answersLate, { costUsd: 0.02 })).answer, [1])
    }))

  it.live("is told to have begun no session some time after its first word, and not before", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const told: Array<string> = []
      const follow = (name: string) =>
        followSession(Path.join(home, name), {
          onAppeared: () => told.push(`${name} appeared`),
          onTokens: () => undefined,
          onLost: (detail) => told.push(`${name}: ${detail}`)
        }, 800)
      yield* follow("silent")
      const look = yield* follow("other")
      const lookAtOne = yield* follow("one")
      look(false)
      lookAtOne(false)
      fs.writeFileSync(Path.join(home, "one", "s.jsonl"), "")
      yield* Effect.sleep("2500 millis")
      assert.deepStrictEqual(told, [
        "one appeared",
        "other: it has begun no session within 0.8 seconds of its first word"
      ])
    }).pipe(Effect.scoped))

  it.live("is ended when its session is gone in the middle of a limited turn, with what it had used", () =>
    Effect.gen(function*() {
      const script = `answered(); works()
        setTimeout(() => fs.rmSync(sessions, { recursive: true }), 1000)
        setInterval(() => {}, 1000)`
      const error = yield* Effect.flip(asked(script, { rounds: 3 }))
      assert.strictEqual(error._tag === "AgentUnavailable" && error.reason, "failed", error.message)
      assert.match(error.message, /session cannot be read any more.*ENOENT/)
      assert.strictEqual(error.usage.inputTokens, 100)
    }))
})
