/** The numerics, each held against something that is known. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as fc from "fast-check"
import { effectiveSize, mean, quantile, splitRHat, variance } from "../diagnostics.ts"
import * as LeastSquares from "../leastSquares.ts"
import { type Density, fromPosition, measure, posterior, toPosition, truth } from "../model.ts"
import { generator } from "../random.ts"
import * as Sampler from "../sampler.ts"

const data = { seed: 7, points: 400, noise: 0.05 }

const fit = (start: number): LeastSquares.Descent => {
  const measured = measure(data)
  let descent = LeastSquares.begin(measured, data.seed, start)
  while (!descent.isDone) descent = LeastSquares.descend(measured, descent)
  return descent
}

describe("random numbers", () => {
  it("go on from a recorded state as if nothing had happened", () => {
    const whole = generator(3)
    const first = Array.from({ length: 5 }, whole.normal)
    const rest = Array.from({ length: 5 }, whole.normal)
    const again = generator(3)
    assert.deepStrictEqual(Array.from({ length: 5 }, again.normal), first)
    assert.deepStrictEqual(Array.from({ length: 5 }, generator(again.state).normal), rest)
  })

  it("are uniform and normal: mean, deviation and tails are right", () => {
    const random = generator(11)
    const draws = Array.from({ length: 100_000 }, random.normal)
    assert.closeTo(mean(draws), 0, 0.015)
    assert.closeTo(variance(draws), 1, 0.02)
    assert.closeTo(quantile(draws, 0.975), 1.96, 0.03)
    assert.closeTo(mean(Array.from({ length: 100_000 }, random.uniform)), 0.5, 0.005)
  })
})

describe("the posterior", () => {
  const density = posterior(measure(data))

  it("has the gradient that differences of it have", () => {
    const parameter = fc.double({ min: 0.2, max: 4, noNaN: true })
    fc.assert(fc.property(parameter, parameter, parameter, parameter, parameter, (a, b, c, d, noise) => {
      const position = toPosition({ fastAmplitude: a, fastRate: b + d, slowAmplitude: c, slowRate: d, noise })
      const gradient = new Float64Array(5)
      density(position, gradient)
      for (let axis = 0; axis < 5; axis++) {
        const beside = (shift: number) =>
          density(position.map((at, n) => n === axis ? at + shift : at), new Float64Array(5))
        const difference = (beside(1e-5) - beside(-1e-5)) / 2e-5
        assert.closeTo(gradient[axis]!, difference, 1e-4 * Math.max(1, Math.abs(difference)))
      }
    }))
  })

  it("is over positions that are parameters, and back", () => {
    const parameters = { ...truth, noise: 0.1 }
    const back = fromPosition(toPosition(parameters))
    for (const [name, value] of Object.entries(parameters)) {
      assert.closeTo(back[name as keyof typeof back], value, 1e-12)
    }
  })
})

describe("least squares", () => {
  it("finds the truth within the noise from a good start, and the two parts in order", () => {
    const found = LeastSquares.parametersOf(fit(1))
    assert.closeTo(found.fastAmplitude, truth.fastAmplitude, 0.1)
    assert.closeTo(found.fastRate, truth.fastRate, 0.15)
    assert.closeTo(found.slowAmplitude, truth.slowAmplitude, 0.05)
    assert.closeTo(found.slowRate, truth.slowRate, 0.02)
    assert.closeTo(found.noise, data.noise, 0.005)
  })

  it("needs more than one start: some end in a valley, and most at the same best", () => {
    const losses = Array.from({ length: 24 }, (_, start) => fit(start + 1).loss)
    const best = Math.min(...losses)
    const good = losses.filter((loss) => loss < best * 1.0001).length
    assert.isAbove(good, 12)
    assert.isBelow(good, 24)
  })

  it("never gets worse on its way", () => {
    const measured = measure(data)
    let descent = LeastSquares.begin(measured, data.seed, 5)
    while (!descent.isDone) {
      const next = LeastSquares.descend(measured, descent)
      assert.isAtMost(next.loss, descent.loss)
      descent = next
    }
  })
})

/** A normal density with these deviations, one axis for each, and a correlation between the first two. */
const normal = (deviations: ReadonlyArray<number>, correlation = 0): Density => (position, gradient) => {
  const z = deviations.map((deviation, axis) => position[axis]! / deviation)
  const determinant = 1 - correlation * correlation
  deviations.forEach((deviation, axis) => {
    const other = axis === 0 ? 1 : axis === 1 ? 0 : undefined
    const pull = other === undefined ? z[axis]! : (z[axis]! - correlation * z[other]!) / determinant
    gradient[axis] = -pull / deviation
  })
  const pair = (z[0]! ** 2 - 2 * correlation * z[0]! * z[1]! + z[1]! ** 2) / determinant
  return -(pair + z.slice(2).reduce((sum, each) => sum + each * each, 0)) / 2
}

