/**
 * The data that `evolve` owns and changes in place. Nothing here decides anything.
 *
 * A queued work is one `WorkEntry` and a place in a heap. What only some works need (a reason to wait, attempts,
 * steps, holds) is allocated when it is needed, because a run may hold a million works that have none of it.
 */
import type { Outcome, SkipCause, WorkFailure } from "../Outcome.ts"
import type { RunConfig, RunEvent } from "../RunEvent.ts"
import type { ChildSpec, Claims, WorkSpec } from "../WorkSpec.ts"
import { goesFirst } from "./candidateOrder.ts"
import { Heap, type Placed } from "./heap.ts"
import { LaneQueue } from "./laneQueue.ts"
import { makeStatistics, type Statistics } from "./statistics.ts"

export type WorkStatus =
  | "queued"
  | "waiting"
  | "blocked"
  | "running"
  | "cancelling"
  | "cleaning"
  | "succeeded"
  | "failed"
  | "skipped"
  | "cancelled"

export type RunStateName =
  | "absent"
  | "running"
  | "pausing"
  | "paused"
  | "suspending"
  | "suspended"
  | "cancelling"
  | "cancelled"
  | "completed"

/** Who asked for something, and why. */
export interface Cause {
  readonly reason: string
  readonly actor: string
}

/** Whatever may be given a start: a queued work, or a running work's request for slots. */
export interface Candidate extends Placed {
  readonly owner: WorkEntry
  readonly request: SlotRequest | undefined
  lane: Lane | undefined
}

export class SlotRequest implements Candidate {
  index = -1
  lane: Lane | undefined = undefined
  readonly owner: WorkEntry
  readonly hold: string
  readonly claims: Claims
  readonly until: string | undefined
  readonly step: string | undefined
  /** When it was asked for, in milliseconds since the run's epoch. */
  readonly since: number
  /** Its place among the claims that its work has asked for. */
  readonly ordinal: number

  constructor(
    owner: WorkEntry,
    hold: string,
    claims: Claims,
    until: string | undefined,
    step: string | undefined,
    since: number
  ) {
    this.owner = owner
    this.hold = hold
    this.claims = claims
    this.until = until
    this.step = step
    this.since = since
    this.ordinal = owner.live!.asked++
  }

  get request(): SlotRequest {
    return this
  }
}

/** Granted claims. `until` names the step whose record releases them; `step` the step that they belong to alone. */
export interface Hold {
  readonly claims: Claims
  readonly until: string | undefined
  readonly step: string | undefined
}

export interface RecordedStep {
  readonly result: unknown
  readonly children: ReadonlyArray<ChildSpec>
  readonly cursor: boolean
}

export interface PastFailure {
  readonly generation: number
  readonly attempt: number
  readonly at: number
  readonly failure: WorkFailure
}

/** What a work has once it has begun. The maps are made when something goes into them. */
export class Live {
  attempt = 1
  /** Grows with every retry by name, and with every retry from a step. */
  generation = 0
  /** How often it was started, whatever came of it: messages of a handler carry the number of its start. */
  starts = 0
  startedAt = 0
  /** Time that the present attempt lived in sessions before this one. */
  livedMillis = 0
  /** Deaths of the process in a row, without a step recorded or an orderly stop in between. */
  crashes = 0
  /** All that ever happened is that it could not read its payload: it has not begun. */
  isFresh = false
  /** Its concurrency unit is lent back while it waits for slots. */
  lent = false
  /** The handler was given up, and keeps the slots of its attempt until it ends. */
  keepsSlots = false
  /** How many of `failures` belong to generations before the last retry by name: the retry schedule does not see them. */
  forgiven = 0
  failures: Array<PastFailure> | undefined = undefined
  steps: Map<string, RecordedStep> | undefined = undefined
  holds: Map<string, Hold> | undefined = undefined
  requests: Map<string, SlotRequest> | undefined = undefined
  /** How many claims it has asked for. */
  asked = 0
  cancel: Cause | undefined = undefined
}

/** Why a work waits, or when it ends by itself. */
export class Waiting {
  /** Works that it comes after and that have not settled since. */
  pending: Array<string> = []
  wake: Alarm | undefined = undefined
  expiry: Alarm | undefined = undefined
  paused: Cause | undefined = undefined
  /** Decided: it will be skipped for this. */
  doomed: SkipCause | undefined = undefined
  /** What a blocked work's payload lacks. */
  blocked: string | undefined = undefined
  /** The reason under which its kind counts it among those that wait. */
  counted: "dependency" | "time" | "paused" | undefined = undefined
  /** Its dependencies, `notBefore` and expiry count no more: it was retried by name. */
  isReleased = false
}

