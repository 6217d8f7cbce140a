/**
 * The plan beside what became of it: a view of the run, folded from its journal, so that it also tells of earlier processes.
 */
import { Projection } from "@espalier/engine"
import { Schema } from "effect"
import { Place } from "./kinds.ts"
import type { Position } from "./microscope.ts"

/** One event of the plan. Times are in milliseconds since the epoch; undefined: not yet. */
export interface TimedEvent {
  readonly id: string
  readonly kind: string
  readonly position: Position
  readonly round: number
  readonly plannedAt: number
  startedAt: number | undefined
  state: "to come" | "started" | "interrupted" | "done" | "failed" | "cancelled"
}

export interface Timeline {
  readonly events: Map<string, TimedEvent>
}

const readPlace = Schema.decodeUnknownSync(Place)

export const timeline = Projection.make<Timeline>({
  initial: () => ({ events: new Map() }),
  evolve: ({ events }, { event }) => {
    if (event._tag === "WorkAdded") {
      const { id, kind, notBefore = event.at, payload } = event.spec
      events.set(id, { id, kind, ...readPlace(payload), plannedAt: notBefore, startedAt: undefined, state: "to come" })
      return
    }
    const timed = "id" in event ? events.get(event.id) : undefined
    if (timed === undefined) return
    switch (event._tag) {
      case "WorkStarted":
        timed.startedAt ??= event.at // what is taken up after a crash did start, then
        timed.state = "started"
        return
      case "WorkInterrupted":
        timed.state = "interrupted"
        return
      case "WorkSucceeded":
        timed.state = "done"
        return
      case "WorkFailed":
        timed.state = "failed"
        return
      case "WorkCancelled":
        timed.state = "cancelled"
        return
    }
  }
})

/** How much later than planned an event started; undefined as long as it has not. */
export const lagMillis = ({ plannedAt, startedAt }: TimedEvent): number | undefined =>
  startedAt === undefined ? undefined : startedAt - plannedAt

const seconds = (millis: number | undefined): string => millis === undefined ? "" : (millis / 1_000).toFixed(3)

/** A table of all events in the order of the plan, with tabs between columns; times in seconds from the start of the plan. */
export const table = ({ events }: Timeline): string => {
  const notYet = Number.MAX_SAFE_INTEGER
  const all = Array.from(events.values()).sort((a, b) =>
    a.plannedAt - b.plannedAt || (a.startedAt ?? notYet) - (b.startedAt ?? notYet)
  )
  const start = all[0]?.plannedAt ?? 0
  const lines = all.map((event) =>
    [
      event.id,
      seconds(event.plannedAt - start),
      seconds(event.startedAt === undefined ? undefined : event.startedAt - start),
      seconds(lagMillis(event)),
      event.state
    ].join("\t")
  )
  return ["event\tplanned_s\tstarted_s\tlag_s\tstate", ...lines].join("\n") + "\n"
}

/** A line about all lags of a kind. */
export const lagOf = ({ events }: Timeline, kind: string): string => {
  const lags = Array.from(events.values(), (event) => event.kind === kind ? lagMillis(event) : undefined)
    .filter((lag) => lag !== undefined)
    .sort((a, b) => a - b)
  if (lags.length === 0) return `${kind}: none started`
  const middle = lags[Math.floor(lags.length / 2)]!
  return `${kind}: ${lags.length} started, lag ${lags[0]} to ${lags.at(-1)} ms, median ${middle} ms`
}
