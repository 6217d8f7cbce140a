/**
 * Jobs of a Slurm cluster: submitted with `sbatch`, looked up with `squeue` and `scontrol` (and `sacct`, where the cluster
 * has accounting), ended with `scancel`. All by argument arrays: no text of a request reaches a shell.
 *
 * What Slurm runs is the wrapper that local jobs have too (`internal/processWrapper.ts`), on the machine that it chose. It
 * claims the key, runs the command, applies the time-out, measures, and records how the job ended, all in the job's
 * directory, which therefore has to lie on a disk that the engine and the machines share. So an exit code is exact and
 * stays, though a cluster without accounting forgets a job some minutes after its end (`MinJobAge`). The scheduler
 * is asked for what only it knows: why a job waits, and who ended it (time limit, memory, preemption, a failed node).
 *
 * ```
 * <directory>/.place                         tells this directory from other runs of the same user
 * <directory>/<id>/command.json claim start.json exit.json cancel.json system.json stdout.log ...   as for local jobs
 *                  submit-<token> submission.json verdict.json batch.sh slurm.log                   internal/slurmRecords.ts
 * ```
 *
 * Consequences to know:
 *
 * - `launch` returns when the job is queued. That its program cannot be started shows in its status.
 * - A job is never requeued (`--no-requeue`). Should an administrator force it, the claim keeps it from running twice.
 * - What a scheduler says is known when it is asked: every `pollEvery` while something is waited for. A job whose wrapper
 *   gives signs of life (every 5 s) is not asked about.
 * - Where the cluster tracks processes by their parents (`proctrack/linuxproc`), what a killed wrapper leaves runs on. With
 *   `proctrack/cgroup` Slurm ends it.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { resolve } from "node:path"
import {
  Execution,
  isTerminal,
  type JobHandle,
  type JobRequest,
  type JobResources,
  type JobUsage
} from "../Execution.ts"
import { inherited } from "../internal/inheritedEnvironment.ts"
import { recordCommand, refusedStart, seenThrough } from "../internal/jobLaunch.ts"
import { graceOf, millisOf, shown } from "../internal/processDuration.ts"
import { files, jobId } from "../internal/processFiles.ts"
import { awaitTerminal, follow, progressOf } from "../internal/processOutput.ts"
import { failureOf, problemOf, problemOfKey } from "../internal/processRequest.ts"
import { cancelSlurm } from "../internal/slurmCancel.ts"
import { type Programs, programs as defaultPrograms, type Running } from "../internal/slurmCommand.ts"
import {
  problemOfArgument,
  problemOfDirectory,
  problemOfProgram,
  problemOfResources
} from "../internal/slurmRequest.ts"
import { makeScheduler } from "../internal/slurmScheduler.ts"
import type { Patience } from "../internal/slurmStatus.ts"
import { makeSlurmStore } from "../internal/slurmStore.ts"
import { makeSubmit } from "../internal/slurmSubmit.ts"
import { makeStatus } from "../internal/slurmVerdict.ts"

/** Where jobs lie, what they ask for, and how Slurm is talked to. */
export interface Options {
  /** The directory of all jobs, on a disk that the engine and the cluster's machines share under one path. */
  readonly directory: string
  /** Between TERM and KILL: at a time-out, and at a cancel that does not say otherwise. Default: 5 seconds. */
  readonly grace?: Duration.Input
  /** What every job asks for, unless its request says otherwise. */
  readonly resources?: JobResources
  /** More arguments of `sbatch`, each one long option: `--qos=low`, `--constraint=a100`, `--exclusive`. */
  readonly extraArguments?: ReadonlyArray<string>
  /** The cluster's configuration (`SLURM_CONF`), where it is not the machine's own. */
  readonly configuration?: string
  /** Where Slurm's programs are. Default: on the PATH. */
  readonly programs?: Partial<Programs>
  /** The Node program on the cluster's machines. Default: the path of the one that runs the engine. */
  readonly node?: string
  /** How often the scheduler is asked while a job is waited for, for all jobs at once. Default: 10 seconds. */
  readonly pollEvery?: Duration.Input
  /** When a command that the scheduler did not answer is tried again. Default: seven times, over two minutes. */
  readonly retry?: Schedule.Schedule<unknown>
  /** How long one command may take. Default: 60 seconds. */
  readonly commandTimeout?: Duration.Input
  /** How long what one machine wrote may take until all others see it. Default: 15 seconds. */
  readonly fileDelay?: Duration.Input
  /**
   * Names of variables of this process' environment that jobs do not get, such as the one that holds an
   * agent's key. A job's own `environment` may still give one of that name.
   */
  readonly withheld?: ReadonlyArray<string>
}

/** The layer's options cannot be used. `field` names the one, `value` what it is. */
export class SlurmOptionsInvalid extends Schema.TaggedError<SlurmOptionsInvalid>()("SlurmOptionsInvalid", {
  field: Schema.String,
  value: Schema.String,
  message: Schema.String
}) {}

