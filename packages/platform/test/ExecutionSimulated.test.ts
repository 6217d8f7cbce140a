import { describe, it } from "@effect/vitest"
import { Execution } from "@espalier/platform/Execution"
import * as Simulated from "@espalier/platform/execution/Simulated"
import * as ExecutionSuite from "@espalier/platform/testing/ExecutionSuite"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import assert from "node:assert"

const simulation = Effect.runSync(Simulated.make(ExecutionSuite.simulatedScript))
const engine = Layer.succeed(Execution, simulation.execution)

describe("simulated jobs do what every Execution does", () => {
  const cases = ExecutionSuite.cases({
    command: ExecutionSuite.simulatedCommand,
    directory: "/",
    otherEngine: engine
  })
  for (const { name, run } of cases) {
    it.effect(name, () => ExecutionSuite.passingTime(run).pipe(Effect.scoped, Effect.provide(engine)))
  }
})

const request = (key: string) => ({ key, argv: ["train"] as const, directory: "/", environment: {} })

describe("a simulation", () => {
  it.effect("runs a job of an hour on the test clock, and counts its launch once", () =>
    Effect.gen(function*() {
      const execution = yield* Execution
      const simulation = yield* Simulated.Simulation
      const job = yield* execution.launch(request("hour"))
      yield* execution.launch(request("hour"))
      const waiting = yield* Effect.forkChild(execution.await(job.id))
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual((yield* simulation.running).length, 1)
      assert.strictEqual(waiting.pollUnsafe(), undefined)
      yield* TestClock.adjust("1 minute")
      const status = yield* Fiber.join(waiting)
      assert.ok(status._tag === "Exited" && status.exitCode === 0)
      assert.deepStrictEqual((yield* simulation.launches).map((one) => one.key), ["hour"])
      assert.strictEqual((yield* simulation.running).length, 0)
    }).pipe(Effect.provide(Simulated.layer(() => ({ durationMillis: 3_600_000 })))))

  it.effect("keeps a job pending for its delay, and forgets a pending job's start when it is cancelled", () =>
    Effect.gen(function*() {
      const execution = yield* Execution
      const job = yield* execution.launch(request("queued"))
      assert.strictEqual((yield* execution.status(job.id))._tag, "Pending")
      yield* execution.cancel(job.id)
      assert.deepStrictEqual(yield* execution.status(job.id), {
        _tag: "Cancelled",
        startedAt: null,
        endedAt: 0,
        queuedAt: 0
      })
    }).pipe(Effect.provide(Simulated.layer(() => ({ delayMillis: 1000, durationMillis: 1000 })))))

  it.effect("loses a job when its script says so, also one that never ends", () =>
    Effect.gen(function*() {
      const execution = yield* Execution
      const job = yield* execution.launch(request("lost"))
      const waiting = yield* Effect.forkChild(execution.await(job.id))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* Fiber.join(waiting), { _tag: "Lost", reason: "the node went down", queuedAt: 0 })
    }).pipe(Effect.provide(
      Simulated.layer(() => ({ durationMillis: Infinity, lost: { atMillis: 5000, reason: "the node went down" } }))
    )))

  it.effect("scripts each job by its request", () =>
    Effect.gen(function*() {
      const execution = yield* Execution
      const fails = yield* execution.launch(request("fails"))
      const works = yield* execution.launch(request("works"))
      assert.deepStrictEqual((yield* execution.await(fails.id))._tag === "Exited", true)
      const [a, b] = [yield* execution.status(fails.id), yield* execution.status(works.id)]
      assert.deepStrictEqual([a, b].map((one) => one._tag === "Exited" ? one.exitCode : one._tag), [9, 0])
    }).pipe(Effect.provide(Simulated.layer(({ key }) => ({ exitCode: key === "fails" ? 9 : 0 })))))
})
