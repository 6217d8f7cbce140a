import { RunError } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { laboratory, quiet, spec, Task, until } from "./laboratory.ts"

describe("a work that comes after others", () => {
  it.effect("starts when the last of them has succeeded, and not before", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("a"), spec("b"), spec("c", { after: ["a", "b"] })])
      yield* stage.succeed("a")
      yield* (yield* run.job(Task, "a")).await
      yield* quiet
      assert.deepStrictEqual(stage.started, ["a", "b"])
      assert.strictEqual((yield* run.work("c")).state, "waiting")
      yield* stage.succeed("b", "c")
      assert.strictEqual(yield* (yield* run.job(Task, "c")).await, "c done")
    }))

  it.effect("runs a chain of a thousand in order, whatever their priorities say", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const names = Array.from({ length: 1_000 }, (_, n) => `quick${n}`)
      const run = yield* engine.start("r", {
        concurrency: 4,
        works: names.map((name, n) => spec(name, { priority: -n, ...(n === 0 ? {} : { after: [names[n - 1]!] }) }))
      })
      assert.strictEqual((yield* run.await).counts.succeeded, 1_000)
      assert.deepStrictEqual(stage.started, names)
    }))

  it.effect("runs the end of a diamond once, after both sides", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.start("r", {
        concurrency: 9,
        works: [
          spec("quick-top"),
          spec("left", { after: ["quick-top"] }),
          spec("right", { after: ["quick-top"] }),
          spec("quick-end", { after: ["left", "right"] })
        ]
      })
      yield* stage.arrived("right")
      yield* stage.succeed("right")
      yield* quiet
      assert.isFalse(stage.started.includes("quick-end"))
      yield* stage.succeed("left")
      yield* run.await
      assert.strictEqual(stage.started.filter((name) => name === "quick-end").length, 1)
    }))

  it.effect("counts a dependency that is named twice once", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.start("r", {
        concurrency: 1,
        works: [spec("quick-a"), spec("quick-b", { after: ["quick-a", "quick-a"] })]
      })
      assert.strictEqual((yield* run.await).counts.succeeded, 2)
    }))

  it.effect("starts at once when all that it comes after has succeeded long ago", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* (yield* run.submit(Task, { name: "quick-a" }, { id: "a" })).await
      const late = yield* run.submit(Task, { name: "quick-b" }, { after: ["a"] })
      assert.strictEqual(yield* late.await, "quick-b done")
    }))

  it.effect("is skipped when one of them fails, though others still run, and the next in the chain too", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([
        spec("a"),
        spec("slow"),
        spec("b", { after: ["slow", "a"] }),
        spec("c", { after: ["b"] })
      ])
      yield* stage.fail("a")
      const b = yield* Effect.flip((yield* run.job(Task, "b")).await)
      assert.instanceOf(b, RunError.WorkStopped)
      assert.deepStrictEqual(b.reason, {
        _tag: "Skipped",
        cause: { _tag: "Dependency", id: "a", state: "failed" }
      })
      assert.match(b.message, /"b".*"a".*failed/)
      assert.deepStrictEqual((yield* run.work("c")).outcome, {
        _tag: "Skipped",
        cause: { _tag: "Dependency", id: "b", state: "skipped" }
      })
      assert.deepStrictEqual(stage.started, ["a", "slow"])
    }))

  it.effect("is skipped when one of them is cancelled before it began", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      yield* run.add([spec("a"), spec("b", { after: ["a"] })])
      yield* run.cancelWork("a")
      assert.deepStrictEqual((yield* run.work("b")).outcome, {
        _tag: "Skipped",
        cause: { _tag: "Dependency", id: "a", state: "cancelled" }
      })
    }))

  it.effect("runs after a failure, a skip and a cancel when it is told to, but only when all have settled", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([
        spec("fails"),
        spec("skipped", { after: ["fails"] }),
        spec("cancelled"),
        spec("quick-after", { after: ["fails", "skipped", "cancelled"], onDependencyFailure: "run" })
      ])
      yield* stage.fail("fails")
      yield* until(run, (status) => status.counts.skipped === 1)
      yield* quiet
      assert.isFalse(stage.started.includes("quick-after"))
      yield* run.cancelWork("cancelled")
      assert.strictEqual(yield* (yield* run.job(Task, "quick-after")).await, "quick-after done")
    }))

  it.effect("waits through the retries of what it comes after", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("a"), spec("b", { after: ["a"] })])
      yield* stage.fail("a")
      yield* until(run, (status) => status.counts.failed === 1)
      assert.strictEqual((yield* run.work("b")).state, "skipped")
      yield* run.retry("a")
      yield* quiet
      assert.strictEqual((yield* run.work("b")).state, "skipped", "dependencies are decided once")
    }))

  it.effect("may come before what it waits for in the same batch", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.start("r", {
        concurrency: 9,
        works: [spec("quick-c", { after: ["quick-b"] }), spec("quick-b", { after: ["quick-a"] }), spec("quick-a")]
      })
      assert.strictEqual((yield* run.await).counts.succeeded, 3)
      assert.deepStrictEqual(stage.started, ["quick-a", "quick-b", "quick-c"])
    }))

  it.effect("on one that has failed already is skipped at once, or runs at once when it is told to", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("a")])
      yield* stage.fail("a")
      yield* until(run, ({ counts }) => counts.failed === 1)
      yield* run.add([spec("b", { after: ["a"] }), spec("quick", { after: ["a", "b"], onDependencyFailure: "run" })])
      assert.deepStrictEqual((yield* run.work("b")).outcome, {
        _tag: "Skipped",
        cause: { _tag: "Dependency", id: "a", state: "failed" }
      })
      assert.strictEqual(yield* (yield* run.job(Task, "quick")).await, "quick done")
    }))

  it.effect("on one that was merged into another is refused, or waits for that other: it is never lost without a word", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.pause()
      const exit = yield* Effect.exit(
        run.add([spec("first", { dedupe: "k" }), spec("second", { dedupe: "k" }), spec("quick", { after: ["second"] })])
      )
      yield* run.resume()
      if (exit._tag === "Failure") return assert.match(String(exit.cause), /second/)
      yield* stage.arrived("first")
      assert.strictEqual((yield* run.work("quick")).state, "waiting")
      yield* stage.succeed("first")
      assert.strictEqual(yield* (yield* run.job(Task, "quick")).await, "quick done")
    }))

  it.effect("that is paused, or paused meanwhile, holds up what comes after it, and a cancel of that is at once", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.pause()
      yield* run.add([spec("a"), spec("b", { after: ["a"] })])
      yield* run.pauseWork("a")
      yield* run.resume()
      yield* quiet
      assert.strictEqual((yield* run.work("b")).state, "waiting")
      yield* run.cancelWork("b")
      assert.strictEqual((yield* run.work("b")).state, "cancelled")
      assert.strictEqual((yield* Effect.flip(run.retry("a")))._tag, "WorkNotAccepting")
    }))

  it.effect("survives a restart with what it has met already", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9 })
        yield* run.add([spec("quick-a"), spec("b"), spec("quick-c", { after: ["quick-a", "b"] })])
        yield* until(run, (status) => status.counts.succeeded === 1)
      }))
      const run = yield* engine.open("r", { concurrency: 9 })
      assert.strictEqual((yield* run.work("quick-c")).state, "waiting")
      yield* stage.succeed("b")
      assert.strictEqual(yield* (yield* run.job(Task, "quick-c")).await, "quick-c done")
    }))

  it.effect("shows that it waits for other works", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.add([spec("a"), spec("b", { after: ["a"] }), spec("c", { after: ["a", "b"] })])
      assert.deepStrictEqual((yield* run.status).waiting, [{ kind: "Task", reason: { _tag: "Dependency" }, count: 2 }])
    }))
})

