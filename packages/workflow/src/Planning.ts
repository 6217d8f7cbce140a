/**
 * Plan: what comes next. One decision at a time, each made of the tree as it is then and recorded with what it spawns, so that
 * a crash neither repeats nor loses a proposal.
 *
 * 1. While the limits allow, experiments are proposed until `batch` of them are pending.
 * 2. After every `confirmEvery` experiments, and when nothing more is proposed, the strongest challenger of the best is
 *    confirmed beside it. Confirming each challenger at once would spend most of the jobs on steps of a climb that the
 *    next experiment overtakes.
 * 3. When nothing more may be proposed and nothing is pending, the best is measured once more beside the baseline:
 *    the figure that the report gives. Its pairs have had no part in any choice before.
 * 4. Then nothing is spawned, and the run completes because it has run dry.
 */
import { Step } from "@espalier/engine"
import { Clock, Effect } from "effect"
import { confirmId } from "./Confirmation.ts"
import { baselineSeed, type ExperimentSpec, isSettled } from "./Experiment.ts"
import * as Tree from "./ExperimentTree.ts"
import { recordDefects } from "./internal/handling.ts"
import { Confirm, type ConfirmPayload, Experiment, Laboratory, Plan, PlanResult } from "./Laboratory.ts"
import * as Policy from "./Policy.ts"
import * as SearchPolicy from "./SearchPolicy.ts"
import { workId } from "./Setup.ts"
import { type Settings, Study } from "./Study.ts"
import { currentView, type TreeView } from "./TreeView.ts"

/** What a plan decides. */
export interface Decision {
  readonly stopped: string | null
  readonly experiments: ReadonlyArray<ExperimentSpec>
  readonly confirm: ConfirmPayload | null
}

/** Jobs that are certain to come: of pending experiments and of a pending confirmation. */
const jobsPromised = (view: TreeView, settings: Settings): number => {
  let jobs = view.pendingConfirms * 2 * settings.objective.pairs
  for (const node of view.tree.nodes.values()) {
    if (!isSettled(node.status)) jobs += Math.max(0, settings.repeats - node.jobs)
  }
  return jobs
}

const confirmPayload = (
  view: TreeView,
  settings: Settings,
  challenger: string,
  champion: string,
  purpose: ConfirmPayload["purpose"]
): ConfirmPayload | null => {
  const challengerCommit = view.tree.nodes.get(challenger)?.commit
  const championCommit = view.tree.nodes.get(champion)?.commit
  if (typeof challengerCommit !== "string" || typeof championCommit !== "string") return null
  const { level, pairs } = settings.objective
  return { challenger, champion, challengerCommit, championCommit, purpose, pairs, level }
}

/** Whether a confirmation of this pair was asked for already. One that failed is not asked for again. */
const wasAsked = (asked: ReadonlySet<string>, payload: ConfirmPayload): boolean => asked.has(confirmId(payload))

/**
 * The decision, as a pure function of the view.
 *
 * @param asked ids of the confirmations that were ever spawned
 * @param elapsedMillis that engines have lived in this run: downtime does not count
 */
