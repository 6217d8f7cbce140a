/**
 * A model of the objective over a lattice, learnt from few noisy measurements: a Gaussian process whose kernel is a
 * sum of main effects and of pairwise interactions (additive Gaussian processes: Duvenaud, Nickisch and Rasmussen
 * 2011, arXiv:1112.4394). It is the same prior as a linear model with shrinkage on main effects and, stronger, on
 * interactions (Baptista and Poloczek 2018, arXiv:1806.08838), but its cost depends on the number of measurements and
 * not on the number of interactions.
 *
 * How large effects, interactions and noise are is learnt too, by maximising the marginal likelihood times a weak
 * prior over a small grid (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006: algorithm 2.1 and
 * chapter 5).
 */
import type { Lattice, Point, Step } from "./statisticsLattice.ts"

/** Variances on the scale of the targets: of a main effect, of an interaction, and of one measurement. */
export interface Scales {
  readonly main: number
  readonly pair: number
  readonly noise: number
}

/** What is expected at a point: the value, and the standard deviation of what is not noise. */
export interface Prediction {
  readonly mean: number
  readonly deviation: number
}

/** A place in the lattice from which the expected values of neighbours are found quickly. */
export interface Cursor {
  readonly point: Point
  readonly mean: number
  /** the expected value one step away */
  readonly meanAfter: (step: Step) => number
}

export interface Surrogate {
  readonly scales: Scales
  readonly predict: (point: Point) => Prediction
  readonly cursor: (point: Point) => Cursor
  /**
   * The model after it was told what it expects at these points anyway: means stay, deviations near them shrink (the
   * "kriging believer" of Ginsbourger, Le Riche and Carraro 2010). For what is being measured right now.
   */
  readonly believing: (points: ReadonlyArray<Point>) => Surrogate
}

/** Logarithms of throughputs: effects of about 15 %, interactions a third of that, noise of 3 %. */
const expected: Scales = { main: 0.15 ** 2, pair: 0.1 * 0.15 ** 2, noise: 0.03 ** 2 }

/** The level common to all points is known only roughly beforehand: the mean of the targets, give or take 100 %. */
const intercept = 1

/** How fast likeness falls with distance: levels at the two ends of a parameter are alike by exp(-2) = 0.14. */
const decay = 2

/** What was measured at a point: `target` is what is additive (a logarithm), the median of `count` measurements. */
export interface Observation {
  readonly point: Point
  readonly target: number
  readonly count: number
}

/** The variance of a median, in units of that of one measurement: 1/n for one or two, then tending to pi/2 of that. */
const medianVariance = (count: number): number => count <= 2 ? 1 / count : Math.PI / (2 * count)

/** Fits the model; there must be at least one observation. */
export const fit = (lattice: Lattice, observations: ReadonlyArray<Observation>): Surrogate => {
  const n = observations.length
  const points = observations.map(({ point }) => point)
  const offset = observations.reduce((sum, { target }) => sum + target, 0) / n
  const centered = observations.map(({ target }) => target - offset)
  const variances = observations.map(({ count }) => medianVariance(count))
  const kernel = makeKernel(lattice)
  const sums = new Float64Array(n * n)
  const squares = new Float64Array(n * n)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) [sums[i * n + j], squares[i * n + j]] = kernel.alike(points[i]!, points[j]!)
  }
  const solve = (scales: Scales) => {
    const factor = new Float64Array(n * n)
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) factor[i * n + j] = covariance(scales, sums[i * n + j]!, squares[i * n + j]!)
      factor[i * n + i]! += scales.noise * variances[i]!
    }
    if (!factorize(factor, n)) return undefined
    const half = solveLower(factor, n, centered)
    let score = logPrior(scales)
    for (let i = 0; i < n; i++) score -= half[i]! ** 2 / 2 + Math.log(factor[i * n + i]!)
    return { scales, factor, half, score }
  }
  let best = solve(expected)!
  // Coordinate by coordinate: effects of all orders together, interactions alone, noise.
  for (let round = 0; round < 2; round++) {
    for (const vary of variations) {
      for (const candidate of factors.map((factor) => solve(vary(best.scales, factor)))) {
        if (candidate !== undefined && candidate.score > best.score) best = candidate
      }
    }
  }
  return makeSurrogate(kernel, best.scales, offset, points, best.factor, best.half)
}

const factors = [1 / 4, 1 / 2, 2, 4]

const variations: ReadonlyArray<(scales: Scales, factor: number) => Scales> = [
  (scales, factor) => ({ ...scales, main: scales.main * factor, pair: scales.pair * factor }),
  (scales, factor) => ({ ...scales, pair: scales.pair * factor }),
  (scales, factor) => ({ ...scales, noise: scales.noise * factor })
]

/** Log-normal around what is expected; a factor of e^2 in a variance is one standard deviation. */
const logPrior = ({ main, noise, pair }: Scales): number =>
  -(Math.log(main / expected.main) ** 2 + Math.log(noise / expected.noise) ** 2 +
    Math.log(pair / main / (expected.pair / expected.main)) ** 2) / 8

/** `sum` and `squares`: of the likeness in each dimension, from which the sum over pairs follows (Newton's identity). */
const covariance = ({ main, pair }: Scales, sum: number, squares: number): number =>
  intercept + main * sum + pair * (sum * sum - squares) / 2

interface Kernel {
  readonly dimensions: number
  /** likeness of two levels of a dimension, 0 to 1 */
  readonly likeness: (dimension: number, a: number, b: number) => number
  readonly alike: (a: Point, b: Point) => readonly [sum: number, squares: number]
}

