/**
 * Commands and the scheduler, writing what they decide into one array: a turn of the runner is made of many of them.
 */
import { Result } from "effect"
import type { RunEvent } from "../RunEvent.ts"
import type { Command, Refusal } from "./command.ts"
import { decide } from "./decide.ts"
import { evolve } from "./evolve.ts"
import { follow } from "./follow.ts"
import type { RunState, WorkEntry } from "./model.ts"
import { next } from "./ready.ts"

/** Decides a command, folds its events and what follows from them into the state, and appends them to `events`. */
export const executeInto = (
  state: RunState,
  command: Command,
  now: number,
  events: Array<RunEvent>
): Refusal | undefined => {
  const decided = decide(state, command, now)
  if (Result.isFailure(decided)) return decided.failure
  for (const event of decided.success) {
    evolve(state, event)
    events.push(event)
  }
  for (let followed = follow(state, now); followed !== undefined; followed = follow(state, now)) {
    for (const event of followed) {
      evolve(state, event)
      events.push(event)
    }
  }
  return undefined
}

/** Starts all that may start, in order, and appends the events; and the works that were started, so that they need not be looked up. */
export const scheduleInto = (
  state: RunState,
  now: number,
  events: Array<RunEvent>,
  started?: Array<WorkEntry>
): void => {
  for (let event = next(state, now); event !== undefined; event = next(state, now)) {
    if (event._tag === "WorkStarted") started?.push(state.last!)
    evolve(state, event)
    events.push(event)
  }
}
