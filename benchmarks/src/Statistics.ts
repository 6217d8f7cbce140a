/** Order statistics of a few numbers. */

/** The q-quantile (0 to 1) by linear interpolation between the two nearest values. */
export const quantile = (values: ReadonlyArray<number>, q: number): number => {
  if (values.length === 0) throw new Error("no values")
  const sorted = values.toSorted((a, b) => a - b)
  const position = (sorted.length - 1) * q
  const below = Math.floor(position)
  const low = sorted[below]!
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!
  return low + (high - low) * (position - below)
}

export const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

/** The median of some runs, with how far they lie apart. */
export interface Spread {
  readonly value: number
  readonly min: number
  readonly max: number
  readonly runs: number
}

export const spread = (values: ReadonlyArray<number>): Spread => ({
  value: median(values),
  min: Math.min(...values),
  max: Math.max(...values),
  runs: values.length
})
