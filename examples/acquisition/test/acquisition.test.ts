import { Journal } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Acquisition, begin, extend, ImageLive, type PlanRun, StimulateLive } from "../acquisition.ts"
import { controlOf } from "../keyboard.ts"
import { layerSimulated, makeBench } from "../microscope.ts"
import * as Status from "../status.ts"
import { lagMillis, lagOf, table, timeline } from "../timeline.ts"

/** The acquisition on a microscope that can be looked at, with a journal in memory. */
const laboratory = () => {
  const bench = makeBench()
  const live = Acquisition.layer.pipe(
    Layer.provide([ImageLive, StimulateLive]),
    Layer.provide([layerSimulated(bench), Journal.layerMemory])
  )
  return { bench, live }
}

const minute = { rounds: 32, period: "1 minute" } as const

/** Lets so much time pass, in steps in which every piece of work here ends on its own instant. */
const pass = (millis: number) => Effect.repeat(TestClock.adjust(10), { times: millis / 10 - 1 })

const eventsOf = (run: PlanRun) => Effect.map(run.view(timeline), ({ events }) => Array.from(events.values()))

/** Ids of what has started, in the order in which it did. */
const started = (run: PlanRun) =>
  Effect.map(eventsOf(run), (events) =>
    events.filter(({ startedAt }) => startedAt !== undefined)
      .sort((a, b) => a.startedAt! - b.startedAt!)
      .map(({ id }) => id))

const stateOf = (run: PlanRun) => Effect.map(run.status, ({ state }) => state)

