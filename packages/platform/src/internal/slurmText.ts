/**
 * Reading what Slurm's commands print. Times are asked for in seconds since the epoch (`SLURM_TIME_FORMAT=%s`), fields
 * are separated by `|`, and all that a user may have written freely (names, comments, paths) is left out or comes
 * last, so that no job can pass off its own text as a field.
 */
import { isState, type State } from "./slurmStates.ts"

/** What the scheduler says of one of its jobs. Times in milliseconds since the epoch. */
export interface Word {
  readonly id: string
  readonly name: string
  readonly state: State
  readonly submittedAt: number | null
  readonly startedAt: number | null
  readonly endedAt: number | null
  /** Why it waits, or what was said of its end. "None" is null. */
  readonly reason: string | null
}

/** How a batch script ended, as far as Slurm says: `exitCode` is 0 when a signal ended it. */
export interface ScriptEnd {
  readonly exitCode: number
  readonly signal: number
}

/** A line that cannot be read: it is of a version of Slurm that prints something else. */
export class Unreadable extends Error {
  override readonly name = "Unreadable"
  constructor(command: string, line: string, problem: string) {
    super(
      `${command} printed ${JSON.stringify(line.slice(0, 500))}: ${problem}. ` +
        "This version of Slurm is not known here; nothing is guessed."
    )
  }
}

const timeOf = (text: string | undefined): number | null =>
  text !== undefined && /^\d+$/.test(text) && text !== "0" ? Number(text) * 1000 : null

const noneAsNull = (reason: string): string | null =>
  reason === "" || /^\(?(none|null)\)?$/i.test(reason) ? null : reason

/** "CANCELLED by 1000" and "CANCELLED+" are what `sacct` makes of CANCELLED. */
const stateOf = (command: string, line: string, text: string): State => {
  const word = (text.split(" ")[0] ?? "").replace(/\+$/, "")
  if (isState(word)) return word
  throw new Unreadable(command, line, `${JSON.stringify(text)} is no state of a job`)
}

const linesOf = (output: string): ReadonlyArray<string> => output.split("\n").filter((line) => line.trim() !== "")

/** The number of a job that `sbatch --parsable` has submitted: "123", or "123;cluster". */
export const parseSubmitted = (output: string): { readonly id: string; readonly cluster: string | null } => {
  // What a site's plugins print stands before it.
  const line = linesOf(output).at(-1)?.trim() ?? ""
  const match = /^(\d+)(?:;(.+))?$/.exec(line)
  if (match?.[1] === undefined) throw new Unreadable("sbatch --parsable", output, "that is no number of a job")
  return { id: match[1], cluster: match[2] ?? null }
}

/** The format that `parseQueue` reads, for `squeue --format`. The reason comes last: it may be any text. */
export const queueFormat = "%A|%T|%V|%S|%e|%j|%r"

/** The jobs of a listing. What cannot be read of one is its own affair: the others are not held up by it. */
export interface Queue {
  readonly words: ReadonlyArray<Word>
  /** By name of the job, what cannot be read of it. */
  readonly unreadable: ReadonlyMap<string, Unreadable>
}

/** The jobs that `squeue` lists in `queueFormat`. Names of other jobs may hold `|`: those lines are not ours, and left out. */
export const parseQueue = (output: string, namePrefix: string): Queue => {
  const words: Array<Word> = []
  const unreadable = new Map<string, Unreadable>()
  for (const line of linesOf(output)) {
    const [id = "", state = "", submitted, started, ended, name = "", ...reason] = line.trim().split("|")
    if (!name.startsWith(namePrefix)) continue
    try {
      if (!/^\d+$/.test(id)) throw new Unreadable("squeue", line, `${JSON.stringify(id)} is no number of a job`)
      words.push({
        id,
        name,
        state: stateOf("squeue", line, state),
        submittedAt: timeOf(submitted),
        startedAt: timeOf(started),
        endedAt: timeOf(ended),
        reason: noneAsNull(reason.join("|").trim())
      })
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error
      unreadable.set(name, error)
    }
  }
  return { words, unreadable }
}

