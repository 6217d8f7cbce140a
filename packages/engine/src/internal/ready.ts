/**
 * Who may start next.
 *
 * Candidates lie in lanes: one for each key within each group of equal conditions (kind and claims). A lane is ordered by
 * priority and arrival; a group is a heap of its lanes. So what cannot start (a key at its limit, a kind that is paused,
 * a claim that is not free) is passed over whole, it never blocks what can, and the cost of a choice grows with the number
 * of groups and the logarithm of the rest, not with the number of works.
 */
import { defaultReserveAfterMillis, type RunEvent } from "../RunEvent.ts"
import type { Claims } from "../WorkSpec.ts"
import { goesFirst } from "./candidateOrder.ts"
import {
  type Candidate,
  Group,
  hasHandler,
  type Key,
  keyOf,
  kindOf,
  Lane,
  type RunState,
  type WorkEntry
} from "./model.ts"

/** Groups without a candidate are kept up to this number: most runs use the same few again and again. */
const idleGroups = 64

const signature = (claims: Claims): string =>
  Object.keys(claims).sort().map((name) => `${JSON.stringify(name)}:${claims[name]}`).join(",")

const makeGroup = (state: RunState, name: string, kind: Group["kind"], claims: Claims | undefined): Group => {
  const group = new Group(name, kind, claims)
  state.groups.set(name, group)
  return group
}

const groupOf = (state: RunState, candidate: Candidate): Group => {
  const request = candidate.request
  if (request !== undefined) {
    const name = `h|${signature(request.claims)}`
    return state.groups.get(name) ?? makeGroup(state, name, undefined, request.claims)
  }
  const { spec } = candidate.owner
  const kind = kindOf(state, spec.kind)
  if (spec.slots === undefined) return (kind.plain ??= makeGroup(state, `w|${spec.kind}|`, kind, undefined))
  const name = `w|${spec.kind}|${signature(spec.slots)}`
  return state.groups.get(name) ?? makeGroup(state, name, kind, spec.slots)
}

const laneOf = (state: RunState, candidate: Candidate): Lane => {
  const group = groupOf(state, candidate)
  const key = candidate.request === undefined ? keyOf(state, candidate.owner.spec.key) : state.requestKey
  let lane = group.lanes.get(key)
  if (lane === undefined) {
    lane = new Lane(group, key)
    group.lanes.set(key, lane)
    key.lanes.add(lane)
  }
  return lane
}

const isKeyOpen = (state: RunState, key: Key): boolean =>
  key.name === undefined ||
  (key.paused === undefined && key.running < (key.limit ?? state.config.keyLimit ?? Infinity))

/** Puts a lane where it belongs in its group, after its first candidate or its key has changed. */
const placeLane = (state: RunState, lane: Lane): void => {
  const { group, key, queue } = lane
  if (queue.size === 0) {
    removeLane(state, lane)
  } else if (!isKeyOpen(state, key)) {
    group.heap.remove(lane)
  } else if (lane.index < 0) {
    group.heap.push(lane)
  } else {
    group.heap.update(lane)
  }
}

const removeLane = (state: RunState, lane: Lane): void => {
  const { group, key } = lane
  // The order of the heap looks at first candidates: an empty lane leaves it by its place alone.
  group.heap.remove(lane)
  if (key.name !== undefined) {
    group.lanes.delete(key)
    key.lanes.delete(lane)
  }
  if (group.heap.items.length === 0 && state.groups.size > idleGroups && isEmpty(group)) {
    for (const each of group.lanes.values()) each.key.lanes.delete(each)
    state.groups.delete(group.name)
    if (group.kind?.plain === group) group.kind.plain = undefined
  }
}

const isEmpty = (group: Group): boolean => {
  for (const lane of group.lanes.values()) if (lane.queue.size > 0) return false
  return true
}

/** After a key's turn, limit, pause or number of running works has changed. */
export const placeKey = (state: RunState, key: Key): void => {
  for (const lane of Array.from(key.lanes)) placeLane(state, lane)
}

/** After the event at hand: a key that has nothing queued or running loses its place among the turns. */
export const settleKeys = (state: RunState): void => {
  for (const key of state.touched) {
    if (key.queued > 0 || key.running > 0) continue
    key.idle = true
    if (key.name !== undefined && key.paused === undefined && key.limit === undefined) state.keys.delete(key.name)
  }
  state.touched.length = 0
}