export const decide = (
  view: TreeView,
  settings: Settings,
  asked: ReadonlySet<string>,
  elapsedMillis: number
): Decision => {
  const { tree } = view
  const nothing: Decision = { stopped: null, experiments: [], confirm: null }
  const pending = [...tree.nodes.values()].filter((node) => !isSettled(node.status))
  const baseline = tree.nodes.get(baselineSeed)
  if (baseline === undefined || !isSettled(baseline.status)) return nothing
  // The last confirmation is the last word: what it measured must not bring a new challenger forward.
  if ([...asked].some((id) => id.startsWith("final-"))) return nothing

  const crown = (): ConfirmPayload | null => {
    if (view.pendingConfirms > 0 || tree.best === null) return null
    for (const challenger of Policy.challengers(tree)) {
      const payload = confirmPayload(view, settings, challenger.id, tree.best, "crown")
      if (payload !== null && !wasAsked(asked, payload)) return payload
    }
    return null
  }
  const { limits } = settings
  const left = limits.jobs === null ? Infinity : limits.jobs - tree.jobs - jobsPromised(view, settings)
  const pairJobs = 2 * settings.objective.pairs
  // Kept back from the first: the last confirmation, so that the limit holds with it included, and one or two to crown
  // what the last experiments find.
  const crowningsKept = limits.jobs === null || limits.jobs >= 8 * pairJobs ? 2 : 1
  const spare = left - (1 + crowningsKept) * pairJobs
  // Past the time limit one crowning is left to a search that would otherwise end without a result.
  const isLate = limits.wallTimeMillis !== null && elapsedMillis >= limits.wallTimeMillis
  const challenge = left >= 2 * pairJobs && (!isLate || tree.best === baselineSeed) ? crown() : null
  const isDue = view.sinceConfirmation >= settings.planner.confirmEvery

  const propose = (): Decision => {
    const outOfJobs = spare < settings.repeats
    // A confirmation needs the whole machine. Where that holds several jobs it would never come free for it, as long as
    // new experiments take each place that is given back.
    const isConfirming = settings.machine > 1 && (view.pendingConfirms > 0 || (isDue && challenge !== null))
    const wanted = isConfirming ? 0 : Math.max(0, settings.planner.batch - pending.length)
    const proposals = tree.stopped !== null || outOfJobs || wanted === 0
      ? []
      : SearchPolicy[settings.planner.kind](tree, settings.space, { seed: settings.planner.seed, batch: wanted })
    const decision = Policy.decide(tree, limits, {
      elapsedMillis,
      exhausted: !outOfJobs && wanted > 0 && proposals.length === 0,
      confirmations: view.pendingConfirms + (challenge === null ? 0 : 1)
    })
    const goesOn = tree.stopped === null && !outOfJobs && decision._tag === "Continue"
    // While the search goes on, challengers gather, and the strongest is confirmed once in a while. When nothing more is
    // proposed they have their turn as soon as nothing is pending that might be stronger.
    const confirm = isDue || (!goesOn && pending.length === 0) ? challenge : null
    if (tree.stopped !== null || decision._tag === "Wait") return { ...nothing, confirm }
    if (decision._tag === "Stop") return { ...nothing, confirm, stopped: decision.message }
    if (outOfJobs) {
      if (pending.length > 0 || view.pendingConfirms > 0 || challenge !== null) return { ...nothing, confirm }
      return {
        ...nothing,
        stopped: `${tree.jobs} jobs have been launched and ${left} are left, which are kept for confirmations; ` +
          `the limit is ${limits.jobs}.`
      }
    }
    const room = Math.min(wanted, decision.room ?? Infinity, Math.floor(spare / settings.repeats))
    return {
      stopped: null,
      confirm,
      experiments: proposals.slice(0, room).map((proposal, index) => experimentOf(tree, proposal, index))
    }
  }

  const decision = propose()
  const isDone = (tree.stopped ?? decision.stopped) !== null && challenge === null && pending.length === 0 &&
    view.pendingConfirms === 0
  if (!isDone || tree.best === null || tree.best === baselineSeed || left < pairJobs) return decision
  const final = confirmPayload(view, settings, tree.best, baselineSeed, "final")
  return final === null || wasAsked(asked, final) ? decision : { ...decision, confirm: final }
}

const experimentOf = (tree: Tree.ExperimentTree, proposal: SearchPolicy.Proposal, index: number): ExperimentSpec => {
  const number = Tree.experimentsProposed(tree) + index + 1
  const id = `e${String(number).padStart(3, "0")}`
  return {
    id,
    name: id,
    parent: proposal.parent,
    base: proposal.base,
    hypothesis: proposal.hypothesis,
    changes: proposal.changes,
    seed: null,
    priority: proposal.priority,
    arguments: []
  }
}

/** Handles `plan`. */
export const layer = Plan.toLayer(
  Effect.fn("Plan")(
    function*() {
      const settings = yield* Study
      return yield* Step.run(
        "decide",
        PlanResult,
        Effect.gen(function*() {
          const view = yield* currentView
          const now = yield* Clock.currentTimeMillis
          const elapsed = view.livedMillis + Math.max(0, now - view.at)
          const { confirm, experiments, stopped } = decide(view, settings, view.confirms, elapsed)
          for (const spec of experiments) {
            const base = spec.base === null ? undefined : view.tree.nodes.get(spec.base)?.commit
            const commit = base ?? view.setup!.anchor
            yield* Laboratory.spawn(Experiment, { spec, commit }, { id: workId(spec.id), priority: spec.priority })
          }
          if (confirm !== null) yield* Laboratory.spawn(Confirm, confirm, { id: `confirm/${confirmId(confirm)}` })
          return {
            stopped,
            proposed: experiments.map((spec) => spec.id),
            confirms: confirm === null ? null : confirmId(confirm)
          }
        })
      )
    },
    recordDefects("planning")
  )
)