/** What `scontrol --oneliner show job` says of one job, up to where texts of users begin. */
export const parseShown = (output: string): (Word & { readonly end: ScriptEnd | null }) | undefined => {
  const begin = output.indexOf("JobId=")
  if (begin < 0) return undefined
  // From the command on come texts and paths of users, which may look like fields.
  const line = output.slice(begin).split(/ Command=| WorkDir=| Comment=/)[0]!
  const field = (name: string): string => new RegExp(`(?:^| )${name}=([^ ]*)`).exec(line)?.[1] ?? ""
  const [exitCode, signal] = field("ExitCode").split(":").map(Number)
  return {
    id: field("JobId"),
    name: field("JobName"),
    state: stateOf("scontrol show job", line, field("JobState")),
    submittedAt: timeOf(field("SubmitTime")),
    startedAt: timeOf(field("StartTime")),
    endedAt: timeOf(field("EndTime")),
    reason: noneAsNull(field("Reason")),
    end: Number.isInteger(exitCode) && Number.isInteger(signal) ? { exitCode: exitCode!, signal: signal! } : null
  }
}

/** The fields that `parseAccounts` reads, for `sacct --format`. */
export const accountFormat = "JobIDRaw,State,Submit,Start,End,ExitCode,MaxRSS,TotalCPU,JobName"

/** What accounting knows of one job, its steps included. */
export interface Account extends Word {
  readonly end: ScriptEnd | null
  readonly peakMemoryBytes: number | null
  readonly cpuSeconds: number | null
}

const powers = ["", "K", "M", "G", "T", "P"]

/** "1234K", "1.5G", "" as bytes. */
export const parseBytes = (text: string): number | null => {
  const match = /^(\d+(?:\.\d+)?)([KMGTP]?)$/.exec(text)
  return match?.[1] === undefined ? null : Math.round(Number(match[1]) * 1024 ** powers.indexOf(match[2] ?? ""))
}

/** "[days-]hours:minutes:seconds" and "minutes:seconds.millis" as seconds. */
export const parseSeconds = (text: string): number | null => {
  const match = /^(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)$/.exec(text)
  if (match === null) return null
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0))
  return ((days! * 24 + hours!) * 60 + minutes!) * 60 + seconds!
}

/** The jobs that `sacct --parsable2 --noheader` prints in `accountFormat`: a line for each, then one for each of its steps. */
export const parseAccounts = (output: string, namePrefix: string): ReadonlyArray<Account> => {
  const jobs = new Map<string, Account>()
  for (const line of linesOf(output)) {
    const [step = "", state = "", submitted, started, ended, exit = "", rss = "", cpu = "", ...name] = line.split("|")
    const [id = "", isStep] = step.split(".")
    const before = jobs.get(id)
    const peak = parseBytes(rss)
    if (isStep !== undefined) {
      // Memory is counted for each step, and only there.
      if (before !== undefined && peak !== null) {
        jobs.set(id, { ...before, peakMemoryBytes: Math.max(before.peakMemoryBytes ?? 0, peak) })
      }
      continue
    }
    const jobName = name.join("|")
    if (!jobName.startsWith(namePrefix) || !/^\d+$/.test(id)) continue
    const [exitCode, signal] = exit.split(":").map(Number)
    jobs.set(id, {
      id,
      name: jobName,
      state: stateOf("sacct", line, state),
      submittedAt: timeOf(submitted),
      startedAt: timeOf(started),
      endedAt: timeOf(ended),
      reason: null,
      end: Number.isInteger(exitCode) && Number.isInteger(signal) ? { exitCode: exitCode!, signal: signal! } : null,
      peakMemoryBytes: peak,
      cpuSeconds: parseSeconds(cpu)
    })
  }
  return [...jobs.values()]
}
