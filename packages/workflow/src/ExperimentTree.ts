/**
 * The hypothesis tree of a run: what planner, report, plots and dashboard read.
 *
 * It is a view, folded from the journal. This module holds its data types, questions about it, and the transitions
 * that the fold (`TreeView.ts`) applies. The transitions know no event, clock or disk; they alone decide
 * what the best is, so that no reader of the tree can disagree with another:
 *
 * - the baseline is the first best, as soon as it has completed with a value;
 * - from then on the best changes only by a confirmation, purpose `crown`, that says `better`;
 * - a failed or cancelled node has no value, and is never the best; nor is a seed other than the baseline.
 *
 * A {@link Draft} is changed in place by its one owner, the fold: copying the map for every event would make a
 * rebuild quadratic. Nodes are immutable values, so {@link snapshot} is a cheap way to keep a moment.
 */
import { Schema } from "effect"
import {
  baselineSeed,
  ChangeSet,
  changesKey,
  type ExperimentSpec,
  headspaceSeed,
  isSettled,
  NodeId,
  Status
} from "./Experiment.ts"
import { FailureRecord } from "./Failure.ts"
import { type Comparison, Direction, median, type Pair } from "./Measurement.ts"

/**
 * What is optimised: a metric of the jobs, in `unit` (may be empty).
 *
 * - `smallestGain`: the least relative gain worth having, 0.02 is 2 %.
 * - `level`: of the test that crowns, and 1 - `level` is that of its interval.
 * - `pairs`: measurements of challenger and champion, taken in turns, for one confirmation.
 */
export const Objective = Schema.Struct({
  metric: Schema.NonEmptyString,
  direction: Direction,
  unit: Schema.String,
  smallestGain: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)),
  level: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.5, exclusiveMinimum: true })),
  pairs: Schema.Int.check(Schema.isGreaterThan(0))
})
export type Objective = typeof Objective.Type

/**
 * Challenger and champion, measured side by side.
 *
 * - `pairs`: values of the objective in the order of measurement, `[challenger, champion]`.
 * - `ratio`: geometric mean of challenger / champion; for a metric to minimise, below 1 is better.
 * - `low`, `high`: two-sided confidence interval of the ratio at 1 - `level`.
 * - `pValue`: one-sided, against "not better".
 * - `purpose`: `crown` decides whether the challenger becomes the best; `final` measures the best beside the
 *   baseline for the report, and crowns nothing.
 * - `undecided`: why the pairs allow no statement; the interval is then all there is (0 to the largest number).
 */
export const Confirmation = Schema.Struct({
  challenger: NodeId,
  champion: NodeId,
  pairs: Schema.Array(Schema.Tuple([Schema.Finite, Schema.Finite])),
  ratio: Schema.Finite,
  low: Schema.Finite,
  high: Schema.Finite,
  pValue: Schema.Finite,
  better: Schema.Boolean,
  purpose: Schema.Literals(["crown", "final"]),
  level: Schema.optionalKey(Schema.Finite),
  undecided: Schema.optionalKey(Schema.String)
})
export type Confirmation = typeof Confirmation.Type

/** The record of a comparison. An undecided one is never `better`; its interval holds every ratio there is. */
export const confirmation = (options: {
  readonly challenger: string
  readonly champion: string
  readonly purpose: "crown" | "final"
  readonly pairs: ReadonlyArray<Pair>
  readonly comparison: Comparison
}): Confirmation => {
  const { challenger, champion, comparison, purpose } = options
  // What is not a number cannot be stored as JSON; such a pair is why the comparison is undecided.
  const pairs = options.pairs.filter((pair) => pair.every(Number.isFinite))
  const common = { challenger, champion, purpose, pairs, level: comparison.level }
  return comparison._tag === "Compared"
    ? {
      ...common,
      ratio: comparison.ratio,
      low: comparison.low,
      high: comparison.high,
      pValue: comparison.pValue,
      better: comparison.verdict === "better"
    }
    : {
      ...common,
      ratio: comparison.ratio ?? 1,
      low: 0,
      high: Number.MAX_VALUE,
      pValue: 1,
      better: false,
      undecided: comparison.reason
    }
}

