/**
 * What must follow of itself: due wakes, due expiries, works that are to be skipped, a run that fails fast, what is
 * forgotten, and the run's own transitions, in this order, until nothing follows.
 */
import type { WorkFailure } from "../Outcome.ts"
import type { Of, Retention, RunEvent } from "../RunEvent.ts"
import type { ChildSpec, WorkSpec } from "../WorkSpec.ts"
import {
  childrenOf,
  expiryOf,
  handlers,
  isNeeded,
  isSettled,
  type Job,
  keyHolder,
  mustClean,
  type Naive,
  unsettled
} from "./simulatorModel.ts"

/** Who asks for something. */
export interface Cause {
  readonly reason: string
  readonly actor: string
}

/** The first in an order, or undefined. */
const least = <A>(all: ReadonlyArray<A>, rank: (it: A) => readonly [number, number]): A | undefined => {
  let best: A | undefined
  let bestRank: readonly [number, number] = [Infinity, Infinity]
  for (const each of all) {
    const its = rank(each)
    if (best === undefined || its[0] < bestRank[0] || (its[0] === bestRank[0] && its[1] < bestRank[1])) {
      best = each
      bestRank = its
    }
  }
  return best
}

/** A work that is cancelled: at once, or when its handler has ended, or when what it did is undone. */
export const cancelOf = (naive: Naive, it: Job, { actor, reason }: Cause, at: number): ReadonlyArray<RunEvent> => {
  const { id } = it.spec
  if (it.status === "running") return [{ _tag: "WorkCancelling", at, id, actor, reason }]
  if (!mustClean(naive, it)) return [{ _tag: "WorkCancelled", at, id, actor, reason }]
  return [{ _tag: "WorkCancelling", at, id, actor, reason }, { _tag: "WorkCleaning", at, id }]
}

/** A cancel of the run reaches all works that are not being cancelled yet. */
export const cancelAll = (naive: Naive, cause: Cause, at: number): ReadonlyArray<RunEvent> =>
  naive.jobs
    .filter((each) => !isSettled(each) && each.status !== "cancelling" && each.status !== "cleaning")
    .flatMap((each) => cancelOf(naive, each, cause, at))

/** Works that a batch of specs takes the places of: skipped before the batch is added. */
export const replaced = (naive: Naive, specs: ReadonlyArray<WorkSpec>, at: number): ReadonlyArray<RunEvent> =>
  specs.flatMap((spec) => {
    if (spec.onCollision !== "replace") return []
    const holder = keyHolder(naive, spec)
    return holder === undefined ? [] : [skipped(holder.spec.id, { _tag: "Replaced", by: spec.id }, at)]
  })

export const skipped = (id: string, cause: Of<"WorkSkipped">["cause"], at: number): RunEvent => ({
  _tag: "WorkSkipped",
  at,
  id,
  cause
})

export const failed = (
  naive: Naive,
  it: Job,
  failure: WorkFailure,
  own: ReadonlyArray<ChildSpec>,
  at: number
): ReadonlyArray<RunEvent> => {
  const children = childrenOf(naive, it, own, "failure")
  return [...replaced(naive, children, at), { _tag: "WorkFailed", at, id: it.spec.id, failure, children }]
}

const isDue = (now: number) => (it: Job): boolean => (it.wakeAt ?? Infinity) <= now

const expires = (naive: Naive, it: Job, now: number): ReadonlyArray<RunEvent> => {
  const { at, by } = expiryOf(it)!
  return it.hasBegun
    ? failed(naive, it, { _tag: "Expired", deadline: at }, [], now)
    : [skipped(it.spec.id, { _tag: "Expired", by, at }, now)]
}

/** The time at which something is due next. */
export const earliestDue = (naive: Naive): number | undefined => {
  let earliest = Infinity
  for (const each of naive.jobs) {
    earliest = Math.min(earliest, each.wakeAt ?? Infinity, expiryOf(each)?.at ?? Infinity)
  }
  return earliest === Infinity ? undefined : earliest
}

