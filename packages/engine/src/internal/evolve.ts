/**
 * Folds one event into the state, in place. Total: it trusts the journal, checks nothing, decides nothing.
 */
import type { Outcome } from "../Outcome.ts"
import type { Limits, PauseScope, RunConfig, RunEvent } from "../RunEvent.ts"
import {
  type Cause,
  hasBegun,
  hasRecords,
  keyOf,
  kindOf,
  Live,
  type RunState,
  SlotRequest,
  type WorkEntry,
  workOf
} from "./model.ts"
import {
  add,
  addAlarm,
  armExpiry,
  dropAlarm,
  dropRequests,
  endAttempt,
  free,
  place,
  release,
  releaseWhere,
  setStatus,
  settle,
  take,
  unplace,
  unsettle,
  waitOf
} from "./placement.ts"
import { dequeue, enqueue, placeKey, settleKeys } from "./ready.ts"
import { recordFailure, recordLag } from "./statistics.ts"

const setPool = (state: RunState, name: string, size: number): void => {
  const pool = state.pools.get(name)
  if (pool === undefined) state.pools.set(name, { size, used: 0 })
  else pool.size = size
}

const configure = (state: RunState, config: RunConfig): void => {
  state.config = config
  state.keepOpen = config.keepOpen
  for (const pool of state.pools.values()) pool.size = 0
  for (const name in config.pools) setPool(state, name, config.pools[name]!)
  for (const kind of state.kinds.values()) kind.known = false
  for (const name in config.kinds) {
    const kind = kindOf(state, name)
    const declared = config.kinds[name]!
    kind.known = true
    kind.limit = declared.limit ?? Infinity
    kind.onCancel = declared.onCancel
  }
  for (const key of state.keys.values()) {
    key.limit = config.keyLimits?.[key.name!]
    placeKey(state, key)
    state.touched.push(key)
  }
  for (const name in config.keyLimits) state.touched.push(keyOf(state, name))
  state.settled.clear()
  if (config.retain !== undefined) {
    const settled = Array.from(state.works.values()).filter((entry) => entry.outcome !== undefined)
    for (const entry of settled.sort((a, b) => a.since - b.since || a.arrival - b.arrival)) state.settled.add(entry)
  }
}

const limit = (state: RunState, limits: Limits): void => {
  const { config } = state
  const kinds = { ...config.kinds }
  for (const [name, each] of Object.entries(limits.kinds ?? {})) {
    kindOf(state, name).limit = each ?? Infinity
    const { limit: _, ...declared } = kinds[name] ?? { onCancel: false }
    kinds[name] = each === null ? declared : { ...declared, limit: each }
  }
  const keyLimits = Object.fromEntries(
    Object.entries({ ...config.keyLimits, ...limits.keyLimits }).filter((entry): entry is [string, number] =>
      entry[1] !== null
    )
  )
  const { keyLimit: before, ...rest } = config
  const keyLimit = limits.keyLimit === undefined ? before : limits.keyLimit ?? undefined
  state.config = {
    ...rest,
    concurrency: limits.concurrency ?? config.concurrency,
    pools: { ...config.pools, ...limits.pools },
    kinds,
    keyLimits,
    ...(keyLimit === undefined ? {} : { keyLimit })
  }
  for (const [name, size] of Object.entries(limits.pools ?? {})) setPool(state, name, size)
  for (const name of Object.keys(limits.keyLimits ?? {})) {
    const key = keyOf(state, name)
    key.limit = keyLimits[name]
    state.touched.push(key)
  }
  for (const key of state.keys.values()) placeKey(state, key)
}

const pauseScope = (state: RunState, scope: PauseScope, cause: Cause | undefined): void => {
  if (scope._tag === "Kind") {
    kindOf(state, scope.kind).paused = cause
  } else {
    const key = keyOf(state, scope.key)
    key.paused = cause
    placeKey(state, key)
    state.touched.push(key)
  }
}

/** Back into the queue, to go on: at once after a suspend or crash, or when its time comes. */
const goOn = (state: RunState, entry: WorkEntry, at: number, resumed: boolean): void => {
  entry.resumed = resumed
  if (hasBegun(entry) || entry.wait?.isReleased === true) entry.since = Math.max(0, at - state.epoch)
  place(state, entry)
}

