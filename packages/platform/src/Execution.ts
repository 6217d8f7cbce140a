/**
 * Running jobs somewhere that is not this process, and finding them again.
 *
 * A job is a command (an argument array, never a shell line) in a directory. It belongs to whoever
 * runs it (an operating system, a cluster), not to the engine that launched it: the engine may die and
 * come back, and finds the job by the key that it launched it under.
 *
 * What every layer promises, and `ExecutionSuite` in `@espalier/platform/testing` checks:
 *
 * 1. A key is launched once, however many engines ask for it, at whatever moment one of them dies.
 * 2. A terminal status is true and final: a job that ended while no engine lived has its true exit code. (Only `Lost`
 *    can still change: to `Cancelled`, when somebody cancels what is left of such a job.)
 * 3. When nobody can know how a job ended, its status is `Lost`, with the reason. Nothing is guessed.
 * 4. Waiting for a job, or ceasing to wait, does not touch the job. Only `cancel` and the job's own
 *    time-out end it.
 *
 * Layers: `execution/LocalProcess.ts` (processes of this machine), `execution/Slurm.ts` (jobs of a cluster),
 * `execution/Simulated.ts` (scripted jobs under the test clock: no file, no process).
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"

/**
 * What a job asks of a scheduler. Absent: whatever the scheduler gives by default. A layer without a scheduler
 * (local processes, the simulation) does not look at it: there a job gets the machine as it is.
 */
export const JobResources = Schema.Struct({
  /** Where the scheduler has several queues: the name of one. */
  partition: Schema.optionalKey(Schema.NonEmptyString),
  /** Whom the time used is charged to. */
  account: Schema.optionalKey(Schema.NonEmptyString),
  /** Machines. */
  nodes: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThan(0))),
  /** Processors for the job's command. */
  cpus: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThan(0))),
  /** Memory on each node, in bytes. What looks after the job there (a wrapper of 55 MB) is within it. */
  memoryBytes: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThan(0))),
  /** GPUs of the whole job, of whatever type. */
  gpus: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThan(0))),
  /** Other devices, as the scheduler's administrator named them: "gpu:a100:2". */
  gres: Schema.optionalKey(Schema.NonEmptyString),
  /**
   * How long the scheduler lets the job run, in milliseconds: it ends what is still there, less precisely than the
   * job's own `timeoutMillis`. Absent where there is a time-out: a little more than that.
   */
  timeLimitMillis: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThan(0)))
})
export type JobResources = typeof JobResources.Type

/** What to run. */
export interface JobRequest {
  /** The idempotency key: a second launch under it returns the first job, whatever else is asked for. */
  readonly key: string
  /** The program and its arguments. No shell reads them. */
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  /** The working directory of the job. It has to exist. */
  readonly directory: string
  /** Added to the environment that the engine has. `ESPALIER_JOB_DIR` is set for every job. */
  readonly environment: Readonly<Record<string, string>>
  /** How long the job may run, in milliseconds. Holds without an engine too. Absent: no limit. */
  readonly timeoutMillis?: number
  /** What this job asks of the scheduler, beyond what the layer asks for every job. */
  readonly resources?: JobResources
}

/** A launched job, as plain data: it can be recorded and read back by another process. */
export const JobHandle = Schema.Struct({
  id: Schema.NonEmptyString,
  key: Schema.NonEmptyString,
  /** Where the job's own files lie: logs, exit record. Not its working directory. */
  directory: Schema.String,
  argv: Schema.NonEmptyArray(Schema.String),
  /** The machine, or the scheduler, that the job was given to. */
  host: Schema.String,
  /** In milliseconds since the epoch. */
  launchedAt: Schema.Finite,
  /** The number under which a scheduler knows it, to look it up there. */
  schedulerId: Schema.optionalKey(Schema.String)
})
export type JobHandle = typeof JobHandle.Type

const queued = { queuedAt: Schema.optionalKey(Schema.Finite) }