/** The next that must follow, but for what is forgotten and the run's own transitions. */
export const followsOfWorks = (naive: Naive, now: number): ReadonlyArray<RunEvent> => {
  const awake = least(naive.jobs.filter(isDue(now)), (it) => [it.wakeAt!, it.arrival])
  if (awake !== undefined) return [{ _tag: "WorkQueued", at: now, id: awake.spec.id }]
  const isExpired = (it: Job): boolean => (expiryOf(it)?.at ?? Infinity) <= now
  const expired = least(naive.jobs.filter(isExpired), (it) => [expiryOf(it)!.at, it.arrival])
  if (expired !== undefined) return expires(naive, expired, now)
  const doomed = least(naive.jobs.filter((each) => each.doomed !== undefined), (it) => [it.doomedBy, it.arrival])
  if (doomed !== undefined) return [skipped(doomed.spec.id, doomed.doomed!, now)]
  if (naive.hasFailedFast && ["running", "pausing", "paused"].includes(naive.run)) {
    const cause = { actor: "engine", reason: "" }
    return [{ _tag: "RunCancelling", at: now, ...cause }, ...cancelAll(naive, cause, now)]
  }
  return []
}

/** The run's own transition that must follow when nothing else does. */
export const followsOfRun = (naive: Naive, now: number): RunEvent | undefined => {
  const { run } = naive
  const isDry = unsettled(naive) === 0
  const isOpen = run === "running" || run === "pausing" || run === "paused"
  if (isOpen && isDry && !naive.isKeptOpen) return { _tag: "RunCompleted", at: now }
  if (run === "cancelling" && isDry) return { _tag: "RunCancelled", at: now }
  if (handlers(naive) > 0) return undefined
  if (run === "pausing") return { _tag: "RunPaused", at: now }
  if (run === "suspending") return { _tag: "RunSuspended", at: now }
  return undefined
}

/** Whether a work that has settled may be forgotten for its age, or because so many settled after it. */
const isTooOld = (it: Job, { ageMillis }: Retention, now: number): boolean =>
  now - it.settledAt >= (ageMillis ?? Infinity)

/** What is wrong with forgetting these now, if anything. Of works that settled at the same time any may go first. */
export const wrongToForget = (naive: Naive, ids: ReadonlyArray<string>, now: number): string | undefined => {
  const { retain } = naive.config
  if (retain === undefined || ids.length === 0) return "there is nothing to forget"
  const settled = naive.jobs.filter(isSettled)
  const forgotten = settled.filter((each) => ids.includes(each.spec.id))
  if (forgotten.length !== ids.length) return `forgets ${ids.join()}, not all of which are settled`
  const needed = ids.find((id) => isNeeded(naive, id))
  if (needed !== undefined) return `forgets ${needed}, which somebody waits or waited for`
  const early = forgotten.filter((each) => !isTooOld(each, retain, now))
  if (early.length === 0) return undefined
  if (settled.length - forgotten.length < (retain.count ?? Infinity)) return `forgets ${ids.join()}: too many`
  const latest = Math.max(...early.map((each) => each.settledAt))
  const older = settled.find((each) =>
    each.settledAt < latest && !forgotten.includes(each) && !isNeeded(naive, each.spec.id)
  )
  return older === undefined ? undefined : `forgets ${ids.join()} before ${older.spec.id}, which is older`
}

/** What should have been forgotten, if anything: a run forgets in bunches, but not too late. */
export const wrongToRemember = (naive: Naive, now: number): string | undefined => {
  const { retain } = naive.config
  if (retain === undefined) return undefined
  const settled = naive.jobs.filter(isSettled)
  const { ageMillis = Infinity, count = Infinity } = retain
  const free = settled.filter((each) => !isNeeded(naive, each.spec.id))
  const late = free.find((each) => now - each.settledAt > 2 * ageMillis)
  if (late !== undefined) return `${late.spec.id} settled at ${late.settledAt} and is not forgotten at ${now}`
  const tooMany = settled.length - Math.max(2 * count, count + 1)
  return tooMany > 0 && free.length >= tooMany ? `${settled.length} settled works are remembered` : undefined
}
