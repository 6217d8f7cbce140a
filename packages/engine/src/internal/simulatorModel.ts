/**
 * The naive model of a run: what `docs/life-of-a-work.md` says, written the slow and obvious way. It keeps no heap, no
 * index and hardly a number: what can be counted is counted when it is asked for, every choice is a scan over all works.
 * It shares no code with the real state but the types of events, so that a fault has to be made twice to pass unseen.
 *
 * This file holds what the model remembers and what can be read off it. `simulatorFold.ts` tells how events change it,
 * `simulatorOrder.ts` who may start, `simulatorAnswer.ts` how a command must be answered, `simulatorFollow.ts` what
 * must follow.
 */
import type { Outcome, SkipCause, WorkFailure } from "../Outcome.ts"
import { defaultMaxCrashes, type RunConfig } from "../RunEvent.ts"
import type { ChildSpec, Claims, WorkSpec } from "../WorkSpec.ts"
import type { RunStateName, WorkStatus } from "./model.ts"

/** A claim beyond the spec's: asked for, or held. */
export interface Claim {
  readonly name: string
  readonly claims: Claims
  readonly until: string | undefined
  readonly step: string | undefined
  /** When it was asked for. */
  readonly at: number
}

export interface Step {
  readonly name: string
  readonly result: unknown
  readonly children: ReadonlyArray<ChildSpec>
  readonly isCursor: boolean
}

export interface Job {
  spec: WorkSpec
  readonly arrival: number
  readonly addedAt: number
  status: WorkStatus
  /** Works that it comes after and that have not settled. */
  waitsFor: ReadonlyArray<string>
  /** Decided, by the event of that number: it will be skipped for this. */
  doomed: SkipCause | undefined
  doomedBy: number
  /** The time that it waits for. */
  wakeAt: number | undefined
  isPaused: boolean
  isBlocked: boolean
  /** It was retried by name: its dependencies, `notBefore` and expiry count no more. */
  isReleased: boolean
  /** A handler has run for it. */
  hasBegun: boolean
  /** It was interrupted by a suspend, a pause or a crash, and goes first. */
  isResumed: boolean
  /** The latest of when it was added, its `notBefore`, and when the last that it waits for settled. */
  couldStartAt: number | undefined
  /** How often it was started, whatever came of it. */
  starts: number
  generation: number
  attempt: number
  startedAt: number
  livedMillis: number
  /** Deaths of the process in a row, and the event that told of the last. */
  crashes: number
  crashedBy: number
  failures: ReadonlyArray<WorkFailure>
  /** How many of the failures the retry by name has forgiven. */
  forgiven: number
  steps: ReadonlyArray<Step>
  holds: ReadonlyArray<Claim>
  requests: ReadonlyArray<Claim>
  /** Its handler was given up and keeps the slots of its work and of its step: they are counted there. */
  isGivenUp: boolean
  /** It had lent its unit when it was cancelled. */
  lentAtCancel: boolean
  cancel: { readonly reason: string; readonly actor: string } | undefined
  outcome: Outcome | undefined
  settledAt: number
  /** Its place among all that have settled. */
  settlement: number
}

/** A handler that was given up, and what it keeps. */
export interface Stuck {
  readonly id: string
  readonly start: number
  readonly keeps: ReadonlyArray<Claims>
}

export interface Naive {
  run: RunStateName
  config: RunConfig
  isKeptOpen: boolean
  /** Somebody has paused it, and nobody has continued it: that outlives a suspend. */
  isPaused: boolean
  /** In order of arrival. */
  jobs: Array<Job>
  arrivals: number
  settlements: number
  events: number
  /** The event with which the run was opened last. */
  openedBy: number
  lastAt: number
  /** What the latest opener that had the kind declared. */
  onCancel: { readonly [kind: string]: boolean }
  /** Kinds that an opener declared or a work is of. */
  kinds: ReadonlyArray<string>
  pausedKinds: ReadonlyArray<string>
  pausedKeys: ReadonlyArray<string>
  /** The event with which a key last had, or is taken to have had, its turn. */
  turns: Map<string | undefined, number>
  /** Keys that had something queued or running after the last event. */
  busyKeys: ReadonlyArray<string | undefined>
  stuck: ReadonlyArray<Stuck>
  /** A work has failed in a run that fails fast, and the run does not know yet. */
  hasFailedFast: boolean
  /** Who cancelled the run, and why. */
  cancel: { readonly reason: string; readonly actor: string } | undefined
}

export const empty = (): Naive => ({
  run: "absent",
  config: { concurrency: 1, pools: {}, kinds: {}, keepOpen: false },
  isKeptOpen: false,
  isPaused: false,
  jobs: [],
  arrivals: 0,
  settlements: 0,
  events: 0,
  openedBy: 0,
  lastAt: 0,
  onCancel: {},
  kinds: [],
  pausedKinds: [],
  pausedKeys: [],
  turns: new Map(),
  busyKeys: [],
  stuck: [],
  hasFailedFast: false,
  cancel: undefined
})

export const find = (naive: Naive, id: string): Job | undefined => naive.jobs.find((each) => each.spec.id === id)

export const job = (naive: Naive, id: string): Job => {
  const found = find(naive, id)
  if (found === undefined) throw new Error(`an event about "${id}", which is not in the run`)
  return found
}

export const isSettled = ({ status }: Job): boolean =>
  status === "succeeded" || status === "failed" || status === "skipped" || status === "cancelled"

