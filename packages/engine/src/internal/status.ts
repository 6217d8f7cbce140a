/**
 * Making a status of a run's state: what runs, what waits and why. A reading of the state, which changes nothing.
 */
import type { Progress } from "../Progress.ts"
import type {
  KindStatus,
  RunningWork,
  RunStatus,
  StuckHandler,
  WaitingGroup,
  WaitReason,
  WorkStatus
} from "../RunStatus.ts"
import type { Claims } from "../WorkSpec.ts"
import { type Candidate, type Group, isSettled, type Lane, type RunState, type WorkEntry } from "./model.ts"
import { heldUpBy, reserved } from "./ready.ts"
import { lagQuantile, throughput } from "./statistics.ts"

/** What handlers report without the journal. */
export interface Overlay {
  readonly step: string | undefined
  readonly progress: Progress | undefined
}

const notRunning = (state: RunState): WaitReason | undefined =>
  state.name === "running" ? undefined : { _tag: "Run", state: state.name }

const concurrency = (state: RunState): WaitReason => ({ _tag: "Concurrency", limit: state.config.concurrency })

const lacks = (state: RunState, claims: Claims | undefined): WaitReason | undefined => {
  for (const name in claims) {
    const pool = state.pools.get(name)
    const needs = claims[name]!
    const size = pool?.size ?? 0
    if (needs > size) return { _tag: "Unsatisfiable", pool: name, needs, size }
    const free = size - (pool?.used ?? 0)
    if (free < needs) return { _tag: "Slot", pool: name, needs, free }
  }
  return undefined
}

/** `asking` is the work itself, or the first of its lane, which speaks for those behind it. */
const keptBack = (
  state: RunState,
  reservation: Candidate | undefined,
  asking: WorkEntry,
  turn: number,
  claims: Claims | undefined
): WaitReason | undefined => {
  const pool = reservation && heldUpBy(state, reservation, asking, turn, claims)
  return pool === undefined ? undefined : { _tag: "Reserved", pool, for: reservation!.owner.spec.id }
}

/** Why the works of a lane do not start. */
const obstacle = (
  state: RunState,
  { kind, claims }: Group,
  { key }: Lane,
  asking: WorkEntry,
  reservation: Candidate | undefined
): WaitReason => {
  if (kind !== undefined) {
    if (!kind.known) return { _tag: "NoHandler", kind: kind.name }
    if (kind.paused !== undefined) return { _tag: "Paused", scope: { _tag: "Kind", kind: kind.name } }
    if (key.name !== undefined && key.paused !== undefined) {
      return { _tag: "Paused", scope: { _tag: "Key", key: key.name } }
    }
    if (kind.running >= kind.limit) return { _tag: "KindLimit", kind: kind.name, limit: kind.limit }
    const limit = key.limit ?? state.config.keyLimit ?? Infinity
    if (key.name !== undefined && key.running >= limit) return { _tag: "KeyLimit", key: key.name, limit }
  }
  return lacks(state, claims) ?? keptBack(state, reservation, asking, key.turn, claims) ?? concurrency(state)
}

class Gathered {
  private readonly groups = new Map<string, { readonly kind: string; readonly reason: WaitReason; count: number }>()

  add(kind: string, reason: WaitReason, count: number): void {
    if (count === 0) return
    const name = kind + JSON.stringify(reason)
    const group = this.groups.get(name)
    if (group === undefined) this.groups.set(name, { kind, reason, count })
    else group.count += count
  }

  get all(): ReadonlyArray<WaitingGroup> {
    return Array.from(this.groups.values())
  }
}

const waitingGroups = (state: RunState, now: number): ReadonlyArray<WaitingGroup> => {
  const gathered = new Gathered()
  for (const { name, waiting } of state.kinds.values()) {
    gathered.add(name, { _tag: "Dependency" }, waiting.dependency)
    gathered.add(name, { _tag: "Paused", scope: { _tag: "Work" } }, waiting.paused)
    if (waiting.time > 0) {
      let at = Infinity
      for (const wake of state.wakes.items) {
        if (wake.entry.spec.kind === name && wake.at < at && wake.entry.status === "waiting") at = wake.at
      }
      gathered.add(name, { _tag: "Until", at }, waiting.time)
    }
  }
  if (state.counts.blocked > 0) {
    for (const { spec, status, wait } of state.begun) {
      if (status === "blocked") gathered.add(spec.kind, { _tag: "Undecodable", what: wait?.blocked ?? "" }, 1)
    }
  }
  const reservation = reserved(state, now)
  for (const group of state.groups.values()) {
    if (group.kind === undefined) continue
    for (const lane of group.lanes.values()) {
      const first = lane.queue.first
      if (first === undefined) continue
      const reason = notRunning(state) ?? obstacle(state, group, lane, first.owner, reservation)
      gathered.add(group.kind.name, reason, lane.queue.size)
    }
  }
  return gathered.all
}

const etaOf = (state: RunState, entry: WorkEntry, progress: Progress | undefined, now: number): number | undefined => {
  const age = now - entry.live!.startedAt
  if (progress?.total !== undefined && progress.total > 0 && progress.current > 0) {
    const left = Math.max(0, Math.round(age * (progress.total / progress.current - 1)))
    if (Number.isSafeInteger(left)) return left
  }
  const history = state.statistics.kinds.get(entry.spec.kind)
  return history === undefined || history.settled === 0
    ? undefined
    : Math.max(0, Math.round(history.totalMillis / history.settled - age))
}

