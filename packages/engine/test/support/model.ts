/**
 * The naive model of a run: what DESIGN says, written the slow and obvious way. It keeps no counter, no heap and no
 * set: every number is counted when it is asked for, every choice is a scan over all works. It shares no code with
 * `src/internal` but the types of events.
 */
import type { WorkFailure } from "../../src/Outcome.ts"
import type { RunConfig, RunEvent } from "../../src/RunEvent.ts"
import type { ChildSpec, Claims, WorkSpec } from "../../src/WorkSpec.ts"

export interface NaiveHold {
  readonly name: string
  readonly claims: Claims
  readonly until: string | undefined
  readonly step: string | undefined
}

export interface Job {
  readonly spec: WorkSpec
  readonly arrival: number
  status:
    | "queued"
    | "waiting"
    | "blocked"
    | "running"
    | "cancelling"
    | "cleaning"
    | "succeeded"
    | "failed"
    | "cancelled"
  /** How often it was started, whatever came of it. */
  starts: number
  /** A handler has run for it, so that cancelling it must undo something. */
  begun: boolean
  resumed: boolean
  attempt: number
  startedAt: number
  livedMillis: number
  failures: ReadonlyArray<WorkFailure>
  steps: ReadonlyArray<{ readonly name: string; readonly result: unknown; readonly children: ReadonlyArray<ChildSpec> }>
  holds: ReadonlyArray<NaiveHold>
  requests: ReadonlyArray<NaiveHold>
  wakeAt: number | undefined
  /** It was cancelled while it had its concurrency unit. */
  endsWithUnit: boolean
  outcome: unknown
}

export interface Naive {
  run: string
  config: RunConfig
  keepOpen: boolean
  jobs: ReadonlyArray<Job>
  lastAt: number
  onCancel: { readonly [kind: string]: boolean }
}

export const empty = (): Naive => ({
  run: "absent",
  config: { concurrency: 1, pools: {}, kinds: {}, keepOpen: false },
  keepOpen: false,
  jobs: [],
  lastAt: 0,
  onCancel: {}
})

export const isSettled = (job: Job): boolean =>
  job.status === "succeeded" || job.status === "failed" || job.status === "cancelled"

/** Its handler may be alive. */
export const isAlive = (job: Job): boolean => job.status === "running" || job.status === "cancelling"

export const hasUnit = (job: Job): boolean =>
  (job.status === "running" && job.requests.length === 0) || (job.status === "cancelling" && job.endsWithUnit)

export const job = (naive: Naive, id: string): Job => {
  const found = naive.jobs.find((each) => each.spec.id === id)
  if (found === undefined) throw new Error(`an event about "${id}", which was never added`)
  return found
}

export const unitsInUse = (naive: Naive): number => naive.jobs.filter(hasUnit).length

export const unsettled = (naive: Naive): number => naive.jobs.filter((each) => !isSettled(each)).length

export const runningOfKind = (naive: Naive, kind: string): number =>
  naive.jobs.filter((each) => each.spec.kind === kind && isAlive(each)).length

const unitsOf = (claims: Claims | undefined, pool: string): number => claims?.[pool] ?? 0

export const usedOfPool = (naive: Naive, pool: string): number =>
  naive.jobs.reduce(
    (sum, each) =>
      each.holds.reduce((held, hold) => held + unitsOf(hold.claims, pool), sum) +
      (isAlive(each) ? unitsOf(each.spec.slots, pool) : 0),
    0
  )

export const fits = (naive: Naive, claims: Claims | undefined): boolean =>
  Object.entries(claims ?? {}).every(([pool, units]) =>
    usedOfPool(naive, pool) + units <= (naive.config.pools[pool] ?? 0)
  )

/** A queued work, or a claim of a running work that waits. */
export interface Waiting {
  readonly job: Job
  readonly request: NaiveHold | undefined
}

/** DESIGN 4.4: taken up after a resume first; then priority, lower first; then arrival. */
export const comesBefore = (a: Job, b: Job): boolean => {
  if (a.resumed !== b.resumed) return a.resumed
  if (a.spec.priority !== b.spec.priority) return a.spec.priority < b.spec.priority
  return a.arrival < b.arrival
}

