import { CurrentWork, RunError, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Boom, engineOf, mortalJournal, noted, quiet, spec, until } from "./laboratory.ts"

/** What the handler of a test does in each try, told by the name in the payload. */
type Script = (
  work: CurrentWork.CurrentWork["Service"]
) => Effect.Effect<string, Boom, CurrentWork.CurrentWork>

const payload = { name: Schema.String }
const success = Schema.String

class Patient extends WorkKind.make("Patient", {
  payload,
  success,
  error: Boom,
  retry: Schedule.exponential("1 second").pipe(Schedule.upTo({ times: 3 })),
  retryIf: (failure) => !(failure._tag === "Boom" && failure.why === "hopeless")
}) {}
class Again extends WorkKind.make("Again", {
  payload,
  success,
  error: Boom,
  retry: Schedule.recurs(2),
  retryFrom: (failure) => failure._tag === "Boom" ? failure.why : undefined
}) {}
class Broken extends WorkKind.make("Broken", {
  payload,
  success,
  error: Boom,
  retry: Schedule.recurs(2),
  retryIf: (failure) => {
    if (failure._tag === "Boom" && failure.why === "if") throw new Error("retryIf broke")
    return true
  },
  retryFrom: (failure) => {
    if (failure._tag === "Boom" && failure.why === "from") throw new Error("retryFrom broke")
    return undefined
  }
}) {}
class Bounded extends WorkKind.make("Bounded", {
  payload,
  success,
  error: Boom,
  retry: Schedule.spaced("1 minute").pipe(Schedule.upTo({ duration: "150 seconds" }))
}) {}
class Plain extends WorkKind.make("Plain", { payload, success, error: Boom }) {}
class Retries
  extends WorkEngine.Service<Retries>()("test/unit/Retries", { kinds: [Patient, Again, Broken, Bounded, Plain] }) {}

const retries = Effect.fnUntraced(function*(script: Script) {
  const { layer, state } = yield* mortalJournal
  const handler = () => Effect.flatMap(CurrentWork.CurrentWork, script)
  const handlers = Layer.mergeAll(
    Patient.toLayer(handler),
    Again.toLayer(handler),
    Broken.toLayer(handler),
    Bounded.toLayer(handler),
    Plain.toLayer(handler)
  )
  return { engine: yield* engineOf(Retries, handlers, layer), state }
})

const boom = (why: string) => Effect.fail(new Boom({ why }))

