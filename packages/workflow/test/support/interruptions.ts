/**
 * Ways to be interrupted: a journal whose append fails, and lives of an engine that end before the run does.
 */
import { assert } from "@effect/vitest"
import { Journal } from "@espalier/engine"
import * as MemoryWorkspace from "@espalier/platform/workspace/Memory"
import type { Study } from "@espalier/workflow"
import { TestLaboratory } from "@espalier/workflow/testing"
import { type Duration, Effect, Result } from "effect"
import { TestClock } from "effect/testing"
import { check, projection } from "./invariants.ts"
import { edits, program, studyOf } from "./program.ts"

/**
 * When an append fails: `lost` before anything is written, `written` after, as when a process dies between the two.
 *
 * `at` counts over all lives from 1; `ofLife` counts in each life, so that all of them are short.
 */
export type Fault = { readonly mode: "lost" | "written" } & ({ at: number } | { readonly ofLife: number })

/** A journal with a fault, asked for at each append. `appends` counts over all lives. */
export const faultyJournal = (fault: Fault) => {
  const counter = { appends: 0 }
  const around = (real: Journal.Journal["Service"]): Journal.Journal["Service"] => ({
    ...real,
    open: (runId, options) =>
      Effect.map(real.open(runId, options), (writer) => {
        let ofLife = 0
        const append = (events: ReadonlyArray<Journal.Json>, version: number) =>
          Effect.suspend(() => {
            ofLife += 1
            counter.appends += 1
            const isFaulty = "at" in fault ? counter.appends === fault.at : ofLife === fault.ofLife
            if (!isFaulty) return writer.append(events, version)
            const failure = new Journal.JournalError({ operation: "append", runId, message: asAsked })
            return fault.mode === "lost" ? failure : Effect.andThen(writer.append(events, version), failure)
          })
        return { ...writer, append }
      })
  })
  return { around, counter }
}

const asAsked = "this append failed, as the test asked for"

/** Runs the search to its end through as many lives as that takes, `downtime` between two of them. Counts the lives. */
export const throughCrashes = Effect.fnUntraced(function*(settings: Study.Settings, downtime: Duration.Input = 0) {
  for (let lives = 1; lives <= 200; lives++) {
    const life = yield* Effect.result(TestLaboratory.run(settings))
    if (Result.isSuccess(life)) return { view: life.success, lives }
    if (life.failure.message !== asAsked) return yield* Effect.die(life.failure)
    yield* TestClock.adjust(downtime)
  }
  return yield* Effect.die(new Error("The search did not end within 200 lives."))
})

/** A study of edits in which one thing happens at a time, so that only an interruption could change the order. */
export const sequential = (names: ReadonlyArray<string>, changes: TestLaboratory.Declaration = {}) =>
  studyOf({
    parameters: [],
    edits: edits.filter(({ name }) => names.includes(name)),
    seeds: [],
    concurrency: 1,
    limits: { experiments: 4 },
    ...changes
  })

/** What the search comes to when nothing interrupts it. */
export const uninterrupted = (settings: Study.Settings) =>
  TestLaboratory.run(settings).pipe(
    Effect.map(projection),
    Effect.provide(TestLaboratory.layerTest(settings, program(0.005)))
  )

/** What the search comes to through this fault, checked; how many lives and appends that took. */
export const interrupted = (settings: Study.Settings, fault: Fault, downtime: Duration.Input) =>
  Effect.gen(function*() {
    const { around, counter } = faultyJournal(fault)
    return yield* Effect.gen(function*() {
      const { lives, view } = yield* throughCrashes(settings, downtime)
      yield* check(settings, view)
      return { lives, tree: projection(view), appends: counter.appends }
    }).pipe(Effect.provide(TestLaboratory.layerTest(settings, program(0.005), { around: { journal: around } })))
  })

/** Runs the search in lives of so many milliseconds, suspended between them. */
export const inPieces = Effect.fnUntraced(
  function*(settings: Study.Settings, life: () => number, downtime: () => number) {
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
  }
)
