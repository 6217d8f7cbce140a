/**
 * Poll: waits for the job's end. The job does not depend on it: after a suspend or a crash it is waited for again, and an
 * end that nobody watched is read from the job's own records.
 */
import { Progress, Step } from "@espalier/engine"
import { Execution, type JobHandle, TerminalStatus } from "@espalier/platform/Execution"
import { Duration, Effect, Option, Schedule } from "effect"
import { failWith } from "../internal/handling.ts"

/** The last line that the job printed, on the status. Looking for it must not fail the job. */
const showProgress = (job: JobHandle) =>
  Effect.gen(function*() {
    const execution = yield* Execution
    const progress = yield* Effect.option(execution.progress(job.id))
    const line = Option.flatten(progress)
    if (Option.isSome(line)) yield* Progress.report({ current: line.value.at, stage: "job", message: line.value.line })
  }).pipe(Effect.repeat(Schedule.spaced(Duration.seconds(1))))

/** Waits for the end of a job, under a step of this name. */
export const poll = (step: string, job: JobHandle) =>
  Step.run(
    step,
    TerminalStatus,
    Effect.gen(function*() {
      const execution = yield* Execution
      return yield* Effect.raceFirst(execution.await(job.id), Effect.andThen(showProgress(job), Effect.never))
    }).pipe(
      Effect.catchTag(["ExecutionError", "JobNotFound"], (error) =>
        failWith("infrastructure_failed", error, { jobId: job.id, phase: "job" }))
    )
  )
