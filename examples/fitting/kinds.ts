/**
 * The works of an analysis, and how they hang together:
 *
 *   Fit 1..n  ──▶  Choose  ──▶  Sample 1..m  ──▶  Summarize
 *
 * `Fit` and `Sample` compute, and run in workers. `Choose` and `Summarize` read what others have found, and run in the
 * host.
 */
import { Progress, WorkEngine, WorkKind } from "@espalier/engine"
import { Schedule, Schema } from "effect"
import { Descent } from "./leastSquares.ts"
import { DataSpec, Parameters } from "./model.ts"

/**
 * How many workers there are, and how many works may be in them: a work that waits for a worker should not count as
 * running.
 */
export const workers = 2

/**
 * A worker that dies (killed by somebody, say) is made up for by another, which goes on from what is recorded. One that
 * had not memory enough would not have enough the next time either; nor is a start that leads nowhere tried again.
 */
const survival = {
  retry: Schedule.recurs(3),
  retryIf: (failure: { readonly _tag: string; readonly reason?: string }) =>
    failure._tag === "WorkerDied" && failure.reason !== "memory"
}

/** This start leads nowhere. Other starts may. */
export class NoFit extends Schema.TaggedError<NoFit>()("NoFit", { message: Schema.String }) {}

/** Least squares from one random start. */
export class Fit extends WorkKind.make("Fit", {
  payload: { data: DataSpec, start: Schema.Int },
  success: Descent,
  error: NoFit,
  slots: { worker: 1 },
  timeout: "5 minutes",
  ...survival
}) {}

/** How the sampling is to be done: iterations of each chain. */
export const Plan = Schema.Struct({ chains: Schema.Int, warmup: Schema.Int, draws: Schema.Int })
export type Plan = typeof Plan.Type

/** Takes the best of the fits, and starts chains from there. */
export class Choose extends WorkKind.make("Choose", {
  payload: { data: DataSpec, fits: Schema.Array(Schema.String), plan: Plan },
  success: Parameters,
  error: NoFit
}) {}

/** One Markov chain. A draw is `[fastAmplitude, fastRate, slowAmplitude, slowRate, noise]`. */
export class Sample extends WorkKind.make("Sample", {
  payload: { data: DataSpec, start: Parameters, chain: Schema.Int, plan: Plan },
  success: Schema.Struct({
    draws: Schema.Array(Schema.Array(Schema.Finite)),
    divergences: Schema.Int,
    acceptance: Schema.Finite
  }),
  slots: { worker: 1 },
  stallAfter: "5 minutes",
  ...survival
}) {}

export const Estimate = Schema.Struct({
  name: Schema.String,
  mean: Schema.Finite,
  deviation: Schema.Finite,
  low: Schema.Finite,
  high: Schema.Finite,
  rHat: Schema.Finite,
  effectiveSize: Schema.Finite
})

/** Puts the chains together. `low` and `high` hold 90% of the draws between them. */
export class Summarize extends WorkKind.make("Summarize", {
  payload: { chains: Schema.Array(Schema.String) },
  success: Schema.Struct({
    estimates: Schema.Array(Estimate),
    draws: Schema.Int,
    divergences: Schema.Int,
    acceptance: Schema.Finite
  })
}) {}
export type Summary = typeof Summarize.success.Type

/** What the two that compute show of themselves. */
export const FitProgress = Progress.typed(Fit, Schema.Struct({ loss: Schema.Finite }))
export const SampleProgress = Progress.typed(
  Sample,
  Schema.Struct({ loss: Schema.Finite, divergences: Schema.Int, stepSize: Schema.Finite })
)

export class Analysis extends WorkEngine.Service<Analysis>()("fitting/Analysis", {
  kinds: [Fit, Choose, Sample, Summarize]
}) {}
