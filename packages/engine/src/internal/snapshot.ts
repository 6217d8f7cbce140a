/**
 * A state as JSON, in parts of bounded size, and back. What can be counted or ordered anew from the rest (heaps, lanes,
 * dependents) is not written.
 *
 * A part is an array: the first holds what belongs to the run, each other one some works. A work that is queued
 * and has never begun, which there may be a million of, is written as its spec and two numbers.
 */
import type { Outcome, SkipCause } from "../Outcome.ts"
import type { RunConfig } from "../RunEvent.ts"
import type { ChildSpec, Claims, WorkSpec } from "../WorkSpec.ts"
import {
  Alarm,
  type Cause,
  type Counts,
  dedupeKey,
  hasHandler,
  type Hold,
  isSettled,
  keyOf,
  kindOf,
  Live,
  make,
  type PastFailure,
  type RunState,
  SlotRequest,
  Waiting,
  WorkEntry,
  type WorkStatus
} from "./model.ts"
import { noteWaiting } from "./placement.ts"
import { enqueue, placeKey } from "./ready.ts"
import type { KindStatistics } from "./statistics.ts"

/** The version of what is written here. One that is not known is passed over: the events tell the same. */
export const snapshotVersion = 1

export const worksPerPart = 500

interface Header {
  readonly name: RunState["name"]
  readonly config: RunConfig
  readonly keepOpen: boolean
  readonly epoch: number
  readonly turns: number
  readonly arrivals: number
  readonly retries: number
  readonly forgotten: number
  readonly lastAt: number
  readonly startedAt: number | null
  readonly finishedAt: number | null
  readonly cause: Cause | null
  readonly pause: Cause | null
  readonly failedFast: string | null
  readonly counts: Counts
  readonly units: number
  /** How many works follow: a snapshot without its end is none. */
  readonly works: number
  readonly pools: ReadonlyArray<readonly [name: string, size: number, used: number]>
  readonly kinds: ReadonlyArray<
    readonly [name: string, limit: number | null, onCancel: boolean, known: boolean, paused: Cause | null]
  >
  readonly keys: ReadonlyArray<
    readonly [name: string | null, turn: number, idle: boolean, limit: number | null, paused: Cause | null]
  >
  readonly begun: ReadonlyArray<string>
  readonly settled: ReadonlyArray<string>
  readonly stuck: ReadonlyArray<readonly [name: string, claims: ReadonlyArray<Claims>]>
  readonly lags: ReadonlyArray<number>
  readonly starts: number
  readonly lastLagMillis: number | null
  readonly second: number
  readonly perSecond: ReadonlyArray<number>
  readonly kindStatistics: ReadonlyArray<readonly [kind: string, statistics: KindStatistics]>
}

interface LiveJson {
  readonly attempt: number
  readonly generation: number
  readonly starts: number
  readonly startedAt: number
  readonly livedMillis?: number
  readonly crashes?: number
  readonly isFresh?: true
  readonly lent?: true
  readonly keepsSlots?: true
  readonly forgiven?: number
  readonly failures?: ReadonlyArray<PastFailure>
  readonly steps?: ReadonlyArray<
    readonly [name: string, result: unknown, children: ReadonlyArray<ChildSpec>, cursor: boolean]
  >
  readonly holds?: ReadonlyArray<readonly [name: string, hold: Hold]>
  readonly requests?: ReadonlyArray<{
    readonly hold: string
    readonly claims: Claims
    readonly until?: string
    readonly step?: string
    readonly since: number
  }>
  readonly cancel?: Cause
}

interface WaitJson {
  readonly pending?: ReadonlyArray<string>
  readonly wakeAt?: number
  readonly expiryAt?: number
  readonly paused?: Cause
  readonly doomed?: SkipCause
  readonly blocked?: string
  readonly isReleased?: true
}

