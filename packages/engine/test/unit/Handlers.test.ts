import { CurrentWork, Projection, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Schema } from "effect"
import {
  Boom,
  engineOf,
  hasForgottenEvents,
  laboratory,
  mortalJournal,
  quiet,
  spec,
  Task,
  until
} from "./laboratory.ts"

class Greeting extends Context.Service<Greeting, { readonly word: string }>()("test/unit/Greeting") {}
class Greet extends WorkKind.make("Greet", { payload: { name: Schema.String }, success: Schema.String, error: Boom }) {}
class Greets extends WorkEngine.Service<Greets>()("test/unit/Greets", { kinds: [Greet] }) {}

type Run = Effect.Success<ReturnType<Effect.Success<typeof laboratory>["engine"]["open"]>>

const greets = Effect.fnUntraced(function*(
  handler: (name: string) => Effect.Effect<string, Boom, CurrentWork.CurrentWork>
) {
  const { layer, state } = yield* mortalJournal
  return { engine: yield* engineOf(Greets, Greet.toLayer(({ name }) => handler(name)), layer), state }
})

describe("a handler", () => {
  it.effect("has a scope of its own for each attempt, closed when the attempt ends, in whatever way", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const said: Array<string> = []
      const engine = yield* engineOf(
        Greets,
        Greet.toLayer(({ name }) =>
          Effect.gen(function*() {
            yield* Effect.acquireRelease(Effect.sync(() => said.push(`${name} in`)), () =>
              Effect.sync(() => said.push(`${name} out`)))
            if (name === "fails") {
              return yield* new Boom({ why: "x" })
            }
            if (name === "dies") {
              return yield* Effect.die("x")
            }
            return name === "never" ? yield* Effect.never : name
          })
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      for (const name of ["ok", "fails", "dies", "never"]) yield* run.submit(Greet, { name }, { id: name })
      yield* until(run, ({ running }) => running[0]?.id === "never")
      yield* quiet
      yield* run.cancelWork("never")
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      assert.deepStrictEqual(said, ["ok", "fails", "dies", "never"].flatMap((name) => [`${name} in`, `${name} out`]))
    }))

  it.effect("has its finalizers run before its end is recorded: whoever sees the outcome finds things closed", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      let open = 0
      const engine = yield* engineOf(
        Greets,
        Greet.toLayer(({ name }) =>
          Effect.as(
            Effect.acquireRelease(Effect.sync(() => open += 1), () =>
              Effect.andThen(Effect.yieldNow, Effect.sync(() => open -= 1))),
            name
          )
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* (yield* run.submit(Greet, { name: "a" })).await
      assert.strictEqual(open, 0)
    }))

  it.effect("gets the services that its layer was made with", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      let built = 0
      const GreetLive = Greet.toLayer(({ name }) => Effect.map(Greeting, ({ word }) => `${word} ${name}`)).pipe(
        Layer.provide(Layer.effect(
          Greeting,
          Effect.sync(() => {
            built += 1
            return { word: "hello" }
          })
        ))
      )
      const engine = yield* engineOf(Greets, GreetLive, layer)
      for (const id of ["r", "s"]) {
        const run = yield* engine.open(id, { concurrency: 1 })
        assert.strictEqual(yield* (yield* run.submit(Greet, { name: "world" })).await, "hello world")
      }
      assert.strictEqual(built, 1)
    }))

  it.effect("has its child fibers ended with it", () =>
    Effect.gen(function*() {
      let alive = false
      const { engine } = yield* greets((name) =>
        Effect.as(
          Effect.andThen(
            Effect.forkChild(
              Effect.ensuring(
                Effect.andThen(Effect.sync(() => void (alive = true)), Effect.never),
                Effect.sync(() => void (alive = false))
              )
            ),
            Effect.yieldNow
          ),
          name
        )
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* (yield* run.submit(Greet, { name: "a" })).await
      yield* quiet
      assert.isFalse(alive)
    }))

  it.effect("may cancel, pause or retry works of its own run, itself included", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const handle = yield* Deferred.make<
        { readonly cancelWork: Run["cancelWork"]; readonly setConcurrency: Run["setConcurrency"] }
      >()
      const engine = yield* engineOf(
        Greets,
        Greet.toLayer(({ name }) =>
          Effect.gen(function*() {
            const run = yield* Deferred.await(handle)
            if (name === "self") {
              yield* Effect.orDie(run.cancelWork("self", { actor: "itself" }))
              return yield* Effect.never
            }
            yield* Effect.orDie(run.setConcurrency(3))
            return name
          })
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* Deferred.succeed(handle, run)
      yield* run.submit(Greet, { name: "self" }, { id: "self" })
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      yield* (yield* run.submit(Greet, { name: "other" })).await
      assert.strictEqual((yield* run.status).concurrency.limit, 3)
    }))

  it.effect("may suspend or cancel its own run without hanging it", () =>
    Effect.gen(function*() {
      for (const end of ["suspend", "cancel"] as const) {
        const { layer } = yield* mortalJournal
        const handle = yield* Deferred.make<Pick<Run, "suspend" | "cancel">>()
        const engine = yield* engineOf(
          Greets,
          Greet.toLayer(() =>
            Effect.gen(function*() {
              const run = yield* Deferred.await(handle)
              yield* Effect.orDie(run[end]({ actor: "the handler" }))
              return yield* Effect.never
            })
          ),
          layer
        )
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* Deferred.succeed(handle, run)
        yield* run.submit(Greet, { name: "a" }, { id: "a" })
        assert.strictEqual((yield* run.await).state, end === "suspend" ? "suspended" : "cancelled")
      }
    }))

  it.effect("may add works to its own run and wait for them, where there is room for both", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const handle = yield* Deferred.make<{ readonly greet: (name: string) => Effect.Effect<string> }>()
      const engine = yield* engineOf(
        Greets,
        Greet.toLayer(({ name }) =>
          name === "outer"
            ? Effect.flatMap(Deferred.await(handle), ({ greet }) => greet("inner"))
            : Effect.succeed(name)
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 2 })
      yield* Deferred.succeed(handle, {
        greet: (name) => Effect.orDie(Effect.flatMap(run.submit(Greet, { name }), (job) => job.await))
      })
      assert.strictEqual(yield* (yield* run.submit(Greet, { name: "outer" })).await, "inner")
    }))

  it.effect("that never yields for a while does not lose what others do meanwhile", () =>
    Effect.gen(function*() {
      const { engine } = yield* greets((name) =>
        Effect.sync(() => {
          let sum = 0
          for (let n = 0; n < 2_000_000; n++) sum += n % 7
          return `${name}${sum > 0}`
        })
      )
      const run = yield* engine.open("r", { concurrency: 4 })
      const jobs = yield* Effect.forEach(["a", "b", "c", "d", "e"], (name) => run.submit(Greet, { name }))
      assert.deepStrictEqual(yield* Effect.forEach(jobs, (job) => job.await), [
        "atrue",
        "btrue",
        "ctrue",
        "dtrue",
        "etrue"
      ])
    }))

  it.effect("knows its run, spec, attempt and start", () =>
    Effect.gen(function*() {
      const { engine } = yield* greets(() =>
        Effect.map(CurrentWork.CurrentWork, ({ attempt, generation, runId, spec: { id, priority } }) =>
          JSON.stringify({ runId, id, priority, attempt, generation }))
      )
      const run = yield* engine.open("my run", { concurrency: 1 })
      const job = yield* run.submit(Greet, { name: "x" }, { id: "x", priority: 4 })
      assert.deepStrictEqual(JSON.parse(yield* job.await), {
        runId: "my run",
        id: "x",
        priority: 4,
        attempt: 1,
        generation: 0
      })
    }))

  it.effect("has no stop reason while it is not being stopped", () =>
    Effect.gen(function*() {
      const { engine } = yield* greets(() =>
        Effect.flatMap(CurrentWork.CurrentWork, ({ stopReason }) => Effect.map(stopReason, (reason) => `${reason}`))
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual(yield* (yield* run.submit(Greet, { name: "x" })).await, "undefined")
    }))

  it.effect("reads the history of its run up to what is durable, its own steps included", () =>
    Effect.gen(function*() {
      const { engine } = yield* greets(() =>
        Effect.gen(function*() {
          yield* Step.run("one", Schema.Void, Effect.void)
          const { history } = yield* CurrentWork.CurrentWork
          const events = yield* Effect.orDie(history(1))
          return events.map(({ event, seq }) => `${seq} ${event._tag}`).join()
        })
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual(
        yield* (yield* run.submit(Greet, { name: "x" })).await,
        "2 WorkAdded,3 WorkStarted,4 StepRecorded"
      )
    }))
})

