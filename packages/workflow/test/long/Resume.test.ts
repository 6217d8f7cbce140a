import { assert, describe, it } from "@effect/vitest"
import { TestLaboratory } from "@espalier/workflow/testing"
import { Effect } from "effect"
import { inPieces, interrupted, sequential, uninterrupted } from "../support/interruptions.ts"
import { check, projection } from "../support/invariants.ts"
import { program, studyOf } from "../support/program.ts"
import { numbers } from "../support/random.ts"

const settings = sequential(["fused", "pooled", "crashing", "endless"], { limits: { experiments: 10 } })

describe("a whole search", () => {
  for (const mode of ["lost", "written"] as const) {
    for (const downtime of ["0 seconds", "300 millis", "1 hour"] as const) {
      it.effect(`whose engine dies once, at any append (${mode}), for ${downtime}, comes to the same tree`, () =>
        Effect.gen(function*() {
          const expected = yield* uninterrupted(settings)
          for (let at = 1;; at++) {
            const { appends, lives, tree } = yield* interrupted(settings, { at, mode }, downtime)
            if (lives === 1) return assert.isAbove(appends, 100)
            assert.deepStrictEqual(tree, expected, `append ${at}`)
          }
        }))

      it.effect(`whose engine dies in every life after a few appends (${mode}), for ${downtime}, comes to the same tree`, () =>
        Effect.gen(function*() {
          const expected = yield* uninterrupted(settings)
          for (let ofLife = mode === "lost" ? 3 : 2; ofLife <= 12; ofLife++) {
            const { tree } = yield* interrupted(settings, { ofLife, mode }, downtime)
            assert.deepStrictEqual(tree, expected, `append ${ofLife} of each life`)
          }
        }))
    }

    it.effect(`with several jobs at a time, whose engine dies at any append (${mode}), keeps every promise`, () =>
      Effect.gen(function*() {
        const busy = studyOf({ machine: 3, concurrency: 4, limits: { experiments: 10 }, planner: { batch: 4 } })
        for (let at = 1;; at++) {
          const { lives, tree } = yield* interrupted(busy, { at, mode }, "200 millis")
          assert.strictEqual(tree.state, "completed")
          if (lives === 1) return
        }
      }))
  }

  it.effect("that is suspended at random times, again and again, comes to the same tree", () =>
    Effect.gen(function*() {
      const expected = yield* uninterrupted(settings)
      for (let seed = 1; seed <= 50; seed++) {
        const random = numbers(seed)
        yield* Effect.gen(function*() {
          const { view } = yield* inPieces(settings, () => random() * 2_000, () => random() * 2_000)
          yield* check(settings, view)
          assert.deepStrictEqual(projection(view), expected, `seed ${seed}`)
        }).pipe(Effect.provide(TestLaboratory.layerTest(settings, program(0.005))))
      }
    }))
})
