/**
 * The view of a run: its hypothesis tree, and beside it what is known of each node's jobs. A fold over the journal's
 * events and nothing else, so it is the same for the planner, for the report and for whoever looks at a run from outside.
 */
import { type CurrentWork, Outcome, Projection, type RunEvent } from "@espalier/engine"
import { EvidenceRecord } from "@espalier/platform/Evidence"
import { JobHandle, TerminalStatus } from "@espalier/platform/Execution"
import { Effect, Schema } from "effect"
import type { ExperimentSpec } from "./Experiment.ts"
import * as Tree from "./ExperimentTree.ts"
import * as Failure from "./Failure.ts"
import { Confirm, Experiment, ExperimentFailed, Plan, Setup, type SetupPayload } from "./Laboratory.ts"
import { median } from "./Measurement.ts"
import { Analysis, Prepared } from "./phases/Records.ts"

/** A job of a node or of a confirmation. */
export interface JobRecord {
  /** The work that launched it, and its name in that work's steps. */
  readonly work: string
  readonly name: string
  readonly handle: JobHandle
  readonly status: TerminalStatus | null
  readonly evidence: EvidenceRecord | null
}

/** What is known of a node beside its place in the tree. */
export interface NodeRecord {
  readonly spec: ExperimentSpec
  readonly prepared: Prepared | null
  readonly analysis: string | null
}

/**
 * - `tree`: the hypothesis tree. `setup`: what the run began with; undefined before it did.
 * - `jobs`: in order of launch. `nodes`: by node id.
 * - `seq`, `at`: the last event that it holds. `beganAt`: when the run began; `livedMillis`: the time that engines were alive.
 */
export interface TreeView {
  readonly tree: Tree.Draft
  readonly setup: SetupPayload | undefined
  readonly setupFailure: Failure.FailureRecord | undefined
  readonly planFailure: Failure.FailureRecord | undefined
  /** Confirmations that gave no comparison, by id: a side failed, or what runs the jobs did. The nodes are as they were. */
  readonly confirmFailures: ReadonlyMap<string, Failure.FailureRecord>
  readonly jobs: ReadonlyArray<JobRecord>
  readonly nodes: ReadonlyMap<string, NodeRecord>
  readonly pendingConfirms: number
  /** Experiments that settled since a confirmation was last asked for. */
  readonly sinceConfirmation: number
  /** Ids of all confirmations that were ever asked for. */
  readonly confirms: ReadonlySet<string>
  readonly seq: number
  readonly beganAt: number
  readonly at: number
  readonly livedMillis: number
  readonly state: "running" | "suspended" | "cancelled" | "completed" | "paused"
}

interface Draft extends TreeView {
  tree: Tree.Draft
  setup: SetupPayload | undefined
  setupFailure: Failure.FailureRecord | undefined
  planFailure: Failure.FailureRecord | undefined
  readonly confirmFailures: Map<string, Failure.FailureRecord>
  readonly jobs: Array<JobRecord>
  readonly nodes: Map<string, NodeRecord>
  pendingConfirms: number
  sinceConfirmation: number
  readonly confirms: Set<string>
  seq: number
  beganAt: number
  at: number
  livedMillis: number
  state: TreeView["state"]
  /** Kind and, for an experiment, node of each work that has not settled. */
  readonly works: Map<string, { readonly kind: string; readonly node: string | null }>
}

const noObjective: Tree.Objective = {
  metric: "objective",
  direction: "maximize",
  unit: "",
  smallestGain: 0,
  level: 0.05,
  pairs: 1
}

/** The view before anything happened. */
export const empty = (): TreeView => {
  const draft: Draft = {
    tree: Tree.empty(noObjective),
    setup: undefined,
    setupFailure: undefined,
    planFailure: undefined,
    confirmFailures: new Map(),
    jobs: [],
    nodes: new Map(),
    pendingConfirms: 0,
    sinceConfirmation: 0,
    confirms: new Set(),
    seq: 0,
    beganAt: 0,
    at: 0,
    livedMillis: 0,
    state: "running",
    works: new Map()
  }
  return draft
}

