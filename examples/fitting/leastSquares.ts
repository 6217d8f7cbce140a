/**
 * Least squares from one start, with the Levenberg-Marquardt method of `ml-levenberg-marquardt`, some iterations at a
 * time.
 */
import { Schema } from "effect"
import { levenbergMarquardt } from "ml-levenberg-marquardt"
import { curve, type Measured, type Parameters } from "./model.ts"
import { generator } from "./random.ts"

/** How far a fit has come. `free` are the four parameters of the curve; `loss` is the mean of the squared residuals. */
export const Descent = Schema.Struct({
  free: Schema.Array(Schema.Finite),
  loss: Schema.Finite,
  iterations: Schema.Int,
  isDone: Schema.Boolean
})
export type Descent = typeof Descent.Type

const iterationsAtATime = 5
const mostIterations = 300

const named = (free: ReadonlyArray<number>): Omit<Parameters, "noise"> => ({
  fastAmplitude: free[0]!,
  fastRate: free[1]!,
  slowAmplitude: free[2]!,
  slowRate: free[3]!
})

const lossOf = ({ times, values }: Measured, free: ReadonlyArray<number>): number => {
  const model = curve(named(free))
  return times.reduce((sum, time, index) => sum + (values[index]! - model(time)) ** 2, 0) / times.length
}

/** Start number `start` of a data set: amplitudes and rates anywhere within three orders of magnitude. */
export const begin = (measured: Measured, seed: number, start: number): Descent => {
  const random = generator(seed * 1_000 + start)
  const free = Array.from({ length: 4 }, () => 10 ** (random.uniform() * 3 - 1.5))
  return { free, loss: lossOf(measured, free), iterations: 0, isDone: false }
}

/** Goes on with a fit for some iterations. Throws where the method's matrix is singular: such a start leads nowhere. */
export const descend = (measured: Measured, from: Descent): Descent => {
  const { parameterValues } = levenbergMarquardt(
    { x: measured.times, y: measured.values },
    ([a = 0, b = 0, c = 0, d = 0]) => curve(named([a, b, c, d])),
    {
      initialValues: from.free,
      minValues: [1e-3, 1e-3, 1e-3, 1e-3],
      maxValues: [1e3, 1e3, 1e3, 1e3],
      damping: 1e-2,
      maxIterations: iterationsAtATime,
      errorTolerance: 0,
      // Derivatives are known, so no differences have to be taken.
      jacobianFunction: ([a = 0, b = 0, c = 0, d = 0]) => (time) => {
        const fast = Math.exp(-b * time)
        const slow = Math.exp(-d * time)
        return [fast, -a * time * fast, slow, -c * time * slow]
      }
    }
  )
  const loss = lossOf(measured, parameterValues)
  const iterations = from.iterations + iterationsAtATime
  const isBetter = loss < from.loss
  return {
    free: isBetter ? parameterValues : from.free,
    loss: Math.min(loss, from.loss),
    iterations,
    isDone: from.loss - loss <= 1e-9 * from.loss || iterations >= mostIterations
  }
}

/** The parameters that a fit has found, the faster part first. */
export const parametersOf = ({ free, loss }: Descent): Parameters => {
  const { fastAmplitude, fastRate, slowAmplitude, slowRate } = named(free)
  const noise = Math.sqrt(loss)
  return fastRate > slowRate
    ? { fastAmplitude, fastRate, slowAmplitude, slowRate, noise }
    : { fastAmplitude: slowAmplitude, fastRate: slowRate, slowAmplitude: fastAmplitude, slowRate: fastRate, noise }
}