/**
 * One experiment in the tree.
 *
 * - `order`: 1, 2, ... in order of creation.
 * - `base`: the node whose commit it started from; `null` is the anchor.
 * - `measurements`: one number per job and metric, in order.
 * - `value`: the median of the objective over its jobs; `null` before the first, and when it failed.
 * - `failure`: of a failed node; of a completed one, what failed after its job had succeeded (analysis, planning).
 * - `crowned`: whether it was ever the best.
 * - `createdAt`, `startedAt`, `finishedAt`: epoch milliseconds.
 * - `jobs`: launched for this node, confirmations not counted.
 * - `confirmations`: those in which it was the challenger.
 */
export const TreeNode = Schema.Struct({
  id: NodeId,
  name: Schema.NonEmptyString,
  parent: Schema.NullOr(NodeId),
  base: Schema.NullOr(NodeId),
  seed: Schema.NullOr(Schema.NonEmptyString),
  hypothesis: Schema.String,
  changes: ChangeSet,
  status: Status,
  commit: Schema.NullOr(Schema.String),
  order: Schema.Int,
  measurements: Schema.Record(Schema.String, Schema.Array(Schema.Finite)),
  value: Schema.NullOr(Schema.Finite),
  failure: Schema.NullOr(FailureRecord),
  crowned: Schema.Boolean,
  createdAt: Schema.Finite,
  startedAt: Schema.NullOr(Schema.Finite),
  finishedAt: Schema.NullOr(Schema.Finite),
  jobs: Schema.Int,
  confirmations: Schema.Array(Confirmation)
})
export type TreeNode = typeof TreeNode.Type

/**
 * The whole tree.
 *
 * - `nodes`: by id, in order of creation.
 * - `best`: the node that is the best now.
 * - `plateau`: experiments (not seeds) that completed or failed since the last crowning.
 * - `jobs`: launched in the run, those of confirmations too.
 * - `stopped`: why the planner stopped proposing, in words; `null` while it goes on.
 */
export interface ExperimentTree {
  readonly nodes: ReadonlyMap<string, TreeNode>
  readonly best: string | null
  readonly plateau: number
  readonly jobs: number
  readonly stopped: string | null
  readonly objective: Objective
}

/** A tree under construction: it belongs to the fold that made it, and the transitions change it in place. */
export interface Draft extends ExperimentTree {
  readonly nodes: Map<string, TreeNode>
  best: string | null
  plateau: number
  jobs: number
  stopped: string | null
}

/**
 * A transition that the tree does not allow: the journal holds something that this version would never have
 * written, or the fold has a fault. Thrown, as a defect: guessing on would falsify every view.
 */
export class TreeInconsistent extends Schema.TaggedError<TreeInconsistent>()("TreeInconsistent", {
  message: Schema.String,
  node: Schema.String
}) {}

// ---------------------------------------------------------------------------------------------- transitions

/** The tree before anything happened. */
export const empty = (objective: Objective): Draft => ({
  nodes: new Map(),
  best: null,
  plateau: 0,
  jobs: 0,
  stopped: null,
  objective
})

/** The tree as it is now; later transitions of the draft do not reach it. */
export const snapshot = (tree: ExperimentTree): ExperimentTree => ({ ...tree, nodes: new Map(tree.nodes) })

const get = (tree: ExperimentTree, id: string, doing: string): TreeNode => {
  const node = tree.nodes.get(id)
  if (node === undefined) {
    throw new TreeInconsistent({ node: id, message: `Cannot ${doing} node "${id}": it was never added to the tree.` })
  }
  return node
}

const getUnsettled = (tree: ExperimentTree, id: string, doing: string): TreeNode => {
  const node = get(tree, id, doing)
  if (isSettled(node.status)) {
    throw new TreeInconsistent({ node: id, message: `Cannot ${doing} node "${id}": it has already ${node.status}.` })
  }
  return node
}

const update = (tree: Draft, node: TreeNode, changes: Partial<TreeNode>): void => {
  tree.nodes.set(node.id, { ...node, ...changes })
}

/** A new experiment, queued. Its parent and its base must be in the tree. `at`: epoch milliseconds, here as below. */
export const added = (tree: Draft, spec: ExperimentSpec, at: number): Draft => {
  if (tree.nodes.has(spec.id)) {
    throw new TreeInconsistent({ node: spec.id, message: `Cannot add node "${spec.id}": the tree already has it.` })
  }
  for (const other of [spec.parent, spec.base]) {
    if (other !== null) get(tree, other, `add node "${spec.id}" below`)
  }
  tree.nodes.set(spec.id, {
    id: spec.id,
    name: spec.name,
    parent: spec.parent,
    base: spec.base,
    seed: spec.seed,
    hypothesis: spec.hypothesis,
    changes: spec.changes,
    status: "queued",
    commit: null,
    order: tree.nodes.size + 1,
    measurements: {},
    value: null,
    failure: null,
    crowned: false,
    createdAt: at,
    startedAt: null,
    finishedAt: null,
    jobs: 0,
    confirmations: []
  })
  return tree
}