/** A new process has the run: whatever handler was alive is not. */
const resume = (state: RunState, at: number): void => {
  for (const claims of state.stuck.values()) for (const each of claims) free(state, each)
  state.stuck.clear()
  // In order of arrival: keys that come back with this event take their turns in it.
  for (const entry of Array.from(state.begun).sort((a, b) => a.arrival - b.arrival)) {
    const live = entry.live!
    if (entry.status === "running") {
      live.livedMillis += Math.max(0, state.lastAt - live.startedAt)
      live.crashes += 1
      live.keepsSlots = false
      endAttempt(state, entry)
      goOn(state, entry, at, true)
    } else if (entry.status === "blocked") {
      if (live.isFresh) state.begun.delete(entry)
      waitOf(entry).blocked = undefined
      goOn(state, entry, at, false)
    }
  }
  if (state.name === "suspending" || state.name === "suspended") {
    state.name = state.pause === undefined ? "running" : "pausing"
    state.cause = state.pause
  }
}

/** That step, and all that were recorded later, are dropped; all of them when none is named. */
const dropSteps = (live: Live, from: string | undefined): void => {
  if (live.steps === undefined) return
  let isLater = from === undefined
  for (const name of Array.from(live.steps.keys())) {
    isLater ||= name === from
    if (isLater) live.steps.delete(name)
  }
}

/** A new generation. A work that never began stays what it was: it has used no idempotency key, and has nothing to undo. */
const startAgain = (state: RunState, entry: WorkEntry, from: string | undefined): void => {
  if (entry.live === undefined) {
    if (entry.status !== "succeeded") return
    // What was dropped when it succeeded at its only start.
    entry.live = new Live()
    entry.live.starts = 1
  }
  const { live } = entry
  if (live.isFresh) return
  state.begun.add(entry)
  live.generation += 1
  live.livedMillis = 0
  live.crashes = 0
  live.cancel = undefined
  live.forgiven = live.failures?.length ?? 0
  dropSteps(live, from)
}

const finish = (state: RunState, name: RunState["name"], at: number): void => {
  state.name = name
  state.finishedAt = at
  state.pause = undefined
}

const start = (state: RunState, entry: WorkEntry, attempt: number, at: number): void => {
  const { spec } = entry
  const key = keyOf(state, spec.key)
  key.running += 1
  key.turn = ++state.turns
  unplace(state, entry)
  setStatus(state, entry, "running")
  if (entry.live === undefined || entry.live.starts === 0) {
    entry.live ??= new Live()
    recordLag(state.statistics, Math.max(0, at - state.epoch - entry.since))
  }
  const { live } = entry
  state.begun.add(entry)
  live.isFresh = false
  live.attempt = attempt
  live.starts += 1
  live.startedAt = at
  entry.resumed = false
  state.units += 1
  state.handlers += 1
  kindOf(state, spec.kind).running += 1
  take(state, spec.slots)
  placeKey(state, key)
}

/** The outcome of all works that succeed with nothing to tell: there may be millions. */
const nothing: Outcome = { _tag: "Succeeded", result: null }

export const evolve = (state: RunState, event: RunEvent): void => {
  state.capture?.before(event)
  apply(state, event)
  if (state.touched.length > 0) settleKeys(state)
  state.lastAt = event.at
}

