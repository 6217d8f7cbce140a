/**
 * Folds one event into the state, in place. Total: it trusts the journal, checks nothing, decides nothing.
 */
import type { RunConfig, RunEvent } from "../RunEvent.ts"
import type { Claims, WorkSpec } from "../WorkSpec.ts"
import { type Hold, type Live, type RunState, SlotRequest, Wake, WorkEntry, type WorkStatus } from "./model.ts"
import { dequeue, enqueue } from "./ready.ts"

const setStatus = (state: RunState, entry: WorkEntry, status: WorkStatus): void => {
  state.counts[entry.status] -= 1
  state.counts[status] += 1
  entry.status = status
}

const hasHandler = (status: WorkStatus): boolean => status === "running" || status === "cancelling"

const take = (state: RunState, claims: Claims | undefined): void => {
  for (const name in claims) {
    const pool = state.pools.get(name)
    if (pool === undefined) state.pools.set(name, { size: 0, used: claims[name]! })
    else pool.used += claims[name]!
  }
}

const free = (state: RunState, claims: Claims | undefined): void => {
  for (const name in claims) {
    const pool = state.pools.get(name)
    if (pool !== undefined) pool.used -= claims[name]!
  }
}

const release = (state: RunState, live: Live, name: string, hold: Hold): void => {
  live.holds.delete(name)
  free(state, hold.claims)
}

const releaseWhere = (state: RunState, live: Live, predicate: (hold: Hold) => boolean): void => {
  for (const [name, hold] of live.holds) if (predicate(hold)) release(state, live, name, hold)
}

/** Something of the work outlives its attempts. */
export const hasRecords = (live: Live): boolean =>
  live.steps.size > 0 || live.failures.length > 0 || live.holds.size > 0 || live.livedMillis > 0

/** The handler is no longer alive: what an attempt holds as such goes back; what is held across steps stays. */
const endAttempt = (state: RunState, entry: WorkEntry): void => {
  if (!hasHandler(entry.status)) return
  const live = entry.live!
  for (const request of live.requests.values()) dequeue(state, request)
  live.requests.clear()
  if (!live.lent) state.units -= 1
  live.lent = false
  state.handlers -= 1
  kindOf(state, entry.spec.kind).running -= 1
  free(state, entry.spec.slots)
  releaseWhere(state, live, (hold) => hold.step !== undefined)
}

const kindOf = (state: RunState, name: string) => {
  let kind = state.kinds.get(name)
  if (kind === undefined) {
    kind = { limit: Infinity, onCancel: false, known: false, running: 0 }
    state.kinds.set(name, kind)
  }
  return kind
}

const dropFromQueue = (state: RunState, entry: WorkEntry): void => {
  if (entry.status === "queued") dequeue(state, entry)
  if (entry.detail instanceof Wake) state.wakes.remove(entry.detail)
  entry.detail = undefined
  if (entry.spec.dedupe !== undefined && state.dedupe.get(entry.spec.dedupe) === entry.spec.id) {
    state.dedupe.delete(entry.spec.dedupe)
  }
}

const settle = (
  state: RunState,
  entry: WorkEntry,
  status: WorkStatus,
  outcome: NonNullable<WorkEntry["outcome"]>
): void => {
  endAttempt(state, entry)
  dropFromQueue(state, entry)
  if (entry.live !== undefined) {
    releaseWhere(state, entry.live, () => true)
    state.begun.delete(entry)
    entry.live.steps.clear()
  }
  setStatus(state, entry, status)
  entry.outcome = outcome
  state.unsettled -= 1
}

const requeue = (state: RunState, entry: WorkEntry, resumed: boolean): void => {
  setStatus(state, entry, "queued")
  entry.detail = undefined
  entry.resumed = resumed
  enqueue(state, entry)
}

