import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  expectedExcess,
  logGamma,
  regularizedBeta,
  studentCritical,
  studentUpperTail
} from "../src/internal/statistics.ts"
import { shuffled, source } from "../src/internal/statisticsRandom.ts"
import { allSets, countSets, drawSet, type Exclusive } from "../src/internal/statisticsSets.ts"

// The same cases on every run.
fc.configureGlobal({ seed: 20_261, numRuns: 60 })

describe("Student's t distribution", () => {
  // Upper critical values for tails 0.10, 0.05, 0.025, 0.01, 0.005: NIST/SEMATECH e-Handbook of Statistical Methods,
  // table 1.3.6.7.2.
  const table: ReadonlyArray<readonly [degrees: number, ...critical: ReadonlyArray<number>]> = [
    [1, 3.078, 6.314, 12.706, 31.821, 63.657],
    [2, 1.886, 2.920, 4.303, 6.965, 9.925],
    [3, 1.638, 2.353, 3.182, 4.541, 5.841],
    [4, 1.533, 2.132, 2.776, 3.747, 4.604],
    [5, 1.476, 2.015, 2.571, 3.365, 4.032],
    [7, 1.415, 1.895, 2.365, 2.998, 3.499],
    [10, 1.372, 1.812, 2.228, 2.764, 3.169],
    [15, 1.341, 1.753, 2.131, 2.602, 2.947],
    [29, 1.311, 1.699, 2.045, 2.462, 2.756],
    [60, 1.296, 1.671, 2.000, 2.390, 2.660],
    [100, 1.290, 1.660, 1.984, 2.364, 2.626]
  ]

  it("has the critical values of the table", () => {
    for (const [degrees, ...values] of table) {
      const found = [0.10, 0.05, 0.025, 0.01, 0.005].map((tail) => studentCritical(tail, degrees))
      expect(found.map((value) => value.toFixed(3)), `${degrees} degrees`).toEqual(
        values.map((value) => value.toFixed(3))
      )
    }
  })

  it("agrees with an independent implementation to 12 digits, far out in the tails too", () => {
    const close = (found: number, wanted: number) => expect(Math.abs(found / wanted - 1)).toBeLessThan(1e-12)
    // Values of SciPy 1.17.
    close(studentCritical(0.025, 3), 3.1824463052837078)
    close(studentCritical(0.0005, 1), 636.6192487687897)
    close(studentCritical(1e-10, 3), 2225.769284683093)
    close(studentUpperTail(30, 3), 4.067640213581979e-05)
    close(studentUpperTail(8, 50), 8.316483014160684e-11)
    close(studentUpperTail(-0.5, 1), 0.6475836176504333)
    close(studentUpperTail(-1, 2.5), 0.7979694863608632)
    close(regularizedBeta(0.3, 0.5, 0.5), 0.36901011956554536)
    close(regularizedBeta(0.9, 10, 0.5), 0.15164090963470994)
    close(regularizedBeta(0.001, 0.5, 5), 0.0777180078990332)
    close(logGamma(0.5), 0.5723649429247)
    close(logGamma(5.25), 3.561375910386697)
    close(logGamma(100.5), 361.43554046777757)
  })

  it("has a tail that is undone by its critical value", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1e-9, max: 0.499, noNaN: true }),
        fc.integer({ min: 1, max: 500 }),
        (tail, degrees) => {
          expect(studentUpperTail(studentCritical(tail, degrees), degrees) / tail).toBeCloseTo(1, 8)
        }
      )
    )
  })

  it("is symmetric, and whole", () => {
    expect(studentUpperTail(0, 4)).toBe(0.5)
    expect(studentUpperTail(Number.POSITIVE_INFINITY, 4)).toBe(0)
    expect(studentUpperTail(1e300, 1)).toBeGreaterThanOrEqual(0)
    fc.assert(
      fc.property(fc.double({ min: -50, max: 50, noNaN: true }), fc.integer({ min: 1, max: 99 }), (t, degrees) => {
        expect(studentUpperTail(t, degrees) + studentUpperTail(-t, degrees)).toBeCloseTo(1, 12)
      })
    )
  })
})