const apply = (state: RunState, event: RunEvent): void => {
  switch (event._tag) {
    case "WorkAdded":
      return add(state, event.spec, event.at, false)
    case "WorkStarted":
      return start(state, workOf(state, event.id)!, event.attempt, event.at)
    case "StepRecorded": {
      const live = workOf(state, event.id)!.live!
      live.crashes = 0
      live.steps ??= new Map()
      // Recorded again, a cursor is as late as its latest record.
      const earlier = live.steps.get(event.step)
      if (earlier !== undefined) live.steps.delete(event.step)
      live.steps.set(event.step, {
        result: event.result,
        children: earlier === undefined ? event.children : [...earlier.children, ...event.children],
        cursor: event.cursor === true
      })
      return releaseWhere(state, live, (hold) => hold.until === event.step || hold.step === event.step)
    }
    case "SlotsRequested": {
      const entry = workOf(state, event.id)!
      const live = entry.live!
      const { claims, hold, step, until } = event
      const request = new SlotRequest(entry, hold, claims, until, step, event.at - state.epoch)
      live.requests ??= new Map()
      // Asked again under the same name (after an interrupted wait): the later claim takes the place of the earlier.
      const earlier = live.requests.get(hold)
      if (earlier !== undefined) {
        dequeue(state, earlier)
        live.requests.delete(hold)
      }
      live.requests.set(hold, request)
      if (!live.lent) {
        live.lent = true
        state.units -= 1
      }
      return enqueue(state, request)
    }
    case "SlotsGranted": {
      const live = workOf(state, event.id)!.live!
      const request = live.requests?.get(event.hold)
      if (request !== undefined) {
        dequeue(state, request)
        live.requests!.delete(event.hold)
      }
      // A work that still waits for another claim goes on lending: if it took a unit now, the last unit of the run might
      // be its own, and the claim that it waits for could never be granted.
      if (live.lent && (live.requests === undefined || live.requests.size === 0)) {
        live.lent = false
        state.units += 1
      }
      take(state, event.claims)
      live.holds ??= new Map()
      live.holds.set(event.hold, { claims: event.claims, until: event.until, step: event.step })
      return
    }
    case "SlotsReleased": {
      const live = workOf(state, event.id)!.live!
      const hold = live.holds?.get(event.hold)
      if (hold !== undefined) release(state, live, event.hold, hold)
      return
    }
    case "WorkSucceeded":
      settle(
        state,
        workOf(state, event.id)!,
        "succeeded",
        event.result === null ? nothing : { _tag: "Succeeded", result: event.result },
        event.at
      )
      for (const child of event.children) add(state, child, event.at, true)
      return
    case "WorkFailed": {
      const entry = workOf(state, event.id)!
      fail(state, entry, event)
      settle(state, entry, "failed", { _tag: "Failed", failure: event.failure }, event.at)
      for (const child of event.children) add(state, child, event.at, true)
      if (state.config.failFast === true) state.failedFast ??= event.id
      return
    }
    case "WorkSkipped":
      return settle(
        state,
        workOf(state, event.id)!,
        "skipped",
        { _tag: "Skipped", cause: event.cause },
        event.at
      )
    case "WorkRetryScheduled": {
      const entry = workOf(state, event.id)!
      const live = entry.live!
      fail(state, entry, event)
      endAttempt(state, entry)
      live.livedMillis = 0
      live.crashes = 0
      if (event.from !== undefined) {
        live.generation += 1
        dropSteps(live, event.from)
      }
      addAlarm(state, entry, "wake", event.wakeAt)
      state.retries += 1
      return place(state, entry)
    }
    case "WorkRetried": {
      const entry = workOf(state, event.id)!
      if (entry.outcome === undefined) {
        unplace(state, entry)
      } else {
        unsettle(state, entry)
        waitOf(entry).isReleased = true
      }
      startAgain(state, entry, event.from)
      return goOn(state, entry, event.at, false)
    }
    case "WorkQueued": {
      const entry = workOf(state, event.id)!
      dropAlarm(state, entry, "wake")
      if (entry.live !== undefined) entry.since = event.at - state.epoch
      return place(state, entry)
    }
    case "WorkInterrupted": {
      const entry = workOf(state, event.id)!
      entry.live!.livedMillis += event.livedMillis
      entry.live!.crashes = 0
      endAttempt(state, entry)
      return goOn(state, entry, event.at, true)
    }
    case "WorkBlocked": {
      const entry = workOf(state, event.id)!
      endAttempt(state, entry)
      // A handler that could not read its payload has done nothing: without a record of an earlier attempt the
      // work has not begun, and cancelling it has nothing to undo.
      entry.live!.isFresh = !hasRecords(entry.live!)
      entry.live!.crashes = 0
      waitOf(entry).blocked = event.what
      setStatus(state, entry, "blocked")
      return armExpiry(state, entry, true)
    }
    case "WorkPaused": {
      const entry = workOf(state, event.id)!
      waitOf(entry).paused = { actor: event.actor, reason: event.reason }
      if (entry.status === "queued") dequeue(state, entry)
      if (entry.status === "queued" || entry.status === "waiting") place(state, entry)
      return
    }
    case "WorkContinued": {
      const entry = workOf(state, event.id)!
      entry.wait!.paused = undefined
      if (entry.status !== "waiting") return
      if (hasBegun(entry)) entry.since = event.at - state.epoch
      place(state, entry)
      return
    }
    case "WorkReprioritized": {
      const entry = workOf(state, event.id)!
      const requests = Array.from(entry.live?.requests?.values() ?? [])
      if (entry.status === "queued") dequeue(state, entry)
      for (const request of requests) dequeue(state, request)
      entry.spec = { ...entry.spec, priority: event.priority }
      if (entry.status === "queued") enqueue(state, entry)
      for (const request of requests) enqueue(state, request)
      return
    }
    case "WorkCancelling": {
      const entry = workOf(state, event.id)!
      const live = entry.live!
      live.cancel = { reason: event.reason, actor: event.actor }
      if (entry.status === "running") {
        // A cancelling work asks for nothing more. A unit that it had lent is not taken back: it may be in use.
        dropRequests(state, live)
        return setStatus(state, entry, "cancelling")
      }
      unplace(state, entry)
      return setStatus(state, entry, "cleaning")
    }
    case "WorkCleaning": {
      const entry = workOf(state, event.id)!
      endAttempt(state, entry)
      return setStatus(state, entry, "cleaning")
    }
    case "WorkCancelled":
      return settle(
        state,
        workOf(state, event.id)!,
        "cancelled",
        { _tag: "Cancelled", reason: event.reason, actor: event.actor },
        event.at
      )
    case "WorkStuck": {
      const entry = workOf(state, event.id)!
      if (event.keepsSlots) entry.live!.keepsSlots = true
      else state.stuck.set(`${event.id}#${event.start}`, [])
      return
    }
    case "WorkUnstuck": {
      const name = `${event.id}#${event.start}`
      for (const claims of state.stuck.get(name) ?? []) free(state, claims)
      state.stuck.delete(name)
      return
    }
    case "RunStarted":
      state.epoch = event.at
      state.name = "running"
      state.startedAt = event.at
      return configure(state, event.config)
    case "RunResumed":
      configure(state, event.config)
      return resume(state, event.at)
    case "RunPausing":
      state.name = "pausing"
      state.cause = { reason: event.reason, actor: event.actor }
      state.pause = state.cause
      return
    case "RunPaused":
      state.name = "paused"
      return
    case "RunContinued":
      state.name = "running"
      state.cause = undefined
      state.pause = undefined
      return
    case "RunSuspending":
      state.name = "suspending"
      state.cause = { reason: event.reason, actor: event.actor }
      return
    case "RunSuspended":
      state.name = "suspended"
      return
    case "RunCancelling":
      state.name = "cancelling"
      state.failedFast = undefined
      state.cause = { reason: event.reason, actor: event.actor }
      return
    case "RunCancelled":
      return finish(state, "cancelled", event.at)
    case "RunClosed":
      state.keepOpen = false
      return
    case "RunCompleted":
      return finish(state, "completed", event.at)
    case "LimitsChanged":
      return limit(state, event.limits)
    case "ScopePaused":
      return pauseScope(state, event.scope, { actor: event.actor, reason: event.reason })
    case "ScopeContinued":
      return pauseScope(state, event.scope, undefined)
    case "WorksForgotten":
      for (const id of event.ids) {
        state.settled.delete(state.works.get(id)!)
        state.counts[state.works.get(id)!.status] -= 1
        state.works.delete(id)
      }
      state.last = undefined
      state.forgotten += event.ids.length
      return
  }
}

const fail = (
  state: RunState,
  entry: WorkEntry,
  { at, failure }: Extract<RunEvent, { readonly _tag: "WorkFailed" | "WorkRetryScheduled" }>
): void => {
  recordFailure(state.statistics, entry.spec.kind, failure._tag)
  const { live } = entry
  if (live === undefined) return
  live.failures ??= []
  live.failures.push({ generation: live.generation, attempt: live.attempt, at, failure })
}
