import { RunError, RunState } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { hasForgottenEvents, laboratory, quiet, spec, Task, until } from "./laboratory.ts"

const many = (from: number, count: number, fields: Parameters<typeof spec>[1] = {}) =>
  Array.from({ length: count }, (_, n) => spec(`w${from + n}`, { payload: { name: "quick" }, ...fields }))

describe("a run that keeps a count of its settled works", () => {
  it.effect("forgets the oldest beyond it, and tells how many", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 8, retain: { count: 100 } })
      const first = yield* run.submit(Task, { name: "quick" }, { id: "first" })
      yield* first.await
      yield* run.add(many(0, 5_000))
      const status = yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === 5_001)
      assert.isTrue(status.counts.succeeded >= 100, `${status.counts.succeeded} are kept`)
      assert.isTrue(status.counts.succeeded < 2_000, `${status.counts.succeeded} are kept`)
      assert.strictEqual((yield* Effect.flip(first.await))._tag, "OutcomeExpired")
      assert.strictEqual((yield* Effect.flip(run.work("first")))._tag, "WorkNotFound")
      assert.strictEqual((yield* Effect.flip(run.job(Task, "first")))._tag, "WorkNotFound")
      assert.strictEqual(yield* (yield* run.job(Task, "w4999")).await, "quick done", "the newest are kept")
    }))

  it.effect("lets an id be used again when it was forgotten, and not before", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 8, retain: { count: 1 } })
      const first = yield* run.submit(Task, { name: "quick-old" }, { id: "first" })
      assert.strictEqual(yield* first.await, "quick-old done")
      assert.strictEqual((yield* Effect.flip(run.add([spec("first")])))._tag, "DuplicateWork")
      yield* run.add(many(0, 5_000))
      yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === 5_001)
      const again = yield* run.submit(Task, { name: "quick-new" }, { id: "first" })
      assert.strictEqual(yield* again.await, "quick-new done")
    }))

  it.effect("keeps what an unsettled work waits or waited for, until that settles", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 8, retain: { count: 0 } })
      yield* run.add([
        spec("base", { payload: { name: "quick" } }),
        spec("waits", { after: ["base"], notBefore: 3_600_000 }),
        spec("runs", { after: ["base"] })
      ])
      yield* stage.arrived("runs")
      yield* run.add(many(0, 5_000))
      yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten >= 5_001)
      assert.strictEqual((yield* run.work("base")).state, "succeeded")
      yield* TestClock.adjust("1 hour")
      yield* stage.succeed("runs", "waits")
      yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === 5_003)
      yield* run.add(many(5_000, 5_000))
      yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === 10_003)
      assert.strictEqual((yield* Effect.flip(run.work("base")))._tag, "WorkNotFound")
    }))

  it.effect("answers who waits for an outcome, even when nothing is kept", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 8, retain: { count: 0 } })
      const job = yield* run.submit(Task, { name: "a" }, { id: "a" })
      yield* stage.arrived("a")
      const waiting = yield* Effect.forkChild(job.await, { startImmediately: true })
      yield* quiet
      yield* stage.succeed("a")
      assert.strictEqual(yield* Fiber.join(waiting), "a done")
    }))

  it.effect("answers every submit of many with its own outcome, or says that it has expired", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 8, retain: { count: 10 } })
      const outcomes = yield* Effect.forEach(
        Array.from({ length: 3_000 }, (_, n) => n),
        (n) =>
          Effect.flatMap(run.submit(Task, { name: `quick${n}` }), (job) => job.await).pipe(
            Effect.catchTag("OutcomeExpired", () => Effect.succeed("expired"))
          ),
        { concurrency: 16 }
      )
      const expired = outcomes.filter((outcome) => outcome === "expired").length
      assert.strictEqual(expired, 0, "each is awaited at once, within the ten that are kept")
      assert.deepStrictEqual(outcomes.slice(0, 2), ["quick0 done", "quick1 done"])
    }))

  it.effect("forgets failed, skipped and cancelled works too", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 8, retain: { count: 0 } })
      yield* run.add([spec("fails"), spec("skipped", { after: ["fails"] }), spec("cancelled", { notBefore: 9_000 })])
      yield* stage.fail("fails")
      yield* run.cancelWork("cancelled")
      yield* run.add(many(0, 5_000))
      yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten >= 5_000)
      yield* quiet
      const { counts } = yield* run.status
      assert.deepStrictEqual([counts.failed, counts.skipped, counts.cancelled], [0, 0, 0])
    }))

  it.effect("does not bring back what it has forgotten when it is opened again", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const options = { concurrency: 8, retain: { count: 10 } }
      const before = yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", options)
        yield* run.add(many(0, 5_000))
        return yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === 5_000)
      }))
      const run = yield* engine.open("r", options)
      const { counts, forgotten } = yield* run.status
      assert.strictEqual(counts.succeeded + forgotten, 5_000)
      assert.isTrue(forgotten >= before.forgotten)
      assert.strictEqual((yield* Effect.flip(run.work("w0")))._tag, "WorkNotFound")
    }))

  it.effect("keeps all when it is opened without one", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      yield* Effect.scoped(engine.open("r", { concurrency: 8, retain: { count: 0 } }))
      const run = yield* engine.open("r", { concurrency: 8 })
      yield* run.add(many(0, 5_000))
      const status = yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === 5_000)
      assert.strictEqual(status.forgotten, 0)
    }))

  it.effect("that is no whole number from 0 is refused", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      for (const count of [-1, 1.5, Number.NaN, Infinity]) {
        const error = yield* Effect.flip(engine.open("r", { concurrency: 1, retain: { count } }))
        assert.instanceOf(error, RunError.InvalidWork)
        assert.strictEqual(error.field, "retain.count")
      }
    }))
})

