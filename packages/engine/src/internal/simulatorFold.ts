/**
 * How events change the naive model: one event, one obvious change.
 */
import type { Outcome } from "../Outcome.ts"
import type { Limits, Of, RunConfig, RunEvent } from "../RunEvent.ts"
import { add, decide, place } from "./simulatorArrive.ts"
import {
  type Claim,
  hasRecords,
  hasUnit,
  isAlive,
  isInQueue,
  isSettled,
  type Job,
  job,
  type Naive,
  type Stuck
} from "./simulatorModel.ts"

/** Folds one event in. Returns nothing: the model is changed. */
export const evolve = (naive: Naive, event: RunEvent): void => {
  naive.events += 1
  // The work of a handler that was given up may be forgotten when it ends at last.
  if (event._tag === "WorkUnstuck") naive.stuck = naive.stuck.filter((each) => !isSame(each, event))
  else if ("id" in event) evolveJob(naive, job(naive, event.id), event)
  else evolveRun(naive, event)
  naive.lastAt = event.at
  takeTurns(naive, event)
}

export const fold = (naive: Naive, events: Iterable<RunEvent>): Naive => {
  for (const event of events) evolve(naive, event)
  return naive
}

export const isSame = (a: Stuck, b: { readonly id: string; readonly start: number }): boolean =>
  a.id === b.id && a.start === b.start

/** A key has had its turn when a work of it starts, and is taken to have had it when it comes back from nothing. */
const takeTurns = (naive: Naive, event: RunEvent): void => {
  const busy: Array<string | undefined> = []
  for (const each of naive.jobs) {
    const { key } = each.spec
    if ((isAlive(each) || each.status === "queued") && !busy.includes(key)) busy.push(key)
  }
  // Of keys that come back with one event the one whose work arrived first has had its turn longer ago.
  busy.forEach((key, place) => {
    if (!naive.busyKeys.includes(key)) naive.turns.set(key, naive.events + place / 1_000)
  })
  naive.busyKeys = busy
  if (event._tag === "WorkStarted") naive.turns.set(job(naive, event.id).spec.key, naive.events)
}

/** The handler is gone, and what it held as an attempt with it. */
const end = (it: Job): void => {
  it.requests = []
  it.holds = it.holds.filter((hold) => hold.step === undefined)
  it.isGivenUp = false
}

const settle = (naive: Naive, it: Job, status: Job["status"], outcome: Outcome, at: number): void => {
  it.status = status
  it.outcome = outcome
  it.requests = []
  it.holds = []
  it.wakeAt = undefined
  it.waitsFor = []
  it.isPaused = false
  it.isBlocked = false
  it.isGivenUp = false
  it.isResumed = false
  it.doomed = undefined
  it.settledAt = at
  it.settlement = ++naive.settlements
  for (const each of naive.jobs) if (each.waitsFor.includes(it.spec.id)) decide(naive, each, it, at)
}

const configure = (naive: Naive, config: RunConfig): void => {
  naive.config = config
  naive.isKeptOpen = config.keepOpen
  naive.kinds = [...naive.kinds, ...Object.keys(config.kinds)]
  for (const kind in config.kinds) naive.onCancel = { ...naive.onCancel, [kind]: config.kinds[kind]!.onCancel }
}

const withLimits = (config: RunConfig, limits: Limits): RunConfig => {
  const kinds = { ...config.kinds }
  for (const name in limits.kinds) {
    const { limit: _, ...rest } = kinds[name]!
    const limit = limits.kinds[name]!
    kinds[name] = limit === null ? rest : { ...rest, limit }
  }
  const keyLimits = Object.fromEntries(
    Object.entries({ ...config.keyLimits, ...limits.keyLimits }).filter((each): each is [string, number] =>
      each[1] !== null
    )
  )
  const { keyLimit, ...rest } = config
  const newKeyLimit = limits.keyLimit === undefined ? keyLimit : limits.keyLimit
  return {
    ...rest,
    ...(newKeyLimit === undefined || newKeyLimit === null ? {} : { keyLimit: newKeyLimit }),
    concurrency: limits.concurrency ?? config.concurrency,
    pools: { ...config.pools, ...limits.pools },
    kinds,
    keyLimits
  }
}

