import { CurrentWork, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Exit, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { engineOf, mortalJournal, quiet, until } from "./laboratory.ts"

const payload = { name: Schema.String }

/** Opens a run with a kind of these policies, runs one work a while, and opens it again: whatever was let in must be readable. */
const readableWith = Effect.fnUntraced(function*(
  policies: WorkKind.Policies<string>,
  handler: () => Effect.Effect<unknown, string, CurrentWork.CurrentWork> = () => Effect.succeed("x")
) {
  const { layer } = yield* mortalJournal
  class Odd extends WorkKind.make("Odd", { payload, success: Schema.Unknown, error: Schema.String, ...policies }) {}
  class Odds extends WorkEngine.Service<Odds>()("test/unit/Odds", { kinds: [Odd] }) {}
  const building = yield* Effect.exit(engineOf(Odds, Odd.toLayer(handler), layer))
  if (Exit.isFailure(building)) return "refused"
  const engine = building.value
  const first = yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
    const run = yield* engine.open("r", { concurrency: 1 })
    const submitted = yield* Effect.exit(run.submit(Odd, { name: "a" }, { id: "a" }))
    yield* quiet
    yield* TestClock.adjust("1 second")
    yield* quiet
    const status = yield* Effect.exit(run.status)
    assert.isTrue(Exit.isSuccess(status), "the run goes on")
    if (Exit.isFailure(submitted)) return "refused"
    return yield* Effect.match(run.work("a"), { onFailure: ({ _tag }) => _tag, onSuccess: ({ state }) => state })
  })))
  const again = yield* Effect.exit(engine.inspect("r"))
  if (Exit.isFailure(again)) {
    const error = String(again.cause)
    // Refused from the start: then no run was left behind.
    assert.match(error, /RunNotFound/, error)
    return "refused"
  }
  return Exit.isSuccess(first) ? first.value : "refused"
})

describe("whatever a kind's policies say, the run can be read again", () => {
  const odd: ReadonlyArray<Duration.Input> = ["Infinity", 0, -1, Number.NaN]
  for (const field of ["timeout", "stallAfter", "grace", "timeToLive"] as const) {
    it.effect(`${field}: endless, zero, negative or no number`, () =>
      Effect.forEach(odd, (value) => readableWith({ [field]: value }), { discard: true }))
  }

  it.effect("limit and priority that are no whole or finite numbers", () =>
    Effect.gen(function*() {
      for (const limit of [0, -1, 1.5, Number.NaN, Infinity]) yield* readableWith({ limit })
      for (const priority of [Number.NaN, Infinity]) yield* readableWith({ priority })
      yield* readableWith({ slots: { gpu: 0 } })
      yield* readableWith({ slots: { nowhere: 1 } })
    }))

  it.effect("retry schedules with endless or odd delays", () =>
    Effect.gen(function*() {
      for (
        const retry of [
          Schedule.spaced("Infinity").pipe(Schedule.upTo({ times: 5 })),
          Schedule.spaced(0).pipe(Schedule.upTo({ times: 5 })),
          Schedule.spaced(-5).pipe(Schedule.upTo({ times: 5 })),
          Schedule.exponential("1 second", 1e300).pipe(Schedule.upTo({ times: 5 }))
        ]
      ) {
        const state = yield* readableWith({ retry }, () => Effect.fail("again"))
        assert.notStrictEqual(state, "running")
      }
    }))

  it.effect("a retryFrom that answers with what is no name", () =>
    Effect.gen(function*() {
      const state = yield* readableWith(
        { retry: Schedule.recurs(1), retryFrom: () => 7 as never },
        () => Effect.andThen(Step.run("s", Schema.Void, Effect.void), Effect.fail("x"))
      )
      assert.strictEqual(state, "failed")
    }))

  it.effect("an endless time-out never ends the attempt, and a time-out of zero ends it at once", () =>
    Effect.gen(function*() {
      const endless = yield* readableWith({ timeout: "Infinity" }, () => Effect.never)
      assert.isTrue(endless === "running" || endless === "refused", endless)
      const none = yield* readableWith({ timeout: 0 }, () => Effect.never)
      assert.isTrue(none === "failed" || none === "refused", none)
    }))
})

