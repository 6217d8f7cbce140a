/**
 * One run of the simulator from its seed to its end, and what is counted over many.
 */
import type { RunEvent } from "../RunEvent.ts"
import { type Watch, watchAll } from "./simulatorAuditor.ts"
import { type Core, core as realCore } from "./simulatorCore.ts"
import { check, show } from "./simulatorCheck.ts"
import { allInvariants, checkEnd } from "./simulatorInvariants.ts"
import type { Program } from "./simulatorProgram.ts"
import { WorkRows } from "./simulatorRows.ts"
import { RunRows } from "./simulatorRunRows.ts"
import { World } from "./simulatorWorld.ts"

/** What occurred in many runs, and how often. */
export interface Tally {
  readonly works: Map<string, number>
  readonly runs: Map<string, number>
  readonly pairs: Map<string, number>
}

export const emptyTally = (): Tally => ({ works: new Map(), runs: new Map(), pairs: new Map() })

export interface Options {
  readonly core?: Core
  readonly tally?: Tally
  /** Looks on; tells a replay. */
  readonly watch?: Watch
}

export interface Result {
  /** What is durable at the end. */
  readonly events: ReadonlyArray<RunEvent>
  /** What did not hold; undefined when everything did. */
  readonly failure: string | undefined
}

/** Every so many runs the whole state is compared as text, which takes longer than the run. */
const thorough = 16

const describe = (cause: unknown): string =>
  cause instanceof Error
    ? (cause.name === "Disagreement" ? cause.message : cause.stack ?? cause.message)
    : String(cause)

export const runProgram = (program: Program, { core = realCore, tally, watch }: Options = {}): Result => {
  const counting = tally === undefined ? [] : [new WorkRows(tally.works), new RunRows(tally.runs)]
  const watches = [allInvariants(), ...counting, ...(watch === undefined ? [] : [watch])]
  const world = new World(program, core, watchAll(watches), tally?.pairs ?? new Map())
  try {
    world.run()
    const events = world.journal.read()
    checkEnd(world.durable, events)
    if (program.seed % thorough === 0) checkFold(core, world, events)
    return { events, failure: undefined }
  } catch (cause) {
    return { events: world.journal.read(), failure: describe(cause) }
  }
}

/** 7: folding the whole journal, or a snapshot, gives the state that was reached. */
const checkFold = (core: Core, world: World, events: ReadonlyArray<RunEvent>): void => {
  const folded = core.make()
  for (const event of events) core.evolve(folded, event)
  const reached = show(core.toSnapshot(world.last.state))
  const again = show(core.toSnapshot(folded))
  check(again === reached, () => `the journal folds to ${again}; reached was ${reached}`)
  const restored = show(core.toSnapshot(core.fromSnapshot(JSON.parse(reached))))
  check(restored === reached, () => `a snapshot is restored as ${restored}; it was ${reached}`)
}
