import { Journal } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Mail, welcome, WelcomeLive } from "../mail.ts"
import { Outbox, Undelivered } from "../outbox.ts"

/** An outbox in memory that fails some times first, and the engine on it. */
const laboratory = (failures: number) => {
  const delivered: Array<string> = []
  let left = failures
  const outbox = Layer.succeed(Outbox, {
    deliver: ({ key, text }) =>
      Effect.suspend(() => {
        if (left-- > 0) return new Undelivered({ message: "the post office is closed" })
        delivered.push(`${key}: ${text.trim()}`)
        return Effect.void
      })
  })
  return { delivered, live: Mail.layer.pipe(Layer.provide(WelcomeLive), Layer.provide([outbox, Journal.layerMemory])) }
}

describe("a welcome", () => {
  it.effect("is delivered once, however often it is asked for", () => {
    const { delivered, live } = laboratory(0)
    return Effect.gen(function*() {
      assert.deepStrictEqual(yield* welcome(["Ada", "Bob"]), ["Welcome, Ada!\n", "Welcome, Bob!\n"])
      assert.deepStrictEqual(yield* welcome(["Bob"]), ["Welcome, Bob!\n"])
      assert.deepStrictEqual(delivered, [
        "welcome/Ada/0/deliver: Welcome, Ada!",
        "welcome/Bob/0/deliver: Welcome, Bob!"
      ])
    }).pipe(Effect.provide(live))
  })

  it.effect("is tried again as its kind says: after 1, 2 and 4 seconds", () => {
    const { delivered, live } = laboratory(3)
    return Effect.gen(function*() {
      const asking = yield* Effect.forkChild(welcome(["Ada"]))
      yield* TestClock.adjust("6999 millis")
      assert.deepStrictEqual(delivered, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Fiber.join(asking), ["Welcome, Ada!\n"])
    }).pipe(Effect.provide(live))
  })

  it.effect("that cannot be delivered fails with the kind's own error", () => {
    const { live } = laboratory(Infinity)
    return Effect.gen(function*() {
      const asking = yield* Effect.forkChild(Effect.flip(welcome(["Ada"])))
      yield* TestClock.adjust("7 seconds")
      const error = yield* Fiber.join(asking)
      assert.strictEqual(error._tag, "Undelivered")
    }).pipe(Effect.provide(live))
  })
})