describe("a timed plan", () => {
  it.effect("has 80 events, and starting it returns at once", () =>
    Effect.gen(function*() {
      const run = yield* begin(minute)
      const { counts, pools, running, state, waiting } = yield* run.status
      assert.strictEqual(state, "running")
      assert.strictEqual(Object.values(counts).reduce((sum, count) => sum + count, 0), 80)
      assert.deepStrictEqual([running.map(({ id }) => id), pools], [["image/A/00"], { stage: { size: 1, used: 1 } }])
      // Queue depths: one image and two pulses are due and want the stage; the others wait for their time.
      assert.deepStrictEqual(waiting, [
        { kind: "Image", reason: { _tag: "Until", at: 60_000 }, count: 62 },
        { kind: "Stimulate", reason: { _tag: "Until", at: 240_000 }, count: 14 },
        { kind: "Image", reason: { _tag: "Slot", pool: "stage", needs: 1, free: 0 }, count: 1 },
        { kind: "Stimulate", reason: { _tag: "Slot", pool: "stage", needs: 1, free: 0 }, count: 2 }
      ])
    }).pipe(Effect.scoped, Effect.provide(laboratory().live)))

  it.effect("does what is due at the same time one after another, images first, and tells the lag of each", () => {
    const { bench, live } = laboratory()
    return Effect.gen(function*() {
      const run = yield* begin(minute)
      yield* pass(400)
      assert.deepStrictEqual(
        (yield* eventsOf(run)).slice(0, 4).map((event) => [event.id, lagMillis(event), event.state]),
        [
          ["image/A/00", 0, "done"], // exposes for 40 ms
          ["image/B/00", 40, "done"], // travels for 60, exposes for 40
          ["stimulate/A/00", 140, "done"], // travels for 60, pulses for 30
          ["stimulate/B/00", 230, "done"]
        ]
      )
      assert.deepStrictEqual(bench.pulses, { A: 1, B: 1 })
      const { lag } = yield* run.status
      assert.strictEqual(lag.lastMillis, 230)
    }).pipe(Effect.scoped, Effect.provide(live))
  })

  it.effect("runs to its end by the clock, and never moves the stage for two at once", () => {
    const { bench, live } = laboratory()
    return Effect.gen(function*() {
      const run = yield* begin({ rounds: 32, period: "600 millis" })
      yield* pass(19_500)
      const { counts, finishedAt, startedAt, state } = yield* run.status
      // The simulated stage throws at whoever uses it while another does: that would be a failed event.
      assert.deepStrictEqual([state, counts.succeeded, counts.failed], ["completed", 80, 0])
      assert.strictEqual(finishedAt! - startedAt!, 31 * 600 + 160 + 40)
      assert.deepStrictEqual(bench.pulses, { A: 8, B: 8 })
      assert.isTrue((yield* eventsOf(run)).every((event) => lagMillis(event)! >= 0 && lagMillis(event)! < 600))
      assert.strictEqual(lagOf(yield* run.view(timeline), "Image"), "Image: 64 started, lag 0 to 100 ms, median 40 ms")
    }).pipe(Effect.scoped, Effect.provide(live))
  })

  it.effect("that is paused starts nothing, and when it goes on makes up for what was due, images first", () =>
    Effect.gen(function*() {
      const run = yield* begin(minute)
      yield* pass(20)
      yield* run.pause({ actor: "ada", reason: "the sample has drifted" })
      assert.strictEqual(yield* stateOf(run), "pausing") // an exposure is not cut short
      yield* pass(20)
      assert.strictEqual(yield* stateOf(run), "paused")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* started(run), ["image/A/00"])
      yield* run.resume()
      yield* pass(800)
      assert.deepStrictEqual(yield* started(run), [
        "image/A/00",
        "image/B/00",
        "image/A/01",
        "image/B/01",
        "stimulate/A/00",
        "stimulate/B/00"
      ])
    }).pipe(Effect.scoped, Effect.provide(laboratory().live)))

  it.effect("that is paused stays paused when it is opened again", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(
        Effect.flatMap(begin(minute), (run) => Effect.andThen(pass(500), run.pause({ actor: "ada" })))
      )
      const run = yield* begin(minute)
      const { cause, state } = yield* run.status
      assert.deepStrictEqual([state, cause?.actor], ["paused", "ada"])
    }).pipe(Effect.scoped, Effect.provide(laboratory().live)))

  it.effect("is cancelled at once while everything waits for its time", () =>
    Effect.gen(function*() {
      const run = yield* begin({ rounds: 32, period: "1 hour" })
      yield* pass(500)
      assert.strictEqual((yield* run.status).counts.waiting, 76)
      yield* run.cancel({ actor: "ada", reason: "enough" })
      // No time passes here.
      const { cause, counts, state } = yield* run.await
      assert.deepStrictEqual([state, cause?.reason, counts.cancelled, counts.waiting], ["cancelled", "enough", 76, 0])
    }).pipe(Effect.scoped, Effect.provide(laboratory().live)))

  it.effect("is cancelled at once in the middle of an exposure, which leaves the light off and the stage free", () => {
    const { bench, live } = laboratory()
    return Effect.gen(function*() {
      const run = yield* begin(minute)
      yield* pass(20)
      assert.deepStrictEqual([bench.isLightOn, bench.busy], [true, "expose at A"])
      yield* run.cancel()
      assert.strictEqual((yield* run.await).state, "cancelled")
      assert.deepStrictEqual([bench.isLightOn, bench.busy], [false, undefined])
    }).pipe(Effect.scoped, Effect.provide(live))
  })

  it.effect("that is over goes on with more events: from now, and with the numbers that follow", () =>
    Effect.gen(function*() {
      const run = yield* begin({ rounds: 1, period: "1 minute" })
      yield* pass(400)
      assert.strictEqual(yield* stateOf(run), "completed")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* extend(run, { rounds: 2, period: "1 minute" }), 4)
      assert.strictEqual(yield* stateOf(run), "running")
      yield* pass(61_000)
      assert.strictEqual(yield* stateOf(run), "completed")
      assert.deepStrictEqual(
        (yield* eventsOf(run)).slice(4).map((event) => [event.id, event.plannedAt]),
        [
          ["image/A/01", 3_600_400],
          ["image/B/01", 3_600_400],
          ["image/A/02", 3_660_400],
          ["image/B/02", 3_660_400]
        ]
      )
    }).pipe(Effect.scoped, Effect.provide(laboratory().live)))

  it.effect("that is under way is extended at its end", () =>
    Effect.gen(function*() {
      const run = yield* begin({ rounds: 2, period: "1 minute" })
      yield* extend(run, { rounds: 1, period: "1 minute" })
      assert.deepStrictEqual((yield* eventsOf(run)).slice(-2).map(({ id, plannedAt }) => [id, plannedAt]), [
        ["image/A/02", 120_000],
        ["image/B/02", 120_000]
      ])
    }).pipe(Effect.scoped, Effect.provide(laboratory().live)))

  it.effect("goes on after it was suspended, by the clock of its first start", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.andThen(begin(minute), pass(500)))
      yield* TestClock.adjust("1 minute") // nobody has the run open
      const run = yield* begin(minute)
      yield* pass(200)
      assert.deepStrictEqual(
        (yield* eventsOf(run)).slice(4, 6).map((event) => [event.id, event.plannedAt, lagMillis(event)]),
        [["image/A/01", 60_000, 500], ["image/B/01", 60_000, 600]]
      )
    }).pipe(Effect.provide(laboratory().live)))
})

