import { CurrentWork, Journal, Slots, Step } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Ref, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Boom, laboratory, Task } from "./support/jobs.ts"

describe("a run that is opened again", () => {
  it.effect("goes on with the delay of a retry where it was, after a restart", () =>
    Effect.gen(function*() {
      const tries = yield* Ref.make(0)
      const { jobs } = yield* laboratory
      const engine = yield* jobs(() =>
        Effect.flatMap(Ref.updateAndGet(tries, (n) => n + 1), (n) =>
          n < 3 ? Effect.fail(new Boom({ why: `try ${n}` })) : Effect.succeed("third"))
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Task, { name: "x" }, { id: "x" })
        yield* run.changes.pipe(
          Stream.takeUntil((status) =>
            status.counts.waiting === 1
          ),
          Stream.runDrain
        )
      }))
      yield* TestClock.adjust("30 seconds")
      const run = yield* engine.resume("r", { concurrency: 1 })
      assert.strictEqual((yield* run.status).counts.waiting, 1)
      const job = yield* run.job(Task, "x")
      const waiting = yield* Effect.forkChild(job.await)
      yield* TestClock.adjust("30 seconds")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(waiting), "third")
      assert.strictEqual(yield* Ref.get(tries), 3)
    }))

  it.effect("does not run a recorded step again after a suspend, nor count the attempt", () =>
    Effect.gen(function*() {
      const ran = yield* Ref.make<ReadonlyArray<string>>([])
      const reached = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const { jobs } = yield* laboratory
      const note = (name: string) => Ref.update(ran, (names) => [...names, name])
      const engine = yield* jobs(({ name }) =>
        Effect.gen(function*() {
          const first = yield* Step.run("first", Schema.String, Effect.as(note("first"), `1 ${name}`))
          yield* Deferred.succeed(reached, undefined)
          yield* Deferred.await(gate)
          const second = yield* Step.run("second", Schema.String, Effect.as(note("second"), "2"))
          const { attempt } = yield* CurrentWork.CurrentWork
          return `${first} ${second} attempt ${attempt}`
        })
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Task, { name: "x" }, { id: "x" })
        yield* Deferred.await(reached)
      }))
      yield* Deferred.succeed(gate, undefined)
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.job(Task, "x")
      assert.strictEqual(yield* job.await, "1 x 2 attempt 1")
      assert.deepStrictEqual(yield* Ref.get(ran), ["first", "second"])
    }))

  it.effect("holds slots from one step to a later one through a restart, and grants them to nobody else before", () =>
    Effect.gen(function*() {
      const inside = yield* Ref.make<ReadonlyArray<string>>([])
      const reached = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const { jobs } = yield* laboratory
      const engine = yield* jobs(({ name }) =>
        Effect.gen(function*() {
          yield* Slots.hold("machine", { machine: 1 }, { until: "poll" })
          yield* Step.run("launch", Schema.Void, Ref.update(inside, (names) => [...names, `${name} in`]))
          yield* Deferred.succeed(reached, undefined)
          yield* Deferred.await(gate)
          yield* Step.run("poll", Schema.Void, Ref.update(inside, (names) => [...names, `${name} out`]))
          return name
        })
      )
      const options = { concurrency: 4, pools: { machine: 1 } }
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", options)
        yield* run.submit(Task, { name: "a" }, { id: "a" })
        yield* Deferred.await(reached)
        yield* run.submit(Task, { name: "b" }, { id: "b", priority: -1 })
      }))
      const run = yield* engine.open("r", options)
      assert.deepStrictEqual((yield* run.status).pools, { machine: { size: 1, used: 1 } })
      yield* Deferred.succeed(gate, undefined)
      yield* (yield* run.job(Task, "b")).await
      assert.deepStrictEqual(yield* Ref.get(inside), ["a in", "a out", "b in", "b out"])
    }))

  it.effect("cleans up a cancelled work that a suspend had interrupted, when the run is then cancelled", () =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      const cleaning = yield* Deferred.make<void>()
      const tries = yield* Ref.make(0)
      const { jobs } = yield* laboratory
      const engine = yield* jobs(() => Effect.andThen(Deferred.succeed(reached, undefined), Effect.never), {
        onCancel: () =>
          Effect.flatMap(
            Ref.updateAndGet(tries, (n) => n + 1),
            (n) => n === 1 ? Effect.andThen(Deferred.succeed(cleaning, undefined), Effect.never) : Effect.void
          )
      })
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Task, { name: "x" }, { id: "x" })
      yield* Deferred.await(reached)
      yield* run.cancelWork("x")
      yield* Deferred.await(cleaning)
      yield* run.suspend()
      yield* run.cancel()
      yield* run.changes.pipe(Stream.takeUntil(({ state }) => state === "cancelled"), Stream.runDrain)
      assert.strictEqual(yield* Ref.get(tries), 2)
    }))

  it.effect("runs onCancel for a work whose process had died, when the run is opened again", () =>
    Effect.gen(function*() {
      const undone = yield* Ref.make<ReadonlyArray<string>>([])
      const reached = yield* Deferred.make<void>()
      const cleaning = yield* Deferred.make<void>()
      const mayClean = yield* Ref.make(false)
      const { jobs } = yield* laboratory
      const engine = yield* jobs(
        Effect.fnUntraced(function*() {
          yield* Step.run("launch", Schema.String, Effect.succeed("job 7"))
          yield* Deferred.succeed(reached, undefined)
          return yield* Effect.never
        }),
        {
          onCancel: Effect.fnUntraced(function*(_, cancelled) {
            yield* Deferred.succeed(cleaning, undefined)
            if (!(yield* Ref.get(mayClean))) return yield* Effect.never
            yield* Ref.update(undone, (all) => [...all, String(cancelled.recorded("launch", Schema.String))])
          })
        }
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Task, { name: "x" }, { id: "x" })
        yield* Deferred.await(reached)
        yield* run.cancelWork("x")
        yield* Deferred.await(cleaning)
      }))
      yield* Ref.set(mayClean, true)
      const run = yield* engine.open("r", { concurrency: 1, keepOpen: false })
      assert.strictEqual((yield* run.await).counts.cancelled, 1)
      assert.deepStrictEqual(yield* Ref.get(undone), ["job 7"])
    }))

  it.effect("fails a work that lives longer than its time-out, counting the time before a restart", () =>
    Effect.gen(function*() {
      const { jobs } = yield* laboratory
      const engine = yield* jobs(() => Effect.never)
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Task, { name: "x" }, { id: "x" })
        yield* run.changes.pipe(Stream.takeUntil((status) => status.counts.running === 1), Stream.runDrain)
        yield* TestClock.adjust("40 minutes")
      }))
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.changes.pipe(Stream.takeUntil((status) => status.counts.running === 1), Stream.runDrain)
      yield* TestClock.adjust("20 minutes")
      const status = yield* run.changes.pipe(Stream.takeUntil((each) => each.counts.waiting === 1), Stream.runLast)
      assert.strictEqual(status._tag, "Some")
      assert.strictEqual((yield* run.work("x")).failures[0]?.failure._tag, "TimedOut")
    }))
})

describe("a run that was created but never began, for its process died", () => {
  it.effect("is started as if it were new, and is nothing to resume", () =>
    Effect.gen(function*() {
      const { jobs, journal } = yield* laboratory
      yield* Effect.scoped(Effect.flatMap(Journal.Journal, (each) => each.open("r", { mode: "create" }))).pipe(
        Effect.provide(journal)
      )
      const engine = yield* jobs(({ name }) => Effect.succeed(name))
      const nothing = yield* Effect.flip(Effect.scoped(engine.resume("r", { concurrency: 1 })))
      assert.strictEqual(nothing._tag, "RunNotFound")
      const begun = yield* Effect.scoped(Effect.flatMap(engine.start("r", { concurrency: 1 }), (run) => run.status))
      assert.strictEqual(begun.state, "running")
      const twice = yield* Effect.flip(Effect.scoped(engine.start("r", { concurrency: 1 })))
      assert.strictEqual(twice._tag, "RunExists")
    }))
})
