import { CurrentWork, Progress, RunError, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Boom, engineOf, mortalJournal, quiet, until } from "./laboratory.ts"

class Copy extends WorkKind.make("Copy", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  retry: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 1 }))
}) {}
class Copies extends WorkEngine.Service<Copies>()("test/unit/Copies", { kinds: [Copy] }) {}

const copies = Effect.fnUntraced(function*(
  handler: (name: string) => Effect.Effect<string, Boom, CurrentWork.CurrentWork>
) {
  const { layer, state } = yield* mortalJournal
  return { engine: yield* engineOf(Copies, Copy.toLayer(({ name }) => handler(name)), layer), state }
})

describe("progress", () => {
  it.effect("shows the latest of what was reported, each work its own", () =>
    Effect.gen(function*() {
      const { engine } = yield* copies((name) =>
        Effect.andThen(
          Effect.forEach(
            [1, 2, 3],
            (current) => Progress.report({ current, total: 10, message: name, stage: "copying", data: { file: name } })
          ),
          Effect.never
        )
      )
      const run = yield* engine.open("r", { concurrency: 2 })
      yield* run.submit(Copy, { name: "a" }, { id: "a" })
      yield* run.submit(Copy, { name: "b" }, { id: "b" })
      const { running } = yield* until(
        run,
        (status) => status.running.length === 2 && status.running.every(({ progress }) => progress !== undefined)
      )
      assert.deepStrictEqual(
        running.map(({ progress }) => progress),
        ["a", "b"].map((name) => ({
          current: 3,
          total: 10,
          message: name,
          stage: "copying",
          data: { file: name }
        }))
      )
      assert.strictEqual((yield* run.work("a")).running?.progress?.current, 3)
    }))

  it.effect("makes a change of the status, without an event", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { engine } = yield* copies(() =>
        Effect.andThen(Deferred.await(gate), Effect.andThen(Progress.report({ current: 1 }), Effect.never))
      )
      const run = yield* engine.open("r", { concurrency: 2 })
      yield* run.submit(Copy, { name: "a" }, { id: "a" })
      const before = (yield* until(run, ({ counts }) => counts.running === 1)).seq
      yield* Deferred.succeed(gate, undefined)
      const status = yield* until(run, ({ running }) => running[0]?.progress !== undefined)
      assert.strictEqual(status.seq, before)
    }))

  it.effect("reported ten thousand times in one breath does not make as many snapshots", () =>
    Effect.gen(function*() {
      const { engine, state } = yield* copies(() =>
        Effect.as(
          Effect.forEach(Array.from({ length: 10_000 }), (_, current) => Progress.report({ current }), {
            discard: true
          }),
          "x"
        )
      )
      const run = yield* engine.open("r", { concurrency: 2 })
      const job = yield* run.submit(Copy, { name: "a" }, { id: "a" })
      assert.strictEqual(yield* job.await, "x")
      assert.isTrue(state.appends < 10)
    }))

  it.effect("tells how long it will take yet by its total, and without one by what its kind has taken", () =>
    Effect.gen(function*() {
      const { engine } = yield* copies((name) =>
        name === "done"
          ? Effect.as(Effect.sleep("60 seconds"), name)
          : name === "total"
          ? Effect.andThen(
            Effect.sleep("10 seconds"),
            Effect.andThen(Progress.report({ current: 1, total: 4 }), Effect.never)
          )
          : Effect.never
      )
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.submit(Copy, { name: "first" }, { id: "first" })
      assert.strictEqual((yield* until(run, ({ running }) => running.length === 1)).running[0]?.etaMillis, undefined)
      yield* run.submit(Copy, { name: "done" })
      yield* quiet
      yield* TestClock.adjust("60 seconds")
      yield* until(run, ({ counts }) => counts.succeeded === 1)
      yield* run.submit(Copy, { name: "total" }, { id: "total" })
      yield* run.submit(Copy, { name: "other" }, { id: "other" })
      yield* quiet
      yield* TestClock.adjust("10 seconds")
      yield* quiet
      const eta = Object.fromEntries((yield* run.status).running.map(({ etaMillis, id }) => [id, etaMillis]))
      assert.deepStrictEqual(eta, { first: 0, total: 30_000, other: 50_000 })
    }))

  it.effect("with odd numbers does not make odd times", () =>
    Effect.gen(function*() {
      for (
        const odd of [
          { current: 0, total: 10 },
          { current: 20, total: 10 },
          { current: 1, total: 0 },
          { current: -1, total: 10 },
          { current: Number.NaN, total: 10 },
          { current: 1, total: Infinity }
        ]
      ) {
        const { engine } = yield* copies(() => Effect.andThen(Progress.report(odd), Effect.never))
        const run = yield* engine.open("r", { concurrency: 9 })
        yield* run.submit(Copy, { name: "a" })
        yield* quiet
        yield* TestClock.adjust("10 seconds")
        const eta = (yield* run.status).running[0]?.etaMillis
        assert.isTrue(eta === undefined || (Number.isFinite(eta) && eta >= 0), `${JSON.stringify(odd)} gives ${eta}`)
      }
    }))

  it.effect("is gone with the attempt, and after a restart until it is reported again", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { engine } = yield* copies(() =>
        Effect.flatMap(CurrentWork.CurrentWork, ({ attempt }) =>
          attempt === 1
            ? Effect.andThen(
              Progress.report({ current: 1 }),
              Effect.andThen(Deferred.await(gate), Effect.fail(new Boom({ why: "x" })))
            )
            : Effect.never)
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9 })
        yield* run.submit(Copy, { name: "a" }, { id: "a" })
        yield* until(run, ({ running }) => running[0]?.progress !== undefined)
        yield* Deferred.succeed(gate, undefined)
        yield* until(run, ({ counts }) => counts.waiting === 1)
        yield* TestClock.adjust("1 second")
        const { running } = yield* until(run, ({ counts }) => counts.running === 1)
        assert.strictEqual(running[0]?.progress, undefined)
      }))
      assert.strictEqual((yield* engine.inspect("r")).running[0]?.progress, undefined)
    }))

  it.effect("and the step at hand are not shown of a step that has ended", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { engine } = yield* copies(() =>
        Effect.andThen(
          Step.run("download", Schema.Void, Deferred.await(gate)),
          Effect.andThen(Step.run("upload", Schema.Void, Effect.void), Effect.never)
        )
      )
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.submit(Copy, { name: "a" }, { id: "a" })
      yield* until(run, ({ running }) => running[0]?.step === "download")
      yield* Deferred.succeed(gate, undefined)
      yield* quiet
      const { running } = yield* run.status
      assert.strictEqual(running[0]?.step, undefined)
      assert.deepStrictEqual((yield* run.work("a")).steps, ["download", "upload"])
    }))

  it.effect("with a schema is read as its type, and what does not fit is a defect", () =>
    Effect.gen(function*() {
      const Typed = Progress.typed(Copy, Schema.Struct({ when: Schema.Date }))
      const { engine } = yield* copies((name) =>
        Effect.andThen(
          Typed.report({ current: 1, data: name === "bad" ? ({ when: "soon" } as never) : { when: new Date(7) } }),
          Effect.never
        )
      )
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.submit(Copy, { name: "a" }, { id: "a" })
      const { running } = yield* until(run, (status) => status.running[0]?.progress !== undefined)
      assert.deepStrictEqual(Typed.read(running[0]!), { when: new Date(7) })
      assert.strictEqual(Typed.read({ kind: "Other", progress: running[0]!.progress }), undefined)
      assert.strictEqual(JSON.stringify(running[0]!.progress?.data), `{"when":"1970-01-01T00:00:00.007Z"}`)
      const bad = yield* run.submit(Copy, { name: "bad" })
      const error = yield* Effect.flip(bad.await)
      assert.instanceOf(error, RunError.WorkStopped)
      assert.strictEqual(error.reason._tag, "Defect")
    }))

  it.effect("is a picture of the moment: what the handler changes later in its own object is not shown before it reports", () =>
    Effect.gen(function*() {
      const data = { file: "a" }
      const { engine } = yield* copies(() => Effect.andThen(Progress.report({ current: 1, data }), Effect.never))
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.submit(Copy, { name: "a" }, { id: "a" })
      const { running } = yield* until(run, (status) => status.running[0]?.progress !== undefined)
      assert.deepStrictEqual(running[0]?.progress?.data, { file: "a" })
    }))
})