export class WorkEntry implements Candidate {
  index = -1
  lane: Lane | undefined = undefined
  status: WorkStatus = "queued"
  /** Goes before all that was not taken up after a resume. */
  resumed = false
  spec: WorkSpec
  readonly arrival: number
  /**
   * When it could have started; once it has settled, when it did. In milliseconds since the run's epoch: a small
   * integer takes no place of its own on the heap.
   */
  since = 0
  live: Live | undefined = undefined
  wait: Waiting | undefined = undefined
  outcome: Outcome | undefined = undefined

  constructor(spec: WorkSpec, arrival: number) {
    this.spec = spec
    this.arrival = arrival
  }

  get owner(): WorkEntry {
    return this
  }

  get request(): undefined {
    return undefined
  }
}

/** A time at which something happens to a work. `at` is in milliseconds since the epoch. */
export class Alarm implements Placed {
  index = -1
  readonly entry: WorkEntry
  readonly at: number

  constructor(entry: WorkEntry, at: number) {
    this.entry = entry
    this.at = at
  }
}

/** A concurrency key; works without one share the key `undefined`. */
export class Key {
  readonly name: string | undefined
  /** Works with this key that are queued, and that have a handler. */
  queued = 0
  running = 0
  /** Number of its last start among all starts of the run: keys at equal priority take turns by it. */
  turn = 0
  /** Nothing of it is queued or running: it has no place among the turns. */
  idle = true
  limit: number | undefined = undefined
  paused: Cause | undefined = undefined
  readonly lanes: Set<Lane> = new Set()

  constructor(name: string | undefined) {
    this.name = name
  }
}

/** Candidates of one group that have the same key, in the order in which they would start. */
export class Lane implements Placed {
  index = -1
  readonly group: Group
  readonly key: Key
  readonly queue = new LaneQueue()

  constructor(group: Group, key: Key) {
    this.group = group
    this.key = key
  }
}

/**
 * Candidates that can start under exactly the same conditions, but for their keys. Its heap holds the lanes that have
 * a candidate and whose key is not at its limit, so that only its first need be looked at.
 */
export class Group {
  readonly name: string
  /** Undefined for the requests of running works. */
  readonly kind: Kind | undefined
  readonly claims: Claims | undefined
  readonly lanes: Map<Key, Lane> = new Map()
  readonly heap: Heap<Lane> = new Heap(laneBefore)

  constructor(name: string, kind: Kind | undefined, claims: Claims | undefined) {
    this.name = name
    this.kind = kind
    this.claims = claims
  }
}

export interface Pool {
  size: number
  used: number
}

export class Kind {
  readonly name: string
  limit = Infinity
  onCancel = false
  /** The present opener of the run has a handler for it. */
  known = false
  running = 0
  paused: Cause | undefined = undefined
  /** Its works that claim nothing: looked up for every work. */
  plain: Group | undefined = undefined
  /** Works that wait: for others, for a time, or because they are paused. */
  readonly waiting = { dependency: 0, time: 0, paused: 0 }

  constructor(name: string) {
    this.name = name
  }
}

export type Counts = Record<WorkStatus, number>

export interface RunState {
  name: RunStateName
  config: RunConfig
  keepOpen: boolean
  /** The time of the run's first event: what `since` counts from. */
  epoch: number
  readonly works: Map<string, WorkEntry>
  /** What `workOf` found last. */
  last: WorkEntry | undefined
  readonly groups: Map<string, Group>
  readonly keys: Map<string, Key>
  readonly noKey: Key
  /** The key of requests: they take no turns. */
  readonly requestKey: Key
  /** Keys that the event at hand may have left idle. */
  readonly touched: Array<Key>
  turns: number
  readonly wakes: Heap<Alarm>
  readonly expiries: Heap<Alarm>
  readonly pools: Map<string, Pool>
  readonly kinds: Map<string, Kind>
  /** `dedupe` key → id of the work that has it and has not begun. */
  readonly dedupe: Map<string, string>
  /** Id of an unsettled work → those that wait for it. */
  readonly dependents: Map<string, Array<WorkEntry>>
  /** Id of a work → how many unsettled works name it in `after`. */
  readonly needed: Map<string, number>
  /** Works that are to be skipped: decided by an event, not yet recorded. */
  readonly doomed: Array<WorkEntry>
  /** Works that have begun and have not settled. */
  readonly begun: Set<WorkEntry>
  /** Handlers that were given up and have not ended, with what they keep: `id#start` → claims. */
  readonly stuck: Map<string, ReadonlyArray<Claims>>
  /** Settled works in the order in which they settled; kept only where the run forgets. */
  readonly settled: Set<WorkEntry>
  forgotten: number
  /** The first failure in a run that is to fail fast. */
  failedFast: string | undefined
  readonly counts: Counts
  /** Concurrency units in use. */
  units: number
  /** Works whose handler may be alive. */
  handlers: number
  unsettled: number
  arrivals: number
  retries: number
  lastAt: number
  startedAt: number | undefined
  finishedAt: number | undefined
  /** Who asked for the last pause, suspend or cancel of the run, and why. */
  cause: Cause | undefined
  /** Who asked for a pause that has not been lifted: it outlives a suspend. */
  pause: Cause | undefined
  readonly statistics: Statistics
  /** Is shown every event before it is folded in, while a snapshot is being written. */
  capture: { before(event: RunEvent): void } | undefined
}

