/**
 * What lies in a job's directory beside the records of its wrapper (`processRecords.ts`), for a job that Slurm runs.
 *
 * ```
 * submit-<token>   a submission that is under way, or whose answer nobody lived to record
 * submission.json  the first submission that was accepted, as far as an engine knows
 * verdict.json     how the job ended, where that needed the scheduler's word: it forgets, and the verdict stays
 * batch.sh         the script that Slurm runs, the same for every job
 * slurm.log        what Slurm and the wrapper said
 * ```
 */
import * as Schema from "effect/Schema"
import { TerminalStatus } from "../Execution.ts"
import { placedProcess, version } from "./processRecords.ts"

/** The names of the files. */
export const slurmFiles = {
  attempt: "submit-",
  submission: "submission.json",
  script: "batch.sh",
  log: "slurm.log"
} as const

/** `submit-<token>`: written before `sbatch` is started, removed when it is known what came of it. */
export const Attempt = Schema.Struct({
  version,
  /** Stands in the arguments of `sbatch`, so that it can be seen whether it still runs. */
  token: Schema.NonEmptyString,
  begunAt: Schema.Finite,
  /** After this time `sbatch` has ended, whoever lives: `timeout` sees to it. */
  overAt: Schema.Finite,
  /** The engine. */
  ...placedProcess
})
export type Attempt = typeof Attempt.Type

/** `submission.json`: what Slurm calls the job. Written once. */
export const Submission = Schema.Struct({
  version,
  schedulerId: Schema.NonEmptyString,
  cluster: Schema.NullOr(Schema.String),
  submittedAt: Schema.Finite
})
export type Submission = typeof Submission.Type

/** `verdict.json`: written once, by whichever engine finds out first. The wrapper does not run a job that has one. */
export const Verdict = Schema.Struct({
  version,
  status: TerminalStatus,
  decidedAt: Schema.Finite,
  /** What the scheduler had said, for whoever investigates. */
  word: Schema.NullOr(Schema.String)
})
export type Verdict = typeof Verdict.Type
