/**
 * Submitting a job once, and finding out whether it was submitted.
 *
 * `sbatch` may be accepted and its answer lost: the engine is killed, the connection breaks. Three things keep that from
 * becoming a second run:
 *
 * 1. Before `sbatch` is started, `submit-<token>` is written. Whoever finds such a record asks first whether that `sbatch`
 *    still runs (it carries the token; `timeout` ends it after a while, whoever lives), and then the scheduler for
 *    jobs of the key's name. Only if there is none is the key free.
 * 2. All submissions of a key have one name, which no other key has.
 * 3. Should two be queued all the same, each runs the wrapper, and the wrapper's claim has one winner.
 *
 * The script that Slurm runs is the same for all jobs and holds no text of anybody: it runs its arguments, which are
 * Node, the wrapper, and the job's directory. All else the wrapper reads from `command.json`.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { randomBytes } from "node:crypto"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { ExecutionError } from "../Execution.ts"
import { createOnce } from "./processFiles.ts"
import { wrapperEnvironment, wrapperPath } from "./processLaunch.ts"
import type { Command } from "./processRecords.ts"
import { isVisible } from "./processStatus.ts"
import { isAlive, readSmall, startTicksOf, thisMachine } from "./processTable.ts"
import { cleanEnvironment, CommandFailed, type Programs, type Running, runOnce } from "./slurmCommand.ts"
import { type Attempt, slurmFiles, type Submission } from "./slurmRecords.ts"
import { outputPath, resourceArguments } from "./slurmRequest.ts"
import type { Scheduler } from "./slurmScheduler.ts"
import type { SlurmStore } from "./slurmStore.ts"
import { parseSubmitted, Unreadable } from "./slurmText.ts"

/** Runs its arguments, and nothing else. */
export const script = "#!/bin/sh\nexec \"$@\"\n"

/** Submissions that a fiber of this process is busy with. */
const underWay = new Set<string>()

/** Whether a process of this machine has this text in its arguments. */
const isInArguments = (token: string): boolean => {
  try {
    return readdirSync("/proc").some((name) =>
      /^[1-9]\d*$/.test(name) && (readSmall(`/proc/${name}/cmdline`)?.includes(token) ?? false)
    )
  } catch {
    return true // no /proc: its time decides
  }
}

/** Whether the `sbatch` of this record may still be at work. */
export const isUnderWay = (attempt: Attempt, now: number): boolean => {
  if (now > attempt.overAt) return false
  const here = thisMachine()
  if (!isVisible(attempt, here)) return true
  // This process may have given it up (an interruption), and another may be dead: `sbatch` itself may live all the same.
  const isMine = attempt.pid === process.pid && attempt.startTicks === startTicksOf(process.pid)
  const isWatched = isMine ? underWay.has(attempt.token) : isAlive(attempt.pid, attempt.startTicks)
  return isWatched || isInArguments(attempt.token)
}

/** How submissions are made. */
export interface Submitting {
  readonly store: SlurmStore
  readonly scheduler: Scheduler
  readonly programs: Programs
  readonly running: Running
  /** The Node program of the machines that run jobs. */
  readonly node: string
  readonly extraArguments: ReadonlyArray<string>
  /** Variables of the engine that `--export=ALL` must not hand on. */
  readonly withheld: ReadonlyArray<string>
  /** The directory of all jobs. */
  readonly root: string
}

