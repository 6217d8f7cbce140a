/**
 * The immutable snapshot of a run that a person looks at: counts, what runs, what waits and why. It shows only what is
 * durable; progress and the step at hand are an overlay from the handlers' memory.
 */
import type { PastFailure, RunState, RunStateName, WorkEntry } from "./internal/model.ts"
import { Wake } from "./internal/model.ts"
import { obstacle } from "./internal/ready.ts"
import type { Progress } from "./Progress.ts"

/**
 * Why a work does not run, as data; `describe` says it in words. Of several reasons the first that holds is told.
 *
 * - `Until`: a retry is scheduled; `at` is in milliseconds since the epoch.
 * - `Undecodable`: this program cannot read its payload. It is tried again when the run is next opened.
 * - `NoHandler`: the engine that has the run open does not know the kind.
 * - `KindLimit`, `Slot`, `Concurrency`: all that it needs is in use. `Unsatisfiable`: the pool is smaller than the claim.
 * - `Run`: the run is paused, suspended or being cancelled.
 */
export type WaitReason =
  | { readonly _tag: "Until"; readonly at: number }
  | { readonly _tag: "Undecodable"; readonly what: string }
  | { readonly _tag: "NoHandler"; readonly kind: string }
  | { readonly _tag: "KindLimit"; readonly kind: string; readonly limit: number }
  | { readonly _tag: "Slot"; readonly pool: string; readonly needs: number; readonly free: number }
  | { readonly _tag: "Unsatisfiable"; readonly pool: string; readonly needs: number; readonly size: number }
  | { readonly _tag: "Concurrency"; readonly limit: number }
  | { readonly _tag: "Run"; readonly state: RunStateName }

/** A work that is running, or is being cancelled. */
export interface RunningWork {
  readonly id: string
  readonly kind: string
  readonly state: "running" | "cancelling" | "cleaning"
  readonly attempt: number
  readonly startedAt: number
  readonly ageMillis: number
  readonly step: string | undefined
  readonly progress: Progress | undefined
  /** The claim that it waits for, with the reason; its concurrency unit is lent back meanwhile. */
  readonly waitingFor: { readonly hold: string; readonly reason: WaitReason } | undefined
}

/** Works that wait, gathered by reason. */
export interface WaitingGroup {
  readonly kind: string
  readonly reason: WaitReason
  readonly count: number
}

/** One work, whatever its state. */
export interface WorkStatus {
  readonly id: string
  readonly kind: string
  readonly state: WorkEntry["status"]
  readonly attempt: number
  readonly failures: ReadonlyArray<PastFailure>
  readonly outcome: WorkEntry["outcome"]
}

/**
 * A run at one moment. Times are in milliseconds since the epoch; `undefined` is "not yet".
 *
 * - `seq`: number of the last durable event; the snapshot holds all events up to it and none beyond.
 * - `counts`: works by state, the settled ones included. `running`: those that began and have not settled, oldest first.
 * - `waiting`: all others that have not settled, gathered by kind and reason.
 * - `concurrency`, `pools`: units in use; a pool that an earlier opener had and the present one has not is of size 0.
 * - `retries`: scheduled in the life of the run.
 *
 * @example
 * ```ts
 * import { Journal, RunStatus, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer } from "effect"
 * import assert from "node:assert"
 *
 * class Fit extends WorkKind.make("Fit", { payload: {}, slots: { gpu: 1 } }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Fit] }) {}
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("fits", { concurrency: 8, pools: { gpu: 1 } })
 *   for (const id of ["a", "b", "c"]) yield* run.submit(Fit, {}, { id })
 *   const { pools, running, waiting } = yield* run.status
 *   assert.deepStrictEqual(pools, { gpu: { size: 1, used: 1 } })
 *   assert.deepStrictEqual(running.map(({ id }) => id), ["a"])
 *   return waiting.map(({ count, kind, reason }) => `${count} ${kind} waiting: ${RunStatus.describe(reason)}`)
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(Jobs.layer.pipe(Layer.provide([Fit.toLayer(() => Effect.never), Journal.layerMemory])))
 * )
 *
 * assert.deepStrictEqual(await Effect.runPromise(program), ["2 Fit waiting: gpu: needs 1, 0 free"])
 * ```
 */