/**
 * Why the layer refuses this among its `extraArguments`; undefined where it takes it. For whoever reads options from a file
 * and wants to tell all mistakes at once, before a layer is made.
 *
 * @example
 * ```ts
 * import * as Slurm from "@espalier/platform/execution/Slurm"
 * import assert from "node:assert"
 *
 * assert.equal(Slurm.argumentRefused("--qos=low"), undefined)
 * assert.equal(Slurm.argumentRefused("--array=1-3"), "--array is not for you to give: a key stands for one job")
 * ```
 */
export const argumentRefused = (argument: string): string | undefined => problemOfArgument(argument)

const defaultRetry = Schedule.exponential("1 second").pipe(Schedule.upTo({ times: 7 }))

const problemOfOptions = (options: Options): SlurmOptionsInvalid | undefined => {
  const invalid = (field: string, value: string, problem: string, as = JSON.stringify(value)) =>
    new SlurmOptionsInvalid({
      field,
      value,
      message: `The option ${field} of the Slurm layer is ${as}: ${problem}.`
    })
  for (const field of ["grace", "pollEvery", "commandTimeout", "fileDelay"] as const) {
    const given = options[field]
    if (given === undefined) continue
    const read = millisOf(given, field === "commandTimeout" ? "more than zero" : "zero")
    if (Result.isFailure(read)) {
      return invalid(field, typeof given === "string" ? given : shown(given), read.failure, shown(given))
    }
  }
  const directory = problemOfDirectory(options.directory)
  if (directory !== undefined) return invalid("directory", options.directory, directory)
  const node = options.node === undefined ? undefined : problemOfProgram(options.node)
  if (node !== undefined) return invalid("node", options.node ?? "", node)
  for (const [name, path] of Object.entries(options.programs ?? {})) {
    const problem = problemOfProgram(path)
    if (problem !== undefined) return invalid("programs", path, `${name}: ${problem}`)
  }
  const resources = problemOfResources(options.resources ?? {})
  if (resources !== undefined) return invalid("resources", JSON.stringify(options.resources), resources)
  for (const argument of options.extraArguments ?? []) {
    const problem = problemOfArgument(argument)
    if (problem !== undefined) return invalid("extraArguments", argument, problem)
  }
  return undefined
}

