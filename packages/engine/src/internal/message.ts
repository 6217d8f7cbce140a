import type { Exit } from "effect"
import type { RunEvent } from "../RunEvent.ts"
import type { Command } from "./command.ts"
import type { RunError } from "./errors.ts"
import type { RunState } from "./model.ts"

export type Answer = (answer: Exit.Exit<ReadonlyArray<RunEvent>, RunError>) => void

/** What the loop of a run takes from its inbox: a command, or (without one) the wish to look at what is durable. */
export class Message {
  readonly command: Command | undefined
  /** Told the events of the command when they are durable, or why there are none; for a look, that it is time. */
  readonly answer: Answer | undefined
  /** Looks at the state right behind the command, before any other; what it sees is not durable yet. */
  readonly behind: ((state: RunState) => void) | undefined
  /** For an `Add` to a run that is full: whether it waits until there is room for it, or is refused. */
  readonly whenFull: "wait" | "refuse" | undefined
  isWithdrawn = false

  constructor(
    command: Command | undefined,
    answer: Answer | undefined,
    behind: ((state: RunState) => void) | undefined,
    whenFull?: "wait" | "refuse"
  ) {
    this.command = command
    this.answer = answer
    this.behind = behind
    this.whenFull = whenFull
  }
}
