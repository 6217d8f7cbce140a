import { type CurrentWork, Progress, Slots, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { engineOf, mortalJournal, quiet, tale, until } from "./laboratory.ts"

class Ghost extends WorkKind.make("Ghost", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Schema.String,
  grace: "1 second",
  timeout: "1 minute",
  stallAfter: "20 seconds",
  retry: Schedule.recurs(1)
}) {}
class Leaf extends WorkKind.make("Leaf", { payload: { name: Schema.String } }) {}
class Ghosts extends WorkEngine.Service<Ghosts>()("test/unit/Ghosts", { kinds: [Ghost, Leaf] }) {}

/**
 * The first handler of "a" hears nothing until the test lets it go, and then does what the test says, as a ghost. The second one
 * lives, and waits.
 */
const haunted = (
  haunt: Effect.Effect<unknown, string, CurrentWork.CurrentWork>,
  alive: Effect.Effect<unknown, string, CurrentWork.CurrentWork>
) =>
  Effect.gen(function*() {
    const { layer, state } = yield* mortalJournal
    const awake = yield* Deferred.make<void>()
    const gone = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
    const gate = yield* Deferred.make<void>()
    let begun = 0
    const handlers = Layer.mergeAll(
      Ghost.toLayer(({ name }) => {
        if (name !== "a") return Effect.succeed(name)
        begun += 1
        return begun === 1
          ? Effect.uninterruptible(Effect.gen(function*() {
            yield* Deferred.await(awake)
            yield* Deferred.succeed(gone, yield* Effect.exit(haunt))
            return "from the grave"
          }))
          : Effect.as(Effect.andThen(alive, Deferred.await(gate)), "alive")
      }),
      Leaf.toLayer(() => Effect.void)
    )
    const engine = yield* engineOf(Ghosts, handlers, layer)
    const run = yield* engine.open("r", { concurrency: 1, pools: { bench: 1 } })
    const job = yield* run.submit(Ghost, { name: "a" }, { id: "a" })
    yield* until(run, ({ counts }) => counts.running === 1)
    yield* quiet
    yield* TestClock.adjust("20 seconds")
    yield* TestClock.adjust("1 second")
    yield* until(run, ({ counts, retries, stuck }) => retries === 1 && counts.running === 1 && stuck.length === 1)
    yield* quiet
    return { engine, run, job, gate, state, wake: Effect.andThen(Deferred.succeed(awake, undefined), quiet), gone }
  })

describe("a handler that was given up", () => {
  it.effect("does not end the attempt that took its place", () =>
    Effect.gen(function*() {
      const { gate, job, run, wake } = yield* haunted(Effect.void, Effect.void)
      yield* wake
      assert.strictEqual((yield* run.work("a")).state, "running")
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* job.await, "alive")
    }))

  it.effect("does not show its progress, nor its step, as that of the attempt that took its place", () =>
    Effect.gen(function*() {
      const { run, wake } = yield* haunted(
        Effect.andThen(Progress.report({ current: 99 }), Step.run("ghostly", Schema.Void, Effect.void)),
        Progress.report({ current: 1 })
      )
      yield* wake
      const { running } = yield* run.status
      assert.deepStrictEqual(running.map(({ attempt, progress, step }) => [attempt, progress?.current, step]), [[
        2,
        1,
        undefined
      ]])
    }))

  it.effect("does not keep the attempt that took its place alive by its signs of life", () =>
    Effect.gen(function*() {
      const { run, wake } = yield* haunted(
        Effect.forkDetach(Effect.forever(Effect.andThen(Effect.sleep("5 seconds"), Progress.heartbeat))),
        Effect.void
      )
      yield* wake
      yield* TestClock.adjust("21 seconds")
      yield* quiet
      assert.deepStrictEqual((yield* run.work("a")).failures.map(({ failure }) => failure._tag), ["Stalled", "Stalled"])
    }))

  it.effect("cannot release what the attempt that took its place holds, nor take slots", () =>
    Effect.gen(function*() {
      const { gate, job, run, wake } = yield* haunted(
        Effect.andThen(Slots.release("bench"), Effect.forkDetach(Slots.hold("other", { bench: 1 }))),
        Slots.hold("bench", { bench: 1 })
      )
      assert.deepStrictEqual((yield* run.status).pools, { bench: { size: 1, used: 1 } })
      yield* wake
      assert.deepStrictEqual((yield* run.status).pools, { bench: { size: 1, used: 1 } })
      assert.deepStrictEqual((yield* run.status).running.map(({ waitingFor }) => waitingFor), [undefined])
      yield* Deferred.succeed(gate, undefined)
      yield* job.await
      assert.deepStrictEqual((yield* run.status).pools, { bench: { size: 1, used: 0 } })
    }))

  it.effect("leaves no children, and none under the names of the other's", () =>
    Effect.gen(function*() {
      const { engine, gate, job, run, wake } = yield* haunted(
        Ghosts.spawn(Leaf, { name: "ghost" }),
        Ghosts.spawn(Leaf, { name: "living" })
      )
      yield* wake
      yield* Deferred.succeed(gate, undefined)
      yield* job.await
      yield* until(run, ({ counts }) => counts.succeeded === 2)
      const children = (yield* engine.history("r")).flatMap(({ event }) =>
        event._tag === "WorkSucceeded" ? event.children : []
      )
      assert.deepStrictEqual(children.map(({ payload }) => payload), [{ name: "living" }])
    }))

  it.effect("does not hang the close of the run when it asks for something after it", () =>
    Effect.gen(function*() {
      const { engine, wake, gone } = yield* haunted(
        Effect.asVoid(Step.run("late", Schema.Void, Effect.void)),
        Effect.void
      )
      yield* wake
      yield* quiet
      assert.isFalse((yield* tale(engine, "r")).includes("StepRecorded a"))
      const poll = yield* Deferred.poll(gone)
      if (poll._tag === "Some") assert.isTrue(Exit.isFailure(yield* poll.value), "a fenced step does not succeed")
    }))
})

