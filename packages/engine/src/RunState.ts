/**
 * The pure heart of a run: a state, the events that make it, and the decisions that make events.
 *
 * - `execute` gives a command to a state: it is decided, its events are folded in, and so is what follows from them.
 * - `schedule` starts what may start, in the order of priority.
 * - `evolve` folds one event; folding a whole journal gives the state again.
 *
 * No clock, no fiber, no disk: `now` is an argument, never less than the time of the last event. `evolve` changes the
 * state that it is given, because a run may hold a million works; whoever needs the state before keeps a journal,
 * not a copy. Nothing here may act on what it decides before the journal has it: that is the runner's part.
 *
 * Rejected: an immutable state. At a million works every event would copy a path of a persistent map, and
 * the engine's throughput would be the garbage collector's.
 */
import { Result } from "effect"
import { type Command, decide, follow, type Refusal } from "./internal/decide.ts"
import { evolve } from "./internal/evolve.ts"
import { isSettled, make, type RunState, type WorkEntry, type WorkStatus } from "./internal/model.ts"
import { next, nextWake, obstacle } from "./internal/ready.ts"
import type { RunEvent } from "./RunEvent.ts"

export { decide, evolve, isSettled, make, next, nextWake, obstacle }
export type { Command, Refusal, RunState, WorkEntry, WorkStatus }

const settleInto = (state: RunState, now: number, events: Array<RunEvent>): void => {
  for (let event = follow(state, now); event !== undefined; event = follow(state, now)) {
    evolve(state, event)
    events.push(event)
  }
}

/**
 * Decides a command and folds its events into the state, with what follows from them. On a refusal the state is as
 * it was.
 */
export const execute = (
  state: RunState,
  command: Command,
  now: number
): Result.Result<Array<RunEvent>, Refusal> =>
  Result.map(decide(state, command, now), (decided) => {
    const events = [...decided]
    for (const event of decided) evolve(state, event)
    settleInto(state, now, events)
    return events
  })

/**
 * Starts, one after another, all that may start, and folds the events in.
 */
export const schedule = (state: RunState, now: number): Array<RunEvent> => {
  const events: Array<RunEvent> = []
  for (let event = next(state, now); event !== undefined; event = next(state, now)) {
    evolve(state, event)
    events.push(event)
  }
  return events
}

/**
 * Folds a journal's events into a new state.
 */
export const fold = (events: Iterable<RunEvent>): RunState => {
  const state = make()
  for (const event of events) evolve(state, event)
  return state
}
