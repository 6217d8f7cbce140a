/**
 * Whether the real state is what the naive model says: every number that it keeps is counted afresh.
 */
import type { Live, RunState, WorkEntry } from "./model.ts"
import { Disagreement } from "./simulatorCheck.ts"
import {
  handlers,
  isSettled,
  type Job,
  type Naive,
  runningOfKind,
  sizeOfPool,
  unitsInUse,
  unsettled,
  usedOfPool
} from "./simulatorModel.ts"

const equal = (what: () => string, actual: unknown, expected: unknown): void => {
  if (!Object.is(actual, expected)) throw new Disagreement(`${what()}: ${String(actual)}; expected ${String(expected)}`)
}

const none: ReadonlyArray<never> = []

export const compare = (naive: Naive, state: RunState): void => {
  equal(() => "the run", state.name, naive.run)
  equal(() => "kept open", state.keepOpen, naive.isKeptOpen)
  equal(() => "time of the last event", state.lastAt, naive.lastAt)
  equal(() => "concurrency", state.config.concurrency, naive.config.concurrency)
  equal(() => "units in use", state.units, unitsInUse(naive))
  equal(() => "handlers", state.handlers, handlers(naive))
  equal(() => "unsettled", state.unsettled, unsettled(naive))
  equal(() => "works", state.works.size, naive.jobs.length)
  for (const pool in naive.config.pools) {
    const { size, used } = state.pools.get(pool) ?? { size: 0, used: 0 }
    equal(() => `size of ${pool}`, size, sizeOfPool(naive, pool))
    equal(() => `used of ${pool}`, used, usedOfPool(naive, pool))
  }
  for (const kind in naive.config.kinds) {
    equal(() => `running of ${kind}`, state.kinds.get(kind)?.running ?? 0, runningOfKind(naive, kind))
  }
  const counts = { ...state.counts }
  for (const job of naive.jobs) {
    const entry = state.works.get(job.spec.id)
    if (entry === undefined) throw new Disagreement(`${job.spec.id} is not in the run`)
    compareWork(job, entry)
    counts[entry.status] -= 1
  }
  for (const status in counts) equal(() => `count of ${status}`, counts[status as keyof typeof counts], 0)
}

const compareWork = (job: Job, entry: WorkEntry): void => {
  const { id } = job.spec
  // Between the event that decides that a work is skipped and the one that says so it may seem to be queued still.
  if (job.doomed === undefined) equal(() => `status of ${id}`, entry.status, job.status)
  equal(() => `arrival of ${id}`, entry.arrival, job.arrival)
  equal(() => `priority of ${id}`, entry.spec.priority, job.spec.priority)
  equal(() => `kind of ${id}`, entry.spec.kind, job.spec.kind)
  const { live } = entry
  equal(() => `generation of ${id}`, live?.generation ?? 0, job.generation)
  sameNames(() => `steps of ${id}`, live?.steps?.keys(), job.steps)
  equal(() => `failures of ${id}`, live?.failures?.length ?? 0, job.failures.length)
  if (isSettled(job)) {
    equal(() => `outcome of ${id}`, entry.outcome?._tag, job.outcome?._tag)
    return
  }
  equal(() => `outcome of ${id}`, entry.outcome, undefined)
  const isEnding = job.status === "cancelling" || job.status === "cleaning"
  if (!isEnding) equal(() => `paused ${id}`, entry.wait?.paused !== undefined, job.isPaused)
  equal(() => `taken up ${id}`, entry.resumed, job.isResumed)
  if (live !== undefined) compareLive(job, live)
  else {
    sameNames(() => `holds of ${id}`, none, job.holds)
    sameNames(() => `requests of ${id}`, none, job.requests)
  }
}

const compareLive = (job: Job, live: Live): void => {
  const { id } = job.spec
  equal(() => `starts of ${id}`, live.starts, job.starts)
  equal(() => `time lived of ${id}`, live.livedMillis, job.livedMillis)
  equal(() => `crashes of ${id}`, live.crashes, job.crashes)
  sameNames(() => `holds of ${id}`, live.holds?.keys(), job.holds)
  // A claim that is asked for again has the place of the earlier one, or a new one: that says nothing.
  const requests = Array.from(live.requests?.keys() ?? none).sort()
  sameNames(() => `requests of ${id}`, requests, [...job.requests].sort((a, b) => a.name < b.name ? -1 : 1))
  if (job.status === "running") equal(() => `attempt of ${id}`, live.attempt, job.attempt)
}

/** The same names, in the same order. */
const sameNames = (
  what: () => string,
  actual: Iterable<string> | undefined,
  expected: ReadonlyArray<{ readonly name: string }>
): void => {
  let index = 0
  for (const name of actual ?? none) equal(what, name, expected[index++]?.name)
  equal(what, index, expected.length)
}