export type WorkJson =
  | readonly [spec: WorkSpec, arrival: number, since: number]
  | readonly [spec: WorkSpec, arrival: number, since: number, rest: {
    readonly status: WorkStatus
    readonly resumed?: true
    readonly hasKey?: true
    readonly live?: LiveJson
    readonly wait?: WaitJson
    readonly outcome?: Outcome
  }]

const liveToJson = (live: Live): LiveJson => ({
  attempt: live.attempt,
  generation: live.generation,
  starts: live.starts,
  startedAt: live.startedAt,
  ...(live.livedMillis === 0 ? {} : { livedMillis: live.livedMillis }),
  ...(live.crashes === 0 ? {} : { crashes: live.crashes }),
  ...(live.isFresh ? { isFresh: true } : {}),
  ...(live.lent ? { lent: true } : {}),
  ...(live.keepsSlots ? { keepsSlots: true } : {}),
  ...(live.forgiven === 0 ? {} : { forgiven: live.forgiven }),
  ...(live.failures === undefined ? {} : { failures: [...live.failures] }),
  ...(live.steps === undefined
    ? {}
    : { steps: Array.from(live.steps, ([name, step]) => [name, step.result, step.children, step.cursor] as const) }),
  ...(live.holds === undefined || live.holds.size === 0 ? {} : { holds: Array.from(live.holds) }),
  ...(live.requests === undefined || live.requests.size === 0 ? {} : {
    requests: Array.from(live.requests.values(), ({ claims, hold, since, step, until }) => ({
      hold,
      claims,
      ...(until === undefined ? {} : { until }),
      ...(step === undefined ? {} : { step }),
      since
    }))
  }),
  ...(live.cancel === undefined ? {} : { cancel: live.cancel })
})

const waitToJson = (wait: Waiting): WaitJson => ({
  ...(wait.pending.length === 0 ? {} : { pending: [...wait.pending] }),
  ...(wait.wake === undefined ? {} : { wakeAt: wait.wake.at }),
  ...(wait.expiry === undefined ? {} : { expiryAt: wait.expiry.at }),
  ...(wait.paused === undefined ? {} : { paused: wait.paused }),
  ...(wait.doomed === undefined ? {} : { doomed: wait.doomed }),
  ...(wait.blocked === undefined ? {} : { blocked: wait.blocked }),
  ...(wait.isReleased ? { isReleased: true } : {})
})

export const workToJson = (state: RunState, entry: WorkEntry): WorkJson => {
  const { arrival, live, outcome, resumed, since, spec, status, wait } = entry
  const hasKey = spec.dedupe !== undefined && state.dedupe.get(dedupeKey(spec)) === spec.id
  if (status === "queued" && live === undefined && wait === undefined && !resumed && !hasKey) {
    return [spec, arrival, since]
  }
  return [spec, arrival, since, {
    status,
    ...(resumed ? { resumed: true } : {}),
    ...(hasKey ? { hasKey: true } : {}),
    ...(live === undefined ? {} : { live: liveToJson(live) }),
    ...(wait === undefined ? {} : { wait: waitToJson(wait) }),
    ...(outcome === undefined ? {} : { outcome })
  }]
}