describe("a fiber that a handler has left behind", () => {
  it.effect("says nothing for its work after the end, takes no slots, and does not harm the run", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const awake = yield* Deferred.make<void>()
      const said: Array<string> = []
      const engine = yield* engineOf(
        Ghosts,
        Layer.mergeAll(
          Ghost.toLayer(({ name }) =>
            name === "a"
              ? Effect.as(
                Effect.forkDetach(Effect.gen(function*() {
                  yield* Deferred.await(awake)
                  yield* Progress.report({ current: 1 })
                  yield* Effect.forkDetach(Slots.hold("bench", { bench: 1 }))
                  yield* Ghosts.spawn(Leaf, { name: "late" })
                  yield* Effect.exit(Step.run("late", Schema.Void, Effect.sync(() => void said.push("acts"))))
                })),
                "done"
              )
              : Effect.succeed(name)
          ),
          Leaf.toLayer(() => Effect.void)
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 1, pools: { bench: 1 } })
      assert.strictEqual(yield* (yield* run.submit(Ghost, { name: "a" }, { id: "a" })).await, "done")
      yield* Deferred.succeed(awake, undefined)
      yield* quiet
      const { pools } = yield* run.status
      assert.deepStrictEqual([(yield* run.work("a")).steps, pools["bench"]?.used, said], [[], 0, []])
      assert.strictEqual(yield* (yield* run.submit(Ghost, { name: "next" }, { slots: { bench: 1 } })).await, "next")
      yield* run.retry("a")
      yield* quiet
      assert.deepStrictEqual((yield* run.work("a")).state, "succeeded")
    }))
})

describe("a handler that was given up, of a work that the run has forgotten and whose id is used again", () => {
  it.effect("says nothing for the new work", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const awake = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      let begun = 0
      const handlers = Layer.mergeAll(
        Ghost.toLayer(({ name }) => {
          if (name !== "a") return Effect.succeed(name)
          begun += 1
          return begun === 1
            ? Effect.uninterruptible(Effect.andThen(
              Deferred.await(awake),
              Effect.andThen(
                Effect.exit(Step.run("s", Schema.String, Effect.succeed("ghost"))),
                Effect.succeed("from the grave")
              )
            ))
            : Effect.andThen(Deferred.await(gate), Step.run("s", Schema.String, Effect.succeed("living")))
        }),
        Leaf.toLayer(() => Effect.void)
      )
      const engine = yield* engineOf(Ghosts, handlers, layer)
      const run = yield* engine.open("r", { concurrency: 4, retain: { count: 0 } })
      yield* run.submit(Ghost, { name: "a" }, { id: "a" })
      yield* until(run, ({ counts }) => counts.running === 1)
      yield* quiet
      yield* run.cancelWork("a")
      yield* TestClock.adjust("1 second")
      yield* until(run, ({ stuck }) => stuck.length === 1)
      yield* run.add(
        Array.from({ length: 5_000 }, (_, n) => ({ id: `w${n}`, kind: "Leaf", priority: 0, payload: { name: "" } }))
      )
      yield* until(run, ({ counts, forgotten }) => counts.queued + counts.running === 0 && forgotten > 0)
      assert.strictEqual((yield* Effect.flip(run.work("a")))._tag, "WorkNotFound")
      const job = yield* run.submit(Ghost, { name: "a" }, { id: "a" })
      yield* until(run, ({ counts }) => counts.running === 1)
      yield* quiet
      yield* Deferred.succeed(awake, undefined)
      yield* quiet
      const { state, steps } = yield* run.work("a")
      assert.deepStrictEqual([state, steps], ["running", []])
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* job.await, "living")
    }))
})

describe("a handler that was given up, of a run that was removed and begun again", () => {
  it.effect("says nothing in the new run", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const awake = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      let begun = 0
      const handlers = Layer.mergeAll(
        Ghost.toLayer(() => {
          begun += 1
          return begun === 1
            ? Effect.uninterruptible(Effect.as(Deferred.await(awake), "from the grave"))
            : Effect.as(Deferred.await(gate), "living")
        }),
        Leaf.toLayer(() => Effect.void)
      )
      const engine = yield* engineOf(Ghosts, handlers, layer)
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Ghost, { name: "a" }, { id: "a" })
        yield* until(run, ({ counts }) => counts.running === 1)
        yield* quiet
        yield* run.cancelWork("a")
        yield* TestClock.adjust("1 second")
        yield* until(run, ({ counts }) => counts.cancelled === 1)
      }))
      yield* engine.remove("r")
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Ghost, { name: "a" }, { id: "a" })
      yield* until(run, ({ counts }) => counts.running === 1)
      yield* quiet
      yield* Deferred.succeed(awake, undefined)
      yield* quiet
      assert.strictEqual((yield* run.work("a")).state, "running")
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* job.await, "living")
    }))
})
