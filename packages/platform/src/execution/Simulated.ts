/**
 * Scripted jobs that live in memory and run on the clock of whoever runs them: no file, no process, and
 * under the test clock a job of an hour takes no time at all. It passes the same conformance suite as
 * the real layers.
 *
 * A job is a function of time: what it prints, when and how it ends is given when it is launched, and each
 * question is answered from that and the time now. No fiber runs for a job.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import {
  Execution,
  isTerminal,
  type JobHandle,
  JobNotFound,
  type JobProgress,
  type JobRequest,
  type JobStatus,
  type JobUsage,
  type LogStream,
  type TerminalStatus
} from "../Execution.ts"
import { graceOf, shown } from "../internal/processDuration.ts"
import { failureOf, problemOf } from "../internal/processRequest.ts"

/** Something that a job prints, and when: in milliseconds since it started. */
export interface Printed {
  readonly atMillis: number
  readonly text: string
}

/** What a job does. All of it is optional: a job without a script ends at once, well, and says nothing. */
export interface SimulatedJob {
  /** How long it runs when nobody ends it, in milliseconds; `Infinity` for a job that never ends. Default 0. */
  readonly durationMillis?: number
  /** How long it waits before it starts, in milliseconds. Default 0. */
  readonly delayMillis?: number
  /** Default 0. */
  readonly exitCode?: number
  /** The signal that it dies of, instead of leaving with an exit code. */
  readonly signal?: string
  readonly outOfMemory?: boolean
  /** At its end it was told to end, by nobody who cancelled it: what it printed is of a run that was cut short. */
  readonly terminated?: boolean
  /** A text is printed as soon as the job starts. */
  readonly stdout?: string | ReadonlyArray<Printed>
  readonly stderr?: string | ReadonlyArray<Printed>
  readonly metrics?: string | ReadonlyArray<Printed>
  /** What it writes to its progress file. */
  readonly progress?: string | ReadonlyArray<Printed>
  /** The command cannot be started, for this reason. */
  readonly startError?: { readonly code: string; readonly message: string }
  /** After so many milliseconds from its start nobody can know any more what became of it. */
  readonly lost?: {
    readonly atMillis: number
    readonly reason: string
    /** A scheduler took its machine away. */
    readonly cause?: "preempted" | "nodeFailed"
  }
  /** It does not end when asked to, only when killed. */
  readonly ignoresTermination?: boolean
  readonly usage?: JobUsage
}

/** Says what the job of a request does. */
export type Script = (request: JobRequest) => SimulatedJob

/** What tests ask of a simulation. */
export interface Simulated {
  /** The requests that really were launched, in order; a second launch of a key is none. */
  readonly launches: Effect.Effect<ReadonlyArray<JobRequest>>
  /** The jobs that run at this moment. */
  readonly running: Effect.Effect<ReadonlyArray<JobHandle>>
  /** The jobs' service: give it to a second engine to see what a restart sees. */
  readonly execution: Execution["Service"]
}

/** The simulation that `layer` runs, beside the `Execution` that it provides. */
export class Simulation extends Context.Service<Simulation, Simulated>()("@espalier/platform/execution/Simulated") {}

interface Job {
  readonly request: JobRequest
  readonly handle: JobHandle
  readonly script: SimulatedJob
  readonly startsAt: number
  readonly cancelled: Deferred.Deferred<void>
  /** When a cancel ends it. */
  cancelledAt: number
}

/** A time that never comes would have its job hang, and whoever waits for it under the test clock with it. */
const problemOfScript = (script: SimulatedJob): string | undefined => {
  const printed = (["stdout", "stderr", "metrics", "progress"] as const).flatMap((stream) => {
    const said = script[stream]
    return said === undefined || typeof said === "string"
      ? []
      : said.map((one, index) => [`${stream}[${index}].atMillis`, one.atMillis] as const)
  })
  const times: ReadonlyArray<readonly [string, number]> = [
    ["durationMillis", script.durationMillis ?? 0],
    ["delayMillis", script.delayMillis ?? 0],
    ["lost.atMillis", script.lost?.atMillis ?? 0],
    ...printed
  ]
  const wrong = times.find(([, millis]) => !(typeof millis === "number" && millis >= 0))
  return wrong === undefined
    ? undefined
    : `${wrong[0]} is ${shown(wrong[1])}: a number of milliseconds from 0 is wanted`
}