/**
 * Where a job stands.
 *
 * - `Pending`: launched, not started yet. `reason` is why, in the scheduler's words, where there is one.
 * - `Running`: since `startedAt`.
 * - `Exited`: it ended and said how. `exitCode` is null when a signal ended it, `signal` is null when it
 *   exited. Both are null with `startError`, when the command could not be started at all, and when a scheduler killed
 *   it and did not say how. `timedOut` is set when the job's own time-out, or the scheduler's time limit, ended it
 *   (whatever code it then left with), `outOfMemory` when the
 *   system killed it for want of memory, `terminated` when whoever looks after it was told to end it and nobody
 *   had cancelled it (a shutdown, a logout, a `kill`): whatever it printed then is of a run that was cut short.
 * - `Lost`: nobody can know how it ended, or would have ended. `reason` says what is known. `cause` is set where the
 *   scheduler says that it took the machine away: `preempted` for a more urgent job, `nodeFailed` when the machine
 *   failed. None of it speaks against the job: the same job again, under a new key, may succeed.
 * - `Cancelled`: `cancel` ended it, or somebody with the scheduler's own command. The times are null where it never
 *   started, or where nobody recorded them.
 *
 * Times are in milliseconds since the epoch. `queuedAt` is when the job was handed over to whoever runs it; absent in
 * what was recorded before that was known. `durations` tells the waiting and the running apart. The last three are terminal.
 */
export const JobStatus = Schema.TaggedUnion({
  Pending: { ...queued, reason: Schema.optionalKey(Schema.String) },
  Running: { ...queued, startedAt: Schema.Finite },
  Exited: {
    exitCode: Schema.NullOr(Schema.Int),
    signal: Schema.NullOr(Schema.String),
    startedAt: Schema.Finite,
    endedAt: Schema.Finite,
    timedOut: Schema.optionalKey(Schema.Boolean),
    outOfMemory: Schema.optionalKey(Schema.Boolean),
    terminated: Schema.optionalKey(Schema.Boolean),
    startError: Schema.optionalKey(Schema.String),
    ...queued
  },
  Lost: {
    reason: Schema.String,
    cause: Schema.optionalKey(Schema.Literals(["preempted", "nodeFailed"])),
    ...queued,
    startedAt: Schema.optionalKey(Schema.Finite),
    endedAt: Schema.optionalKey(Schema.Finite)
  },
  Cancelled: {
    startedAt: Schema.NullOr(Schema.Finite),
    endedAt: Schema.NullOr(Schema.Finite),
    ...queued
  }
})
export type JobStatus = typeof JobStatus.Type

/** A status that does not change any more. */
export const TerminalStatus = Schema.Union([JobStatus.cases.Exited, JobStatus.cases.Lost, JobStatus.cases.Cancelled])
export type TerminalStatus = typeof TerminalStatus.Type

/** Whether this status is final. */
export const isTerminal: (status: JobStatus) => status is TerminalStatus = JobStatus.isAnyOf([
  "Exited",
  "Lost",
  "Cancelled"
])

/** Whether the job ended by itself, in time, with exit code 0. */
export const hasSucceeded = (status: JobStatus): boolean =>
  status._tag === "Exited" && status.exitCode === 0 && status.timedOut !== true && status.terminated !== true

/**
 * How long the job waited for its start, and how long it ran, in milliseconds; null for what is not known (yet). They are
 * told apart because a busy cluster lets a job of a minute wait for a day.
 */
export const durations = (
  status: JobStatus
): { readonly queuedMillis: number | null; readonly ranMillis: number | null } => {
  const { queuedAt = null } = status
  const startedAt = status._tag === "Pending" ? null : status.startedAt ?? null
  const endedAt = "endedAt" in status ? status.endedAt ?? null : null
  const between = (from: number | null, to: number | null): number | null =>
    from === null || to === null ? null : Math.max(0, to - from)
  return { queuedMillis: between(queuedAt, startedAt), ranMillis: between(startedAt, endedAt) }
}

/** The status in one line for a person: "exited with code 3", "ended by SIGSEGV", "lost: ...". */
export const describe = (status: JobStatus): string => {
  switch (status._tag) {
    case "Pending":
      return status.reason === undefined ? "waiting to start" : `waiting to start (${status.reason})`
    case "Running":
      return `running since ${new Date(status.startedAt).toISOString()}`
    case "Exited": {
      if (status.startError !== undefined) return `could not be started: ${status.startError}`
      const end = status.signal !== null
        ? `ended by ${status.signal}`
        : status.exitCode === null
        ? "ended by its scheduler"
        : `exited with code ${status.exitCode}`
      if (status.outOfMemory === true) return `${end}: the system killed it for want of memory`
      if (status.terminated === true) {
        return `${end}, ended because its wrapper was told to end (by a shutdown, a logout, or a kill)`
      }
      return status.timedOut === true ? `${end} when its time-out ran out` : end
    }
    case "Lost":
      return status.cause === "preempted"
        ? `preempted: ${status.reason}`
        : status.cause === "nodeFailed"
        ? `lost with its machine: ${status.reason}`
        : `lost: ${status.reason}`
    case "Cancelled":
      return "cancelled"
  }
}

