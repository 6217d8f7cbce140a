/**
 * Who proposes when there is no coding agent: search policies over the declared space. `random` is the yardstick;
 * `greedy` is what runs by default.
 *
 * A policy is a pure function of the tree, the space and a seed: the same tree gives the same proposals. Its random
 * numbers come from the seed and the number of nodes, so nothing has to be remembered between two calls, and a resumed
 * run goes on as if it had never stopped.
 *
 * ## Greedy
 *
 * The budget is some dozens of noisy measurements, the space has 10^4 to 10^6 points, some of which crash. So:
 *
 * 1. **Screen**: every edit, and the level of every parameter farthest from the baseline's, as one change to the best
 *    so far: one-factor-at-a-time screening (Daniel 1973), moving its base to every new best as in coordinate descent.
 *    One change at a time is not the most efficient design, but a crash then has one suspect, and a gain is kept at once.
 * 2. **Isolate**: a level that only ever failed, but never alone, is tried once alone from the baseline. Else one bad
 *    combination could hide a good change for ever.
 * 3. **Complete**: of the later proposals one in three is a level that nothing has measured yet, as one change to the
 *    best: a model alone would never look between two levels that it knows.
 * 4. **Combine and climb**: all others come from an additive model of the logarithm of the objective, with shrunk main
 *    effects and pairwise interactions (`internal/statisticsSurrogate.ts`), fitted to what was measured and how often.
 *    The model is climbed by steepest ascent, from its best points, from the best of the tree and from a few random
 *    ones (restarts), and among all points that were passed the one with the largest expected improvement (Jones,
 *    Schonlau and Welch 1998), times the probability that it works at all (`internal/statisticsBlame.ts`), is proposed.
 *    What is being measured already counts as measured with the expected result.
 *
 * Measured on 100 synthetic landscapes (`test/landscapes.ts`: 6 to 7 parameters, 5 to 8 edits, four crashing levels or
 * pairs, interactions, noise of 2.5 %): 70 measurements find at least 90 % of the optimum on 96 of them, and on 11 by
 * random search. Rejected: no screening (it begins with large combinations, which crash: 73 % of the landscapes, when
 * screening as above reached 95 %, both without steps 2 and 3); designs that vary everything at once (Plackett and
 * Burman 1946), of which three in four runs crash as soon as two edits do.
 */
import { type ChangeSet, describeChanges, describeValue, noChanges, sameChanges } from "./Experiment.ts"
import { baseline, type ExperimentTree } from "./ExperimentTree.ts"
import { expectedExcess } from "./internal/statistics.ts"
import { survivalOf } from "./internal/statisticsBlame.ts"
import { after, type Lattice, type Point, pointDistance, pointKey } from "./internal/statisticsLattice.ts"
import { shuffled, type Source, source } from "./internal/statisticsRandom.ts"
import { fit, type Prediction, type Surrogate } from "./internal/statisticsSurrogate.ts"
import { type Known, look, type View, type Worked } from "./internal/statisticsView.ts"
import * as SearchSpace from "./SearchSpace.ts"

/**
 * An experiment that a policy wants.
 *
 * - `changes`: all that differs from the baseline, canonical and inside the space.
 * - `base`: where its source starts from; policies over declared changes always start from the anchor, `null`.
 * - `parent`: the node that it is one idea away from: its place in the tree. `null` before there is any node.
 * - `hypothesis`: one sentence.
 * - `priority`: lower runs first.
 */
export interface Proposal {
  readonly changes: ChangeSet
  readonly base: string | null
  readonly parent: string | null
  readonly hypothesis: string
  readonly priority: number
}

/** `seed` of the random numbers; `batch`: how many proposals at most. */
export interface ProposalOptions {
  readonly seed: number
  readonly batch: number
}

/**
 * A search policy. It gives up to `batch` different proposals, none of which is a duplicate of a node of the tree
 * (queued and running ones included), and none at all when nothing is left. What failed for a reason that speaks
 * against the change set is not proposed again; what failed for another reason (a lost job, a full disk) once more.
 */
export type SearchPolicy = (
  tree: ExperimentTree,
  space: SearchSpace.SearchSpace,
  options: ProposalOptions
) => ReadonlyArray<Proposal>

