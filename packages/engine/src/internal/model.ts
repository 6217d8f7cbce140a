/**
 * The data that `evolve` owns and changes in place. Nothing here decides anything.
 *
 * A queued work is one `WorkEntry` and a place in a heap; what only a begun work needs (attempts, steps, holds) is
 * allocated when it first starts, because a run may hold a million works that have not.
 */
import type { Outcome, WorkFailure } from "../Outcome.ts"
import type { RunConfig } from "../RunEvent.ts"
import type { ChildSpec, Claims, WorkSpec } from "../WorkSpec.ts"
import { Heap, type Placed } from "./heap.ts"

export type WorkStatus =
  | "queued"
  | "waiting"
  | "blocked"
  | "running"
  | "cancelling"
  | "cleaning"
  | "succeeded"
  | "failed"
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

/** Whatever may be given a start: a queued work, or a running work's request for slots. */
export interface Candidate extends Placed {
  readonly owner: WorkEntry
  readonly request: SlotRequest | undefined
}

export class SlotRequest implements Candidate {
  index = -1
  readonly owner: WorkEntry
  readonly hold: string
  readonly claims: Claims
  readonly until: string | undefined
  readonly step: string | undefined

  constructor(
    owner: WorkEntry,
    hold: string,
    claims: Claims,
    until: string | undefined,
    step: string | undefined
  ) {
    this.owner = owner
    this.hold = hold
    this.claims = claims
    this.until = until
    this.step = step
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
}

export interface PastFailure {
  readonly attempt: number
  readonly at: number
  readonly failure: WorkFailure
}

/** What a work has once it has begun. */
export interface Live {
  attempt: number
  startedAt: number
  /** Time that the present attempt lived in sessions before this one. */
  livedMillis: number
  /** Its concurrency unit is lent back while it waits for slots. */
  lent: boolean
  readonly failures: Array<PastFailure>
  readonly steps: Map<string, RecordedStep>
  readonly holds: Map<string, Hold>
  readonly requests: Map<string, SlotRequest>
  cancel: { readonly reason: string; readonly actor: string } | undefined
}

export class WorkEntry implements Candidate {
  index = -1
  status: WorkStatus = "queued"
  /** Goes before all that was not taken up after a resume. */
  resumed = false
  readonly spec: WorkSpec
  readonly arrival: number
  live: Live | undefined = undefined
  outcome: Outcome | undefined = undefined
  /** A waiting work's time, a blocked work's reason. */
  detail: Wake | string | undefined = undefined

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

export class Wake implements Placed {
  index = -1
  readonly entry: WorkEntry
  readonly at: number

  constructor(entry: WorkEntry, at: number) {
    this.entry = entry
    this.at = at
  }
}

/** Candidates that can start under exactly the same conditions, so that only the first of them need be looked at. */
export interface Group {
  readonly kind: string | undefined
  readonly claims: Claims | undefined
  readonly heap: Heap<Candidate>
}

export interface Pool {
  size: number
  used: number
}

export interface Kind {
  limit: number
  onCancel: boolean
  /** The present opener of the run has a handler for it. */
  known: boolean
  running: number
}

export interface Counts {
  queued: number
  waiting: number
  blocked: number
  running: number
  cancelling: number
  cleaning: number
  succeeded: number
  failed: number
  cancelled: number
}

export interface RunState {
  name: RunStateName
  config: RunConfig
  keepOpen: boolean
  readonly works: Map<string, WorkEntry>
  readonly groups: Map<string, Group>
  readonly wakes: Heap<Wake>
  readonly pools: Map<string, Pool>
  readonly kinds: Map<string, Kind>
  /** `dedupe` key → id of the work that has it and has not begun. */
  readonly dedupe: Map<string, string>
  /** Works that have begun and have not settled. */
  readonly begun: Set<WorkEntry>
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
  cause: { readonly reason: string; readonly actor: string } | undefined
}

export const before = (a: Candidate, b: Candidate): boolean => {
  const x = a.owner
  const y = b.owner
  if (x.resumed !== y.resumed) return x.resumed
  if (x.spec.priority !== y.spec.priority) return x.spec.priority < y.spec.priority
  return x.arrival < y.arrival
}

export const make = (): RunState => ({
  name: "absent",
  config: { concurrency: 1, pools: {}, kinds: {}, keepOpen: false },
  keepOpen: false,
  works: new Map(),
  groups: new Map(),
  wakes: new Heap((a, b) => a.at < b.at || (a.at === b.at && a.entry.arrival < b.entry.arrival)),
  pools: new Map(),
  kinds: new Map(),
  dedupe: new Map(),
  begun: new Set(),
  counts: {
    queued: 0,
    waiting: 0,
    blocked: 0,
    running: 0,
    cancelling: 0,
    cleaning: 0,
    succeeded: 0,
    failed: 0,
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
  cause: undefined
})

export const isSettled = (status: WorkStatus): boolean =>
  status === "succeeded" || status === "failed" || status === "cancelled"
