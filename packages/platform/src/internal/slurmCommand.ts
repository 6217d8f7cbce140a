/**
 * Running Slurm's commands: by argument arrays, with a bound on their time, and again when the scheduler did not answer.
 *
 * Slurm's commands tell why they failed only in words. So the rule is: whatever is not known to be a refusal is a scheduler
 * that flaps ("Socket timed out", "Unable to contact slurm controller", a time-out, whatever a later version says), and is
 * asked again on the schedule. A refusal that is not known as such costs the time of the retries, and is told in the end
 * in the scheduler's own words.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import {
  type CommandNotStarted,
  type CommandTooLoud,
  type CommandTooSlow,
  type Finished,
  runCommand
} from "./command.ts"

/**
 * A command failed.
 *
 * - `missing`: there is no such program, or it may not be run.
 * - `refused`: the scheduler says no, and would say no again.
 * - `unknownJob`: it knows no job of this number (any more), or the job has ended already.
 * - `unreachable`: it did not answer, or not for long enough.
 */
export class CommandFailed extends Schema.TaggedError<CommandFailed>()("CommandFailed", {
  program: Schema.String,
  kind: Schema.Literals(["missing", "refused", "unknownJob", "unreachable"]),
  /** What the command said, or what became of it. */
  said: Schema.String,
  message: Schema.String
}) {}

/** The programs, by name on the PATH or by path. */
export interface Programs {
  readonly sbatch: string
  readonly squeue: string
  readonly scontrol: string
  readonly scancel: string
  readonly sacct: string
}

/** What the layer needs to be installed; `sacct` is used where it is there. */
export const programs: Programs = {
  sbatch: "sbatch",
  squeue: "squeue",
  scontrol: "scontrol",
  scancel: "scancel",
  sacct: "sacct"
}

/** Texts of Slurm's own errors (slurm_strerror) that will be the same the next time. */
const refusals: ReadonlyArray<RegExp> = [
  /\binvalid (?:partition|account|qos|feature|generic resource|node|reservation|license|--|option|numeric|wckey|time limit|mcs|job array)/i,
  /\binvalid .*specif/i,
  /more processors requested than permitted/i,
  /requested node configuration is not available/i,
  /requested time limit is invalid|requested nodes not in this partition|requested partition configuration not available/i,
  /node count specification invalid/i,
  /memory specification can ?not be satisfied/i,
  /no partition specified or system default partition/i,
  /user's group not permitted|access\/permission denied|invalid user id/i,
  /accounting storage is disabled/i,
  /job dependency problem|unrecognized option|option '.*' (?:is ambiguous|requires an argument|doesn't allow)/i
]

/** What a failed command's words mean. Pure, so that recorded words can be tested. */
export const kindOf = (exitCode: number | null, said: string): CommandFailed["kind"] => {
  if (/invalid job id specified|already completing or completed/i.test(said)) return "unknownJob"
  // sbatch leaves with 255 when it cannot read its arguments: nothing was sent.
  if (refusals.some((one) => one.test(said))) return "refused"
  return exitCode === 255 && /try "sbatch --help"/i.test(said) ? "refused" : "unreachable"
}

/** Variables of the engine's own Slurm job: they must not shape the jobs that it submits. */
const foreign = /^(?:SLURM|SBATCH|SALLOC|SRUN)_/
const kept = ["SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_CONF_SERVER"]

/** The engine's environment without what a surrounding Slurm job put there. */
export const cleanEnvironment = (
  environment: Readonly<Record<string, string | undefined>>
): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => kept.includes(name) || !foreign.test(name)))

/** How commands are run. */
export interface Running {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly timeout: Duration.Duration
  readonly retry: Schedule.Schedule<unknown>
}

/** What became of a command, if it is no success: its words, and what they mean. */
const failureOf = (ended: Finished): { readonly kind: CommandFailed["kind"]; readonly said: string } => {
  const words = ended.stderr.trim() || ended.stdout.trim()
  const how = ended.signal ?? `code ${ended.exitCode}`
  return { kind: kindOf(ended.exitCode, words), said: words || `it ended with ${how} and said nothing` }
}

/** The same of one that was not started, or was ended from here. */
const troubleOf = (
  error: CommandNotStarted | CommandTooLoud | CommandTooSlow
): { readonly kind: CommandFailed["kind"]; readonly said: string } => {
  switch (error._tag) {
    case "CommandNotStarted":
      return error.code === "ENOENT"
        ? { kind: "missing", said: "there is no such program" }
        : error.code === "EACCES"
        ? { kind: "missing", said: "it may not be executed" }
        : { kind: "unreachable", said: `it could not be started: ${error.detail}` }
    case "CommandTooLoud":
      return { kind: "unreachable", said: `it printed more than ${error.limitBytes} bytes and was killed` }
    case "CommandTooSlow": {
      const words = error.stderr.trim()
      const said = `it did not end within ${error.limitMillis / 1000} s and was killed`
      return { kind: kindOf(null, words), said: words === "" ? said : `${said}; it had said: ${words}` }
    }
  }
}

/** Runs a command once: what it printed, or why it failed. */
export const runOnce = (
  program: string,
  args: ReadonlyArray<string>,
  running: Running
): Effect.Effect<string, CommandFailed> => {
  const fail = ({ kind, said }: { readonly kind: CommandFailed["kind"]; readonly said: string }) =>
    Effect.fail(new CommandFailed({ program, kind, said: said.slice(0, 2000), message: `${program} failed: ${said}` }))
  return runCommand({
    argv: [program, ...args],
    environment: running.environment,
    outputLimitBytes: 64 * 1024 * 1024,
    timeLimitMillis: Duration.toMillis(running.timeout),
    graceMillis: 0
  }).pipe(
    Effect.catch((error) => fail(troubleOf(error))),
    Effect.flatMap((ended) => ended.exitCode === 0 ? Effect.succeed(ended.stdout) : fail(failureOf(ended)))
  )
}

/** Runs a command that only asks, or may be done twice: again on the schedule as long as the scheduler does not answer. */
export const run = (
  program: string,
  args: ReadonlyArray<string>,
  running: Running
): Effect.Effect<string, CommandFailed> =>
  Effect.retry(runOnce(program, args, running), {
    schedule: running.retry,
    while: (failed) => failed.kind === "unreachable"
  })