function laneBefore(a: Lane, b: Lane): boolean {
  return goesFirst(a.queue.first!, a.key.turn, b.queue.first!, b.key.turn)
}

const sooner = (a: Alarm, b: Alarm): boolean => a.at < b.at || (a.at === b.at && a.entry.arrival < b.entry.arrival)

export const make = (): RunState => {
  const requestKey = new Key(undefined)
  requestKey.idle = false
  return {
    name: "absent",
    config: { concurrency: 1, pools: {}, kinds: {}, keepOpen: false },
    keepOpen: false,
    epoch: 0,
    works: new Map(),
    last: undefined,
    groups: new Map(),
    keys: new Map(),
    noKey: new Key(undefined),
    requestKey,
    touched: [],
    turns: 0,
    wakes: new Heap(sooner),
    expiries: new Heap(sooner),
    pools: new Map(),
    kinds: new Map(),
    dedupe: new Map(),
    dependents: new Map(),
    needed: new Map(),
    doomed: [],
    begun: new Set(),
    stuck: new Map(),
    settled: new Set(),
    forgotten: 0,
    failedFast: undefined,
    counts: {
      queued: 0,
      waiting: 0,
      blocked: 0,
      running: 0,
      cancelling: 0,
      cleaning: 0,
      succeeded: 0,
      failed: 0,
      skipped: 0,
      cancelled: 0
    },
    units: 0,
    handlers: 0,
    unsettled: 0,
    arrivals: 0,
    retries: 0,
    lastAt: 0,
    startedAt: undefined,
    finishedAt: undefined,
    cause: undefined,
    pause: undefined,
    statistics: makeStatistics(),
    capture: undefined
  }
}

export const isSettled = (status: WorkStatus): boolean =>
  status === "succeeded" || status === "failed" || status === "skipped" || status === "cancelled"

/** Idempotency keys are a kind's own. */
export const dedupeKey = (spec: WorkSpec): string => `${spec.kind}\n${spec.dedupe!}`

/** A handler may be alive for it. */
export const hasHandler = (status: WorkStatus): boolean => status === "running" || status === "cancelling"

/** The number of the start that a message has to carry to be heard. */
export const startOf = (entry: WorkEntry): number => entry.live?.starts ?? 0

/** Whether a handler has run. One that could not read its payload has not: only records tell of an earlier one. */
export const hasBegun = (entry: WorkEntry): boolean => entry.live !== undefined && !entry.live.isFresh

/** Something of the work outlives its attempts. */
export const hasRecords = (live: Live): boolean =>
  (live.steps !== undefined && live.steps.size > 0) ||
  (live.failures !== undefined && live.failures.length > 0) ||
  (live.holds !== undefined && live.holds.size > 0) ||
  live.livedMillis > 0

/**
 * The work of an id. Messages and events of one work come in a row (what is decided is folded in), and looking up one of a
 * million misses the processor's cache each time: so the last one is remembered.
 */
export const workOf = (state: RunState, id: string): WorkEntry | undefined => {
  const { last } = state
  if (last !== undefined && last.spec.id === id) return last
  const entry = state.works.get(id)
  if (entry !== undefined) state.last = entry
  return entry
}

export const kindOf = (state: RunState, name: string): Kind => {
  let kind = state.kinds.get(name)
  if (kind === undefined) {
    kind = new Kind(name)
    state.kinds.set(name, kind)
  }
  return kind
}

export const keyOf = (state: RunState, name: string | undefined): Key => {
  if (name === undefined) return state.noKey
  let key = state.keys.get(name)
  if (key === undefined) {
    key = new Key(name)
    key.limit = state.config.keyLimits?.[name]
    state.keys.set(name, key)
  }
  return key
}
