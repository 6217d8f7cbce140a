/**
 * The immutable snapshot of a run that a person looks at: counts, what runs, what waits and why. It shows only what is
 * durable; progress and the step at hand are an overlay from the handlers' memory.
 */
import type { StopReason } from "./CurrentWork.ts"
import type { Cause, PastFailure, RunStateName, WorkStatus as WorkStateName } from "./internal/model.ts"
import type { Outcome, WorkFailure } from "./Outcome.ts"
import type { Progress } from "./Progress.ts"
import type { PauseScope } from "./RunEvent.ts"
import type { WorkSpec } from "./WorkSpec.ts"

/**
 * - `Cause`: who asked for a control (`actor`), and why (`reason`).
 * - `PastFailure`: a failed attempt, with its `generation` (from 0), its number in it (`attempt`, from 1), and when it failed (`at`,
 *   in milliseconds since the epoch).
 * - `RunStateName`, `WorkStateName`: the states of a run and of a work; `docs/life-of-a-work.md` tells what each means. A run is
 *   `absent` before it is started.
 */
export type { Cause, PastFailure, RunStateName, WorkStateName }

/**
 * Why a work does not run, as data; `describe` says it in words. Of several reasons the first that holds is told.
 *
 * - `Dependency`: it waits for other works of the run.
 * - `Until`: it waits for a time (`notBefore`, or a retry); `at`, in milliseconds since the epoch, is when the next of them wakes.
 * - `Undecodable`: this program cannot read its payload, or its worker file is of no use. It is tried again when the run is next opened.
 * - `NoHandler`: the engine that has the run open does not know the kind.
 * - `KindLimit`, `KeyLimit`, `Slot`, `Concurrency`: all that it needs is in use. `Unsatisfiable`: the pool is smaller than the
 *   claim. `Reserved`: units of `pool` are free, and kept back for the work `for`, which comes first and has waited long.
 * - `Paused`: the work itself, its kind or its key is paused. `Run`: the run is paused, suspended or being cancelled.
 */
export type WaitReason =
  | { readonly _tag: "Dependency" }
  | { readonly _tag: "Until"; readonly at: number }
  | { readonly _tag: "Undecodable"; readonly what: string }
  | { readonly _tag: "NoHandler"; readonly kind: string }
  | { readonly _tag: "KindLimit"; readonly kind: string; readonly limit: number }
  | { readonly _tag: "KeyLimit"; readonly key: string; readonly limit: number }
  | { readonly _tag: "Slot"; readonly pool: string; readonly needs: number; readonly free: number }
  | { readonly _tag: "Unsatisfiable"; readonly pool: string; readonly needs: number; readonly size: number }
  | { readonly _tag: "Reserved"; readonly pool: string; readonly for: string }
  | { readonly _tag: "Concurrency"; readonly limit: number }
  | { readonly _tag: "Paused"; readonly scope: PauseScope | { readonly _tag: "Work" } }
  | { readonly _tag: "Run"; readonly state: RunStateName }

/** A work that is running, or is being cancelled. */
export interface RunningWork {
  readonly id: string
  readonly kind: string
  readonly key: string | undefined
  readonly state: "running" | "cancelling" | "cleaning"
  readonly attempt: number
  /** Start of this attempt, in milliseconds since the epoch. */
  readonly startedAt: number
  readonly ageMillis: number
  /** The step at hand, or `onCancel`; undefined between steps, and where another process has the run open. */
  readonly step: string | undefined
  /** What the handler reported last; undefined as `step` is. */
  readonly progress: Progress | undefined
  /** How long it will take yet, by its progress (where it has a total), or by how long its kind takes; undefined: unknown. */
  readonly etaMillis: number | undefined
  /** It was paused and goes on to its next step boundary. */
  readonly isPausing: boolean
  /** The claim that it waits for, with the reason; its concurrency unit is lent back meanwhile. */
  readonly waitingFor: { readonly hold: string; readonly reason: WaitReason } | undefined
}

/** A handler that was told to stop, did not, and was given up. It may still do harm outside; nothing it says is recorded. */
export interface StuckHandler {
  readonly id: string
  readonly kind: string
  readonly attempt: number
  /** Start of this attempt, in milliseconds since the epoch. */
  readonly startedAt: number
  readonly step: string | undefined
  /** Why it was told to stop. */
  readonly reason: StopReason
}

/** Works that wait, gathered by reason. */
export interface WaitingGroup {
  readonly kind: string
  readonly reason: WaitReason
  readonly count: number
}

