import { WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Boom, engineOf, laboratory, mortalJournal, quiet, spec, Task, until } from "./laboratory.ts"

describe("the status of a run", () => {
  it.effect("of a new run is empty, and says when it began", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      yield* TestClock.setTime(5_000)
      const run = yield* engine.open("r", { concurrency: 3, pools: { gpu: 2 } })
      const status = yield* run.status
      assert.deepInclude(status, {
        runId: "r",
        state: "running",
        at: 5_000,
        startedAt: 5_000,
        finishedAt: undefined,
        running: [],
        waiting: [],
        concurrency: { limit: 3, used: 0 },
        pools: { gpu: { size: 2, used: 0 } },
        retries: 0,
        throughput: 0,
        etaMillis: 0,
        forgotten: 0,
        stuck: [],
        backgroundErrors: [],
        cause: undefined
      })
      assert.deepStrictEqual(status.lag, { lastMillis: undefined, p50Millis: undefined, p99Millis: undefined })
    }))

  it.effect("says what runs since when, in which attempt, oldest first", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 3 })
      yield* run.add([spec("a", { key: "k" })])
      yield* stage.arrived("a")
      yield* TestClock.adjust(1_000)
      yield* run.add([spec("b")])
      yield* stage.arrived("b")
      yield* TestClock.adjust(500)
      const { running } = yield* run.status
      assert.deepStrictEqual(
        running.map(({ ageMillis, attempt, id, key, kind, startedAt, state }) => ({
          id,
          kind,
          key,
          state,
          attempt,
          startedAt,
          ageMillis
        })),
        [
          { id: "a", kind: "Task", key: "k", state: "running", attempt: 1, startedAt: 0, ageMillis: 1_500 },
          { id: "b", kind: "Task", key: undefined, state: "running", attempt: 1, startedAt: 1_000, ageMillis: 500 }
        ]
      )
    }))

  it.effect("says when it was finished, and not any more when it is extended", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.start("r", { concurrency: 1, works: [spec("quick")] })
      yield* run.await
      yield* TestClock.adjust(9_000)
      assert.strictEqual((yield* run.status).finishedAt, 0)
      yield* run.add([spec("a")])
      assert.deepStrictEqual([(yield* run.status).finishedAt, (yield* run.status).state], [undefined, "running"])
    }))

  it.effect("counts works by state", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 3 })
      yield* run.add([
        spec("fails"),
        spec("skipped", { after: ["fails"] }),
        spec("quick"),
        spec("cancelled", { notBefore: 9_000 }),
        spec("waits", { notBefore: 9_000 })
      ])
      yield* stage.fail("fails")
      yield* run.cancelWork("cancelled")
      const { counts } = yield* until(run, (status) => status.counts.skipped === 1 && status.counts.succeeded === 1)
      assert.deepStrictEqual({ ...counts }, {
        queued: 0,
        waiting: 1,
        blocked: 0,
        running: 0,
        cancelling: 0,
        cleaning: 0,
        succeeded: 1,
        failed: 1,
        skipped: 1,
        cancelled: 1
      })
    }))

  it.effect("survives a round trip through JSON", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.add([spec("a"), spec("b")])
      yield* stage.arrived("a")
      const status = yield* run.status
      const read = JSON.parse(JSON.stringify(status))
      assert.strictEqual(read.running[0].id, "a")
      assert.deepStrictEqual(read.counts, { ...status.counts })
    }))
})

describe("lag", () => {
  it.effect("is how long after it could have started a work did: the last one, and quantiles", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 100 })
      yield* run.pause()
      // A hundred works that wait 1, 2, ... 100 seconds, each from its own time on.
      yield* run.add(Array.from({ length: 100 }, (_, n) => spec(`w${n}`, { notBefore: n * 1_000 })))
      yield* TestClock.adjust(100_000)
      yield* run.resume()
      yield* stage.arrived("w99")
      yield* quiet
      const { lag } = yield* run.status
      const within = (value: number | undefined, expected: number) =>
        assert.isTrue(Math.abs(value! - expected) <= expected * 0.19, `${value} is not ${expected} within 19 %`)
      within(lag.p50Millis, 50_000)
      within(lag.p99Millis, 99_000)
      assert.isTrue(lag.lastMillis! >= 1_000)
    }))

  it.effect("of a work that starts at once is nothing", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* (yield* run.submit(Task, { name: "quick" })).await
      assert.deepStrictEqual((yield* run.status).lag, { lastMillis: 0, p50Millis: 0, p99Millis: 0 })
    }))

  it.effect("counts from the end of the last dependency, and through a pause", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.add([spec("a"), spec("quick", { after: ["a"] })])
      yield* stage.arrived("a")
      yield* TestClock.adjust(60_000)
      yield* run.pause()
      yield* stage.succeed("a")
      yield* until(run, ({ state }) => state === "paused")
      yield* TestClock.adjust(5_000)
      yield* run.resume()
      yield* (yield* run.job(Task, "quick")).await
      assert.strictEqual((yield* run.status).lag.lastMillis, 5_000)
    }))

  it.effect("is of first starts: a restart and a retry do not add to it", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.add([spec("a")])
        yield* stage.arrived("a")
      }))
      yield* TestClock.adjust("1 hour")
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* until(run, ({ counts }) => counts.running === 1)
      assert.strictEqual((yield* run.status).lag.lastMillis, 0)
    }))
})