describe("whatever a handler gives, the run can be read again, and the work ends", () => {
  const circle: Record<string, unknown> = {}
  circle["self"] = circle
  const values: ReadonlyArray<readonly [string, unknown]> = [
    ["undefined", undefined],
    ["NaN", Number.NaN],
    ["Infinity", Infinity],
    ["a function", () => 1],
    ["a symbol", Symbol("s")],
    ["a bigint", 7n],
    ["a circle", circle],
    ["a date", new Date(7)],
    ["a date that is none", new Date(Number.NaN)],
    ["a map", new Map([["a", 1]])],
    ["a lone surrogate", "\ud800"],
    ["a nul", "a\u0000b"],
    ["a proto", JSON.parse(`{"__proto__": {"x": 1}}`)],
    ["an object whose toJSON throws", {
      toJSON: () => {
        throw new Error("no")
      }
    }],
    ["an object with a getter that throws", {
      get x() {
        throw new Error("no")
      }
    }]
  ]
  for (const [name, value] of values) {
    it.effect(`${name} as a result, a step's result, a defect`, () =>
      Effect.gen(function*() {
        const settled = ["succeeded", "failed"]
        assert.include(settled, yield* readableWith({}, () => Effect.succeed(value)))
        assert.include(settled, yield* readableWith({}, () => Step.run("s", Schema.Unknown, Effect.succeed(value))))
        assert.include(
          settled,
          yield* readableWith({}, () =>
            Effect.flatMap(Step.cursor("c", Schema.Unknown, undefined), ({ advance }) => advance(value)))
        )
        assert.strictEqual(
          yield* readableWith({}, () =>
            Effect.die(value)),
          "failed"
        )
        assert.strictEqual(yield* readableWith({}, () => Effect.fail(value as never)), "failed")
      }))
  }

  it.effect("what a step returned is what the next attempt gets back: nothing is lost without a word", () =>
    Effect.gen(function*() {
      for (const [name, value] of values) {
        const seen: Array<unknown> = []
        const { layer } = yield* mortalJournal
        class Twice extends WorkKind.make("Twice", { payload, error: Schema.String, retry: Schedule.recurs(1) }) {}
        class Twices extends WorkEngine.Service<Twices>()("test/unit/Twices", { kinds: [Twice] }) {}
        const engine = yield* engineOf(
          Twices,
          Twice.toLayer(() =>
            Effect.gen(function*() {
              seen.push(yield* Step.run("s", Schema.Unknown, Effect.succeed(value)))
              if (seen.length === 1) return yield* Effect.fail("again")
            })
          ),
          layer
        )
        const run = yield* engine.open("r", { concurrency: 1 })
        const job = yield* run.submit(Twice, { name: "a" })
        const exit = yield* Effect.exit(job.await)
        // A defect is a word. A second attempt that gets another value than the first is not.
        if (Exit.isSuccess(exit)) assert.deepStrictEqual(seen[1], seen[0], name)
      }
    }))
})

