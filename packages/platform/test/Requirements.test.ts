import { describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import assert from "node:assert"
import * as Requirements from "../src/Requirements.ts"

const found = (name: string, finding: Requirements.Finding, level?: Requirements.Level) =>
  Requirements.make({ name, level, check: Effect.succeed(finding) })

const absent = Requirements.missing("it is not there", "Install it")

describe("What is needed", () => {
  it.effect("is told in its order, each thing once, with all who need it", () =>
    Effect.gen(function*() {
      let looked = 0
      const disk = Requirements.make({
        name: "disk",
        check: Effect.sync(() => {
          looked++
          return Requirements.ok("large")
        })
      })
      const checks = yield* Requirements.inspect([
        { by: "workspace", requirements: [found("git", Requirements.ok("2.50")), disk] },
        { by: "execution", requirements: [disk, found("queue", absent)] }
      ])
      assert.deepStrictEqual(checks.map(({ name, neededBy, state }) => [name, state, neededBy]), [
        ["git", "ok", ["workspace"]],
        ["disk", "ok", ["workspace", "execution"]],
        ["queue", "missing", ["execution"]]
      ])
      assert.strictEqual(looked, 1)
      assert.deepStrictEqual(Requirements.lacking(checks).map(({ name }) => name), ["queue"])
      assert.strictEqual(Requirements.describe(checks[2]!), "queue (execution): it is not there. Install it")
    }))

  it.effect("stops nothing where it is only useful, only told, or nothing that needs it is chosen", () =>
    Effect.gen(function*() {
      const checks = yield* Requirements.inspect([
        { by: "a", requirements: [found("accounting", absent, "useful"), found("gpu", absent, "information")] },
        { by: "b", isChosen: false, requirements: [found("docker", absent)] }
      ])
      assert.deepStrictEqual(checks.map(({ isNeeded, name, state }) => [name, state, isNeeded]), [
        ["accounting", "warning", false],
        ["gpu", "ok", false],
        ["docker", "missing", false]
      ])
      assert.deepStrictEqual(Requirements.lacking(checks), [])
    }))

  it.effect("is as missing as the one says who needs it most", () =>
    Effect.gen(function*() {
      for (const order of [["useful", "needed"], ["needed", "useful"]] as const) {
        const needs = order.map((level) => ({
          by: level,
          isChosen: false,
          requirements: [found("git", absent, level)]
        }))
        const [check] = yield* Requirements.inspect(needs)
        assert.strictEqual(check?.state, "missing")
      }
    }))

  it.effect("is needed as soon as one who needs it is chosen", () =>
    Effect.gen(function*() {
      for (const order of [[false, true], [true, false]]) {
        const needs = order.map((isChosen, i) => ({ by: `${i}`, isChosen, requirements: [found("git", absent)] }))
        const [check] = yield* Requirements.inspect(needs)
        assert.strictEqual(check?.isNeeded, true)
      }
    }))
})

describe("A check", () => {
  const inspect = (...requirements: ReadonlyArray<Requirements.Requirement>) =>
    Requirements.inspect([{ by: "it", requirements }])

  it.effect("that never ends counts as missing after its time, and keeps none of the others waiting longer", () =>
    Effect.gen(function*() {
      const endless = (name: string) => Requirements.make({ name, check: Effect.never })
      const fiber = yield* Effect.forkChild(
        inspect(endless("one"), found("two", Requirements.ok("there")), endless("three"))
      )
      yield* TestClock.adjust("15 seconds")
      const checks = yield* Fiber.join(fiber)
      assert.deepStrictEqual(checks.map(({ state }) => state), ["missing", "ok", "missing"])
      assert.match(checks[0]!.found, /no answer within 15s/)
    }))

  it.effect("that heeds no interruption either is waited for two seconds more", () =>
    Effect.gen(function*() {
      const deaf = Requirements.make({ name: "deaf", check: Effect.uninterruptible(Effect.never) })
      const fiber = yield* Effect.forkChild(inspect(deaf))
      yield* TestClock.adjust("15 seconds")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))[0]?.state, "missing")
    }))

  it.effect("is interrupted with who looks", () =>
    Effect.gen(function*() {
      let ended = false
      const check = Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => {
          ended = true
        }))
      const fiber = yield* Effect.forkChild(inspect(Requirements.make({ name: "slow", check })), {
        startImmediately: true
      })
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert(ended)
    }))

  it.effect("that breaks counts as missing, and says how", () =>
    Effect.gen(function*() {
      const [check] = yield* inspect(
        Requirements.make({ name: "broken", check: Effect.die(new Error("no such thing")) })
      )
      assert.strictEqual(check?.state, "missing")
      assert.match(check.found, /its check failed:.*no such thing/)
    }))

  it.effect("cannot bring more than one plain line into the answer", () =>
    Effect.gen(function*() {
      const hostile = `\u001b[2J\u001b]0;title\u0007\n\u202efirst \u0000line\u001b[31m\r\nsecond ${"x".repeat(100_000)}`
      const [check, long] = yield* inspect(
        found("hostile", Requirements.ok(hostile)),
        found("long", Requirements.ok("y".repeat(100_000)))
      )
      assert.strictEqual(check?.found, "first line")
      assert.strictEqual(long?.found.length, 300)
    }))

  it.effect("of a secret tells whether it is set, and nothing of its value", () =>
    Effect.gen(function*() {
      process.env["ESPALIER_TEST_SECRET"] = "open-sesame "
      process.env["ESPALIER_TEST_BLANK"] = "  "
      const checks = yield* inspect(
        Requirements.secret("ESPALIER_TEST_SECRET"),
        Requirements.secret("ESPALIER_TEST_BLANK"),
        Requirements.secret("ESPALIER_TEST_NONE")
      )
      delete process.env["ESPALIER_TEST_SECRET"]
      delete process.env["ESPALIER_TEST_BLANK"]
      assert.deepStrictEqual(checks.map(({ found, state }) => [state, found]), [
        ["warning", "it is set, with blanks or a line end around it"],
        ["missing", "it is set to nothing but blanks"],
        ["missing", "it is not set"]
      ])
      assert.match(checks[2]!.remedy!, /export ESPALIER_TEST_NONE=/)
      assert(!JSON.stringify(checks).includes("sesame"))
    }))
})
