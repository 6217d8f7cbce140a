/** What is read of an agent's program, whatever ends it. The programs are scripts. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { runAgentProcess } from "../../src/internal/agentProcess.ts"

/** A program that says that it is ready, and on SIGINT what it has used, without a line's end. */
const script = `trap 'printf "usage 5"; exit 0' INT; echo ready; while :; do sleep 0.1; done`

const start = (ready: Deferred.Deferred<void>, lines: Array<string>) =>
  runAgentProcess({
    argv: ["sh", "-c", script],
    directory: process.cwd(),
    environment: { PATH: process.env["PATH"] },
    stdin: "",
    lineBytes: 1000,
    graceMillis: 5000,
    politeSignal: "SIGINT",
    onLine: ({ text }) => {
      lines.push(text)
      if (text === "ready") Deferred.doneUnsafe(ready, Effect.void)
      return false
    }
  })

describe("an agent's program", () => {
  it.live("that is ended is heard to its last word, though no line's end is behind it", () =>
    Effect.gen(function*() {
      const ready = yield* Deferred.make<void>()
      const lines: Array<string> = []
      const running = yield* Effect.forkChild(start(ready, lines))
      yield* Deferred.await(ready)
      yield* Fiber.interrupt(running)
      assert.deepStrictEqual(lines, ["ready", "usage 5"])
    }))
})
