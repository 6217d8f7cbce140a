/**
 * What made experiments fail, inferred from which failed and which worked: a level of one dimension, or two levels
 * together, is a suspect of a failure when the failed point has it and no point that worked has it. That is
 * spectrum-based fault localisation, restricted to causes of size one and two: they explain most configuration faults
 * (Kuhn, Wallace and Gallo 2004, "Software fault interactions"). Levels of the baseline can be part of a pair: what is
 * missing may be the cause.
 *
 * The suspects of one failure share the guilt. A suspect that would explain several failures gets a larger share of
 * each, found by a few rounds of expectation maximisation: one cause is likelier than several at once.
 */
import { type Point, pointKey } from "./statisticsLattice.ts"

/** How much less a pair is suspected than a single level, when both would explain a failure. */
const pairWeight = 0.3

/** What neither one level nor two explain: three together, or chance. Keeps a share from being certain. */
const unexplained = 0.05

/** More rounds change the shares by less than matters. */
const rounds = 6

interface Suspect {
  readonly key: string
  readonly dimensions: ReadonlyArray<number>
  readonly weight: number
}

/** The levels and pairs of levels of a failed point that no point has which worked; no pair holds a single suspect. */
const suspectsOf = (failed: Point, worked: ReadonlyArray<Point>): ReadonlyArray<Suspect> => {
  const isSeen = (...dimensions: ReadonlyArray<number>) =>
    worked.some((point) => dimensions.every((i) => point[i] === failed[i]))
  const name = (i: number) => `${i}=${failed[i]}`
  const singles = [...failed.keys()].filter((i) => !isSeen(i))
  const others = [...failed.keys()].filter((i) => isSeen(i))
  const pairs = others.flatMap((i) => others.filter((j) => j > i && !isSeen(i, j)).map((j) => [i, j] as const))
  return [
    ...singles.map((i) => ({ key: name(i), dimensions: [i], weight: 1 })),
    ...pairs.map(([i, j]) => ({ key: `${name(i)} ${name(j)}`, dimensions: [i, j], weight: pairWeight }))
  ]
}

/**
 * The probability that a point works, 0 to 1, given those that worked and those that failed: that it shares none of
 * the causes of the failure that it is most like. (The product over all failures would count one cause many times.)
 */
export const survivalOf = (
  worked: ReadonlyArray<Point>,
  failed: ReadonlyArray<Point>
): (point: Point) => number => {
  const distinct = new Map(failed.map((point) => [pointKey(point), point]))
  const cases = [...distinct.values()].map((point) => ({ point, suspects: suspectsOf(point, worked) }))
  let guilt = new Map<string, number>()
  for (let round = 0; round < rounds; round++) {
    const shares = new Map<string, number>()
    for (const { suspects } of cases) {
      const scores = suspects.map(({ key, weight }) => weight * (guilt.get(key) ?? 1))
      const total = scores.reduce((sum, score) => sum + score, unexplained)
      suspects.forEach(({ key }, i) => shares.set(key, (shares.get(key) ?? 0) + scores[i]! / total))
    }
    guilt = shares
  }
  const weighed = cases.map(({ point, suspects }) => {
    const scores = suspects.map(({ key, weight }) => weight * (guilt.get(key) ?? 1))
    const total = scores.reduce((sum, score) => sum + score, unexplained)
    return { point, suspects: suspects.map(({ dimensions }, i) => ({ dimensions, share: scores[i]! / total })) }
  })
  return (point) => {
    let survival = 1
    for (const { point: failed, suspects } of weighed) {
      let shared = 0
      for (const { dimensions, share } of suspects) {
        if (dimensions.every((i) => point[i] === failed[i])) shared += share
      }
      survival = Math.min(survival, 1 - shared)
    }
    return survival
  }
}