/** The service. Use `layer` unless you build layers of your own. */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<Execution["Service"], SlurmOptionsInvalid> {
  const problem = problemOfOptions(options)
  if (problem !== undefined) return yield* problem
  const directory = resolve(options.directory)
  const duration = (input: Duration.Input | undefined, otherwise: Duration.Input): Duration.Duration =>
    Duration.fromInputUnsafe(input ?? otherwise)
  const defaultGrace = Duration.toMillis(duration(options.grace, "5 seconds"))
  const fileDelayMillis = Duration.toMillis(duration(options.fileDelay, "15 seconds"))
  const patience: Patience = { fileDelayMillis, silenceMillis: fileDelayMillis + 5000 }
  const pollEvery = duration(options.pollEvery, "10 seconds")
  const programs: Programs = { ...defaultPrograms, ...options.programs }
  const running: Running = {
    environment: {
      ...inherited(options.withheld),
      ...(options.configuration === undefined ? {} : { SLURM_CONF: resolve(options.configuration) })
    },
    timeout: duration(options.commandTimeout, "60 seconds"),
    retry: options.retry ?? defaultRetry
  }
  const store = makeSlurmStore(directory)
  const scheduler = makeScheduler(programs, running, pollEvery)
  const status = makeStatus(store, scheduler, patience)
  const { settle, submit } = makeSubmit({
    store,
    scheduler,
    programs,
    running: {
      ...running,
      environment: options.configuration === undefined ? {} : { SLURM_CONF: running.environment["SLURM_CONF"] }
    },
    node: options.node ?? process.execPath,
    extraArguments: options.extraArguments ?? [],
    withheld: options.withheld ?? [],
    root: directory
  })

  const launch = Effect.fn("Slurm.launch")(function*(request: JobRequest) {
    const fail = failureOf(request)
    const resources: JobResources = { ...options.resources, ...request.resources }
    const problem = problemOf(request) ?? problemOfResources(resources)
    if (problem !== undefined) return yield* fail("InvalidRequest", problem)
    const id = jobId(request.key)
    const jobDirectory = store.directoryOf(id)

    const prepare = Effect.gen(function*() {
      const command = yield* recordCommand(request, jobDirectory, defaultGrace, resources)
      // The first request of a key stays.
      return (yield* store.read("launch", id, files.command)) ?? command
    })

    const launching = Effect.gen(function*() {
      const refused = refusedStart(request, yield* store.read("launch", id, files.exit))
      if (refused !== undefined) return yield* refused
      const known = (yield* settle("launch", id, request.key)) === undefined
        ? undefined
        : yield* store.handle("launch", id)
      if (known !== undefined) return known
      yield* submit(id, yield* prepare)
      const handle = yield* store.handle("launch", id)
      return handle ?? (yield* fail("Infrastructure", `its records under ${jobDirectory} were removed`))
    }).pipe(
      Effect.catchTag(
        "CommandFailed",
        (failed) =>
          Effect.fail(
            failed.kind === "refused"
              ? fail("InvalidRequest", `Slurm refused it: ${failed.said}`, { cause: failed })
              : failed.kind === "missing"
              ? fail("Infrastructure", `${failed.message}; install Slurm's commands, or say where they are`, {
                cause: failed
              })
              : fail("Infrastructure", `Slurm did not take it, however often it was asked: ${failed.said}`, {
                cause: failed
              })
          )
      ),
      Effect.catchTag("ExecutionError", (cause) => Effect.fail(fail("Infrastructure", cause.message, { cause })))
    )
    // A submission that was sent cannot be taken back. What takes longer is found by its record, `submit-<token>`.
    return yield* seenThrough(launching)
  })

  const find = Effect.fn("Slurm.find")(function*(key: string) {
    if (problemOfKey(key) !== undefined) return Option.none<JobHandle>()
    const id = jobId(key)
    const found = yield* settle("find", id, key)
    const handle: JobHandle | undefined = found === undefined ? undefined : yield* store.handle("find", id)
    return Option.fromUndefinedOr(handle)
  })

  // The listing that `status` shares is renewed every `pollEvery`; files are looked at each second, as they may be on a disk
  // that does not tell of changes.
  const awaitEnd = Effect.fn("Slurm.await")((id: string) =>
    awaitTerminal(status("await", id), store.directoryOf(id), [files.exit, files.cancel, files.verdict])
  )

  const progress = Effect.fn("Slurm.progress")(function*(id: string) {
    yield* store.facts("progress", id, undefined)
    return yield* progressOf(store.directoryOf(id))
  })

  const usage = Effect.fn("Slurm.usage")(function*(id: string) {
    yield* store.facts("usage", id, undefined)
    const measured = (yield* store.read("usage", id, files.system))?.usage
    const command = yield* store.read("usage", id, files.command)
    if (measured === undefined || measured === null || command === undefined) return Option.none<JobUsage>()
    const claim = yield* store.read("usage", id, files.claim)
    const isEnded = (yield* store.read("usage", id, files.exit)) !== undefined
    const accounts = isEnded
      ? yield* scheduler.accounts("usage", yield* store.nameOf("usage", command.key), command.requestedAt)
      : []
    const account = accounts.find((one) => one.id === claim?.schedulerId)
    return Option.some<JobUsage>({
      ...measured,
      requested: command.resources ?? {},
      ...(account === undefined ? {} : {
        accounted: { cpuSeconds: account.cpuSeconds, peakMemoryBytes: account.peakMemoryBytes }
      })
    })
  })

  const logs: Execution["Service"]["logs"] = (id, options) =>
    Stream.unwrap(
      Effect.as(
        store.facts("logs", id, undefined),
        follow(id, store.directoryOf(id), options, Effect.map(status("logs", id), isTerminal))
      )
    )

  const cancel = Effect.fn("Slurm.cancel")(function*(
    id: string,
    options?: { readonly grace?: Duration.Input }
  ) {
    const graceMillis = yield* graceOf(id, options?.grace, defaultGrace)
    const { survivors } = yield* store.facts("cancel", id, undefined)
    const before = yield* status("cancel", id)
    if (isTerminal(before) && before._tag !== "Lost" && survivors.length === 0) return
    const command = yield* store.read("cancel", id, files.command)
    if (command === undefined) return
    yield* cancelSlurm(store, scheduler, id, command.key, graceMillis, settle("cancel", id, command.key))
    // What the scheduler said before it was told to cancel is of no use any more.
    yield* scheduler.list("cancel", yield* Clock.currentTimeMillis)
  }, Effect.scoped)

  return { launch, find, status: (id) => status("status", id), await: awaitEnd, progress, logs, usage, cancel }
})

/**
 * Jobs of a Slurm cluster. Making the layer starts nothing and asks nothing; it fails when its options cannot be used.
 *
 * @example
 * ```ts
 * import * as Slurm from "@espalier/platform/execution/Slurm"
 * import { Effect } from "effect"
 * import assert from "node:assert"
 *
 * const cluster = Slurm.layer({
 *   directory: "/shared/espalier/jobs",
 *   resources: { partition: "gpu", cpus: 8, memoryBytes: 32e9, gpus: 1 },
 *   extraArguments: ["--qos=low"]
 * })
 * assert.ok(cluster)
 *
 * // What would break a promise of the layer is refused, and why.
 * const refused = await Effect.runPromise(
 *   Effect.flip(Slurm.make({ directory: "/shared/espalier/jobs", extraArguments: ["--requeue"] }))
 * )
 * assert.match(refused.message, /--requeue is not for you to give: a job is started once/)
 * ```
 */
export const layer = (options: Options): Layer.Layer<Execution, SlurmOptionsInvalid> =>
  Layer.effect(Execution, make(options))
