/**
 * Simulated runs: random works, handlers, controls, clocks, crashes and failing journals, all of which follow from a seed.
 *
 * Each run drives the pure heart of the engine (`RunState`) through processes that die and are followed by others, under
 * virtual time, to its end. After every event all that can be seen of it is held against a naive model of
 * `docs/life-of-a-work.md`, and against the invariants that the engine promises. What is simulated is the world around
 * `RunState`: a journal that loses what is not durable, handlers that may die between any two things that they do.
 *
 * - `check` makes many runs and tells which failed, and how often each transition and each pair of fault and control occurred.
 * - `replay` makes one of them again, tells it event by event, and looks for a smaller program that fails in the same way.
 * - `history` gives the events of a run: lifelike input for a projection or a page that folds them.
 *
 * What it is not: a test of your handlers. Those run under the test clock, with `TestRun`.
 */
import type { RunEvent } from "../RunEvent.ts"
import { controls, faults } from "../internal/simulatorProgram.ts"
import { emptyTally, runProgram } from "../internal/simulatorRun.ts"
import { shrink } from "../internal/simulatorShrink.ts"
import { programOf } from "../internal/simulatorWorkload.ts"

/** A run that did not do what it should. */
export interface Failure {
  readonly seed: number
  readonly message: string
}

/** What many runs came to. Counts are by name. */
export interface Report {
  readonly runs: number
  readonly events: number
  readonly failures: ReadonlyArray<Failure>
  /** Rows of the work's table in `docs/life-of-a-work.md`: `state | command | events | next`. */
  readonly workTransitions: ReadonlyMap<string, number>
  /** Rows of the run's table. */
  readonly runTransitions: ReadonlyMap<string, number>
  /** `fault | control`: the fault struck the append that carried the control, or the next thing that a handler did after it. */
  readonly faultsAndControls: ReadonlyMap<string, number>
}

/** All pairs that `faultsAndControls` can hold. */
export const pairs: ReadonlyArray<string> = faults.flatMap((fault) =>
  controls.map((control) => `${fault} | ${control}`)
)

/**
 * Makes runs with the seeds `seed`, `seed + 1`, and so on.
 *
 * @example
 * ```ts
 * import { Simulator } from "@espalier/engine/testing"
 * import assert from "node:assert"
 *
 * const report = Simulator.check({ seed: 1, runs: 20 })
 * assert.deepStrictEqual(report.failures, [])
 * assert(report.workTransitions.get("queued | schedule | WorkStarted | running")! > 20)
 * ```
 */
export const check = ({ runs, seed }: { readonly seed: number; readonly runs: number }): Report => {
  const tally = emptyTally()
  const failures: Array<Failure> = []
  let events = 0
  for (let each = seed; each < seed + runs; each++) {
    const result = runProgram(programOf(each), { tally })
    events += result.events.length
    if (result.failure !== undefined) failures.push({ seed: each, message: result.failure })
  }
  return {
    runs,
    events,
    failures,
    workTransitions: tally.works,
    runTransitions: tally.runs,
    faultsAndControls: tally.pairs
  }
}

/** One run, told in full. */
export interface Replay {
  readonly seed: number
  /** What did not hold; undefined when everything did. */
  readonly failure: string | undefined
  /** The program as JSON; of a failure the smallest that was found to fail in the same way. */
  readonly program: string
  /** What was asked and what was recorded, line by line. */
  readonly trace: ReadonlyArray<string>
}

/**
 * Makes the run of a seed again, exactly. One that fails is made smaller first, as long as it fails in the same way.
 *
 * @example
 * ```ts
 * import { Simulator } from "@espalier/engine/testing"
 * import assert from "node:assert"
 *
 * const { failure, trace } = Simulator.replay(7)
 * assert.strictEqual(failure, undefined)
 * assert.deepStrictEqual(trace, Simulator.replay(7).trace)
 * ```
 */
export const replay = (seed: number): Replay => {
  const smallest = shrink(programOf(seed), (program) => runProgram(program).failure)
  const trace: Array<string> = []
  const { failure } = runProgram(smallest, {
    watch: {
      asked: (command, _, now) => trace.push(`${now} ${JSON.stringify(command)}`),
      after: (event) => trace.push(`     ${JSON.stringify(event)}`),
      answered: (_, outcome) => {
        if (outcome._tag === "Failure") trace.push(`     refused: ${outcome.failure._tag}`)
      },
      restarted: () => trace.push("     another process reads the journal")
    }
  })
  return { seed, failure, program: JSON.stringify(smallest), trace }
}

/**
 * The journal of a simulated run, from its start to its end: the same for the same seed.
 *
 * @example
 * ```ts
 * import { Simulator } from "@espalier/engine/testing"
 * import assert from "node:assert"
 *
 * // A view that has to hold whatever happens: nothing is settled twice without a retry by name between.
 * for (let seed = 1; seed <= 20; seed++) {
 *   const settled = new Set<string>()
 *   for (const event of Simulator.history(seed)) {
 *     if (event._tag === "WorkRetried") settled.delete(event.id)
 *     else if (event._tag === "WorksForgotten") for (const id of event.ids) settled.delete(id)
 *     else if (event._tag === "WorkSucceeded" || event._tag === "WorkFailed") {
 *       assert(!settled.has(event.id))
 *       settled.add(event.id)
 *     }
 *   }
 * }
 * ```
 */
export const history = (seed: number): ReadonlyArray<RunEvent> => runProgram(programOf(seed)).events