/**
 * Its handler is in another phase. After a crash or a retried step that may be an earlier one, `queued` included;
 * the time of its first start stays.
 */
export const phaseChanged = (
  tree: Draft,
  id: string,
  status: "queued" | "preparing" | "running" | "analyzing",
  at: number
): Draft => {
  const node = getUnsettled(tree, id, `set ${status} on`)
  update(tree, node, { status, startedAt: node.startedAt ?? (status === "queued" ? null : at) })
  return tree
}

/** Its source is committed: the commit identifies the experiment. */
export const committed = (tree: Draft, id: string, commit: string): Draft => {
  update(tree, getUnsettled(tree, id, "record the commit of"), { commit })
  return tree
}

/** Jobs were launched: for a node, or, with `null`, for a confirmation. */
export const jobsLaunched = (tree: Draft, id: string | null, count: number): Draft => {
  if (id !== null) {
    const node = get(tree, id, "count jobs of")
    update(tree, node, { jobs: node.jobs + count })
  }
  tree.jobs += count
  return tree
}

/** One job of it succeeded and gave these metrics, one number each. */
export const measured = (tree: Draft, id: string, metrics: Readonly<Record<string, number>>): Draft => {
  const node = getUnsettled(tree, id, "record measurements of")
  const names = new Set([...Object.keys(node.measurements), ...Object.keys(metrics)])
  const measurements = Object.fromEntries(
    [...names].map((name) => {
      const before = Object.hasOwn(node.measurements, name) ? node.measurements[name]! : []
      return [name, Object.hasOwn(metrics, name) ? [...before, metrics[name]!] : before]
    })
  )
  const { metric } = tree.objective
  const value = Object.hasOwn(measurements, metric) ? median(measurements[metric]!) : null
  update(tree, node, { measurements, value })
  return tree
}

const countForPlateau = (tree: Draft, node: TreeNode): void => {
  if (node.seed === null) tree.plateau += 1
}

/** It failed, whatever it had measured before: it has no value. */
export const failed = (tree: Draft, id: string, failure: FailureRecord, at: number): Draft => {
  const node = getUnsettled(tree, id, "fail")
  update(tree, node, { status: "failed", value: null, failure, finishedAt: at })
  countForPlateau(tree, node)
  return tree
}

/** It was cancelled: it counts neither for nor against its change set, nor for the plateau. */
export const cancelled = (tree: Draft, id: string, at: number): Draft => {
  const node = getUnsettled(tree, id, "cancel")
  update(tree, node, { status: "cancelled", value: null, finishedAt: at })
  return tree
}

/**
 * It completed. The first baseline that completes with a value becomes the best.
 *
 * @param failure what failed after the job had succeeded (analysis, planning): the measurements stand
 */
export const completed = (tree: Draft, id: string, at: number, failure: FailureRecord | null = null): Draft => {
  const node = getUnsettled(tree, id, "complete")
  const crowned = node.seed === baselineSeed && tree.best === null && node.value !== null
  update(tree, node, { status: "completed", failure, finishedAt: at, crowned })
  countForPlateau(tree, node)
  if (crowned) crown(tree, node)
  return tree
}

const crown = (tree: Draft, node: TreeNode): void => {
  tree.best = node.id
  tree.plateau = 0
}

/** Whether a node may ever become the best by a confirmation: completed, with a value, and no seed. */
export const isEligible = (node: TreeNode): boolean =>
  node.status === "completed" && node.value !== null && node.seed === null

/**
 * A confirmation ended. The challenger becomes the best when it was measured to be better than what is the best
 * now; a confirmation against an earlier best is recorded, but proves nothing about the present one.
 */
export const confirmed = (tree: Draft, confirmation: Confirmation): Draft => {
  const node = get(tree, confirmation.challenger, "confirm")
  get(tree, confirmation.champion, "confirm a challenger of")
  const crowned = confirmation.purpose === "crown" && confirmation.better && isEligible(node) &&
    confirmation.champion === tree.best && confirmation.challenger !== tree.best
  update(tree, node, {
    confirmations: [...node.confirmations, confirmation],
    crowned: node.crowned || crowned
  })
  if (crowned) crown(tree, node)
  return tree
}