describe("a run that keeps its settled works for a time", () => {
  it.effect("forgets those that are older, and keeps the younger", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 8, retain: { age: "1 hour" } })
      yield* run.add(many(0, 1_000))
      yield* until(run, ({ counts }) => counts.succeeded === 1_000)
      yield* TestClock.adjust("2 hours")
      yield* run.add(many(1_000, 1_000))
      yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === 2_000)
      yield* quiet
      const { forgotten } = yield* run.status
      assert.strictEqual(forgotten, 1_000)
      assert.strictEqual((yield* run.work("w1000")).state, "succeeded")
    }))

  it.effect("forgets in time also when nothing more happens in the run", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 8, retain: { age: "1 hour" } })
      yield* run.add(many(0, 1_000))
      yield* until(run, ({ counts }) => counts.succeeded === 1_000)
      yield* TestClock.adjust("1 day")
      yield* quiet
      assert.strictEqual((yield* run.status).forgotten, 1_000)
    }))

  it.effect("counts the time also while nobody has it open", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const options = { concurrency: 8, retain: { age: "1 hour" } } as const
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", options)
        yield* run.add(many(0, 1_000))
        yield* until(run, ({ counts }) => counts.succeeded === 1_000)
      }))
      yield* TestClock.adjust("1 day")
      const run = yield* engine.open("r", options)
      yield* quiet
      assert.strictEqual((yield* run.status).forgotten, 1_000)
    }))
})

describe("a run whose events are no longer all kept", () => {
  const trimmed = Effect.gen(function*() {
    const lab = yield* laboratory
    const run = yield* lab.engine.open("r", { concurrency: 8, retain: { count: 50 } })
    // Snapshots are made every 50,000 events, and what precedes the one before the last goes.
    for (let batch = 0; batch < 20; batch++) {
      yield* run.add(many(batch * 3_000, 3_000))
      yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === (batch + 1) * 3_000)
    }
    yield* hasForgottenEvents(lab.engine)
    return { ...lab, run }
  })

  it.effect(
    "gives a late reader the snapshot first and then all events, without a gap, up to the same state",
    () =>
      Effect.gen(function*() {
        const { engine, run } = yield* trimmed
        const [info] = yield* engine.list
        const { seq, counts, forgotten } = yield* run.status
        const events = yield* engine.history("r")
        const first = events[0]!
        assert.strictEqual(first.event._tag, "RunSnapshot")
        assert.isTrue(first.seq >= info!.horizon)
        assert.deepStrictEqual(
          events.slice(1).map((each) => each.seq),
          Array.from({ length: events.length - 1 }, (_, n) => first.seq + n + 1)
        )
        assert.strictEqual(events.at(-1)!.seq, seq)
        const state = first.event._tag === "RunSnapshot" ? RunState.fromSnapshot(first.event.parts) : RunState.make()
        for (const { event } of events.slice(1)) if (event._tag !== "RunSnapshot") RunState.evolve(state, event)
        assert.deepStrictEqual([{ ...state.counts }, state.forgotten], [{ ...counts }, forgotten])
        // Whoever has read up to there already gets no snapshot.
        const rest = yield* engine.history("r", { after: first.seq })
        assert.deepStrictEqual(rest.map((each) => each.seq), events.slice(1).map((each) => each.seq))
      }),
    30_000
  )

  it.effect("has a journal that does not grow with what it has forgotten", () =>
    Effect.gen(function*() {
      const { engine } = yield* trimmed
      const [info] = yield* engine.list
      assert.isTrue(info!.lastSeq > 180_000)
      assert.isTrue(info!.lastSeq - info!.horizon < 120_000, `${info!.lastSeq - info!.horizon} events are kept`)
    }), 30_000)
})