export const headerOf = (state: RunState): Header => {
  const { statistics } = state
  return {
    name: state.name,
    config: state.config,
    keepOpen: state.keepOpen,
    epoch: state.epoch,
    turns: state.turns,
    arrivals: state.arrivals,
    retries: state.retries,
    forgotten: state.forgotten,
    lastAt: state.lastAt,
    startedAt: state.startedAt ?? null,
    finishedAt: state.finishedAt ?? null,
    cause: state.cause ?? null,
    pause: state.pause ?? null,
    failedFast: state.failedFast ?? null,
    counts: { ...state.counts },
    units: state.units,
    works: state.works.size,
    pools: Array.from(state.pools, ([name, { size, used }]) => [name, size, used] as const),
    kinds: Array.from(
      state.kinds.values(),
      ({ known, limit, name, onCancel, paused }) =>
        [name, limit === Infinity ? null : limit, onCancel, known, paused ?? null] as const
    ),
    keys: [state.noKey, ...state.keys.values()].map(({ idle, limit, name, paused, turn }) =>
      [name ?? null, turn, idle, limit ?? null, paused ?? null] as const
    ),
    begun: Array.from(state.begun, (entry) => entry.spec.id),
    settled: Array.from(state.settled, (entry) => entry.spec.id),
    stuck: Array.from(state.stuck),
    lags: [...statistics.lags],
    starts: statistics.starts,
    lastLagMillis: statistics.lastLagMillis ?? null,
    second: statistics.second,
    perSecond: [...statistics.perSecond],
    kindStatistics: Array.from(
      statistics.kinds,
      ([kind, each]) => [kind, { ...each, failures: { ...each.failures } }] as const
    )
  }
}

export const toSnapshot = (state: RunState): ReadonlyArray<unknown> => {
  const parts: Array<unknown> = [headerOf(state)]
  let part: Array<WorkJson> = []
  for (const entry of state.works.values()) {
    part.push(workToJson(state, entry))
    if (part.length < worksPerPart) continue
    parts.push(part)
    part = []
  }
  if (part.length > 0) parts.push(part)
  return parts
}

const readHeader = (state: RunState, header: Header): void => {
  state.name = header.name
  state.config = header.config
  state.keepOpen = header.keepOpen
  state.epoch = header.epoch
  state.turns = header.turns
  state.arrivals = header.arrivals
  state.retries = header.retries
  state.forgotten = header.forgotten
  state.lastAt = header.lastAt
  state.startedAt = header.startedAt ?? undefined
  state.finishedAt = header.finishedAt ?? undefined
  state.cause = header.cause ?? undefined
  state.pause = header.pause ?? undefined
  state.failedFast = header.failedFast ?? undefined
  Object.assign(state.counts, header.counts)
  state.units = header.units
  for (const [name, size, used] of header.pools) state.pools.set(name, { size, used })
  for (const [name, limit, onCancel, known, paused] of header.kinds) {
    Object.assign(kindOf(state, name), { limit: limit ?? Infinity, onCancel, known, paused: paused ?? undefined })
  }
  for (const [name, turn, , limit, paused] of header.keys) {
    // None is idle yet: what is queued must not give it a new turn.
    Object.assign(keyOf(state, name ?? undefined), {
      turn,
      idle: false,
      limit: limit ?? undefined,
      paused: paused ?? undefined
    })
  }
  for (const [name, claims] of header.stuck) state.stuck.set(name, claims)
  const { statistics } = state
  statistics.lags.push(...header.lags)
  statistics.starts = header.starts
  statistics.lastLagMillis = header.lastLagMillis ?? undefined
  statistics.second = header.second
  header.perSecond.forEach((each, index) => (statistics.perSecond[index] = each))
  for (const [kind, each] of header.kindStatistics) {
    statistics.kinds.set(kind, { ...each, failures: { ...each.failures } })
  }
}

const readLive = (state: RunState, entry: WorkEntry, json: LiveJson): Live => {
  const live = new Live()
  live.attempt = json.attempt
  live.generation = json.generation
  live.starts = json.starts
  live.startedAt = json.startedAt
  live.livedMillis = json.livedMillis ?? 0
  live.crashes = json.crashes ?? 0
  live.isFresh = json.isFresh === true
  live.lent = json.lent === true
  live.keepsSlots = json.keepsSlots === true
  live.forgiven = json.forgiven ?? 0
  live.failures = json.failures === undefined ? undefined : [...json.failures]
  if (json.steps !== undefined) {
    live.steps = new Map(json.steps.map(([name, result, children, cursor]) => [name, { result, children, cursor }]))
  }
  if (json.holds !== undefined) {
    live.holds = new Map(
      json.holds.map(([name, { claims, step, until }]) => [name, { claims, until, step }])
    )
  }
  live.cancel = json.cancel
  entry.live = live
  for (const { claims, hold, since, step, until } of json.requests ?? []) {
    live.requests ??= new Map()
    const request = new SlotRequest(entry, hold, claims, until, step, since)
    live.requests.set(hold, request)
    enqueue(state, request)
  }
  return live
}

