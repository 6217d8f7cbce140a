/**
 * How a run must answer a command, by the naive model: with these events, or with one of these refusals. What follows
 * of itself comes after: `simulatorFollow.ts`.
 */
import type { RunEvent } from "../RunEvent.ts"
import type { AttemptEnd, Command, Refusal, WorkControl, WorkFilter } from "./command.ts"
import { batch, limitsAreWrong } from "./simulatorBatch.ts"
import { cancelAll, cancelOf, type Cause, failed, replaced } from "./simulatorFollow.ts"
import { isSame } from "./simulatorFold.ts"
import {
  childrenOf,
  type Claim,
  find,
  hasRecords,
  isAlive,
  isSettled,
  type Job,
  maxCrashes,
  mustClean,
  type Naive
} from "./simulatorModel.ts"
import { granted, isGrantedAtOnce } from "./simulatorOrder.ts"

export interface Answer {
  /** Not empty: the command must be refused with one of these. */
  readonly refusals: ReadonlyArray<Refusal["_tag"]>
  readonly events: ReadonlyArray<RunEvent>
  /** What comes next once these are folded, work by work, in any order of works; asked again after each. */
  readonly next?: (naive: Naive) => ReadonlyArray<ReadonlyArray<RunEvent>>
}

const events = (...all: ReadonlyArray<RunEvent>): Answer => ({ refusals: [], events: all })

const refused = (...refusals: ReadonlyArray<Refusal["_tag"]>): Answer => ({ refusals, events: [] })

const nothing = events()

const late = refused("Late")

export const answerTo = (naive: Naive, command: Command, now: number): Answer => {
  switch (command._tag) {
    case "Start": {
      const { events: added, refusals } = batch(naive, command.config.pools, command.specs, now)
      const all = naive.run === "absent" ? refusals : [...refusals, "RunNotAccepting" as const]
      return { refusals: all, events: [{ _tag: "RunStarted", at: now, config: command.config }, ...added] }
    }
    case "Open":
      return open(naive, command, now)
    case "Add": {
      const { events: added, refusals } = batch(naive, naive.config.pools, command.specs, now)
      return { refusals: takesControls(naive) ? refusals : [...refusals, "RunNotAccepting"], events: added }
    }
    case "Tick":
      return nothing
    case "Pause":
    case "Continue":
    case "Suspend":
    case "Cancel":
      return ofRun(naive, command, now)
    case "Close":
      if (!takesControls(naive)) return refused("RunNotAccepting")
      return naive.isKeptOpen ? events({ _tag: "RunClosed", at: now }) : nothing
    case "SetLimits":
    case "PauseScope":
    case "ContinueScope":
      return ofLimits(naive, command, now)
    case "CancelWork":
    case "PauseWork":
    case "ContinueWork":
    case "RetryWork":
    case "Reprioritize":
      return control(naive, command, command.id, command, now)
    case "Each":
      return each(naive, command.filter, command.control, command, now)
    case "Cleaned": {
      const it = find(naive, command.id)
      return it?.status === "cleaning" ? cancelled(it, now) : late
    }
    case "Unstuck": {
      const { id, start } = command
      return naive.stuck.some((one) => isSame(one, command))
        ? events({ _tag: "WorkUnstuck", at: now, id, start })
        : late
    }
    default: {
      const it = find(naive, command.id)
      return it === undefined || !isAlive(it) || it.starts !== command.start ? late : heard(naive, it, command, now)
    }
  }
}

/** In these states a run takes new works and controls. */
const takesControls = ({ run }: Naive): boolean => ["running", "pausing", "paused", "completed"].includes(run)

const open = (naive: Naive, command: Extract<Command, { readonly _tag: "Open" }>, now: number): Answer => {
  if (naive.run === "absent") return refused("RunNotAccepting")
  if (naive.run === "cancelled") return nothing
  return {
    refusals: [],
    events: [{ _tag: "RunResumed", at: now, config: command.config }],
    next: (resumed) => resumed.jobs.map((it) => opened(resumed, it, now)).filter((all) => all.length > 0)
  }
}

/** What becomes of a work because no handler of the process before is alive. */
const opened = (naive: Naive, it: Job, now: number): ReadonlyArray<RunEvent> => {
  if (isSettled(it)) return []
  if (it.status === "cancelling") return ended(naive, it, now).events
  if (it.status === "cleaning") return mustClean(naive, it) ? [] : cancelled(it, now).events
  if (naive.run === "cancelling") return cancelOf(naive, it, naive.cancel!, now)
  return it.crashedBy === naive.openedBy && it.crashes >= maxCrashes(naive)
    ? failed(naive, it, { _tag: "Crashed", times: it.crashes }, [], now)
    : []
}

