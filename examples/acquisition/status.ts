/**
 * The state of an acquisition in words: many lines for a terminal, one line for a pipe. Pure functions of what the run tells.
 */
import type { RunStatus } from "@espalier/engine"
import { lagMillis, type Timeline } from "./timeline.ts"

const clock = (millis: number): string => `${(millis / 1_000).toFixed(1)} s`

const ended = ({ counts }: RunStatus.RunStatus): number =>
  counts.succeeded + counts.failed + counts.cancelled + counts.skipped

const total = ({ counts }: RunStatus.RunStatus): number => Object.values(counts).reduce((sum, count) => sum + count, 0)

/** Time since the plan began. */
const elapsed = (status: RunStatus.RunStatus): string =>
  clock((status.finishedAt ?? status.at) - (status.startedAt ?? status.at))

/** How many events of a kind are due and queue, and how many are still to come. */
const depth = (status: RunStatus.RunStatus, kind: string): { readonly due: number; readonly later: number } => {
  let due = 0
  let later = 0
  for (const group of status.waiting) {
    if (group.kind !== kind) continue
    if (group.reason._tag === "Until") later += group.count
    else due += group.count
  }
  return { due, later }
}

const lagLine = ({ lag }: RunStatus.RunStatus): string =>
  lag.lastMillis === undefined
    ? "nothing has started"
    : `last ${lag.lastMillis} ms, half within ${lag.p50Millis} ms, 99 % within ${lag.p99Millis} ms`

const nextLine = (status: RunStatus.RunStatus): string => {
  const times = status.waiting.flatMap(({ reason }) => reason._tag === "Until" ? [reason.at] : [])
  if (times.length === 0) return "nothing to come"
  return `in ${clock(Math.max(0, Math.min(...times) - status.at))}`
}

/** The event that started last, as it was planned and as it was. */
const latestLine = ({ events }: Timeline): string => {
  let latest
  for (const event of events.values()) if ((event.startedAt ?? -1) >= (latest?.startedAt ?? 0)) latest = event
  return latest === undefined ? "none" : `${latest.id}, ${lagMillis(latest)} ms after its time: ${latest.state}`
}

const keys: { readonly [state in RunStatus.RunStatus["state"]]?: string } = {
  running: "p pause   c cancel   q suspend and leave",
  pausing: "r resume   c cancel   q suspend and leave",
  paused: "r resume   c cancel   q suspend and leave"
}

/** The picture for a terminal. `note` is what the last key was answered with. */
export const lines = (status: RunStatus.RunStatus, timeline: Timeline, note: string): ReadonlyArray<string> => {
  const cause = status.cause === undefined || status.state === "running"
    ? ""
    : ` by ${status.cause.actor}: ${status.cause.reason}`
  return [
    `plan      ${status.state}${cause}   ${elapsed(status)}   ${ended(status)} of ${total(status)} events`,
    `next      ${nextLine(status)}`,
    ...Object.keys(status.kinds).map((kind) => {
      const { due, later } = depth(status, kind)
      const { failures, running } = status.kinds[kind]!
      const failed = Object.values(failures).reduce((sum, count) => sum + count, 0)
      return `${kind.padEnd(9)} ${running} running, ${due} due and queued, ${later} to come${
        failed === 0 ? "" : `, ${failed} failed`
      }`
    }),
    ...Object.entries(status.pools).map(([pool, { size, used }]) => `${pool.padEnd(9)} ${used} of ${size} in use`),
    `lag       ${lagLine(status)}`,
    `latest    ${latestLine(timeline)}`,
    ...status.running.map(({ ageMillis, id, progress }) => `  ${id}  ${ageMillis} ms  ${progress?.stage ?? "begins"}`),
    ...(keys[status.state] === undefined ? [] : [keys[status.state]!]),
    ...(note === "" ? [] : [note])
  ]
}

/** The same on one line. */
export const line = (status: RunStatus.RunStatus): string => {
  const { counts, running } = status
  const queued = Object.keys(status.kinds).reduce((sum, kind) => sum + depth(status, kind).due, 0)
  return `${elapsed(status).padStart(7)}  ${status.state}: ${ended(status)} of ${
    total(status)
  } events, ${running.length} running, ` +
    `${queued} due and queued, ${counts.waiting} to come; lag ${lagLine(status)}`
}
