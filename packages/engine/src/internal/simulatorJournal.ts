/**
 * The journal of a simulated run: lines of JSON, and the number of the process that may append. What is appended is durable as a
 * whole or not at all.
 */
import type { RunEvent } from "../RunEvent.ts"

export interface Snapshot {
  /** How many events it stands for. */
  readonly after: number
  readonly parts: string
}

export class SimulatedJournal {
  private lines: ReadonlyArray<string> = []
  private owner = 0
  snapshot: Snapshot | undefined = undefined

  get length(): number {
    return this.lines.length
  }

  /** Whoever opens it last may append. */
  open(): number {
    this.owner += 1
    return this.owner
  }

  /** False: another process has opened it since, and nothing was appended. */
  append(owner: number, events: ReadonlyArray<RunEvent>): boolean {
    if (owner !== this.owner) return false
    this.lines = [...this.lines, ...events.map((event) => JSON.stringify(event))]
    return true
  }

  read(after = 0): ReadonlyArray<RunEvent> {
    return this.lines.slice(after).map((line) => JSON.parse(line) as RunEvent)
  }
}
