import { CurrentWork, Journal, Slots, Step } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schema, type Scope, Stream } from "effect"
import {
  engineOf,
  eventually,
  Jobs,
  laboratory,
  mortalJournal,
  Other,
  quiet,
  spec,
  Stage,
  tale,
  Task,
  until
} from "./laboratory.ts"

describe("a journal that fails in the middle", () => {
  it.effect("answers everybody who waits and everything that is asked later with JournalError, and hangs nobody", () =>
    Effect.gen(function*() {
      const { engine, stage, state } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1, capacity: 2 })
      const job = yield* run.submit(Task, { name: "a" }, { id: "a" })
      yield* run.add([spec("b")])
      yield* stage.arrived("a")
      const waiting = yield* Effect.forEach([
        job.await,
        run.await,
        run.add([spec("c")]),
        Stream.runDrain(run.events()),
        Stream.runDrain(run.changes)
      ], (each: Effect.Effect<unknown, { readonly _tag: string }, Scope.Scope>) => Effect.forkChild(Effect.flip(each)))
      yield* quiet
      state.dead = true
      const asked = yield* Effect.flip(run.pause())
      assert.strictEqual(asked._tag, "JournalError")
      assert.match(asked.message, /disk is gone/)
      for (const fiber of waiting) {
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "JournalError")
      }
      const later: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        run.status,
        run.add([spec("d")]),
        run.submit(Task, { name: "d" }),
        run.work("a"),
        run.job(Task, "a"),
        run.queue(),
        run.pause(),
        run.resume(),
        run.suspend(),
        run.cancel(),
        run.close,
        run.cancelWork("a"),
        run.pauseWork("a"),
        run.retry("a"),
        run.reprioritize("a", 1),
        run.select().cancel(),
        run.select().ids,
        run.setConcurrency(2),
        run.await,
        job.await
      ]
      for (const [n, each] of later.entries()) {
        assert.strictEqual((yield* Effect.flip(each))._tag, "JournalError", `${n}`)
      }
    }))

  it.effect("interrupts handlers with the reason journal, and records nothing of what they say", () =>
    Effect.gen(function*() {
      const { layer, state } = yield* mortalJournal
      const begun = yield* Deferred.make<void>()
      const reason = yield* Deferred.make<CurrentWork.StopReason | undefined>()
      const engine = yield* engineOf(
        Jobs,
        Layer.mergeAll(
          Task.toLayer(() =>
            Effect.gen(function*() {
              const work = yield* CurrentWork.CurrentWork
              yield* Deferred.succeed(begun, undefined)
              return yield* Effect.never.pipe(
                Effect.onInterrupt(() => Effect.flatMap(work.stopReason, (why) => Deferred.succeed(reason, why)))
              )
            })
          ),
          Other.toLayer(() => Effect.succeed(""))
        ),
        layer
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.add([spec("a")])
        yield* Deferred.await(begun)
        state.dead = true
        yield* Effect.exit(run.pause())
        assert.strictEqual(yield* Deferred.await(reason), "journal")
      }))
      state.dead = false
      assert.deepStrictEqual(yield* tale(engine, "r"), ["RunStarted", "WorkAdded a", "WorkStarted a"])
    }))

  it.effect("wakes a handler that waits for a hold and cannot be interrupted", () =>
    Effect.gen(function*() {
      const { layer, state } = yield* mortalJournal
      const stage = new Stage()
      const ended = yield* Deferred.make<string>()
      const engine = yield* engineOf(
        Jobs,
        Layer.mergeAll(
          Task.toLayer(({ name }) =>
            name === "holder"
              ? Effect.andThen(Slots.hold("bench", { bench: 1 }), stage.handler({ name }))
              : Effect.uninterruptible(Slots.hold("bench", { bench: 1 })).pipe(
                Effect.onExit((exit) => Deferred.succeed(ended, exit._tag)),
                Effect.as("")
              )
          ),
          Other.toLayer(() => Effect.succeed(""))
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 2, pools: { bench: 1 } })
      yield* run.add([spec("holder")])
      yield* stage.arrived("holder")
      yield* run.add([spec("asking")])
      yield* until(run, ({ running }) => running.some(({ waitingFor }) => waitingFor !== undefined))
      state.dead = true
      yield* Effect.exit(run.pause())
      assert.strictEqual(yield* Deferred.await(ended), "Failure")
    }))

  it.effect("on the very first event leaves nothing: the run can be started", () =>
    Effect.gen(function*() {
      const { engine, state } = yield* laboratory
      state.dead = true
      const error = yield* Effect.flip(engine.start("r", { concurrency: 1, works: [spec("quick")] }))
      assert.strictEqual(error._tag, "JournalError")
      state.dead = false
      const run = yield* engine.start("r", { concurrency: 1, works: [spec("quick")] })
      assert.strictEqual((yield* run.await).counts.succeeded, 1)
    }))

  it.effect("when the run is opened again leaves it as it was", () =>
    Effect.gen(function*() {
      const { engine, stage, state } = yield* laboratory
      yield* Effect.scoped(Effect.flatMap(engine.open("r", { concurrency: 1 }), (run) => run.add([spec("quick")])))
      state.dead = true
      assert.strictEqual((yield* Effect.flip(engine.open("r", { concurrency: 1 })))._tag, "JournalError")
      state.dead = false
      const run = yield* engine.open("r", { concurrency: 1, keepOpen: false })
      assert.strictEqual((yield* run.await).counts.succeeded, 1)
      assert.isTrue(stage.started.length >= 1)
    }))

  it.effect("while the scope closes does not hang the close", () =>
    Effect.gen(function*() {
      const { engine, stage, state } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.add([spec("a")])
        yield* stage.arrived("a")
        state.dead = true
      }))
      state.dead = false
      assert.strictEqual((yield* (yield* engine.open("r", { concurrency: 1 })).status).counts.running, 1)
    }))

  it.effect("at any append leaves a run that goes on to the same end", () =>
    Effect.gen(function*() {
      // Whatever append fails first, the run is opened again and ends as one without failures does.
      const ends = new Set<string>()
      for (let fatal = 1; fatal <= 25; fatal++) {
        const { layer, state } = yield* mortalJournal
        const stage = new Stage()
        const engine = yield* engineOf(
          Jobs,
          Layer.mergeAll(
            Task.toLayer(({ name }) =>
              Effect.gen(function*() {
                yield* Step.run("one", Schema.Void, Effect.void)
                yield* Jobs.spawn(Other, { name: "quick-child" })
                return yield* stage.handler({ name: `quick-${name}` })
              })
            ),
            Other.toLayer(stage.sure)
          ),
          layer
        )
        const works = [spec("a"), spec("b", { after: ["a"] }), spec("c", { after: ["b"] })]
        const program = (first: boolean) =>
          Effect.scoped(Effect.gen(function*() {
            const run = yield* first
              ? engine.start("r", { concurrency: 2, works })
              : engine.open("r", { concurrency: 2, keepOpen: false, maxCrashes: 99 })
            return yield* run.await
          }))
        state.appends = 0
        // The appends count: from this one on the journal is dead.
        const watcher = yield* Effect.forkChild(Effect.gen(function*() {
          while (state.appends < fatal) yield* Effect.yieldNow
          state.dead = true
        }))
        const exit = yield* Effect.exit(program(true))
        yield* Fiber.interrupt(watcher)
        state.dead = false
        if (Exit.isFailure(exit)) {
          const [info] = yield* engine.list
          const status = yield* program((info?.lastSeq ?? 0) === 0)
          ends.add(JSON.stringify(status.counts))
        } else {
          ends.add(JSON.stringify(exit.value.counts))
        }
        const told = yield* tale(engine, "r")
        for (const id of ["a", "b", "c"]) {
          assert.strictEqual(told.filter((line) => line === `WorkSucceeded ${id}`).length, 1, `${fatal}: ${id}`)
          assert.strictEqual(told.filter((line) => line === `StepRecorded ${id}`).length, 1, `${fatal}: ${id}`)
        }
      }
      assert.deepStrictEqual([...ends], [JSON.stringify({
        queued: 0,
        waiting: 0,
        blocked: 0,
        running: 0,
        cancelling: 0,
        cleaning: 0,
        succeeded: 6,
        failed: 0,
        skipped: 0,
        cancelled: 0
      })])
    }))
})

