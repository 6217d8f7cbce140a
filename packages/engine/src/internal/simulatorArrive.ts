/**
 * How works come into the naive model, and what becomes of those that wait: for works that they come after, for a time.
 */
import type { SkipCause } from "../Outcome.ts"
import type { WorkSpec } from "../WorkSpec.ts"
import { find, isSettled, type Job, type Naive } from "./simulatorModel.ts"

/** Puts a work that nobody has in hand where it belongs: it waits while there is a reason to. */
export const place = (it: Job, at: number): void => {
  const waits = it.waitsFor.length > 0 || it.wakeAt !== undefined || it.isPaused || it.doomed !== undefined
  const status = it.isBlocked ? "blocked" : waits ? "waiting" : "queued"
  // Before the first start neither a pause nor a restart changes the moment.
  if (status === "queued" && it.status !== "queued" && it.hasBegun) it.couldStartAt = at
  it.status = status
}

/** A dependency has settled: it is met, or the one that waits for it will be skipped. */
export const decide = (naive: Naive, waiting: Job, dependency: Job, at: number): void => {
  const { id } = dependency.spec
  waiting.waitsFor = waiting.waitsFor.filter((each) => each !== id)
  doom(naive, waiting, verdict(waiting.spec, id, dependency))
  if (waiting.waitsFor.length === 0) waiting.couldStartAt = Math.max(at, waiting.spec.notBefore ?? at)
  place(waiting, at)
}

const doom = (naive: Naive, it: Job, cause: SkipCause | undefined): void => {
  if (cause === undefined || it.doomed !== undefined) return
  it.doomed = cause
  it.doomedBy = naive.events
}

const verdict = (waiting: WorkSpec, id: string, dependency: Job | undefined): SkipCause | undefined => {
  const state = dependency?.status ?? "unknown"
  if (waiting.onDependencyFailure === "run") return undefined
  return state === "failed" || state === "skipped" || state === "cancelled" || state === "unknown"
    ? { _tag: "Dependency", id, state }
    : undefined
}

export const add = (naive: Naive, specs: ReadonlyArray<WorkSpec>, at: number, isSpawned: boolean): void => {
  for (const spec of specs) {
    const it = newJob(spec, naive.arrivals++, at)
    for (const id of new Set(spec.after)) {
      const dependency = find(naive, id)
      // What is added from outside may come after what the same batch adds later. A child knows what stood before it.
      const isToCome = dependency === undefined ? !isSpawned : !isSettled(dependency)
      if (isToCome) it.waitsFor = [...it.waitsFor, id]
      else doom(naive, it, verdict(spec, id, dependency))
    }
    const earliest = Math.max(at, spec.notBefore ?? at)
    if (earliest > at) it.wakeAt = earliest
    if (it.waitsFor.length === 0) it.couldStartAt = earliest
    place(it, at)
    naive.kinds = [...naive.kinds, spec.kind]
    naive.jobs.push(it)
  }
  if (specs.length > 0 && naive.run === "completed") naive.run = "running"
}

const newJob = (spec: WorkSpec, arrival: number, at: number): Job => ({
  spec,
  arrival,
  addedAt: at,
  status: "waiting",
  waitsFor: [],
  doomed: undefined,
  doomedBy: 0,
  wakeAt: undefined,
  isPaused: false,
  isBlocked: false,
  isReleased: false,
  hasBegun: false,
  isResumed: false,
  couldStartAt: undefined,
  starts: 0,
  generation: 0,
  attempt: 0,
  startedAt: 0,
  livedMillis: 0,
  crashes: 0,
  crashedBy: 0,
  failures: [],
  forgiven: 0,
  steps: [],
  holds: [],
  requests: [],
  isGivenUp: false,
  lentAtCancel: false,
  cancel: undefined,
  outcome: undefined,
  settledAt: 0,
  settlement: 0
})