/** Everybody who waits and whom nothing but perhaps concurrency keeps from going on. */
export const ready = (naive: Naive): ReadonlyArray<Waiting> => {
  const mayStartWorks = naive.run === "running"
  const mayGrant = naive.run === "running" || naive.run === "pausing"
  const waiting: Array<Waiting> = []
  for (const each of naive.jobs) {
    if (each.status === "queued" && mayStartWorks) {
      const kind = naive.config.kinds[each.spec.kind]
      const hasRoom = kind !== undefined && runningOfKind(naive, each.spec.kind) < (kind.limit ?? Infinity)
      if (hasRoom && fits(naive, each.spec.slots)) waiting.push({ job: each, request: undefined })
    }
    if (each.status === "running" && mayGrant) {
      for (const request of each.requests) if (fits(naive, request.claims)) waiting.push({ job: each, request })
    }
  }
  return waiting
}

/** Everybody who may start now. */
export const mayStart = (naive: Naive): ReadonlyArray<Waiting> =>
  unitsInUse(naive) < naive.config.concurrency ? ready(naive) : []

/** The works that have not begun and into which a work with the same key is merged. */
export const dedupeKeys = (naive: Naive): ReadonlyMap<string, string> =>
  new Map(
    naive.jobs.flatMap((each) =>
      each.status === "queued" && each.starts === 0 && each.spec.dedupe !== undefined
        ? [[each.spec.dedupe, each.spec.id] as const]
        : []
    )
  )

/** The specs of a batch that become works: no id twice, and what has the key of a queued work is merged into it. */
export const merge = (naive: Naive, specs: ReadonlyArray<WorkSpec>): ReadonlyArray<WorkSpec> => {
  const keys = new Set(dedupeKeys(naive).keys())
  const taken: Array<WorkSpec> = []
  for (const spec of specs) {
    const isThere = naive.jobs.some((each) => each.spec.id === spec.id) || taken.some((each) => each.id === spec.id)
    if (isThere || (spec.dedupe !== undefined && keys.has(spec.dedupe))) continue
    if (spec.dedupe !== undefined) keys.add(spec.dedupe)
    taken.push(spec)
  }
  return taken
}

/** The children that a work leaves when it settles so: of its recorded steps, then of its last attempt. */
export const childrenOf = (
  naive: Naive,
  parent: Job,
  own: ReadonlyArray<ChildSpec>,
  on: "success" | "failure"
): ReadonlyArray<WorkSpec> =>
  merge(
    naive,
    [...parent.steps.flatMap((step) => step.children), ...own]
      .filter((each) => each.on === on || each.on === "always")
      .map((each) => each.spec)
  )

/** Something of it outlives its attempts. */
export const hasRecords = (it: Job): boolean =>
  it.steps.length > 0 || it.failures.length > 0 || it.holds.length > 0 || it.livedMillis > 0

/** The handler is gone, and what it held as an attempt with it. */
const end = (it: Job): void => {
  it.requests = []
  it.holds = it.holds.filter((hold) => hold.step === undefined)
}

const settle = (it: Job, status: Job["status"], outcome: unknown): void => {
  it.status = status
  it.requests = []
  it.holds = []
  it.steps = []
  it.wakeAt = undefined
  it.outcome = outcome
}

const add = (naive: Naive, specs: ReadonlyArray<WorkSpec>): void => {
  const added = specs.map((spec, index): Job => ({
    spec,
    arrival: naive.jobs.length + index,
    status: "queued",
    starts: 0,
    begun: false,
    resumed: false,
    attempt: 0,
    startedAt: 0,
    livedMillis: 0,
    failures: [],
    steps: [],
    holds: [],
    requests: [],
    wakeAt: undefined,
    endsWithUnit: false,
    outcome: undefined
  }))
  naive.jobs = [...naive.jobs, ...added]
  if (specs.length > 0 && naive.run === "completed") naive.run = "running"
}

const configure = (naive: Naive, config: RunConfig): void => {
  naive.config = config
  naive.keepOpen = config.keepOpen
  naive.onCancel = {
    ...naive.onCancel,
    ...Object.fromEntries(Object.entries(config.kinds).map(([name, kind]) => [name, kind.onCancel]))
  }
}

