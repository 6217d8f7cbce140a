import { Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Schema } from "effect"
import { engineOf, laboratory, mortalJournal, quiet, spec, Stage, Task } from "./laboratory.ts"

const odd = ["__proto__", "constructor", "toString", "hasOwnProperty", " ", "a.b/c", "ü✓"]
const record = <A>(value: A) => Object.fromEntries(odd.map((name) => [name, value]))

describe("names that look like parts of an object", () => {
  it.effect("are pools like others, through a restart", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const options = { concurrency: 99, pools: record(1) }
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", options)
        for (const name of odd) {
          yield* run.add([
            spec(`${name} 1`, { slots: Object.fromEntries([[name, 1]]) }),
            spec(`${name} 2`, { slots: Object.fromEntries([[name, 1]]) })
          ])
        }
        yield* quiet
        assert.deepStrictEqual(stage.started, odd.map((name) => `${name} 1`))
      }))
      const run = yield* engine.open("r", options)
      yield* quiet
      const { pools } = yield* run.status
      assert.deepStrictEqual(Object.entries(pools), odd.map((name) => [name, { size: 1, used: 1 }]))
      yield* run.setPool("__proto__", 2)
      yield* stage.arrived("__proto__ 2")
    }))

  it.effect("are keys with limits like others", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 99, keyLimits: record(1) })
      for (const key of odd) yield* run.add([spec(`${key} 1`, { key }), spec(`${key} 2`, { key })])
      yield* quiet
      assert.deepStrictEqual(stage.started, odd.map((name) => `${name} 1`))
      yield* run.setKeyLimit(2, { key: "__proto__" })
      yield* stage.arrived("__proto__ 2")
      yield* run.pause({ key: "constructor" })
      yield* stage.succeed("constructor 1")
      yield* quiet
      assert.isFalse(stage.started.includes("constructor 2"))
    }))

  it.effect("are ids, dedupe keys and dependencies like others", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      for (const id of odd) yield* run.add([spec(id, { dedupe: id }), spec(`${id}2`, { after: [id] })])
      for (const id of odd) {
        assert.strictEqual((yield* run.submit(Task, { name: "x" }, { dedupe: id })).id, id)
        assert.strictEqual((yield* run.work(id)).state, "queued")
      }
      yield* run.cancelWork("__proto__")
      assert.strictEqual((yield* run.work("__proto__2")).state, "skipped")
    }))

  for (const kind of ["__proto__", "constructor"] as const) {
    it.effect(`are kinds like others: ${kind}`, () =>
      Effect.gen(function*() {
        const { layer } = yield* mortalJournal
        const stage = new Stage()
        class Odd extends WorkKind.make(kind, { payload: { name: Schema.String }, success: Schema.String, limit: 1 }) {}
        class Odds extends WorkEngine.Service<Odds>()(`test/unit/Odds/${kind}`, { kinds: [Odd] }) {}
        const engine = yield* engineOf(Odds, Odd.toLayer(stage.sure), layer)
        yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* engine.open("r", { concurrency: 9 })
          yield* run.submit(Odd, { name: "a" }, { id: "a" })
          yield* run.submit(Odd, { name: "b" }, { id: "b" })
          yield* stage.arrived("a")
          yield* quiet
          assert.deepStrictEqual(stage.started, ["a"])
          const { kinds } = yield* run.status
          assert.strictEqual(Object.getOwnPropertyDescriptor(kinds, kind)?.value.running, 1)
        }))
        const run = yield* engine.open("r", { concurrency: 9 })
        yield* stage.succeed("a", "b")
        assert.strictEqual(yield* (yield* run.job(Odd, "b")).await, "b done")
        assert.strictEqual(stage.most, 1)
      }))
  }

  it.effect("are names of holds like others", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      class Holds extends WorkKind.make("Holds", { payload: { name: Schema.String }, success: Schema.String }) {}
      class Held extends WorkEngine.Service<Held>()("test/unit/Held", { kinds: [Holds] }) {}
      const engine = yield* engineOf(
        Held,
        Holds.toLayer(({ name }) =>
          Step.run(name, Schema.String, Effect.succeed(name), { slots: Object.fromEntries([[name, 1]]) })
        ),
        layer
      )
      const run = yield* engine.open("r", { concurrency: 9, pools: record(1) })
      for (const name of odd) assert.strictEqual(yield* (yield* run.submit(Holds, { name })).await, name)
      assert.isTrue(Object.values((yield* run.status).pools).every(({ used }) => used === 0))
    }))
})

describe("kinds", () => {
  it.effect("whose payload is a class, or is decoded to something else, reach the handler as that, after a restart too", () =>
    Effect.gen(function*() {
      class Point extends Schema.Class<Point>("Point")({ x: Schema.Finite, when: Schema.Date }) {
        get double() {
          return this.x * 2
        }
      }
      class Draw extends WorkKind.make("Draw", { payload: Point, success: Schema.Date }) {}
      class Drawing extends WorkEngine.Service<Drawing>()("test/unit/Drawing", { kinds: [Draw] }) {}
      const { layer } = yield* mortalJournal
      const engine = yield* engineOf(
        Drawing,
        Draw.toLayer((point) => Effect.succeed(new Date(point.when.getTime() + point.double))),
        layer
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.pause()
        yield* run.submit(Draw, new Point({ x: 4, when: new Date(100) }), { id: "a" })
      }))
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.resume()
      const date = yield* (yield* run.job(Draw, "a")).await
      assert.instanceOf(date, Date)
      assert.strictEqual(date.getTime(), 108)
      assert.deepStrictEqual((yield* run.work("a")).spec.payload, { x: 4, when: "1970-01-01T00:00:00.100Z" })
    }))

  it.effect("of the same name twice in one engine are refused", () =>
    Effect.gen(function*() {
      class One extends WorkKind.make("Same", { payload: { a: Schema.String }, success: Schema.String }) {}
      class Two extends WorkKind.make("Same", { payload: { b: Schema.Int }, success: Schema.Int }) {}
      const { layer } = yield* mortalJournal
      const building = yield* Effect.exit(Effect.suspend(() => {
        class Twins extends WorkEngine.Service<Twins>()("test/unit/Twins", { kinds: [One, Two] }) {}
        return engineOf(
          Twins,
          Layer.mergeAll(One.toLayer(({ a }) => Effect.succeed(a)), Two.toLayer(({ b }) => Effect.succeed(b))),
          layer
        )
      }))
      assert.isTrue(Exit.isFailure(building), "two kinds of one name were taken")
      assert.match(Exit.isFailure(building) ? String(building.cause) : "", /Same/)
    }))

  it.effect("may be none: such an engine can look at runs", () =>
    Effect.gen(function*() {
      const { layer } = yield* mortalJournal
      class Empty extends WorkEngine.Service<Empty>()("test/unit/Empty", { kinds: [] }) {}
      const engine = yield* engineOf(Empty, Layer.empty, layer)
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual((yield* run.status).state, "running")
    }))
})
