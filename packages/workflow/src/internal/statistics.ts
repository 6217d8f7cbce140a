/**
 * The little statistics that `Measurement` needs: Student's t distribution, and means.
 *
 * Why not a library: the one that is well kept, `@stdlib/stats-base-dists-t-quantile` 0.2.3, installs 232 packages
 * (27 MB); `jstat` 1.9.6 has no types and is right to 9 digits only. What is needed fits on a page and is tested
 * against published tables.
 *
 * Formulas are cited from the NIST Digital Library of Mathematical Functions (https://dlmf.nist.gov).
 */

/** B(2k) / (2k (2k - 1)), k = 1..7: Stirling's series of the logarithm of gamma, DLMF 5.11.1. */
const stirling = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156]

/** The natural logarithm of the gamma function for `x` > 0. */
export const logGamma = (x: number): number => {
  // The series is exact to the last bit from 10 on; gamma(x + 1) = x gamma(x) leads there (DLMF 5.5.1).
  let shift = 0
  let z = x
  for (; z < 10; z++) shift += Math.log(z)
  let series = 0
  let power = 1 / z
  for (const coefficient of stirling) {
    series += coefficient * power
    power /= z * z
  }
  return (z - 0.5) * Math.log(z) - z + 0.5 * Math.log(2 * Math.PI) + series - shift
}

/** Keeps a denominator of the continued fraction from being zero. */
const away = (value: number): number => Math.abs(value) < 1e-300 ? 1e-300 : value

/**
 * The regularized incomplete beta function I_x(a, b), 0 <= x <= 1, a and b > 0: the continued fraction DLMF 8.17.22,
 * evaluated by the modified Lentz method (DLMF 3.10(iii)), on the side where it converges fast.
 *
 * @param y 1 - x: given apart, because near 1 the difference would lose the digits that matter
 */
export const regularizedBeta = (x: number, a: number, b: number, y = 1 - x): number => {
  if (x <= 0) return 0
  if (y <= 0) return 1
  if (x > (a + 1) / (a + b + 2)) return 1 - regularizedBeta(y, b, a, x)
  const front = Math.exp(a * Math.log(x) + b * Math.log(y) + logGamma(a + b) - logGamma(a) - logGamma(b)) / a
  let c = 1
  let d = 1 / away(1 - ((a + b) * x) / (a + 1))
  let fraction = d
  // The number of terms grows with the square root of max(a, b): 10,000 is enough for a million degrees of freedom.
  for (let m = 1; m < 10_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
    d = 1 / away(1 + even * d)
    c = away(1 + even / c)
    fraction *= d * c
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / away(1 + odd * d)
    c = away(1 + odd / c)
    fraction *= d * c
    if (Math.abs(d * c - 1) < 1e-15) break
  }
  return front * fraction
}

/** P(T > t) for Student's t with `degrees` > 0 of freedom: I_x(degrees / 2, 1/2) / 2 at x = degrees / (degrees + t^2). */
export const studentUpperTail = (t: number, degrees: number): number => {
  if (t < 0) return 1 - studentUpperTail(-t, degrees)
  // The smaller of t^2 and degrees is divided by the other, so that no t overflows or loses its digits.
  const small = t * t <= degrees ? (t * t) / degrees : degrees / t / t
  const [x, y] = t * t <= degrees ? [1 / (1 + small), small / (1 + small)] : [small / (1 + small), 1 / (1 + small)]
  return 0.5 * regularizedBeta(x, degrees / 2, 0.5, y)
}

/**
 * The t with P(T > t) = `tail`, for 0 < `tail` <= 0.5: bisection on the logarithm of t. Two hundred halvings of the
 * bracket reach the last bit whatever the degrees of freedom; nothing here is called often enough to want Newton.
 */
export const studentCritical = (tail: number, degrees: number): number => {
  if (tail >= 0.5) return 0
  let low = -50
  let high = 300
  for (let i = 0; i < 200 && low < high; i++) {
    const middle = (low + high) / 2
    if (middle === low || middle === high) break
    if (studentUpperTail(Math.exp(middle), degrees) > tail) low = middle
    else high = middle
  }
  return Math.exp((low + high) / 2)
}

/** The arithmetic mean; the list must not be empty. */
export const mean = (values: ReadonlyArray<number>): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

/** The unbiased sample standard deviation (n - 1); needs two values. */
export const standardDeviation = (values: ReadonlyArray<number>): number => {
  const center = mean(values)
  return Math.sqrt(values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1))
}

const normalDensity = (z: number): number => Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)

/** The standard normal distribution function: Abramowitz and Stegun 26.2.17, wrong by less than 1e-7. */
const normalBelow = (z: number): number => {
  const t = 1 / (1 + 0.2316419 * Math.abs(z))
  const series = 0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429)))
  const tail = normalDensity(z) * t * series
  return z >= 0 ? 1 - tail : tail
}

/**
 * The expected amount by which a normal variable exceeds zero (expected improvement: Jones, Schonlau and Welch 1998).
 * Never negative. Far below zero the first term of its asymptotic series is used, where the difference of two nearly
 * equal numbers would be noise.
 */
export const expectedExcess = (mean: number, deviation: number): number => {
  if (deviation === 0) return Math.max(mean, 0)
  const z = mean / deviation
  return deviation * (z < -4 ? normalDensity(z) / (z * z) : z * normalBelow(z) + normalDensity(z))
}
