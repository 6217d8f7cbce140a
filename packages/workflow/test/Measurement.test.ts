import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { source } from "../src/internal/statisticsRandom.ts"
import * as Measurement from "../src/Measurement.ts"

// The same cases on every run.
fc.configureGlobal({ seed: 20_261, numRuns: 60 })

const maximize = { direction: "maximize", smallestGain: 0.02, level: 0.05 } as const
const minimize = { ...maximize, direction: "minimize" } as const

const compared = (pairs: ReadonlyArray<Measurement.Pair>, options: Measurement.ComparisonOptions = maximize) => {
  const comparison = Measurement.compare(pairs, options)
  if (comparison._tag !== "Compared") throw new Error(comparison.reason)
  return comparison
}

const positive = fc.double({ min: 1e-3, max: 1e6, noNaN: true })
const pairsOf = (min: number) => fc.array(fc.tuple(positive, positive), { minLength: min, maxLength: 8 })

describe("the summary of a node", () => {
  it("is median, count and relative spread", () => {
    expect(Measurement.summarize([3, 1, 2])).toEqual({ median: 2, count: 3, spread: 0.5 })
    expect(Measurement.summarize([4, 1, 2, 3])!.median).toBe(2.5)
    expect(Measurement.summarize([-2, -4])).toEqual({ median: -3, count: 2, spread: Math.SQRT2 / 3 })
  })

  it("has no spread where none can be known", () => {
    expect(Measurement.summarize([5])).toEqual({ median: 5, count: 1, spread: null })
    expect(Measurement.summarize([-1, 0, 1])).toEqual({ median: 0, count: 3, spread: null })
    expect(Measurement.summarize([1e308, 1.5e308])).toEqual({ median: 1.25e308, count: 2, spread: null })
  })

  it("does not exist without usable numbers", () => {
    expect(Measurement.summarize([])).toBe(null)
    expect(Measurement.summarize([1, Number.NaN])).toBe(null)
    expect(Measurement.median([1, Number.POSITIVE_INFINITY])).toBe(null)
  })

  it("does not depend on the order, nor change what it is given", () => {
    fc.assert(fc.property(fc.array(positive, { minLength: 1 }), (values) => {
      const before = [...values]
      expect(Measurement.median(values)).toBe(Measurement.median(values.toReversed()))
      expect(values).toEqual(before)
    }))
  })
})

describe("a gain", () => {
  it("is the same for a speed doubled and a time halved", () => {
    expect(Measurement.gainOf("maximize", 200, 100)).toBeCloseTo(1, 12)
    expect(Measurement.gainOf("minimize", 50, 100)).toBeCloseTo(1, 12)
    expect(Measurement.gainOf("maximize", 90, 100)).toBeCloseTo(-0.1, 12)
  })

  it("is worth having from the smallest gain on, exactly", () => {
    expect(Measurement.isWorthHaving(Measurement.gainOf("maximize", 102, 100)!, 0.02)).toBe(true)
    expect(Measurement.isWorthHaving(Measurement.gainOf("maximize", 101.9, 100)!, 0.02)).toBe(false)
    expect(Measurement.isWorthHaving(0, 0)).toBe(false)
    expect(compared([[102, 100], [51, 50]]).verdict).toBe("better")
  })

  it("does not exist for values that have no ratio", () => {
    for (const value of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(Measurement.gainOf("maximize", value, 1)).toBe(null)
      expect(Measurement.gainOf("maximize", 1, value)).toBe(null)
    }
  })
})

