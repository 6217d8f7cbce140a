/**
 * What a command does: events, a typed refusal, or `Late` for the message of an attempt that is over.
 * `docs/life-of-a-work.md` is the table of this file.
 */
import { Result } from "effect"
import { defaultMaxCrashes, type RunConfig, type RunEvent } from "../RunEvent.ts"
import { admit, checkClaims, type Heirs, heirs, leave } from "./admit.ts"
import { afterCancel, cancelIdle, cancelled, cancelRun, declaresOnCancel } from "./cancel.ts"
import {
  type Asked,
  type AttemptEnd,
  type Command,
  InvalidWork,
  Late,
  type Refusal,
  RunNotAccepting
} from "./command.ts"
import { controlEach, controlOne } from "./control.ts"
import { checkLimits } from "./limits.ts"
import { hasHandler, hasRecords, isSettled, kindOf, type RunState, startOf, type WorkEntry, workOf } from "./model.ts"
import { fits, mustQueue } from "./ready.ts"

export type Decision = Result.Result<ReadonlyArray<RunEvent>, Refusal>

const none: Decision = Result.succeed([])

const remedy: { readonly [state: string]: string } = {
  absent: "start the run first",
  suspending: "open the run again when it is suspended",
  suspended: "open the run again",
  cancelling: "a cancelled run takes no more work: start another",
  cancelled: "a cancelled run takes no more work: start another",
  completed: "adding work extends it"
}

const refuse = (state: RunState, command: string): Decision =>
  Result.fail(
    new RunNotAccepting({
      command,
      state: state.name,
      message: `${command} is not possible while the run is ${state.name}${
        remedy[state.name] === undefined ? "" : `: ${remedy[state.name]}`
      }`
    })
  )

export const decide = (state: RunState, command: Command, now: number): Decision => {
  switch (command._tag) {
    case "Succeed":
    case "Fail":
    case "Interrupted":
    case "Block":
    case "RecordStep":
    case "RequestSlots":
    case "ReleaseSlots":
    case "Stuck":
      return fromHandler(state, command, now)
    case "Unstuck":
      return state.stuck.has(`${command.id}#${command.start}`)
        ? Result.succeed([{ _tag: "WorkUnstuck", at: now, id: command.id, start: command.start }])
        : late(command.id)
    case "Add":
      return isAccepting(state) || state.name === "completed"
        ? admit(state, command.specs, now, state.config)
        : refuse(state, command._tag)
    case "Tick":
      return none
    case "Start": {
      if (state.name !== "absent") return refuse(state, command._tag)
      const start: RunEvent = { _tag: "RunStarted", at: now, config: command.config }
      return Result.map(admit(state, command.specs, now, command.config), (added) => [start, ...added])
    }
    case "Open":
      return open(state, command.config, now)
    case "Pause":
      if (state.name === "pausing" || state.name === "paused") return none
      return state.name === "running" ? asked("RunPausing", command, now) : refuse(state, command._tag)
    case "Continue":
      if (state.name === "running" || state.name === "completed") return none
      return state.name === "pausing" || state.name === "paused"
        ? asked("RunContinued", command, now)
        : refuse(state, command._tag)
    case "Suspend":
      if (state.name === "absent") return refuse(state, command._tag)
      return isAccepting(state) ? asked("RunSuspending", command, now) : none
    case "Cancel":
      if (state.name === "cancelling" || state.name === "cancelled") return none
      if (state.name === "absent" || state.name === "completed") return refuse(state, command._tag)
      return Result.succeed(cancelRun(state, command, now))
    case "Close":
      if (!isAccepting(state) && state.name !== "completed") return refuse(state, command._tag)
      return state.keepOpen ? Result.succeed([{ _tag: "RunClosed", at: now }]) : none
    case "SetLimits": {
      if (!isAccepting(state) && state.name !== "completed") return refuse(state, command._tag)
      const invalid = checkLimits(state.config, command.limits)
      if (invalid !== undefined) return Result.fail(invalid)
      const { actor, limits, reason } = command
      return Result.succeed([{ _tag: "LimitsChanged", at: now, limits, actor, reason }])
    }
    case "PauseScope":
    case "ContinueScope":
      return isAccepting(state) || state.name === "completed"
        ? pauseScope(state, command, now)
        : refuse(state, command._tag)
    case "Each":
      return isAccepting(state) || state.name === "completed" || command.control._tag === "CancelWork"
        ? controlEach(state, command.filter, command.control, command, now)
        : refuse(state, command.control._tag)
    case "CancelWork":
    case "PauseWork":
    case "ContinueWork":
    case "RetryWork":
    case "Reprioritize":
      return isAccepting(state) || state.name === "completed" || command._tag === "CancelWork"
        ? controlOne(state, command.id, command, command, now)
        : refuse(state, command._tag)
    case "Cleaned": {
      const entry = state.works.get(command.id)
      return entry?.status === "cleaning" ? Result.succeed([cancelled(entry, now)]) : late(command.id)
    }
  }
}

