/**
 * The decisions of the loop that are no search: when to stop proposing, and which experiment may challenge the best.
 * Pure functions of the tree, the limits, and the time that has passed.
 */
import {
  baseline,
  best,
  experimentsProposed,
  type ExperimentTree,
  isEligible,
  observations,
  type TreeNode
} from "./ExperimentTree.ts"
import { isSettled } from "./Experiment.ts"
import { gainOf, isWorthHaving, median } from "./Measurement.ts"

/**
 * What a run may use. `null` is without limit.
 *
 * - `experiments`: ever proposed, seeds not counted.
 * - `jobs`: ever launched, those of confirmations too.
 * - `wallTimeMillis`: that engines have lived in the run; downtime does not count.
 * - `patience`: experiments in a row that did not become the best.
 * - `target`: a value of the objective that is good enough; what counts is the best's {@link estimate}.
 */
export interface Limits {
  readonly experiments: number | null
  readonly jobs: number | null
  readonly wallTimeMillis: number | null
  readonly patience: number | null
  readonly target: number | null
}

/** Why no more experiments are proposed. */
export type StopReason =
  | "baselineFailed"
  | "baselineNotPositive"
  | "targetReached"
  | "experiments"
  | "jobs"
  | "wallTime"
  | "patience"
  | "spaceExhausted"

/**
 * What a planner may do now.
 *
 * - `Continue`: propose up to `room` experiments (`null`: as many as it likes).
 * - `Wait`: propose nothing now, ask again when something has settled; what is still running may yet crown a new
 *   best, or need a second try.
 * - `Stop`: propose nothing any more.
 *
 * `message` is a sentence for people.
 */
export type Decision =
  | { readonly _tag: "Continue"; readonly room: number | null }
  | { readonly _tag: "Wait"; readonly message: string }
  | { readonly _tag: "Stop"; readonly reason: StopReason; readonly message: string }

const seconds = (millis: number): string => `${(millis / 1000).toFixed(millis < 10_000 ? 1 : 0)} s`

/**
 * Whether the planner goes on. The hard limits come first: they hold whatever is running. Patience and an exhausted
 * space are judged when nothing is pending any more and no challenger waits for its confirmation.
 *
 * @param state.elapsedMillis since the run began; whoever calls has the clock
 * @param state.exhausted whether the planner has nothing left to propose
 * @param state.confirmations how many confirmations are running or will be asked for; every challenger has one coming
 *   when this is absent. Give it where a confirmation may fail or no jobs are left for one, or the wait never ends.
 */
export const decide = (
  tree: ExperimentTree,
  limits: Limits,
  state: { readonly elapsedMillis: number; readonly exhausted: boolean; readonly confirmations?: number }
): Decision => {
  const stop = (reason: StopReason, message: string): Decision => ({ _tag: "Stop", reason, message })
  const { direction, metric, unit } = tree.objective
  const first = baseline(tree)
  if (first !== undefined && isSettled(first.status) && first.value === null) {
    const why = first.failure === null ? "" : ` (${first.failure.kind}: ${first.failure.message})`
    return stop(
      "baselineFailed",
      `The baseline ${first.status} without a measurement, so nothing can be compared${why}.`
    )
  }
  // Gains are ratios: of such a baseline nothing could ever be better, and the run would search in vain to its end.
  if (first !== undefined && first.status === "completed" && !(first.value! > 0 && Number.isFinite(first.value))) {
    return stop(
      "baselineNotPositive",
      `The baseline's ${metric} is ${first.value}, and experiments are compared by ratios: the objective must be ` +
        "positive. Let the program print a positive number that orders the results in the same way, such as exp of " +
        "it, or it plus an offset."
    )
  }
  const champion = best(tree)
  const reached = champion === undefined ? null : estimate(tree, champion.id)
  if (
    limits.target !== null && reached !== null &&
    (direction === "maximize" ? reached >= limits.target : reached <= limits.target)
  ) {
    return stop("targetReached", `The target is reached: ${metric} is ${reached} ${unit}, wanted was ${limits.target}.`)
  }
  const proposed = experimentsProposed(tree)
  if (limits.experiments !== null && proposed >= limits.experiments) {
    return stop("experiments", `All ${limits.experiments} experiments that the limit allows have been proposed.`)
  }
  if (limits.jobs !== null && tree.jobs >= limits.jobs) {
    return stop("jobs", `${tree.jobs} jobs have been launched; the limit is ${limits.jobs}.`)
  }
  if (limits.wallTimeMillis !== null && state.elapsedMillis >= limits.wallTimeMillis) {
    return stop(
      "wallTime",
      `The run has taken ${seconds(state.elapsedMillis)}; the limit is ${seconds(limits.wallTimeMillis)}.`
    )
  }
  const isImpatient = limits.patience !== null && tree.plateau >= limits.patience
  if (!isImpatient && !state.exhausted) {
    return { _tag: "Continue", room: limits.experiments === null ? null : limits.experiments - proposed }
  }
  const pending = [...tree.nodes.values()].filter((node) => !isSettled(node.status)).length
  const waiting = state.confirmations ?? challengers(tree).length
  const why = isImpatient
    ? `${tree.plateau} experiments in a row did not become the best; the patience is ${limits.patience}`
    : "Nothing is left to propose: every change set of the space has been tried, or failed for good"
  if (pending > 0 || waiting > 0) {
    return { _tag: "Wait", message: `${why}; ${pending} experiments and ${waiting} confirmations are still to come.` }
  }
  return stop(isImpatient ? "patience" : "spaceExhausted", `${why}.`)
}

/**
 * What is known of a node's objective: the median of its own jobs and of all its measurements in confirmations. The
 * best was chosen because it had measured well, so its own value alone is too good on average, and would keep away
 * challengers that deserve a chance; the confirmations are not selected. `null` when nothing was measured.
 */
export const estimate = (tree: ExperimentTree, id: string): number | null => median(observations(tree).get(id) ?? [])

/**
 * The nodes that may challenge the best, the strongest first (then the older): completed, no seed, measured at least
 * the smallest gain better than what is known of the best, and not yet measured beside this best. The gate only saves
 * the cost of hopeless confirmations; it proves nothing.
 */
export const challengers = (tree: ExperimentTree): ReadonlyArray<TreeNode> => {
  const champion = best(tree)
  if (champion === undefined) return []
  const { direction, smallestGain } = tree.objective
  const reference = estimate(tree, champion.id)
  if (reference === null) return []
  const found: Array<{ readonly node: TreeNode; readonly gain: number }> = []
  for (const node of tree.nodes.values()) {
    if (node.id === champion.id || !isEligible(node)) continue
    if (node.confirmations.some((met) => met.purpose === "crown" && met.champion === champion.id)) continue
    const gain = gainOf(direction, node.value!, reference)
    if (gain !== null && isWorthHaving(gain, smallestGain)) found.push({ node, gain })
  }
  return found.sort((a, b) => b.gain - a.gain || a.node.order - b.node.order).map(({ node }) => node)
}