/** When the job ends by itself, and how. */
const ownEnd = (job: Job): { readonly at: number; readonly status: TerminalStatus } => {
  const { request, script, startsAt } = job
  const duration = script.durationMillis ?? 0
  const timeout = request.timeoutMillis ?? Infinity
  const lostAt = script.lost?.atMillis ?? Infinity
  if (script.lost !== undefined && lostAt < Math.min(duration, timeout)) {
    const { cause, reason } = script.lost
    const at = startsAt + lostAt
    return {
      at,
      status: { _tag: "Lost", reason, ...(cause === undefined ? {} : { cause, startedAt: startsAt, endedAt: at }) }
    }
  }
  const timedOut = timeout < duration
  const endedAt = startsAt + (timedOut ? timeout : duration)
  const signal = timedOut ? (script.ignoresTermination === true ? "SIGKILL" : "SIGTERM") : script.signal ?? null
  return {
    at: endedAt,
    status: {
      _tag: "Exited",
      exitCode: signal === null ? script.exitCode ?? 0 : null,
      signal,
      startedAt: startsAt,
      endedAt,
      ...(timedOut ? { timedOut } : {}),
      ...(script.outOfMemory === true && !timedOut ? { outOfMemory: true } : {}),
      ...(script.terminated === true && !timedOut ? { terminated: true } : {})
    }
  }
}

const endOf = (job: Job): number => Math.min(ownEnd(job).at, job.cancelledAt)

const statusAt = (job: Job, now: number): JobStatus => ({ ...stateAt(job, now), queuedAt: job.handle.launchedAt })

const stateAt = (job: Job, now: number): JobStatus => {
  const end = ownEnd(job)
  if (job.cancelledAt <= now && job.cancelledAt < end.at) {
    const startedAt = job.cancelledAt < job.startsAt ? null : job.startsAt
    return { _tag: "Cancelled", startedAt, endedAt: job.cancelledAt }
  }
  if (end.at <= now) return end.status
  return now < job.startsAt ? { _tag: "Pending" } : { _tag: "Running", startedAt: job.startsAt }
}

/** What the job prints before it ends, in order, with absolute times. */
const printedBy = (job: Job, stream: LogStream | "progress"): Array<Printed> => {
  const said = job.script[stream] ?? []
  const all = typeof said === "string" ? [{ atMillis: 0, text: said }] : said
  return all.map((one) => ({ atMillis: job.startsAt + one.atMillis, text: one.text }))
    .filter((one) => one.text !== "" && one.atMillis <= endOf(job))
    .sort((a, b) => a.atMillis - b.atMillis)
}

const sleepUntil = (at: number): Effect.Effect<void> =>
  at === Infinity ? Effect.never : Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sleep(Math.max(0, at - now)))

