/** A build as one supervised command with a log file: what is common to all layers that run one. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { BuildFailed, type BuildFailure, type BuildRequest } from "../Artifacts.ts"
import type { CommandNotStarted } from "./command.ts"
import { openLog, readTail } from "./commandLog.ts"
import * as FileEffects from "./fileEffects.ts"
import { isTimeOrForEver, shown } from "./processDuration.ts"
import { type Ended, runSupervised } from "./supervised.ts"

/** A short file operation of the layer's own. */
export const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, string> =>
  FileEffects.attempt(run, FileEffects.detailOf)

/** The same for what takes its time: it can be interrupted. */
export const attemptLong = <A>(run: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, string> =>
  FileEffects.attemptLong(run, FileEffects.detailOf)

/** What is run, and for how long. */
export interface BuildCommand {
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  readonly environment: NodeJS.ProcessEnv
  /** No limit when undefined. */
  readonly timeout: Duration.Input | undefined
  /** 5 seconds when undefined. */
  readonly grace: Duration.Input | undefined
  /** What it means that the program could not be started. */
  readonly notStarted: (error: CommandNotStarted) => { readonly failure: BuildFailure; readonly what: string }
  /** What it means that the program crashed: `exited` where it is the tree's, `killed` where it is the machine's. */
  readonly crashed: "exited" | "killed"
}

/** By these a program ends for a fault of its own. From outside they come only on purpose. */
const crashes: ReadonlySet<string | null> = new Set([
  "SIGSEGV",
  "SIGABRT",
  "SIGFPE",
  "SIGILL",
  "SIGBUS",
  "SIGTRAP",
  "SIGSYS"
])

/** What is wrong with the durations, in words that go on from "The build command [...]". */
const durationProblem = ({ grace = "5 seconds", timeout = Infinity }: BuildCommand): string | undefined => {
  if (!isTimeOrForEver(timeout, "more than zero")) {
    return `has a timeout that is none: ${shown(timeout)}. Correct build.timeout: more than 0, as "10 minutes"`
  }
  if (!isTimeOrForEver(grace, "zero")) {
    return `has a grace that is none: ${shown(grace)}. Correct build.grace: 0 or more, as "5 seconds"`
  }
  return undefined
}

/** What a command that ended by itself has left. */
export interface Left {
  readonly exitCode: number
  readonly logTail: string
}

/** One build that is under way. */
export interface Build {
  /** Fails the build. `what` goes on from "The build command [...]". */
  readonly fail: (
    failure: BuildFailure,
    what: string,
    details?: { readonly ended?: Ended; readonly logTail?: string }
  ) => Effect.Effect<never, BuildFailed>
  /** Runs the command to its end; every exit code is a result. */
  readonly run: (command: BuildCommand) => Effect.Effect<Left, BuildFailed>
}

const shownChars = 500

/** Begins a build: its duration counts from here. `argv` is what its errors name. */
export const beginBuild = (request: BuildRequest, argv: ReadonlyArray<string>): Effect.Effect<Build> =>
  Effect.map(Clock.currentTimeMillis, (startedAt) => {
    const fail: Build["fail"] = (failure, what, { ended, logTail = "" } = {}) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const last = logTail.split("\n").at(-1)!.slice(0, shownChars)
        return Effect.fail(
          new BuildFailed({
            failure,
            argv,
            exitCode: ended?.exitCode ?? null,
            signal: ended?.signal ?? null,
            logTail,
            log: request.log,
            durationMillis: now - startedAt,
            message: `The build command ${JSON.stringify(argv)} ${what}` +
              (logTail === "" ? "" : `. It ended with: ${last}. All of it is in ${request.log}`)
          })
        )
      })
    const run: Build["run"] = (command) =>
      Effect.gen(function*() {
        const wrong = durationProblem(command)
        if (wrong !== undefined) return yield* fail("not-started", wrong)
        const ended = yield* supervise(command, request).pipe(
          Effect.catch((error) => {
            if (typeof error === "string") return fail("not-started", `could not be started: ${error}`)
            const { failure, what } = command.notStarted(error)
            return fail(failure, what)
          }),
          (run) =>
            command.timeout === undefined
              ? run
              : Effect.timeoutOrElse(run, {
                duration: command.timeout,
                orElse: () => Effect.succeed("timed-out" as const)
              })
        )
        const [logTail, unread] = yield* Effect.match(attempt(() => readTail(request.log)), {
          onSuccess: (tail) => [tail, ""] as const,
          onFailure: (detail) => ["", `. Its log cannot be read: ${detail}`] as const
        })
        if (ended === "timed-out") {
          const limit = Duration.format(Duration.fromInputUnsafe(command.timeout!))
          return yield* fail(
            "timed-out",
            `took longer than ${limit} and was ended. Raise build.timeout, or see why${unread}`,
            {
              logTail
            }
          )
        }
        if (ended.remains === true) {
          const what = "lost its supervisor, which something outside killed, and could not be ended: it may still run"
          return yield* fail("killed", `${what}. Look for it before the next build${unread}`, { ended, logTail })
        }
        if (crashes.has(ended.signal)) {
          const what = `crashed with ${ended.signal}, which is a fault in the program`
          return yield* fail(command.crashed, `${what}${unread}`, { ended, logTail })
        }
        if (ended.exitCode === null) {
          const how = ended.signal === null ? "together with its supervisor" : `by ${ended.signal}`
          const hint = "Something outside ended it, for want of memory perhaps"
          return yield* fail("killed", `was ended ${how}. ${hint}${unread}`, { ended, logTail })
        }
        if (unread !== "") {
          const failure = ended.exitCode === 0 ? "nothing-built" : "exited"
          return yield* fail(failure, `ended with exit code ${ended.exitCode}${unread}`, { ended })
        }
        return { exitCode: ended.exitCode, logTail }
      })
    return { fail, run }
  })

const supervise = (command: BuildCommand, request: BuildRequest): Effect.Effect<Ended, CommandNotStarted | string> =>
  Effect.acquireUseRelease(
    Effect.mapError(
      attempt(() => openLog(request.log)),
      (detail) => `its log ${request.log} cannot be written (${detail})`
    ),
    (log) =>
      runSupervised({
        argv: command.argv,
        directory: request.tree,
        environment: command.environment,
        output: log.fd,
        graceMillis: Duration.toMillis(Duration.fromInputUnsafe(command.grace ?? "5 seconds"))
      }),
    (log) =>
      Effect.catch(
        attempt(() => log.close()),
        (detail) => Effect.logWarning(`Closing ${request.log} failed: ${detail}`)
      )
  )