type OfRun = Extract<Command, { readonly _tag: "Pause" | "Continue" | "Suspend" | "Cancel" }>

const ofRun = (naive: Naive, command: OfRun, at: number): Answer => {
  const { _tag, actor, reason } = command
  const { run } = naive
  const isOpen = run === "running" || run === "pausing" || run === "paused"
  switch (_tag) {
    case "Pause":
      if (!isOpen) return refused("RunNotAccepting")
      return run === "running" ? events({ _tag: "RunPausing", at, actor, reason }) : nothing
    case "Continue":
      if (!isOpen && run !== "completed") return refused("RunNotAccepting")
      return run === "pausing" || run === "paused" ? events({ _tag: "RunContinued", at, actor, reason }) : nothing
    case "Suspend":
      if (run === "absent") return refused("RunNotAccepting")
      return isOpen ? events({ _tag: "RunSuspending", at, actor, reason }) : nothing
    case "Cancel":
      if (run === "absent" || run === "completed") return refused("RunNotAccepting")
      if (run === "cancelling" || run === "cancelled") return nothing
      return events({ _tag: "RunCancelling", at, actor, reason }, ...cancelAll(naive, command, at))
  }
}

type OfLimits = Extract<Command, { readonly _tag: "SetLimits" | "PauseScope" | "ContinueScope" }>

const ofLimits = (naive: Naive, command: OfLimits, at: number): Answer => {
  const { actor, reason } = command
  const refusals: Array<Refusal["_tag"]> = takesControls(naive) ? [] : ["RunNotAccepting"]
  if (command._tag === "SetLimits") {
    if (limitsAreWrong(naive, command.limits)) refusals.push("InvalidWork")
    return { refusals, events: [{ _tag: "LimitsChanged", at, limits: command.limits, actor, reason }] }
  }
  const { scope } = command
  if (scope._tag === "Kind" && !naive.kinds.includes(scope.kind)) refusals.push("InvalidWork")
  const isPaused = scope._tag === "Kind"
    ? naive.pausedKinds.includes(scope.kind)
    : naive.pausedKeys.includes(scope.key)
  if (isPaused === (command._tag === "PauseScope")) return { refusals, events: [] }
  const _tag = isPaused ? "ScopeContinued" : "ScopePaused"
  return { refusals, events: [{ _tag, at, scope, actor, reason }] }
}

/** A control of one work. Several things may be wrong with it at once; then any of them may be said. */
const control = (naive: Naive, asked: WorkControl, id: string, cause: Cause, at: number): Answer => {
  const refusals: Array<Refusal["_tag"]> = []
  if (asked._tag !== "CancelWork" && !takesControls(naive)) refusals.push("RunNotAccepting")
  if (asked._tag === "Reprioritize" && !Number.isFinite(asked.priority)) refusals.push("InvalidWork")
  const it = find(naive, id)
  if (it === undefined) return refused(...refusals, "WorkNotFound")
  const answer = asked._tag === "RetryWork" ? retry(it, asked.from, cause, at) : change(naive, it, asked, cause, at)
  return { refusals: [...refusals, ...answer.refusals], events: answer.events }
}

type Change = Exclude<WorkControl, { readonly _tag: "RetryWork" }>

const change = (naive: Naive, it: Job, asked: Change, { actor, reason }: Cause, at: number): Answer => {
  const { id } = it.spec
  if (isSettled(it)) return refused("WorkSettled")
  const isEnding = it.status === "cancelling" || it.status === "cleaning"
  switch (asked._tag) {
    case "CancelWork":
      return isEnding ? nothing : events(...cancelOf(naive, it, { actor, reason }, at))
    case "PauseWork":
      if (isEnding) return refused("WorkNotAccepting")
      return it.isPaused ? nothing : events({ _tag: "WorkPaused", at, id, actor, reason })
    case "ContinueWork":
      if (isEnding) return refused("WorkNotAccepting")
      return it.isPaused ? events({ _tag: "WorkContinued", at, id, actor, reason }) : nothing
    case "Reprioritize": {
      const { priority } = asked
      if (isEnding) return refused("WorkNotAccepting")
      return priority === it.spec.priority
        ? nothing
        : events({ _tag: "WorkReprioritized", at, id, priority, actor, reason })
    }
  }
}

const isRecorded = (it: Job, step: string | undefined): boolean => it.steps.some((each) => each.name === step)

const retry = (it: Job, from: string | undefined, { actor, reason }: Cause, at: number): Answer => {
  const { id } = it.spec
  const waitsForRetry = it.status === "waiting" && it.hasBegun && it.wakeAt !== undefined && !it.isPaused
  if (!isSettled(it) && !waitsForRetry) return refused("WorkNotAccepting")
  if (from !== undefined && !isRecorded(it, from)) return refused("WorkNotAccepting")
  // In the same generation its time has come, and nothing else.
  if (waitsForRetry && from === undefined) return events({ _tag: "WorkQueued", at, id })
  return events({ _tag: "WorkRetried", at, id, ...(from === undefined ? {} : { from }), actor, reason })
}

