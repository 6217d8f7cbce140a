import { CurrentWork, Step } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Boom, quiet, tale, until } from "./laboratory.ts"
import { defect, Job, Leaf, one, Steps, steps } from "./stepping.ts"

describe("children", () => {
  const spawn = (name: string, options: Parameters<typeof Steps.spawn>[2] = {}) => Steps.spawn(Leaf, { name }, options)
  const added = (lines: ReadonlyArray<string>) =>
    lines.filter((line) => line.startsWith("WorkStarted") && line !== "WorkStarted a").map((line) => line.slice(12))

  it.effect("of a recorded step survive a failed attempt; those outside die with it; nothing is doubled", () =>
    Effect.gen(function*() {
      const { engine, run } = yield* one(() =>
        Effect.gen(function*() {
          yield* Step.run("plan", Schema.Void, Effect.asVoid(spawn("in")))
          yield* spawn("out")
          const { attempt } = yield* CurrentWork.CurrentWork
          return attempt === 1 ? yield* Effect.fail(new Boom({ why: "x" })) : ""
        })
      )
      yield* until(run, ({ counts }) => counts.succeeded === 3)
      const ids = added(yield* tale(engine, "r"))
      assert.strictEqual(new Set(ids).size, 2)
      for (const id of ids) assert.isTrue(id.startsWith("a/"), id)
      assert.deepStrictEqual(yield* Effect.map(run.select({ parent: "a" }).ids, (all) => all.length), 2)
    }))

  it.effect("of a step that failed do not appear, and its ids are free for the next try", () =>
    Effect.gen(function*() {
      const { run } = yield* one(() =>
        Effect.gen(function*() {
          yield* Step.run(
            "plan",
            Schema.Void,
            Effect.gen(function*() {
              yield* spawn("child", { id: "c", on: "always" })
              const { attempt } = yield* CurrentWork.CurrentWork
              if (attempt === 1) return yield* Effect.fail(new Boom({ why: "x" }))
            })
          )
          return ""
        })
      )
      yield* until(run, ({ counts }) => counts.succeeded === 2)
      assert.strictEqual((yield* run.work("c")).spec.parent, "a")
    }))

  it.effect("appear with the outcome that they were spawned for, after all retries, and not before", () =>
    Effect.gen(function*() {
      for (const fails of [true, false]) {
        const { engine, run } = yield* one(() =>
          Effect.gen(function*() {
            yield* Step.run(
              "plan",
              Schema.Void,
              Effect.gen(function*() {
                yield* spawn("s", { id: "success", on: "success" })
                yield* spawn("f", { id: "failure", on: "failure" })
                yield* spawn("x", { id: "always", on: "always" })
              })
            )
            return fails ? yield* Effect.fail(new Boom({ why: "x" })) : ""
          })
        )
        yield* until(run, ({ counts }) => counts.queued + counts.running === 0)
        const ids = added(yield* tale(engine, "r")).toSorted()
        assert.deepStrictEqual(ids, ["always", fails ? "failure" : "success"])
      }
    }))

  it.effect("of a defect are those for failure", () =>
    Effect.gen(function*() {
      const { run } = yield* one(() =>
        Effect.andThen(spawn("f", { id: "f", on: "failure" }), Effect.die(new Error("broke")))
      )
      yield* until(run, ({ counts }) => counts.succeeded === 1)
      assert.strictEqual((yield* run.work("f")).state, "succeeded")
    }))

  it.effect("with an id that is in the run already add nothing, also twice in one handler", () =>
    Effect.gen(function*() {
      const { run } = yield* one(() =>
        Effect.gen(function*() {
          yield* spawn("first", { id: "c" })
          yield* spawn("second", { id: "c" })
          yield* spawn("self", { id: "a" })
          return ""
        })
      )
      yield* until(run, ({ counts }) => counts.succeeded === 2)
      yield* quiet
      assert.deepStrictEqual((yield* run.work("c")).spec.payload, { name: "first" })
      assert.strictEqual((yield* run.status).counts.succeeded, 2)
    }))

  it.effect("are there in the same moment as the parent's end: whoever awaits the parent finds them", () =>
    Effect.gen(function*() {
      const { run } = yield* one(() => Effect.as(spawn("c", { id: "c" }), ""))
      assert.include(["queued", "running", "succeeded"], (yield* run.work("c")).state)
    }))

  it.effect("that claim a pool that the run does not have wait for it, as nobody can refuse them", () =>
    Effect.gen(function*() {
      const { run } = yield* one(() => Effect.as(spawn("c", { id: "c", slots: { nowhere: 1 } }), ""))
      assert.deepStrictEqual((yield* run.work("c")).reason, {
        _tag: "Unsatisfiable",
        pool: "nowhere",
        needs: 1,
        size: 0
      })
      yield* run.setPool("nowhere", 1)
      yield* until(run, ({ counts }) => counts.succeeded === 2)
    }))

  it.effect("with a bad payload or priority are a defect of the parent that names them", () =>
    Effect.gen(function*() {
      assert.match(yield* defect(() => Effect.as(Steps.spawn(Leaf, { name: 7 as never }), "")), /name|payload/)
      assert.match(yield* defect(() => Effect.as(spawn("x", { priority: Number.NaN }), "")), /priority/)
    }))

  it.effect("have ids that derive from the parent, and differ over steps, ordinals and generations", () =>
    Effect.gen(function*() {
      const ids: Array<string> = []
      const { job, run } = yield* one(() =>
        Effect.gen(function*() {
          ids.push(yield* spawn("1"), yield* spawn("2"))
          yield* Step.run(
            "one",
            Schema.Void,
            Effect.map(Effect.all([spawn("3"), spawn("4")]), (all) => void ids.push(...all))
          )
          yield* Step.run("two", Schema.Void, Effect.map(spawn("5"), (id) => void ids.push(id)))
          return ""
        })
      )
      yield* run.retry("a")
      yield* job.await
      assert.strictEqual(new Set(ids).size, 10)
      yield* until(run, ({ counts }) => counts.succeeded === 11)
    }))

  it.effect("do not collide when names of steps and of parents look alike", () =>
    Effect.gen(function*() {
      // "a" with a step "1.0", and "a/1" with none: made-up ids could meet.
      const { engine } = yield* steps(() =>
        Effect.gen(function*() {
          yield* Step.run("g1/x", Schema.Void, Effect.asVoid(spawn("in")))
          yield* Step.run("0", Schema.Void, Effect.asVoid(spawn("zero")))
          yield* spawn("out")
          return ""
        })
      )
      const run = yield* engine.open("r", { concurrency: 1 })
      for (const id of ["a", "a/0", "a/g1"]) yield* run.submit(Job, { name: id }, { id }).pipe(Effect.ignore)
      yield* until(run, ({ counts }) => counts.queued + counts.running === 0)
      const all = yield* engine.history("r")
      const children = all.flatMap(({ event }) =>
        event._tag === "WorkSucceeded" ? event.children.map(({ id }) => id) : []
      )
      assert.strictEqual(new Set(children).size, children.length, children.join())
      assert.strictEqual((yield* run.status).counts.succeeded, 3 + children.length)
    }))
})