/** A simulation that several engines can share. Its jobs live as long as it does. */
export const make = (script: Script): Effect.Effect<Simulated> =>
  Effect.sync(() => {
    const jobs = new Map<string, Job>()
    const encoder = new TextEncoder()

    const jobOf = (id: string): Effect.Effect<Job, JobNotFound> =>
      Effect.suspend(() => {
        const job = jobs.get(id)
        return job === undefined
          ? Effect.fail(
            new JobNotFound({ id, message: `No job ${JSON.stringify(id)} was launched in this simulation.` })
          )
          : Effect.succeed(job)
      })

    const idOf = (key: string): string => `simulated:${key}`

    const launch = Effect.fnUntraced(function*(request: JobRequest) {
      const fail = failureOf(request)
      const problem = problemOf(request)
      if (problem !== undefined) return yield* fail("InvalidRequest", problem)
      const id = idOf(request.key)
      const now = yield* Clock.currentTimeMillis
      let job = jobs.get(id)
      if (job === undefined) {
        const does = script(request)
        const problem = problemOfScript(does)
        if (problem !== undefined) return yield* fail("InvalidRequest", `the script of the simulation: ${problem}`)
        job = {
          request,
          handle: { id, key: request.key, directory: id, argv: request.argv, host: "simulated", launchedAt: now },
          script: does,
          startsAt: now + (does.delayMillis ?? 0),
          cancelled: Deferred.makeUnsafe<void>(),
          cancelledAt: Infinity
        }
        jobs.set(id, job)
      }
      const refused = job.script.startError
      if (refused !== undefined) {
        return yield* fail("ProgramNotStarted", refused.message, { code: refused.code })
      }
      return job.handle
    })

    /** Waits for a time of the job's life, or for its cancel if that comes first. */
    const waitFor = (job: Job, at: number): Effect.Effect<void> =>
      job.cancelledAt === Infinity
        ? Effect.raceFirst(sleepUntil(at), Deferred.await(job.cancelled))
        : sleepUntil(Math.min(at, job.cancelledAt))

    const status = Effect.fnUntraced(function*(id: string) {
      const job = yield* jobOf(id)
      const refused = job.script.startError
      if (refused !== undefined) {
        const at = job.handle.launchedAt
        const exited: JobStatus = {
          _tag: "Exited",
          exitCode: null,
          signal: null,
          startedAt: at,
          endedAt: at,
          startError: refused.message,
          queuedAt: at
        }
        return exited
      }
      return statusAt(job, yield* Clock.currentTimeMillis)
    })

    const awaitEnd = Effect.fnUntraced(function*(id: string) {
      const job = yield* jobOf(id)
      while (true) {
        const now = yield* status(id)
        if (isTerminal(now)) return now
        yield* waitFor(job, endOf(job))
      }
    })

    const progress = Effect.fnUntraced(function*(id: string) {
      const job = yield* jobOf(id)
      const now = yield* Clock.currentTimeMillis
      const lastOf = (streams: ReadonlyArray<LogStream | "progress">): Printed | undefined =>
        streams.flatMap((stream) => printedBy(job, stream))
          .filter((one) => one.atMillis <= now)
          .sort((a, b) => a.atMillis - b.atMillis)
          .at(-1)
      const newest = lastOf(["stdout", "stderr", "metrics", "progress"])
      if (newest === undefined) return Option.none<JobProgress>()
      const { text } = lastOf(["progress"]) ?? newest
      const line = text.split("\n").map((one) => one.trim()).findLast((one) => one !== "") ?? ""
      return Option.some<JobProgress>({ line, at: newest.atMillis })
    })

    const logs: Execution["Service"]["logs"] = (id, { from, stream }) =>
      Stream.unwrap(Effect.map(jobOf(id), (job) =>
        Stream.paginate(
          Math.max(0, from ?? 0),
          Effect.fnUntraced(function*(offset: number) {
            while (true) {
              const now = yield* Clock.currentTimeMillis
              const printed = printedBy(job, stream)
              const bytes = encoder.encode(printed.filter((one) => one.atMillis <= now).map((one) => one.text).join(""))
              if (bytes.length > offset) {
                return [[bytes.slice(offset)], Option.some(bytes.length)] as const
              }
              const ended = isTerminal(yield* status(id))
              if (ended) return [[], Option.none<number>()] as const
              yield* waitFor(job, printed.find((one) => one.atMillis > now)?.atMillis ?? endOf(job))
            }
          })
        )))

    const usage = Effect.fnUntraced(function*(id: string) {
      return Option.fromUndefinedOr((yield* jobOf(id)).script.usage)
    })

    const cancel = Effect.fnUntraced(function*(id: string, options?: { readonly grace?: Duration.Input }) {
      const job = yield* jobOf(id)
      const grace = yield* graceOf(id, options?.grace, 5000)
      if (isTerminal(yield* status(id))) return
      const now = yield* Clock.currentTimeMillis
      job.cancelledAt = Math.min(job.cancelledAt, job.script.ignoresTermination === true ? now + grace : now)
      yield* Deferred.succeed(job.cancelled, undefined)
      yield* awaitEnd(id)
    })

    return {
      launches: Effect.sync(() => [...jobs.values()].map((job) => job.request)),
      running: Effect.map(Clock.currentTimeMillis, (now) =>
        [...jobs.values()].filter((job) => statusAt(job, now)._tag === "Running").map((job) => job.handle)),
      execution: {
        launch,
        find: (key) =>
          Effect.sync(() => Option.fromUndefinedOr(jobs.get(idOf(key))?.handle)),
        status,
        await: awaitEnd,
        progress,
        logs,
        usage,
        cancel
      }
    }
  })

/**
 * A simulation as a layer: `Execution` for the code under test, `Simulation` for the test.
 *
 * @example
 * ```ts
 * import { Execution } from "@espalier/platform/Execution"
 * import * as Simulated from "@espalier/platform/execution/Simulated"
 * import { Effect, Fiber } from "effect"
 * import { TestClock } from "effect/testing"
 * import assert from "node:assert"
 *
 * const hour = 3_600_000
 * const program = Effect.gen(function*() {
 *   const execution = yield* Execution
 *   const job = yield* execution.launch({ key: "long", argv: ["train"], directory: "/", environment: {} })
 *   const waiting = yield* Effect.forkChild(execution.await(job.id))
 *   yield* TestClock.adjust(hour)
 *   const status = yield* Fiber.join(waiting)
 *   assert.strictEqual(status._tag === "Exited" && status.endedAt - status.startedAt, hour)
 *   assert.strictEqual((yield* (yield* Simulated.Simulation).launches).length, 1)
 * })
 *
 * await Effect.runPromise(program.pipe(
 *   Effect.provide(Simulated.layer(() => ({ durationMillis: hour }))),
 *   Effect.provide(TestClock.layer())
 * ))
 * ```
 */
export const layer = (script: Script): Layer.Layer<Execution | Simulation> =>
  Layer.effectContext(
    Effect.map(make(script), (simulated) =>
      Context.make(Simulation, simulated).pipe(Context.add(Execution, simulated.execution)))
  )

/** Jobs that all end at once and well: where a test needs an `Execution`, but not what it does. */
export const layerMemory: Layer.Layer<Execution | Simulation> = layer(() => ({}))
