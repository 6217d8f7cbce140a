/**
 * What the pictures and the reports all say about a tree, worked out once: so that a number in a picture is
 * the number in the text. Pure; nothing here formats anything.
 */
import { isSettled } from "../Experiment.ts"
import {
  baseline as baselineOf,
  best as bestOf,
  type Confirmation,
  counts as countsOf,
  type ExperimentTree,
  headspace as headspaceOf,
  lineage,
  type TreeNode
} from "../ExperimentTree.ts"

/** A node that became the best, and the measurement that made it so (none for the baseline, crowned by default). */
export interface Crowning {
  readonly node: TreeNode
  readonly confirmation: Confirmation | null
}

/**
 * How much better the best is than the baseline, by pairs that no choice has seen; above one is better whatever the
 * direction of the objective.
 */
export interface SpeedUp {
  readonly ratio: number
  /** bounds of the confidence interval */
  readonly low: number
  readonly high: number
  readonly pairs: number
  readonly pValue: number
  /** of the test; the interval's own is 1 - level */
  readonly level: number
}

export interface Facts {
  /** in order of creation */
  readonly nodes: ReadonlyArray<TreeNode>
  /** completed, failed and cancelled ones in order of finishing */
  readonly settled: ReadonlyArray<TreeNode>
  readonly baseline: TreeNode | null
  readonly headspace: TreeNode | null
  readonly best: TreeNode | null
  /** from the root to the best, both included */
  readonly bestPath: ReadonlyArray<TreeNode>
  /** oldest first */
  readonly crownings: ReadonlyArray<Crowning>
  /** null until the best was measured beside the baseline for the record, and if that was undecided */
  readonly speedUp: SpeedUp | null
  /** the last of the best's comparisons with the baseline that were made for the record, undecided or not */
  readonly final: Confirmation | null
  readonly counts: Readonly<Record<TreeNode["status"], number>>
  /** epoch milliseconds; null while nothing was created or finished */
  readonly startedAt: number | null
  readonly endedAt: number | null
}

const finite = (value: number | null | undefined): value is number =>
  typeof value === "number" && Number.isFinite(value)

/** The objective as a usable number: only a completed experiment has one. */
export const valueOf = (node: TreeNode | null | undefined): number | null =>
  node && node.status === "completed" && finite(node.value) ? node.value : null

/** How many times better `value` is than `reference`; null when a ratio says nothing (not both above zero). */
export const gain = (
  objective: ExperimentTree["objective"],
  value: number | null,
  reference: number | null
): number | null => {
  if (!finite(value) || !finite(reference) || value <= 0 || reference <= 0) return null
  const ratio = objective.direction === "maximize" ? value / reference : reference / value
  return Number.isFinite(ratio) && ratio > 0 ? ratio : null
}

/**
 * A confirmation's ratio and interval turned so that above one is better. A confirmation records challenger over
 * champion, which for a metric to minimise is below one when the challenger is better. The interval is null when the
 * pairs allow no statement.
 */
export const oriented = (
  objective: ExperimentTree["objective"],
  { high, low, ratio, undecided }: Confirmation
): { readonly ratio: number; readonly interval: { readonly low: number; readonly high: number } | null } | null => {
  const turn = (value: number) => objective.direction === "maximize" ? value : 1 / value
  if (!(ratio > 0) || !Number.isFinite(turn(ratio))) return null
  const bounds = objective.direction === "maximize" ? [low, high] as const : [1 / high, 1 / low] as const
  const decided = undecided === undefined && low > 0 && bounds.every(Number.isFinite)
  return { ratio: turn(ratio), interval: decided ? { low: bounds[0], high: bounds[1] } : null }
}

/** Of a node's confirmations the last that made it the best. */
const crowningOf = (node: TreeNode): Confirmation | null =>
  node.confirmations.findLast((each) => each.purpose === "crown" && each.better) ?? null

const crowningsOf = (nodes: ReadonlyArray<TreeNode>, best: TreeNode | null): ReadonlyArray<Crowning> => {
  const crowned = nodes.filter((node) => node.crowned)
  // Each crowning names whom it dethroned: followed back from the best this is the exact order, which times of
  // finishing are not (a node may wait for its confirmation while later ones finish).
  const byId = new Map(crowned.map((node) => [node.id, node]))
  const chain: Array<TreeNode> = []
  for (let at = best?.crowned ? best : undefined; at !== undefined && !chain.includes(at);) {
    chain.push(at)
    const champion = crowningOf(at)?.champion
    at = champion === undefined ? undefined : byId.get(champion)
  }
  chain.reverse()
  const rest = crowned.filter((node) => !chain.includes(node))
  return [...rest, ...chain].map((node) => ({ node, confirmation: crowningOf(node) }))
}

const finalOf = (baseline: TreeNode | null, best: TreeNode | null): Confirmation | null =>
  best?.confirmations.findLast((each) => each.purpose === "final" && each.champion === baseline?.id) ?? null

/**
 * Only the final comparison counts. Neither the crowning's ratio nor that of the medians takes its place: the best was
 * chosen for both being high, so both are too good on average.
 */
const speedUpOf = (tree: ExperimentTree, final: Confirmation | null): SpeedUp | null => {
  const measured = final === null ? null : oriented(tree.objective, final)
  if (final === null || measured === null || measured.interval === null) return null
  const { level, pValue, pairs } = final
  return {
    ratio: measured.ratio,
    ...measured.interval,
    pairs: pairs.length,
    pValue,
    level: level ?? tree.objective.level
  }
}

/** Everything the views need, from the tree alone. */
export const facts = (tree: ExperimentTree): Facts => {
  const nodes = [...tree.nodes.values()]
  const baseline = baselineOf(tree) ?? null
  const best = bestOf(tree) ?? null
  const final = finalOf(baseline, best)
  const settled = nodes
    .filter((node) => isSettled(node.status))
    .sort((a, b) => (a.finishedAt ?? Infinity) - (b.finishedAt ?? Infinity) || a.order - b.order)
  const begins = nodes.map((node) => node.createdAt).filter(finite)
  const ends = nodes.map((node) => node.finishedAt).filter(finite)
  return {
    nodes,
    settled,
    baseline,
    headspace: headspaceOf(tree) ?? null,
    best,
    bestPath: best === null ? [] : lineage(tree, best.id),
    crownings: crowningsOf(nodes, best),
    speedUp: speedUpOf(tree, final),
    final,
    counts: countsOf(tree),
    startedAt: begins.length === 0 ? null : begins.reduce((a, b) => Math.min(a, b)),
    endedAt: ends.length === 0 ? null : ends.reduce((a, b) => Math.max(a, b))
  }
}
