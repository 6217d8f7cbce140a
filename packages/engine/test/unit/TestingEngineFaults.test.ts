/**
 * The smallest programs that showed a fault of the engine when they were found by simulation.
 */
import { Journal, WorkEngine, WorkKind } from "@espalier/engine"
import { TestMachine, TestRun } from "@espalier/engine/testing"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Layer, Schema } from "effect"

class Task extends WorkKind.make("Task", { payload: {}, success: Schema.String }) {}
class Jobs extends WorkEngine.Service<Jobs>()("test/TestingEngineFaults", { kinds: [Task] }) {}

const layer = ({ onCancel, task }: { readonly task: Effect.Effect<string>; readonly onCancel?: Effect.Effect<void> }) =>
  Jobs.layer.pipe(
    Layer.provide(Task.toLayer(() => task, onCancel === undefined ? {} : { onCancel: () => onCancel }))
  )

describe("the engine", () => {
  it.effect("a work retried by name is not held to the deadline of its first generation", () =>
    Effect.gen(function*() {
      const run = yield* TestRun.open(Jobs, "r", { concurrency: 1 })
      yield* run.pause()
      yield* run.submit(Task, {}, { id: "a", deadline: DateTime.makeUnsafe(100) })
      yield* run.advance("1 second")
      assert.strictEqual((yield* run.work("a")).state, "skipped")
      yield* run.resume()
      yield* run.retry("a")
      yield* run.settle()
      assert.strictEqual((yield* run.work("a")).state, "succeeded")
    }).pipe(Effect.provide(
      layer({ task: Effect.as(Effect.sleep("1 second"), "done") }).pipe(Layer.provide(Journal.layerMemory))
    )))

  it.effect("onCancel that succeeds runs once when the whole run is cancelled", () => {
    let cleaned = 0
    const handlers = layer({ task: Effect.never, onCancel: Effect.sync(() => void (cleaned += 1)) })
    return Effect.gen(function*() {
      const machine = yield* TestMachine.make()
      const first = yield* (yield* machine.start(handlers)).open(Jobs, "r", { concurrency: 1 })
      yield* first.submit(Task, {}, { id: "a" })
      yield* first.untilWork("a", "running")
      yield* first.pauseWork("a")
      yield* first.suspend()
      yield* first.atRest
      // It has begun and has no handler: the cancel brings it to its clean-up at once.
      yield* first.cancel()
      yield* first.atRest
      assert.strictEqual(cleaned, 1)
    })
  })
})
