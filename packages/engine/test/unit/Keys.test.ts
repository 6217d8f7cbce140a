import { RunError } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { laboratory, quiet, spec, Task, until } from "./laboratory.ts"

const keyed = (key: string | undefined, ...names: ReadonlyArray<string>) =>
  names.map((name) => spec(name, key === undefined ? {} : { key }))

describe("keys take turns", () => {
  it.effect("however many works each has, and whoever came first", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.start("r", {
        concurrency: 1,
        works: [
          ...keyed("a", "quick-a1", "quick-a2", "quick-a3", "quick-a4"),
          ...keyed("b", "quick-b1", "quick-b2"),
          ...keyed("c", "quick-c1")
        ]
      })
      yield* run.await
      assert.deepStrictEqual(
        stage.started.map((name) => name.slice(6)),
        ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]
      )
    }))

  it.effect("and works without a key share one turn", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.start("r", {
        concurrency: 1,
        works: [
          ...keyed(undefined, "quick-1", "quick-2", "quick-3"),
          ...keyed("a", "quick-a1", "quick-a2", "quick-a3")
        ]
      })
      yield* run.await
      assert.deepStrictEqual(
        stage.started.map((name) => name.slice(6)),
        ["1", "a1", "2", "a2", "3", "a3"]
      )
    }))

  it.effect("only at equal priority: a more urgent one goes first whatever its key has had", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.start("r", {
        concurrency: 1,
        works: [
          ...keyed("b", "quick-b1"),
          spec("quick-a1", { key: "a", priority: -1 }),
          spec("quick-a2", { key: "a", priority: -1 })
        ]
      })
      yield* run.await
      assert.deepStrictEqual(stage.started, ["quick-a1", "quick-a2", "quick-b1"])
    }))

  it.effect("and turns count over priorities: who started last at one has had its turn at the other", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.start("r", {
        concurrency: 1,
        works: [
          spec("quick-a0", { key: "a", priority: -1 }),
          spec("quick-a1", { key: "a" }),
          spec("quick-b1", { key: "b" })
        ]
      })
      yield* run.await
      assert.deepStrictEqual(stage.started, ["quick-a0", "quick-b1", "quick-a1"])
    }))

  it.effect("and a key that comes back after it had nothing is as if it had just had its turn", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      // The key "a" has its turn first, long ago, and then nothing more.
      yield* (yield* run.submit(Task, { name: "quick-a0" }, { key: "a" })).await
      yield* run.add([...keyed("b", "b1"), ...keyed("c", "quick-c1")])
      yield* stage.arrived("b1")
      yield* run.add([...keyed("a", "quick-a1"), ...keyed("b", "quick-b2")])
      yield* stage.succeed("b1")
      yield* until(run, (status) => status.counts.succeeded === 5)
      // c waits since before; b had its turn before a came back.
      assert.deepStrictEqual(stage.started, ["quick-a0", "b1", "quick-c1", "quick-b2", "quick-a1"])
    }))

  it.effect("also over kinds", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.start("r", {
        concurrency: 1,
        works: [
          spec("quick-a1", { key: "a" }),
          spec("quick-a2", { key: "a", kind: "Other" }),
          spec("quick-b1", { key: "b", kind: "Other" }),
          spec("quick-b2", { key: "b" })
        ]
      })
      yield* run.await
      assert.deepStrictEqual(stage.started, ["quick-a1", "quick-b1", "quick-a2", "quick-b2"])
    }))

  it.effect("and the queue is listed in the order in which it is then worked off", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1, keepOpen: false })
      yield* run.add([spec("busy", { key: "a" })])
      yield* run.add([
        ...keyed("a", "quick-a1", "quick-a2"),
        ...keyed("b", "quick-b1", "quick-b2", "quick-b3"),
        ...keyed(undefined, "quick-1", "quick-2"),
        spec("quick-urgent", { key: "a", priority: -1 }),
        spec("quick-last", { priority: 1 })
      ])
      const listed = (yield* run.queue()).map(({ id }) => id)
      yield* stage.succeed("busy")
      yield* run.await
      assert.deepStrictEqual(stage.started.slice(1), listed)
    }))
})

describe("a limit of keys", () => {
  it.effect("bounds each key, and others pass", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, keyLimit: 1 })
      yield* run.add([...keyed("a", "a1", "a2"), ...keyed("b", "b1"), ...keyed(undefined, "n1", "n2")])
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a1", "b1", "n1", "n2"])
      assert.deepStrictEqual((yield* run.status).waiting, [
        { kind: "Task", reason: { _tag: "KeyLimit", key: "a", limit: 1 }, count: 1 }
      ])
      yield* stage.succeed("a1")
      yield* stage.arrived("a2")
    }))

  it.effect("counts all kinds together", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, keyLimit: 1 })
      yield* run.add([spec("a1", { key: "a" }), spec("a2", { key: "a", kind: "Other" })])
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a1"])
    }))

  it.effect("of one key says otherwise than the default, up or down to none", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, keyLimit: 1, keyLimits: { wide: 2, shut: 0 } })
      yield* run.add([
        ...keyed("wide", "w1", "w2", "w3"),
        ...keyed("shut", "s1"),
        ...keyed("usual", "u1", "u2")
      ])
      yield* quiet
      assert.deepStrictEqual(stage.started, ["w1", "u1", "w2"])
    }))

  it.effect("holds over a restart for what was running", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const options = { concurrency: 9, keyLimit: 1 }
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", options)
        yield* run.add(keyed("a", "a1", "a2"))
        yield* stage.arrived("a1")
      }))
      yield* engine.open("r", options)
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a1", "a1"])
    }))

  it.effect("is lent back by a failed work that waits for its retry", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9, keyLimit: 1 })
      yield* run.add(keyed("a", "a1", "a2"))
      yield* stage.fail("a1")
      yield* stage.arrived("a2")
    }))

  it.effect("that is no whole number from 1 is refused", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const fields: Array<string> = []
      for (
        const bad of [{ keyLimit: 0 }, { keyLimit: 1.5 }, { keyLimit: Number.NaN }, { keyLimits: { a: -1 } }, {
          keyLimits: { a: 0.5 }
        }]
      ) {
        const error = yield* Effect.flip(engine.open("r", { concurrency: 1, ...bad }))
        assert.instanceOf(error, RunError.InvalidWork)
        fields.push(error.field.replace(/\W.*/, ""))
      }
      assert.deepStrictEqual(fields, ["keyLimit", "keyLimit", "keyLimit", "keyLimits", "keyLimits"])
    }))

  it.effect("with ten thousand keys does not make the order of one depend on the others", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1, keepOpen: false })
      yield* run.add([spec("busy")])
      yield* run.add(Array.from({ length: 10_000 }, (_, n) => spec(`quick${n}`, { key: `k${n % 5_000}` })))
      yield* stage.succeed("busy")
      yield* run.await
      assert.deepStrictEqual(stage.started.slice(1), Array.from({ length: 10_000 }, (_, n) => `quick${n}`))
    }))
})