/** The last thing that a job said. */
export interface JobProgress {
  /**
   * The last line that is not blank, at most 4 KiB of it: of `$ESPALIER_JOB_DIR/progress.txt` where the job writes
   * such a file, else of whichever output grew last.
   */
  readonly line: string
  /** When one of its files last grew, in milliseconds since the epoch. */
  readonly at: number
}

/** One sample of a job's whole process tree. */
export const UsageSample = Schema.Struct({
  /** Since the start of the job, in milliseconds. */
  atMillis: Schema.Finite,
  /** CPU seconds used so far, user and system together. */
  cpuSeconds: Schema.Finite,
  /** Resident memory in bytes. Pages that processes share are counted once for each. */
  memoryBytes: Schema.Finite,
  processes: Schema.Int,
  /** Bytes read and written so far, as in `IoUsage`. Absent where nobody may look. */
  readBytes: Schema.optionalKey(Schema.Finite),
  writeBytes: Schema.optionalKey(Schema.Finite)
})
export type UsageSample = typeof UsageSample.Type

/**
 * What a job's process tree read and wrote, in bytes. `readBytes` and `writeBytes` went through system calls: files,
 * also those that were in memory already, pipes, terminals. The storage's are what disks had to deliver and to take.
 */
export const IoUsage = Schema.Struct({
  readBytes: Schema.Finite,
  writeBytes: Schema.Finite,
  storageReadBytes: Schema.Finite,
  storageWriteBytes: Schema.Finite
})
export type IoUsage = typeof IoUsage.Type

/**
 * One GPU of the machine while the job ran, whoever used it. Null is what the GPU does not tell. The means are over the
 * `samples` looks at it.
 */
export const GpuUsage = Schema.Struct({
  index: Schema.Int,
  name: Schema.String,
  samples: Schema.Int,
  /** The share of time in which something ran on it, in percent. */
  meanUtilizationPercent: Schema.NullOr(Schema.Finite),
  peakUtilizationPercent: Schema.NullOr(Schema.Finite),
  peakMemoryBytes: Schema.NullOr(Schema.Finite),
  totalMemoryBytes: Schema.NullOr(Schema.Finite),
  meanPowerWatts: Schema.NullOr(Schema.Finite)
})
export type GpuUsage = typeof GpuUsage.Type

/** What a job used of the machine: its whole process tree, so far or in the end. */
export const JobUsage = Schema.Struct({
  cpuSecondsUser: Schema.Finite,
  cpuSecondsSystem: Schema.Finite,
  /** The highest resident memory seen; null when the job ended before anything was seen. */
  peakMemoryBytes: Schema.NullOr(Schema.Finite),
  /** How many times the tree was looked at. */
  samples: Schema.Int,
  /** Absent where the system does not count it, or nobody may look. */
  io: Schema.optionalKey(IoUsage),
  /** Absent where there is no GPU that tells what it does. */
  gpus: Schema.optionalKey(Schema.Array(GpuUsage)),
  /** A bounded series over the job's life: neighbours are merged (latest CPU, highest memory) as it grows. */
  series: Schema.Array(UsageSample),
  /** What the job had asked its scheduler for; absent without a scheduler. */
  requested: Schema.optionalKey(JobResources),
  /** What a scheduler's accounting counted, over all machines of the job; absent without accounting. */
  accounted: Schema.optionalKey(
    Schema.Struct({ cpuSeconds: Schema.NullOr(Schema.Finite), peakMemoryBytes: Schema.NullOr(Schema.Finite) })
  )
})
export type JobUsage = typeof JobUsage.Type

/**
 * The job was not launched. `reason` says what to do about it:
 *
 * - `InvalidRequest`: the request itself cannot be run (an empty program or directory, what is no text or holds a zero
 *   byte, a bad time-out), or the scheduler refused what it asks for. Nothing was started. Every layer checks the same.
 * - `DirectoryMissing`: the working directory is not there. Nothing was recorded: the same key may be launched later.
 * - `ProgramNotStarted`: the system refused the program (`code`: ENOENT, EACCES, ...). This is recorded
 *   under the key: launching it again gives the same answer, so that a crash in between changes nothing.
 *   Launch under a new key after mending it.
 * - `Infrastructure`: the launcher itself failed (a full disk, no more processes, a scheduler that did not answer however
 *   often it was asked). The same key may be launched again: whether the first try had arrived is found out then.
 */