/** The node that a point is nearest to: its parent in the tree. Among equals the better one, then the older. */
const parentOf = (view: View, point: Point): Known | undefined => {
  const candidates: ReadonlyArray<Known & Partial<Worked>> = view.worked.length > 0 ? view.worked : view.all
  let nearest = candidates[0]
  for (const known of candidates.slice(1)) {
    const closer = pointDistance(known.point, point) - pointDistance(nearest!.point, point)
    if (closer < 0 || (closer === 0 && (known.target ?? 0) > (nearest!.target ?? 0))) nearest = known
  }
  return nearest
}

/** What leads from one change set to another: `workers=4 +fused-transform -prefetch`. */
const describeStep = (space: SearchSpace.SearchSpace, from: ChangeSet, to: ChangeSet): string => {
  const settings = space.parameters.flatMap((dimension) => {
    const value = SearchSpace.valueOf(dimension, to)
    return value === SearchSpace.valueOf(dimension, from) ? [] : [`${dimension.name}=${describeValue(value)}`]
  })
  const edits = [
    ...to.edits.filter((edit) => !from.edits.includes(edit)).map((edit) => `+${edit}`),
    ...from.edits.filter((edit) => !to.edits.includes(edit)).map((edit) => `-${edit}`)
  ]
  return [...(settings.length > 0 ? [settings.join(", ")] : []), ...edits].join(" ")
}

const toProposal = (
  view: View,
  space: SearchSpace.SearchSpace,
  point: Point,
  sentence: (step: string, parent: string) => string
): Proposal => {
  const changes = view.lattice.decode(point)
  const parent = parentOf(view, point)
  const from = parent?.node.changes ?? noChanges
  const step = sameChanges(from, changes) ? "no change" : describeStep(space, from, changes)
  return {
    changes,
    base: null,
    parent: parent?.node.id ?? null,
    hypothesis: sentence(step, parent === undefined ? "the baseline" : parent.node.name),
    priority: 0
  }
}

/** Below this many points, what is left is listed when drawing no longer finds it. */
const listable = 100_000n

/** Points that are not taken, in random order, each equally likely; fewer than wanted when the space has no more. */
const drawFresh = (
  view: View,
  space: SearchSpace.SearchSpace,
  taken: ReadonlySet<string>,
  count: number,
  random: Source
): ReadonlyArray<Point> => {
  const found = new Map<string, Point>()
  for (let i = 0; i < 50 * count && found.size < count; i++) {
    const point = view.lattice.encode(SearchSpace.draw(space, random))
    if (!taken.has(pointKey(point))) found.set(pointKey(point), point)
  }
  if (found.size < count && SearchSpace.size(space) <= listable) {
    const rest = [...SearchSpace.enumerate(space)].map(view.lattice.encode).filter((point) => {
      const key = pointKey(point)
      return !taken.has(key) && !found.has(key)
    })
    for (const point of shuffled(rest, random).slice(0, count - found.size)) found.set(pointKey(point), point)
  }
  return [...found.values()]
}

// ------------------------------------------------------------------------------------------------------ random

/** Every change set that was not tried yet is equally likely. The yardstick for every other policy. */
export const random: SearchPolicy = (tree, space, { batch, seed }) => {
  const view = look(tree, space)
  const numbers = source("random", seed, tree.nodes.size)
  return drawFresh(view, space, view.taken, batch, numbers).map((point) => ({
    changes: view.lattice.decode(point),
    base: null,
    parent: baseline(tree)?.id ?? null,
    hypothesis: `Drawn at random: ${describeChanges(view.lattice.decode(point))}.`,
    priority: 0
  }))
}

// ------------------------------------------------------------------------------------------------------ greedy

/** One in so many proposals completes the picture, as long as there is something that nothing has measured. */
const completing = 3

/** The model is fitted to no more observations than this: its cost grows with their cube. */
const mostObservations = 200

/** Ascents of the model from random points, besides those from the best ones. */
const restarts = 6

/** How many of the points passed are compared by expected improvement. */
const shortlist = 60

/** What works with a smaller probability than this is proposed only when nothing else is left. */
const hopeless = 0.05

/** The price of risk during an ascent: a ten times smaller chance to work weighs as much as a 20 % smaller objective. */
const caution = 0.1