export interface RunStatus {
  readonly runId: string
  readonly state: RunStateName
  /** The last durable event. */
  readonly seq: number
  readonly at: number
  readonly startedAt: number | undefined
  readonly finishedAt: number | undefined
  readonly counts: Readonly<Record<WorkEntry["status"], number>>
  readonly running: ReadonlyArray<RunningWork>
  readonly waiting: ReadonlyArray<WaitingGroup>
  readonly concurrency: { readonly limit: number; readonly used: number }
  readonly pools: { readonly [name: string]: { readonly size: number; readonly used: number } }
  readonly retries: number
  /** Clean-ups that failed and are being tried again, newest last; at most 20. */
  readonly backgroundErrors: ReadonlyArray<string>
  /** Who asked for the present pause, suspend or cancel, and why. */
  readonly cause: { readonly reason: string; readonly actor: string } | undefined
}

/** What handlers report without the journal. */
export interface Overlay {
  readonly step: string | undefined
  readonly progress: Progress | undefined
}

const notRunning = (state: RunState): WaitReason | undefined =>
  state.name === "running" ? undefined : { _tag: "Run", state: state.name }

const concurrency = (state: RunState): WaitReason => ({ _tag: "Concurrency", limit: state.config.concurrency })

/** @internal */
export const make = (
  runId: string,
  state: RunState,
  seq: number,
  now: number,
  overlay: (id: string) => Overlay | undefined,
  backgroundErrors: ReadonlyArray<string>
): RunStatus => {
  const running: Array<RunningWork> = []
  const waiting = new Map<string, { kind: string; reason: WaitReason; count: number }>()
  const wait = (kind: string, reason: WaitReason, count: number): void => {
    const key = kind + JSON.stringify(reason)
    const group = waiting.get(key)
    if (group === undefined) waiting.set(key, { kind, reason, count })
    else group.count += count
  }
  for (const entry of state.begun) {
    const live = entry.live!
    if (entry.status === "waiting" && entry.detail instanceof Wake) {
      wait(entry.spec.kind, { _tag: "Until", at: entry.detail.at }, 1)
    } else if (entry.status === "blocked") {
      wait(entry.spec.kind, { _tag: "Undecodable", what: String(entry.detail) }, 1)
    } else if (entry.status === "running" || entry.status === "cancelling" || entry.status === "cleaning") {
      const request = live.requests.values().next().value
      running.push({
        id: entry.spec.id,
        kind: entry.spec.kind,
        state: entry.status,
        attempt: live.attempt,
        startedAt: live.startedAt,
        ageMillis: Math.max(0, now - live.startedAt),
        step: overlay(entry.spec.id)?.step,
        progress: overlay(entry.spec.id)?.progress,
        waitingFor: request === undefined
          ? undefined
          : { hold: request.hold, reason: obstacle(state, undefined, request.claims) ?? concurrency(state) }
      })
    }
  }
  for (const group of state.groups.values()) {
    if (group.kind === undefined || group.heap.items.length === 0) continue
    const reason = notRunning(state) ?? obstacle(state, group.kind, group.claims) ?? concurrency(state)
    wait(group.kind, reason, group.heap.items.length)
  }
  return {
    runId,
    state: state.name,
    seq,
    at: now,
    startedAt: state.startedAt,
    finishedAt: state.finishedAt,
    counts: { ...state.counts },
    running,
    waiting: Array.from(waiting.values()),
    concurrency: { limit: state.config.concurrency, used: state.units },
    pools: Object.fromEntries(Array.from(state.pools, ([name, pool]) => [name, { size: pool.size, used: pool.used }])),
    retries: state.retries,
    backgroundErrors: [...backgroundErrors],
    cause: state.cause
  }
}

/** One line for a person: why something waits. */
export const describe = (reason: WaitReason): string => {
  switch (reason._tag) {
    case "Until":
      return `until ${new Date(reason.at).toISOString()}`
    case "Undecodable":
      return `its payload cannot be read by this version: ${reason.what}`
    case "NoHandler":
      return `no handler for "${reason.kind}" in this program`
    case "KindLimit":
      return `at most ${reason.limit} "${reason.kind}" at a time`
    case "Slot":
      return `${reason.pool}: needs ${reason.needs}, ${reason.free} free`
    case "Unsatisfiable":
      return `${reason.pool}: needs ${reason.needs}, the pool has ${reason.size} in all`
    case "Concurrency":
      return `concurrency ${reason.limit}`
    case "Run":
      return `the run is ${reason.state}`
  }
}

/** @internal */
export const ofWork = (entry: WorkEntry): WorkStatus => ({
  id: entry.spec.id,
  kind: entry.spec.kind,
  state: entry.status,
  attempt: entry.live?.attempt ?? 0,
  failures: [...(entry.live?.failures ?? [])],
  outcome: entry.outcome
})
