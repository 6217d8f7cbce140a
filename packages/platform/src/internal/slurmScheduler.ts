/**
 * The scheduler, as questions and orders: what it knows of our jobs, and their ends. All jobs of a layer are asked for in
 * one command, whose answer is shared for a while: a hundred jobs that are waited for do not press the scheduler more
 * than one.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { ExecutionError } from "../Execution.ts"
import { CommandFailed, type Programs, run, type Running } from "./slurmCommand.ts"
import {
  type Account,
  accountFormat,
  parseAccounts,
  parseQueue,
  parseShown,
  type Queue,
  queueFormat,
  type ScriptEnd,
  Unreadable,
  type Word
} from "./slurmText.ts"

/** What the scheduler knew of jobs of ours at a time (milliseconds since the epoch, before it was asked). */
export interface Listing {
  readonly asOf: number
  readonly words: ReadonlyArray<Word>
}

/** The same, of all our jobs. */
type All = Queue & { readonly asOf: number }

/** Every name of a job of ours begins so. */
export const namePrefix = "espalier-"

const toError = (operation: string) => (failed: CommandFailed | Unreadable): ExecutionError =>
  new ExecutionError({
    operation,
    cause: failed,
    message: failed instanceof Unreadable
      ? failed.message
      : failed.kind === "missing"
      ? `Slurm cannot be asked: ${failed.message}. Install Slurm's commands on this machine, or say where they are ` +
        "(option `programs`)."
      : `Slurm does not answer: ${failed.message}. It was asked again and again; see \`scontrol ping\`.`
  })

/** Reads an answer; what cannot be read is a typed failure. */
const reading = <A>(read: () => A): Effect.Effect<A, Unreadable> =>
  Effect.try({
    try: read,
    catch: (error) => {
      if (error instanceof Unreadable) return error
      throw error
    }
  })

/** The scheduler of this cluster, asked as one user. `maxAge`: how old a shared answer may be. */
export const makeScheduler = (programs: Programs, running: Running, maxAge: Duration.Duration) => {
  const asking: Running = { ...running, environment: { ...running.environment, SLURM_TIME_FORMAT: "%s" } }
  const user = String(process.getuid?.() ?? "")
  const gate = Semaphore.makeUnsafe(1)
  let last: All | undefined
  let lastFailure: { readonly at: number; readonly failed: CommandFailed | Unreadable } | undefined

  const query = Effect.fnUntraced(function*(selection: ReadonlyArray<string>) {
    const asOf = yield* Clock.currentTimeMillis
    const output = yield* run(
      programs.squeue,
      ["--noheader", "--states=all", `--user=${user}`, `--format=${queueFormat}`, ...selection],
      asking
    )
    const all: All = { asOf, ...parseQueue(output, namePrefix) }
    return all
  })

  /** What was said of the jobs of one name; a failure only where that cannot be read. */
  const ofName = ({ asOf, unreadable, words }: All, name: string): Effect.Effect<Listing, Unreadable> => {
    const fault = unreadable.get(name)
    return fault === undefined
      ? Effect.succeed({ asOf, words: words.filter((one) => one.name === name) })
      : Effect.fail(fault)
  }

  /**
   * Everything that the scheduler knows of this user's jobs of ours, at most `maxAge` old, and not older than `after`. Those
   * who ask at the same time share one answer, also when it is that there is none.
   */
  const list = Effect.fnUntraced(function*(operation: string, after = 0) {
    const askedAt = yield* Clock.currentTimeMillis
    const ask = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      if (last !== undefined && now - last.asOf < Duration.toMillis(maxAge) && last.asOf >= after) return last
      if (lastFailure !== undefined && lastFailure.at > askedAt) return yield* Effect.fail(lastFailure.failed)
      last = yield* query([])
      return last
    }).pipe(Effect.tapError((failed) =>
      Effect.map(Clock.currentTimeMillis, (at) => {
        lastFailure = { at, failed }
      })
    ))
    return yield* gate.withPermits(1)(ask).pipe(Effect.mapError(toError(operation)))
  })

  /** The jobs of one name, out of the shared listing, which is not older than `after`. */
  const named = (operation: string, name: string, after = 0): Effect.Effect<Listing, ExecutionError> =>
    Effect.flatMap(list(operation, after), (all) => Effect.mapError(ofName(all, name), toError(operation)))

  /** The jobs of one name, asked for now. */
  const byName = (operation: string, name: string): Effect.Effect<Listing, ExecutionError> =>
    query([`--name=${name}`]).pipe(
      Effect.flatMap((all) => ofName(all, name)),
      Effect.mapError(toError(operation))
    )

  /** How a batch script ended, while the scheduler remembers it. */
  const scriptEnd = (operation: string, word: Word): Effect.Effect<ScriptEnd | null, ExecutionError> =>
    run(programs.scontrol, ["--oneliner", "show", "job", word.id], asking).pipe(
      Effect.flatMap((output) => reading(() => parseShown(output))),
      // A number is used again after the scheduler lost its memory: then it is another job.
      Effect.map((shown) => shown !== undefined && shown.name === word.name ? shown.end : null),
      Effect.catchIf(
        (failed) => failed instanceof CommandFailed && failed.kind === "unknownJob",
        () => Effect.succeed(null)
      ),
      Effect.mapError(toError(operation))
    )

  /** What accounting remembers of the jobs of one name; nothing where there is no accounting. */
  const accounts = (
    operation: string,
    name: string,
    since: number
  ): Effect.Effect<ReadonlyArray<Account>, ExecutionError> =>
    run(programs.sacct, [
      "--noheader",
      "--parsable2",
      `--name=${name}`,
      `--user=${user}`,
      // A day earlier: clocks differ, and the start only bounds the search.
      `--starttime=${new Date(since - 86_400_000).toISOString().slice(0, 19)}`,
      `--format=${accountFormat}`
    ], asking).pipe(
      Effect.flatMap((output) => reading(() => parseAccounts(output, namePrefix))),
      Effect.catchIf(
        (failed) =>
          failed instanceof CommandFailed &&
          (failed.kind === "missing" || /accounting storage is disabled/i.test(failed.said)),
        () => Effect.succeed<ReadonlyArray<Account>>([])
      ),
      Effect.mapError(toError(operation))
    )

  /** Gives `scancel` to jobs. One that has ended meanwhile is as good. */
  const cancel = (args: ReadonlyArray<string>, ids: ReadonlyArray<string>): Effect.Effect<void, ExecutionError> =>
    ids.length === 0 ? Effect.void : run(programs.scancel, [...args, ...ids], asking).pipe(
      Effect.catchIf((failed) => failed.kind === "unknownJob", () => Effect.void),
      Effect.mapError(toError("cancel")),
      Effect.asVoid
    )

  return { list, named, byName, scriptEnd, accounts, cancel }
}
export type Scheduler = ReturnType<typeof makeScheduler>
