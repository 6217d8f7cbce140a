/**
 * Poll: waits for the job's end. The job does not depend on it: after a suspend or a crash it is waited for again, and an
 * end that nobody watched is read from the job's own records.
 *
 * A job whose end cannot be learnt is ended. Whoever fails here gives the machine back, and a job that went on would
 * disturb every measurement after it.
 */
import { Progress, Step } from "@espalier/engine"
import { Execution, type JobHandle, TerminalStatus } from "@espalier/platform/Execution"
import { Cause, Duration, Effect, Option, Schedule } from "effect"
import { failWith } from "../internal/handling.ts"

/** The last line that the job printed, on the status. Looking for it must not fail the job. */
const showProgress = (job: JobHandle) =>
  Effect.gen(function*() {
    const execution = yield* Execution
    const line = yield* execution.progress(job.id).pipe(
      Effect.catchCause((cause) =>
        Cause.hasInterrupts(cause)
          ? Effect.interrupt
          : Effect.as(Effect.logDebug(`No progress of the job ${job.key} can be shown`, cause), Option.none())
      )
    )
    if (Option.isSome(line)) yield* Progress.report({ current: line.value.at, stage: "job", message: line.value.line })
  }).pipe(Effect.repeat(Schedule.spaced(Duration.seconds(1))))

/** Whoever runs the jobs may be out of reach for a while: a full disk, a scheduler that is restarted. */
const patience = Schedule.exponential("1 second").pipe(Schedule.upTo({ times: 4 }))

/** Ends a job that nobody can wait for, and says how that went. */
const end = (job: JobHandle) =>
  Effect.gen(function*() {
    const execution = yield* Execution
    return yield* Effect.matchCauseEffect(execution.cancel(job.id), {
      onSuccess: () => Effect.succeed("The job was ended, because the machine is needed"),
      onFailure: (cause) =>
        Cause.hasInterrupts(cause)
          ? Effect.interrupt
          : Effect.succeed(`The job could not be ended and may still run: ${Cause.pretty(cause)}`)
    })
  })

/** Waits for the end of a job, under a step of this name. */
export const poll = (step: string, job: JobHandle) =>
  Step.run(
    step,
    TerminalStatus,
    Effect.gen(function*() {
      const execution = yield* Execution
      const ended = Effect.retry(execution.await(job.id), {
        schedule: patience,
        while: (error) => error._tag === "ExecutionError"
      })
      const status = yield* Effect.raceFirst(ended, Effect.andThen(showProgress(job), Effect.never))
      // What nobody watches any more may still be running, on the machine that the next job gets.
      if (status._tag === "Lost") yield* Effect.logWarning(`${yield* end(job)} (${job.key})`)
      return status
    }).pipe(
      Effect.catchTag(["ExecutionError", "JobNotFound"], (error) =>
        Effect.flatMap(end(job), (then) =>
          failWith("infrastructure_failed", { _tag: error._tag, message: `${error.message} ${then}` }, {
            jobId: job.id,
            phase: "job"
          }))),
      Effect.catchDefect((defect) =>
        Effect.flatMap(end(job), (then) =>
          Effect.andThen(Effect.logWarning(`${then} (${job.key})`), Effect.die(defect)))
      )
    )
  )
