import { assert, describe, it } from "@effect/vitest"
import { TestLaboratory } from "@espalier/workflow/testing"
import { type Duration, Effect } from "effect"
import { type Fault, faultyJournal, throughCrashes } from "./support/interruptions.ts"
import { check, projection } from "./support/invariants.ts"
import { edits, program, studyOf } from "./support/program.ts"

/** One thing at a time, so that only an interruption could change the order. */
const studyWith = (...names: ReadonlyArray<string>) =>
  studyOf({
    parameters: [],
    edits: edits.filter(({ name }) => names.includes(name)),
    seeds: [],
    concurrency: 1
  })

const uninterrupted = (settings: ReturnType<typeof studyWith>) =>
  TestLaboratory.run(settings).pipe(
    Effect.map(projection),
    Effect.provide(TestLaboratory.layerTest(settings, program(0.005)))
  )

const interrupted = (settings: ReturnType<typeof studyWith>, fault: Fault, downtime: Duration.Input) =>
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

  for (const mode of ["lost", "written"] as const) {
    for (const downtime of ["0 seconds", "300 millis", "1 hour"] as const) {
      it.effect(`again and again, after every append (${mode}) and for ${downtime}, comes to the same tree`, () =>
        Effect.gen(function*() {
          const settings = studyWith("fused", "crashing", "endless", "silent")
          const expected = yield* uninterrupted(settings)
          // The first append of a life takes the run up; the second is the only one that it gets done.
          const { appends, lives, tree } = yield* interrupted(settings, { ofLife: mode === "lost" ? 3 : 2, mode }, downtime)
          console.log(lives, appends)
          assert.deepStrictEqual(tree, expected)
        }))
    }
  }
})