describe("a kind's retry schedule", () => {
  it.effect("gives its delays one after the other, and the last error when it ends", () =>
    Effect.gen(function*() {
      const times: Array<number> = []
      const { engine } = yield* retries(({ attempt }) =>
        Effect.andThen(
          Effect.map(Clock.currentTimeMillis, (now) => times.push(now)),
          boom(`try ${attempt}`)
        )
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Patient, { name: "x" }, { id: "x" })
      yield* TestClock.adjust("1 minute")
      const error = yield* Effect.flip(job.await)
      assert.instanceOf(error, Boom)
      assert.strictEqual((error as Boom).why, "try 4")
      assert.deepStrictEqual(times, [0, 1_000, 3_000, 7_000])
      const { failures, state } = yield* run.work("x")
      assert.strictEqual(state, "failed")
      assert.deepStrictEqual(failures.map(({ attempt }) => attempt), [1, 2, 3, 4])
      assert.strictEqual((yield* run.status).retries, 3)
    }))

  it.effect("is not asked about a failure that may not be retried", () =>
    Effect.gen(function*() {
      let tries = 0
      const { engine } = yield* retries(() => Effect.suspend(() => boom(++tries === 2 ? "hopeless" : "rain")))
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Patient, { name: "x" })
      yield* TestClock.adjust("1 minute")
      yield* Effect.flip(job.await)
      assert.strictEqual(tries, 2)
    }))

  it.effect("shows the work as waiting until the time of the next try", () =>
    Effect.gen(function*() {
      const { engine } = yield* retries(() => boom("rain"))
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Patient, { name: "x" }, { id: "x" })
      const { waiting } = yield* until(run, (status) => status.counts.waiting === 1)
      assert.deepStrictEqual(waiting, [{ kind: "Patient", reason: { _tag: "Until", at: 1_000 }, count: 1 }])
    }))

  it.effect("lends the unit while the work waits, and gives the work its old place in the queue", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const { engine } = yield* retries(({ attempt, spec: { id } }) =>
        Effect.suspend(() => {
          order.push(`${id}${attempt}`)
          if (id === "a" && attempt === 1) return boom("rain")
          return id === "b" ? Effect.as(Effect.sleep("5 seconds"), id) : Effect.succeed(id)
        })
      )
      const run = yield* engine.start("r", {
        concurrency: 1,
        works: [spec("a", { kind: "Patient" }), spec("b", { kind: "Patient" }), spec("c", { kind: "Patient" })]
      })
      yield* TestClock.adjust("1 minute")
      yield* run.await
      assert.deepStrictEqual(order, ["a1", "b1", "a2", "c1"])
    }))

  it.effect("does not count a try that a suspend has cut short", () =>
    Effect.gen(function*() {
      const attempts: Array<number> = []
      const { engine } = yield* retries(({ attempt }) =>
        Effect.suspend(() => {
          attempts.push(attempt)
          return attempts.length === 2 ? Effect.never : attempts.length < 4 ? boom("rain") : Effect.succeed("done")
        })
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Patient, { name: "x" }, { id: "x" })
        yield* TestClock.adjust("1 second")
        yield* until(run, ({ counts, retries }) => retries === 1 && counts.running === 1)
      }))
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* (yield* run.job(Patient, "x")).await, "done")
      assert.deepStrictEqual(attempts, [1, 2, 2, 3])
    }))

  it.effect("that ends after a time ends at the same try with restarts in between as without", () =>
    Effect.gen(function*() {
      const tries: Array<ReadonlyArray<number>> = []
      for (const restarts of [false, true]) {
        const times: Array<number> = []
        const { engine } = yield* retries(() =>
          Effect.andThen(Effect.map(Clock.currentTimeMillis, (now) => times.push(now)), boom("rain"))
        )
        const begun = yield* Clock.currentTimeMillis
        yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* engine.open("r", { concurrency: 1 })
          yield* run.submit(Bounded, { name: "x" }, { id: "x" })
          yield* quiet
          if (!restarts) yield* TestClock.adjust("10 minutes")
          yield* quiet
        }))
        for (let minute = 0; minute < 10; minute++) {
          yield* Effect.scoped(Effect.gen(function*() {
            const run = yield* engine.open("r", { concurrency: 1 })
            yield* TestClock.adjust("1 minute")
            yield* quiet
            if (minute === 9) assert.strictEqual((yield* run.work("x")).state, "failed")
          }))
        }
        tries.push(times.map((time) => time - begun))
      }
      assert.deepStrictEqual(tries[1], tries[0])
      assert.deepStrictEqual(tries[0], [0, 60_000, 120_000, 180_000])
    }))

  it.effect("of a kind that has none retries nothing", () =>
    Effect.gen(function*() {
      let tries = 0
      const { engine } = yield* retries(() => Effect.suspend(() => boom(`${++tries}`)))
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* Effect.flip((yield* run.submit(Plain, { name: "x" })).await)
      assert.strictEqual(tries, 1)
    }))

  it.effect("is beaten by a cancel while the work waits for its time", () =>
    Effect.gen(function*() {
      let tries = 0
      const { engine } = yield* retries(() => Effect.suspend(() => boom(`${++tries}`)))
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Patient, { name: "x" }, { id: "x" })
      yield* until(run, (status) => status.counts.waiting === 1)
      yield* run.cancelWork("x")
      assert.strictEqual((yield* run.work("x")).state, "cancelled")
      yield* TestClock.adjust("1 hour")
      yield* quiet
      assert.strictEqual(tries, 1)
    }))
})