/** Longer tables than this are not worth their memory: what lies further apart is computed. */
const longestTable = 1024

const makeKernel = ({ counts, ordered }: Lattice): Kernel => {
  const rates = counts.map((count, dimension) =>
    ordered[dimension] === true && count > 1 ? decay / (count - 1) : Number.POSITIVE_INFINITY
  )
  const tables = counts.map((count, dimension) =>
    Float64Array.from(
      { length: Math.min(count, longestTable) },
      (_, gap) => gap === 0 ? 1 : Math.exp(-gap * rates[dimension]!)
    )
  )
  const likeness = (dimension: number, a: number, b: number): number => {
    const gap = Math.abs(a - b)
    const table = tables[dimension]!
    return gap < table.length ? table[gap]! : Math.exp(-gap * rates[dimension]!)
  }
  return {
    dimensions: counts.length,
    likeness,
    alike: (a, b) => {
      let sum = 0
      let squares = 0
      for (let i = 0; i < counts.length; i++) {
        const k = likeness(i, a[i]!, b[i]!)
        sum += k
        squares += k * k
      }
      return [sum, squares]
    }
  }
}

const makeSurrogate = (
  kernel: Kernel,
  scales: Scales,
  offset: number,
  points: ReadonlyArray<Point>,
  factor: Float64Array,
  half: Float64Array
): Surrogate => {
  const n = points.length
  const weights = solveUpper(factor, n, half)
  const prior = covariance(scales, kernel.dimensions, kernel.dimensions)
  const column = (point: Point, count: number, others: ReadonlyArray<Point>): Float64Array => {
    const result = new Float64Array(count)
    for (let i = 0; i < count; i++) result[i] = covariance(scales, ...kernel.alike(point, others[i]!))
    return result
  }
  return {
    scales,
    predict: (point) => {
      const near = column(point, n, points)
      let mean = offset
      for (let i = 0; i < n; i++) mean += near[i]! * weights[i]!
      const explained = solveLower(factor, n, near)
      let variance = prior
      for (let i = 0; i < n; i++) variance -= explained[i]! ** 2
      return { mean, deviation: Math.sqrt(Math.max(variance, 0)) }
    },
    cursor: (point) => {
      const sums = new Float64Array(n)
      const squares = new Float64Array(n)
      let mean = offset
      for (let i = 0; i < n; i++) {
        ;[sums[i], squares[i]] = kernel.alike(point, points[i]!)
        mean += covariance(scales, sums[i]!, squares[i]!) * weights[i]!
      }
      return {
        point,
        mean,
        meanAfter: (step) => {
          let result = offset
          for (let i = 0; i < n; i++) {
            let sum = sums[i]!
            let square = squares[i]!
            for (const [dimension, level] of step) {
              const there = points[i]![dimension]!
              const before = kernel.likeness(dimension, point[dimension]!, there)
              const now = kernel.likeness(dimension, level, there)
              sum += now - before
              square += now * now - before * before
            }
            result += covariance(scales, sum, square) * weights[i]!
          }
          return result
        }
      }
    },
    believing: (more) => {
      const all = [...points, ...more]
      const size = all.length
      // The factor grows by a row for each point; that of a smaller matrix is its upper left part.
      const grown = new Float64Array(size * size)
      for (let i = 0; i < n; i++) grown.set(factor.subarray(i * n, i * n + i + 1), i * size)
      for (let m = n; m < size; m++) {
        const near = column(all[m]!, m, all)
        let rest = prior + scales.noise
        for (let i = 0; i < m; i++) {
          let sum = near[i]!
          for (let k = 0; k < i; k++) sum -= grown[i * size + k]! * grown[m * size + k]!
          const value = sum / grown[i * size + i]!
          grown[m * size + i] = value
          rest -= value * value
        }
        // Never below the noise but by rounding.
        grown[m * size + m] = Math.sqrt(Math.max(rest, scales.noise))
      }
      // No surprise at the new points: their part of the solution is zero, and so no mean changes.
      const halves = new Float64Array(size)
      halves.set(half)
      return makeSurrogate(kernel, scales, offset, all, grown, halves)
    }
  }
}

// ---------------------------------------------------------------------------------- triangular systems, by rows

/** Replaces the lower triangle of a matrix by its Cholesky factor; `false` when rounding made it indefinite. */
const factorize = (matrix: Float64Array, n: number): boolean => {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * n + j]!
      for (let k = 0; k < j; k++) sum -= matrix[i * n + k]! * matrix[j * n + k]!
      if (j < i) matrix[i * n + j] = sum / matrix[j * n + j]!
      else if (sum > 0) matrix[i * n + i] = Math.sqrt(sum)
      else return false
    }
  }
  return true
}

const solveLower = (factor: Float64Array, n: number, right: ArrayLike<number>): Float64Array => {
  const result = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    let sum = right[i]!
    for (let k = 0; k < i; k++) sum -= factor[i * n + k]! * result[k]!
    result[i] = sum / factor[i * n + i]!
  }
  return result
}

const solveUpper = (factor: Float64Array, n: number, right: Float64Array): Float64Array => {
  const result = Float64Array.from(right)
  for (let i = n - 1; i >= 0; i--) {
    result[i]! /= factor[i * n + i]!
    for (let k = 0; k < i; k++) result[k]! -= factor[i * n + k]! * result[i]!
  }
  return result
}