describe("a pulse", () => {
  it.effect("that is under way when the run is suspended ends, is recorded, and is not repeated", () => {
    const { bench, live } = laboratory()
    return Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* begin(minute)
        yield* pass(210)
        assert.strictEqual(bench.busy, "pulse at A")
        const suspending = yield* Effect.forkChild(run.suspend())
        yield* pass(10)
        assert.strictEqual(yield* stateOf(run), "suspending")
        yield* pass(10)
        assert.strictEqual(yield* stateOf(run), "suspended")
        assert.deepStrictEqual([bench.pulses.A, suspending.pollUnsafe()?._tag], [1, "Success"])
      }))
      const run = yield* begin(minute)
      yield* pass(500)
      assert.deepStrictEqual(bench.pulses, { A: 1, B: 1 })
      assert.strictEqual((yield* run.work("stimulate/A/00")).state, "succeeded")
    }).pipe(Effect.provide(live))
  })
})

describe("the status", () => {
  it.effect("is a picture of what runs, what is due, what is to come, and how late things are", () =>
    Effect.gen(function*() {
      const run = yield* begin(minute)
      yield* pass(50)
      assert.deepStrictEqual(Status.lines(yield* run.status, yield* run.view(timeline), ""), [
        "plan      running   0.1 s   1 of 80 events",
        "next      in 60.0 s",
        "Image     1 running, 0 due and queued, 62 to come",
        "Stimulate 0 running, 2 due and queued, 14 to come",
        "stage     1 of 1 in use",
        "lag       last 40 ms, half within 0 ms, 99 % within 44 ms",
        "latest    image/B/00, 40 ms after its time: started",
        "  image/B/00  10 ms  moves to B",
        "p pause   c cancel   q suspend and leave"
      ])
      assert.strictEqual(
        Status.line(yield* run.status),
        "  0.1 s  running: 1 of 80 events, 1 running, 2 due and queued, 76 to come; " +
          "lag last 40 ms, half within 0 ms, 99 % within 44 ms"
      )
    }).pipe(Effect.scoped, Effect.provide(laboratory().live)))

  it.effect("tells who paused the plan, and what a key was answered with", () =>
    Effect.gen(function*() {
      const run = yield* begin(minute)
      yield* pass(400)
      yield* controlOf(run, { ctrl: false, name: "p" })!
      const lines = Status.lines(yield* run.status, yield* run.view(timeline), "nothing to say")
      assert.strictEqual(lines[0], "plan      paused by keyboard: p was pressed   0.4 s   4 of 80 events")
      assert.deepStrictEqual(lines.slice(-2), ["r resume   c cancel   q suspend and leave", "nothing to say"])
    }).pipe(Effect.scoped, Effect.provide(laboratory().live)))

  it.effect("is also a table of every event, as planned and as it was", () =>
    Effect.gen(function*() {
      const run = yield* begin({ rounds: 1, period: "1 minute" })
      yield* pass(100)
      assert.deepStrictEqual(table(yield* run.view(timeline)).split("\n"), [
        "event\tplanned_s\tstarted_s\tlag_s\tstate",
        "image/A/00\t0.000\t0.000\t0.000\tdone",
        "image/B/00\t0.000\t0.040\t0.040\tstarted",
        "stimulate/A/00\t0.000\t\t\tto come",
        "stimulate/B/00\t0.000\t\t\tto come",
        ""
      ])
    }).pipe(Effect.scoped, Effect.provide(laboratory().live)))
})

describe("the keyboard", () => {
  it.effect("pauses, resumes, suspends and cancels, and says what the run does not take", () =>
    Effect.gen(function*() {
      const run = yield* begin(minute)
      yield* pass(400)
      const press = (name: string) => controlOf(run, { ctrl: false, name })!
      yield* press("p")
      assert.strictEqual(yield* stateOf(run), "paused")
      yield* press("r")
      assert.strictEqual(yield* stateOf(run), "running")
      yield* press("q")
      assert.strictEqual(yield* stateOf(run), "suspended")
      const refusal = yield* Effect.flip(press("p"))
      assert.strictEqual(refusal._tag, "RunNotAccepting")
      yield* press("c")
      assert.strictEqual(yield* stateOf(run), "cancelled")
      assert.isUndefined(controlOf(run, { ctrl: false, name: "x" }))
    }).pipe(Effect.scoped, Effect.provide(laboratory().live)))
})
