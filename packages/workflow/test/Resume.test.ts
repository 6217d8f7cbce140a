import { assert, describe, it } from "@effect/vitest"
import { Workspace } from "@espalier/platform/Workspace"
import { TestLaboratory } from "@espalier/workflow/testing"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { faultyJournal, inPieces, interrupted, sequential, uninterrupted } from "./support/interruptions.ts"
import { check, jobsThatRan, projection } from "./support/invariants.ts"
import { program, studyOf } from "./support/program.ts"
import { numbers } from "./support/random.ts"

describe("a search whose engine dies", () => {
  it.effect("once, at any append of an experiment, comes to the same tree", () =>
    Effect.gen(function*() {
      const settings = sequential(["fused"], { objective: { smallestGain: 10 } })
      const expected = yield* uninterrupted(settings)
      assert.deepInclude(expected, { state: "completed", best: "baseline", jobs: 2 })
      for (const mode of ["lost", "written"] as const) {
        for (let at = 1;; at++) {
          const { lives, tree } = yield* interrupted(settings, { at, mode }, 0)
          if (lives === 1) break
          assert.deepStrictEqual(tree, expected, `append ${at}, ${mode}`)
        }
      }
    }), 30_000)

  /** The first append of a life takes the run up; one more is all that it gets done. */
  const shortLives = { lost: { ofLife: 3, mode: "lost" }, written: { ofLife: 2, mode: "written" } } as const

  for (const [mode, downtime] of [["lost", "0 seconds"], ["written", "300 millis"]] as const) {
    it.effect(
      `again and again, at every append of a search (${mode}), comes to the same tree`,
      () =>
        Effect.gen(function*() {
          const settings = sequential(["fused", "crashing", "endless"])
          const { lives, tree } = yield* interrupted(settings, shortLives[mode], downtime)
          assert.isAbove(lives, 60)
          assert.deepStrictEqual(tree, yield* uninterrupted(settings))
        }),
      30_000
    )
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
  it.effect("at random times comes to the same tree, and its jobs run on meanwhile", () =>
    Effect.gen(function*() {
      const settings = sequential(["fused", "pooled", "crashing"])
      const random = numbers(1)
      const { lives, tree } = yield* Effect.gen(function*() {
        const { lives, view } = yield* inPieces(settings, () => random() * 600, () => random() * 300)
        yield* check(settings, view)
        assert.deepStrictEqual((yield* jobsThatRan).filter(({ status }) => status === "Cancelled"), [])
        return { lives, tree: projection(view) }
      }).pipe(Effect.provide(TestLaboratory.layerTest(settings, program(0.005))))
      assert.isAbove(lives, 15)
      assert.deepStrictEqual(tree, yield* uninterrupted(settings))
    }))

  for (const end of ["is suspended", "dies"] as const) {
    it.effect(`keeps the tree of a job that runs on when its engine ${end}`, () =>
      Effect.gen(function*() {
        const settings = sequential(["fused"])
        const fault = { at: Infinity, mode: "lost" } as { at: number; readonly mode: "lost" }
        const { around, counter } = faultyJournal(fault)
        yield* Effect.gen(function*() {
          yield* Effect.scoped(Effect.gen(function*() {
            const run = yield* TestLaboratory.open(settings)
            yield* TestClock.adjust(500)
            if (end === "is suspended") return yield* run.suspend()
            fault.at = counter.appends + 1
            yield* Effect.flip(run.suspend())
          }))
          assert.deepStrictEqual((yield* jobsThatRan).map(({ status, work }) => [work, status]), [
            ["experiment/baseline", "Running"]
          ])
          assert.deepStrictEqual(yield* (yield* Workspace).sweep(settings.run), ["/memory/test/baseline"])
        }).pipe(Effect.provide(TestLaboratory.layerTest(settings, program(0.005), { around: { journal: around } })))
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
