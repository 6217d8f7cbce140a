/**
 * Where a work stands: queued, or waiting for something; and what its settlement means for those that wait for it.
 * Parts of the fold: they trust the journal and decide nothing.
 */
import type { Outcome } from "../Outcome.ts"
import type { Claims, WorkSpec } from "../WorkSpec.ts"
import {
  Alarm,
  dedupeKey,
  hasBegun,
  hasHandler,
  type Hold,
  keyOf,
  kindOf,
  type Live,
  type RunState,
  Waiting,
  WorkEntry,
  type WorkStatus
} from "./model.ts"
import { dequeue, enqueue, placeKey, touch } from "./ready.ts"
import { recordSettled } from "./statistics.ts"

export const waitOf = (entry: WorkEntry): Waiting => (entry.wait ??= new Waiting())

/** What a waiting work waits for, as the status counts it. */
export const waitingFor = (entry: WorkEntry): "dependency" | "time" | "paused" => {
  const wait = entry.wait!
  if (wait.pending.length > 0 || wait.doomed !== undefined) return "dependency"
  return wait.wake === undefined ? "paused" : "time"
}

export const setStatus = (state: RunState, entry: WorkEntry, status: WorkStatus): void => {
  state.counts[entry.status] -= 1
  state.counts[status] += 1
  entry.status = status
}

export const take = (state: RunState, claims: Claims | undefined): void => {
  for (const name in claims) {
    const pool = state.pools.get(name)
    if (pool === undefined) state.pools.set(name, { size: 0, used: claims[name]! })
    else pool.used += claims[name]!
  }
}

export const free = (state: RunState, claims: Claims | undefined): void => {
  for (const name in claims) {
    const pool = state.pools.get(name)
    if (pool !== undefined) pool.used -= claims[name]!
  }
}

export const release = (state: RunState, live: Live, name: string, hold: Hold): void => {
  live.holds!.delete(name)
  free(state, hold.claims)
}

export const releaseWhere = (state: RunState, live: Live, predicate: (hold: Hold) => boolean): void => {
  if (live.holds === undefined) return
  for (const [name, hold] of live.holds) if (predicate(hold)) release(state, live, name, hold)
}

/** A running work asks for nothing more. */
export const dropRequests = (state: RunState, live: Live): void => {
  if (live.requests === undefined) return
  for (const request of live.requests.values()) dequeue(state, request)
  live.requests = undefined
}

/** The handler is no longer waited for: what the attempt holds as such goes back; what is held across steps stays. */
export const endAttempt = (state: RunState, entry: WorkEntry): void => {
  if (!hasHandler(entry.status)) return
  const live = entry.live!
  dropRequests(state, live)
  if (!live.lent) state.units -= 1
  live.lent = false
  state.handlers -= 1
  kindOf(state, entry.spec.kind).running -= 1
  const key = keyOf(state, entry.spec.key)
  key.running -= 1
  touch(state, key)
  if (key.name !== undefined) placeKey(state, key)
  if (live.keepsSlots) {
    keepSlots(state, entry, live)
  } else {
    free(state, entry.spec.slots)
    releaseWhere(state, live, (hold) => hold.step !== undefined)
  }
}

/** What the attempt holds stays with its stuck handler. */
const keepSlots = (state: RunState, entry: WorkEntry, live: Live): void => {
  live.keepsSlots = false
  const kept = entry.spec.slots === undefined ? [] : [entry.spec.slots]
  for (const [name, hold] of live.holds ?? []) {
    if (hold.step === undefined) continue
    live.holds!.delete(name)
    kept.push(hold.claims)
  }
  state.stuck.set(`${entry.spec.id}#${live.starts}`, kept)
}

export const addAlarm = (state: RunState, entry: WorkEntry, name: "wake" | "expiry", at: number): void => {
  const alarm = new Alarm(entry, at)
  waitOf(entry)[name] = alarm
  state[name === "wake" ? "wakes" : "expiries"].push(alarm)
}

export const dropAlarm = (state: RunState, entry: WorkEntry, name: "wake" | "expiry"): void => {
  const alarm = entry.wait?.[name]
  if (alarm === undefined) return
  entry.wait![name] = undefined
  state[name === "wake" ? "wakes" : "expiries"].remove(alarm)
}

/** Arms the alarm of whichever comes first: the deadline, or the end of the time to live, which a start ends. */
export const armExpiry = (state: RunState, entry: WorkEntry, isEligible: boolean): void => {
  const { deadline, timeToLiveMillis } = entry.spec
  if ((deadline === undefined && timeToLiveMillis === undefined) || entry.wait?.isReleased === true) return
  const endOfLife = timeToLiveMillis === undefined || hasBegun(entry) || !isEligible
    ? undefined
    : state.epoch + entry.since + timeToLiveMillis
  const at = Math.min(deadline ?? Infinity, endOfLife ?? Infinity)
  if (entry.wait?.expiry?.at === at) return
  dropAlarm(state, entry, "expiry")
  if (at < Infinity) addAlarm(state, entry, "expiry", at)
}

/**
 * Puts a work that has no handler where it belongs: into the queue, or among those that wait. `since` is when it could
 * have started; for one that has been started before, when it could go on.
 */
export const place = (state: RunState, entry: WorkEntry): void => {
  const { wait } = entry
  const isEligible = wait === undefined ||
    (wait.pending.length === 0 && wait.wake === undefined && wait.doomed === undefined)
  armExpiry(state, entry, isEligible)
  noteWaiting(state, entry, -1)
  if (isEligible && entry.wait?.paused === undefined) {
    if (entry.status !== "queued") setStatus(state, entry, "queued")
    if (entry.lane === undefined) enqueue(state, entry)
  } else {
    if (entry.status !== "waiting") setStatus(state, entry, "waiting")
    noteWaiting(state, entry, 1)
  }
}

