/** The accounting of a round: what the layer says of a job, held against what the job itself wrote down. Pure. */
import type { TerminalStatus } from "@espalier/platform/Execution"

/** Who is killed with SIGKILL. */
export const victims = ["engine", "job", "wrapper", "slurmctld", "slurmd"] as const
export type Victim = typeof victims[number]

/** What the job wrote: how often it started, and the code that it was about to leave with; null when it never got there. */
export interface Truth {
  readonly starts: number
  readonly exitCode: number | null
}

export const readTruth = (text: string): Truth => {
  const lines = text.split("\n").filter((line) => line !== "")
  const end = lines.find((line) => line.startsWith("end "))
  return {
    starts: lines.filter((line) => line.startsWith("start ")).length,
    exitCode: end === undefined ? null : Number(end.slice(4))
  }
}

/** Without one of these being killed, nobody can have lost a job. */
const losers: ReadonlyArray<Victim> = ["wrapper", "slurmctld", "slurmd"]

/**
 * What is wrong with the answer about one job, after this victim was killed; empty when nothing is. `said` is the state that
 * Slurm had given, where a verdict was recorded: a controller that lost its memory gives the number of a job once more,
 * and the node's daemon then cancels the second job (and drains the node).
 */
export const faultsOf = (
  victim: Victim,
  truth: Truth,
  status: TerminalStatus,
  said: string | undefined
): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const fault = (text: string): void =>
    void faults.push(`${text} (${victim} killed, ${JSON.stringify({ truth, status })})`)
  if (truth.starts > 1) fault(`it was started ${truth.starts} times`)
  switch (status._tag) {
    case "Exited":
      if (status.startError !== undefined) {
        if (truth.starts > 0) fault("it is said not to have been started, and was")
        if (!losers.includes(victim)) fault("it was not started, and nothing was killed that would have to start it")
      } else if (truth.starts === 0 && !(victim === "job" && status.signal === "SIGKILL")) {
        // Killed at its birth, a job has not come to write anything.
        fault("it is said to have ended, and was never started")
      } else if (status.exitCode !== null) {
        if (truth.exitCode !== status.exitCode) fault("the exit code is not the true one")
      } else if (victim === "job") {
        if (status.signal !== "SIGKILL") fault("it was killed, and that is not said")
      } else if (status.terminated !== true || !losers.includes(victim)) {
        fault("a signal is said to have ended it, and nobody sent one")
      }
      break
    case "Lost":
      if (!losers.includes(victim)) fault("it is said to be lost, and nothing was killed that knew of it")
      break
    case "Cancelled":
      if (said !== "CANCELLED" || !victim.startsWith("slurm")) fault("nobody had cancelled it")
  }
  return faults
}
