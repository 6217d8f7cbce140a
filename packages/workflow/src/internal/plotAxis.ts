/**
 * Axes with numbers a person would have chosen (Heckbert, "Nice numbers for graph labels", Graphics Gems, 1990).
 */

/** Multiples of 1, 2 or 5 times a power of ten that cover the range in about `target` steps. */
export const ticks = (low: number, high: number, target: number): ReadonlyArray<number> => {
  const span = high - low
  if (!(span > 0) || !Number.isFinite(span)) return [low]
  const rough = span / Math.max(1, target)
  const power = 10 ** Math.floor(Math.log10(rough))
  const fraction = rough / power
  const step = (fraction < 1.5 ? 1 : fraction < 3 ? 2 : fraction < 7 ? 5 : 10) * power
  const first = Math.ceil(low / step - 1e-9)
  const last = Math.floor(high / step + 1e-9)
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => {
    const value = (first + i) * step
    // 0.1 + 0.2: the step is a decimal number, so its multiples are made decimal again.
    return Number(value.toPrecision(12))
  })
}

/** Whole numbers only: for counting things. */
export const wholeTicks = (low: number, high: number, target: number): ReadonlyArray<number> =>
  ticks(low, high, Math.min(target, Math.max(1, high - low))).filter(Number.isInteger)

/** A linear map from data to pixels. */
export const scale = (from: readonly [number, number], to: readonly [number, number]) => (value: number): number =>
  from[1] === from[0] ? (to[0] + to[1]) / 2 : to[0] + ((value - from[0]) / (from[1] - from[0])) * (to[1] - to[0])

/** 1, 2 and 5 in every decade of a logarithmic axis; only the powers of ten when there are many. */
export const logTicks = (low: number, high: number): ReadonlyArray<number> => {
  const decades = Array.from(
    { length: Math.ceil(Math.log10(high)) - Math.floor(Math.log10(low)) + 1 },
    (_, i) => Math.floor(Math.log10(low)) + i
  )
  const factors = decades.length > 5 ? [1] : [1, 2, 5]
  return decades.flatMap((power) => factors.map((factor) => Number((factor * 10 ** power).toPrecision(12)))).filter((
    value
  ) => value >= low && value <= high)
}
