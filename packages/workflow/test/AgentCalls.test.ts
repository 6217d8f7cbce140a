import { describe, it } from "@effect/vitest"
import { type AgentCall, AgentUnavailable, noUsage } from "@espalier/platform/CodingAgent"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import assert from "node:assert"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { keepCalls } from "../src/internal/agentCalls.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(Path.join(tmpdir(), "espalier-calls-"))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true, force: true }))
)

const call: AgentCall = {
  phase: "planning",
  directory: "/tree",
  turns: [{ prompt: "How many?", text: "{\"workers\": 4}" }],
  usage: { ...noUsage, turns: 1 },
  costUsd: 0.25,
  error: null,
  interrupted: false,
  defect: null
}

const read = (directory: string, name: string): string => fs.readFileSync(Path.join(directory, name), "utf8")

describe("the calls of an agent that are kept", () => {
  it.effect("are named by time and phase, and hold what was said as it was said", () =>
    Effect.gen(function*() {
      const directory = Path.join(yield* temporary, "agent")
      yield* TestClock.setTime(Date.UTC(2026, 0, 2, 3, 4, 5, 6))
      yield* keepCalls(directory)(call, { asked: true })
      const name = "2026-01-02T03-04-05.006Z_planning"
      assert.deepStrictEqual(fs.readdirSync(directory).sort(), [
        `${name}_output.md`,
        `${name}_prompt.md`,
        `${name}_usage.json`
      ])
      assert.strictEqual(read(directory, `${name}_prompt.md`), "How many?\n")
      assert.strictEqual(read(directory, `${name}_output.md`), "{\"workers\": 4}\n")
      assert.deepStrictEqual(JSON.parse(read(directory, `${name}_usage.json`)), {
        at: "2026-01-02T03:04:05.006Z",
        phase: "planning",
        directory: "/tree",
        asked: true,
        usage: { ...noUsage, turns: 1 },
        costUsd: 0.25,
        interrupted: false,
        defect: null,
        error: null
      })
    }).pipe(Effect.scoped))

  it.effect("of one moment do not take each other's place, also in another process", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const keep = keepCalls(directory)
      yield* Effect.forEach(["a", "b", "c"], (prompt) =>
        keep({ ...call, turns: [{ prompt, text: "" }] }, { asked: true }), { concurrency: "unbounded" })
      yield* keepCalls(directory)({ ...call, turns: [{ prompt: "d", text: "" }] }, { asked: true })
      const prompts = fs.readdirSync(directory).filter((name) =>
        name.endsWith("_prompt.md")
      )
      assert.deepStrictEqual(prompts.map((name) => read(directory, name).trim()).sort(), ["a", "b", "c", "d"])
      assert.strictEqual(fs.readdirSync(directory).length, 12)
    }).pipe(Effect.scoped))

  it.effect("stay in their directory, whatever their phase is called", () =>
    Effect.gen(function*() {
      const directory = Path.join(yield* temporary, "agent")
      const phases = ["", "../../up", "a/b\\c", "nul\0", "\u{1f600}", "x".repeat(5000), "line\nend", ".", "CON"]
      for (const phase of phases) yield* keepCalls(directory)({ ...call, phase }, { asked: true })
      const names = fs.readdirSync(directory)
      assert.strictEqual(names.length, 3 * phases.length)
      for (const name of names) assert.match(name, /^[A-Za-z0-9._-]{1,120}$/)
      assert.deepStrictEqual(fs.readdirSync(Path.dirname(directory)), ["agent"])
    }).pipe(Effect.scoped))

  it.effect("tell a repair, a failure, and that a call was given up", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const error = new AgentUnavailable({
        phase: "planning",
        usage: noUsage,
        costUsd: 0,
        reason: "failed",
        detail: "gone",
        message: "It is not there"
      })
      const turns = [{ prompt: "one", text: "first" }, { prompt: "two", text: null }]
      yield* keepCalls(directory)({ ...call, turns, error }, { asked: true })
      yield* TestClock.adjust("1 second")
      yield* keepCalls(directory)({ ...call, turns: [], interrupted: true }, { asked: false })
      yield* TestClock.adjust("1 second")
      yield* keepCalls(directory)({ ...call, turns: [], defect: "no such method" }, { asked: true })
      const [failed, given, broken] = fs.readdirSync(directory).filter((name) => name.endsWith("_output.md")).sort()
      assert.strictEqual(
        read(directory, failed!),
        "# Turn 1\n\nfirst\n\n# Turn 2\n\n(no answer)\n\nThe call failed: It is not there\n"
      )
      assert.strictEqual(read(directory, given!), "The call was given up.\n")
      assert.strictEqual(read(directory, broken!), "The call broke: no such method\n")
      const usage = JSON.parse(read(directory, failed!.replace("_output.md", "_usage.json")))
      assert.deepStrictEqual(usage.error, { kind: "AgentUnavailable", message: "It is not there" })
    }).pipe(Effect.scoped))
})
