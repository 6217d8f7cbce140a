import { RunError } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { engineOf, Jobs, laboratory, mortalJournal, Other, quiet, spec, Stage, Task, until } from "./laboratory.ts"

describe("opening a run", () => {
  it.effect("that is open already is refused with who has it, since when; it is free when that scope closes", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      yield* TestClock.setTime(7_000)
      const scope = yield* Scope.make()
      yield* Scope.provide(engine.open("r", { concurrency: 1, owner: "the day shift" }), scope)
      yield* TestClock.adjust(1_000)
      for (const opening of [engine.open("r", { concurrency: 1 }), engine.resume("r", { concurrency: 1 })]) {
        const error = yield* Effect.flip(Effect.scoped(opening))
        assert.instanceOf(error, RunError.RunLocked)
        const locked = error as RunError.RunLocked
        assert.deepStrictEqual([locked.runId, locked.owner, locked.since], ["r", "the day shift", 7_000])
        assert.match(locked.message, /the day shift/)
      }
      yield* Scope.close(scope, Exit.void)
      yield* engine.open("r", { concurrency: 1 })
    }))

  it.effect("by another engine on the same journal is refused too, and does not disturb the first", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const stage = new Stage()
      const handlers = Layer.mergeAll(Task.toLayer(stage.handler), Other.toLayer(stage.sure))
      const one = yield* engineOf(Jobs, handlers, layer)
      const two = yield* engineOf(Jobs, handlers, layer)
      const run = yield* one.open("r", { concurrency: 1 })
      yield* run.add([spec("a")])
      yield* stage.arrived("a")
      assert.strictEqual((yield* Effect.flip(Effect.scoped(two.open("r", { concurrency: 1 }))))._tag, "RunLocked")
      yield* stage.succeed("a")
      assert.strictEqual(yield* (yield* run.job(Task, "a")).await, "a done")
    }))

  it.effect("after a suspend is refused until its scope closes: the handle still has it", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const scope = yield* Scope.make()
      const run = yield* Scope.provide(engine.open("r", { concurrency: 1 }), scope)
      yield* run.suspend()
      assert.strictEqual((yield* Effect.flip(Effect.scoped(engine.open("r", { concurrency: 1 }))))._tag, "RunLocked")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* (yield* engine.open("r", { concurrency: 1 })).status).state, "running")
    }))

  it.effect("that exists cannot be started, and one that does not cannot be resumed", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      assert.strictEqual((yield* Effect.flip(engine.resume("r", { concurrency: 1 })))._tag, "RunNotFound")
      assert.deepStrictEqual(yield* engine.list, [])
      yield* Effect.scoped(engine.start("r", { concurrency: 1 }))
      assert.strictEqual((yield* Effect.flip(engine.start("r", { concurrency: 1 })))._tag, "RunExists")
      yield* engine.resume("r", { concurrency: 1 })
    }))

  it.effect("with options that make no sense is refused with the field, and leaves no run behind", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const bad: ReadonlyArray<readonly [string, object]> = [
        ["concurrency", { concurrency: 0 }],
        ["concurrency", { concurrency: 1.5 }],
        ["pools", { pools: { gpu: -1 } }],
        ["pools", { pools: { gpu: 0.5 } }],
        ["maxCrashes", { maxCrashes: 0 }],
        ["retain", { retain: { age: "-1 second" } }],
        ["reserveAfter", { reserveAfter: "Infinity" }]
      ]
      for (const [field, options] of bad) {
        const exit = yield* Effect.exit(
          Effect.scoped(engine.open(`r ${JSON.stringify(options)}`, { concurrency: 1, ...options }))
        )
        // Endless waiting for a reservation is a way to say "never".
        if (field === "reserveAfter" && Exit.isSuccess(exit)) continue
        assert.isTrue(Exit.isFailure(exit), JSON.stringify(options))
        assert.match(String(Exit.isFailure(exit) ? exit.cause : ""), new RegExp(field), JSON.stringify(options))
      }
      assert.deepStrictEqual((yield* engine.list).map(({ runId }) => runId).filter((id) => !id.includes("reserve")), [])
      assert.strictEqual((yield* Effect.flip(engine.open("", { concurrency: 1 })))._tag, "InvalidWork")
    }))

  it.effect("with bad works leaves no run behind", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      for (const works of [[spec("a"), spec("a")], [spec("a", { kind: "Nope" })], [spec("a", { payload: {} })]]) {
        const error = yield* Effect.flip(Effect.scoped(engine.start("r", { concurrency: 1, works })))
        assert.isTrue(error._tag === "DuplicateWork" || error._tag === "InvalidWork", error._tag)
      }
      const run = yield* engine.start("r", { concurrency: 1, works: [spec("quick")] })
      assert.strictEqual((yield* run.await).state, "completed")
    }))

  it.effect("with no works and not kept open completes at once; kept open it waits", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const empty = yield* engine.start("empty", { concurrency: 1, works: [] })
      assert.strictEqual((yield* empty.await).state, "completed")
      const open = yield* engine.open("open", { concurrency: 1 })
      assert.strictEqual((yield* open.status).state, "running")
      yield* open.close
      assert.strictEqual((yield* open.await).state, "completed")
    }))

  it.effect("by many at once is granted to one of them", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const exits = yield* Effect.forEach(
        Array.from({ length: 20 }),
        () => Effect.exit(engine.open("r", { concurrency: 1 })),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
      assert.isTrue(exits.every((exit) => Exit.isSuccess(exit) || String(exit.cause).includes("RunLocked")))
    }))

  it.effect("that was completed leaves it so until work is added, and then it waits for more", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      yield* Effect.scoped(Effect.flatMap(
        engine.start("r", { concurrency: 1, works: [spec("quick")] }),
        (run) => run.await
      ))
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual((yield* run.await).state, "completed")
      yield* (yield* run.submit(Task, { name: "quick" })).await
      yield* quiet
      assert.strictEqual((yield* run.status).state, "running", "it was opened to be kept open")
    }))

  it.effect("whose opening is interrupted leaves it free", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      for (let turns = 0; turns < 8; turns++) {
        const opening = yield* Effect.forkChild(
          Effect.scoped(Effect.andThen(engine.open("r", { concurrency: 1 }), Effect.never))
        )
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(opening)
        yield* Effect.scoped(engine.open("r", { concurrency: 1 }))
      }
    }))

  it.effect("twice in a row in one process goes on where it was each time", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      yield* Effect.scoped(
        Effect.flatMap(engine.open("r", { concurrency: 1 }), (run) => run.add([spec("a"), spec("b")]))
      )
      for (let session = 0; session < 5; session++) {
        yield* Effect.scoped(
          Effect.flatMap(
            engine.open("r", { concurrency: 1 }),
            (run) => until(run, ({ counts }) => counts.running === 1)
          )
        )
      }
      const run = yield* engine.open("r", { concurrency: 1, keepOpen: false })
      yield* stage.succeed("a", "b")
      assert.strictEqual((yield* run.await).counts.succeeded, 2)
      assert.strictEqual(stage.started.at(-1), "b")
    }))
})