const isAccepting = (state: RunState): boolean =>
  state.name === "running" || state.name === "pausing" || state.name === "paused"

const asked = (_tag: "RunPausing" | "RunContinued" | "RunSuspending", by: Asked, now: number): Decision =>
  Result.succeed([{ _tag, at: now, reason: by.reason, actor: by.actor }])

const late = (id: string): Decision =>
  Result.fail(new Late({ id, message: `an earlier attempt of "${id}" is over; what it says now is not recorded` }))

const pauseScope = (
  state: RunState,
  { _tag, actor, reason, scope }: Extract<Command, { readonly _tag: "PauseScope" | "ContinueScope" }>,
  now: number
): Decision => {
  if (scope._tag === "Kind" && state.kinds.get(scope.kind) === undefined) {
    return Result.fail(
      new InvalidWork({
        id: "",
        field: "kind",
        value: scope.kind,
        message: `the run knows no kind "${scope.kind}": its kinds are ${Array.from(state.kinds.keys()).join(", ")}`
      })
    )
  }
  const paused = scope._tag === "Kind" ? kindOf(state, scope.kind).paused : state.keys.get(scope.key)?.paused
  if ((paused !== undefined) === (_tag === "PauseScope")) return none
  return Result.succeed([
    { _tag: _tag === "PauseScope" ? "ScopePaused" : "ScopeContinued", at: now, scope, actor, reason }
  ])
}

/**
 * A new process takes the run up. Works whose process died with them in the middle too often are given up. Cancelling
 * works whose handler died with the old one go on to their clean-up, as the kinds of the new process declare it: it
 * is the one that must do it. A clean-up that it no longer declares is over.
 */
const open = (state: RunState, config: RunConfig, now: number): Decision => {
  if (state.name === "absent") return refuse(state, "Open")
  if (state.name === "cancelled") return none
  const events: Array<RunEvent> = [{ _tag: "RunResumed", at: now, config }]
  const maxCrashes = config.maxCrashes ?? defaultMaxCrashes
  const left: Heirs = { ids: new Set(), keys: new Map() }
  for (const entry of state.begun) {
    if (entry.status === "cancelling") events.push(afterCancel(state, entry, config, now))
    if (entry.status === "cleaning" && !declaresOnCancel(state, entry, config)) events.push(cancelled(entry, now))
    const times = entry.live!.crashes + 1
    if (entry.status === "running" && times >= maxCrashes && state.name !== "cancelling") {
      const failure = { _tag: "Crashed", times } as const
      const { children, replaced } = heirs(state, entry, [], "failure", now, left)
      leave(left, children)
      events.push(...replaced, { _tag: "WorkFailed", at: now, id: entry.spec.id, failure, children })
    }
  }
  if (state.name !== "cancelling") return Result.succeed(events)
  // The journal's tail may have been torn off within the events of the cancel: it is carried through.
  for (const entry of state.works.values()) {
    if (isSettled(entry.status) || entry.status === "cancelling" || entry.status === "cleaning") continue
    events.push(...cancelIdle(state, entry, state.cause!, config, now))
  }
  return Result.succeed(events)
}

type FromHandler =
  | AttemptEnd
  | Extract<Command, { readonly _tag: "RecordStep" | "RequestSlots" | "ReleaseSlots" | "Stuck" }>

