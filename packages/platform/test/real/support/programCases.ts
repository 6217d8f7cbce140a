// What is tried on the real program of every agent, against a double of its provider on this machine.
import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Fiber, Layer, Schema, type Scope } from "effect"
import * as fs from "node:fs"
import * as Path from "node:path"
import { type AgentCall, type AgentRequest, CodingAgent } from "../../../src/CodingAgent.ts"
import * as CodingAgentSuite from "../../../src/testing/CodingAgentSuite.ts"
import type { Double } from "./httpDouble.ts"
import { processesOf, temporary } from "./leftovers.ts"
import { type Fails, hangs, type Move, says } from "./modelDouble.ts"

/** The program of an agent, and the double that stands for its provider. */
export interface Program {
  readonly name: string
  readonly layer: (double: Double, options: CodingAgentSuite.LayerOptions) => Layer.Layer<CodingAgent>
  readonly double: (moves: ReadonlyArray<Move<never>>) => Effect.Effect<Double, never, Scope.Scope>
  /** How its provider says that it does not answer. */
  readonly fails: (play: Exclude<CodingAgentSuite.Play, { readonly _tag: "Text" | "Hang" }>) => Fails
  /** What the suite has to know of it. */
  readonly suite: Pick<CodingAgentSuite.Subject, "hugeAnswer" | "knowsWait">
  /** The folders in its trees. */
  readonly folders: ReadonlyArray<string>
  /** The homes that its calls have made and not removed. */
  readonly homes: () => ReadonlyArray<string>
  /** A call that starts shells which never end, one of them on its own, and how long it may take. */
  readonly endless: {
    readonly time: Duration.Input
    readonly double: (directory: string) => Effect.Effect<Double, never, Scope.Scope>
    readonly layer: (double: Double) => Layer.Layer<CodingAgent>
  }
}

/** The price of the model for 100 tokens read and 10 written: 3 and 15 US dollars for a million. */
export const turnUsd = 0.00045

export const done = says("{\"done\": true}")

/** As no shell would like it. */
export const treeName = "-tree 'a' \"b\" $(touch pwned) `id` *ü"

/** A tree with a file in it, these folders, and a link that leads out of it. */
export const treeWith = (folders: ReadonlyArray<string> = []) =>
  Effect.map(temporary, (home) => {
    const directory = Path.join(home, treeName)
    fs.mkdirSync(directory)
    for (const folder of folders) fs.mkdirSync(Path.join(directory, folder))
    fs.writeFileSync(Path.join(directory, "main.ts"), "slow()\n")
    fs.symlinkSync(home, Path.join(directory, "link"))
    return { home, directory }
  })

/** That a call may write. */
export const granted = { write: () => Effect.void }

/** One call. */
export const ask = (
  layer: Layer.Layer<CodingAgent>,
  directory: string,
  extra: Partial<AgentRequest<unknown>> = {}
) =>
  Effect.flatMap(CodingAgent, (agent) =>
    agent.run({
      prompt: "Make it faster.",
      directory,
      phase: "code_change",
      ...extra,
      schema: Schema.Struct({ done: Schema.Boolean })
    })).pipe(Effect.provide(layer))

const moveOf = (program: Program, play: CodingAgentSuite.Play): Move<never> => {
  switch (play._tag) {
    case "Text":
      return { _tag: "Says", text: play.text, inputTokens: play.inputTokens, outputTokens: play.outputTokens }
    case "Hang":
      return hangs
    default:
      return program.fails(play)
  }
}

/** Declares the cases for a program. */
export const programCases = (program: Program): void => {
  const { double, endless, folders, homes, layer, name, suite } = program

  describe(`${name} keeps what every coding agent promises`, () => {
    const subject: CodingAgentSuite.Subject = {
      ...suite,
      directory: process.cwd(),
      costOf: (play) => (play.inputTokens * 3 + play.outputTokens * 15) / 1e6,
      layer: (plays, options) =>
        Layer.unwrap(Effect.map(double(plays.map((play) => moveOf(program, play))), (double) => layer(double, options)))
    }
    for (const { effect, name } of CodingAgentSuite.cases(subject)) it.live(name, () => effect)
  })

  describe(name, () => {
    it.live("that hangs is ended by the time limit with the shells it left, and says what it used", () =>
      Effect.gen(function*() {
        const { directory } = yield* treeWith(folders)
        const double = yield* endless.double(directory)
        const limits = { time: endless.time }
        const error = yield* Effect.flip(ask(endless.layer(double), directory, { ...granted, limits }))
        assert.strictEqual(error._tag === "AgentLimitReached" && error.limit, "time", error.message)
        assert.deepStrictEqual(processesOf(directory), [])
        assert.deepStrictEqual([error.usage.inputTokens, error.usage.outputTokens], [100, 10])
        assert.closeTo(error.costUsd, turnUsd, 1e-9)
      }).pipe(Effect.scoped))

    it.live("leaves no process and no home behind when the call is given up", () =>
      Effect.gen(function*() {
        const { directory } = yield* treeWith(folders)
        const silent = yield* double([hangs])
        const calls: Array<AgentCall> = []
        const record = (call: AgentCall) => Effect.sync(() => void calls.push(call))
        const fiber = yield* Effect.forkChild(ask(layer(silent, { record }), directory))
        yield* silent.next
        assert.isNotEmpty(processesOf(directory))
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(processesOf(directory), [])
        assert.deepStrictEqual(homes(), [])
        assert.deepStrictEqual(calls.map(({ interrupted }) => interrupted), [true])
      }).pipe(Effect.scoped))
  })
}
