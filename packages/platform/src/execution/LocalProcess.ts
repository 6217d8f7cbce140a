/**
 * Jobs as processes of this machine that outlive the engine.
 *
 * For each job a small wrapper process is started in a session of its own. The wrapper, not the engine,
 * claims the key, runs the command, applies the time-out, and records how the job ended; all that the
 * engine knows it reads from the files in the job's directory. So an engine that was killed knows as much
 * after its restart as one that lived on, and two engines on one directory do not get in each other's way.
 * `internal/processWrapper.ts` tells the protocol, and why a launch happens once.
 *
 * ```
 * <directory>/<id>/   command.json claim start.json exit.json cancel.json   each written once
 *                     system.json                                           CPU and memory, renewed
 *                     stdout.log stderr.log metrics.jsonl progress.txt      written by the job
 *                     contenders.log wrapper.log                            for whoever investigates
 * ```
 *
 * Consequences to know:
 *
 * - A job ends with its first process: what that leaves running is ended too (TERM, KILL after 2 s at
 *   most), before the job counts as ended. So no two jobs disturb each other's measurements by left-overs.
 * - When the wrapper itself is killed, the job's exit code is lost, and `status` says `Lost`. If the job's
 *   processes live on, it says so; they are left alone until somebody cancels the job.
 * - On a directory shared by several machines or containers, a job of another one is followed by its files;
 *   it is `Lost` after two minutes without a sign of life, and it can be cancelled from anywhere.
 * - A service manager that kills the engine's control group on stop (systemd: `KillMode=control-group`)
 *   kills the jobs too. Set `KillMode=process` to let them live.
 * - Linux is what this is made for and tested on. On other POSIX systems usage is not measured, processes that
 *   leave the job's group are not found, and a reused process id can hide the death of a wrapper. Windows
 *   has no process groups: not supported.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { resolve } from "node:path"
import {
  Execution,
  ExecutionError,
  isTerminal,
  type JobHandle,
  type JobRequest
} from "../Execution.ts"
import { recordCommand, recordsUnusable, refusedStart, seenThrough } from "../internal/jobLaunch.ts"
import { graceOf, millisOf, shown } from "../internal/processDuration.ts"
import { createOnce, files, jobId } from "../internal/processFiles.ts"
import { spawnWrapper, type Wrapper } from "../internal/processLaunch.ts"
import { lastLine } from "../internal/processLog.ts"
import { awaitTerminal, follow, progressOf, slowLook } from "../internal/processOutput.ts"
import type { Cancel } from "../internal/processRecords.ts"
import { failureOf, problemOf, problemOfKey, problemOfPlace } from "../internal/processRequest.ts"
import { decideStatus, isVisible } from "../internal/processStatus.ts"
import { makeStore, rootOf } from "../internal/processStore.ts"
import { thisMachine } from "../internal/processTable.ts"
import { endTree, send } from "../internal/processTree.ts"
import { watchFiles } from "../internal/processWatch.ts"

/** Where jobs lie, and how they are ended. */
export interface Options {
  /** The directory of all jobs; each gets a directory of its own in it. Made when the first job is launched. */
  readonly directory: string
  /**
   * Between TERM and KILL: at a time-out, and at a cancel that does not say otherwise. Finite, from 0; with any other
   * the layer is not made. Default: 5 seconds.
   */
  readonly grace?: Duration.Input
  /**
   * Names of variables of this process' environment that jobs do not get, such as the one that holds an
   * agent's key. A job's own `environment` may still give one of that name.
   */
  readonly withheld?: ReadonlyArray<string>
}

/** How long a job may take to be seen to start: one that stops its wrapper before would be waited for without an end. */
const startBoundMillis = 30_000

/** The layer's options cannot be used. `field` names the one, `value` what it is. */
export class LocalProcessOptionsInvalid
  extends Schema.TaggedError<LocalProcessOptionsInvalid>()("LocalProcessOptionsInvalid", {
    field: Schema.String,
    value: Schema.String,
    message: Schema.String
  }) {}

/** The service, for a directory. Use `layer` unless you build layers of your own. */
export const make = (options: Options): Effect.Effect<Execution["Service"], LocalProcessOptionsInvalid> => {
  const { directory, grace = "5 seconds" } = options
  const invalid = (field: keyof Options, given: unknown, problem: string) =>
    Effect.fail(
      new LocalProcessOptionsInvalid({
        field,
        value: typeof given === "string" ? given : shown(given),
        message: `The option ${field} of the local layer is ${shown(given)}: ${problem}.`
      })
    )
  const unusable = problemOfPlace(directory)
  if (unusable !== undefined) return invalid("directory", directory, unusable)
  return Result.match(millisOf(grace, "zero"), {
    onSuccess: (graceMillis) => Effect.sync(() => service(options, graceMillis)),
    onFailure: (problem) => invalid("grace", grace, problem)
  })
}

