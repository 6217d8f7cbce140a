import { CurrentWork, Progress, RunError, Slots, Step } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Ref, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Boom, Child, Jobs, laboratory, tags, Task } from "./support/jobs.ts"

describe("a run", () => {
  it.effect("runs lower priorities first, and works of equal priority in order of arrival", () =>
    Effect.gen(function*() {
      const order = yield* Ref.make<ReadonlyArray<string>>([])
      const { jobs } = yield* laboratory
      const engine = yield* jobs(({ name }) => Effect.as(Ref.update(order, (names) => [...names, name]), name))
      const spec = (id: string, priority: number) => ({ id, kind: "Task", priority, payload: { name: id } })
      const run = yield* engine.start("r", {
        concurrency: 1,
        works: [spec("late", 5), spec("a", 0), spec("b", 0), spec("urgent", -1)]
      })
      const status = yield* run.await
      assert.strictEqual(status.state, "completed")
      assert.deepStrictEqual(yield* Ref.get(order), ["urgent", "a", "b", "late"])
    }))

  it.effect("returns the typed error of a kind, after the retries that its schedule allows", () =>
    Effect.gen(function*() {
      const { jobs } = yield* laboratory
      const engine = yield* jobs(() => Effect.fail(new Boom({ why: "rain" })))
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Task, { name: "x" }, { id: "x" })
      const waiting = yield* Effect.forkChild(Effect.flip(job.await))
      yield* TestClock.adjust("2 minutes")
      const error = yield* Fiber.join(waiting)
      assert.instanceOf(error, Boom)
      const work = yield* run.work("x")
      assert.deepStrictEqual(work.failures.map(({ attempt }) => attempt), [1, 2, 3])
      assert.strictEqual(work.state, "failed")
    }))

  it.effect("lends the concurrency unit of a work that waits for slots", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { jobs } = yield* laboratory
      const engine = yield* jobs(({ name }) =>
        name === "free"
          ? Effect.succeed("ran meanwhile")
          : Step.run("measure", Schema.String, Effect.as(Deferred.await(gate), name), { slots: { machine: 1 } })
      )
      const run = yield* engine.open("r", { concurrency: 2, pools: { machine: 1 } })
      yield* run.submit(Task, { name: "a" }, { id: "a" })
      yield* run.submit(Task, { name: "b" }, { id: "b" })
      const free = yield* run.submit(Task, { name: "free" }, { id: "free" })
      assert.strictEqual(yield* free.await, "ran meanwhile")
      const status = yield* run.status
      assert.deepStrictEqual(status.running.map(({ id, waitingFor }) => [id, waitingFor?.reason._tag]), [
        ["a", undefined],
        ["b", "Slot"]
      ])
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* (yield* run.job(Task, "b")).await, "b")
    }))

  it.effect("grants a hold to every fiber of a handler that asked for it", () =>
    Effect.gen(function*() {
      const { jobs } = yield* laboratory
      const hold = Slots.hold("machine", { machine: 1 })
      const engine = yield* jobs(({ name }) => Effect.as(Effect.all([hold, hold, hold], { concurrency: 3 }), name))
      const run = yield* engine.open("r", { concurrency: 1, pools: { machine: 1 } })
      const works = yield* Effect.forEach(["a", "b"], (name) => run.submit(Task, { name }))
      assert.deepStrictEqual(yield* Effect.forEach(works, (work) => work.await), ["a", "b"])
    }))

  it.effect("returns the job that a merged work was merged into", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { jobs } = yield* laboratory
      const engine = yield* jobs(({ name }) => Effect.as(Deferred.await(gate), name))
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Task, { name: "busy" })
      const first = yield* run.submit(Task, { name: "first" }, { id: "first", dedupe: "plan" })
      const second = yield* run.submit(Task, { name: "second" }, { id: "second", dedupe: "plan" })
      assert.strictEqual(second.id, "first")
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual([yield* first.await, yield* second.await], ["first", "first"])
    }))

  it.effect("does not carry the time-out of an attempt that has ended into the next one", () =>
    Effect.gen(function*() {
      const { jobs } = yield* laboratory
      const engine = yield* jobs(() =>
        Effect.flatMap(CurrentWork.CurrentWork, ({ attempt }) =>
          attempt === 1
            ? Effect.fail(new Boom({ why: "at once" }))
            : Effect.as(Effect.sleep("3570 seconds"), "in time"))
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Task, { name: "x" })
      const waiting = yield* Effect.forkChild(job.await)
      yield* TestClock.adjust("1 minute")
      yield* TestClock.adjust("3570 seconds")
      assert.strictEqual(yield* Fiber.join(waiting), "in time")
    }))

  it.effect("answers with an error when its scope has closed, instead of waiting for ever", () =>
    Effect.gen(function*() {
      const { jobs } = yield* laboratory
      const engine = yield* jobs(({ name }) => Effect.succeed(name))
      const run = yield* Effect.scoped(engine.open("r", { concurrency: 1 }))
      const error = yield* Effect.flip(run.submit(Task, { name: "late" }))
      assert.match(error.message, /closed with its scope: open it again/)
    }))

  it.effect("does not hold the run after a start that was refused", () =>
    Effect.gen(function*() {
      const { jobs } = yield* laboratory
      const engine = yield* jobs(({ name }) => Effect.succeed(name))
      yield* Effect.scoped(engine.start("r", { concurrency: 1 }))
      const refused = yield* Effect.flip(engine.start("r", { concurrency: 1 }))
      assert.strictEqual(refused._tag, "RunExists")
      assert.strictEqual((yield* (yield* engine.resume("r", { concurrency: 1 })).status).state, "running")
    }))

  it.effect("adds the children of a work when it settles, and none of a failed try", () =>
    Effect.gen(function*() {
      const tries = yield* Ref.make(0)
      const { jobs } = yield* laboratory
      const engine = yield* jobs(({ name }) =>
        Effect.gen(function*() {
          yield* Jobs.spawn(Child, { of: name })
          yield* Jobs.spawn(Child, { of: "a failure" }, { on: "failure" })
          const n = yield* Ref.updateAndGet(tries, (count) => count + 1)
          if (n === 1) return yield* new Boom({ why: "first" })
          return name
        })
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Task, { name: "x" }, { id: "x" })
      const waiting = yield* Effect.forkChild(job.await)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(waiting)
      assert.strictEqual(yield* (yield* run.job(Child, "x/0")).await, "child of x")
      yield* run.close
      assert.strictEqual((yield* run.await).counts.succeeded, 2)
    }))

  it.effect("tells a handler's finalizer why it is interrupted, and runs onCancel with what was recorded", () =>
    Effect.gen(function*() {
      const told = yield* Ref.make<ReadonlyArray<string>>([])
      const note = (text: string) => Ref.update(told, (all) => [...all, text])
      const reached = yield* Deferred.make<void>()
      const { jobs } = yield* laboratory
      const engine = yield* jobs(
        Effect.fnUntraced(function*() {
          yield* Step.run("launch", Schema.String, Effect.succeed("job 7"))
          const work = yield* CurrentWork.CurrentWork
          yield* Deferred.succeed(reached, undefined)
          return yield* Effect.never.pipe(
            Effect.ensuring(Effect.flatMap(work.stopReason, (reason) => note(`stopped by ${reason}`)))
          )
        }),
        { onCancel: (_, { reason, recorded }) => note(`cancel ${recorded("launch", Schema.String)}: ${reason}`) }
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Task, { name: "x" }, { id: "x" })
      yield* Deferred.await(reached)
      yield* run.cancelWork("x", { actor: "ada", reason: "enough" })
      const error = yield* Effect.flip(job.await)
      assert.instanceOf(error, RunError.WorkStopped)
      assert.match(error.message, /cancelled by ada: enough/)
      assert.deepStrictEqual(yield* Ref.get(told), ["stopped by cancel", "cancel job 7: enough"])
    }))

  it.effect("turns a defect of a handler into an outcome of that work alone", () =>
    Effect.gen(function*() {
      const { jobs } = yield* laboratory
      const engine = yield* jobs(({ name }) => name === "bad" ? Effect.die(new Error("oops")) : Effect.succeed(name))
      const run = yield* engine.open("r", { concurrency: 1 })
      const bad = yield* run.submit(Task, { name: "bad" })
      const good = yield* run.submit(Task, { name: "good" })
      const error = yield* Effect.flip(bad.await)
      assert.instanceOf(error, RunError.WorkStopped)
      assert.match(error.message, /oops/)
      assert.strictEqual(yield* good.await, "good")
    }))

  it.effect("gives a late reader the same events as one who was there from the start", () =>
    Effect.gen(function*() {
      const { jobs } = yield* laboratory
      const engine = yield* jobs(({ name }) => Effect.succeed(name))
      const run = yield* engine.open("r", { concurrency: 1 })
      const early = yield* Effect.forkChild(tags(run, 7))
      yield* (yield* run.submit(Task, { name: "a" })).await
      yield* (yield* run.submit(Task, { name: "b" })).await
      const late = yield* tags(run, 7)
      assert.deepStrictEqual(yield* Fiber.join(early), late)
      assert.deepStrictEqual(late, [
        "RunStarted",
        "WorkAdded",
        "WorkStarted",
        "WorkSucceeded",
        "WorkAdded",
        "WorkStarted",
        "WorkSucceeded"
      ])
    }))

  it.effect("shows progress and the step at hand on the status", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { jobs } = yield* laboratory
      const engine = yield* jobs(({ name }) =>
        Step.run(
          "download",
          Schema.String,
          Effect.andThen(Progress.report({ current: 3, total: 10 }), Effect.as(Deferred.await(gate), name))
        )
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Task, { name: "x" })
      const seen = yield* run.changes.pipe(
        Stream.filter((status) => status.running[0]?.progress !== undefined),
        Stream.runHead
      )
      assert.deepStrictEqual(
        seen._tag === "Some" ? [seen.value.running[0]!.step, seen.value.running[0]!.progress] : [],
        [
          "download",
          { current: 3, total: 10 }
        ]
      )
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* job.await, "x")
    }))

  it.effect("pauses after the running works, and goes on when it is told", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { jobs } = yield* laboratory
      const engine = yield* jobs(({ name }) =>
        name === "slow" ? Effect.as(Deferred.await(gate), name) : Effect.succeed(name)
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Task, { name: "slow" })
      const next = yield* run.submit(Task, { name: "next" })
      yield* run.pause({ actor: "ada" })
      assert.strictEqual((yield* run.status).state, "pausing")
      yield* Deferred.succeed(gate, undefined)
      const paused = yield* run.changes.pipe(Stream.takeUntil(({ state }) => state === "paused"), Stream.runLast)
      assert.strictEqual(paused._tag === "Some" ? paused.value.counts.queued : -1, 1)
      yield* run.resume()
      assert.strictEqual(yield* next.await, "next")
    }))
})