/** As long as a work has a handler, it is the run's: what came with the command may have been forgotten, and added anew. */
const entryOf = (state: RunState, { entry, id }: FromHandler): WorkEntry | undefined => {
  if (entry === undefined || !hasHandler(entry.status)) return workOf(state, id)
  state.last = entry
  return entry
}

const fromHandler = (state: RunState, command: FromHandler, now: number): Decision => {
  const { id } = command
  const entry = entryOf(state, command)
  if (entry === undefined || !hasHandler(entry.status) || startOf(entry) !== command.start) return late(id)
  const live = entry.live!
  switch (command._tag) {
    case "RecordStep":
      // Recorded once: a handler that says it again has broken the rules, and changes nothing.
      if (live.steps?.has(command.step) === true && command.cursor !== true) return none
      return Result.succeed([{
        _tag: "StepRecorded",
        at: now,
        id,
        step: command.step,
        result: command.result as never,
        children: command.children,
        ...(command.cursor === true ? { cursor: true } : {})
      }])
    case "ReleaseSlots":
      return live.holds?.has(command.hold) === true
        ? Result.succeed([{ _tag: "SlotsReleased", at: now, id, hold: command.hold }])
        : none
    case "RequestSlots":
      return entry.status === "cancelling" ? late(id) : requestSlots(state, entry, command, now)
    case "Stuck":
      return Result.succeed([
        { _tag: "WorkStuck", at: now, id, start: command.start, keepsSlots: command.keepsSlots },
        ...ending(state, entry, command.end, now)
      ])
    default:
      return Result.succeed(ending(state, entry, command, now))
  }
}

/** The handler is over, or given up. */
const ending = (state: RunState, entry: WorkEntry, end: AttemptEnd, now: number): ReadonlyArray<RunEvent> => {
  const { id } = end
  if (entry.status === "cancelling") {
    const hasNothingToUndo = end._tag === "Block" && !hasRecords(entry.live!)
    return [hasNothingToUndo ? cancelled(entry, now) : afterCancel(state, entry, state.config, now)]
  }
  switch (end._tag) {
    case "Succeed": {
      const { children, replaced } = heirs(state, entry, end.children, "success", now)
      const event: RunEvent = { _tag: "WorkSucceeded", at: now, id, result: end.result as never, children }
      return replaced.length === 0 ? [event] : [...replaced, event]
    }
    case "Fail": {
      const { failure, from, retryAt } = end
      if (retryAt !== undefined) {
        const isRecorded = from !== undefined && entry.live!.steps?.has(from) === true
        return [
          { _tag: "WorkRetryScheduled", at: now, id, failure, wakeAt: retryAt, ...(isRecorded ? { from } : {}) }
        ]
      }
      const { children, replaced } = heirs(state, entry, end.children, "failure", now)
      return [...replaced, { _tag: "WorkFailed", at: now, id, failure, children }]
    }
    case "Interrupted":
      return [{ _tag: "WorkInterrupted", at: now, id, livedMillis: end.livedMillis }]
    case "Block":
      return [{ _tag: "WorkBlocked", at: now, id, what: end.what }]
  }
}

const requestSlots = (
  state: RunState,
  entry: WorkEntry,
  command: Extract<Command, { readonly _tag: "RequestSlots" }>,
  now: number
): Decision => {
  const { claims, hold, id, step, until } = command
  const { holds, lent, steps } = entry.live!
  if (holds?.has(hold) === true) return none
  // The step that would give the claim back, or that it is for, is over: nothing would ever release it.
  if (steps !== undefined) {
    if ((until !== undefined && steps.has(until)) || (step !== undefined && steps.has(step))) return none
  }
  const invalid = checkClaims(state.config, id, `hold "${hold}"`, claims)
  if (invalid !== undefined) return Result.fail(invalid)
  const event = {
    at: now,
    id,
    hold,
    claims,
    ...(until === undefined ? {} : { until }),
    ...(step === undefined ? {} : { step })
  }
  return !lent && fits(state, claims) && !mustQueue(state, entry, claims, now)
    ? Result.succeed([{ _tag: "SlotsGranted", ...event }])
    : Result.succeed([{ _tag: "SlotsRequested", ...event }])
}