describe("throughput and what is left", () => {
  it.effect(
    "are works settled a second over the last minute, and the time that the rest takes at that rate",
    () =>
      Effect.gen(function*() {
        const { engine } = yield* laboratory
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* TestClock.adjust("10 minutes")
        // Two a second for two minutes, and then 120 that have not settled.
        yield* run.add(Array.from({ length: 240 }, (_, n) => spec(`quick${n}`, { notBefore: 600_000 + n * 500 })))
        for (let second = 0; second < 120; second++) {
          yield* TestClock.adjust(1_000)
          yield* quiet
        }
        yield* run.pause()
        yield* run.add(Array.from({ length: 120 }, (_, n) => spec(`p${n}`)))
        const { etaMillis, throughput } = yield* run.status
        assert.isTrue(Math.abs(throughput - 2) < 0.2, `${throughput} a second`)
        assert.isTrue(Math.abs(etaMillis! - 60_000) < 6_000, `${etaMillis} ms`)
        yield* TestClock.adjust("10 minutes")
        const later = yield* run.status
        assert.strictEqual(later.throughput, 0)
        assert.strictEqual(later.etaMillis, undefined)
      }),
    20_000
  )

  it.effect("count from the start of a young run, not over a minute that has not been", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add(Array.from({ length: 20 }, (_, n) => spec(`quick${n}`, { notBefore: n * 500 })))
      yield* TestClock.adjust("10 seconds")
      yield* until(run, ({ counts }) => counts.succeeded === 20)
      const { throughput } = yield* run.status
      assert.isTrue(Math.abs(throughput - 2) < 0.4, `${throughput} a second`)
    }))
})

class Flaky extends WorkKind.make("Flaky", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  limit: 2,
  timeout: "10 seconds",
  retry: Schedule.recurs(1)
}) {}

class Steady extends WorkKind.make("Steady", { payload: { name: Schema.String }, success: Schema.String }) {}

class Old extends WorkEngine.Service<Old>()("test/unit/Old", { kinds: [Flaky, Steady] }) {}

describe("the kinds of a run", () => {
  it.effect("tell how many run and may, how long they take, and how their attempts failed", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const engine = yield* engineOf(
        Old,
        Layer.mergeAll(
          Flaky.toLayer(({ name }) =>
            name === "boom"
              ? Effect.fail(new Boom({ why: "rain" }))
              : name === "defect"
              ? Effect.die(new Error("broke"))
              : name === "slow"
              ? Effect.never
              : Effect.as(Effect.sleep("2 seconds"), name)
          ),
          Steady.toLayer(({ name }) => Effect.succeed(name))
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 9 })
      const submit = (name: string) => run.submit(Flaky, { name })
      yield* submit("boom")
      yield* submit("defect")
      yield* submit("ok")
      yield* submit("ok")
      yield* until(run, ({ counts }) => counts.failed === 2)
      yield* TestClock.adjust("2 seconds")
      yield* until(run, ({ counts }) => counts.succeeded === 2)
      yield* submit("slow")
      yield* quiet
      yield* TestClock.adjust("20 seconds")
      yield* until(run, ({ counts }) => counts.failed === 3)
      yield* submit("slow")
      yield* quiet
      const { kinds } = yield* run.status
      assert.deepInclude(kinds["Flaky"], {
        running: 1,
        limit: 2,
        paused: undefined,
        settled: 5,
        failures: { Error: 2, Defect: 1, TimedOut: 2 }
      })
      // 0, 0, 2, 2 and 10 seconds, from the last start of each.
      assert.strictEqual(kinds["Flaky"]?.meanMillis, 2_800)
      assert.deepInclude(kinds["Steady"], { running: 0, limit: undefined, settled: 0, meanMillis: undefined })
    }))
})
