/**
 * Hamiltonian Monte Carlo, as plain functions of data: `advance` takes a chain some iterations further. No library on
 * npm that is still kept up does this, so it is written here, after R. M. Neal, "MCMC using Hamiltonian dynamics"
 * (2011), with the step size adapted as in M. D. Hoffman and A. Gelman, "The No-U-Turn Sampler" (2014), section 3.2.
 *
 * A chain is JSON: it can be recorded after any number of iterations, and goes on from there as if nothing had
 * happened.
 *
 * - Warm-up finds the step size at which `targetAcceptance` of the proposals are taken, and the scale of each axis.
 *   What it draws is thrown away.
 * - Sampling changes nothing of that any more, and keeps every draw.
 *
 * A divergence is a trajectory whose energy is off by more than 1,000: the density bends more sharply there than the
 * step size can follow, so draws near it cannot be trusted.
 */
import { Schema } from "effect"
import type { Density } from "./model.ts"
import { generator } from "./random.ts"

const Numbers = Schema.Array(Schema.Finite)

/** A chain at one moment. */
export const Chain = Schema.Struct({
  position: Numbers,
  /** Iterations so far, warm-up included. */
  iteration: Schema.Int,
  warmup: Schema.Int,
  /** The state of the random numbers. */
  random: Schema.Int,
  stepSize: Schema.Finite,
  /** Variance of each axis, as far as it is known: what the moves are scaled by. */
  variance: Numbers,
  /**
   * The step size's adaptation: iterations since its start, mean shortfall of acceptance, smoothed logarithm, and
   * centre.
   */
  adaptation: Schema.Struct({
    count: Schema.Int,
    shortfall: Schema.Finite,
    logStepSize: Schema.Finite,
    centre: Schema.Finite
  }),
  /** Running mean and sum of squares of the positions of one window of the warm-up. */
  window: Schema.Struct({ count: Schema.Int, mean: Numbers, squares: Numbers }),
  /** Logarithm of the density at the position. */
  density: Schema.Finite,
  /** Of sampling alone. */
  divergences: Schema.Int,
  acceptance: Schema.Finite
})
export type Chain = typeof Chain.Type

const targetAcceptance = 0.85
const divergentEnergy = 1_000
const mostSteps = 64
/** How far a trajectory goes, in standard deviations: about a quarter of a turn. */
const trajectory = 1.6

const restarted = (stepSize: number): Chain["adaptation"] => ({
  count: 0,
  shortfall: 0,
  logStepSize: 0,
  centre: Math.log(10 * stepSize)
})

const empty = (axes: number): Chain["window"] => ({
  count: 0,
  mean: new Array(axes).fill(0),
  squares: new Array(axes).fill(0)
})

/** A chain at its start. */
export const begin = (density: Density, position: ReadonlyArray<number>, warmup: number, seed: number): Chain => ({
  position: [...position],
  iteration: 0,
  warmup,
  random: seed >>> 0,
  stepSize: 0.1,
  variance: position.map(() => 1e-3),
  adaptation: restarted(0.1),
  window: empty(position.length),
  density: density(position, new Float64Array(position.length)),
  divergences: 0,
  acceptance: 0
})

/** Until then only the step size is adapted: the chain may still be on its way. */
const windowStart = (warmup: number): number => Math.floor(warmup / 8)

/**
 * Where the warm-up takes the variance over, in iterations: each window is twice as long as the one before, since a
 * chain with a better scale sees more. The last one takes what is left, but for the end, which is the step size's
 * again.
 */
const windowEnds = (warmup: number): ReadonlyArray<number> => {
  const last = Math.floor((warmup * 5) / 6)
  const ends: Array<number> = []
  let length = 25
  for (let end = windowStart(warmup) + length; end + 2 * length < last; end += length) {
    ends.push(end)
    length *= 2
  }
  return [...ends, last]
}