const counted = Projection.make<{ works: number; last: number }>({
  initial: () => ({ works: 0, last: 0 }),
  evolve: (state, { event, seq }) => {
    if (seq !== state.last + 1 && event._tag !== "RunSnapshot") throw new Error(`${seq} after ${state.last}`)
    state.last = seq
    if (event._tag === "WorkSucceeded") state.works += 1
  },
  snapshot: { name: "counted", version: 1, schema: Schema.Struct({ works: Schema.Int, last: Schema.Int }) }
})

describe("a projection", () => {
  it.effect("is in step with the run, for all who read it, and after a restart", () =>
    Effect.gen(function*() {
      const { engine } = yield* greets(() => Effect.map(Effect.orDie(counted), ({ works }) => `${works}`))
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        for (const expected of ["0", "1", "2"]) {
          assert.strictEqual(yield* (yield* run.submit(Greet, { name: "x" })).await, expected)
        }
        assert.strictEqual((yield* run.view(counted)).works, 3)
        const views = yield* Effect.all(Array.from({ length: 10 }, () => run.view(counted)), {
          concurrency: "unbounded"
        })
        assert.isTrue(views.every(({ works }) => works === 3))
      }))
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual((yield* run.view(counted)).works, 3)
    }))

  it.effect("whose evolve throws is a defect of whoever reads it, not the end of the run", () =>
    Effect.gen(function*() {
      const broken = Projection.make<{ n: number }>({
        initial: () => ({ n: 0 }),
        evolve: () => {
          throw new Error("evolve broke")
        }
      })
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      const exit = yield* Effect.exit(run.view(broken))
      assert.strictEqual(exit._tag, "Failure")
      yield* run.add([spec("quick")])
      assert.strictEqual(yield* (yield* run.job(Task, "quick")).await, "quick done")
    }))

  it.effect(
    "that is read seldom, of a run that forgets, has seen every event all the same",
    () =>
      Effect.gen(function*() {
        const { engine } = yield* laboratory
        const run = yield* engine.open("r", { concurrency: 8, retain: { count: 10 } })
        yield* run.view(counted)
        for (let batch = 0; batch < 16; batch++) {
          yield* run.add(
            Array.from({ length: 3_000 }, (_, n) => spec(`w${batch * 3_000 + n}`, { payload: { name: "quick" } }))
          )
          yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === (batch + 1) * 3_000)
        }
        yield* quiet
        yield* hasForgottenEvents(engine)
        assert.strictEqual((yield* run.view(counted)).works, 48_000)
      }),
    30_000
  )

  it.effect("of a run with retention reads on after events have gone", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const options = { concurrency: 8, retain: { count: 10 } }
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", options)
        yield* run.view(counted)
        for (let batch = 0; batch < 16; batch++) {
          yield* run.add(
            Array.from({ length: 3_000 }, (_, n) => spec(`w${batch * 3_000 + n}`, { payload: { name: "quick" } }))
          )
          yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === (batch + 1) * 3_000)
          yield* run.view(counted)
        }
        yield* quiet
        yield* hasForgottenEvents(engine)
        assert.strictEqual((yield* run.view(counted)).works, 48_000)
      }))
      const run = yield* engine.open("r", options)
      assert.strictEqual((yield* run.view(counted)).works, 48_000, "it was saved with the snapshots")
    }), 30_000)
})
