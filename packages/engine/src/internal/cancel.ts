/**
 * How a cancel goes on: with the handler's end, with `onCancel`, or at once.
 */
import type { RunConfig, RunEvent } from "../RunEvent.ts"
import type { Asked } from "./command.ts"
import { hasBegun, isSettled, type RunState, type WorkEntry } from "./model.ts"

export const cancelled = (entry: WorkEntry, now: number): RunEvent => ({
  _tag: "WorkCancelled",
  at: now,
  id: entry.spec.id,
  ...entry.live!.cancel!
})

/** Of a kind that the program lost, what was last declared holds: its clean-up waits for a program that has it. */
export const declaresOnCancel = (state: RunState, entry: WorkEntry, config: RunConfig): boolean => {
  const { kind } = entry.spec
  return Object.hasOwn(config.kinds, kind) ? config.kinds[kind]!.onCancel : state.kinds.get(kind)?.onCancel === true
}

/** The handler of a cancelling work has ended. */
export const afterCancel = (state: RunState, entry: WorkEntry, config: RunConfig, now: number): RunEvent =>
  declaresOnCancel(state, entry, config)
    ? { _tag: "WorkCleaning", at: now, id: entry.spec.id }
    : cancelled(entry, now)

/** Cancels a work that has no handler. */
export const cancelIdle = (
  state: RunState,
  entry: WorkEntry,
  by: Asked,
  config: RunConfig,
  now: number
): Array<RunEvent> => {
  const { actor, reason } = by
  const event = { at: now, id: entry.spec.id }
  return hasBegun(entry) && declaresOnCancel(state, entry, config)
    ? [{ _tag: "WorkCancelling", ...event, reason, actor }, { _tag: "WorkCleaning", ...event }]
    : [{ _tag: "WorkCancelled", ...event, reason, actor }]
}

export const cancelEntry = (state: RunState, entry: WorkEntry, by: Asked, now: number): ReadonlyArray<RunEvent> => {
  switch (entry.status) {
    case "running":
      return [{ _tag: "WorkCancelling", at: now, id: entry.spec.id, reason: by.reason, actor: by.actor }]
    case "cancelling":
    case "cleaning":
      return []
    default:
      return cancelIdle(state, entry, by, state.config, now)
  }
}

/** The whole run, with every work that has not settled. */
export const cancelRun = (state: RunState, by: Asked, now: number): ReadonlyArray<RunEvent> => {
  const events: Array<RunEvent> = [{ _tag: "RunCancelling", at: now, reason: by.reason, actor: by.actor }]
  for (const entry of state.works.values()) {
    if (!isSettled(entry.status)) { for (const event of cancelEntry(state, entry, by, now)) events.push(event) }
  }
  return events
}
