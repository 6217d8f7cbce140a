/**
 * Synthetic landscapes for search policies: seeded, with a known optimum, noise, crashes and interactions. A change
 * set has a true value, or crashes; a measurement multiplies the value by log-normal noise.
 */
import { Result } from "effect"
import type { ChangeSet, ExperimentSpec } from "../src/Experiment.ts"
import * as ExperimentTree from "../src/ExperimentTree.ts"
import * as Failure from "../src/Failure.ts"
import { type Source, source } from "../src/internal/statisticsRandom.ts"
import * as Measurement from "../src/Measurement.ts"
import * as Policy from "../src/Policy.ts"
import type { Proposal, SearchPolicy } from "../src/SearchPolicy.ts"
import * as SearchSpace from "../src/SearchSpace.ts"

export interface Landscape {
  readonly name: string
  readonly space: SearchSpace.SearchSpace
  /** the true value; `null` is a crash */
  readonly value: (changes: ChangeSet) => number | null
  /** the largest true value of the space, found by looking at all of it */
  readonly optimum: number
  readonly noise: number
}

export type Family = "additive" | "rugged" | "balanced" | "bottleneck"

/** What decides a value, by index: dimensions are the parameters, then the edits (level 0 is out, 1 is in). */
interface Model {
  readonly counts: ReadonlyArray<number>
  readonly baseline: ReadonlyArray<number>
  /** logarithm of the value, or a crash */
  readonly evaluate: (point: ReadonlyArray<number>) => number | null
}

const stages = 4

export const makeLandscape = (family: Family, seed: number, noise = 0.025): Landscape => {
  const random = source("landscape", family, seed)
  const between = (low: number, high: number) => low + random.next() * (high - low)
  const counts = [...Array(6 + random.int(2))].map(() => 2 + random.int(4))
  const edits = 5 + random.int(4)
  // Parameters begin low (a first version is careful), so that there is something to find above them.
  const baseline = counts.map((count) => random.next() < 0.7 ? 0 : random.int(count))
  const declared = SearchSpace.make({
    parameters: counts.map((count, index) => ({
      name: `p${index}`,
      type: "integer" as const,
      values: [...Array(count).keys()].map((level) => 2 ** level),
      baseline: 2 ** baseline[index]!
    })),
    edits: [...Array(edits).keys()].map((index) => ({ name: `e${index}`, conflicts: index === 1 ? ["e0"] : [] }))
  })
  const space = Result.getOrThrow(declared)
  const model = makeModel(
    family,
    [...counts, ...Array<number>(edits).fill(2)],
    [...baseline, ...Array<number>(edits).fill(0)],
    counts.length,
    random,
    between
  )
  const indexed = (changes: ChangeSet) => [
    ...space.parameters.map((dimension) => SearchSpace.levelOf(dimension, SearchSpace.valueOf(dimension, changes))),
    ...space.edits.map(({ name }) => changes.edits.includes(name) ? 1 : 0)
  ]
  const origin = model.evaluate(model.baseline)!
  return {
    name: `${family} ${seed}`,
    space,
    value: (changes) => {
      const value = model.evaluate(indexed(changes))
      return value === null ? null : 100 * Math.exp(value - origin)
    },
    optimum: 100 * Math.exp(maximum(model, counts.length) - origin),
    noise
  }
}

const makeModel = (
  family: Family,
  counts: ReadonlyArray<number>,
  baseline: ReadonlyArray<number>,
  parameters: number,
  random: Source,
  between: (low: number, high: number) => number
): Model => {
  const dimensions = counts.length
  // Parameters have one best level; edits help, do nothing, or hurt.
  const effects = counts.map((count, dimension) => {
    if (dimension >= parameters) {
      return [0, random.next() < 0.3 ? between(-0.3, -0.02) : random.next() < 0.3 ? 0 : between(0.03, 0.3)]
    }
    const best = random.next() * 1.2
    const strength = between(0, 0.7)
    return [...Array(count).keys()].map((level) => -strength * (level / (count - 1) - best) ** 2)
  })
  const stage = counts.map(() => random.int(stages))
  const power = family === "bottleneck" ? 6 : 1
  const times = Float64Array.from({ length: stages }, () => between(0.3, 1) ** power)
  // A change speeds up one stage of a pipeline, three times as much as it would speed up the whole alone.
  const factors = effects.map((levels) => levels.map((effect) => Math.exp(-3 * power * effect)))
  const interactions: Array<readonly [number, number, number, number, number]> = []
  const strength = family === "rugged" ? 0.25 : 0.12
  for (let i = 0; i < (family === "rugged" ? 12 : 5); i++) {
    const [a, b] = pair(dimensions, random)
    interactions.push([a, random.int(counts[a]!), b, random.int(counts[b]!), between(-strength, strength)])
  }
  // One edit and one extreme value crash alone, two pairs crash together; nothing that the baseline itself has.
  const off = (dimension: number) =>
    (baseline[dimension]! + 1 + random.int(counts[dimension]! - 1)) % counts[dimension]!
  const bad = parameters + random.int(dimensions - parameters)
  const worse = random.int(parameters)
  const crashes: Array<ReadonlyArray<readonly [number, number]>> = [[[bad, 1]]]
  if (counts[worse]! > 2) crashes.push([[worse, baseline[worse] === 0 ? counts[worse]! - 1 : 0]])
  for (let i = 0; i < 2; i++) {
    const [a, b] = pair(dimensions, random)
    crashes.push([[a, off(a)], [b, off(b)]])
  }
  const isStaged = family === "balanced" || family === "bottleneck"
  const scratch = new Float64Array(stages)
  return {
    counts,
    baseline,
    evaluate: (point) => {
      for (const cause of crashes) if (cause.every(([dimension, level]) => point[dimension] === level)) return null
      let sum = 0
      for (const [a, levelA, b, levelB, effect] of interactions) {
        if (point[a] === levelA && point[b] === levelB) sum += effect
      }
      if (!isStaged) {
        for (let i = 0; i < dimensions; i++) sum += effects[i]![point[i]!]!
        return sum
      }
      // The time is the sum of the stages' times, or, with a high power, nearly that of the slowest.
      scratch.set(times)
      for (let i = 0; i < dimensions; i++) scratch[stage[i]!]! *= factors[i]![point[i]!]!
      let time = 0
      for (let i = 0; i < stages; i++) time += scratch[i]!
      return sum - Math.log(time) / power
    }
  }
}

