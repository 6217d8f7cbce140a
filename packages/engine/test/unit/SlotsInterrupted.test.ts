import { Slots, Step } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { quiet } from "./laboratory.ts"
import { Job, one, steps } from "./stepping.ts"

describe("slots in a handler that is interrupted", () => {
  it.effect("asked for in a fiber that is interrupted do not spoil the work", () =>
    Effect.gen(function*() {
      const { exit } = yield* one(() =>
        Effect.gen(function*() {
          yield* Slots.hold("mine", { bench: 1 })
          const fiber = yield* Effect.forkChild(Slots.hold("other", { bench: 1 }))
          yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          return "went on"
        })
      )
      assert.strictEqual(exit._tag === "Success" && exit.value, "went on")
    }))

  it.effect("asked for by a step with a time-out of its own lets the handler go on", () =>
    Effect.gen(function*() {
      const { engine } = yield* steps((name) =>
        name === "holder"
          ? Effect.as(Effect.andThen(Slots.hold("bench", { bench: 1 }), Effect.sleep("1 hour")), "held")
          : Step.run("measure", Schema.String, Effect.succeed("measured"), { slots: { bench: 1 } }).pipe(
            Effect.timeoutOrElse({ duration: "1 minute", orElse: () => Effect.succeed("gave up") })
          )
      )
      const run = yield* engine.open("r", { concurrency: 9, pools: { bench: 1 } })
      yield* run.submit(Job, { name: "holder" }, { id: "holder" })
      yield* quiet
      const job = yield* run.submit(Job, { name: "a" }, { id: "a" })
      yield* quiet
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* job.await, "gave up")
      yield* TestClock.adjust("1 hour")
      yield* (yield* run.job(Job, "holder")).await
      assert.deepStrictEqual((yield* run.status).pools, { bench: { size: 1, used: 0 } })
    }))
})