describe("the expected excess over zero", () => {
  it("is what a normal variable gives on average above zero", () => {
    expect(expectedExcess(0, 1)).toBeCloseTo(1 / Math.sqrt(2 * Math.PI), 6)
    expect(expectedExcess(1, 1)).toBeCloseTo(1.0833154705876864, 6)
    expect(expectedExcess(-2, 1)).toBeCloseTo(0.008490702616829, 6)
    expect(expectedExcess(3, 0)).toBe(3)
    expect(expectedExcess(-3, 0)).toBe(0)
  })

  it("is never negative, and grows with the mean", () => {
    fc.assert(fc.property(fc.double({ min: -30, max: 5, noNaN: true }), (mean) => {
      expect(expectedExcess(mean, 1)).toBeGreaterThanOrEqual(0)
      expect(expectedExcess(mean + 0.5, 1)).toBeGreaterThan(expectedExcess(mean, 1))
    }))
  })
})

describe("random numbers from a seed", () => {
  it("are the same for the same seed and others for another", () => {
    const take = (...seed: ReadonlyArray<string | number>) => {
      const random = source(...seed)
      return [...Array(5)].map(() => random.next())
    }
    expect(take("greedy", 1, 7)).toEqual(take("greedy", 1, 7))
    const streams = [take("greedy", 1, 7), take("greedy", 1, 8), take("greedy", 17), take("random", 1, 7), take(1)]
    expect(new Set(streams.map((stream) => stream[0])).size).toBe(5)
  })

  it("are spread as they should be", () => {
    const random = source("spread")
    const uniform = [...Array(5_000)].map(() => random.next())
    const normal = [...Array(5_000)].map(() => random.normal())
    const mean = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length
    expect(Math.min(...uniform)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...uniform)).toBeLessThan(1)
    expect(Math.abs(mean(uniform) - 0.5)).toBeLessThan(0.015)
    expect(Math.abs(mean(normal))).toBeLessThan(0.05)
    expect(Math.abs(mean(normal.map((value) => value ** 2)) - 1)).toBeLessThan(0.08)
  })

  it("shuffle without losing or doubling anything", () => {
    const items = [...Array(30).keys()]
    const order = shuffled(items, source("order"))
    expect(order).not.toEqual(items)
    expect(order.toSorted((a, b) => a - b)).toEqual(items)
  })
})

describe("sets of things that exclude each other", () => {
  const graph = fc.integer({ min: 0, max: 7 }).chain((count) =>
    fc.array(fc.tuple(fc.nat(Math.max(0, count - 1)), fc.nat(Math.max(0, count - 1))), { maxLength: 10 }).map((pairs) =>
      [...Array(count).keys()].map((i): Exclusive => ({
        name: `e${i}`,
        conflicts: new Set(pairs.flatMap(([a, b]) => a === b ? [] : a === i ? [`e${b}`] : b === i ? [`e${a}`] : []))
      }))
    )
  )

  it("are counted as they are listed, none twice, none with a conflict", () => {
    fc.assert(fc.property(graph, (things) => {
      const sets = [...allSets(things)]
      expect(BigInt(sets.length)).toBe(countSets(things))
      expect(new Set(sets.map((set) => set.toSorted().join())).size).toBe(sets.length)
      for (const set of sets) {
        for (const { conflicts, name } of things) {
          if (set.includes(name)) expect(set.some((other) => conflicts.has(other))).toBe(false)
        }
      }
    }))
  })

  it("are counted at once however many there are", () => {
    const free = [...Array(100).keys()].map((i) => ({ name: `e${i}`, conflicts: new Set<string>() }))
    expect(countSets(free)).toBe(1n << 100n)
  })

  it("are drawn with equal probability", () => {
    // A path a - b - c: five sets; drawing edit by edit with a coin would favour some.
    const things = [
      { name: "a", conflicts: new Set(["b"]) },
      { name: "b", conflicts: new Set(["a", "c"]) },
      { name: "c", conflicts: new Set(["b"]) }
    ]
    const random = source("sets")
    const seen = new Map<string, number>()
    for (let i = 0; i < 5_000; i++) {
      const key = drawSet(things, random).toSorted().join()
      seen.set(key, (seen.get(key) ?? 0) + 1)
    }
    expect([...seen.keys()].toSorted()).toEqual(["", "a", "a,c", "b", "c"])
    // 1000 expected of each; 28 is the standard deviation.
    for (const count of seen.values()) expect(Math.abs(count - 1_000)).toBeLessThan(120)
  })
})