type NotOfJob = Exclude<RunEvent, { readonly id: string }>

const evolveRun = (naive: Naive, event: NotOfJob): void => {
  switch (event._tag) {
    case "WorkAdded":
      return add(naive, [event.spec], event.at, false)
    case "WorksForgotten":
      naive.jobs = naive.jobs.filter((each) => !event.ids.includes(each.spec.id))
      return
    case "LimitsChanged":
      naive.config = withLimits(naive.config, event.limits)
      return
    case "ScopePaused":
    case "ScopeContinued":
      return setPaused(naive, event)
    case "RunStarted":
      naive.run = "running"
      return configure(naive, event.config)
    case "RunResumed":
      return resume(naive, event)
    case "RunClosed":
      naive.isKeptOpen = false
      return
    case "RunPausing":
      naive.run = "pausing"
      naive.isPaused = true
      return
    case "RunPaused":
      naive.run = "paused"
      return
    case "RunContinued":
      naive.run = "running"
      naive.isPaused = false
      return
    case "RunSuspending":
      naive.run = "suspending"
      return
    case "RunSuspended":
      naive.run = "suspended"
      return
    case "RunCancelling":
      naive.run = "cancelling"
      naive.hasFailedFast = false
      naive.cancel = { reason: event.reason, actor: event.actor }
      return
    case "RunCancelled":
      naive.run = "cancelled"
      naive.isPaused = false
      return
    case "RunCompleted":
      naive.run = "completed"
      naive.isPaused = false
      return
  }
}

const setPaused = (naive: Naive, { _tag, scope }: Of<"ScopePaused"> | Of<"ScopeContinued">): void => {
  const change = (list: ReadonlyArray<string>, name: string) => {
    const rest = list.filter((each) => each !== name)
    return _tag === "ScopePaused" ? [...rest, name] : rest
  }
  if (scope._tag === "Kind") naive.pausedKinds = change(naive.pausedKinds, scope.kind)
  else naive.pausedKeys = change(naive.pausedKeys, scope.key)
}

/** Another process has opened the run: no handler of the one before is alive. */
const resume = (naive: Naive, event: Of<"RunResumed">): void => {
  configure(naive, event.config)
  naive.openedBy = naive.events
  if (naive.run === "suspending" || naive.run === "suspended") naive.run = naive.isPaused ? "pausing" : "running"
  naive.stuck = []
  for (const each of naive.jobs) {
    if (each.status === "running") {
      each.livedMillis += naive.lastAt - each.startedAt
      each.crashes += 1
      each.crashedBy = naive.events
      interrupt(each, event.at)
    } else if (each.status === "blocked") {
      each.isBlocked = false
      place(each, event.at)
    }
  }
}

const interrupt = (it: Job, at: number): void => {
  end(it)
  it.isResumed = true
  place(it, at)
}

/** Drops a step and all recorded later: a new generation begins. */
const newGeneration = (it: Job, from: string | undefined): void => {
  // One that never began has nothing to tell from what comes.
  if (!it.hasBegun) return
  const index = from === undefined ? 0 : it.steps.findIndex((step) => step.name === from)
  it.steps = it.steps.slice(0, Math.max(0, index))
  it.generation += 1
}

const withStep = (it: Job, { children, cursor, result, step }: Of<"StepRecorded">): void => {
  const earlier = it.steps.find((each) => each.name === step)
  it.steps = [
    ...it.steps.filter((each) => each !== earlier),
    { name: step, result, children: [...earlier?.children ?? [], ...children], isCursor: cursor ?? false }
  ]
  it.holds = it.holds.filter((hold) => hold.until !== step && hold.step !== step)
  it.crashes = 0
}

const claimOf = (event: Of<"SlotsRequested"> | Of<"SlotsGranted">): Claim => ({
  name: event.hold,
  claims: event.claims,
  until: event.until,
  step: event.step,
  at: event.at
})

type JobEvent = Exclude<Extract<RunEvent, { readonly id: string }>, { readonly _tag: "WorkUnstuck" }>