describe("a comparison of pairs", () => {
  it("is the paired t test of the logarithms", () => {
    // Worked out with SciPy: ttest_1samp(log(c / d), 0, alternative="greater") and its 95 % interval.
    const comparison = compared([[118, 100], [121, 102], [117, 99], [123, 101]])
    expect(comparison.ratio).toBeCloseTo(1.19138027, 8)
    expect(comparison.low).toBeCloseTo(1.16364578, 8)
    expect(comparison.high).toBeCloseTo(1.21977578, 8)
    expect(comparison.pValue).toBeCloseTo(8.272623e-05, 10)
    expect(comparison.gain).toBeCloseTo(0.19138027, 8)
    expect(comparison.verdict).toBe("better")
  })

  it("needs both: a surely better challenger, and a gain worth having", () => {
    expect(compared([[101, 100], [101.1, 100], [100.9, 100], [101, 100]]).verdict).toBe("small")
    expect(compared([[130, 100], [80, 100], [140, 100], [90, 100]]).verdict).toBe("uncertain")
    expect(compared([[110, 100], [111, 100], [109, 100], [110, 100]]).verdict).toBe("better")
    expect(compared([[90, 100], [91, 100], [89, 100], [90, 100]]).verdict).toBe("worse")
  })

  it("reads in the direction of the objective", () => {
    const pairs: ReadonlyArray<Measurement.Pair> = [[90, 100], [91, 100], [89, 100], [90, 100]]
    expect(compared(pairs, minimize).verdict).toBe("better")
    expect(compared(pairs, minimize).gain).toBeCloseTo(1 / 0.9 - 1, 3)
  })

  it("says the same of a speed and of its time", () => {
    fc.assert(fc.property(pairsOf(2), (pairs) => {
      const speed = compared(pairs)
      const time = compared(pairs.map(([a, b]) => [1 / a, 1 / b]), minimize)
      expect(time.pValue).toBeCloseTo(speed.pValue, 9)
      expect(time.verdict).toBe(speed.verdict)
      expect(Math.log(time.ratio)).toBeCloseTo(-Math.log(speed.ratio), 9)
    }))
  })

  it("does not depend on the unit", () => {
    fc.assert(fc.property(pairsOf(2), fc.double({ min: 1e-6, max: 1e6, noNaN: true }), (pairs, unit) => {
      const plain = compared(pairs)
      const scaled = compared(pairs.map(([a, b]) => [a * unit, b * unit]))
      expect(scaled.pValue).toBeCloseTo(plain.pValue, 6)
      expect(Math.log(scaled.ratio)).toBeCloseTo(Math.log(plain.ratio), 8)
    }))
  })

  it("is turned round when the two are swapped", () => {
    fc.assert(fc.property(pairsOf(2), (pairs) => {
      const forth = compared(pairs)
      const back = compared(pairs.map(([a, b]) => [b, a]))
      expect(Math.log(back.ratio)).toBeCloseTo(-Math.log(forth.ratio), 9)
      expect(Math.log(back.low)).toBeCloseTo(-Math.log(forth.high), 6)
      if (forth.low !== forth.high) expect(back.pValue).toBeCloseTo(1 - forth.pValue, 9)
      expect(forth.verdict === "better" && back.verdict === "better").toBe(false)
    }))
  })

  it("is certain when there is no noise at all", () => {
    const same = compared([[110, 100], [220, 200], [55, 50]])
    expect(same).toMatchObject({ pValue: 0, verdict: "better" })
    expect(same.low).toBe(same.high)
    expect(compared([[100, 100], [7, 7]])).toMatchObject({ ratio: 1, low: 1, high: 1, pValue: 1, verdict: "uncertain" })
    expect(compared([[1, 2], [1, 2]])).toMatchObject({ ratio: 0.5, pValue: 1, verdict: "worse" })
  })

  it("is undecided, and says why, where the pairs allow no statement", () => {
    const reasonOf = (pairs: ReadonlyArray<Measurement.Pair>, options = maximize) => {
      const comparison = Measurement.compare(pairs, options)
      return comparison._tag === "Undecided" ? comparison.reason : comparison.verdict
    }
    expect(reasonOf([])).toMatch(/no pair was measured/)
    expect(reasonOf([[110, 100]])).toMatch(/one pair does not show/)
    expect(reasonOf([[110, 100], [110, 0]])).toMatch(/the champion measured 0 in pair 2/)
    expect(reasonOf([[Number.NaN, 100], [110, 100]])).toMatch(/the challenger measured NaN in pair 1/)
    expect(reasonOf([[-5, 100], [110, 100]])).toMatch(/the challenger measured -5 in pair 1/)
    expect(reasonOf([[1, 2], [1, 2]], { ...maximize, level: 0 } as never)).toMatch(
      /level must lie between 0 and 1, not be 0/
    )
    expect(Measurement.compare([[110, 100]], maximize).ratio).toBeCloseTo(1.1, 12)
  })

  it("never holds NaN or an infinity, whatever was measured", () => {
    const any = fc.oneof(fc.double(), fc.constantFrom(0, 1, Number.MIN_VALUE, Number.MAX_VALUE))
    fc.assert(fc.property(fc.array(fc.tuple(any, any), { maxLength: 5 }), (pairs) => {
      for (const [name, value] of Object.entries(Measurement.compare(pairs, maximize))) {
        if (typeof value === "number") expect(Number.isFinite(value), name).toBe(true)
      }
    }))
  })

  it("is wrong about equals as often as its level says, and its interval holds the truth as often as it claims", () => {
    const random = source("type I error")
    const runs = 3_000
    let rejected = 0
    let covered = 0
    for (let run = 0; run < runs; run++) {
      const noisy = () => 100 * Math.exp(0.03 * random.normal())
      const { high, low, pValue } = compared([...Array(4)].map(() => [noisy(), noisy()] as const))
      if (pValue <= 0.05) rejected += 1
      if (low <= 1 && 1 <= high) covered += 1
    }
    // One standard deviation is 0.004.
    expect(Math.abs(rejected / runs - 0.05)).toBeLessThan(0.014)
    expect(Math.abs(covered / runs - 0.95)).toBeLessThan(0.014)
  })

  it("reads as a sentence", () => {
    expect(Measurement.describe(compared([[118, 100], [121, 102], [117, 99], [123, 101]]))).toMatch(
      /^better by 19\.1 %: ratio 1\.191 \(95\.0 % interval 1\.\d+ to 1\.\d+, p < 0\.0005, 4 pairs\)$/
    )
    expect(Measurement.describe(Measurement.compare([], maximize))).toMatch(/^undecided: no pair/)
  })
})