const matches = (it: Job, { ids, key, kind, parent, state }: WorkFilter): boolean =>
  (ids === undefined || ids.includes(it.spec.id)) &&
  (kind === undefined || it.spec.kind === kind) &&
  (key === undefined || it.spec.key === key) &&
  (parent === undefined || it.spec.parent === parent) &&
  (state === undefined || (typeof state === "string" ? state === it.status : state.includes(it.status)))

const each = (naive: Naive, filter: WorkFilter, asked: WorkControl, cause: Cause, now: number): Answer => {
  if (asked._tag !== "CancelWork" && !takesControls(naive)) return refused("RunNotAccepting")
  if (asked._tag === "Reprioritize" && !Number.isFinite(asked.priority)) return refused("InvalidWork")
  return events(
    ...naive.jobs.filter((it) => matches(it, filter)).flatMap((it) => {
      const answer = control(naive, asked, it.spec.id, cause, now)
      return answer.refusals.length > 0 ? [] : answer.events
    })
  )
}

const cancelled = (it: Job, at: number): Answer => events({ _tag: "WorkCancelled", at, id: it.spec.id, ...it.cancel! })

/** The handler of a cancelled work has ended, whatever it says. */
const ended = (naive: Naive, it: Job, at: number): Answer =>
  mustClean(naive, it) ? events({ _tag: "WorkCleaning", at, id: it.spec.id }) : cancelled(it, at)

type Heard = AttemptEnd | Extract<Command, { readonly _tag: "RecordStep" | "RequestSlots" | "ReleaseSlots" | "Stuck" }>

/** A message of a handler that is alive. */
const heard = (naive: Naive, it: Job, message: Heard, at: number): Answer => {
  const { id } = it.spec
  switch (message._tag) {
    case "RecordStep": {
      const { children, cursor, result, step } = message
      const recorded = it.steps.find((each) => each.name === step)
      if (recorded !== undefined && !(recorded.isCursor && cursor === true)) return nothing
      return events({ _tag: "StepRecorded", at, id, step, result, children, ...(cursor ? { cursor } : {}) } as RunEvent)
    }
    case "RequestSlots":
      return it.status === "running" ? request(naive, it, message, at) : late
    case "ReleaseSlots": {
      const { hold } = message
      return it.holds.some((each) => each.name === hold) ? events({ _tag: "SlotsReleased", at, id, hold }) : nothing
    }
    case "Stuck": {
      const { end, keepsSlots, start } = message
      return events({ _tag: "WorkStuck", at, id, start, keepsSlots }, ...attemptEnds(naive, it, end, at).events)
    }
    default:
      return attemptEnds(naive, it, message, at)
  }
}

const request = (
  naive: Naive,
  it: Job,
  { claims, hold, step, until }: Extract<Command, { readonly _tag: "RequestSlots" }>,
  at: number
): Answer => {
  if (isRecorded(it, until) || isRecorded(it, step) || it.holds.some((each) => each.name === hold)) return nothing
  for (const pool in claims) if (!(pool in naive.config.pools)) return refused("InvalidWork")
  const claim: Claim = { name: hold, claims, until, step, at }
  const grant = granted(it.spec.id, claim, at)
  return isGrantedAtOnce(naive, it, claim, at)
    ? events(grant)
    : events({ ...grant, _tag: "SlotsRequested" } as RunEvent)
}

const attemptEnds = (naive: Naive, it: Job, message: AttemptEnd, at: number): Answer => {
  const { id } = it.spec
  if (it.status === "cancelling") {
    return ended(naive, message._tag === "Block" ? { ...it, hasBegun: hasRecords(it) } : it, at)
  }
  switch (message._tag) {
    case "Succeed": {
      const children = childrenOf(naive, it, message.children, "success")
      const { result } = message
      return events(
        ...replaced(naive, children, at),
        { _tag: "WorkSucceeded", at, id, result, children } as RunEvent
      )
    }
    case "Fail": {
      const { failure, from, retryAt: wakeAt } = message
      if (wakeAt === undefined) return events(...failed(naive, it, failure, message.children, at))
      const again = isRecorded(it, from) ? { from: from! } : {}
      return events({ _tag: "WorkRetryScheduled", at, id, failure, wakeAt, ...again })
    }
    case "Interrupted":
      return events({ _tag: "WorkInterrupted", at, id, livedMillis: message.livedMillis })
    case "Block":
      return events({ _tag: "WorkBlocked", at, id, what: message.what })
  }
}
