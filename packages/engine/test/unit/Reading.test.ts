import { type Journal, RunError, RunState } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import { laboratory, spec, Task } from "./laboratory.ts"

describe("reading runs that need not be open", () => {
  it.effect("inspect tells a run as the journal has it, open or not, and changes nothing", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.add([spec("a"), spec("b")])
        yield* stage.arrived("a")
        const inside = yield* engine.inspect("r")
        assert.deepStrictEqual([inside.state, inside.counts.running, inside.running[0]?.id], ["running", 1, "a"])
      }))
      const before = yield* engine.list
      const outside = yield* engine.inspect("r")
      assert.deepStrictEqual([outside.state, outside.counts.queued], ["suspended", 2])
      assert.deepStrictEqual(yield* engine.list, before)
    }))

  it.effect("history gives all events, or those after a number, in order", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.start("r", { concurrency: 1, works: [spec("quick")] })
      yield* run.await
      const all = yield* engine.history("r")
      assert.deepStrictEqual(all.map(({ event }) => event._tag), [
        "RunStarted",
        "WorkAdded",
        "WorkStarted",
        "WorkSucceeded",
        "RunCompleted"
      ])
      assert.deepStrictEqual(yield* engine.history("r", { after: 3 }), all.slice(3))
      assert.deepStrictEqual(yield* engine.history("r", { after: 5 }), [])
      assert.deepStrictEqual(yield* engine.history("r", { after: 99 }), [])
      const state = RunState.fold(all.map(({ event }) => event as never))
      assert.deepStrictEqual({ ...state.counts }, { ...(yield* run.status).counts })
    }))

  it.effect("of a run that is not there is refused by name", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      assert.strictEqual((yield* Effect.flip(engine.inspect("nowhere")))._tag, "RunNotFound")
      assert.strictEqual((yield* Effect.flip(engine.history("nowhere")))._tag, "RunNotFound")
      assert.strictEqual((yield* Effect.flip(engine.remove("nowhere")))._tag, "RunNotFound")
    }))

  it.effect("list gives all runs in order of creation", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      for (const id of ["b", "a", "c"]) {
        yield* TestClock.adjust(10)
        yield* Effect.scoped(engine.open(id, { concurrency: 1 }))
      }
      const runs = yield* engine.list
      assert.deepStrictEqual(runs.map(({ createdAt, runId }) => [runId, createdAt]), [["b", 10], ["a", 20], ["c", 30]])
      assert.isTrue(runs.every(({ horizon, lastSeq }) => horizon === 0 && lastSeq === 3))
    }))

  it.effect("remove deletes a run that nobody has open, and a new one of the same id begins from nothing", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const scope = yield* Scope.make()
      const run = yield* Scope.provide(engine.open("r", { concurrency: 1 }), scope)
      yield* (yield* run.submit(Task, { name: "quick" }, { id: "a" })).await
      assert.strictEqual((yield* Effect.flip(engine.remove("r")))._tag, "RunLocked")
      yield* Scope.close(scope, Exit.void)
      yield* engine.remove("r")
      assert.deepStrictEqual(yield* engine.list, [])
      const again = yield* engine.start("r", { concurrency: 1 })
      assert.strictEqual((yield* Effect.flip(again.work("a")))._tag, "WorkNotFound")
      yield* again.add([spec("a")])
    }))

  it.effect("of what the program cannot read is refused as quarantined with the event's number, and adds no event", () =>
    Effect.gen(function*() {
      const { engine, journal } = yield* laboratory
      yield* Effect.scoped(engine.open("r", { concurrency: 1 }))
      yield* Effect.scoped(
        Effect.flatMap(
          journal.open("r", { mode: "existing" }),
          (writer) => writer.append([{ _tag: "WorkTeleported", at: 5, id: "x" }], 2)
        )
      )
      const { lastSeq } = (yield* engine.list)[0]!
      for (
        const reading of [engine.inspect("r"), engine.history("r"), Effect.scoped(engine.open("r", { concurrency: 1 }))]
      ) {
        const error = yield* Effect.flip(reading as Effect.Effect<unknown, RunError.RunQuarantined>)
        assert.instanceOf(error, RunError.RunQuarantined)
        assert.strictEqual(error.seq, lastSeq)
        assert.match(error.message, /WorkTeleported/)
      }
      assert.strictEqual((yield* engine.list)[0]!.lastSeq, lastSeq)
    }))

  it.effect("of events that cannot have happened is refused as quarantined with the event's number, not guessed", () =>
    Effect.gen(function*() {
      const impossible: ReadonlyArray<{ readonly [field: string]: Journal.Json }> = [
        { _tag: "WorkStarted", at: 5, id: "nobody", attempt: 1 },
        { _tag: "WorkSucceeded", at: 5, id: "nobody", result: null, children: [] },
        { _tag: "StepRecorded", at: 5, id: "nobody", step: "s", result: null, children: [] },
        { _tag: "WorkCancelled", at: 5, id: "nobody", actor: "x", reason: "y" },
        { _tag: "SlotsGranted", at: 5, id: "nobody", hold: "h", claims: { gpu: 1 } },
        { _tag: "WorkRetried", at: 5, id: "nobody", actor: "x", reason: "y" }
      ]
      for (const event of impossible) {
        const { engine, journal } = yield* laboratory
        yield* Effect.scoped(engine.open("r", { concurrency: 1 }))
        yield* Effect.scoped(
          Effect.flatMap(journal.open("r", { mode: "existing" }), (writer) => writer.append([event], 2))
        )
        const { lastSeq } = (yield* engine.list)[0]!
        const exit = yield* Effect.exit(Effect.scoped(engine.open("r", { concurrency: 1 })))
        assert.match(
          Exit.isFailure(exit) ? String(exit.cause) : "it was opened",
          /RunQuarantined/,
          String(event["_tag"])
        )
        assert.strictEqual((yield* engine.list)[0]!.lastSeq, lastSeq)
      }
    }))

  it.effect("of events of a version that is not known is refused as quarantined", () =>
    Effect.gen(function*() {
      const { engine, journal } = yield* laboratory
      yield* Effect.scoped(engine.open("r", { concurrency: 1 }))
      yield* Effect.scoped(Effect.flatMap(journal.open("r", { mode: "existing" }), (writer) =>
        writer.append([{ _tag: "RunClosed", at: 5 }], 99)))
      const error = yield* Effect.flip(engine.open("r", { concurrency: 1 }))
      assert.instanceOf(error, RunError.RunQuarantined)
      assert.match(error.message, /99/)
    }))
})
