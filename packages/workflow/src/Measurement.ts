/**
 * Noise, and what may be said in spite of it: the summary of an experiment's measurements, and the comparison of a
 * challenger with a champion measured beside it.
 *
 * ## The comparison
 *
 * Challenger and champion run in turns, so that what drifts (heat, other load, caches) hits both: the measurements
 * come in pairs, and each pair gives one ratio. Speeds and times differ by factors, so the analysis is on the
 * logarithms of the ratios: their mean is the logarithm of the geometric mean ratio, and the paired Student's t test
 * of them (Student 1908; Fleming and Wallace 1986 on why ratios are averaged geometrically) treats a speed and its
 * time per sample alike. What is assumed is that the logarithms of the ratios are independent and about normal.
 *
 * Better is a statement with two conditions: the test rejects "not better" at the level, and the gain that was seen is
 * worth having. The first alone would crown a certain gain of 0.1 %, the second alone luck.
 *
 * Rejected: a test on means of unpaired runs (drift looks like a gain); Wilcoxon's signed ranks (with 4 pairs its
 * smallest p-value is 1/16, it can never crown at 0.05); the bootstrap (its intervals are too narrow below 10 pairs).
 */
import { Schema } from "effect"
import { mean, standardDeviation, studentCritical, studentUpperTail } from "./internal/statistics.ts"

/** Whether more or less of a metric is better. */
export const Direction = Schema.Literals(["maximize", "minimize"])
export type Direction = typeof Direction.Type

/** One pair of measurements, taken one after the other, in the unit of the metric. */
export type Pair = readonly [challenger: number, champion: number]

/** The median; of an even number of values the mean of the two in the middle. `null` for none, or one not finite. */
export const median = (values: ReadonlyArray<number>): number | null => {
  if (values.length === 0 || !values.every(Number.isFinite)) return null
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  // Halved before adding: the sum of two large numbers may not be finite.
  return sorted.length % 2 === 1 ? sorted[middle]! : sorted[middle - 1]! / 2 + sorted[middle]! / 2
}

/**
 * What was measured of one experiment.
 *
 * - `median`: in the unit of the metric.
 * - `count`: of the measurements.
 * - `spread`: sample standard deviation divided by the median's size, so 0.03 is 3 %; `null` when it cannot be known
 *   (fewer than two values, or a median of zero).
 */
export interface Summary {
  readonly median: number
  readonly count: number
  readonly spread: number | null
}

/** Summarizes the measurements of one experiment; `null` when there are none, or one is not a finite number. */
export const summarize = (values: ReadonlyArray<number>): Summary | null => {
  const middle = median(values)
  if (middle === null) return null
  const spread = values.length < 2 || middle === 0 ? Number.NaN : standardDeviation(values) / Math.abs(middle)
  return { median: middle, count: values.length, spread: Number.isFinite(spread) ? spread : null }
}

/**
 * How much better `value` is than `reference`, as a fraction: 0.1 is ten per cent more of what is maximised, or a rate
 * ten per cent higher of what is minimised (time 1.1 times shorter). So halving a time and doubling a speed are the
 * same gain. `null` unless both are positive and finite.
 */
export const gainOf = (direction: Direction, value: number, reference: number): number | null => {
  if (!isUsable(value) || !isUsable(reference)) return null
  const ratio = direction === "maximize" ? value / reference : reference / value
  return Math.min(ratio, Number.MAX_VALUE) - 1
}

/** Whether a gain is one, and worth having; the rounding of a quotient does not decide. */
export const isWorthHaving = (gain: number, smallestGain: number): boolean =>
  gain > 0 && gain >= smallestGain * (1 - 1e-9)

const isUsable = (value: number): boolean => Number.isFinite(value) && value > 0

const sign = (direction: Direction): 1 | -1 => direction === "maximize" ? 1 : -1

/** Never infinite: what is stored as JSON must be a number. */
const expClamped = (logarithm: number): number => Math.min(Math.exp(logarithm), Number.MAX_VALUE)

/**
 * What the pairs say.
 *
 * - `Compared`: `ratio` is the geometric mean of challenger / champion in the unit of neither; `low` and `high` bound
 *   it at confidence 1 - `level`, half of the rest on each side; `gain` is the ratio read in the objective's
 *   direction, minus one; `pValue` is the probability, were the challenger not better, of pairs that speak at least
 *   as strongly for it; `verdict` says it in a word:
 *   `better` (both conditions), `small` (surely better, yet less than the smallest gain), `uncertain` (neither is
 *   shown to be better), `worse` (the reverse test rejects at the level).
 * - `Undecided`: the pairs allow no such statement; `reason` says why, `ratio` is the estimate where there is one.
 */