export class LaunchFailed extends Schema.TaggedError<LaunchFailed>()("LaunchFailed", {
  key: Schema.String,
  program: Schema.String,
  reason: Schema.Literals(["InvalidRequest", "DirectoryMissing", "ProgramNotStarted", "Infrastructure"]),
  code: Schema.NullOr(Schema.String),
  cause: Schema.optionalKey(Schema.Defect()),
  message: Schema.String
}) {}

/** No job of this id is known here. */
export class JobNotFound extends Schema.TaggedError<JobNotFound>()("JobNotFound", {
  id: Schema.String,
  message: Schema.String
}) {}

/** What runs the jobs could not be asked, or could not do it: a disk, a permission, a damaged record. */
export class ExecutionError extends Schema.TaggedError<ExecutionError>()("ExecutionError", {
  operation: Schema.String,
  cause: Schema.optionalKey(Schema.Defect()),
  message: Schema.String
}) {}

/**
 * The outputs of a job: what it printed, and what it wrote to `$ESPALIER_JOB_DIR/metrics.jsonl`. Each has to be a
 * plain file: a link, a pipe or a device that a job puts there counts as no output, and a warning says so.
 */
export type LogStream = "stdout" | "stderr" | "metrics"

/**
 * The jobs of one place.
 *
 * - `launch` starts the job, once per key, and returns when it has started (or been queued, where there is a queue).
 * - `find` returns the job of a key, if one was ever launched; this is how an engine finds after a crash
 *   what it had launched just before.
 * - `status` never waits. `await` returns the terminal status; interrupting it leaves the job alone.
 * - `progress` is the last line of the job's progress file, or of its output, and when one of them last grew; none when
 *   nothing was printed.
 * - `logs` gives the bytes of an output from byte `from` (default 0), follows while the job lives, and
 *   ends when the job has ended and all is read.
 * - `usage` is what the job used of the machine; none where nobody measures it.
 * - `cancel` asks the whole process tree to end (TERM), ends what is left after `grace` (KILL), and returns
 *   when nothing of it runs. The status is then `Cancelled`, unless the job had ended by itself before.
 *   Cancelling what has ended does nothing. A grace is finite, from 0: with any other the cancel fails and changes nothing.
 *
 * @example
 * ```ts
 * import { Execution, hasSucceeded } from "@espalier/platform/Execution"
 * import * as Simulated from "@espalier/platform/execution/Simulated"
 * import { Effect } from "effect"
 * import assert from "node:assert"
 *
 * const program = Effect.gen(function*() {
 *   const execution = yield* Execution
 *   const request = { key: "fit-1", argv: ["fit", "--quick"] as const, directory: "/data", environment: {} }
 *   const job = yield* execution.launch(request)
 *   const again = yield* execution.launch(request)
 *   assert.strictEqual(again.id, job.id)
 *   assert.ok(hasSucceeded(yield* execution.await(job.id)))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Simulated.layer(() => ({ durationMillis: 5, exitCode: 0 })))))
 * ```
 */
export class Execution extends Context.Service<Execution, {
  launch(request: JobRequest): Effect.Effect<JobHandle, LaunchFailed>
  find(key: string): Effect.Effect<Option.Option<JobHandle>, ExecutionError>
  status(id: string): Effect.Effect<JobStatus, ExecutionError | JobNotFound>
  await(id: string): Effect.Effect<TerminalStatus, ExecutionError | JobNotFound>
  progress(id: string): Effect.Effect<Option.Option<JobProgress>, ExecutionError | JobNotFound>
  logs(
    id: string,
    options: { readonly stream: LogStream; readonly from?: number }
  ): Stream.Stream<Uint8Array, ExecutionError | JobNotFound>
  usage(id: string): Effect.Effect<Option.Option<JobUsage>, ExecutionError | JobNotFound>
  cancel(
    id: string,
    options?: { readonly grace?: Duration.Input }
  ): Effect.Effect<void, ExecutionError | JobNotFound>
}>()("@espalier/platform/Execution") {}