/** The works of a kind: how many run, how many may, and what has come of them. */
export interface KindStatus {
  readonly running: number
  /** Undefined: bounded by concurrency alone. */
  readonly limit: number | undefined
  readonly paused: Cause | undefined
  /** Works that had a start and have settled, and how long they took from their last start, on average. */
  readonly settled: number
  readonly meanMillis: number | undefined
  /** Failed attempts, by what failed. */
  readonly failures: { readonly [tag in WorkFailure["_tag"]]?: number }
}

/** One work, whatever its state. */
export interface WorkStatus {
  readonly id: string
  readonly kind: string
  readonly spec: WorkSpec
  /** `blocked` is waiting for a program that can read its payload; `cleaning` is being undone by `onCancel`. */
  readonly state: WorkStateName
  /** 0 for a work that was never started; 1 in its first try. */
  readonly attempt: number
  /** 0 at first; grows when the work is retried by name, or from a step. */
  readonly generation: number
  /** Failed attempts of all generations, oldest first. */
  readonly failures: ReadonlyArray<PastFailure>
  /** Names of the steps that are recorded, in order. */
  readonly steps: ReadonlyArray<string>
  readonly paused: Cause | undefined
  /** Why it does not run, where it is waiting, queued or blocked. */
  readonly reason: WaitReason | undefined
  /** Unsettled works that it waits for. */
  readonly waitsFor: ReadonlyArray<string>
  /** Where it is running, or being cancelled: as in `RunStatus.running`. */
  readonly running: RunningWork | undefined
  /** How it ended; undefined while it has not. */
  readonly outcome: Outcome | undefined
}

/**
 * A run at one moment. Times are in milliseconds since the epoch; `undefined` is "not yet".
 *
 * - `seq`: number of the last durable event; the snapshot holds all events up to it and none beyond.
 * - `counts`: works by state, the settled ones included. `running`: those that began and have not settled, oldest first.
 * - `waiting`: all others that have not settled, gathered by kind and reason.
 * - `concurrency`, `pools`: units in use; a pool that an earlier opener had and the present one has not is of size 0.
 * - `retries`: scheduled in the life of the run.
 * - `lag`: how long after it could have started a work did start, in milliseconds: the last one, and quantiles over all first
 *   starts of the run (to 19 %).
 * - `throughput`: works settled a second over the last minute. `etaMillis`: until all that is unsettled has settled at that rate.
 * - `forgotten`: settled works that the run has forgotten, as it was told to; `counts` is without them.
 * - `stuck`: handlers of this process that were given up.
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
  readonly counts: Readonly<Record<WorkStateName, number>>
  readonly running: ReadonlyArray<RunningWork>
  readonly waiting: ReadonlyArray<WaitingGroup>
  readonly concurrency: { readonly limit: number; readonly used: number }
  readonly pools: { readonly [name: string]: { readonly size: number; readonly used: number } }
  readonly kinds: { readonly [kind: string]: KindStatus }
  readonly retries: number
  readonly lag: {
    readonly lastMillis: number | undefined
    readonly p50Millis: number | undefined
    readonly p99Millis: number | undefined
  }
  readonly throughput: number
  readonly etaMillis: number | undefined
  readonly forgotten: number
  readonly stuck: ReadonlyArray<StuckHandler>
  /** Clean-ups that failed and are being tried again, handlers given up, snapshots not made; newest last, at most 20. */
  readonly backgroundErrors: ReadonlyArray<string>
  /** Who asked for the present pause, suspend or cancel, and why. */
  readonly cause: Cause | undefined
}

/** One line for a person: why something waits. The example of `RunStatus` shows one. */
export const describe = (reason: WaitReason): string => {
  switch (reason._tag) {
    case "Dependency":
      return "for the works that it comes after"
    case "Until":
      return `until ${new Date(reason.at).toISOString()}`
    case "Undecodable":
      return `this program cannot run it: ${reason.what}`
    case "NoHandler":
      return `no handler for "${reason.kind}" in this program`
    case "KindLimit":
      return `at most ${reason.limit} "${reason.kind}" at a time`
    case "KeyLimit":
      return `at most ${reason.limit} with the key "${reason.key}" at a time`
    case "Paused":
      return reason.scope._tag === "Work"
        ? "it is paused"
        : reason.scope._tag === "Kind"
        ? `the kind "${reason.scope.kind}" is paused`
        : `the key "${reason.scope.key}" is paused`
    case "Slot":
      return `${reason.pool}: needs ${reason.needs}, ${reason.free} free`
    case "Unsatisfiable":
      return `${reason.pool}: needs ${reason.needs}, the pool has ${reason.size} in all`
    case "Reserved":
      return `${reason.pool}: its free units are kept back for "${reason.for}"`
    case "Concurrency":
      return `concurrency ${reason.limit}`
    case "Run":
      return `the run is ${reason.state}`
  }
}