/** Takes a chain `iterations` further. The draws of its warm-up are among `draws`: who counts them knows how many. */
export const advance = (
  density: Density,
  from: Chain,
  iterations: number
): { readonly chain: Chain; readonly draws: ReadonlyArray<ReadonlyArray<number>> } => {
  const axes = from.position.length
  const random = generator(from.random)
  const gradient = new Float64Array(axes)
  const draws: Array<ReadonlyArray<number>> = []
  let chain = from
  for (let n = 0; n < iterations; n++) {
    const { stepSize, variance } = chain
    const scale = variance.map(Math.sqrt)
    const place = Float64Array.from(chain.position)
    const momentum = Float64Array.from(scale, (deviation) => random.normal() / deviation)
    const kinetic = (): number => momentum.reduce((sum, each, axis) => sum + (each * each * variance[axis]!) / 2, 0)
    const before = kinetic() - density(place, gradient)
    // Of random length, so that no trajectory comes back to where it began again and again.
    const steps = Math.min(mostSteps, Math.max(1, Math.round((trajectory * (0.5 + random.uniform())) / stepSize)))
    let at = 0
    for (let axis = 0; axis < axes; axis++) momentum[axis]! += (stepSize * gradient[axis]!) / 2
    for (let step = 1; step <= steps; step++) {
      for (let axis = 0; axis < axes; axis++) place[axis]! += stepSize * variance[axis]! * momentum[axis]!
      at = density(place, gradient)
      const kick = step === steps ? stepSize / 2 : stepSize
      for (let axis = 0; axis < axes; axis++) momentum[axis]! += kick * gradient[axis]!
    }
    const excess = kinetic() - at - before
    const isDivergent = !(excess < divergentEnergy)
    const probability = isDivergent ? 0 : Math.min(1, Math.exp(-excess))
    const isTaken = random.uniform() < probability
    const position = isTaken ? Array.from(place) : chain.position
    chain = {
      ...(chain.iteration < chain.warmup
        ? adapt(chain, position, probability)
        : sampled(chain, isDivergent, probability)),
      position,
      density: isTaken ? at : chain.density,
      iteration: chain.iteration + 1,
      random: random.state
    }
    draws.push(position)
  }
  return { chain, draws }
}

const sampled = (chain: Chain, isDivergent: boolean, probability: number): Chain => {
  const count = chain.iteration - chain.warmup + 1
  return {
    ...chain,
    divergences: chain.divergences + (isDivergent ? 1 : 0),
    acceptance: chain.acceptance + (probability - chain.acceptance) / count
  }
}

/** One iteration of the warm-up: dual averaging of the step size, and the variance of each axis over a window. */
const adapt = (chain: Chain, position: ReadonlyArray<number>, probability: number): Chain => {
  const { adaptation, iteration, warmup } = chain
  const next = iteration + 1
  const count = adaptation.count + 1
  const weight = 1 / (count + 10)
  const shortfall = (1 - weight) * adaptation.shortfall + weight * (targetAcceptance - probability)
  const logStep = adaptation.centre - (Math.sqrt(count) / 0.05) * shortfall
  const forget = count ** -0.75
  const logStepSize = forget * logStep + (1 - forget) * adaptation.logStepSize
  const ends = windowEnds(warmup)
  const isInWindow = next > windowStart(warmup) && next <= ends.at(-1)!
  const window = isInWindow ? widened(chain.window, position) : chain.window
  // Where the warm-up ends, the smoothed step size takes the place of the one that still swings.
  const stepSize = Math.exp(next === warmup ? logStepSize : logStep)
  if (!ends.includes(next) || window.count < 2) {
    return { ...chain, stepSize, adaptation: { ...adaptation, count, shortfall, logStepSize }, window }
  }
  // Scaled by the new variance, a step of about 1 is right: the search for it begins anew.
  const variance = window.squares.map((squares) => Math.max(squares / (window.count - 1), 1e-12))
  return { ...chain, stepSize: 0.5, variance, adaptation: restarted(0.5), window: empty(position.length) }
}

/** Welford's running mean and sum of squared deviations. */
const widened = ({ count, mean, squares }: Chain["window"], position: ReadonlyArray<number>): Chain["window"] => {
  const next = mean.map((each, axis) => each + (position[axis]! - each) / (count + 1))
  return {
    count: count + 1,
    mean: next,
    squares: squares.map((each, axis) => each + (position[axis]! - mean[axis]!) * (position[axis]! - next[axis]!))
  }
}
