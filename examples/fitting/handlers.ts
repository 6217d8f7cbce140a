/**
 * What does the works. None of these knows whether it runs in a worker: `fitting.worker.ts` provides the first two
 * there, and the tests provide them in their own process.
 */
import { CurrentWork, Step } from "@espalier/engine"
import { Effect, Result, Schema } from "effect"
import { effectiveSize, mean, quantile, splitRHat, variance } from "./diagnostics.ts"
import { Analysis, Choose, Fit, FitProgress, NoFit, Sample, SampleProgress, Summarize } from "./kinds.ts"
import * as LeastSquares from "./leastSquares.ts"
import { fromPosition, measure, names, posterior, toPosition } from "./model.ts"
import * as Sampler from "./sampler.ts"

export const FitLive = Fit.toLayer(
  Effect.fn("Fit")(function*({ data, start }) {
    const measured = measure(data)
    // How far it has come is recorded now and then: a fit that is cut short goes on from there.
    const cursor = yield* Step.cursor("descent", LeastSquares.Descent, LeastSquares.begin(measured, data.seed, start))
    let descent = cursor.current
    while (!descent.isDone) {
      const from = descent
      descent = yield* Effect.try({
        try: () => LeastSquares.descend(measured, from),
        catch: (cause) => new NoFit({ message: `start ${start} leads nowhere: ${String(cause)}` })
      })
      yield* FitProgress.report({ current: descent.iterations, stage: "descent", data: { loss: descent.loss } })
      yield* cursor.advance(descent)
    }
    return descent
  })
)

export const ChooseLive = Choose.toLayer(
  Effect.fn("Choose")(function*({ data, fits, plan }) {
    const outcomes = yield* Effect.forEach(fits, (id) => Effect.result(CurrentWork.outcome(Fit, id)))
    const best = outcomes
      .filter(Result.isSuccess)
      .map(({ success }) => success)
      .reduce<LeastSquares.Descent | undefined>(
        (one, other) => one !== undefined && one.loss <= other.loss ? one : other,
        undefined
      )
    if (best === undefined) return yield* new NoFit({ message: `none of ${fits.length} starts led to a fit` })
    const start = LeastSquares.parametersOf(best)
    const chains = yield* Effect.forEach(
      Array.from({ length: plan.chains }, (_, index) => index + 1),
      (chain) => Analysis.spawn(Sample, { data, start, chain, plan }, { id: `sample/${chain}` })
    )
    yield* Analysis.spawn(Summarize, { chains }, { id: "summary", after: chains })
    return start
  })
)

/** What a recorded block holds: where the chain is afterwards, and what it drew. */
const Block = Schema.Struct({ chain: Sampler.Chain, draws: Schema.Array(Schema.Array(Schema.Finite)) })

const iterationsInABlock = 25

export const SampleLive = Sample.toLayer(
  Effect.fn("Sample")(function*({ chain: number, data, plan, start }) {
    const density = posterior(measure(data))
    let chain = Sampler.begin(density, toPosition(start), plan.warmup, data.seed * 1_000 + number)
    const draws: Array<ReadonlyArray<number>> = []
    const total = plan.warmup + plan.draws
    while (chain.iteration < total) {
      const isWarmup = chain.iteration < plan.warmup
      const stage = isWarmup ? "warmup" : "sampling"
      const from = chain
      const end = Math.min(from.iteration + iterationsInABlock, isWarmup ? plan.warmup : total)
      // A block is a step: what is recorded is not computed again, whatever happens. It is also where a work that is
      // interrupted hears of it: a handler that computes without a break would have to be ended with its worker.
      const block = yield* Step.run(
        `${stage} to ${end}`,
        Block,
        Effect.sync(() => {
          const { chain, draws } = Sampler.advance(density, from, end - from.iteration)
          return { chain, draws: isWarmup ? [] : draws }
        })
      )
      chain = block.chain
      draws.push(...block.draws)
      const { divergences, stepSize } = chain
      yield* SampleProgress.report({
        current: chain.iteration,
        total,
        stage,
        data: { loss: -chain.density / data.points, divergences, stepSize }
      })
    }
    return {
      draws: draws.map((position) => {
        const parameters = fromPosition(position)
        return names.map((name) => parameters[name])
      }),
      divergences: chain.divergences,
      acceptance: chain.acceptance
    }
  })
)

export const SummarizeLive = Summarize.toLayer(
  Effect.fn("Summarize")(function*({ chains }) {
    // It comes after them all, and is skipped when one of them did not succeed: there is nothing to be handled here.
    const found = yield* Effect.orDie(Effect.forEach(chains, (id) => CurrentWork.outcome(Sample, id)))
    return {
      estimates: names.map((name, index) => {
        const each = found.map(({ draws }) => draws.map((draw) => draw[index]!))
        const all = each.flat()
        return {
          name,
          mean: mean(all),
          deviation: Math.sqrt(variance(all)),
          low: quantile(all, 0.05),
          high: quantile(all, 0.95),
          rHat: splitRHat(each),
          effectiveSize: effectiveSize(each)
        }
      }),
      draws: found.reduce((sum, { draws }) => sum + draws.length, 0),
      divergences: found.reduce((sum, { divergences }) => sum + divergences, 0),
      acceptance: mean(found.map(({ acceptance }) => acceptance))
    }
  })
)
