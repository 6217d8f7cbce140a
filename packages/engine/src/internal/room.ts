/**
 * Back-pressure on `add`: what waits while a run holds as many unsettled works as it was opened for.
 */
import { type Command, RunFull } from "./command.ts"
import type { Message } from "./message.ts"
import { dedupeKey, type RunState } from "./model.ts"

export class Room {
  readonly capacity: number
  private readonly runId: string
  private readonly state: RunState
  /** In the order in which they came. */
  private waiting: Array<Message> = []

  constructor(runId: string, state: RunState, capacity: number) {
    this.runId = runId
    this.state = state
    this.capacity = capacity
  }

  get isAwaited(): boolean {
    return this.waiting.length > 0
  }

  /** Nobody overtakes those who wait. */
  isFullFor(message: Message): boolean {
    return message.whenFull !== undefined && (this.waiting.length > 0 || !this.fits(message.command))
  }

  private fits(command: Command | undefined): boolean {
    const { dedupe, name, unsettled, works } = this.state
    let count = 0
    for (const spec of command?._tag === "Add" ? command.specs : []) {
      // It is refused, or merged into a work that is there: neither takes room.
      if (works.has(spec.id)) return true
      if (spec.dedupe === undefined || !dedupe.has(dedupeKey(spec))) count += 1
    }
    const isAccepting = name === "running" || name === "pausing" || name === "paused" || name === "completed"
    // One that is refused, or alone too large, is let through: it is told so at once.
    return !isAccepting || unsettled + count <= this.capacity || count > this.capacity
  }

  wait(message: Message): void {
    this.waiting.push(message)
  }

  /** Those for whom there is room now; each is to be executed before the next is asked for. */
  *admitted(): Generator<Message> {
    while (this.waiting.length > 0) {
      const message = this.waiting[0]!
      if (!message.isWithdrawn && !this.fits(message.command)) return
      this.waiting.shift()
      if (!message.isWithdrawn) yield message
    }
  }

  /** All who wait, who will not be let in any more. */
  dismiss(): ReadonlyArray<Message> {
    const dismissed = this.waiting
    this.waiting = []
    return dismissed
  }

  refusal(): RunFull {
    return new RunFull({
      capacity: this.capacity,
      message:
        `run "${this.runId}" holds ${this.state.unsettled} unsettled works and was opened for ${this.capacity}: try again ` +
        "when some have settled, or let the call wait"
    })
  }
}