/** Folds one event in. Returns nothing: the model is changed. */
export const evolve = (naive: Naive, event: RunEvent): void => {
  if ("id" in event) evolveJob(naive, job(naive, event.id), event)
  else evolveRun(naive, event)
  naive.lastAt = event.at
}

const evolveRun = (naive: Naive, event: Exclude<RunEvent, { readonly id: string }>): void => {
  switch (event._tag) {
    case "WorkAdded":
      return add(naive, [event.spec])
    case "RunStarted":
      naive.run = "running"
      return configure(naive, event.config)
    case "RunResumed": {
      configure(naive, event.config)
      if (naive.run === "suspending" || naive.run === "suspended") naive.run = "running"
      for (const each of naive.jobs) {
        if (each.status === "running") {
          each.status = "queued"
          each.resumed = true
          each.begun = true
          each.livedMillis += naive.lastAt - each.startedAt
          end(each)
        } else if (each.status === "blocked") each.status = "queued"
      }
      return
    }
    case "RunClosed":
      naive.keepOpen = false
      return
    case "RunPausing":
      naive.run = "pausing"
      return
    case "RunPaused":
      naive.run = "paused"
      return
    case "RunContinued":
      naive.run = "running"
      return
    case "RunSuspending":
      naive.run = "suspending"
      return
    case "RunSuspended":
      naive.run = "suspended"
      return
    case "RunCancelling":
      naive.run = "cancelling"
      return
    case "RunCancelled":
      naive.run = "cancelled"
      return
    case "RunCompleted":
      naive.run = "completed"
      return
  }
}

const evolveJob = (naive: Naive, it: Job, event: Extract<RunEvent, { readonly id: string }>): void => {
  switch (event._tag) {
    case "WorkStarted":
      it.status = "running"
      it.starts += 1
      it.resumed = false
      it.attempt = event.attempt
      it.startedAt = event.at
      return
    case "StepRecorded": {
      const { children, result, step: name } = event
      const index = it.steps.findIndex((each) => each.name === name)
      it.steps = index < 0
        ? [...it.steps, { name, result, children }]
        : it.steps.with(index, { name, result, children })
      it.holds = it.holds.filter((hold) => hold.until !== name && hold.step !== name)
      return
    }
    case "SlotsRequested": {
      const { claims, hold: name, step, until } = event
      it.requests = [...it.requests.filter((each) => each.name !== name), { name, claims, until, step }]
      return
    }
    case "SlotsGranted": {
      const { claims, hold: name, step, until } = event
      it.requests = it.requests.filter((each) => each.name !== name)
      it.holds = [...it.holds, { name, claims, until, step }]
      return
    }
    case "SlotsReleased":
      it.holds = it.holds.filter((each) => each.name !== event.hold)
      return
    case "WorkSucceeded":
      settle(it, "succeeded", event.result)
      return add(naive, event.children)
    case "WorkFailed":
      it.failures = [...it.failures, event.failure]
      settle(it, "failed", event.failure)
      return add(naive, event.children)
    case "WorkRetryScheduled":
      end(it)
      it.status = "waiting"
      it.begun = true
      it.failures = [...it.failures, event.failure]
      it.livedMillis = 0
      it.wakeAt = event.wakeAt
      return
    case "WorkQueued":
      it.status = "queued"
      it.wakeAt = undefined
      return
    case "WorkInterrupted":
      end(it)
      it.status = "queued"
      it.resumed = true
      it.begun = true
      it.livedMillis += event.livedMillis
      return
    case "WorkBlocked":
      // A handler that could not read its payload has done nothing; only what is on record tells of an earlier one.
      end(it)
      it.status = "blocked"
      it.begun = hasRecords(it)
      return
    case "WorkCancelling":
      it.endsWithUnit = hasUnit(it)
      it.status = it.status === "running" ? "cancelling" : "cleaning"
      it.requests = []
      it.wakeAt = undefined
      return
    case "WorkCleaning":
      end(it)
      it.status = "cleaning"
      return
    case "WorkCancelled":
      settle(it, "cancelled", { reason: event.reason, actor: event.actor })
      return
  }
}