const decodeSetup = Schema.decodeUnknownSync(Schema.toCodecJson(Setup.payload))
const decodeExperiment = Schema.decodeUnknownSync(Schema.toCodecJson(Experiment.payload))
const decodePrepared = Schema.decodeUnknownSync(Schema.toCodecJson(Prepared))
const decodeJob = Schema.decodeUnknownSync(Schema.toCodecJson(JobHandle))
const decodeStatus = Schema.decodeUnknownSync(Schema.toCodecJson(TerminalStatus))
const decodeEvidence = Schema.decodeUnknownSync(Schema.toCodecJson(EvidenceRecord))
const decodeAnalysis = Schema.decodeUnknownSync(Schema.toCodecJson(Analysis))
const decodeFailure = Schema.decodeUnknownSync(Schema.toCodecJson(ExperimentFailed))
const decodePlan = Schema.decodeUnknownSync(Schema.toCodecJson(Plan.success))
const decodeConfirmation = Schema.decodeUnknownSync(Schema.toCodecJson(Confirm.success))

type WorkSpecOf = RunEvent.Of<"WorkAdded">["spec"]

/** The id of a confirmation from that of its work. */
const confirmOf = (work: string): string => work.slice("confirm/".length)

const addWork = (view: Draft, spec: WorkSpecOf, at: number): void => {
  let node: string | null = null
  if (spec.kind === Setup.kind) {
    view.setup = decodeSetup(spec.payload)
    view.tree = Tree.empty(view.setup.objective)
  } else if (spec.kind === Experiment.kind) {
    const payload = decodeExperiment(spec.payload)
    node = payload.spec.id
    view.nodes.set(node, { spec: payload.spec, prepared: null, analysis: null })
    Tree.added(view.tree, payload.spec, at)
  } else if (spec.kind === Confirm.kind) {
    view.pendingConfirms += 1
    view.sinceConfirmation = 0
    view.confirms.add(confirmOf(spec.id))
  }
  view.works.set(spec.id, { kind: spec.kind, node })
}

const recordStep = (view: Draft, event: RunEvent.Of<"StepRecorded">): void => {
  const work = view.works.get(event.id)
  if (work === undefined || (work.kind !== Experiment.kind && work.kind !== Confirm.kind)) return
  const { node } = work
  const [phase, ...rest] = event.step.split(" ")
  const name = rest.join(" ")
  const jobAt = view.jobs.findLastIndex((job) => job.work === event.id && job.name === name)
  switch (phase) {
    case "prepare": {
      if (node === null) return
      const prepared = decodePrepared(event.result)
      view.nodes.set(node, { ...view.nodes.get(node)!, prepared })
      Tree.committed(view.tree, node, prepared.commit)
      return
    }
    case "launch":
      view.jobs.push({ work: event.id, name, handle: decodeJob(event.result), status: null, evidence: null })
      Tree.jobsLaunched(view.tree, node, 1)
      if (node !== null) Tree.phaseChanged(view.tree, node, "running", event.at)
      return
    case "poll":
      view.jobs[jobAt] = { ...view.jobs[jobAt]!, status: decodeStatus(event.result) }
      if (node !== null) Tree.phaseChanged(view.tree, node, "analyzing", event.at)
      return
    case "collect": {
      const evidence = decodeEvidence(event.result)
      view.jobs[jobAt] = { ...view.jobs[jobAt]!, evidence }
      if (node === null) return
      const metrics: Record<string, number> = {}
      for (const [metric, values] of Object.entries(evidence.metrics)) {
        const value = median(values)
        if (value !== null) metrics[metric] = value
      }
      Tree.measured(view.tree, node, metrics)
      return
    }
    case "analyze":
      if (node !== null) {
        view.nodes.set(node, { ...view.nodes.get(node)!, analysis: decodeAnalysis(event.result).text })
      }
      return
  }
}

/** What a failed work says, in the form of a record, whatever it failed by. */
const failureOf = (event: RunEvent.Of<"WorkFailed">): Failure.FailureRecord => {
  const { failure } = event
  switch (failure._tag) {
    case "Error":
      return decodeFailure(failure.error).failure
    case "Defect":
      return Failure.make({
        kind: "unexpected_exception",
        message: failure.message,
        createdAt: event.at,
        details: { stack: failure.stack ?? "" }
      })
    case "TimedOut":
      return Failure.make({
        kind: "infrastructure_failed",
        message: `The work timed out after ${failure.afterMillis} ms.`,
        createdAt: event.at
      })
    case "Stalled":
    case "Expired":
    case "Crashed":
    case "WorkerDied":
      return Failure.make({
        kind: "infrastructure_failed",
        message: `The work failed: ${Outcome.describeFailure(failure)}.`,
        createdAt: event.at
      })
  }
}