const service = (options: Options, defaultGraceMillis: number): Execution["Service"] => {
  const store = makeStore(resolve(options.directory))

  const launch = Effect.fn("LocalProcess.launch")(function*(request: JobRequest) {
    const problem = problemOf(request)
    const fail = failureOf(request)
    if (problem !== undefined) return yield* fail("InvalidRequest", problem)
    const id = jobId(request.key)
    const jobDirectory = store.directoryOf(id)
    const unusable = recordsUnusable(request, jobDirectory)
    let wrapper: Wrapper | undefined

    const prepare = Effect.gen(function*() {
      yield* recordCommand(request, jobDirectory, defaultGraceMillis)
      return yield* Effect.tryPromise({
        try: (signal) => spawnWrapper(jobDirectory, options.withheld ?? [], signal),
        catch: unusable
      })
    })

    const launched = Effect.gen(function*() {
      if ((yield* store.handle("launch", id)) === undefined) wrapper = yield* prepare
      const change = yield* watchFiles(jobDirectory, [files.claim, files.start, files.exit], slowLook)
      const begun = yield* Clock.currentTimeMillis
      while (true) {
        // Before the look: what a wrapper that is over has written is then seen.
        const over = wrapper?.ended()
        const { claim, exit, owner, start } = yield* store.facts("launch", id)
        const refused = refusedStart(request, exit)
        if (refused !== undefined) return yield* refused
        const settled = exit !== undefined || start !== undefined || owner._tag === "Dead"
        const late = (yield* Clock.currentTimeMillis) - begun > startBoundMillis
        const handle = settled || late ? yield* store.handle("launch", id) : undefined
        if (handle !== undefined) return handle
        if (claim === undefined && over !== undefined) {
          const said = yield* lastLine([`${jobDirectory}/${files.wrapper}`])
          return yield* fail(
            "Infrastructure",
            `its wrapper process did not come up: ${over}` +
              (said === undefined ? "" : `, and said ${JSON.stringify(said.line)} (${jobDirectory}/${files.wrapper})`)
          )
        }
        if (late) {
          wrapper?.terminate()
          return yield* fail(
            "Infrastructure",
            `its wrapper process did not claim it within ${startBoundMillis / 1000} s, and was told to end: see what ` +
              "keeps processes from running on this machine, and launch it again"
          )
        }
        yield* wrapper === undefined || over !== undefined ? change : Effect.raceFirst(change, wrapper.end)
      }
    })

    // Where the record cannot be read, the job counts as not claimed: nobody could find it.
    const giveUp = Effect.map(Effect.orElseSucceed(store.handle("launch", id), () => undefined), (handle) => {
      if (handle === undefined) wrapper?.terminate()
    })
    return yield* launched.pipe(
      Effect.scoped,
      Effect.catchTag(["ExecutionError", "JobNotFound"], (cause) => Effect.fail(unusable(cause))),
      (launching) => seenThrough(launching, giveUp)
    )
  })

  const find = Effect.fn("LocalProcess.find")(function*(key: string) {
    if (problemOfKey(key) !== undefined) return Option.none<JobHandle>()
    return Option.fromUndefinedOr(yield* store.handle("find", jobId(key)))
  })

  const status = Effect.fnUntraced(function*(id: string) {
    return decideStatus(yield* store.facts("status", id))
  })

  const awaitEnd = Effect.fn("LocalProcess.await")((id: string) =>
    awaitTerminal(status(id), store.directoryOf(id), [files.exit, files.cancel])
  )

  const progress = Effect.fn("LocalProcess.progress")(function*(id: string) {
    yield* store.facts("progress", id)
    return yield* progressOf(store.directoryOf(id))
  })

  const usage = Effect.fn("LocalProcess.usage")(function*(id: string) {
    yield* store.facts("usage", id)
    return Option.fromNullishOr((yield* store.read("usage", id, files.system))?.usage)
  })

  const logs: Execution["Service"]["logs"] = (id, options) =>
    Stream.unwrap(
      Effect.as(store.facts("logs", id), follow(id, store.directoryOf(id), options, Effect.map(status(id), isTerminal)))
    )

  const cancel = Effect.fn("LocalProcess.cancel")(function*(
    id: string,
    options?: { readonly grace?: Duration.Input }
  ) {
    const graceMillis = yield* graceOf(id, options?.grace, defaultGraceMillis)
    const attempt = <A>(what: string, run: (signal: AbortSignal) => Promise<A>) =>
      Effect.tryPromise({
        try: run,
        catch: (cause) =>
          new ExecutionError({
            operation: "cancel",
            cause,
            message: `The job ${id} cannot be cancelled: ${what}: ${cause}.`
          })
      })
    const jobDirectory = store.directoryOf(id)
    const before = yield* store.facts("cancel", id)
    if (isTerminal(decideStatus(before)) && before.survivors.length === 0) return

    const begun = yield* Clock.currentTimeMillis
    const here = thisMachine()
    const marker: Cancel = { version: 1, requestedAt: begun, graceMillis, host: here.host, pid: process.pid }
    yield* attempt(
      "its cancel record cannot be written",
      () => createOnce(jobDirectory, files.cancel, JSON.stringify(marker))
    )
    const change = yield* watchFiles(jobDirectory, [files.exit], "250 millis")
    let told = false
    while (true) {
      const { claim, owner, start, survivors, ...facts } = yield* store.facts("cancel", id)
      if (claim === undefined || facts.exit !== undefined) return
      if (owner._tag === "Dead" && survivors.length === 0) return
      const root = rootOf(claim, start)
      const late = (yield* Clock.currentTimeMillis) - begun - graceMillis
      if (!isVisible(claim, here)) {
        // Its wrapper looks for the cancel record four times a second.
        if (late > 30_000) {
          return yield* new ExecutionError({
            operation: "cancel",
            message: `The job ${id} runs on ${claim.host}, which has not obeyed the cancel for ${
              Math.round(late / 1000)
            } s. Its processes cannot be seen from ${here.host}: end them there.`
          })
        }
      } else if (owner._tag === "Alive" && !told) {
        told = true
        yield* attempt(
          `its wrapper (process ${claim.pid}) may not be signalled`,
          async () => send(claim.pid, "SIGTERM")
        )
      } else if (owner._tag === "Dead" || late > 1500) {
        // The wrapper is dead, or does not do its part (stopped, or told of a longer grace by an earlier cancel).
        const left = Math.max(0, -late)
        const gone = yield* attempt("its processes may not be signalled", (signal) => endTree(root, left, signal))
        if (!gone) {
          return yield* new ExecutionError({
            operation: "cancel",
            message: `Processes of the job ${id} do not end though they were killed (${survivors.join(", ")}): ` +
              `the kernel holds them, mostly for a disk that does not answer. Cancel again when it does.`
          })
        }
        if (late > 3000) yield* attempt("its wrapper may not be killed", async () => send(claim.pid, "SIGKILL"))
      }
      yield* change
    }
  }, Effect.scoped)

  return { launch, find, status, await: awaitEnd, progress, logs, usage, cancel }
}