const readWait = (state: RunState, entry: WorkEntry, json: WaitJson): Waiting => {
  const wait = new Waiting()
  wait.pending = [...json.pending ?? []]
  wait.paused = json.paused
  wait.doomed = json.doomed
  wait.blocked = json.blocked
  wait.isReleased = json.isReleased === true
  if (json.wakeAt !== undefined) state.wakes.push(wait.wake = new Alarm(entry, json.wakeAt))
  if (json.expiryAt !== undefined) state.expiries.push(wait.expiry = new Alarm(entry, json.expiryAt))
  return wait
}

const readWork = (state: RunState, [spec, arrival, since, rest]: WorkJson): void => {
  const entry = new WorkEntry(spec, arrival)
  entry.since = since
  state.works.set(spec.id, entry)
  if (rest !== undefined) {
    entry.status = rest.status
    entry.resumed = rest.resumed === true
    entry.outcome = rest.outcome
    if (rest.hasKey === true) state.dedupe.set(dedupeKey(spec), spec.id)
    if (rest.live !== undefined) entry.live = readLive(state, entry, rest.live)
    if (rest.wait !== undefined) entry.wait = readWait(state, entry, rest.wait)
  }
  if (!isSettled(entry.status)) state.unsettled += 1
  if (entry.status === "queued") enqueue(state, entry)
  if (entry.status === "waiting") noteWaiting(state, entry, 1)
  if (entry.wait?.doomed !== undefined) state.doomed.push(entry)
  if (hasHandler(entry.status)) {
    state.handlers += 1
    kindOf(state, spec.kind).running += 1
    keyOf(state, spec.key).running += 1
  }
}

/** Who waits for whom: all works have to be there. */
const linkDependents = (state: RunState): void => {
  for (const entry of state.works.values()) {
    const { after } = entry.spec
    if (after === undefined || isSettled(entry.status)) continue
    for (const id of new Set(after)) state.needed.set(id, (state.needed.get(id) ?? 0) + 1)
    for (const id of entry.wait?.pending ?? []) {
      const dependents = state.dependents.get(id)
      if (dependents === undefined) state.dependents.set(id, [entry])
      else dependents.push(entry)
    }
  }
}

/** Into the order of arrival: a snapshot that was made while works were forgotten has those at its end. */
const order = (works: RunState["works"]): void => {
  const entries = Array.from(works.values()).sort((a, b) => a.arrival - b.arrival)
  works.clear()
  for (const entry of entries) works.set(entry.spec.id, entry)
}

export const fromSnapshot = (parts: ReadonlyArray<unknown>): RunState => {
  const state = make()
  const header = parts[0] as Header
  readHeader(state, header)
  let last = -1
  let isOrdered = true
  for (let index = 1; index < parts.length; index++) {
    const part = parts[index]
    // What is no list of works belongs to others: see `views`.
    if (!Array.isArray(part)) continue
    for (const work of part as ReadonlyArray<WorkJson>) {
      readWork(state, work)
      isOrdered &&= work[1] > last
      last = work[1]
    }
  }
  if (state.works.size !== header.works) {
    throw new Error(`the snapshot holds ${state.works.size} works, and ${header.works} are expected`)
  }
  if (!isOrdered) order(state.works)
  linkDependents(state)
  for (const id of header.begun) state.begun.add(state.works.get(id)!)
  for (const id of header.settled) state.settled.add(state.works.get(id)!)
  for (const [name, , idle] of header.keys) {
    const key = keyOf(state, name ?? undefined)
    key.idle = idle
    placeKey(state, key)
  }
  return state
}