const pair = (below: number, random: Source): readonly [number, number] => {
  const a = random.int(below)
  return [a, (a + 1 + random.int(below - 1)) % below]
}

/** By looking at every point; the first two edits exclude each other. */
const maximum = (model: Model, parameters: number): number => {
  const point = model.counts.map(() => 0)
  let best = Number.NEGATIVE_INFINITY
  for (;;) {
    if (point[parameters] === 0 || point[parameters + 1] === 0) {
      const value = model.evaluate(point)
      if (value !== null && value > best) best = value
    }
    let at = 0
    while (at < point.length && point[at] === model.counts[at]! - 1) point[at++] = 0
    if (at === point.length) return best
    point[at]! += 1
  }
}

export const objective: ExperimentTree.Objective = {
  metric: "throughput",
  direction: "maximize",
  unit: "samples/s",
  smallestGain: 0.02,
  level: 0.05,
  pairs: 4
}

/** What a search found: the true value of the best, as a share of the optimum, after each measurement. */
export interface Outcome {
  readonly tree: ExperimentTree.ExperimentTree
  readonly share: ReadonlyArray<number>
  readonly confirmations: number
  readonly failures: number
}

/**
 * Lets a policy search: `budget` experiments, each measured once, the next ones proposed when no more than
 * `pending` of the last are unsettled. A challenger is measured beside the best by pairs, as in a real run.
 */
export const search = (
  landscape: Landscape,
  policy: SearchPolicy,
  options: { readonly seed: number; readonly budget: number; readonly batch: number; readonly pending?: number }
): Outcome => {
  const random = source("noise", landscape.name, options.seed)
  const tree = ExperimentTree.empty(objective)
  const observe = (changes: ChangeSet) => {
    const value = landscape.value(changes)
    return value === null ? null : value * Math.exp(landscape.noise * random.normal())
  }
  const spec = (
    id: string,
    proposal: Pick<Proposal, "changes" | "parent" | "base" | "hypothesis" | "priority">,
    seed: string | null
  ): ExperimentSpec => ({
    id,
    name: id,
    parent: proposal.parent,
    base: proposal.base,
    hypothesis: proposal.hypothesis,
    changes: proposal.changes,
    seed,
    priority: proposal.priority,
    arguments: []
  })
  const share: Array<number> = []
  let confirmations = 0
  const run = (id: string) => {
    const node = tree.nodes.get(id)!
    const value = observe(node.changes)
    if (value === null) {
      ExperimentTree.failed(tree, id, Failure.make({ kind: "job_failed", message: "exit code 1", createdAt: 0 }), 0)
    } else {
      ExperimentTree.measured(tree, id, { throughput: value })
      ExperimentTree.completed(tree, id, 0)
    }
    for (;;) {
      const challenger = Policy.challengers(tree)[0]
      if (challenger === undefined) break
      const champion = ExperimentTree.best(tree)!
      const pairs = [...Array(objective.pairs)].map(() =>
        [observe(challenger.changes)!, observe(champion.changes)!] as const
      )
      const comparison = Measurement.compare(pairs, objective)
      confirmations += 1
      ExperimentTree.confirmed(
        tree,
        ExperimentTree.confirmation({
          challenger: challenger.id,
          champion: champion.id,
          purpose: "crown",
          pairs,
          comparison
        })
      )
    }
    share.push(landscape.value(ExperimentTree.best(tree)!.changes)! / landscape.optimum)
  }
  const nothing = { changes: { parameters: {}, edits: [] }, parent: null, base: null, hypothesis: "", priority: 0 }
  ExperimentTree.added(tree, spec("baseline", nothing, "baseline"), 0)
  run("baseline")
  const queue: Array<string> = []
  let count = 1
  while (count < options.budget || queue.length > 0) {
    if (count < options.budget && queue.length <= (options.pending ?? 0)) {
      const batch = Math.min(options.batch, options.budget - count)
      const proposals = policy(tree, landscape.space, { seed: options.seed, batch })
      for (const proposal of proposals) {
        const id = `n${++count}`
        ExperimentTree.added(tree, spec(id, proposal, null), 0)
        queue.push(id)
      }
      if (proposals.length === 0 && queue.length === 0) break
    }
    run(queue.shift()!)
  }
  return { tree, share, confirmations, failures: ExperimentTree.counts(tree).failed }
}