export const touch = (state: RunState, key: Key): void => {
  if (key.queued === 0 && key.running === 0) state.touched.push(key)
}

export const enqueue = (state: RunState, candidate: Candidate): void => {
  const lane = laneOf(state, candidate)
  const { key } = lane
  candidate.lane = lane
  if (candidate.request === undefined) {
    key.queued += 1
    if (key.idle) {
      key.idle = false
      key.turn = ++state.turns
    }
  }
  lane.queue.push(candidate)
  if (lane.index < 0 || lane.queue.first === candidate) placeLane(state, lane)
}

export const dequeue = (state: RunState, candidate: Candidate): void => {
  const { lane } = candidate
  if (lane === undefined) return
  candidate.lane = undefined
  const wasFirst = lane.queue.first === candidate
  lane.queue.remove(candidate)
  if (wasFirst) placeLane(state, lane)
  if (candidate.request === undefined) {
    lane.key.queued -= 1
    touch(state, lane.key)
  }
}

export const fits = (state: RunState, claims: Claims | undefined): boolean => {
  if (claims === undefined) return true
  for (const name in claims) {
    const pool = state.pools.get(name)
    if (pool === undefined || pool.size - pool.used < claims[name]!) return false
  }
  return true
}

const isSatisfiable = (state: RunState, claims: Claims): boolean => {
  for (const name in claims) if ((state.pools.get(name)?.size ?? 0) < claims[name]!) return false
  return true
}

/** Everything but the claims: the run, the kind. The key is looked after by the lanes. */
const isGroupOpen = (state: RunState, group: Group): boolean => {
  const { kind } = group
  if (kind === undefined) return state.name === "running" || state.name === "pausing"
  return state.name === "running" && kind.known && kind.running < kind.limit && kind.paused === undefined
}

const first = (group: Group): Candidate | undefined => group.heap.items[0]?.queue.first

const turnOf = (candidate: Candidate): number => candidate.lane!.key.turn

const comesBefore = (a: Candidate, b: Candidate): boolean => goesFirst(a, turnOf(a), b, turnOf(b))

const waitedMillis = (state: RunState, candidate: Candidate, now: number): number =>
  now - state.epoch - (candidate.request ?? candidate.owner).since

/**
 * For whom units are kept back: the first in the order among those that lack only free units of pools and have waited for
 * them long enough.
 */
export const reserved = (state: RunState, now: number): Candidate | undefined => {
  if (state.pools.size === 0) return undefined
  const after = state.config.reserveAfterMillis ?? defaultReserveAfterMillis
  let found: Candidate | undefined
  for (const group of state.groups.values()) {
    const { claims } = group
    const head = first(group)
    if (claims === undefined || head === undefined || (found !== undefined && !comesBefore(head, found))) continue
    if (fits(state, claims) || !isSatisfiable(state, claims) || !isGroupOpen(state, group)) continue
    if (waitedMillis(state, head, now) >= after) found = head
  }
  return found
}

const claimsOf = (candidate: Candidate): Claims | undefined => candidate.request?.claims ?? candidate.owner.spec.slots

/** The pool of which the claims would take units that are kept back for somebody else. */
const keptBack = (state: RunState, claims: Claims | undefined, kept: Claims): string | undefined => {
  for (const name in claims) {
    if (!Object.hasOwn(kept, name)) continue
    const pool = state.pools.get(name)!
    if (pool.size - pool.used - claims[name]! < kept[name]!) return name
  }
  return undefined
}

/** A work that holds units of a pool that is kept back has to be able to go on and end. */
const isExempt = (owner: WorkEntry, kept: Claims): boolean => {
  for (const name in kept) {
    if (hasHandler(owner.status) && owner.spec.slots !== undefined && Object.hasOwn(owner.spec.slots, name)) return true
    if (owner.live?.holds !== undefined) {
      for (const hold of owner.live.holds.values()) if (Object.hasOwn(hold.claims, name)) return true
    }
  }
  return false
}

/** The pool of which units are kept from somebody for whom the reservation is not; undefined when it does not hold him up. */
export const heldUpBy = (
  state: RunState,
  reservation: Candidate,
  owner: WorkEntry,
  turn: number,
  claims: Claims | undefined
): string | undefined => {
  if (reservation.owner === owner || !goesFirst(reservation, turnOf(reservation), owner, turn)) return undefined
  const kept = claimsOf(reservation)!
  const pool = keptBack(state, claims, kept)
  return pool === undefined || isExempt(owner, kept) ? undefined : pool
}

