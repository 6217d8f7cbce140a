/**
 * Who may start, in which order, and for whom units are kept back: "Starting", "Reservation" and "Slots within a
 * handler" of `docs/life-of-a-work.md`, by scans.
 */
import { defaultReserveAfterMillis, type RunEvent } from "../RunEvent.ts"
import type { Claims } from "../WorkSpec.ts"
import {
  type Claim,
  fits,
  freeOfPool,
  holdsAnyOf,
  type Job,
  limitOfKey,
  type Naive,
  runningOfKey,
  runningOfKind,
  sizeOfPool,
  unitsInUse
} from "./simulatorModel.ts"

/** A queued work, or a claim of a running work that waits. */
export interface Waiter {
  readonly job: Job
  readonly request: Claim | undefined
}

export const claimsOf = ({ job, request }: Waiter): Claims | undefined =>
  request === undefined ? job.spec.slots : request.claims

export const nameOf = ({ job, request }: Waiter): string =>
  request === undefined ? job.spec.id : `${job.spec.id}/${request.name}`

/** A claim of a running work stands as if its key had never had a turn. */
const turnOf = (naive: Naive, { job, request }: Waiter): number =>
  request === undefined ? naive.turns.get(job.spec.key) ?? 0 : 0

export const comesBefore = (naive: Naive, a: Waiter, b: Waiter): boolean => {
  if (a.job.isResumed !== b.job.isResumed) return a.job.isResumed
  if (a.job.spec.priority !== b.job.spec.priority) return a.job.spec.priority < b.job.spec.priority
  const turns = turnOf(naive, a) - turnOf(naive, b)
  if (turns !== 0) return turns < 0
  if (a.job !== b.job || a.request === undefined || b.request === undefined) return a.job.arrival < b.job.arrival
  // Of two claims of one work the one that was asked for first.
  return a.job.requests.indexOf(a.request) < a.job.requests.indexOf(b.request)
}

/** Of two claims of one work the earlier comes first. */
export const firstOf = (naive: Naive, waiters: ReadonlyArray<Waiter>): Waiter | undefined => {
  let first = waiters[0]
  for (const each of waiters) if (first !== undefined && comesBefore(naive, each, first)) first = each
  return first
}

/** A work that may start as far as its run, kind and key go. */
const mayRun = (naive: Naive, { spec }: Job): boolean => {
  const kind = naive.config.kinds[spec.kind]
  if (kind === undefined || naive.pausedKinds.includes(spec.kind)) return false
  if (runningOfKind(naive, spec.kind) >= (kind.limit ?? Infinity)) return false
  if (spec.key === undefined) return true
  return !naive.pausedKeys.includes(spec.key) && runningOfKey(naive, spec.key) < limitOfKey(naive, spec.key)
}

/** Everybody who waits and lacks nothing but, perhaps, units: of pools, of concurrency. */
const contenders = (naive: Naive): ReadonlyArray<Waiter> => {
  const mayStart = naive.run === "running"
  const mayGrant = naive.run === "running" || naive.run === "pausing"
  const waiters: Array<Waiter> = []
  for (const job of naive.jobs) {
    if (mayStart && job.status === "queued" && mayRun(naive, job)) waiters.push({ job, request: undefined })
    if (mayGrant && job.status === "running") { for (const request of job.requests) waiters.push({ job, request }) }
  }
  return waiters
}

const waitsSince = ({ job, request }: Waiter): number => request?.at ?? job.couldStartAt!

/** Of all who lack only units of pools, and have for so long, the first: they are kept back for it. */
export const reservation = (naive: Naive, now: number): Waiter | undefined => {
  const patience = naive.config.reserveAfterMillis ?? defaultReserveAfterMillis
  const lacking = contenders(naive).filter((each) => {
    const claims = claimsOf(each)
    return !fits(naive, claims) &&
      Object.entries(claims ?? {}).every(([pool, units]) => units <= sizeOfPool(naive, pool))
  })
  // Of those with the same claims (works of one kind, or claims of running works) only the first is looked at.
  const firsts = lacking.filter((each) =>
    firstOf(naive, lacking.filter((other) => sort(other) === sort(each))) === each
  )
  return firstOf(naive, firsts.filter((each) => now - waitsSince(each) >= patience))
}

const sort = (it: Waiter): string =>
  JSON.stringify([it.request === undefined ? it.job.spec.kind : null, Object.entries(claimsOf(it) ?? {}).sort()])

/** Units that it would take are kept back for another. */
export const isKeptBack = (naive: Naive, it: Waiter, reserved: Waiter | undefined): boolean => {
  if (reserved === undefined || reserved.job === it.job || !comesBefore(naive, reserved, it)) return false
  const kept = claimsOf(reserved)!
  const wanted = claimsOf(it) ?? {}
  // Whoever holds some of what is waited for must be able to end.
  if (holdsAnyOf(it.job, kept)) return false
  for (const pool in wanted) if (pool in kept && freeOfPool(naive, pool) - wanted[pool]! < kept[pool]!) return true
  return false
}

/** Everybody who lacks nothing but, perhaps, a unit of concurrency. */
export const ready = (naive: Naive, now: number): ReadonlyArray<Waiter> => {
  const reserved = reservation(naive, now)
  return contenders(naive).filter((each) => fits(naive, claimsOf(each)) && !isKeptBack(naive, each, reserved))
}

/** Everybody who may start now. */
export const mayStart = (naive: Naive, now: number): ReadonlyArray<Waiter> =>
  unitsInUse(naive) < naive.config.concurrency ? ready(naive, now) : []

/** The event that must come next when the run is scheduled. */
export const nextStart = (naive: Naive, now: number): RunEvent | undefined => {
  const first = firstOf(naive, mayStart(naive, now))
  if (first === undefined) return undefined
  const { job, request } = first
  if (request !== undefined) return granted(job.spec.id, request, now)
  return { _tag: "WorkStarted", at: now, id: job.spec.id, attempt: job.failures.length - job.forgiven + 1 }
}

export const granted = (id: string, { claims, name, step, until }: Claim, at: number): RunEvent => ({
  _tag: "SlotsGranted",
  at,
  id,
  hold: name,
  claims,
  ...(until === undefined ? {} : { until }),
  ...(step === undefined ? {} : { step })
})

/** Somebody who waits for one of the same pools comes before one that asks, and lacks nothing but a unit of concurrency. */
export const isOvertaken = (naive: Naive, asking: Waiter, now: number): boolean => {
  const claims = claimsOf(asking) ?? {}
  return ready(naive, now).some((each) =>
    comesBefore(naive, each, asking) && Object.keys(claimsOf(each) ?? {}).some((pool) => pool in claims)
  )
}

/** Whether a running work that asks now gets its claim at once. */
export const isGrantedAtOnce = (naive: Naive, job: Job, request: Claim, now: number): boolean => {
  if (job.requests.length > 0 || !fits(naive, request.claims)) return false
  const asking = { job, request }
  return !isOvertaken(naive, asking, now) && !isKeptBack(naive, asking, reservation(naive, now))
}