/**
 * Screens, isolates, completes, combines and climbs: see the head of this module.
 *
 * @example
 * ```ts
 * import assert from "node:assert"
 * import { ExperimentTree, SearchPolicy, SearchSpace } from "@espalier/workflow"
 * import { Result } from "effect"
 *
 * const space = Result.getOrThrow(SearchSpace.make({
 *   parameters: [{ name: "workers", type: "integer", values: [1, 2, 4], baseline: 1 }],
 *   edits: [{ name: "fused-transform" }]
 * }))
 * const tree = ExperimentTree.empty({
 *   metric: "throughput", direction: "maximize", unit: "samples/s", smallestGain: 0.02, level: 0.05, pairs: 4
 * })
 * const proposals = SearchPolicy.greedy(tree, space, { seed: 1, batch: 2 })
 * assert.deepEqual(
 *   proposals.map((proposal) => proposal.changes).toSorted((a, b) => a.edits.length - b.edits.length),
 *   [{ parameters: { workers: 4 }, edits: [] }, { parameters: {}, edits: ["fused-transform"] }]
 * )
 * ```
 */
export const greedy: SearchPolicy = (tree, space, { batch, seed }) => {
  const view = look(tree, space)
  const numbers = source("greedy", seed, tree.nodes.size)
  const proposals: Array<Proposal> = []
  const chosen: Array<Point> = []
  const propose = (point: Point, sentence: (step: string, parent: string) => string): boolean => {
    const key = pointKey(point)
    if (proposals.length >= batch || view.taken.has(key)) return false
    view.taken.add(key)
    chosen.push(point)
    proposals.push(toProposal(view, space, point, sentence))
    return true
  }

  for (const point of shuffled(screening(view), source("screening", seed))) {
    propose(point, (step, parent) => `Screening: what ${step} does to ${parent} is not known yet.`)
  }
  for (const point of isolating(view)) {
    propose(point, (step) => `${step} has only failed so far, always with other changes; alone it may work.`)
  }
  if (proposals.length < batch && view.worked.length > 0) climb(space, view, chosen, propose, numbers)
  // Whatever is left, least likely to crash first: a small space is searched to its end.
  if (proposals.length < batch) {
    const survival = survivalOf(view.worked.map(({ point }) => point), view.failed.map(({ point }) => point))
    const rest = drawFresh(view, space, view.taken, 4 * batch, numbers)
    for (const point of [...rest].sort((a, b) => survival(b) - survival(a))) {
      propose(point, (step, parent) => `The model has no better idea: ${step}, on ${parent}, was not tried yet.`)
    }
  }
  return proposals
}

/** Whether a level, or of many ordered ones a near level, is part of an experiment already. */
const isTried = ({ lattice, tried }: View, dimension: number, level: number): boolean => {
  const near = lattice.ordered[dimension] === true
    ? Math.floor((lattice.counts[dimension]! - 1) / SearchSpace.manyLevels)
    : 0
  return tried.some(({ point }) => Math.abs(point[dimension]! - level) <= near)
}

/** One change to the best: every edit, every choice, and of ordered levels the one farthest from the baseline's. */
const screening = (view: View): ReadonlyArray<Point> => {
  const { best, lattice } = view
  return lattice.steps(best).filter(([[dimension, level]]) => {
    if (isTried(view, dimension, level)) return false
    const last = lattice.counts[dimension]! - 1
    return lattice.ordered[dimension] !== true || level === (lattice.origin[dimension]! * 2 < last ? last : 0)
  }).map((step) => after(best, step))
}

/** Levels that only ever failed, each alone. */
const isolating = ({ all, failed, lattice }: View): ReadonlyArray<Point> => {
  const found = new Map<string, Point>()
  for (const { point } of failed) {
    for (const [dimension, level] of point.entries()) {
      if (level === lattice.origin[dimension]) continue
      const isHopeful = all.some(({ node, point }) => node.status !== "failed" && point[dimension] === level)
      if (!isHopeful) found.set(`${dimension} ${level}`, after(lattice.origin, [[dimension, level]]))
    }
  }
  return [...found.values()]
}

/** The observations worth fitting: the best half of what there is room for, and the latest of the others. */
const relevant = (worked: ReadonlyArray<Worked>): ReadonlyArray<Worked> => {
  if (worked.length <= mostObservations) return worked
  const kept = new Set([...worked].sort((a, b) => b.target - a.target).slice(0, mostObservations / 2))
  for (const known of [...worked].reverse()) {
    if (kept.size === mostObservations) break
    kept.add(known)
  }
  return worked.filter((known) => kept.has(known))
}

