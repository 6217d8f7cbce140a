/**
 * Collect: what the job measured, or a typed failure that says how it ended.
 */
import { Step } from "@espalier/engine"
import { Evidence, EvidenceRecord } from "@espalier/platform/Evidence"
import { describe, Execution, hasSucceeded, type JobHandle, type TerminalStatus } from "@espalier/platform/Execution"
import { Effect, Option, Stream } from "effect"
import type { FailureKind } from "../Failure.ts"
import { failWith } from "../internal/handling.ts"
import { Study } from "../Study.ts"
import { directoryOf, type Launchable } from "./Launch.ts"

/**
 * The kind of a job's failure, by what is known for sure: how it ended, and whether it had printed anything before.
 */
export const kindOf = (status: TerminalStatus, hasPrinted: boolean): FailureKind => {
  if (status._tag === "Lost") return "job_lost"
  if (status._tag === "Cancelled" || status.terminated === true) return "interrupted"
  if (status.startError !== undefined) return "launch_failed"
  if (status.timedOut === true || status.outOfMemory === true || status.signal !== null) return "job_failed"
  return hasPrinted ? "job_runtime_failed" : "job_startup_failed"
}

/** How the job ended and why, as a sentence. The summary of the evidence may have said the one or the other already. */
const sentence = (status: TerminalStatus, evidence: EvidenceRecord): string => {
  const ended = describe(status)
  const { durationMillis, errorSummary } = evidence
  const after = evidence.timedOut && durationMillis !== null ? `, after ${durationMillis / 1_000} s` : ""
  const why = errorSummary === null
    ? ""
    : errorSummary.startsWith(ended)
    ? errorSummary.slice(ended.length)
    : `: ${errorSummary}`
  return `The job ${status._tag === "Exited" ? "" : "was "}${ended}${after}${why}`
}

/** Whether the job has said anything at all on its standard output. */
const hasPrinted = (job: JobHandle) =>
  Effect.gen(function*() {
    const execution = yield* Execution
    return Option.isSome(yield* Stream.runHead(execution.logs(job.id, { stream: "stdout" })))
  })

/**
 * Gathers the evidence of an ended job, under a step of this name; it was started from `from`. A job that did not succeed
 * fails the experiment.
 */
export const collect = (step: string, job: JobHandle, status: TerminalStatus, from: Launchable) =>
  Step.run(
    step,
    EvidenceRecord,
    Effect.gen(function*() {
      const evidence = yield* Evidence
      const workingDirectory = directoryOf(from, yield* Study)
      const record = yield* evidence.collect(job, status, { workingDirectory }).pipe(
        Effect.catchTag("MetricsMissing", (error) =>
          failWith("metrics_collection_failed", error, {
            jobId: job.id,
            logTail: error.logTail,
            details: { missing: error.missing, seen: error.seen }
          }))
      )
      if (hasSucceeded(status)) return record
      const kind = kindOf(status, yield* hasPrinted(job))
      return yield* failWith(kind, { message: sentence(status, record) }, {
        jobId: job.id,
        logTail: record.logTail,
        details: { status, argv: job.argv, directory: job.directory }
      })
    }).pipe(
      Effect.catchTag(["EvidenceError", "ExecutionError", "JobNotFound"], (error) =>
        failWith("infrastructure_failed", error, { jobId: job.id, phase: "metrics" }))
    )
  )
