/**
 * What follows from the state alone: times that have come, works that can no longer run, and ends of the run's own
 * transitions.
 */
import type { RunEvent } from "../RunEvent.ts"
import { heirs } from "./admit.ts"
import { cancelRun } from "./cancel.ts"
import { type Alarm, hasBegun, type RunState, type WorkEntry } from "./model.ts"
import { forgetsAt } from "./ready.ts"

/** The next events that follow, or undefined when nothing does. */
export const follow = (state: RunState, now: number): ReadonlyArray<RunEvent> | undefined => {
  if (state.name !== "cancelled" && state.name !== "completed" && state.name !== "absent") {
    const wake = state.wakes.peek()
    if (wake !== undefined && wake.at <= now) return [{ _tag: "WorkQueued", at: now, id: wake.entry.spec.id }]
    const expiry = state.expiries.peek()
    if (expiry !== undefined && expiry.at <= now) return expire(state, expiry, now)
  }
  const doomed = nextDoomed(state)
  if (doomed !== undefined) {
    return [{ _tag: "WorkSkipped", at: now, id: doomed.spec.id, cause: doomed.wait!.doomed! }]
  }
  const isAccepting = state.name === "running" || state.name === "pausing" || state.name === "paused"
  if (state.failedFast !== undefined && isAccepting) {
    return cancelRun(
      state,
      { actor: "engine", reason: `work "${state.failedFast}" failed, and the run fails fast` },
      now
    )
  }
  if (state.config.retain !== undefined) {
    const ids = toForget(state, state.config.retain, now)
    if (ids.length > 0) return [{ _tag: "WorksForgotten", at: now, ids }]
  }
  if (isAccepting && !state.keepOpen && state.unsettled === 0) return [{ _tag: "RunCompleted", at: now }]
  if (state.name === "pausing" && state.handlers === 0) return [{ _tag: "RunPaused", at: now }]
  if (state.name === "suspending" && state.handlers === 0) return [{ _tag: "RunSuspended", at: now }]
  if (state.name === "cancelling" && state.unsettled === 0) return [{ _tag: "RunCancelled", at: now }]
  return undefined
}

const expire = (state: RunState, { at, entry }: Alarm, now: number): ReadonlyArray<RunEvent> => {
  const { deadline, id } = entry.spec
  const isPastDeadline = deadline !== undefined && deadline <= at
  if (!hasBegun(entry)) {
    const by = isPastDeadline ? "deadline" : "timeToLive"
    return [{ _tag: "WorkSkipped", at: now, id, cause: { _tag: "Expired", by, at } }]
  }
  const { children, replaced } = heirs(state, entry, [], "failure", now)
  return [...replaced, { _tag: "WorkFailed", at: now, id, failure: { _tag: "Expired", deadline: at }, children }]
}

const nextDoomed = (state: RunState): WorkEntry | undefined => {
  while (state.doomed.length > 0) {
    const entry = state.doomed[0]!
    if (entry.status === "waiting" && entry.wait?.doomed !== undefined) return entry
    state.doomed.shift()
  }
  return undefined
}

/**
 * The oldest settled works beyond what the run keeps, in bunches (an eighth of what it keeps, 1024 at most), so that
 * one event serves many.
 */
const toForget = (
  state: RunState,
  retain: { readonly count?: number; readonly ageMillis?: number },
  now: number
): ReadonlyArray<string> => {
  const { settled } = state
  if (settled.size === 0) return []
  const { ageMillis, count } = retain
  const excess = count === undefined ? 0 : settled.size - count
  const isOver = count !== undefined && excess > Math.min(1_024, count >> 3)
  const ageOf = (entry: WorkEntry): number => now - state.epoch - entry.since
  const isOld = ageMillis !== undefined && (forgetsAt(state) ?? Infinity) <= now
  if (!isOver && !isOld) return []
  const ids: Array<string> = []
  for (const entry of settled) {
    const isExcess = isOver && ids.length < excess
    if (!isExcess && !(isOld && ageOf(entry) > ageMillis)) break
    if (!state.needed.has(entry.spec.id)) ids.push(entry.spec.id)
    if (ids.length === 8_192) break
  }
  return ids
}
