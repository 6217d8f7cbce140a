/** Durations that no layer can use are refused by name, before anything is written. */
import { describe, it } from "@effect/vitest"
import { Execution } from "@espalier/platform/Execution"
import * as LocalProcess from "@espalier/platform/execution/LocalProcess"
import * as Simulated from "@espalier/platform/execution/Simulated"
import * as Slurm from "@espalier/platform/execution/Slurm"
import { Duration, Effect, Layer, Result } from "effect"
import assert from "node:assert"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { millisOf, shown } from "../src/internal/processDuration.ts"

/** Given by programs that are not type checked, or read from a file. */
const bad = [
  "Infinity",
  "-Infinity",
  Number.NaN,
  Infinity,
  -1,
  "-5 seconds",
  "x",
  "",
  null,
  {
    seconds: Number.NaN
  },
  [Number.NaN, 0],
  Duration.infinity
] as ReadonlyArray<unknown> as ReadonlyArray<Duration.Input>
const nowhere = join(import.meta.dirname, "no-such-directory-of-jobs")
const request = { key: "k", argv: ["true"] as const, directory: "/", environment: {} }

describe("a duration", () => {
  it("is read in every form that it has", () => {
    for (const input of [5000, "5 seconds", { seconds: 5 }, [5, 0], 5_000_000_000n, Duration.seconds(5)] as const) {
      assert.deepStrictEqual(millisOf(input, "zero"), Result.succeed(5000))
    }
    assert.deepStrictEqual(millisOf(0, "zero"), Result.succeed(0))
  })

  it("is refused when it has no end, is negative, or is none", () => {
    for (const input of bad) {
      const read = millisOf(input, "zero")
      assert.ok(Result.isFailure(read), shown(input))
      assert.match(read.failure, /finite time, from 0/)
    }
    assert.ok(Result.isFailure(millisOf(0, "more than zero")))
  })
})

describe("a duration that cannot be used", () => {
  for (const field of ["grace", "pollEvery", "commandTimeout", "fileDelay"] as const) {
    it.effect(`as ${field} of the Slurm layer fails the layer, and names it`, () =>
      Effect.gen(function*() {
        for (const input of bad) {
          const error = yield* Effect.flip(Slurm.make({ directory: nowhere, [field]: input }))
          assert.strictEqual(error._tag, "SlurmOptionsInvalid")
          assert.strictEqual(error.field, field)
          assert.ok(error.message.includes(`option ${field} `) && error.message.includes(shown(input)), error.message)
          assert.match(error.message, /finite time/)
        }
      }))
  }

  it.effect("as grace of the local layer fails the layer, and names it", () =>
    Effect.gen(function*() {
      for (const grace of bad) {
        const building = Layer.build(LocalProcess.layer({ directory: nowhere, grace }))
        const error = yield* Effect.flip(Effect.scoped(building))
        assert.strictEqual(error._tag, "LocalProcessOptionsInvalid")
        assert.strictEqual(error.field, "grace")
        assert.match(error.message, /^The option grace of the local layer is .*: a finite time, from 0, is wanted/)
        assert.ok(error.message.includes(shown(grace)), error.message)
        assert.ok(!existsSync(nowhere))
      }
    }))

  it.effect("no layer is made for a directory that can be none", () =>
    Effect.gen(function*() {
      for (const directory of ["", "jobs\0", undefined as never]) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(LocalProcess.layer({ directory }))))
        assert.strictEqual(error.field, "directory")
        assert.match(error.message, /^The option directory of the local layer is [^\0]*: /)
      }
    }))

  it.effect("as grace of a cancel leaves the job as it was", () =>
    Effect.gen(function*() {
      const execution = yield* Execution
      const job = yield* execution.launch(request)
      for (const grace of bad) {
        const error = yield* Effect.flip(execution.cancel(job.id, { grace }))
        assert.ok(error._tag === "ExecutionError")
        assert.ok(error.message.includes(`grace is ${shown(grace)}`), error.message)
        assert.strictEqual((yield* execution.status(job.id))._tag, "Running")
      }
    }).pipe(Effect.provide(Simulated.layer(() => ({ durationMillis: 1000 })))))
})