/** The planner stops proposing; the first reason stands. */
export const stopped = (tree: Draft, reason: string): Draft => {
  tree.stopped ??= reason
  return tree
}

// ------------------------------------------------------------------------------------------------ selectors

/** From the root down to the node, both included; empty for an unknown id. */
export const lineage = (tree: ExperimentTree, id: string): ReadonlyArray<TreeNode> => {
  const path: Array<TreeNode> = []
  let node = tree.nodes.get(id)
  while (node !== undefined) {
    path.push(node)
    node = node.parent === null ? undefined : tree.nodes.get(node.parent)
  }
  return path.reverse()
}

/** The nodes derived from a node, in order of creation; `null` gives the roots. */
export const children = (tree: ExperimentTree, id: string | null): ReadonlyArray<TreeNode> =>
  [...tree.nodes.values()].filter((node) => node.parent === id)

/** The best node now, if any. */
export const best = (tree: ExperimentTree): TreeNode | undefined =>
  tree.best === null ? undefined : tree.nodes.get(tree.best)

const seedNamed = (tree: ExperimentTree, seed: string): TreeNode | undefined => {
  for (const node of tree.nodes.values()) if (node.seed === seed) return node
  return undefined
}

/** The seed that all is compared with, if it was added yet. */
export const baseline = (tree: ExperimentTree): TreeNode | undefined => seedNamed(tree, baselineSeed)

/** The seed that shows the ceiling, if one was declared. */
export const headspace = (tree: ExperimentTree): TreeNode | undefined => seedNamed(tree, headspaceSeed)

/** The nodes of one status, in order of creation. */
export const byStatus = (tree: ExperimentTree, status: Status): ReadonlyArray<TreeNode> =>
  [...tree.nodes.values()].filter((node) => node.status === status)

/** How many nodes there are of each status; the sum is the size of the tree. */
export const counts = (tree: ExperimentTree): Readonly<Record<Status, number>> => {
  const result = { queued: 0, preparing: 0, running: 0, analyzing: 0, completed: 0, failed: 0, cancelled: 0 }
  for (const node of tree.nodes.values()) result[node.status] += 1
  return result
}

/** How many experiments, seeds not counted, have completed or failed. */
export const experimentsFinished = (tree: ExperimentTree): number => {
  let count = 0
  for (const { seed, status } of tree.nodes.values()) {
    if (seed === null && (status === "completed" || status === "failed")) count += 1
  }
  return count
}

/** How many experiments, seeds not counted, were ever proposed. */
export const experimentsProposed = (tree: ExperimentTree): number => {
  let count = 0
  for (const node of tree.nodes.values()) if (node.seed === null) count += 1
  return count
}

/**
 * What the duplicate filter compares: equal for the same base and the same change set. To start from the baseline's
 * commit is to start from the anchor.
 */
export const experimentKey = (tree: ExperimentTree, base: string | null, changes: ChangeSet): string => {
  const start = base === null || tree.nodes.get(base)?.seed === baselineSeed ? "" : base
  return `${start} ${changesKey(changes)}`
}

/**
 * Whether the tree has a node with the same base and the same change set that has not failed. What a
 * person cancelled is not proposed again either. The baseline counts as an experiment without changes; other seeds run another mode of the program and do not count.
 */
export const isDuplicate = (tree: ExperimentTree, base: string | null, changes: ChangeSet): boolean => {
  const key = experimentKey(tree, base, changes)
  for (const node of tree.nodes.values()) {
    if (node.seed !== null && node.seed !== baselineSeed) continue
    if (node.status === "failed") continue
    if (experimentKey(tree, node.base, node.changes) === key) return true
  }
  return false
}

/**
 * All that was measured of the objective, by node: its own jobs, then its part in confirmations, as challenger and as
 * champion. Nodes without a value are left out.
 */
export const observations = (tree: ExperimentTree): ReadonlyMap<string, ReadonlyArray<number>> => {
  const { metric } = tree.objective
  const result = new Map<string, Array<number>>()
  for (const node of tree.nodes.values()) {
    if (node.value === null) continue
    result.set(node.id, Object.hasOwn(node.measurements, metric) ? [...node.measurements[metric]!] : [node.value])
  }
  for (const node of tree.nodes.values()) {
    for (const { challenger, champion, pairs } of node.confirmations) {
      for (const [ofChallenger, ofChampion] of pairs) {
        result.get(challenger)?.push(ofChallenger)
        result.get(champion)?.push(ofChampion)
      }
    }
  }
  return result
}