const drawn = (density: Density, start: ReadonlyArray<number>, seed: number) => {
  const warm = Sampler.advance(density, Sampler.begin(density, start, 600, seed), 600).chain
  return Sampler.advance(density, warm, 4_000)
}

describe("the sampler", () => {
  it("draws from a density whose moments are known, on axes of different scales", () => {
    const deviations = [0.05, 1, 5]
    const density = normal(deviations, 0.6)
    const chains = [1, 2].map((seed) => drawn(density, [0.1, -1, 3], seed))
    for (const [axis, deviation] of deviations.entries()) {
      const each = chains.map(({ draws }) => draws.map((draw) => draw[axis]!))
      const all = each.flat()
      assert.isBelow(splitRHat(each), 1.01)
      assert.isAbove(effectiveSize(each), 1_000)
      assert.closeTo(mean(all) / deviation, 0, 0.1)
      assert.closeTo(Math.sqrt(variance(all)) / deviation, 1, 0.06)
      assert.closeTo(quantile(all, 0.95) / deviation, 1.645, 0.12)
    }
    const all = chains.flatMap(({ draws }) => draws)
    assert.closeTo(mean(all.map((draw) => draw[0]! * draw[1]!)) / (0.05 * 1), 0.6, 0.08)
    assert.strictEqual(chains[0]!.chain.divergences, 0)
    assert.isAbove(chains[0]!.chain.acceptance, 0.7)
  })

  it("counts divergences where a density bends too sharply", () => {
    // A funnel: the deviation of one axis is the exponential of another.
    const funnel: Density = (position, gradient) => {
      const [log = 0, x = 0] = Array.from(position)
      const precision = Math.exp(-2 * log)
      gradient[0] = -log / 9 + x * x * precision - 1
      gradient[1] = -x * precision
      return -(log * log) / 18 - (x * x * precision) / 2 - log
    }
    assert.isAbove(drawn(funnel, [0, 1], 5).chain.divergences, 0)
  })

  it("goes on from a chain that went through JSON as if nothing had happened", () => {
    const density = normal([1, 2])
    const codec = Schema.toCodecJson(Sampler.Chain)
    const through = (chain: Sampler.Chain): Sampler.Chain =>
      Schema.decodeUnknownSync(codec)(JSON.parse(JSON.stringify(Schema.encodeSync(codec)(chain))))
    const begun = Sampler.begin(density, [1, 1], 100, 9)
    const whole = Sampler.advance(density, begun, 150)
    let chain = begun
    const draws: Array<ReadonlyArray<number>> = []
    for (let n = 0; n < 150; n += 30) {
      const block = Sampler.advance(density, through(chain), 30)
      chain = block.chain
      draws.push(...block.draws)
    }
    assert.deepStrictEqual(draws, whole.draws)
    assert.deepStrictEqual(chain, whole.chain)
  })
})

describe("the diagnostics", () => {
  const random = generator(2)
  const independent = (shift = 0) => Array.from({ length: 2_000 }, () => random.normal() + shift)

  it("say 1 of chains that agree, and more of chains that do not", () => {
    assert.closeTo(splitRHat([independent(), independent()]), 1, 0.005)
    assert.isAbove(splitRHat([independent(), independent(1)]), 1.1)
    // One chain that drifts disagrees with itself.
    assert.isAbove(splitRHat([independent().map((draw, n) => draw + n / 1_000)]), 1.1)
  })

  it("count independent draws fully, and draws that follow each other by what their correlation leaves", () => {
    assert.closeTo(effectiveSize([independent(), independent()]), 4_000, 600)
    const phi = 0.8
    const following = () => {
      let at = 0
      return Array.from({ length: 20_000 }, () => (at = phi * at + random.normal()))
    }
    const expected = 40_000 * ((1 - phi) / (1 + phi))
    assert.closeTo(effectiveSize([following(), following()]) / expected, 1, 0.15)
  })
})