const add = (state: RunState, spec: WorkSpec): void => {
  const entry = new WorkEntry(spec, state.arrivals++)
  state.works.set(spec.id, entry)
  state.counts.queued += 1
  state.unsettled += 1
  if (spec.dedupe !== undefined) state.dedupe.set(spec.dedupe, spec.id)
  enqueue(state, entry)
  if (state.name === "completed") {
    state.name = "running"
    state.finishedAt = undefined
  }
}

const configure = (state: RunState, config: RunConfig): void => {
  state.config = config
  state.keepOpen = config.keepOpen
  for (const pool of state.pools.values()) pool.size = 0
  for (const name in config.pools) {
    const pool = state.pools.get(name)
    if (pool === undefined) state.pools.set(name, { size: config.pools[name]!, used: 0 })
    else pool.size = config.pools[name]!
  }
  for (const kind of state.kinds.values()) kind.known = false
  for (const name in config.kinds) {
    const kind = kindOf(state, name)
    const declared = config.kinds[name]!
    kind.known = true
    kind.limit = declared.limit ?? Infinity
    kind.onCancel = declared.onCancel
  }
}

/** A new process has the run: whatever handler was alive is not. */
const resume = (state: RunState): void => {
  for (const entry of state.begun) {
    if (entry.status === "running") {
      entry.live!.livedMillis += Math.max(0, state.lastAt - entry.live!.startedAt)
      endAttempt(state, entry)
      requeue(state, entry, true)
    } else if (entry.status === "blocked") {
      // A handler that could not read its payload has done nothing: without a record of an earlier attempt the
      // work has not begun, and cancelling it has nothing to undo.
      if (!hasRecords(entry.live!)) {
        entry.live = undefined
        state.begun.delete(entry)
      }
      requeue(state, entry, false)
    }
  }
  if (state.name === "suspending" || state.name === "suspended") state.name = "running"
}

const finish = (state: RunState, name: RunState["name"], at: number): void => {
  state.name = name
  state.finishedAt = at
}

