import { Journal, WorkEngine, WorkKind } from "@espalier/engine"
import { Accounting, FaultyJournal, JournalSuite, TestMachine, TestRun } from "@espalier/engine/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"

const faulty = FaultyJournal.layer.pipe(Layer.provide(Journal.layerMemory))

class Task extends WorkKind.make("Task", { payload: {} }) {}
class Jobs extends WorkEngine.Service<Jobs>()("test/TestingFaultyJournal", { kinds: [Task] }) {}

describe("a journal that may fail, and does not", () => {
  for (const { name, run } of JournalSuite.cases) it.effect(name, () => run.pipe(Effect.provide(faulty)))
})

describe("a journal that fails", () => {
  it.effect("before anything is done: nothing is there, and the writer is of no use", () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      yield* (yield* FaultyJournal.FaultyJournal).fail("append")
      const writer = yield* journal.open("r", { mode: "create" })
      assert.match((yield* Effect.flip(writer.append([1], 1))).message, /before anything is done/)
      assert.strictEqual((yield* Effect.flip(writer.append([2], 1)))._tag, "JournalError")
      assert.deepStrictEqual(yield* journal.read("r", { after: 0 }), [])
    }).pipe(Effect.provide(faulty)))

  it.effect("fails the operation that is meant, of the run that is meant, so many times", () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      const faults = yield* FaultyJournal.FaultyJournal
      yield* Effect.scoped(journal.open("r", { mode: "create" }))
      yield* faults.fail("read", { runId: "r", nth: 2, times: 2 })
      const failed: Array<boolean> = []
      for (let each = 0; each < 5; each++) {
        failed.push((yield* Effect.exit(journal.read("r", { after: 0 })))._tag === "Failure")
      }
      assert.deepStrictEqual(failed, [false, true, true, false, false])
      assert.strictEqual(yield* faults.count("read"), 5)
    }).pipe(Effect.provide(faulty)))

  it.effect("loses the lock to another opener: the first writer can do nothing more", () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      const faults = yield* FaultyJournal.FaultyJournal
      const first = yield* journal.open("r", { mode: "create" })
      yield* faults.loseLock("r")
      const second = yield* journal.open("r", { mode: "existing" })
      assert.match((yield* Effect.flip(first.append([1], 1))).message, /taken by another writer/)
      assert.strictEqual(yield* second.append([2], 1), 1)
    }).pipe(Effect.provide(faulty)))

  it.effect("is slow in virtual time, and a run waits for it before it acts", () =>
    Effect.gen(function*() {
      const run = yield* TestRun.open(Jobs, "r", { concurrency: 1 })
      yield* (yield* FaultyJournal.FaultyJournal).delay("append", "10 seconds")
      const submitting = yield* Effect.forkChild(run.submit(Task, {}))
      yield* run.idle
      assert.isUndefined(submitting.pollUnsafe())
      yield* run.advance("10 seconds")
      yield* Fiber.join(submitting)
    }).pipe(
      Effect.provide(Jobs.layer.pipe(Layer.provide(Task.toLayer(() => Effect.void)), Layer.provideMerge(faulty)))
    ))

  it.effect("ends the run in its process, and the next one goes on from what was written", () =>
    Effect.gen(function*() {
      const machine = yield* TestMachine.make()
      const layer = Jobs.layer.pipe(Layer.provide(Task.toLayer(() => Effect.void)))
      const run = yield* (yield* machine.start(layer)).open(Jobs, "r", { concurrency: 1 })
      yield* machine.faults.fail("append", { when: "after" })
      assert.strictEqual((yield* Effect.flip(run.submit(Task, {}, { id: "a" })))._tag, "JournalError")
      yield* machine.faults.loseLock("r")
      const next = yield* (yield* machine.start(layer)).open(Jobs, "r", { concurrency: 1 })
      yield* next.settle()
      yield* TestRun.assertCounts(next, { succeeded: 1 })
      yield* TestRun.assertSound(next)
    }))
})

describe("the accounting", () => {
  const config = { concurrency: 1, pools: { gpu: 1 }, kinds: { Task: { onCancel: false } }, keepOpen: true }
  const added = (id: string) =>
    ({ _tag: "WorkAdded", at: 0, spec: { id, kind: "Task", priority: 0, payload: null } }) as const
  const started = (id: string, attempt = 1) => ({ _tag: "WorkStarted", at: 0, id, attempt }) as const
  const succeeded = (id: string) => ({ _tag: "WorkSucceeded", at: 0, id, result: null, children: [] }) as const
  const recorded = (id: string) => ({ _tag: "StepRecorded", at: 0, id, step: "s", result: 1, children: [] }) as const
  const begin = { _tag: "RunStarted", at: 0, config } as const

  it("objects to what cannot be", () => {
    const wrong = [
      { events: [begin, added("a"), started("a"), succeeded("a"), succeeded("a")], because: /has settled/ },
      { events: [begin, added("a"), added("a")], because: /is in the run/ },
      { events: [begin, added("a"), started("a", 2)], because: /attempt 2 after 0 failures/ },
      { events: [begin, added("a"), started("a"), recorded("a"), recorded("a")], because: /recorded twice/ },
      { events: [begin, added("a"), started("a"), added("b"), started("b")], because: /unit of concurrency/ },
      { events: [begin, added("a"), succeeded("a")], because: /succeeds, and is pending/ }
    ]
    for (const { because, events } of wrong) assert.match(Accounting.check(events).join(), because)
    assert.deepStrictEqual(Accounting.check([begin, added("a"), started("a"), recorded("a"), succeeded("a")]), [])
  })
})