describe("a journal whose snapshot fails", () => {
  it.effect(
    "does not stop the run: it is told among the background errors, and tried again later",
    () =>
      Effect.gen(function*() {
        const memory = yield* Layer.build(Journal.layerMemory)
        const journal = yield* Effect.provide(Journal.Journal, memory)
        let fails = true
        let saved = 0
        const layer = Layer.succeed(
          Journal.Journal,
          Journal.Journal.of({
            ...journal,
            open: (runId, options) =>
              Effect.map(journal.open(runId, options), (writer) => ({
                ...writer,
                saveSnapshot: (snapshot) =>
                  Effect.suspend(() => {
                    if (fails) {
                      return Effect.fail(
                        new Journal.JournalError({ operation: "snapshot", runId, message: "no room for it" })
                      )
                    }
                    saved += 1
                    return writer.saveSnapshot(snapshot)
                  })
              }))
          })
        )
        const stage = new Stage()
        const engine = yield* engineOf(
          Jobs,
          Layer.mergeAll(Task.toLayer(stage.handler), Other.toLayer(stage.sure)),
          layer
        )
        const run = yield* engine.open("r", { concurrency: 8, retain: { count: 100 } })
        const batch = (from: number) => run.add(Array.from({ length: 20_000 }, (_, n) => spec(`quick${from + n}`)))
        yield* batch(0)
        yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === 20_000)
        yield* quiet
        yield* eventually(
          Effect.map(run.status, ({ backgroundErrors }) => /no room for it/.test(backgroundErrors.join())),
          "the failure is told"
        )
        assert.strictEqual((yield* run.status).state, "running")
        fails = false
        yield* batch(20_000)
        yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === 40_000)
        yield* eventually(Effect.sync(() => saved > 0), "a snapshot is saved")
      }),
    30_000
  )
})