describe("what was recorded is not changed by those who hold the same object", () => {
  const Anything = Schema.Unknown as unknown as Schema.Codec<{ list: Array<number> }, unknown>
  class Mutable extends WorkKind.make("Mutable", {
    payload: Anything,
    success: Anything,
    error: Schema.String,
    retry: Schedule.recurs(1)
  }) {}
  class Mutables extends WorkEngine.Service<Mutables>()("test/unit/Mutables", { kinds: [Mutable] }) {}

  const mutating = Effect.gen(function*() {
    const { layer } = yield* mortalJournal
    const seen: Array<string> = []
    const engine = yield* engineOf(
      Mutables,
      Mutable.toLayer((given) =>
        Effect.gen(function*() {
          const { attempt } = yield* CurrentWork.CurrentWork
          const step = yield* Step.run("s", Anything, Effect.succeed({ list: [1] }))
          seen.push(JSON.stringify([given.list, step.list]))
          given.list.push(99)
          step.list.push(99)
          return attempt === 1 ? yield* Effect.fail("again") : { list: [1] }
        })
      ),
      layer
    )
    const run = yield* engine.open("r", { concurrency: 1 })
    const job = yield* run.submit(Mutable, { list: [1] }, { id: "a" })
    return { run, job, seen, result: yield* job.await }
  })

  it.effect("payload and steps: the next attempt gets what was recorded", () =>
    Effect.gen(function*() {
      const { run, seen } = yield* mutating
      assert.deepStrictEqual(seen, ["[[1],[1]]", "[[1],[1]]"])
      assert.deepStrictEqual((yield* run.work("a")).spec.payload, { list: [1] })
    }))

  it.effect("a result: the next reader gets what was recorded", () =>
    Effect.gen(function*() {
      const { job, result } = yield* mutating
      result.list.push(99)
      assert.deepStrictEqual((yield* job.await).list, [1])
    }))
})

describe("very many children", () => {
  class Brood extends WorkKind.make("Brood", { payload: { count: Schema.Int } }) {}
  class Chick extends WorkKind.make("Chick", { payload: { name: Schema.String } }) {}
  class Broods extends WorkEngine.Service<Broods>()("test/unit/Broods", { kinds: [Brood, Chick] }) {}

  it.effect("of one work become works, or are a defect that says what the limit is", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const engine = yield* engineOf(
        Broods,
        Layer.mergeAll(
          Brood.toLayer(({ count }) =>
            Effect.forEach(
              Array.from({ length: count }),
              () => Broods.spawn(Chick, { name: "x".repeat(100) }),
              { discard: true }
            )
          ),
          Chick.toLayer(() => Effect.void)
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 8 })
      const exit = yield* Effect.exit(Effect.flatMap(run.submit(Brood, { count: 20_000 }), (job) => job.await))
      if (Exit.isFailure(exit)) return assert.match(String(exit.cause), /1,?048,?576|children/)
      yield* until(run, ({ counts }) => counts.succeeded === 20_001)
    }), 20_000)
})

describe("what asks for a control", () => {
  it.effect("may be of any length and hold anything; it is recorded or refused, and can be read", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      class Plain extends WorkKind.make("Plain", { payload }) {}
      class Plains extends WorkEngine.Service<Plains>()("test/unit/Plains", { kinds: [Plain] }) {}
      const engine = yield* engineOf(Plains, Plain.toLayer(() => Effect.never), layer)
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Plain, { name: "a" }, { id: "a" })
      for (
        const reason of ["", "x".repeat(2_000_000), "\u0000\ud800", 7 as never, null as never, { why: 1 } as never]
      ) {
        yield* Effect.exit(run.pause({ actor: reason, reason }))
        yield* Effect.exit(run.resume({ actor: reason, reason }))
        yield* Effect.exit(run.reprioritize("a", 1, { reason }))
      }
      yield* until(run, ({ state }) => state === "running")
      const status = yield* engine.inspect("r")
      assert.strictEqual(status.counts.running, 1)
    }))

  it.effect("can be no more than what a record holds: a reason is not a way around the limit", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      class Plain extends WorkKind.make("Plain", { payload }) {}
      class Plains extends WorkEngine.Service<Plains>()("test/unit/Plains", { kinds: [Plain] }) {}
      const engine = yield* engineOf(Plains, Plain.toLayer(() => Effect.never), layer)
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* Effect.exit(run.pause({ reason: "x".repeat(5_000_000) }))
      const events = yield* engine.history("r")
      for (const { event } of events) assert.isTrue(JSON.stringify(event).length < 1_100_000, event._tag)
    }))
})