const climb = (
  space: SearchSpace.SearchSpace,
  view: View,
  chosen: ReadonlyArray<Point>,
  propose: (point: Point, sentence: (step: string, parent: string) => string) => boolean,
  numbers: Source
): void => {
  const { lattice, taken } = view
  const worked = relevant(view.worked)
  const fitted = fit(lattice, worked)
  const survival = survivalOf(view.worked.map(({ point }) => point), view.failed.map(({ point }) => point))
  const ranked = worked.map(({ point }) => ({ point, mean: fitted.cursor(point).mean })).sort((a, b) => b.mean - a.mean)
  const incumbent = ranked[0]!
  const starts = [
    ...ranked.slice(0, 3).map(({ point }) => point),
    view.best,
    ...[...Array(restarts)].map(() => lattice.encode(SearchSpace.draw(space, numbers)))
  ]
  const candidates = ascend(lattice, fitted, survival, starts)
    .filter(({ chance, point }) => chance >= hopeless && !taken.has(pointKey(point)))
    .slice(0, shortlist)
  const unmeasured = lattice.steps(incumbent.point)
    .filter(([[dimension, level]]) => !isTried(view, dimension, level))
    .map((step) => ({ first: step[0], point: after(incumbent.point, step) }))

  let model = fitted.believing([...view.pending.map(({ point }) => point), ...chosen])
  for (let turn = view.all.length + chosen.length;; turn++) {
    if (turn % completing === 0) {
      const isChosen = ({ first: [dimension, level] }: typeof unmeasured[number]) =>
        chosen.some((point) => point[dimension] === level)
      const next = unmeasured.find((item) => !taken.has(pointKey(item.point)) && !isChosen(item))
      if (
        next !== undefined &&
        propose(next.point, (step, parent) => `No experiment has had ${step} yet: how does it suit ${parent}?`)
      ) {
        model = model.believing([next.point])
        continue
      }
    }
    let choice: { readonly point: Point; readonly score: number } | undefined
    for (const { chance, point } of candidates) {
      if (taken.has(pointKey(point))) continue
      const { deviation, mean } = model.predict(point)
      const score = expectedExcess(mean - incumbent.mean, deviation) * chance
      if (choice === undefined || score > choice.score) choice = { point, score }
    }
    if (choice === undefined) return
    const expectation = describeExpectation(incumbent.mean, fitted.predict(choice.point))
    const sentence = (step: string, parent: string) =>
      `${step} on ${parent}: by the effects seen so far ${expectation}.`
    if (!propose(choice.point, sentence)) return
    model = model.believing([choice.point])
  }
}

/** Better and worse, not more and less: it holds for what is minimised too. */
const describeExpectation = (incumbent: number, { deviation, mean }: Prediction): string => {
  const percent = (logarithm: number) => `${(Math.expm1(logarithm) * 100).toFixed(1)} %`
  const difference = percent(Math.abs(mean - incumbent))
  return `${difference} ${mean >= incumbent ? "better" : "worse"} than the best, give or take ${percent(deviation)}`
}

/**
 * Steepest ascent of the expected value, less a price for the risk to crash. Gives all points that were looked at on
 * the way with their chance to work, the most valuable first.
 */
const ascend = (
  lattice: Lattice,
  model: Surrogate,
  survival: (point: Point) => number,
  starts: ReadonlyArray<Point>
): ReadonlyArray<{ readonly point: Point; readonly chance: number }> => {
  const weigh = (mean: number, point: Point) => {
    const chance = survival(point)
    return { point, chance, worth: mean + caution * Math.log(Math.max(chance, 1e-9)) }
  }
  const seen = new Map<string, ReturnType<typeof weigh>>()
  const climbed = new Set<string>()
  for (const start of starts) {
    let at = model.cursor(start)
    let highest = weigh(at.mean, start)
    while (!climbed.has(pointKey(at.point))) {
      climbed.add(pointKey(at.point))
      for (const step of lattice.steps(at.point)) {
        const there = weigh(at.meanAfter(step), after(at.point, step))
        seen.set(pointKey(there.point), there)
        if (there.worth > highest.worth) highest = there
      }
      if (highest.point !== at.point) at = model.cursor(highest.point)
    }
  }
  return [...seen.values()].sort((a, b) => b.worth - a.worth)
}
