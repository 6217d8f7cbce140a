/**
 * The life of one experiment: prepare, build, then for each repeat launch, poll and collect, and at last analyze. A sequence of
 * recorded steps: after a crash it goes on at the first that is not recorded.
 *
 * Each job holds the pool `machine` from before its launch to the record of its poll, so that two measurements never
 * disturb each other, while other experiments prepare, build and are analyzed beside it.
 */
import { CurrentWork, Slots } from "@espalier/engine"
import { Execution, JobHandle, type TerminalStatus } from "@espalier/platform/Execution"
import { Effect, Option } from "effect"
import { recordDefects } from "./internal/handling.ts"
import { Experiment, Laboratory, machinePool, Plan } from "./Laboratory.ts"
import { analyze } from "./phases/Analyze.ts"
import { build } from "./phases/Build.ts"
import { collect } from "./phases/Collect.ts"
import { launch, type Launchable } from "./phases/Launch.ts"
import { poll } from "./phases/Poll.ts"
import { discard, prepare } from "./phases/Prepare.ts"
import { Prepared } from "./phases/Records.ts"
import { Study } from "./Study.ts"

/** The names of a job's steps. `job` is 1, 2, ... in an experiment, and a side and a pair in a confirmation. */
export const stepsOf = (job: string | number) => ({
  launch: `launch ${job}`,
  poll: `poll ${job}`,
  collect: `collect ${job}`
})

/** How often a job is launched again that ended through no fault of its own. */
const moreTries = 2

/** The names under which a job may be launched: its own, and one for each time that it is launched again. */
const namesOf = (job: string | number): ReadonlyArray<string> => [
  `${job}`,
  ...Array.from({ length: moreTries }, (_, index) => `${job} again ${index + 1}`)
]

/** Ended by the machine and not by itself: lost in a power cut, or told to end at a shutdown. It says nothing. */
const isInnocent = (status: TerminalStatus): boolean =>
  status._tag === "Lost" || (status._tag === "Exited" && status.terminated === true)

/**
 * One job, from its launch to its evidence. `hold` takes the machine for the job of a name until its poll is recorded. A job that
 * ended innocently is launched again, under a name and a key of its own.
 */
export const runJob = Effect.fnUntraced(function*<E, R>(
  job: string | number,
  from: Launchable,
  hold: (steps: ReturnType<typeof stepsOf>) => Effect.Effect<void, E, R>
) {
  const names = namesOf(job)
  for (const [index, name] of names.entries()) {
    const steps = stepsOf(name)
    yield* hold(steps)
    const handle = yield* launch(steps.launch, from)
    const status = yield* poll(steps.poll, handle)
    if (isInnocent(status) && index < names.length - 1) continue
    return yield* collect(steps.collect, handle, status, from)
  }
  return yield* Effect.die(new Error(`the job ${job} has no name`))
})

/**
 * Ends the job of a cancelled work: one that is on record, or one that was launched just before a crash and is not.
 */
export const cancelJobs = (jobs: ReadonlyArray<string | number>) =>
  Effect.fnUntraced(function*(cancelled: import("@espalier/engine").WorkKind.Cancelled) {
    const execution = yield* Execution
    const work = yield* CurrentWork.CurrentWork
    for (const name of jobs.flatMap(namesOf)) {
      const steps = stepsOf(name)
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
      const artifact = yield* build("build", spec.id, tree, prepared.commit)
      const from = { tree, node: spec.id, extra: spec.arguments, artifact }
      const evidence = []
      for (const job of jobsOf(study.repeats)) {
        evidence.push(
          yield* runJob(
            job,
            from,
            ({ launch, poll }) => Slots.hold(`machine for ${launch}`, { [machinePool]: 1 }, { until: poll })
          )
        )
      }
      yield* analyze(spec, evidence)
    },
    recordDefects("runner"),
    Effect.scoped
  ),
  {
    onCancel: Effect.fnUntraced(function*({ spec }, cancelled) {
      const { repeats } = yield* Study
      yield* cancelJobs(jobsOf(repeats))(cancelled)
      const prepared = cancelled.recorded("prepare", Prepared)
      if (prepared !== undefined) yield* discard(spec.id, prepared.commit)
    })
  }
)
