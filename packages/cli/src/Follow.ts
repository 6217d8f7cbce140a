/**
 * Following a run in words: what a person is told of each event, and how long it may still take.
 */
import { Outcome, type RunEvent } from "@espalier/engine"
import { Experiment, ExperimentTree, Failure, Measurement, type TreeView } from "@espalier/workflow"
import { formatDuration, formatGain, formatValue, plainLine } from "./Format.ts"

/** Which node a work belongs to; undefined for a plan or the setup. */
const nodeOf = (view: TreeView.TreeView, work: string): ExperimentTree.TreeNode | undefined =>
  view.tree.nodes.get(work.replace(/^experiment\//, ""))

/** What is said of an experiment that completed: its value, against the baseline, and what it changed. */
const completedLine = (view: TreeView.TreeView, node: ExperimentTree.TreeNode): string => {
  const { objective } = view.tree
  const baseline = ExperimentTree.baseline(view.tree)
  const gain = node.value === null || baseline?.value === null || baseline?.value === undefined || node === baseline
    ? ""
    : ` (${formatGain(Measurement.gainOf(objective.direction, node.value, baseline.value))} against the baseline)`
  const value = node.value === null ? "no value" : formatValue(node.value, objective.unit)
  const change = node.seed === null ? ` ${Experiment.describeChanges(node.changes)}` : ""
  return `${node.name}: ${value}${gain}${change}`
}

const lineOfEvent = (view: TreeView.TreeView, event: RunEvent.Sequenced["event"]): string | undefined => {
  switch (event._tag) {
    case "RunStarted":
      return "run started"
    case "RunResumed":
      return "run resumed"
    case "RunSuspended":
      return "run suspended"
    case "RunCancelled":
      return "run cancelled"
    case "RunCompleted":
      return "run completed"
    case "StepRecorded": {
      const node = nodeOf(view, event.id)
      return node !== undefined && event.step.startsWith("launch ") && node.jobs === 1
        ? `${node.name}: job started`
        : undefined
    }
    case "WorkStarted":
      // It may take as long as many experiments together.
      return event.id.startsWith("confirm/") ? `${event.id.slice("confirm/".length)}: confirmation started` : undefined
    case "WorkRetryScheduled":
      return `${event.id}: ${failureText(event.failure)}; tried again in ${formatDuration(event.wakeAt - event.at)}`
    case "WorkFailed": {
      const node = nodeOf(view, event.id)
      if (node?.failure !== null && node?.failure !== undefined) {
        return `${node.name}: failed, ${Failure.describe(node.failure)} [${Experiment.describeChanges(node.changes)}]`
      }
      return `${event.id}: failed, ${failureText(event.failure)}`
    }
    case "WorkSucceeded": {
      const node = nodeOf(view, event.id)
      if (node !== undefined) return completedLine(view, node)
      if (event.id.startsWith("confirm/")) return confirmationLine(view, event.id)
      return undefined
    }
    default:
      return undefined
  }
}

/**
 * One line about an event, free of control characters, or undefined where there is nothing to say. The view holds the
 * event already.
 */
export const lineOf = (view: TreeView.TreeView, event: RunEvent.Sequenced["event"]): string | undefined => {
  const line = lineOfEvent(view, event)
  return line === undefined ? undefined : plainLine(line)
}

const failureText = (failure: RunEvent.Of<"WorkFailed">["failure"]): string => {
  switch (failure._tag) {
    case "Error": {
      const error = failure.error as { readonly failure?: { readonly kind?: string; readonly message?: string } }
      return `${error.failure?.kind ?? "error"}: ${error.failure?.message ?? JSON.stringify(failure.error)}`
    }
    case "Defect":
      return failure.message
    case "TimedOut":
      return `timed out after ${formatDuration(failure.afterMillis)}`
    default:
      return Outcome.describeFailure(failure)
  }
}

const confirmationLine = (view: TreeView.TreeView, work: string): string | undefined => {
  for (const node of view.tree.nodes.values()) {
    for (const made of node.confirmations) {
      if (work !== `confirm/${made.purpose}-${made.challenger}-${made.champion}`) continue
      const pairs = `${made.pairs.length} ${made.pairs.length === 1 ? "pair" : "pairs"}`
      const measured = made.undecided === undefined
        ? `x${made.ratio.toFixed(3)} (${made.low.toFixed(3)} to ${made.high.toFixed(3)}, ${pairs})`
        : `undecided, ${made.undecided}`
      if (made.purpose === "final") return `final: ${made.challenger} beside ${made.champion}: ${measured}`
      return made.better
        ? `new best: ${made.challenger} beats ${made.champion}: ${measured}`
        : `confirmation: ${made.challenger} does not beat ${made.champion}: ${measured}`
    }
  }
  return undefined
}

/** What the estimate needs of a study. */
export interface Bounds {
  readonly limits: {
    readonly jobs: number | null
    readonly experiments: number | null
    readonly wallTimeMillis: number | null
  }
  readonly repeats: number
  readonly objective: { readonly pairs: number }
}

/** Jobs that are certain to come or run now: of experiments that have not settled, and of confirmations. */
const jobsToCome = (view: TreeView.TreeView, { objective, repeats }: Bounds): number => {
  let jobs = view.pendingConfirms * 2 * objective.pairs
  for (const node of view.tree.nodes.values()) {
    if (!Experiment.isSettled(node.status)) jobs += Math.max(node.status === "running" ? 1 : 0, repeats - node.jobs)
  }
  return jobs
}

/**
 * An estimate of what is left at most, in milliseconds: at the pace so far, until the first limit that is reached, or
 * until what was begun is done when nothing more is proposed. Undefined as long as there is no pace.
 *
 * @param elapsedMillis that engines have been alive
 */
export const remainingMillis = (view: TreeView.TreeView, bounds: Bounds, elapsedMillis: number): number | undefined => {
  const { experiments, jobs, wallTimeMillis } = bounds.limits
  const { tree } = view
  const finished = ExperimentTree.experimentsFinished(tree)
  if (finished < 2 || tree.jobs === 0) return undefined
  if (tree.stopped !== null) return jobsToCome(view, bounds) * elapsedMillis / tree.jobs
  const least = Math.min(
    jobs === null ? Infinity : (jobs / tree.jobs - 1) * elapsedMillis,
    experiments === null ? Infinity : (experiments / finished - 1) * elapsedMillis,
    wallTimeMillis === null ? Infinity : wallTimeMillis - elapsedMillis
  )
  return Number.isFinite(least) ? Math.max(0, least) : undefined
}