export const makeSubmit = (options: Submitting) => {
  const { programs, scheduler, store } = options
  const seconds = Math.ceil(Duration.toMillis(options.running.timeout) / 1000)

  /**
   * The submission of a job, if there ever was one; undefined when the key is free. Waits for a submission that is under way
   * in another process: until it is over nobody can say.
   */
  const settle = Effect.fnUntraced(function*(
    operation: string,
    id: string,
    key: string
  ): Effect.fn.Return<Submission | undefined, ExecutionError> {
    while (true) {
      // Before anything else: what these have brought about is then seen.
      const attempts = yield* store.attempts(operation, id)
      const known = yield* store.submission(operation, id)
      if (known !== undefined) return known
      const claim = yield* store.read(operation, id, "claim")
      if (claim?.schedulerId !== undefined) {
        return yield* store.recordSubmission(operation, id, {
          version: 1,
          schedulerId: claim.schedulerId,
          cluster: null,
          submittedAt: claim.claimedAt
        })
      }
      if (attempts.length === 0) return undefined
      const now = yield* Clock.currentTimeMillis
      if (attempts.some((one) => isUnderWay(one, now))) {
        yield* Effect.sleep("100 millis")
        continue
      }
      const name = yield* store.nameOf(operation, key)
      const { words } = yield* scheduler.byName(operation, name)
      const begunAt = Math.min(...attempts.map((one) => one.begunAt))
      const found = words.length > 0 ? words : yield* scheduler.accounts(operation, name, begunAt)
      // All that look choose the same one.
      const first = found.toSorted((a, b) => Number(a.id) - Number(b.id))[0]
      const submission = first === undefined ? undefined : yield* store.recordSubmission(operation, id, {
        version: 1,
        schedulerId: first.id,
        cluster: null,
        submittedAt: first.submittedAt ?? begunAt
      })
      for (const one of attempts) yield* store.removeAttempt(operation, id, one.token)
      return submission
    }
  })

  const argumentsFor = (id: string, command: Command, name: string, token: string): ReadonlyArray<string> => {
    const directory = store.directoryOf(id)
    const output = outputPath(join(directory, slurmFiles.log))
    return [
      `--kill-after=5`,
      `${seconds}`,
      programs.sbatch,
      "--parsable",
      "--no-requeue",
      `--job-name=${name}`,
      `--comment=${token}`,
      `--chdir=${directory}`,
      `--output=${output}`,
      `--error=${output}`,
      "--open-mode=append",
      "--export=ALL",
      ...resourceArguments(command.resources ?? {}, command.timeoutMillis, command.graceMillis),
      ...options.extraArguments,
      join(directory, slurmFiles.script),
      options.node,
      "--disable-warning=ExperimentalWarning",
      wrapperPath,
      directory,
      "slurm"
    ]
  }

  /** `timeout` ended it, which itself says nothing, and leaves a code or a signal that says little. */
  const cutOff = (failed: ExecutionError | CommandFailed): ExecutionError | CommandFailed => {
    if (failed._tag === "ExecutionError" || failed.kind !== "unreachable") return failed
    const said = `sbatch did not answer within ${seconds} s and was ended` +
      (failed.said.startsWith("it ended with ") ? "" : `; it had said: ${failed.said}`)
    return new CommandFailed({
      ...failed,
      program: programs.sbatch,
      said,
      message: `${programs.sbatch} failed: ${said}`
    })
  }

  /** One try. A `CommandFailed` that is `unreachable` means: nothing was submitted, it may be tried again. */
  const submitOnce = Effect.fnUntraced(function*(id: string, command: Command) {
    const name = yield* store.nameOf("launch", command.key)
    const token = `${name}-${randomBytes(8).toString("hex")}`
    const begunAt = yield* Clock.currentTimeMillis
    const attempt: Attempt = {
      version: 1,
      token,
      begunAt,
      overAt: begunAt + (seconds + 10) * 1000,
      ...thisMachine(),
      pid: process.pid,
      startTicks: startTicksOf(process.pid)
    }
    const environment = cleanEnvironment({
      ...wrapperEnvironment(join(options.root, ".cache"), options.withheld),
      ...options.running.environment
    })
    yield* Effect.sync(() => underWay.add(token))
    const sbatch = runOnce("timeout", argumentsFor(id, command, name, token), {
      ...options.running,
      environment,
      // `timeout` ends it, also when this process is dead; this is for a `timeout` that hangs.
      timeout: Duration.seconds(seconds + 15)
    })
    const answer = yield* store.recordAttempt("launch", id, attempt).pipe(
      // An interruption leaves it running: ended while the scheduler is slow to answer, it would look like one of which
      // nothing came, and its job would be queued later.
      Effect.andThen(Effect.forkDetach(sbatch, { startImmediately: true })),
      Effect.flatMap(Fiber.join),
      Effect.result,
      Effect.ensuring(Effect.sync(() => underWay.delete(token)))
    )
    if (answer._tag === "Success") {
      const submitted = yield* Effect.try({
        try: () => parseSubmitted(answer.success),
        catch: (error) => new ExecutionError({ operation: "launch", cause: error, message: String(error) })
      }).pipe(Effect.result)
      if (submitted._tag === "Success") {
        const submission = yield* store.recordSubmission("launch", id, {
          version: 1,
          schedulerId: submitted.success.id,
          cluster: submitted.success.cluster,
          submittedAt: begunAt
        })
        yield* store.removeAttempt("launch", id, token)
        return submission
      }
    }
    const isCutOff = (yield* Clock.currentTimeMillis) - begunAt >= seconds * 1000
    const failed = answer._tag === "Failure" ?
      (isCutOff ? cutOff(answer.failure) : answer.failure) :
      new CommandFailed({
        program: programs.sbatch,
        kind: "unreachable",
        said: answer.success,
        message: new Unreadable("sbatch --parsable", answer.success, "that is no number of a job").message
      })
    if (failed instanceof CommandFailed && (failed.kind === "refused" || failed.kind === "missing")) {
      yield* store.removeAttempt("launch", id, token)
      return yield* failed
    }
    // It may have arrived all the same.
    return (yield* settle("launch", id, command.key)) ?? (yield* failed)
  })

  /** Submits a job that has no submission, again on the schedule as long as the scheduler does not answer. */
  const submit = Effect.fnUntraced(function*(id: string, command: Command) {
    yield* Effect.tryPromise({
      try: () => createOnce(store.directoryOf(id), slurmFiles.script, script),
      catch: (cause) =>
        new ExecutionError({ operation: "launch", cause, message: `The job's script cannot be written: ${cause}.` })
    })
    return yield* Effect.retry(submitOnce(id, command), {
      schedule: options.running.retry,
      while: (failed) => failed._tag === "CommandFailed" && failed.kind === "unreachable"
    })
  })

  return { settle, submit }
}