/** Its handler may be alive. */
export const isAlive = ({ status }: Job): boolean => status === "running" || status === "cancelling"

/** It is neither settled nor in the hands of a handler or a clean-up. */
export const isInQueue = ({ status }: Job): boolean =>
  status === "queued" || status === "waiting" || status === "blocked"

export const hasUnit = (it: Job): boolean =>
  (it.status === "running" && it.requests.length === 0) || (it.status === "cancelling" && !it.lentAtCancel)

export const unitsInUse = (naive: Naive): number => naive.jobs.filter(hasUnit).length

export const handlers = (naive: Naive): number => naive.jobs.filter(isAlive).length

export const unsettled = (naive: Naive): number => naive.jobs.filter((each) => !isSettled(each)).length

export const runningOfKind = (naive: Naive, kind: string): number =>
  naive.jobs.filter((each) => each.spec.kind === kind && isAlive(each)).length

export const runningOfKey = (naive: Naive, key: string): number =>
  naive.jobs.filter((each) => each.spec.key === key && isAlive(each)).length

const unitsOf = (claims: Claims | undefined, pool: string): number => claims?.[pool] ?? 0

/** What a work has of a pool: its holds, and while its handler is alive, its spec's claims. */
const usedBy = (it: Job, pool: string): number => {
  let used = isAlive(it) && !it.isGivenUp ? unitsOf(it.spec.slots, pool) : 0
  for (const hold of it.holds) if (!it.isGivenUp || hold.step === undefined) used += unitsOf(hold.claims, pool)
  return used
}

export const usedOfPool = (naive: Naive, pool: string): number => {
  let used = 0
  for (const each of naive.jobs) used += usedBy(each, pool)
  for (const each of naive.stuck) for (const claims of each.keeps) used += unitsOf(claims, pool)
  return used
}

export const sizeOfPool = (naive: Naive, pool: string): number => naive.config.pools[pool] ?? 0

export const freeOfPool = (naive: Naive, pool: string): number => sizeOfPool(naive, pool) - usedOfPool(naive, pool)

export const fits = (naive: Naive, claims: Claims | undefined): boolean => {
  for (const pool in claims) if (freeOfPool(naive, pool) < claims[pool]!) return false
  return true
}

/** Something of one of the pools is this work's, or the claim that it runs with. */
export const holdsAnyOf = (it: Job, claims: Claims): boolean => {
  for (const pool in claims) if (usedBy(it, pool) > 0) return true
  return false
}

/** At most so many works with this key run. */
export const limitOfKey = (naive: Naive, key: string): number =>
  naive.config.keyLimits?.[key] ?? naive.config.keyLimit ?? Infinity

export const maxCrashes = (naive: Naive): number => naive.config.maxCrashes ?? defaultMaxCrashes

/** Something of it outlives its attempts. */
export const hasRecords = (it: Job): boolean =>
  it.steps.length > 0 || it.failures.length > 0 || it.holds.length > 0 || it.livedMillis > 0

/** What its kind declares: by the latest opener, or, when that one lacks the kind, by the last that had it. */
export const mustClean = (naive: Naive, it: Job): boolean => it.hasBegun && (naive.onCancel[it.spec.kind] ?? false)

/** The work with the same kind and idempotency key that was added and never started. */
export const keyHolder = (naive: Naive, { dedupe, kind }: WorkSpec): Job | undefined =>
  dedupe === undefined
    ? undefined
    : naive.jobs.find((each) =>
      each.spec.dedupe === dedupe && each.spec.kind === kind && isInQueue(each) && each.starts === 0 && !each.isReleased
    )

/** Idempotency keys are a kind's own. */
export const haveSameKey = (a: WorkSpec, b: WorkSpec): boolean =>
  a.dedupe !== undefined && a.dedupe === b.dedupe && a.kind === b.kind

/** When it ends by itself, unless it is in the hands of a handler; and what for. */
export const expiryOf = (it: Job): { readonly by: "deadline" | "timeToLive"; readonly at: number } | undefined => {
  if (it.isReleased || !isInQueue(it)) return undefined
  const deadline = it.spec.deadline ?? Infinity
  const runsOut = it.hasBegun || it.couldStartAt === undefined
    ? Infinity
    : it.couldStartAt + (it.spec.timeToLiveMillis ?? Infinity)
  if (deadline === Infinity && runsOut === Infinity) return undefined
  return deadline <= runsOut ? { by: "deadline", at: deadline } : { by: "timeToLive", at: runsOut }
}

/** It names, or named, a work that must therefore be remembered. */
export const isNeeded = (naive: Naive, id: string): boolean =>
  naive.jobs.some((each) => !isSettled(each) && (each.spec.after?.includes(id) ?? false))

/** The children that a work leaves when it settles so: of its recorded steps, then of its last attempt. */
export const childrenOf = (
  naive: Naive,
  parent: Job,
  own: ReadonlyArray<ChildSpec>,
  on: "success" | "failure"
): ReadonlyArray<WorkSpec> => {
  const taken: Array<WorkSpec> = []
  for (const child of [...parent.steps.flatMap((step) => step.children), ...own]) {
    if (child.on !== on && child.on !== "always") continue
    const { spec } = child
    if (find(naive, spec.id) !== undefined || taken.some((each) => each.id === spec.id)) continue
    if (taken.some((each) => haveSameKey(each, spec))) continue
    if (keyHolder(naive, spec) !== undefined && spec.onCollision !== "replace") continue
    taken.push(spec)
  }
  return taken
}
