/** A request that nobody can run is refused by every layer, the simulation too, and the refusal names what is wrong with it. */
import { describe, it } from "@effect/vitest"
import type { Execution, JobRequest } from "@espalier/platform/Execution"
import * as LocalProcess from "@espalier/platform/execution/LocalProcess"
import * as Simulated from "@espalier/platform/execution/Simulated"
import * as Slurm from "@espalier/platform/execution/Slurm"
import { Effect, Option } from "effect"
import assert from "node:assert"
import { existsSync } from "node:fs"
import { join } from "node:path"

const nowhere = join(import.meta.dirname, "no-such-directory-of-jobs")
const good = { key: "job", argv: ["true"] as const, directory: "/", environment: {} }

/** What a program that is not type checked may ask for, and what it is told. */
const bad: ReadonlyArray<readonly [Record<string, unknown>, RegExp]> = [
  [{ key: "" }, /its key is empty/],
  [{ key: 5 }, /The job 5 .*its key is 5: a text/],
  [{ key: "\ud800" }, /its key holds half of a surrogate pair/],
  [{ argv: [] }, /argv\[0\] is empty/],
  [{ argv: undefined }, /argv is undefined: an array/],
  [{ argv: ["true", 5] }, /argv\[1\] is 5: a text/],
  [{ argv: ["true", undefined] }, /argv\[1\] is undefined/],
  [{ argv: ["true", "a\0b"] }, /argv\[1\] holds a zero byte/],
  [{ argv: ["true", "\udfff"] }, /argv\[1\] holds half/],
  [{ environment: undefined }, /environment is undefined: .*\{\} for none/],
  [{ environment: ["A=1"] }, /environment is \["A=1"\]/],
  [{ environment: { A: undefined } }, /variable A is undefined: a text/],
  [{ environment: { A: 5 } }, /variable A is 5/],
  [{ environment: { A: "\0" } }, /variable A holds a zero byte/],
  [{ environment: { "A=B": "c" } }, /"A=B" cannot be the name/],
  [{ directory: "" }, /directory is empty/],
  [{ directory: undefined }, /directory is undefined/],
  [{ directory: "/tmp/a\0b" }, /directory holds a zero byte/],
  [{ timeoutMillis: -1 }, /time-out is -1/],
  [{ timeoutMillis: "5" }, /time-out is "5"/]
]

const refusesAll = (execution: Execution["Service"]) =>
  Effect.gen(function*() {
    for (const [change, message] of bad) {
      const request: unknown = { ...good, ...change }
      const error = yield* Effect.flip(execution.launch(request as JobRequest))
      assert.strictEqual(error._tag, "LaunchFailed")
      assert.strictEqual(error.reason, "InvalidRequest")
      assert.match(error.message, message)
    }
    assert.ok(!existsSync(nowhere))
  })

describe("a request that nobody can run is refused, and nothing is written", () => {
  it.effect("by local processes", () => Effect.flatMap(LocalProcess.make({ directory: nowhere }), refusesAll))

  it.effect("by Slurm", () => Effect.flatMap(Slurm.make({ directory: nowhere }), refusesAll))

  it.effect("by the simulation, which does not ask its script", () =>
    Effect.gen(function*() {
      let asked = 0
      const simulation = yield* Simulated.make(() => ({ exitCode: asked++ }))
      yield* refusesAll(simulation.execution)
      assert.strictEqual(asked, 0)
      assert.deepStrictEqual(yield* simulation.launches, [])
    }))
})

describe("a key that is no text", () => {
  it.effect("finds no job, though it would have the same bytes as one that is", () =>
    Effect.gen(function*() {
      const { execution } = yield* Simulated.make(() => ({}))
      yield* execution.launch({ ...good, key: "\ufffd" })
      assert.ok(Option.isSome(yield* execution.find("\ufffd")))
      assert.ok(Option.isNone(yield* execution.find("\ud800")))
      assert.ok(Option.isNone(yield* (yield* LocalProcess.make({ directory: nowhere })).find("\ud800")))
    }))
})

describe("options of the Slurm layer", () => {
  for (
    const [field, options] of [
      ["directory", { directory: "" }],
      ["node", { node: "" }],
      ["node", { node: "a\nb" }],
      ["programs", { programs: { sbatch: "" } }]
    ] as const
  ) {
    it.effect(`that name nothing as ${field} are refused: ${JSON.stringify(options)}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Slurm.make({ directory: nowhere, ...options }))
        assert.strictEqual(error.field, field)
        assert.match(error.message, /it is empty|control character/)
      }))
  }
})

describe("a script that no job can follow", () => {
  for (
    const [script, message] of [
      [{ durationMillis: -5 }, /durationMillis is -5/],
      [{ durationMillis: Number.NaN }, /durationMillis is NaN/],
      [{ delayMillis: -1 }, /delayMillis is -1/],
      [{ lost: { atMillis: Number.NaN, reason: "" } }, /lost\.atMillis is NaN/],
      [{ stdout: [{ atMillis: -1, text: "x" }] }, /stdout\[0\]\.atMillis is -1/]
    ] as const
  ) {
    it.effect(`fails the launch: ${message.source}`, () =>
      Effect.gen(function*() {
        const simulation = yield* Simulated.make(() => script)
        const error = yield* Effect.flip(simulation.execution.launch(good))
        assert.strictEqual(error.reason, "InvalidRequest")
        assert.match(error.message, message)
        assert.deepStrictEqual(yield* simulation.launches, [])
      }))
  }
})
