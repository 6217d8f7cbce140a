import { RunError, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schema } from "effect"
import { engineOf, laboratory, mortalJournal, Other, quiet, spec, Task, until } from "./laboratory.ts"

const full = Effect.gen(function*() {
  const lab = yield* laboratory
  const run = yield* lab.engine.open("r", { concurrency: 1, capacity: 2 })
  yield* run.add([spec("a"), spec("b")])
  yield* lab.stage.arrived("a")
  return { ...lab, run }
})

describe("a run with a capacity", () => {
  it.effect("makes a submit wait while it is full, and lets it in when a work settles", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* full
      const late = yield* Effect.forkChild(run.submit(Task, { name: "quick" }, { id: "late" }))
      yield* quiet
      assert.strictEqual((yield* Effect.flip(run.work("late")))._tag, "WorkNotFound")
      yield* stage.succeed("a")
      const job = yield* Fiber.join(late)
      yield* stage.succeed("b")
      assert.strictEqual(yield* job.await, "quick done")
    }))

  it.effect("lets them in in the order in which they came, a large batch before the small ones behind it", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* full
      const first = yield* Effect.forkChild(run.add([spec("c"), spec("d")]))
      yield* quiet
      const second = yield* Effect.forkChild(run.add([spec("e")]))
      yield* quiet
      yield* stage.succeed("a")
      yield* stage.arrived("b")
      yield* quiet
      const { counts } = yield* run.status
      assert.deepStrictEqual(
        [counts.queued, counts.running],
        [0, 1],
        "one has room, the batch has not; nobody overtakes it"
      )
      yield* stage.succeed("b")
      yield* Fiber.join(first)
      yield* stage.succeed("c")
      yield* Fiber.join(second)
      yield* stage.succeed("d", "e")
      yield* until(run, (status) => status.counts.succeeded === 5)
      assert.deepStrictEqual(stage.started, ["a", "b", "c", "d", "e"])
    }))

  it.effect("adds nothing of an add that was interrupted while it waited, and lets the next one in", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* full
      const first = yield* Effect.forkChild(run.add([spec("c"), spec("d")]))
      yield* quiet
      const second = yield* Effect.forkChild(run.add([spec("e")]))
      yield* quiet
      yield* Fiber.interrupt(first)
      yield* stage.succeed("a")
      yield* Fiber.join(second)
      yield* stage.succeed("b", "e")
      yield* until(run, (status) => status.counts.succeeded === 3)
      yield* quiet
      const { counts } = yield* run.status
      assert.deepStrictEqual(counts.queued + counts.running + counts.waiting, 0)
      yield* run.add([spec("c")])
    }))

  it.effect("lets the one behind in at once when the one before it is interrupted and there is room for it", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* full
      yield* stage.succeed("a")
      yield* stage.arrived("b")
      const first = yield* Effect.forkChild(run.add([spec("c"), spec("d")]))
      yield* quiet
      const second = yield* Effect.forkChild(run.add([spec("e")]))
      yield* quiet
      assert.strictEqual((yield* Effect.flip(run.work("e")))._tag, "WorkNotFound")
      yield* Fiber.interrupt(first)
      yield* Fiber.join(second)
    }))

  it.effect("refuses a batch that is larger than it may ever hold, at once", () =>
    Effect.gen(function*() {
      const { run } = yield* full
      const error = yield* Effect.flip(run.add([spec("c"), spec("d"), spec("e")]))
      assert.instanceOf(error, RunError.InvalidWork)
      assert.deepStrictEqual([error.field, error.value], ["capacity", "3"])
    }))

  it.effect("refuses bad specs at once, without waiting for room", () =>
    Effect.gen(function*() {
      const { run } = yield* full
      assert.strictEqual((yield* Effect.flip(run.add([spec("c", { kind: "Nope" })])))._tag, "InvalidWork")
    }))

  it.effect("answers a duplicate id with an error, at the latest when there is room", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* full
      const twice = yield* Effect.forkChild(Effect.flip(run.add([spec("a")])))
      yield* quiet
      yield* stage.succeed("a")
      assert.strictEqual((yield* Fiber.join(twice))._tag, "DuplicateWork")
      const next = yield* Effect.forkChild(run.add([spec("c")]))
      yield* Fiber.join(next)
    }))

  it.effect("is told to refuse instead: RunFull, and nothing is added", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* full
      for (
        const refused of [
          run.submit(Task, { name: "c" }, { id: "c", whenFull: "refuse" }),
          run.add([spec("c")], { whenFull: "refuse" })
        ]
      ) {
        const error = yield* Effect.flip(refused as Effect.Effect<unknown, RunError.RunFull>)
        assert.instanceOf(error, RunError.RunFull)
        assert.match(error.message, /2/)
      }
      yield* stage.succeed("a")
      yield* until(run, ({ counts }) => counts.succeeded === 1)
      yield* run.submit(Task, { name: "c" }, { id: "c", whenFull: "refuse" })
    }))

  it.effect("refuses who does not want to wait also while others wait, though there would be room for it alone", () =>
    Effect.gen(function*() {
      const { run, stage } = yield* full
      yield* stage.succeed("a")
      yield* stage.arrived("b")
      const waiting = yield* Effect.forkChild(run.add([spec("c"), spec("d")]))
      yield* quiet
      const exit = yield* Effect.exit(run.submit(Task, { name: "e" }, { id: "e", whenFull: "refuse" }))
      // Nobody overtakes those who wait.
      assert.match(Exit.isFailure(exit) ? String(exit.cause) : "it was added", /RunFull/)
      yield* stage.succeed("b")
      yield* Fiber.join(waiting)
    }))

  it.effect("answers a submit that is merged into a queued work at once: it brings nothing more", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1, capacity: 2 })
      yield* run.add([spec("a"), spec("b", { dedupe: "k" })])
      yield* stage.arrived("a")
      const merged = yield* Effect.forkChild(run.submit(Task, { name: "c" }, { dedupe: "k" }))
      yield* quiet
      const exit = merged.pollUnsafe()
      assert.isDefined(exit, "it waits for room that it does not need")
      assert.strictEqual((yield* Fiber.join(merged)).id, "b")
    }))

  it.effect("takes an add of nothing also when it is full", () =>
    Effect.gen(function*() {
      const { run } = yield* full
      yield* run.add([])
    }))

  it.effect("does not keep controls waiting behind an add that waits", () =>
    Effect.gen(function*() {
      const { run } = yield* full
      yield* Effect.forkChild(run.add([spec("c")]))
      yield* quiet
      yield* run.pause()
      yield* run.cancelWork("b")
      yield* until(run, (status) => status.counts.queued === 1)
      assert.strictEqual((yield* run.work("c")).state, "queued")
    }))

  it.effect("counts works that were cancelled or skipped as settled", () =>
    Effect.gen(function*() {
      const { run } = yield* full
      const late = yield* Effect.forkChild(run.add([spec("c")]))
      yield* quiet
      yield* run.cancelWork("b")
      yield* Fiber.join(late)
    }))

  it.effect("does not overfill itself when two settle in the same breath", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 2, capacity: 2 })
      yield* run.add([spec("a"), spec("b")])
      const adding = yield* Effect.forEach(
        ["c", "d", "e", "f"],
        (id) => Effect.forkChild(run.add([spec(id)]))
      )
      yield* quiet
      yield* stage.succeed("a", "b")
      yield* Fiber.join(adding[1]!)
      yield* quiet
      const { counts } = yield* run.status
      assert.deepStrictEqual(counts.queued + counts.running, 2)
      yield* stage.succeed("c", "d", "e", "f")
      yield* Effect.forEach(adding, Fiber.join)
    }))

  it.effect("tells who waits that the run was suspended, cancelled, or closed with its scope", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      for (const end of ["suspend", "cancel"] as const) {
        const { run } = yield* full
        const waiting = yield* Effect.forkChild(Effect.flip(run.add([spec("c")])))
        yield* quiet
        yield* run[end]()
        told.push((yield* Fiber.join(waiting))._tag)
        assert.strictEqual((yield* Effect.flip(run.work("c")))._tag, "WorkNotFound")
      }
      assert.deepStrictEqual(told, ["RunNotAccepting", "RunNotAccepting"])
      const { engine } = yield* laboratory
      const waiting = yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1, capacity: 1 })
        yield* run.add([spec("a")])
        const fiber = yield* Effect.forkDetach(Effect.exit(run.add([spec("c")])))
        yield* quiet
        return fiber
      }))
      assert.isTrue(Exit.isFailure(yield* Fiber.join(waiting)))
    }))

  it.effect("tells who waits that the journal has failed", () =>
    Effect.gen(function*() {
      const { run, stage, state } = yield* full
      const waiting = yield* Effect.forkChild(Effect.flip(run.add([spec("c")])))
      yield* quiet
      state.dead = true
      yield* stage.succeed("a")
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "JournalError")
    }))

  it.effect("counts what a restart finds unsettled", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.add([spec("a"), spec("b"), spec("c")])
      }))
      const run = yield* engine.open("r", { concurrency: 1, capacity: 2 })
      const waiting = yield* Effect.forkChild(run.add([spec("d")]))
      yield* quiet
      assert.strictEqual((yield* Effect.flip(run.work("d")))._tag, "WorkNotFound")
      yield* run.select({ ids: ["b", "c"] }).cancel()
      yield* Fiber.join(waiting)
    }))

  it.effect("that is no whole number from 1 is refused", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      for (const capacity of [0, -1, 1.5, Number.NaN]) {
        const error = yield* Effect.flip(engine.open("r", { concurrency: 1, capacity }))
        assert.instanceOf(error, RunError.InvalidWork)
        assert.strictEqual(error.field, "capacity")
      }
    }))

  it.effect("is not bypassed by the first works of a start, and a start does not hang on it", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const exit = yield* Effect.exit(
        engine.start("r", { concurrency: 1, capacity: 1, works: [spec("quick-a"), spec("quick-b")] })
      )
      if (Exit.isSuccess(exit)) yield* exit.value.await
      else assert.match(String(exit.cause), /capacity/)
    }))
})

class Parent extends WorkKind.make("Parent", { payload: { children: Schema.Int } }) {}
class Family extends WorkEngine.Service<Family>()("test/unit/Family", { kinds: [Parent, Other] }) {}

describe("children of a full run", () => {
  it.effect("are always let in, so that a handler never waits for room", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const engine = yield* engineOf(
        Family,
        Layer.mergeAll(
          Parent.toLayer(({ children }) =>
            Effect.forEach(Array.from({ length: children }), () => Family.spawn(Other, { name: "child" }), {
              discard: true
            })
          ),
          Other.toLayer(({ name }) => Effect.succeed(name))
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 1, capacity: 1 })
      yield* run.submit(Parent, { children: 50 })
      const late = yield* run.submit(Other, { name: "late" })
      assert.strictEqual(yield* late.await, "late")
      assert.strictEqual((yield* run.status).counts.succeeded, 52)
    }))
})
