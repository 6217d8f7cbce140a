import { CurrentWork, Journal, Progress, RunError, Slots, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Ref, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

class Boom extends Schema.TaggedError<Boom>()("Boom", { why: Schema.String }) {}

class Task extends WorkKind.make("Task", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  retry: Schedule.spaced("1 minute").pipe(Schedule.upTo({ times: 2 })),
  timeout: "1 hour"
}) {}

class Child extends WorkKind.make("Child", { payload: { of: Schema.String }, success: Schema.String }) {}

class Jobs extends WorkEngine.Service<Jobs>()("test/Jobs", { kinds: [Task, Child] }) {}

type TaskHandler = (payload: { readonly name: string }) => Effect.Effect<string, Boom, CurrentWork.CurrentWork>

interface TaskOptions {
  readonly onCancel: (
    payload: { readonly name: string },
    cancelled: WorkKind.Cancelled
  ) => Effect.Effect<void, unknown, CurrentWork.CurrentWork>
}

/** An engine on one memory journal, so that a run can be opened again as another process would. */
const laboratory = Effect.gen(function*() {
  const journal = yield* Layer.build(Journal.layerMemory)
  const jobs = (handler: TaskHandler, options?: TaskOptions) =>
    Effect.map(
      Layer.build(Jobs.layer.pipe(
        Layer.provide([Task.toLayer(handler, options), Child.toLayer(({ of }) => Effect.succeed(`child of ${of}`))]),
        Layer.provide(Layer.succeedContext(journal))
      )),
      (context) => Effect.provide(Jobs, context)
    ).pipe(Effect.flatten)
  return { jobs, journal }
})

const tags = (
  run: { readonly events: () => Stream.Stream<{ readonly event: { readonly _tag: string } }, unknown> },
  count: number
) => run.events().pipe(Stream.map(({ event }) => event._tag), Stream.take(count), Stream.runCollect)

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

describe("bad input", () => {
  it.effect("is refused with the field, the value and what is allowed, and nothing is added", () =>
    Effect.gen(function*() {
      const { jobs } = yield* laboratory
      const engine = yield* jobs(({ name }) => Effect.succeed(name))
      const run = yield* engine.open("r", { concurrency: 1 })
      const good = { id: "good", kind: "Task", priority: 0, payload: { name: "g" } }
      const messages = yield* Effect.forEach([
        { ...good, id: "k", kind: "Tusk" },
        { ...good, id: "p", payload: { nome: 1 } },
        { ...good, id: "n", priority: Number.NaN },
        { ...good, id: "s", slots: { gpu: 1 } },
        { ...good, id: "" }
      ], (bad) => Effect.map(Effect.flip(run.add([good, bad])), (error) => `${error._tag} ${error.message}`))
      assert.match(messages[0]!, /InvalidWork.*"k".*"Tusk".*Task, Child/)
      assert.match(messages[1]!, /InvalidWork.*"p".*"Task"/s)
      assert.match(messages[2]!, /InvalidWork.*"n"/s)
      assert.match(messages[3]!, /InvalidWork.*"s".*"gpu".*pools/)
      assert.match(messages[4]!, /InvalidWork/)
      assert.strictEqual((yield* run.status).counts.queued + (yield* run.status).counts.succeeded, 0)
      yield* run.add([good])
      const twice = yield* Effect.flip(run.add([good]))
      assert.strictEqual(twice._tag, "DuplicateWork")
      const options = yield* Effect.flip(engine.open("other", { concurrency: 0 }))
      assert.match(options.message, /concurrency cannot be 0: it must be a whole number from 1/)
    }))

  it.effect("in a step's name is a defect that tells the remedy", () =>
    Effect.gen(function*() {
      const { jobs } = yield* laboratory
      const engine = yield* jobs(() =>
        Effect.andThen(
          Step.run("same", Schema.Void, Effect.void),
          Effect.as(Step.run("same", Schema.Void, Effect.void), "x")
        )
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Task, { name: "x" })
      const error = yield* Effect.flip(job.await)
      assert.match(error.message, /uses the step name "same" twice/)
    }))
})

describe("a journal that fails", () => {
  it.effect("leaves the run as the journal has it: callers are told, handlers are stopped, the run can be opened again", () =>
    Effect.gen(function*() {
      const memory = yield* Layer.build(Journal.layerMemory)
      const appends = yield* Ref.make(0)
      const failing = Layer.effect(
        Journal.Journal,
        Effect.map(Effect.provide(Journal.Journal, memory), (journal) =>
          Journal.Journal.of({
            ...journal,
            open: (runId, options) =>
              Effect.map(journal.open(runId, options), (writer) => ({
                ...writer,
                append: (events, version) =>
                  Effect.flatMap(Ref.updateAndGet(appends, (n) => n + 1), (n) =>
                    n === 3
                      ? Effect.fail(new Journal.JournalError({ operation: "append", runId, message: "disk full" }))
                      : writer.append(events, version))
              }))
          }))
      )
      const reason = yield* Deferred.make<CurrentWork.StopReason | undefined>()
      const engineOn = (journal: Layer.Layer<Journal.Journal>, handler: TaskHandler) =>
        Effect.flatMap(
          Layer.build(Jobs.layer.pipe(
            Layer.provide([Task.toLayer(handler), Child.toLayer(() => Effect.succeed(""))]),
            Layer.provide(journal)
          )),
          (context) => Effect.provide(Jobs, context)
        )
      yield* Effect.scoped(Effect.gen(function*() {
        const engine = yield* engineOn(
          failing,
          () =>
            Effect.flatMap(CurrentWork.CurrentWork, (work) =>
              Effect.never.pipe(
                // A finalizer that needs a while, as one that ends a process does: the close has to wait for it.
                Effect.ensuring(
                  Effect.andThen(
                    Effect.yieldNow,
                    Effect.flatMap(work.stopReason, (why) => Deferred.succeed(reason, why))
                  )
                )
              ))
        )
        const run = yield* engine.open("r", { concurrency: 1 })
        const job = yield* run.submit(Task, { name: "x" }, { id: "x" })
        const lost = yield* Effect.flip(run.submit(Task, { name: "y" }, { id: "y" }))
        assert.match(lost.message, /disk full/)
        assert.match((yield* Effect.flip(job.await)).message, /disk full/)
        assert.match((yield* Effect.flip(run.await)).message, /disk full/)
        assert.strictEqual(yield* Deferred.await(reason), "journal")
      }))
      const engine = yield* engineOn(Layer.succeedContext(memory), ({ name }) => Effect.succeed(`again ${name}`))
      const run = yield* engine.open("r", { concurrency: 1, keepOpen: false })
      assert.strictEqual((yield* run.await).counts.succeeded, 1)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(run.work("y"))))
    }))
})