const evolveJob = (naive: Naive, it: Job, event: JobEvent): void => {
  switch (event._tag) {
    case "WorkStarted":
      it.status = "running"
      it.starts += 1
      it.hasBegun = true
      it.isResumed = false
      it.attempt = event.attempt
      it.startedAt = event.at
      return
    case "StepRecorded":
      return withStep(it, event)
    case "SlotsRequested":
      it.requests = [...it.requests.filter((each) => each.name !== event.hold), claimOf(event)]
      return
    case "SlotsGranted":
      it.requests = it.requests.filter((each) => each.name !== event.hold)
      it.holds = [...it.holds, claimOf(event)]
      return
    case "SlotsReleased":
      it.holds = it.holds.filter((each) => each.name !== event.hold)
      return
    case "WorkSucceeded":
      settle(naive, it, "succeeded", { _tag: "Succeeded", result: event.result }, event.at)
      return add(naive, event.children, event.at, true)
    case "WorkFailed":
      it.failures = [...it.failures, event.failure]
      settle(naive, it, "failed", { _tag: "Failed", failure: event.failure }, event.at)
      if (naive.config.failFast === true) naive.hasFailedFast = true
      return add(naive, event.children, event.at, true)
    case "WorkSkipped":
      return settle(naive, it, "skipped", { _tag: "Skipped", cause: event.cause }, event.at)
    case "WorkCancelled": {
      const { actor, at, reason } = event
      return settle(naive, it, "cancelled", { _tag: "Cancelled", reason, actor }, at)
    }
    case "WorkRetryScheduled":
      end(it)
      it.failures = [...it.failures, event.failure]
      it.livedMillis = 0
      it.crashes = 0
      it.wakeAt = event.wakeAt
      if (event.from !== undefined) newGeneration(it, event.from)
      return place(it, event.at)
    case "WorkRetried":
      return retry(naive, it, event)
    case "WorkQueued":
      it.wakeAt = undefined
      return place(it, event.at)
    case "WorkInterrupted":
      it.livedMillis += event.livedMillis
      it.crashes = 0
      return interrupt(it, event.at)
    case "WorkBlocked":
      // A handler that could not read its payload has done nothing; only what is on record tells of an earlier one.
      end(it)
      it.isBlocked = true
      it.crashes = 0
      it.hasBegun = hasRecords(it)
      return place(it, event.at)
    case "WorkPaused":
    case "WorkContinued":
      it.isPaused = event._tag === "WorkPaused"
      if (isInQueue(it)) place(it, event.at)
      return
    case "WorkReprioritized":
      it.spec = { ...it.spec, priority: event.priority }
      return
    case "WorkCancelling":
      it.lentAtCancel = !hasUnit(it)
      it.status = it.status === "running" ? "cancelling" : "cleaning"
      it.cancel = { reason: event.reason, actor: event.actor }
      it.requests = []
      it.wakeAt = undefined
      it.isPaused = false
      it.isBlocked = false
      return
    case "WorkCleaning":
      end(it)
      it.status = "cleaning"
      return
    case "WorkStuck":
      return giveUp(naive, it, event)
  }
}

const retry = (naive: Naive, it: Job, { at, from }: Of<"WorkRetried">): void => {
  if (isSettled(it)) it.isReleased = true
  newGeneration(it, from)
  it.forgiven = it.failures.length
  it.livedMillis = 0
  it.crashes = 0
  it.wakeAt = undefined
  it.outcome = undefined
  it.cancel = undefined
  if (!it.hasBegun) it.couldStartAt = at
  place(it, at)
  if (naive.run === "completed") naive.run = "running"
}

/** What it keeps is its work's slots and those of the step that it was in; holds across steps stay the work's. */
const giveUp = (naive: Naive, it: Job, { id, keepsSlots, start }: Of<"WorkStuck">): void => {
  const ofStep = it.holds.filter((hold) => hold.step !== undefined).map((hold) => hold.claims)
  const keeps = keepsSlots ? [...it.spec.slots === undefined ? [] : [it.spec.slots], ...ofStep] : []
  naive.stuck = [...naive.stuck, { id, start, keeps }]
  it.isGivenUp = keepsSlots
}
