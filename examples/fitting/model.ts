/**
 * What is fitted: a decay in two parts, a fast one and a slow one, measured with noise.
 *
 *   y(t) = fastAmplitude * exp(-fastRate * t) + slowAmplitude * exp(-slowRate * t) + noise
 *
 * Sums of exponentials are a classic of bad manners: least squares has local minima and long flat valleys, hence many
 * starts; and the two parts can change places, hence a description in which the fast one is faster by construction.
 */
import { Schema } from "effect"
import { generator } from "./random.ts"

/** What a measurement is made from. It is small, and the same everywhere: a payload holds it instead of its points. */
export const DataSpec = Schema.Struct({ seed: Schema.Int, points: Schema.Int, noise: Schema.Finite })
export type DataSpec = typeof DataSpec.Type

/** Amplitudes in units of the signal, rates per unit of time, the noise's standard deviation in units of the signal. */
export const Parameters = Schema.Struct({
  fastAmplitude: Schema.Finite,
  fastRate: Schema.Finite,
  slowAmplitude: Schema.Finite,
  slowRate: Schema.Finite,
  noise: Schema.Finite
})
export type Parameters = typeof Parameters.Type

export const names = ["fastAmplitude", "fastRate", "slowAmplitude", "slowRate", "noise"] as const

/** What the data are made with. Nothing that fits them knows it; the tests compare with it. */
export const truth = { fastAmplitude: 3, fastRate: 2.5, slowAmplitude: 1.5, slowRate: 0.3 } as const

export interface Measured {
  readonly times: ReadonlyArray<number>
  readonly values: ReadonlyArray<number>
}

/** The curve without noise. */
export const curve =
  ({ fastAmplitude, fastRate, slowAmplitude, slowRate }: Omit<Parameters, "noise">) => (time: number) =>
    fastAmplitude * Math.exp(-fastRate * time) + slowAmplitude * Math.exp(-slowRate * time)

/** The points of a measurement, from time 0 to 10. */
export const measure = ({ noise, points, seed }: DataSpec): Measured => {
  const random = generator(seed)
  const exact = curve(truth)
  const times = Array.from({ length: points }, (_, index) => (10 * index) / (points - 1))
  return { times, values: times.map((time) => exact(time) + noise * random.normal()) }
}

/** A logarithm of a density, and its gradient, which is written into `gradient`. */
export type Density = (position: ArrayLike<number>, gradient: Float64Array) => number

/**
 * Where a sampler moves: all of the plane, instead of positive numbers in order.
 *
 * `[log fastAmplitude, log(fastRate - slowRate), log slowAmplitude, log slowRate, log noise]`
 */
export const toPosition = (parameters: Parameters): Array<number> => [
  Math.log(parameters.fastAmplitude),
  Math.log(parameters.fastRate - parameters.slowRate),
  Math.log(parameters.slowAmplitude),
  Math.log(parameters.slowRate),
  Math.log(parameters.noise)
]

export const fromPosition = (position: ArrayLike<number>): Parameters => {
  const slowRate = Math.exp(position[3]!)
  return {
    fastAmplitude: Math.exp(position[0]!),
    fastRate: slowRate + Math.exp(position[1]!),
    slowAmplitude: Math.exp(position[2]!),
    slowRate,
    noise: Math.exp(position[4]!)
  }
}

/**
 * What is known beforehand: every logarithm is normal around 0, with this standard deviation. That is, hardly anything.
 */
const priorDeviation = 3

/** The logarithm of the posterior density of a position, without its constant. */
export const posterior = ({ times, values }: Measured): Density => (position, gradient) => {
  const { fastAmplitude, fastRate, noise, slowAmplitude, slowRate } = fromPosition(position)
  const difference = fastRate - slowRate
  let [squares, byFast, byDifference, bySlow, byRate] = [0, 0, 0, 0, 0]
  for (let index = 0; index < times.length; index++) {
    const time = times[index]!
    const fast = fastAmplitude * Math.exp(-fastRate * time)
    const slow = slowAmplitude * Math.exp(-slowRate * time)
    const residual = values[index]! - fast - slow
    squares += residual * residual
    byFast += residual * fast
    bySlow += residual * slow
    byDifference -= residual * fast * time * difference
    byRate -= residual * (fast + slow) * time * slowRate
  }
  const precision = 1 / (noise * noise)
  gradient[0] = byFast * precision
  gradient[1] = byDifference * precision
  gradient[2] = bySlow * precision
  gradient[3] = byRate * precision
  gradient[4] = squares * precision - times.length
  let density = -times.length * position[4]! - (squares * precision) / 2
  for (let axis = 0; axis < 5; axis++) {
    const at = position[axis]! / priorDeviation
    density -= (at * at) / 2
    gradient[axis]! -= at / priorDeviation
  }
  return density
}
