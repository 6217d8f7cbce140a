// A process that records is killed at some moment, again and again: what it said it had recorded is there, whole.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Recorded from "../../src/agent/Recorded.ts"
import { CodingAgent } from "../../src/CodingAgent.ts"

const engine = fileURLToPath(new URL("support/recordingEngine.ts", import.meta.url))

const killedAfter = (directory: string, from: number, lines: number, millis: number) =>
  Effect.callback<ReadonlyArray<number>>((resume) => {
    const child = spawn(process.execPath, ["--conditions=espalier-source", engine, directory, String(from)], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    let said = ""
    let armed = false
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString("utf8")
      if (armed || said.split("\n").length <= lines) return
      armed = true
      setTimeout(() => child.kill("SIGKILL"), millis)
    })
    child.on("close", () => resume(Effect.succeed(said.split("\n").slice(0, -1).map(Number))))
  })

describe("recordings", () => {
  it.live("survive a kill of whoever writes them, whole or not at all", () =>
    Effect.gen(function*() {
      const directory = fs.mkdtempSync(join(tmpdir(), "espalier-tape-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => fs.rmSync(directory, { recursive: true })))
      const recorded = new Set<number>()
      for (let round = 0; round < 12; round++) {
        const said = yield* killedAfter(directory, round * 7, 3, (round * 13) % 29)
        assert.isAtLeast(said.length, 3)
        for (const index of said) recorded.add(index)
      }
      const replay = Recorded.layer({ mode: "replay", directory, identity: "script" })
      for (const index of recorded) {
        const { answer } = yield* Effect.flatMap(CodingAgent, (agent) =>
          agent.run({
            prompt: `Call ${index}. ${"x".repeat(100_000)}`,
            schema: Schema.Struct({ text: Schema.String }),
            directory,
            phase: "planning"
          })).pipe(Effect.provide(replay))
        assert.match(answer.text, /^\d+ y{200000}$/)
      }
    }))
})
