/**
 * A snapshot of a state that goes on changing.
 *
 * Writing a state with a million works takes seconds, and a host must not stand still for so long. So the works are written a
 * few at a time, between the turns of the run, and whatever an event is about to change is written just before, as it was. What
 * comes out is the state at the moment at which the capture began.
 */
import type { RunEvent } from "../RunEvent.ts"
import type { RunState, WorkEntry } from "./model.ts"
import { headerOf, type WorkJson, worksPerPart, workToJson } from "./snapshot.ts"

export class Capture {
  private readonly state: RunState
  private readonly header: unknown
  private readonly works: Iterator<WorkEntry>
  /** Works that were added later are not part of it. */
  private readonly arrivals: number
  /** Works up to this arrival are written. */
  private written = -1
  private readonly early = new Map<WorkEntry, WorkJson>()

  constructor(state: RunState) {
    this.state = state
    this.header = headerOf(state)
    this.works = state.works.values()
    this.arrivals = state.arrivals
  }

  /** To be called with every event, before it is folded in. */
  before(event: RunEvent): void {
    const { state } = this
    if ("id" in event) {
      this.keep(state.works.get(event.id))
      const dependents = state.dependents.get(event.id)
      if (dependents !== undefined) { for (const each of dependents) this.keep(each) }
    } else if (event._tag === "WorksForgotten") {
      for (const id of event.ids) this.keep(state.works.get(id))
    }
  }

  private keep(entry: WorkEntry | undefined): void {
    if (entry === undefined || entry.arrival <= this.written || entry.arrival >= this.arrivals) return
    if (!this.early.has(entry)) this.early.set(entry, workToJson(this.state, entry))
  }

  /** The parts, each made when it is asked for. */
  *parts(): Generator<unknown, void> {
    yield this.header
    for (;;) {
      const part: Array<WorkJson> = []
      while (part.length < worksPerPart) {
        const next = this.works.next()
        if (next.done === true || next.value.arrival >= this.arrivals) break
        const entry = next.value
        part.push(this.early.get(entry) ?? workToJson(this.state, entry))
        this.early.delete(entry)
        this.written = entry.arrival
      }
      if (part.length > 0) yield part
      if (part.length < worksPerPart) break
    }
    // Forgotten before their turn came.
    if (this.early.size > 0) yield Array.from(this.early.values())
  }
}
