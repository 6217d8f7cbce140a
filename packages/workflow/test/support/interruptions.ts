/**
 * Ways to be interrupted: a journal whose append fails, and lives of an engine that end before the run does.
 */
import { Journal } from "@espalier/engine"
import type { Study } from "@espalier/workflow"
import { TestLaboratory } from "@espalier/workflow/testing"
import { type Duration, Effect, Result } from "effect"
import { TestClock } from "effect/testing"

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
        const append = (bodies: ReadonlyArray<string>) =>
          Effect.suspend(() => {
            ofLife += 1
            counter.appends += 1
            const isFaulty = "at" in fault ? counter.appends === fault.at : ofLife === fault.ofLife
            if (!isFaulty) return writer.append(bodies)
            const failure = new Journal.JournalError({ operation: "append", runId, message: asAsked })
            return fault.mode === "lost" ? failure : Effect.andThen(writer.append(bodies), failure)
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
