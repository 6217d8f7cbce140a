/**
 * Controls of single works, and of all that match a filter.
 */
import { Result } from "effect"
import type { RunEvent } from "../RunEvent.ts"
import { cancelEntry } from "./cancel.ts"
import {
  type Asked,
  InvalidWork,
  type Refusal,
  type WorkControl,
  type WorkFilter,
  WorkNotAccepting,
  WorkNotFound,
  WorkSettled
} from "./command.ts"
import { isSettled, type RunState, type WorkEntry } from "./model.ts"

type Decision = Result.Result<ReadonlyArray<RunEvent>, Refusal>

const none: Decision = Result.succeed([])

export const controlOne = (state: RunState, id: string, control: WorkControl, by: Asked, now: number): Decision => {
  const entry = state.works.get(id)
  if (entry !== undefined) return controlEntry(state, entry, control, by, now)
  const forgotten = state.forgotten === 0 ? "check the id" : `check the id; the run has also forgotten ` +
    `${state.forgotten} settled works, as it was told to`
  return Result.fail(
    new WorkNotFound({
      id,
      ...(state.forgotten === 0 ? {} : { forgotten: state.forgotten }),
      message: `no work "${id}" in this run: ${forgotten}`
    })
  )
}

const matches = (entry: WorkEntry, filter: WorkFilter, states: ReadonlySet<string> | undefined): boolean =>
  (filter.kind === undefined || entry.spec.kind === filter.kind) &&
  (filter.key === undefined || entry.spec.key === filter.key) &&
  (filter.parent === undefined || entry.spec.parent === filter.parent) &&
  (states === undefined || states.has(entry.status))

/** The works that match, in order of arrival. */
export const select = (state: RunState, filter: WorkFilter): ReadonlyArray<WorkEntry> => {
  const states = filter.state === undefined
    ? undefined
    : new Set<string>(typeof filter.state === "string" ? [filter.state] : filter.state)
  const found: Array<WorkEntry> = []
  if (filter.ids === undefined) {
    for (const entry of state.works.values()) if (matches(entry, filter, states)) found.push(entry)
    return found
  }
  for (const id of new Set(filter.ids)) {
    const entry = state.works.get(id)
    if (entry !== undefined && matches(entry, filter, states)) found.push(entry)
  }
  return found.sort((a, b) => a.arrival - b.arrival)
}

/** Those that match and accept the control get it; the others are passed over. */
export const controlEach = (
  state: RunState,
  filter: WorkFilter,
  control: WorkControl,
  by: Asked,
  now: number
): Decision => {
  const invalid = control._tag === "Reprioritize" ? checkPriority("", control.priority) : undefined
  if (invalid !== undefined) return Result.fail(invalid)
  const events: Array<RunEvent> = []
  for (const entry of select(state, filter)) {
    const decided = controlEntry(state, entry, control, by, now)
    if (Result.isSuccess(decided)) { for (const event of decided.success) events.push(event) }
  }
  return Result.succeed(events)
}

const checkPriority = (id: string, priority: number): InvalidWork | undefined =>
  Number.isFinite(priority) ? undefined : new InvalidWork({
    id,
    field: "priority",
    value: String(priority),
    message: `the priority cannot be ${priority}: it must be a finite number (lower runs first)`
  })

const notAccepting = (entry: WorkEntry, command: string, remedy: string): Decision => {
  const { id } = entry.spec
  return Result.fail(
    new WorkNotAccepting({
      id,
      command,
      status: entry.status,
      message: `${command} is not possible for work "${id}", which is ${entry.status}: ${remedy}`
    })
  )
}

const controlEntry = (state: RunState, entry: WorkEntry, control: WorkControl, by: Asked, now: number): Decision => {
  if (control._tag === "RetryWork") return retry(entry, control.from, by, now)
  if (isSettled(entry.status)) {
    return Result.fail(
      new WorkSettled({
        id: entry.spec.id,
        status: entry.status,
        message: `work "${entry.spec.id}" is ${entry.status} already; its outcome does not change`
      })
    )
  }
  if (control._tag === "CancelWork") return Result.succeed(cancelEntry(state, entry, by, now))
  if (entry.status === "cancelling" || entry.status === "cleaning") {
    return notAccepting(entry, control._tag, "it is being cancelled for good")
  }
  const event = { at: now, id: entry.spec.id }
  const { actor, reason } = by
  const isPaused = entry.wait?.paused !== undefined
  switch (control._tag) {
    case "PauseWork":
      return isPaused ? none : Result.succeed([{ _tag: "WorkPaused", ...event, actor, reason }])
    case "ContinueWork":
      return isPaused ? Result.succeed([{ _tag: "WorkContinued", ...event, actor, reason }]) : none
    case "Reprioritize": {
      const { priority } = control
      const invalid = checkPriority(entry.spec.id, priority)
      if (invalid !== undefined) return Result.fail(invalid)
      return priority === entry.spec.priority
        ? none
        : Result.succeed([{ _tag: "WorkReprioritized", ...event, priority, actor, reason }])
    }
  }
}

const retry = (entry: WorkEntry, from: string | undefined, by: Asked, now: number): Decision => {
  const { actor, reason } = by
  const event = { at: now, id: entry.spec.id }
  const isRetrying = entry.status === "waiting" && entry.wait?.wake !== undefined && entry.live !== undefined
  if (!isSettled(entry.status) && (!isRetrying || entry.wait?.paused !== undefined)) {
    return notAccepting(
      entry,
      "RetryWork",
      entry.wait?.paused === undefined
        ? "it has not ended; cancel it first, or wait"
        : "it is paused: continue it first"
    )
  }
  if (from !== undefined && entry.live?.steps?.has(from) !== true) {
    const recorded = Array.from(entry.live?.steps?.keys() ?? [])
    return notAccepting(
      entry,
      "RetryWork",
      `its step "${from}" is not recorded (${recorded.length === 0 ? "none is" : `recorded: ${recorded.join(", ")}`})`
    )
  }
  return isRetrying && from === undefined
    ? Result.succeed([{ _tag: "WorkQueued", ...event }])
    : Result.succeed([
      { _tag: "WorkRetried", ...event, ...(from === undefined ? {} : { from }), actor, reason }
    ])
}
