/**
 * The life of one experiment: prepare, build, then for each repeat launch, poll and collect, and at last analyze. A sequence of
 * recorded steps: after a crash it goes on at the first that is not recorded.
 *
 * Each job holds the pool `machine` from before its launch to the record of its poll, so that two measurements never
 * disturb each other, while other experiments prepare, build and are analyzed beside it.
 */
import { CurrentWork, Slots } from "@espalier/engine"
import { Execution, JobHandle } from "@espalier/platform/Execution"
import type { Tree } from "@espalier/platform/Workspace"
import { Effect, Option } from "effect"
import { recordDefects } from "./internal/handling.ts"
import { Experiment, Laboratory, machinePool, Plan } from "./Laboratory.ts"
import { analyze } from "./phases/Analyze.ts"
import { build } from "./phases/Build.ts"
import { collect } from "./phases/Collect.ts"
import { launch } from "./phases/Launch.ts"
import { poll } from "./phases/Poll.ts"
import { prepare } from "./phases/Prepare.ts"
import { Study } from "./Study.ts"

/** The names of a job's steps. `job` is 1, 2, ... in an experiment, and a side and a pair in a confirmation. */
export const stepsOf = (job: string | number) => ({
  launch: `launch ${job}`,
  poll: `poll ${job}`,
  collect: `collect ${job}`
})

/** One job, from its launch to its evidence. The caller holds the machine. */
export const runJob = Effect.fnUntraced(function*(
  job: string | number,
  tree: Tree,
  node: string,
  extra: ReadonlyArray<string>
) {
  const steps = stepsOf(job)
  const handle = yield* launch(steps.launch, tree, node, extra)
  const status = yield* poll(steps.poll, handle)
  return yield* collect(steps.collect, handle, status)
})

/**
 * Ends the job of a cancelled work: one that is on record, or one that was launched just before a crash and is not.
 */
export const cancelJobs = (jobs: ReadonlyArray<string | number>) =>
  Effect.fnUntraced(function*(cancelled: import("@espalier/engine").WorkKind.Cancelled) {
    const execution = yield* Execution
    const work = yield* CurrentWork.CurrentWork
    for (const job of jobs) {
      const steps = stepsOf(job)
      const recorded = cancelled.recorded(steps.launch, JobHandle)
      const found = recorded === undefined
        ? yield* execution.find(work.idempotencyKey(steps.launch))
        : Option.some(recorded)
      if (Option.isSome(found)) yield* execution.cancel(found.value.id)
    }
  })

/** The jobs of an experiment, by their names in its steps. */
export const jobsOf = (repeats: number): ReadonlyArray<number> =>
  Array.from({ length: repeats }, (_, index) => index + 1)

/** Handles `experiment`. */
export const layer = Experiment.toLayer(
  Effect.fn("Experiment")(
    function*({ commit, spec }) {
      const study = yield* Study
      // Spawned first: whatever becomes of the experiment, somebody has to look at the tree when it has settled.
      yield* Laboratory.spawn(Plan, {}, { id: `plan/after-${spec.id}`, dedupe: "plan", on: "always" })
      const { prepared, tree } = yield* prepare(spec, commit)
      yield* build("build", spec.id, tree, prepared.commit)
      const evidence = []
      for (const job of jobsOf(study.repeats)) {
        yield* Slots.hold(`machine ${job}`, { [machinePool]: 1 }, { until: stepsOf(job).poll })
        evidence.push(yield* runJob(job, tree, spec.id, spec.arguments))
      }
      yield* analyze(spec, evidence)
    },
    recordDefects("runner"),
    Effect.scoped
  ),
  {
    onCancel: (_, cancelled) => Effect.flatMap(Study, (study) => cancelJobs(jobsOf(study.repeats))(cancelled))
  }
)