describe("what is no typed error", () => {
  const fatal = Effect.fnUntraced(function*(script: Script) {
    let tries = 0
    const { engine } = yield* retries((work) =>
      Effect.suspend(() => {
        tries += 1
        return script(work)
      })
    )
    const run = yield* engine.open("r", { concurrency: 1 })
    const job = yield* run.submit(Patient, { name: "x" }, { id: "x" })
    yield* TestClock.adjust("1 minute")
    const error = yield* Effect.flip(job.await)
    assert.instanceOf(error, RunError.WorkStopped)
    assert.strictEqual(tries, 1)
    assert.strictEqual((yield* run.status).state, "running")
    return error.reason
  })
  const defect = (script: Script) =>
    Effect.map(fatal(script), (reason) => {
      assert.strictEqual(reason._tag, "Defect")
      return reason._tag === "Defect" ? reason : undefined!
    })

  it.effect("a thrown defect, is not retried, and keeps its message and stack", () =>
    Effect.gen(function*() {
      const { message, stack } = yield* defect(() => Effect.die(new Error("oops")))
      assert.match(message, /oops/)
      assert.match(String(stack), /Retry\.test/)
    }))

  it.effect("a throw before the effect is made, too", () =>
    Effect.gen(function*() {
      const { message } = yield* defect(() => {
        throw new Error("synchronously")
      })
      assert.match(message, /synchronously/)
    }))

  it.effect("a defect that is no Error, too", () =>
    Effect.gen(function*() {
      for (const odd of [undefined, null, 7, "text", { strange: true }, Symbol("s"), 7n]) {
        const { message } = yield* defect(() => Effect.die(odd))
        assert.isString(message)
      }
    }))

  it.effect("a handler that interrupts itself is over: it is neither suspended nor started for ever", () =>
    Effect.gen(function*() {
      const { message } = yield* defect(() => Effect.interrupt)
      assert.match(message, /interrupt/i)
    }))

  it.effect("an error that the kind does not declare", () =>
    Effect.gen(function*() {
      yield* defect(() => Effect.fail({ _tag: "Elsewhere" }) as never)
    }))

  it.effect("a success that the kind's schema does not encode", () =>
    Effect.gen(function*() {
      yield* defect(() => Effect.succeed(7 as never))
    }))

  it.effect("a result that is larger than a record may be", () =>
    Effect.gen(function*() {
      const { message } = yield* defect(() => Effect.succeed("x".repeat(1_048_577)))
      assert.match(message, /1,?048,?576/)
    }))

  it.effect("an error that is larger than a record may be", () =>
    Effect.gen(function*() {
      const { message } = yield* defect(() => boom("x".repeat(1_048_577)))
      assert.match(message, /1,?048,?576/)
    }))

  it.effect("a defect whose message is huge is kept within the size of a record", () =>
    Effect.gen(function*() {
      const { message } = yield* defect(() => Effect.die(new Error("y".repeat(3_000_000))))
      assert.isTrue(message.length <= 1_048_576)
    }))

  it.effect("a defect in a finalizer after a typed error is a defect: the error alone would hide it", () =>
    Effect.gen(function*() {
      const { message } = yield* defect(() => Effect.ensuring(boom("rain"), Effect.die(new Error("finalizer broke"))))
      assert.match(message, /finalizer broke/)
    }))

  it.effect("a policy that throws is a defect of that work alone", () =>
    Effect.gen(function*() {
      for (const why of ["if", "from"]) {
        const { engine } = yield* retries(({ spec: { id } }) => id === "good" ? Effect.succeed("good") : boom(why))
        const run = yield* engine.open("r", { concurrency: 1 })
        const bad = yield* run.submit(Broken, { name: "bad" })
        const good = yield* run.submit(Broken, { name: "good" }, { id: "good" })
        const error = yield* Effect.flip(bad.await)
        assert.match(error.message, new RegExp(`retry${why === "if" ? "If" : "From"} broke`))
        assert.strictEqual(yield* good.await, "good")
      }
    }))
})

describe("a retry from a step", () => {
  const ran: Array<string> = []
  const step = (name: string) => Step.run(name, Schema.String, Effect.sync(() => noted(ran, name, name)))
  const from = (why: string, times = 1): Script => {
    let tries = 0
    ran.length = 0
    return Effect.fnUntraced(function*(work) {
      yield* step("one")
      yield* step("two")
      yield* step("three")
      const told = `${work.generation}/${work.attempt} ${work.idempotencyKey("k")}`
      if (++tries <= times) return yield* boom(why)
      return told
    })
  }

  it.effect("drops that step and all later ones, keeps the earlier, and begins a new generation", () =>
    Effect.gen(function*() {
      const { engine } = yield* retries(from("two"))
      const run = yield* engine.open("r", { concurrency: 1 })
      const told = yield* (yield* run.submit(Again, { name: "x" }, { id: "x" })).await
      assert.deepStrictEqual(ran, ["one", "two", "three", "two", "three"])
      assert.match(told, /^1\/\d+ r\/x\/1\/k$/)
      const work = yield* run.work("x")
      assert.deepStrictEqual([work.generation, work.steps], [1, ["one", "two", "three"]])
      assert.deepStrictEqual(work.failures.length, 1)
    }))

  it.effect("that is not recorded keeps all steps, and the generation", () =>
    Effect.gen(function*() {
      const { engine } = yield* retries(from("nowhere"))
      const run = yield* engine.open("r", { concurrency: 1 })
      const told = yield* (yield* run.submit(Again, { name: "x" }, { id: "x" })).await
      assert.deepStrictEqual(ran, ["one", "two", "three"])
      assert.match(told, /^0\/2 r\/x\/0\/k$/)
    }))

  it.effect("does not make the schedule endless: new generations count towards it", () =>
    Effect.gen(function*() {
      const { engine } = yield* retries(from("one", 1_000))
      const run = yield* engine.open("r", { concurrency: 1 })
      const job = yield* run.submit(Again, { name: "x" }, { id: "x" })
      yield* TestClock.adjust("1 hour")
      const error = yield* Effect.flip(job.await)
      assert.instanceOf(error, Boom)
      assert.strictEqual(ran.length, 9)
    }))

  it.effect("survives a restart between the failure and the next try", () =>
    Effect.gen(function*() {
      const { engine, state } = yield* retries(from("two"))
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Again, { name: "x" }, { id: "x" })
        yield* until(run, ({ retries: scheduled }) => scheduled === 1)
        state.dead = true
      }))
      state.dead = false
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* (yield* run.job(Again, "x")).await
      assert.strictEqual(ran.filter((name) => name === "one").length, 1)
    }))
})
