/**
 * The simulator itself: that it does the same for the same seed, that it meets everything, and that it finds faults.
 */
import { expect, it } from "vitest"
import { type Core, core } from "../src/internal/simulatorCore.ts"
import { runProgram } from "../src/internal/simulatorRun.ts"
import { shrink, sortOf } from "../src/internal/simulatorShrink.ts"
import { programOf } from "../src/internal/simulatorWorkload.ts"
import * as Simulator from "../src/testing/Simulator.ts"

const patience = { timeout: 120_000 }

it("some hundred runs hold, and meet what is not rare", patience, () => {
  const { events, failures, faultsAndControls, runTransitions, workTransitions } = Simulator.check({
    seed: 1,
    runs: 300
  })
  expect(failures).toEqual([])
  expect(events).toBeGreaterThan(300 * 20)
  expect(workTransitions.size).toBeGreaterThan(250)
  expect(runTransitions.size).toBeGreaterThan(150)
  expect(faultsAndControls.size).toBeGreaterThan(60)
  expect(Simulator.pairs.length).toBeGreaterThan(100)
})

it("the same seed gives the same run, and another seed another", () => {
  expect(Simulator.replay(11)).toEqual(Simulator.replay(11))
  expect(Simulator.history(11)).toEqual(Simulator.history(11))
  expect(Simulator.history(11)).not.toEqual(Simulator.history(12))
})

it("a run that holds is told with all that was asked and recorded", () => {
  const { failure, trace } = Simulator.replay(3)
  expect(failure).toBeUndefined()
  expect(trace.join("\n")).toMatch(/"_tag":"Start"[^]*RunStarted[^]*another process reads the journal/)
})

/** Cores with one fault each, made of the real one from outside. */
const mutants: { readonly [fault: string]: Core } = {
  "a pause of a work is forgotten": {
    ...core,
    evolve: (state, event) => event._tag === "WorkPaused" || core.evolve(state, event)
  } as Core,
  "a claim that is given back is not free": {
    ...core,
    evolve: (state, event) => event._tag === "SlotsReleased" || core.evolve(state, event)
  } as Core,
  "nobody looks at the clock": { ...core, nextWake: () => undefined },
  "the next process does not see that the last one was told to cancel": {
    ...core,
    evolve: (state, event) => event._tag === "WorkCancelling" || core.evolve(state, event)
  } as Core,
  "a snapshot loses the last work": {
    ...core,
    toSnapshot: (state) => {
      const parts = [...core.toSnapshot(state)] as Array<ReadonlyArray<unknown>>
      return parts.length > 1 ? [...parts.slice(0, -1), parts.at(-1)!.slice(0, -1)] : parts
    }
  },
  "one start is left out": {
    ...core,
    schedule: (state, now) => now % 7 === 0 ? [] : core.schedule(state, now)
  },
  "a refusal is taken for an answer": {
    ...core,
    execute: (state, command, now) =>
      command._tag === "Reprioritize" && command.priority === Infinity
        ? core.execute(state, { _tag: "Tick" }, now)
        : core.execute(state, command, now)
  }
}

it.each(Object.entries(mutants))("finds that %s", patience, (_, mutant) => {
  const fails = (seed: number): string | undefined => runProgram(programOf(seed), { core: mutant }).failure
  let seed = 1
  while (fails(seed) === undefined && seed < 400) seed++
  expect(fails(seed)).toBeDefined()
})

it("makes a program that fails smaller, and it fails in the same way", patience, () => {
  const mutant = mutants["a pause of a work is forgotten"]!
  const attempt = (program: ReturnType<typeof programOf>) => runProgram(program, { core: mutant }).failure
  let seed = 1
  while (attempt(programOf(seed)) === undefined) seed++
  const program = programOf(seed)
  const smallest = shrink(program, attempt)
  expect(sortOf(attempt(smallest)!)).toBe(sortOf(attempt(program)!))
  expect(smallest.happenings.length).toBeLessThan(program.happenings.length / 2)
  expect(shrink(program, attempt)).toEqual(smallest)
})
