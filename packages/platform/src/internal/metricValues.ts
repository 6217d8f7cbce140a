/**
 * The values of one metric as they come: which of them are warm, which one is the metric, and what all of them tell.
 * Bounded memory, however many there are.
 */
import type { MetricSamples, Take, Warmup } from "../Evidence.ts"

/** How many values are kept where they are needed one by one. */
const keptValues = 1_000_000

/** What is known of values without keeping them. */
class Moments {
  count = 0
  first = 0
  last = 0
  min = Infinity
  max = -Infinity
  private sum = 0
  /** What the sum lost to rounding (Neumaier 1974). */
  private lost = 0
  /** Mean and squared distances from it as they stand (Welford 1962). */
  private runningMean = 0
  private squares = 0

  add(value: number): void {
    if (this.count++ === 0) this.first = value
    this.last = value
    if (value < this.min) this.min = value
    if (value > this.max) this.max = value
    const sum = this.sum + value
    this.lost += Math.abs(this.sum) >= Math.abs(value) ? (this.sum - sum) + value : (value - sum) + this.sum
    this.sum = sum
    const distance = value - this.runningMean
    // Two huge numbers may be further apart than a number can tell.
    this.runningMean += Number.isFinite(distance)
      ? distance / this.count
      : value / this.count - this.runningMean / this.count
    this.squares += distance * (value - this.runningMean)
  }

  total(): number {
    return this.sum + this.lost
  }

  mean(): number {
    const mean = this.total() / this.count
    return Number.isFinite(mean) ? mean : this.runningMean
  }

  standardDeviation(): number | null {
    const deviation = Math.sqrt(this.squares / (this.count - 1))
    return this.count > 1 && Number.isFinite(deviation) ? deviation : null
  }
}

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  // Halved before they are added: two large ones must not overflow.
  return sorted.length % 2 === 1 ? sorted[middle]! : sorted[middle - 1]! / 2 + sorted[middle]! / 2
}

/** The whole number in this part: 29 of 100 and 0.29, though the product of the two is a little less. */
const partOf = (count: number, fraction: number): number => {
  const product = count * fraction
  const nearest = Math.round(product)
  return Math.abs(nearest - product) <= 2 * Number.EPSILON * product ? nearest : Math.floor(product)
}

/** What became of the values. */
export interface Taken {
  /** One, or with `all` as many as are kept; none for a metric without values. May be infinite for a sum. */
  readonly values: ReadonlyArray<number>
  readonly samples: Pick<MetricSamples, "count" | "discarded" | "mean" | "standardDeviation" | "min" | "max">
  /** Values after these were not used, because too many would have had to be kept. */
  readonly kept: number
  readonly given: number
}

/** The values of one metric, as far as its `take` and its warm-up need them. */
export class Values {
  private readonly take: Take
  private readonly warmup: Warmup | undefined
  private readonly keepAtMost: number
  private readonly moments = new Moments()
  private readonly kept: Array<number> = []
  private given = 0
  private discarded = 0

  /** `keepAtMost`: how many values `all` may leave in the record. */
  constructor(take: Take, warmup: Warmup | undefined, keepAtMost: number) {
    this.take = take
    this.warmup = warmup
    this.keepAtMost = take === "all" && warmup?._tag !== "Fraction" ? keepAtMost : keptValues
  }

  /** `field`: the number in the field that the warm-up goes by, where there is one. */
  add(value: number, field?: number): void {
    const { warmup } = this
    if (warmup?._tag === "Values" && this.discarded < warmup.count) this.discarded++
    else if (warmup?._tag === "Until" && !(field !== undefined && field >= warmup.from)) this.discarded++
    else {
      this.given++
      const keep = this.take === "all" || this.take === "median" || warmup?._tag === "Fraction"
      if (keep && this.kept.length < this.keepAtMost) this.kept.push(value)
      // Which part is the first cannot be told before all are there.
      if (warmup?._tag !== "Fraction") this.moments.add(value)
    }
  }

  end(allLimit: number): Taken {
    if (this.warmup?._tag !== "Fraction") return this.result(this.moments, this.kept, this.discarded)
    const discarded = partOf(this.kept.length, this.warmup.fraction)
    const moments = new Moments()
    const warm = this.kept.slice(discarded)
    for (const value of warm) moments.add(value)
    return this.result(moments, this.take === "all" ? warm.slice(0, allLimit) : warm, discarded)
  }

  private result(moments: Moments, kept: ReadonlyArray<number>, discarded: number): Taken {
    const isKept = this.take === "all" || this.take === "median"
    return {
      values: moments.count === 0 ? [] : this.taken(moments, kept),
      samples: {
        count: moments.count,
        discarded,
        mean: moments.mean(),
        standardDeviation: moments.standardDeviation(),
        min: moments.min,
        max: moments.max
      },
      kept: isKept ? kept.length : moments.count,
      given: this.warmup?._tag === "Fraction" ? this.given - discarded : moments.count
    }
  }

  private taken(moments: Moments, kept: ReadonlyArray<number>): ReadonlyArray<number> {
    switch (this.take) {
      case "all":
        return kept
      case "first":
        return [moments.first]
      case "last":
        return [moments.last]
      case "min":
        return [moments.min]
      case "max":
        return [moments.max]
      case "sum":
        return [moments.total()]
      case "mean":
        return [moments.mean()]
      case "median":
        return [median(kept)]
    }
  }
}