/**
 * Jobs as processes of this machine. Making the layer touches nothing: the directory is made at the first launch. It fails when
 * its options cannot be used.
 *
 * @example
 * ```ts
 * import { Execution } from "@espalier/platform/Execution"
 * import * as LocalProcess from "@espalier/platform/execution/LocalProcess"
 * import { Effect, Stream } from "effect"
 * import assert from "node:assert"
 * import { mkdtemp, rm } from "node:fs/promises"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 *
 * const directory = await mkdtemp(join(tmpdir(), "jobs-"))
 * const program = Effect.gen(function*() {
 *   const execution = yield* Execution
 *   const job = yield* execution.launch({
 *     key: "greeting-1",
 *     argv: [process.execPath, "-e", "console.log('hello'); process.exitCode = 3"],
 *     directory,
 *     environment: {}
 *   })
 *   const status = yield* execution.await(job.id)
 *   assert.strictEqual(status._tag === "Exited" && status.exitCode, 3)
 *   const output = yield* execution.logs(job.id, { stream: "stdout" }).pipe(Stream.decodeText(), Stream.mkString)
 *   assert.strictEqual(output, "hello\n")
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(LocalProcess.layer({ directory }))))
 * await rm(directory, { recursive: true })
 * ```
 */
export const layer = (options: Options): Layer.Layer<Execution, LocalProcessOptionsInvalid> =>
  Layer.effect(Execution, make(options))