export const evolve = (state: RunState, event: RunEvent): void => {
  switch (event._tag) {
    case "WorkAdded":
      add(state, event.spec)
      break
    case "WorkStarted": {
      const entry = state.works.get(event.id)!
      dropFromQueue(state, entry)
      setStatus(state, entry, "running")
      if (entry.live === undefined) {
        entry.live = {
          attempt: 0,
          startedAt: 0,
          livedMillis: 0,
          lent: false,
          failures: [],
          steps: new Map(),
          holds: new Map(),
          requests: new Map(),
          cancel: undefined
        }
        state.begun.add(entry)
      }
      entry.live.attempt = event.attempt
      entry.live.startedAt = event.at
      entry.resumed = false
      state.units += 1
      state.handlers += 1
      kindOf(state, entry.spec.kind).running += 1
      take(state, entry.spec.slots)
      break
    }
    case "StepRecorded": {
      const live = state.works.get(event.id)!.live!
      live.steps.set(event.step, { result: event.result, children: event.children })
      releaseWhere(state, live, (hold) => hold.until === event.step || hold.step === event.step)
      break
    }
    case "SlotsRequested": {
      const entry = state.works.get(event.id)!
      const request = new SlotRequest(entry, event.hold, event.claims, event.until, event.step)
      // Asked again under the same name (after an interrupted wait): the later claim takes the place of the earlier.
      const earlier = entry.live!.requests.get(event.hold)
      if (earlier !== undefined) dequeue(state, earlier)
      entry.live!.requests.set(event.hold, request)
      if (!entry.live!.lent) {
        entry.live!.lent = true
        state.units -= 1
      }
      enqueue(state, request)
      break
    }
    case "SlotsGranted": {
      const live = state.works.get(event.id)!.live!
      const request = live.requests.get(event.hold)
      if (request !== undefined) {
        dequeue(state, request)
        live.requests.delete(event.hold)
      }
      // A work that still waits for another claim goes on lending: if it took a unit now, the last unit of the run might
      // be its own, and the claim that it waits for could never be granted.
      if (live.lent && live.requests.size === 0) {
        live.lent = false
        state.units += 1
      }
      take(state, event.claims)
      live.holds.set(event.hold, { claims: event.claims, until: event.until, step: event.step })
      break
    }
    case "SlotsReleased": {
      const live = state.works.get(event.id)!.live!
      const hold = live.holds.get(event.hold)
      if (hold !== undefined) release(state, live, event.hold, hold)
      break
    }
    case "WorkSucceeded":
      settle(state, state.works.get(event.id)!, "succeeded", { _tag: "Succeeded", result: event.result })
      for (const child of event.children) add(state, child)
      break
    case "WorkFailed": {
      const entry = state.works.get(event.id)!
      const live = entry.live!
      live.failures.push({ attempt: live.attempt, at: event.at, failure: event.failure })
      settle(state, entry, "failed", { _tag: "Failed", failure: event.failure })
      for (const child of event.children) add(state, child)
      break
    }
    case "WorkRetryScheduled": {
      const entry = state.works.get(event.id)!
      const live = entry.live!
      endAttempt(state, entry)
      live.failures.push({ attempt: live.attempt, at: event.at, failure: event.failure })
      live.livedMillis = 0
      setStatus(state, entry, "waiting")
      const wake = new Wake(entry, event.wakeAt)
      entry.detail = wake
      state.wakes.push(wake)
      state.retries += 1
      break
    }
    case "WorkQueued": {
      const entry = state.works.get(event.id)!
      if (entry.detail instanceof Wake) state.wakes.remove(entry.detail)
      requeue(state, entry, false)
      break
    }
    case "WorkInterrupted": {
      const entry = state.works.get(event.id)!
      entry.live!.livedMillis += event.livedMillis
      endAttempt(state, entry)
      requeue(state, entry, true)
      break
    }
    case "WorkBlocked": {
      const entry = state.works.get(event.id)!
      endAttempt(state, entry)
      setStatus(state, entry, "blocked")
      entry.detail = event.what
      break
    }
    case "WorkCancelling": {
      const entry = state.works.get(event.id)!
      const live = entry.live!
      live.cancel = { reason: event.reason, actor: event.actor }
      if (entry.status === "running") {
        // A cancelling work asks for nothing more. A unit that it had lent is not taken back: it may be in use.
        for (const request of live.requests.values()) dequeue(state, request)
        live.requests.clear()
        setStatus(state, entry, "cancelling")
      } else {
        dropFromQueue(state, entry)
        setStatus(state, entry, "cleaning")
      }
      break
    }
    case "WorkCleaning": {
      const entry = state.works.get(event.id)!
      endAttempt(state, entry)
      setStatus(state, entry, "cleaning")
      break
    }
    case "WorkCancelled":
      settle(state, state.works.get(event.id)!, "cancelled", {
        _tag: "Cancelled",
        reason: event.reason,
        actor: event.actor
      })
      break
    case "RunStarted":
      configure(state, event.config)
      state.name = "running"
      state.startedAt = event.at
      break
    case "RunResumed":
      configure(state, event.config)
      resume(state)
      break
    case "RunPausing":
      state.name = "pausing"
      state.cause = { reason: event.reason, actor: event.actor }
      break
    case "RunPaused":
      state.name = "paused"
      break
    case "RunContinued":
      state.name = "running"
      state.cause = undefined
      break
    case "RunSuspending":
      state.name = "suspending"
      state.cause = { reason: event.reason, actor: event.actor }
      break
    case "RunSuspended":
      state.name = "suspended"
      break
    case "RunCancelling":
      state.name = "cancelling"
      state.cause = { reason: event.reason, actor: event.actor }
      break
    case "RunCancelled":
      finish(state, "cancelled", event.at)
      break
    case "RunClosed":
      state.keepOpen = false
      break
    case "RunCompleted":
      finish(state, "completed", event.at)
      break
  }
  state.lastAt = event.at
}
