/**
 * What a tree tells a search: its experiments as points of the lattice, those that worked with what was measured of
 * them, those that failed through their own fault, those still pending, and what must not be proposed again.
 */
import { isSettled } from "../Experiment.ts"
import { baseline, best, type ExperimentTree, observations, type TreeNode } from "../ExperimentTree.ts"
import { policyOf } from "../Failure.ts"
import { summarize } from "../Measurement.ts"
import * as SearchSpace from "../SearchSpace.ts"
import { type Lattice, makeLattice, type Point, pointKey } from "./statisticsLattice.ts"

/** How often the same change set is tried when its failures say nothing about it. */
export const attemptsAfterInnocentFailure = 2

/** An experiment and its point. */
export interface Known {
  readonly node: TreeNode
  readonly point: Point
}

/** One that worked: `target` is the logarithm of its median, larger is better; `count` of its measurements. */
export interface Worked extends Known {
  readonly target: number
  readonly count: number
}

export interface View {
  readonly lattice: Lattice
  /** experiments that start from the anchor and lie inside the space; the baseline included, other seeds not */
  readonly all: ReadonlyArray<Known>
  /** all but those that failed through no fault of their own: those say nothing */
  readonly tried: ReadonlyArray<Known>
  readonly worked: ReadonlyArray<Worked>
  readonly failed: ReadonlyArray<Known>
  readonly pending: ReadonlyArray<Known>
  /** keys of points that must not be proposed (again) */
  readonly taken: Set<string>
  /** the best of the tree; the baseline where it is none of these experiments */
  readonly best: Point
}

export const look = (tree: ExperimentTree, space: SearchSpace.SearchSpace): View => {
  const lattice = makeLattice(space)
  const root = baseline(tree)
  const values = observations(tree)
  const sign = tree.objective.direction === "maximize" ? 1 : -1
  const all = [...tree.nodes.values()].filter((node) =>
    (node.seed === null || node === root) && (node.base === null || node.base === root?.id) &&
    SearchSpace.contains(space, node.changes)
  ).map((node) => ({ node, point: lattice.encode(node.changes) }))
  const worked = all.flatMap((known) => {
    const summary = known.node.status === "completed" ? summarize(values.get(known.node.id) ?? []) : null
    return summary === null || summary.median <= 0
      ? []
      : [{ ...known, target: sign * Math.log(summary.median), count: summary.count }]
  })
  const isBlamed = ({ failure, status }: TreeNode) =>
    status === "failed" && failure !== null && policyOf(failure.kind).blamesChanges
  const attempts = new Map<string, number>()
  const taken = new Set<string>()
  for (const { node, point } of all) {
    const key = pointKey(point)
    const attempt = (attempts.get(key) ?? 0) + 1
    attempts.set(key, attempt)
    if (node.status !== "failed" || isBlamed(node) || attempt >= attemptsAfterInnocentFailure) taken.add(key)
  }
  const champion = best(tree)
  return {
    lattice,
    all,
    tried: all.filter(({ node }) => node.status !== "failed" || isBlamed(node)),
    worked,
    failed: all.filter(({ node }) => isBlamed(node)),
    pending: all.filter(({ node }) => !isSettled(node.status)),
    taken,
    best: all.find(({ node }) => node === champion)?.point ?? lattice.origin
  }
}