/** The counts of those that wait, by kind and reason. `wait.counted` says under which reason this one is in them. */
export const noteWaiting = (state: RunState, entry: WorkEntry, sign: 1 | -1): void => {
  const { wait } = entry
  if (wait === undefined) return
  if (sign < 0) {
    if (wait.counted === undefined) return
    kindOf(state, entry.spec.kind).waiting[wait.counted] -= 1
    wait.counted = undefined
  } else {
    wait.counted = waitingFor(entry)
    kindOf(state, entry.spec.kind).waiting[wait.counted] += 1
  }
}

/** The work neither waits nor queues any longer. */
export const unplace = (state: RunState, entry: WorkEntry): void => {
  if (entry.status === "queued") dequeue(state, entry)
  noteWaiting(state, entry, -1)
  dropAlarm(state, entry, "wake")
  dropAlarm(state, entry, "expiry")
  forgetKey(state, entry)
}

/** Its idempotency key is free for others. */
const forgetKey = (state: RunState, entry: WorkEntry): void => {
  if (entry.spec.dedupe === undefined) return
  const key = dedupeKey(entry.spec)
  if (state.dedupe.get(key) === entry.spec.id) state.dedupe.delete(key)
}

export const add = (state: RunState, spec: WorkSpec, at: number, isChild: boolean): void => {
  const entry = new WorkEntry(spec, state.arrivals++)
  entry.since = at - state.epoch
  state.works.set(spec.id, entry)
  state.counts.queued += 1
  state.unsettled += 1
  if (spec.dedupe !== undefined) state.dedupe.set(dedupeKey(spec), spec.id)
  if (spec.after !== undefined) depend(state, entry, spec.after, isChild)
  if (spec.notBefore !== undefined && spec.notBefore > at) {
    addAlarm(state, entry, "wake", spec.notBefore)
    entry.since = spec.notBefore - state.epoch
  }
  place(state, entry)
  extend(state)
}

/** New work makes a completed run run again. */
export const extend = (state: RunState): void => {
  if (state.name !== "completed") return
  state.name = "running"
  state.finishedAt = undefined
}

/** A child comes only after what was there before it: nobody could refuse it, and it must not wait for ever. */
const depend = (state: RunState, entry: WorkEntry, after: ReadonlyArray<string>, isChild: boolean): void => {
  for (const id of new Set(after)) {
    state.needed.set(id, (state.needed.get(id) ?? 0) + 1)
    const other = state.works.get(id)
    if (other === entry || other?.outcome !== undefined || (other === undefined && isChild)) {
      judge(state, entry, id, other === entry ? undefined : other)
      continue
    }
    // One that is not there yet comes later in the same batch: `add` takes no other.
    waitOf(entry).pending.push(id)
    const dependents = state.dependents.get(id)
    if (dependents === undefined) state.dependents.set(id, [entry])
    else dependents.push(entry)
  }
}

/** A dependency has settled, or is not there. */
const judge = (state: RunState, entry: WorkEntry, id: string, other: WorkEntry | undefined): void => {
  if (other?.status === "succeeded" || entry.spec.onDependencyFailure === "run") return
  const wait = waitOf(entry)
  if (wait.doomed !== undefined) return
  wait.doomed = {
    _tag: "Dependency",
    id,
    state: other === undefined ? "unknown" : other.status as "failed" | "skipped" | "cancelled"
  }
  state.doomed.push(entry)
}

const resolveDependents = (state: RunState, entry: WorkEntry, at: number): void => {
  const { id } = entry.spec
  const dependents = state.dependents.get(id)
  if (dependents === undefined) return
  state.dependents.delete(id)
  for (const each of dependents) {
    const wait = each.wait
    // Retried by name meanwhile, or settled: it waits no longer.
    if (wait === undefined || wait.isReleased || each.outcome !== undefined) continue
    wait.pending = wait.pending.filter((other) => other !== id)
    judge(state, each, id, entry)
    if (each.status !== "waiting") continue
    each.since = Math.max(each.since, at - state.epoch)
    place(state, each)
  }
}

export const settle = (
  state: RunState,
  entry: WorkEntry,
  status: "succeeded" | "failed" | "skipped" | "cancelled",
  outcome: Outcome,
  at: number
): void => {
  const { live, spec } = entry
  endAttempt(state, entry)
  unplace(state, entry)
  recordSettled(state.statistics, spec.kind, at, live === undefined ? undefined : at - live.startedAt)
  entry.resumed = false
  entry.wait = undefined
  if (live !== undefined) {
    releaseWhere(state, live, () => true)
    state.begun.delete(entry)
    // Nothing of it is worth keeping: most works succeed at once.
    if (
      status === "succeeded" && live.generation === 0 && live.failures === undefined && live.steps === undefined &&
      live.starts === 1
    ) entry.live = undefined
  }
  setStatus(state, entry, status)
  entry.outcome = outcome
  entry.since = at - state.epoch
  state.unsettled -= 1
  if (spec.after !== undefined) {
    for (const id of new Set(spec.after)) {
      const left = state.needed.get(id)! - 1
      if (left === 0) state.needed.delete(id)
      else state.needed.set(id, left)
    }
  }
  if (state.config.retain !== undefined) state.settled.add(entry)
  resolveDependents(state, entry, at)
}

/** A settled work is in the run again. */
export const unsettle = (state: RunState, entry: WorkEntry): void => {
  state.settled.delete(entry)
  state.unsettled += 1
  entry.outcome = undefined
  if (entry.spec.after !== undefined) {
    for (const id of new Set(entry.spec.after)) state.needed.set(id, (state.needed.get(id) ?? 0) + 1)
  }
  extend(state)
}
