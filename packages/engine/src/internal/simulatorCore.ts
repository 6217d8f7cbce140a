/**
 * The pure heart of a run, as the simulator uses it. A mutant of it can be put in its place.
 */
import type { Result } from "effect"
import type { RunEvent } from "../RunEvent.ts"
import { evolve, execute, fromSnapshot, make, schedule, toSnapshot } from "../RunState.ts"
import type { Command, Refusal } from "./command.ts"
import type { RunState } from "./model.ts"
import { nextWake } from "./ready.ts"

export interface Core {
  readonly make: () => RunState
  readonly evolve: (state: RunState, event: RunEvent) => void
  readonly execute: (state: RunState, command: Command, now: number) => Result.Result<Array<RunEvent>, Refusal>
  readonly schedule: (state: RunState, now: number) => Array<RunEvent>
  readonly nextWake: (state: RunState) => number | undefined
  readonly toSnapshot: (state: RunState) => ReadonlyArray<unknown>
  readonly fromSnapshot: (parts: ReadonlyArray<unknown>) => RunState
}

export const core: Core = { make, evolve, execute, schedule, nextWake, toSnapshot, fromSnapshot }
