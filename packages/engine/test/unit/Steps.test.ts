import { CurrentWork, Step } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Schema } from "effect"
import { Boom, engineOf, mortalJournal, noted, tale, until } from "./laboratory.ts"
import { defect, Job, Leaf, one, Steps, steps } from "./stepping.ts"

describe("a step", () => {
  it.effect("gives its value as its schema reads it, in the attempt that recorded it as in the next", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const When = Schema.Struct({
        when: Schema.Date,
        big: Schema.BigInt,
        set: Schema.ReadonlyMap(Schema.String, Schema.Int)
      })
      yield* one(() =>
        Effect.gen(function*() {
          const value = yield* Step.run(
            "when",
            When,
            Effect.succeed({ when: new Date(5), big: 7n, set: new Map([["a", 1]]) })
          )
          seen.push([value.when.getTime(), value.big, value.set.get("a")])
          const { attempt } = yield* CurrentWork.CurrentWork
          if (attempt === 1) return yield* Effect.fail(new Boom({ why: "x" }))
          return ""
        })
      )
      assert.deepStrictEqual(seen, [[5, 7n, 1], [5, 7n, 1]])
    }))

  it.effect("that fails is not recorded, and runs again in the next attempt; those before it do not", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const { exit, run } = yield* one(() =>
        Effect.gen(function*() {
          yield* Step.run("one", Schema.Void, Effect.sync(() => ran.push("one")))
          return yield* Step.run(
            "two",
            Schema.String,
            Effect.suspend(() => ran.push("two") < 3 ? Effect.fail(new Boom({ why: "x" })) : Effect.succeed("done"))
          )
        })
      )
      assert.deepStrictEqual(exit._tag === "Success" && exit.value, "done")
      assert.deepStrictEqual(ran, ["one", "two", "two"])
      assert.deepStrictEqual((yield* run.work("a")).steps, ["one", "two"])
    }))

  it.effect("that failed can be tried again by the handler itself only under another name", () =>
    Effect.gen(function*() {
      const message = yield* defect(() =>
        Effect.retry(
          Step.run("flaky", Schema.String, Effect.fail(new Boom({ why: "x" }))),
          { times: 1 }
        )
      )
      assert.match(message, /"flaky" twice/)
    }))

  it.effect("with a retry inside runs its effect as often as that says, and is recorded once", () =>
    Effect.gen(function*() {
      let tries = 0
      const { engine, exit } = yield* one(() =>
        Step.run(
          "flaky",
          Schema.String,
          Effect.retry(Effect.suspend(() => ++tries < 5 ? Effect.fail(new Boom({ why: "x" })) : Effect.succeed("ok")), {
            times: 9
          })
        )
      )
      assert.strictEqual(exit._tag === "Success" && exit.value, "ok")
      assert.strictEqual((yield* tale(engine, "r")).filter((line) => line === "StepRecorded a").length, 1)
    }))

  it.effect("whose name is used twice is a defect that names it: step and step, step and cursor, in fibers", () =>
    Effect.gen(function*() {
      const step = Step.run("same", Schema.Void, Effect.void)
      const cursor = Step.cursor("same", Schema.Int, 0)
      for (
        const twice of [
          Effect.andThen(step, step),
          Effect.andThen(step, cursor),
          Effect.andThen(cursor, step),
          Effect.andThen(cursor, cursor),
          Effect.all([step, step], { concurrency: 2 })
        ]
      ) {
        assert.match(yield* defect(() => Effect.as(twice, "x")), /"same" twice/)
      }
    }))

  it.effect("may have any name: empty, a prototype's, with slashes, very long", () =>
    Effect.gen(function*() {
      const names = ["__proto__", "constructor", "a/b.c", " ", "ü", "x".repeat(5_000), "toString"]
      const ran: Array<string> = []
      const { exit, run } = yield* one(() =>
        Effect.gen(function*() {
          for (const name of names) yield* Step.run(name, Schema.String, Effect.sync(() => noted(ran, name, name)))
          const { attempt } = yield* CurrentWork.CurrentWork
          return attempt === 1 ? yield* Effect.fail(new Boom({ why: "x" })) : "done"
        })
      )
      assert.strictEqual(exit._tag === "Success" && exit.value, "done")
      assert.deepStrictEqual(ran, names)
      assert.deepStrictEqual((yield* run.work("a")).steps, names)
    }))

  it.effect("runs beside others in fibers, and each is recorded", () =>
    Effect.gen(function*() {
      const { exit, run } = yield* one(() =>
        Effect.map(
          Effect.all(
            Array.from({ length: 50 }, (_, n) => Step.run(`s${n}`, Schema.Int, Effect.as(Effect.yieldNow, n))),
            { concurrency: "unbounded" }
          ),
          (all) => `${all.reduce((sum, n) => sum + n, 0)}`
        )
      )
      assert.strictEqual(exit._tag === "Success" && exit.value, "1225")
      assert.strictEqual((yield* run.work("a")).steps.length, 50)
    }))

  it.effect("inside a step is a step of its own, recorded before the outer one", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const { run } = yield* one(() =>
        Effect.gen(function*() {
          yield* Step.run(
            "outer",
            Schema.Void,
            Effect.gen(function*() {
              ran.push("outer")
              yield* Step.run("inner", Schema.Void, Effect.sync(() => ran.push("inner")))
              const { attempt } = yield* CurrentWork.CurrentWork
              if (attempt === 1) return yield* Effect.fail(new Boom({ why: "x" }))
            })
          )
          return ""
        })
      )
      assert.deepStrictEqual(ran, ["outer", "inner", "outer"])
      assert.deepStrictEqual((yield* run.work("a")).steps, ["inner", "outer"])
    }))

  it.effect("whose result does not fit its schema, or is larger than a record may be, is a defect that says so", () =>
    Effect.gen(function*() {
      assert.match(yield* defect(() => Effect.as(Step.run("s", Schema.Int, Effect.succeed(0.5)), "")), /"s".*schema/s)
      assert.match(
        yield* defect(() => Step.run("s", Schema.String, Effect.succeed("x".repeat(1_048_577)))),
        /step "s".*1,?048,?576/s
      )
      assert.match(
        yield* defect(() =>
          Effect.as(Effect.flatMap(Step.cursor("c", Schema.String, ""), (c) => c.advance("x".repeat(1_048_577))), "")
        ),
        /"c".*1,?048,?576/s
      )
    }))

  it.effect("of the largest size that is allowed is recorded", () =>
    Effect.gen(function*() {
      const { exit } = yield* one(() =>
        Effect.map(Step.run("s", Schema.String, Effect.succeed("x".repeat(1_048_574))), (text) => `${text.length}`)
      )
      assert.strictEqual(exit._tag === "Success" && exit.value, "1048574")
    }))

  it.effect("whose record the program does not read any more is a defect that names step and work", () =>
    Effect.gen(function*() {
      const { run } = yield* one(() =>
        Effect.gen(function*() {
          const { attempt } = yield* CurrentWork.CurrentWork
          if (attempt === 1) {
            yield* Step.run("s", Schema.String, Effect.succeed("text"))
            return yield* Effect.fail(new Boom({ why: "x" }))
          }
          yield* Step.run("s", Schema.Int, Effect.succeed(1))
          return ""
        })
      )
      const { outcome } = yield* run.work("a")
      assert.match(JSON.stringify(outcome), /step \\"s\\" of work \\"a\\".*schema/)
    }))

  it.effect("that was interrupted by a suspend is not recorded, and its finalizer runs", () =>
    Effect.gen(function*() {
      const said: Array<string> = []
      const begun = yield* Deferred.make<void>()
      const { engine } = yield* steps(() =>
        Step.run(
          "s",
          Schema.String,
          Effect.suspend(() => {
            said.push("begins")
            return said.length === 1
              ? Effect.ensuring(
                Effect.andThen(Deferred.succeed(begun, undefined), Effect.never),
                Effect.sync(() => said.push("finalized"))
              )
              : Effect.succeed("done")
          })
        )
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Job, { name: "a" }, { id: "a" })
        yield* Deferred.await(begun)
      }))
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual(yield* (yield* run.job(Job, "a")).await, "done")
      assert.deepStrictEqual(said, ["begins", "finalized", "begins"])
    }))

  it.effect("that ends while its work is being cancelled is kept for onCancel, and nothing after it begins", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      const said: Array<string> = []
      const begun = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const engine = yield* engineOf(
        Steps,
        Layer.mergeAll(
          Job.toLayer(() =>
            Effect.uninterruptible(Effect.gen(function*() {
              yield* Step.run(
                "launch",
                Schema.String,
                Effect.andThen(Deferred.succeed(begun, undefined), Effect.as(Deferred.await(gate), "job 7"))
              )
              yield* Step.run("next", Schema.Void, Effect.sync(() => said.push("next begins")))
              return ""
            })), {
            onCancel: (_, { recorded }) => Effect.sync(() => said.push(`undo ${recorded("launch", Schema.String)}`))
          }),
          Leaf.toLayer(({ name }) => Effect.succeed(name))
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.submit(Job, { name: "a" }, { id: "a" })
      yield* Deferred.await(begun)
      yield* run.cancelWork("a")
      yield* Deferred.succeed(gate, undefined)
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      assert.deepStrictEqual(said, ["undo job 7"])
    }))

  it.effect("outside of a handler does not compile, and a service that the handler lacks is asked for by its layer", () =>
    Effect.sync(() => {
      // @ts-expect-error -- CurrentWork is missing
      const outside: Effect.Effect<void> = Step.run("s", Schema.Void, Effect.void)
      assert.isDefined(outside)
    }))
})