describe("bad dependencies", () => {
  const refused = Effect.fnUntraced(function*(...specs: ReadonlyArray<ReturnType<typeof spec>>) {
    const { engine } = yield* laboratory
    const run = yield* engine.open("r", { concurrency: 1 })
    const error = yield* Effect.flip(run.add(specs))
    const { counts } = yield* run.status
    assert.deepStrictEqual(Object.values(counts).filter((count) => count > 0), [], "nothing was added")
    assert.instanceOf(error, RunError.InvalidWork)
    return error
  })

  it.effect("to a work that is not in the run are refused by name, and nothing of the batch is added", () =>
    Effect.gen(function*() {
      const error = yield* refused(spec("a"), spec("b", { after: ["a", "nowhere"] }))
      assert.deepStrictEqual([error.id, error.field], ["b", "after"])
      assert.match(error.message, /nowhere/)
    }))

  it.effect("to itself are refused", () =>
    Effect.gen(function*() {
      const error = yield* refused(spec("a", { after: ["a"] }))
      assert.deepStrictEqual([error.id, error.field], ["a", "after"])
    }))

  it.effect("in a circle of three are refused", () =>
    Effect.gen(function*() {
      const error = yield* refused(
        spec("free"),
        spec("a", { after: ["c"] }),
        spec("b", { after: ["a"] }),
        spec("c", { after: ["b"] })
      )
      assert.strictEqual(error.field, "after")
      assert.match(error.message, /"a"|"b"|"c"/)
    }))

  it.effect("in a circle are refused by start, and the run does not begin with half of them", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const works = [spec("a", { after: ["b"] }), spec("b", { after: ["a"] })]
      const error = yield* Effect.flip(engine.start("r", { concurrency: 1, works }))
      assert.strictEqual(error._tag, "InvalidWork")
      const run = yield* engine.start("r", { concurrency: 1, works: [spec("quick")] })
      assert.strictEqual((yield* run.await).counts.succeeded, 1)
    }))

  it.effect("of a chain of ten thousand in one batch, given backwards, do not overflow the stack", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.pause()
      const count = 10_000
      yield* run.add(
        Array.from({ length: count }, (_, n) => spec(`w${n}`, n === count - 1 ? {} : { after: [`w${n + 1}`] }))
      )
      assert.strictEqual((yield* run.status).counts.waiting, count - 1)
      yield* run.cancelWork(`w${count - 1}`)
      assert.strictEqual((yield* run.status).counts.skipped, count - 1)
    }))
})
