/**
 * Who may start next.
 *
 * Candidates lie in one heap for each group of equal conditions (kind and claims). A group whose condition does not
 * hold is passed over whole, so what cannot start never blocks what can, and the cost of a choice grows with
 * the number of groups, not of works.
 */
import type { RunEvent } from "../RunEvent.ts"
import type { Claims } from "../WorkSpec.ts"
import { Heap } from "./heap.ts"
import { before, type Candidate, type Group, type RunState, type WorkEntry } from "./model.ts"

const signature = (claims: Claims | undefined): string =>
  claims === undefined
    ? ""
    : Object.keys(claims).sort().map((name) => `${JSON.stringify(name)}:${claims[name]}`).join(",")

const groupOf = (state: RunState, candidate: Candidate): Group => {
  const request = candidate.request
  const spec = candidate.owner.spec
  const claims = request === undefined ? spec.slots : request.claims
  const key = request === undefined ? `w|${spec.kind}|${signature(claims)}` : `h|${signature(claims)}`
  let group = state.groups.get(key)
  if (group === undefined) {
    group = { kind: request === undefined ? spec.kind : undefined, claims, heap: new Heap(before) }
    state.groups.set(key, group)
  }
  return group
}

export const enqueue = (state: RunState, candidate: Candidate): void => groupOf(state, candidate).heap.push(candidate)

export const dequeue = (state: RunState, candidate: Candidate): void => groupOf(state, candidate).heap.remove(candidate)

export const fits = (state: RunState, claims: Claims | undefined): boolean => {
  if (claims === undefined) return true
  for (const name in claims) {
    const pool = state.pools.get(name)
    if (pool === undefined || pool.size - pool.used < claims[name]!) return false
  }
  return true
}

/** Why a group's works cannot start, as data for the status; undefined when they can. */
export const obstacle = (state: RunState, kindName: string | undefined, claims: Claims | undefined):
  | { readonly _tag: "NoHandler"; readonly kind: string }
  | { readonly _tag: "KindLimit"; readonly kind: string; readonly limit: number }
  | { readonly _tag: "Slot"; readonly pool: string; readonly needs: number; readonly free: number }
  | { readonly _tag: "Unsatisfiable"; readonly pool: string; readonly needs: number; readonly size: number }
  | undefined => {
  if (kindName !== undefined) {
    const kind = state.kinds.get(kindName)
    if (kind === undefined || !kind.known) return { _tag: "NoHandler", kind: kindName }
    if (kind.running >= kind.limit) return { _tag: "KindLimit", kind: kindName, limit: kind.limit }
  }
  for (const name in claims) {
    const pool = state.pools.get(name)
    const needs = claims[name]!
    const size = pool?.size ?? 0
    if (needs > size) return { _tag: "Unsatisfiable", pool: name, needs, size }
    const free = size - (pool?.used ?? 0)
    if (free < needs) return { _tag: "Slot", pool: name, needs, free }
  }
  return undefined
}

const isOpen = (state: RunState, group: Group): boolean => {
  if (group.kind === undefined) {
    if (state.name !== "running" && state.name !== "pausing") return false
  } else {
    if (state.name !== "running") return false
    const kind = state.kinds.get(group.kind)
    if (kind === undefined || !kind.known || kind.running >= kind.limit) return false
  }
  return fits(state, group.claims)
}

/**
 * The one event that the order of DESIGN 4.4 allows next, or undefined. A pausing run starts no work but still
 * serves the works that are running.
 */
export const next = (state: RunState, now: number): RunEvent | undefined => {
  if (state.name !== "running" && state.name !== "pausing") return undefined
  if (state.units >= state.config.concurrency) return undefined
  let best: Candidate | undefined
  for (const group of state.groups.values()) {
    const head = group.heap.peek()
    if (head === undefined) continue
    if (best !== undefined && !before(head, best)) continue
    if (isOpen(state, group)) best = head
  }
  return best === undefined ? undefined : grant(best, now)
}

/**
 * Whether somebody who waits for one of the same pools comes before a running work that asks now, and could go on
 * with the concurrency unit that this one lends while it waits. Without this, whoever started last would overtake
 * those who lent their unit to it and have waited longer.
 */
export const hasRival = (state: RunState, asking: WorkEntry, claims: Claims): boolean => {
  for (const group of state.groups.values()) {
    const head = group.heap.peek()
    if (head === undefined || !before(head, asking) || !isOpen(state, group)) continue
    for (const name in group.claims) if (Object.hasOwn(claims, name)) return true
  }
  return false
}

export const started = (entry: WorkEntry, now: number): RunEvent => ({
  _tag: "WorkStarted",
  at: now,
  id: entry.spec.id,
  attempt: (entry.live?.failures.length ?? 0) + 1
})

const grant = (candidate: Candidate, now: number): RunEvent => {
  const request = candidate.request
  if (request === undefined) return started(candidate.owner, now)
  return {
    _tag: "SlotsGranted",
    at: now,
    id: candidate.owner.spec.id,
    hold: request.hold,
    claims: request.claims,
    ...(request.until === undefined ? {} : { until: request.until }),
    ...(request.step === undefined ? {} : { step: request.step })
  }
}

/** The earliest time at which a waiting work wants to run, in milliseconds since the epoch. */
export const nextWake = (state: RunState): number | undefined => state.wakes.peek()?.at