export type Comparison =
  | {
    readonly _tag: "Compared"
    readonly pairs: number
    readonly ratio: number
    readonly low: number
    readonly high: number
    readonly gain: number
    readonly pValue: number
    readonly level: number
    readonly verdict: "better" | "small" | "uncertain" | "worse"
  }
  | {
    readonly _tag: "Undecided"
    readonly pairs: number
    readonly ratio: number | null
    readonly level: number
    readonly reason: string
  }

/** How to compare: direction and smallest gain (relative, 0.02 is 2 %) of the objective, and the level of the test. */
export interface ComparisonOptions {
  readonly direction: Direction
  readonly smallestGain: number
  readonly level: number
}

/**
 * Compares a challenger with a champion by pairs of measurements taken in turns.
 *
 * With pairs that all have the same ratio (a deterministic measurement) there is no noise to test against: the
 * interval is the ratio itself and the p-value is 0 or 1. Fewer than two pairs, or a value that is not positive and
 * finite, give `Undecided`: a ratio of such values means nothing. The result never holds NaN or an infinity.
 *
 * @example
 * ```ts
 * import assert from "node:assert"
 * import { Measurement } from "@espalier/workflow"
 *
 * const comparison = Measurement.compare(
 *   [[118, 100], [121, 102], [117, 99], [123, 101]],
 *   { direction: "maximize", smallestGain: 0.02, level: 0.05 }
 * )
 * assert(comparison._tag === "Compared")
 * assert.equal(comparison.verdict, "better")
 * assert(comparison.low > 1.15 && comparison.high < 1.23)
 * ```
 */
export const compare = (pairs: ReadonlyArray<Pair>, options: ComparisonOptions): Comparison => {
  const { level } = options
  const undecided = (ratio: number | null, reason: string): Comparison => ({
    _tag: "Undecided",
    pairs: pairs.length,
    ratio,
    level,
    reason
  })
  if (!(level > 0 && level < 1)) {
    return undecided(null, `the level must lie between 0 and 1, not be ${level}`)
  }
  for (const [index, pair] of pairs.entries()) {
    const bad = pair.findIndex((value) => !isUsable(value))
    if (bad === -1) continue
    return undecided(
      null,
      `the ${bad === 0 ? "challenger" : "champion"} measured ${pair[bad]} in pair ${
        index + 1
      }; a ratio needs values that are positive and finite`
    )
  }
  if (pairs.length === 0) return undecided(null, "no pair was measured; at least 2 are needed")
  const logarithms = pairs.map(([challenger, champion]) => Math.log(challenger) - Math.log(champion))
  const center = mean(logarithms)
  const ratio = expClamped(center)
  if (pairs.length === 1) {
    return undecided(ratio, "one pair does not show how much the ratio varies; at least 2 are needed")
  }

  const degrees = pairs.length - 1
  const error = standardError(logarithms)
  const towardsBetter = center * sign(options.direction)
  const margin = error === 0 ? 0 : studentCritical(level / 2, degrees) * error
  const pValue = error === 0 ? (towardsBetter > 0 ? 0 : 1) : studentUpperTail(towardsBetter / error, degrees)
  const pWorse = error === 0 ? (towardsBetter < 0 ? 0 : 1) : studentUpperTail(-towardsBetter / error, degrees)
  const gain = expClamped(towardsBetter) - 1
  return {
    _tag: "Compared",
    pairs: pairs.length,
    ratio,
    low: expClamped(center - margin),
    high: expClamped(center + margin),
    gain,
    pValue,
    level,
    verdict: pValue <= level
      ? (isWorthHaving(gain, options.smallestGain) ? "better" : "small")
      : pWorse <= level
      ? "worse"
      : "uncertain"
  }
}

/** Of the mean. Differences that are only the rounding of the logarithms count as none. */
const standardError = (logarithms: ReadonlyArray<number>): number => {
  const error = standardDeviation(logarithms) / Math.sqrt(logarithms.length)
  return error <= 8 * Number.EPSILON * Math.max(1, ...logarithms.map(Math.abs)) ? 0 : error
}

/** A comparison in one sentence for people. */
export const describe = (comparison: Comparison): string => {
  if (comparison._tag === "Undecided") return `undecided: ${comparison.reason}`
  const percent = (value: number): string => `${(value * 100).toFixed(1)} %`
  const { gain, high, low, pValue, pairs, ratio, verdict } = comparison
  const numbers = `ratio ${ratio.toFixed(3)} (${percent(1 - comparison.level)} interval ${low.toFixed(3)} to ${
    high.toFixed(3)
  }, p ${pValue < 0.0005 ? "< 0.0005" : `= ${pValue.toFixed(3)}`}, ${pairs} pairs)`
  switch (verdict) {
    case "better":
      return `better by ${percent(gain)}: ${numbers}`
    case "small":
      return `better by ${percent(gain)}, which is less than is worth having: ${numbers}`
    case "worse":
      return `worse: ${numbers}`
    case "uncertain":
      return `not shown to be better: ${numbers}`
  }
}
