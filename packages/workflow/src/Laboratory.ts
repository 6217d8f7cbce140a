/**
 * The four kinds of work that a run of experiments consists of, and the engine that runs them.
 *
 * - `setup`, once: records what the run starts from and adds the seeds.
 * - `experiment`: the lifecycle of one node of the hypothesis tree.
 * - `plan`, one at a time: reads the tree and proposes what comes next. Every experiment and every confirmation that
 *   settles asks for one; a request while one waits is merged with it.
 * - `confirm`, one at a time: measures a challenger beside the best.
 *
 * Kinds are declared here, apart from their handlers (`Setup`, `Lifecycle`, `Planning`, `Confirmation`), because handlers
 * spawn works of each other's kinds.
 */
import { WorkEngine, WorkKind } from "@espalier/engine"
import { Schedule, Schema } from "effect"
import { ExperimentSpec } from "./Experiment.ts"
import { Confirmation, Objective } from "./ExperimentTree.ts"
import { FailureRecord, policyOf } from "./Failure.ts"

/**
 * A failure as the error of a handler. The record is what is journaled and shown.
 */
export class ExperimentFailed extends Schema.TaggedError<ExperimentFailed>()("ExperimentFailed", {
  failure: FailureRecord
}) {
  override get message(): string {
    return this.failure.message
  }
}

/** What another try at a work would only meet again: the launch is on record, and so is what became of it. */
const isOnRecord = ({ kind, phase }: FailureRecord): boolean => kind === "launch_failed" || phase === "job"

/**
 * Up to two more tries for failures that say nothing against the experiment. Neither a job that was lost is among them, nor
 * one whose program the system refused.
 */
const retry = Schedule.exponential("1 second").pipe(
  Schedule.upTo({ times: 2 }),
  Schedule.while(({ input }) => {
    if (!(input instanceof ExperimentFailed) || isOnRecord(input.failure)) return false
    const { blamesChanges, recovery } = policyOf(input.failure.kind)
    return recovery === "retryStep" && !blamesChanges
  })
)

/** What a run starts from. `fingerprint` tells whether the configuration has changed since. */
export const SetupPayload = Schema.Struct({
  anchor: Schema.String,
  objective: Objective,
  fingerprint: Schema.String
})
export type SetupPayload = typeof SetupPayload.Type

/** The first work of a run. */
export class Setup extends WorkKind.make("setup", {
  payload: SetupPayload,
  error: ExperimentFailed,
  retry
}) {}

/** One experiment. `commit` is the one that it starts from: its base's, or the anchor. */
export class Experiment extends WorkKind.make("experiment", {
  payload: { spec: ExperimentSpec, commit: Schema.String },
  error: ExperimentFailed,
  retry
}) {}

/** What a plan decided, beside what it spawned: why it stopped proposing, if it did. */
export const PlanResult = Schema.Struct({
  stopped: Schema.NullOr(Schema.String),
  proposed: Schema.Array(Schema.String),
  confirms: Schema.NullOr(Schema.String)
})
export type PlanResult = typeof PlanResult.Type

/** Who proposes next. */
export class Plan extends WorkKind.make("plan", {
  payload: {},
  success: PlanResult,
  error: ExperimentFailed,
  retry,
  limit: 1,
  priority: -20
}) {}

/** Two nodes to be measured beside each other. */
export const ConfirmPayload = Schema.Struct({
  challenger: Schema.String,
  champion: Schema.String,
  challengerCommit: Schema.String,
  championCommit: Schema.String,
  purpose: Schema.Literals(["crown", "final"]),
  pairs: Schema.Int,
  level: Schema.Finite
})
export type ConfirmPayload = typeof ConfirmPayload.Type

/** A challenger measured beside the best. */
export class Confirm extends WorkKind.make("confirm", {
  payload: ConfirmPayload,
  success: Confirmation,
  error: ExperimentFailed,
  retry,
  limit: 1,
  priority: -10
}) {}

/** The engine of a run of experiments. */
export class Laboratory extends WorkEngine.Service<Laboratory>()("@espalier/workflow/Laboratory", {
  kinds: [Setup, Experiment, Plan, Confirm]
}) {}

/** The pool that a job holds from its launch to the end of its poll. */
export const machinePool = "machine"
