import { assert, describe, it } from "@effect/vitest"
import * as MemoryWorkspace from "@espalier/platform/workspace/Memory"
import type { Study } from "@espalier/workflow"
import { TestLaboratory } from "@espalier/workflow/testing"
import { type Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import { type Fault, faultyJournal, throughCrashes } from "./support/interruptions.ts"
import { check, jobsThatRan, projection } from "./support/invariants.ts"
import { edits, program, studyOf } from "./support/program.ts"
import { numbers } from "./support/random.ts"

/** One thing at a time, so that only an interruption could change the order. */
const studyWith = (...names: ReadonlyArray<string>) =>
  studyOf({
    parameters: [],
    edits: edits.filter(({ name }) => names.includes(name)),
    seeds: [],
    concurrency: 1
  })

const uninterrupted = (settings: Study.Settings) =>
  TestLaboratory.run(settings).pipe(
    Effect.map(projection),
    Effect.provide(TestLaboratory.layerTest(settings, program(0.005)))
  )

const interrupted = (settings: Study.Settings, fault: Fault, downtime: Duration.Input) =>
  Effect.gen(function*() {
    const { around, counter } = faultyJournal(fault)
    return yield* Effect.gen(function*() {
      const { lives, view } = yield* throughCrashes(settings, downtime)
      yield* check(settings, view)
      return { lives, tree: projection(view), appends: counter.appends }
    }).pipe(Effect.provide(TestLaboratory.layerTest(settings, program(0.005), { around: { journal: around } })))
  })

describe("a search whose engine dies", () => {
  it.effect("once, at any of its appends, comes to the same tree", () =>
    Effect.gen(function*() {
      const settings = studyWith("fused")
      const expected = yield* uninterrupted(settings)
      assert.deepInclude(expected, { state: "completed", best: "e001", jobs: 10 })
      for (let at = 1;; at++) {
        const { appends, lives, tree } = yield* interrupted(settings, { at, mode: "lost" }, 0)
        if (lives === 1) return assert.isAbove(appends, 40)
        assert.deepStrictEqual(tree, expected, `append ${at}`)
      }
    }))

  /** The first append of a life takes the run up; one more is all that it gets done. */
  const shortLives = { lost: { ofLife: 3, mode: "lost" }, written: { ofLife: 2, mode: "written" } } as const

  for (const [mode, downtime] of [["lost", "0 seconds"], ["written", "300 millis"], ["written", "1 hour"]] as const) {
    it.effect(`again and again, after every append (${mode}) and for ${downtime}, comes to the same tree`, () =>
      Effect.gen(function*() {
        const settings = studyWith("fused", "crashing", "endless")
        const { lives, tree } = yield* interrupted(settings, shortLives[mode], downtime)
        assert.isAbove(lives, 80)
        assert.deepStrictEqual(tree, yield* uninterrupted(settings))
      }))
  }

  it.effect("again and again, with several jobs at a time, launches each once and never too many", () =>
    Effect.gen(function*() {
      const settings = studyOf({ machine: 2, limits: { experiments: 6 }, planner: { batch: 4 } })
      // In each life a work that waits for the machine asks for it again: that append brings nothing forward.
      const { tree } = yield* interrupted(settings, { ofLife: 5, mode: "written" }, "200 millis")
      assert.strictEqual(tree.state, "completed")
    }))
})

describe("a search that is suspended", () => {
  /** Runs the search in lives of at most `life` milliseconds each. */
  const inPieces = Effect.fnUntraced(function*(settings: Study.Settings, life: () => number, downtime: () => number) {
    for (let lives = 1;; lives++) {
      const state = yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* TestLaboratory.open(settings)
        yield* TestClock.adjust(Math.ceil(life()))
        const { state } = yield* run.status
        if (state === "completed") return state
        yield* run.suspend({ reason: "the test wants it", actor: "test" })
        return (yield* run.await).state
      }))
      const view = yield* TestLaboratory.view(settings)
      assert.strictEqual(view.state, state)
      if (state === "completed") return { view, lives }
      assert.deepStrictEqual(yield* (yield* MemoryWorkspace.Contents).openTrees, [])
      yield* TestClock.adjust(Math.ceil(downtime()))
    }
  })

  for (const seed of [1, 2, 3]) {
    it.effect(`at random times (seed ${seed}) comes to the same tree, and its jobs run on meanwhile`, () =>
      Effect.gen(function*() {
        const settings = studyWith("fused", "pooled", "crashing")
        const random = numbers(seed)
        const { lives, tree } = yield* Effect.gen(function*() {
          const { lives, view } = yield* inPieces(settings, () => random() * 600, () => random() * 300)
          yield* check(settings, view)
          assert.deepStrictEqual((yield* jobsThatRan).filter(({ status }) => status === "Cancelled"), [])
          return { lives, tree: projection(view) }
        }).pipe(Effect.provide(TestLaboratory.layerTest(settings, program(0.005))))
        assert.isAbove(lives, 20)
        assert.deepStrictEqual(tree, yield* uninterrupted(settings))
      }))
  }

  it.effect("does not count the time in which nobody ran it", () =>
    Effect.gen(function*() {
      const settings = studyOf({ limits: { wallTimeMillis: 60_000, experiments: 6 } })
      const { view } = yield* Effect.provide(
        inPieces(settings, () => 2_000, () => 3_600_000),
        TestLaboratory.layerTest(settings, program(0.005))
      )
      assert.match(view.tree.stopped ?? "", /All 6 experiments/)
      assert.isBelow(view.livedMillis, 60_000)
      assert.isAbove(view.at - view.beganAt, 3_600_000)
    }))
})
