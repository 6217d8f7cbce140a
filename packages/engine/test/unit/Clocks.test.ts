import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { laboratory, quiet, spec, Task, until } from "./laboratory.ts"

/** The test's clock, as a host's that is set back and forth. */
const settable = Effect.gen(function*() {
  const base = yield* Clock.Clock
  const shift = { millis: 0 }
  const now = () => base.currentTimeMillisUnsafe() + shift.millis
  const clock: Clock.Clock = Object.assign(Object.create(base), {
    currentTimeMillisUnsafe: now,
    currentTimeMillis: Effect.sync(now),
    currentTimeNanosUnsafe: () => BigInt(now()) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(now()) * 1_000_000n)
  })
  return { clock, shift }
})

const on = <A, E, R>(use: (shift: { millis: number }) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(settable, ({ clock, shift }) => Effect.provideService(use(shift), Clock.Clock, clock))

describe("a clock that is set back", () => {
  it.effect("does not make events go back in time, and no lag or age negative", () =>
    on((shift) =>
      Effect.gen(function*() {
        const { engine, stage } = yield* laboratory
        yield* TestClock.adjust("1 hour")
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.add([spec("a"), spec("b")])
        yield* stage.arrived("a")
        shift.millis = -1_800_000
        const { at, running } = yield* run.status
        assert.isTrue(running[0]!.ageMillis >= 0)
        yield* stage.succeed("a", "b")
        yield* until(run, ({ counts }) => counts.succeeded === 2)
        const times = (yield* engine.history("r")).map(({ event }) => event.at)
        assert.deepStrictEqual(times, times.toSorted((one, other) => one - other))
        const later = yield* run.status
        assert.isTrue(later.at >= at)
        assert.isTrue(later.lag.lastMillis! >= 0 && later.throughput >= 0 && Number.isFinite(later.throughput))
      })
    ))

  it.effect("between two sessions does not quarantine or hold up the run", () =>
    on((shift) =>
      Effect.gen(function*() {
        const { engine, stage } = yield* laboratory
        yield* TestClock.adjust("1 hour")
        yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* engine.open("r", { concurrency: 1 })
          yield* run.add([spec("a"), spec("quick", { notBefore: 3_660_000 })])
          yield* stage.arrived("a")
        }))
        shift.millis = -1_800_000
        const run = yield* engine.open("r", { concurrency: 1, keepOpen: false })
        yield* stage.succeed("a")
        yield* until(run, ({ counts }) => counts.succeeded === 1)
        yield* TestClock.adjust("31 minutes")
        assert.strictEqual((yield* run.await).counts.succeeded, 2)
      })
    ))

  it.effect("does not wake a work before its notBefore has come on the clock, nor lose it", () =>
    on((shift) =>
      Effect.gen(function*() {
        const { engine, stage } = yield* laboratory
        const run = yield* engine.open("r", { concurrency: 1 })
        const job = yield* Effect.andThen(
          run.add([spec("quick", { notBefore: 60_000 })]),
          run.job(Task, "quick")
        )
        yield* TestClock.adjust("30 seconds")
        shift.millis = -20_000
        yield* TestClock.adjust("30 seconds")
        yield* quiet
        assert.deepStrictEqual(stage.started, [], "it is 40 seconds past")
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(yield* job.await, "quick done")
      })
    ))
})

describe("a clock that jumps ahead, as after the sleep of a host", () => {
  it.effect("lets what is due start at once, and ends what has expired", () =>
    on((shift) =>
      Effect.gen(function*() {
        const { engine, stage } = yield* laboratory
        const run = yield* engine.open("r", { concurrency: 9 })
        yield* run.add([
          spec("quick", { notBefore: 3_600_000 }),
          spec("late", { notBefore: 9_000_000, deadline: 3_600_000 })
        ])
        yield* quiet
        shift.millis = 7_200_000
        // Something happens, whatever it is: then the clock is looked at.
        yield* run.add([spec("quick-other")])
        yield* until(run, ({ counts }) => counts.succeeded === 2 && counts.skipped === 1)
        assert.isTrue(stage.started.includes("quick"))
      })
    ))
})