/** The first whom a reservation does not hold up. */
const bestBeside = (state: RunState, reservation: Candidate): Candidate | undefined => {
  let found: Candidate | undefined
  const consider = (candidate: Candidate): void => {
    const { lane, owner } = candidate
    if (heldUpBy(state, reservation, owner, lane!.key.turn, lane!.group.claims) !== undefined) return
    if (found === undefined || comesBefore(candidate, found)) found = candidate
  }
  for (const group of state.groups.values()) {
    const head = first(group)
    if (head !== undefined && fits(state, group.claims) && isGroupOpen(state, group)) consider(head)
  }
  // Whoever is exempt has begun: it holds something, and need not be the first of its lane.
  for (const entry of state.begun) {
    for (const candidate of [entry, ...entry.live!.requests?.values() ?? []]) {
      const { lane } = candidate
      if (lane === undefined || lane.index < 0) continue
      if (fits(state, lane.group.claims) && isGroupOpen(state, lane.group)) consider(candidate)
    }
  }
  return found
}

const best = (state: RunState, now: number): Candidate | undefined => {
  let found: Candidate | undefined
  let isAnyHeldUp = false
  for (const group of state.groups.values()) {
    const head = first(group)
    if (head === undefined) continue
    if (!fits(state, group.claims)) {
      isAnyHeldUp = true
      continue
    }
    if (found !== undefined && !comesBefore(head, found)) continue
    if (isGroupOpen(state, group)) found = head
  }
  // Nobody lacks units, or nobody could take any: no reservation matters.
  if (!isAnyHeldUp || found === undefined) return found
  const reservation = reserved(state, now)
  return reservation === undefined ? found : bestBeside(state, reservation)
}

/**
 * The one event that the order of DESIGN 4.4 allows next, or undefined. A pausing run starts no work but still
 * serves the works that are running.
 */
export const next = (state: RunState, now: number): RunEvent | undefined => {
  if (state.name !== "running" && state.name !== "pausing") return undefined
  if (state.units >= state.config.concurrency) return undefined
  const candidate = best(state, now)
  if (candidate === undefined) return undefined
  state.last = candidate.owner
  return grant(candidate, now)
}

/**
 * Whether a running work that asks for a claim that is free has to queue for it all the same: somebody who waits for one
 * of the same pools comes first, and could go on with the concurrency unit that this one lends while it waits; or
 * the units are kept back. Without this, whoever started last would overtake those who lent their unit to it and have
 * waited longer.
 */
export const mustQueue = (state: RunState, asking: WorkEntry, claims: Claims, now: number): boolean => {
  const reservation = reserved(state, now)
  const { turn } = state.requestKey
  if (reservation !== undefined && heldUpBy(state, reservation, asking, turn, claims) !== undefined) return true
  for (const group of state.groups.values()) {
    const head = first(group)
    if (head === undefined || group.claims === undefined || !goesFirst(head, turnOf(head), asking, turn)) continue
    if (!isGroupOpen(state, group) || !fits(state, group.claims)) continue
    if (
      reservation !== undefined &&
      heldUpBy(state, reservation, head.owner, turnOf(head), group.claims) !== undefined
    ) continue
    for (const name in group.claims) if (Object.hasOwn(claims, name)) return true
  }
  return false
}

export const started = (entry: WorkEntry, now: number): RunEvent => ({
  _tag: "WorkStarted",
  at: now,
  id: entry.spec.id,
  attempt: entry.live === undefined ? 1 : (entry.live.failures?.length ?? 0) - entry.live.forgiven + 1
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

/** The earliest time at which something happens by itself, in milliseconds since the epoch. */
export const nextWake = (state: RunState): number | undefined => {
  const at = Math.min(
    state.wakes.peek()?.at ?? Infinity,
    state.expiries.peek()?.at ?? Infinity,
    forgetsAt(state) ?? Infinity
  )
  return at === Infinity ? undefined : at
}

/** When settled works will have been kept for long enough that some are forgotten. They are in bunches: a little later than told. */
export const forgetsAt = (state: RunState): number | undefined => {
  const ageMillis = state.config.retain?.ageMillis
  if (ageMillis === undefined) return undefined
  for (const { since, spec } of state.settled) {
    if (!state.needed.has(spec.id)) return state.epoch + since + Math.floor(ageMillis * 1.125) + 1
  }
  return undefined
}