const settle = (
  view: Draft,
  event: RunEvent.Of<"WorkSucceeded"> | RunEvent.Of<"WorkFailed"> | RunEvent.Of<"WorkCancelled">
): void => {
  const work = view.works.get(event.id)
  view.works.delete(event.id)
  if (work === undefined) return
  const { kind, node } = work
  if (kind === Confirm.kind) {
    view.pendingConfirms -= 1
    if (event._tag === "WorkSucceeded") Tree.confirmed(view.tree, decodeConfirmation(event.result))
    else if (event._tag === "WorkFailed") view.confirmFailures.set(confirmOf(event.id), failureOf(event))
  } else if (kind === Plan.kind) {
    if (event._tag === "WorkSucceeded") {
      const { stopped } = decodePlan(event.result)
      view.planFailure = undefined
      if (stopped !== null) Tree.stopped(view.tree, stopped)
    } else if (event._tag === "WorkFailed") view.planFailure = failureOf(event)
  } else if (kind === Setup.kind) {
    if (event._tag === "WorkFailed") view.setupFailure = failureOf(event)
  } else if (node !== null) {
    if (view.nodes.get(node)?.spec.seed === null) view.sinceConfirmation += 1
    if (event._tag === "WorkSucceeded") Tree.completed(view.tree, node, event.at)
    else if (event._tag === "WorkFailed") Tree.failed(view.tree, node, failureOf(event), event.at)
    else Tree.cancelled(view.tree, node, event.at)
  }
}

/** Experiments whose handler ended without a record: they begin again at the step that is not recorded. */
const requeue = (view: Draft, id: string, at: number): void => {
  const node = view.works.get(id)?.node
  if (node !== null && node !== undefined) Tree.phaseChanged(view.tree, node, "queued", at)
}

/** Folds one event in. The view is changed in place. */
export const evolve = (view: TreeView, { event, seq }: RunEvent.Sequenced): void => {
  const draft = view as Draft
  if (draft.seq === 0) draft.beganAt = event.at
  else if (event._tag !== "RunResumed") draft.livedMillis += Math.max(0, event.at - draft.at)
  draft.seq = seq
  draft.at = event.at
  switch (event._tag) {
    case "WorkAdded":
      // Work that is added to a completed run extends it.
      if (draft.state === "completed") draft.state = "running"
      return addWork(draft, event.spec, event.at)
    case "WorkStarted": {
      const node = draft.works.get(event.id)?.node
      if (node !== null && node !== undefined) {
        const launched = draft.jobs.findLast((job) => job.work === event.id)
        const status = launched === undefined ? "preparing" : launched.status === null ? "running" : "analyzing"
        Tree.phaseChanged(draft.tree, node, status, event.at)
      }
      return
    }
    case "StepRecorded":
      return recordStep(draft, event)
    case "WorkSucceeded":
    case "WorkFailed":
      settle(draft, event)
      for (const child of event.children) addWork(draft, child, event.at)
      return
    case "WorkCancelled":
      return settle(draft, event)
    case "WorkInterrupted":
    case "WorkRetryScheduled":
      return requeue(draft, event.id, event.at)
    case "RunStarted":
    case "RunContinued":
      draft.state = "running"
      return
    case "RunResumed":
      if (draft.state === "suspended" || draft.state === "running") draft.state = "running"
      return
    case "RunPaused":
      draft.state = "paused"
      return
    case "RunSuspended":
      draft.state = "suspended"
      return
    case "RunCancelled":
      draft.state = "cancelled"
      return
    case "RunCompleted":
      draft.state = "completed"
      return
    default:
      return
  }
}

/** Folds a whole journal. */
export const fold = (events: Iterable<RunEvent.Sequenced>): TreeView => {
  const view = empty()
  for (const event of events) evolve(view, event)
  return view
}

const projection = Projection.make({ initial: empty, evolve })

/** The view of the run that the current work belongs to, up to what is durable now. */
export const currentView: Effect.Effect<TreeView, never, CurrentWork.CurrentWork> = Effect.orDie(projection)