const runningWork = (
  state: RunState,
  entry: WorkEntry,
  now: number,
  overlay: (id: string) => Overlay | undefined
): RunningWork | undefined => {
  const { spec, status } = entry
  if (status !== "running" && status !== "cancelling" && status !== "cleaning") return undefined
  const live = entry.live!
  const request = live.requests?.values().next().value
  const { progress, step } = overlay(spec.id) ?? { progress: undefined, step: undefined }
  return {
    id: spec.id,
    kind: spec.kind,
    key: spec.key,
    state: status,
    attempt: live.attempt,
    startedAt: live.startedAt,
    ageMillis: Math.max(0, now - live.startedAt),
    step,
    progress,
    etaMillis: status === "running" ? etaOf(state, entry, progress, now) : undefined,
    isPausing: status === "running" && entry.wait?.paused !== undefined,
    waitingFor: request === undefined
      ? undefined
      : { hold: request.hold, reason: awaited(state, entry, request.claims, now) }
  }
}

/** Why a running work does not get what it asks for. */
const awaited = (state: RunState, asking: WorkEntry, claims: Claims, now: number): WaitReason =>
  lacks(state, claims) ??
    keptBack(state, reserved(state, now), asking, state.requestKey.turn, claims) ??
    concurrency(state)

const runningWorks = (
  state: RunState,
  now: number,
  overlay: (id: string) => Overlay | undefined
): ReadonlyArray<RunningWork> =>
  Array.from(state.begun).flatMap((entry) => runningWork(state, entry, now, overlay) ?? [])

const reasonOf = (state: RunState, entry: WorkEntry, now: number): WaitReason | undefined => {
  const { lane, status, wait } = entry
  switch (status) {
    case "queued":
      return notRunning(state) ?? obstacle(state, lane!.group, lane!, entry, reserved(state, now))
    case "waiting":
      if (wait!.pending.length > 0 || wait!.doomed !== undefined) return { _tag: "Dependency" }
      return wait!.wake === undefined
        ? { _tag: "Paused", scope: { _tag: "Work" } }
        : { _tag: "Until", at: wait!.wake.at }
    case "blocked":
      return { _tag: "Undecodable", what: wait?.blocked ?? "" }
    default:
      return undefined
  }
}

const kindStatuses = (state: RunState): { readonly [kind: string]: KindStatus } =>
  Object.fromEntries(Array.from(state.kinds.values(), ({ limit, name, paused, running }) => {
    const history = state.statistics.kinds.get(name)
    return [name, {
      running,
      limit: limit === Infinity ? undefined : limit,
      paused,
      settled: history?.settled ?? 0,
      meanMillis: history === undefined || history.settled === 0 ? undefined : history.totalMillis / history.settled,
      failures: { ...history?.failures }
    }]
  }))

export const makeStatus = (
  runId: string,
  state: RunState,
  seq: number,
  now: number,
  overlay: (id: string) => Overlay | undefined,
  backgroundErrors: ReadonlyArray<string>,
  stuck: ReadonlyArray<StuckHandler>
): RunStatus => {
  const rate = state.startedAt === undefined ? 0 : throughput(state.statistics, state.startedAt, now)
  return {
    runId,
    state: state.name,
    seq,
    at: now,
    startedAt: state.startedAt,
    finishedAt: state.finishedAt,
    counts: { ...state.counts },
    running: runningWorks(state, now, overlay),
    waiting: waitingGroups(state, now),
    concurrency: { limit: state.config.concurrency, used: state.units },
    pools: Object.fromEntries(Array.from(state.pools, ([name, pool]) => [name, { size: pool.size, used: pool.used }])),
    kinds: kindStatuses(state),
    retries: state.retries,
    lag: {
      lastMillis: state.statistics.lastLagMillis,
      p50Millis: lagQuantile(state.statistics, 0.5),
      p99Millis: lagQuantile(state.statistics, 0.99)
    },
    throughput: rate,
    etaMillis: state.unsettled === 0 ? 0 : rate === 0 ? undefined : Math.round((state.unsettled / rate) * 1_000),
    forgotten: state.forgotten,
    stuck,
    backgroundErrors: [...backgroundErrors],
    cause: state.cause
  }
}

export const statusOfWork = (
  state: RunState,
  entry: WorkEntry,
  now: number,
  overlay: (id: string) => Overlay | undefined
): WorkStatus => {
  const { live, outcome, spec, status, wait } = entry
  return {
    id: spec.id,
    kind: spec.kind,
    spec,
    state: status,
    // What succeeded at once is not kept: it had one attempt.
    attempt: live === undefined ? (status === "succeeded" ? 1 : 0) : live.isFresh ? 0 : live.attempt,
    generation: live?.generation ?? 0,
    failures: [...(live?.failures ?? [])],
    steps: Array.from(live?.steps?.keys() ?? []),
    paused: isSettled(status) ? undefined : wait?.paused,
    waitsFor: [...wait?.pending ?? []],
    reason: reasonOf(state, entry, now),
    running: runningWork(state, entry, now, overlay),
    outcome
  }
}
