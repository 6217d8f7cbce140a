/**
 * One try at a work: from a payload in JSON to the message that tells how it ended.
 *
 * An attempt is one object and one fiber, because a run may make a hundred thousand of them a second: it is the `CurrentWork` of
 * its handler and the port behind it. Timers are made only for kinds that ask for them.
 */
import { Cause, Context, Duration, Effect, Exit, type Fiber, Option, Scope } from "effect"
import { CurrentWork, type Ended, type Message, type Port, type StopReason } from "../CurrentWork.ts"
import type { WorkFailure } from "../Outcome.ts"
import type { Progress } from "../Progress.ts"
import { WorkerDied, WorkerUnusable } from "../WorkerPoolError.ts"
import { AttemptStalled, AttemptTimedOut } from "../WorkKind.ts"
import type { ChildSpec, WorkSpec } from "../WorkSpec.ts"
import { copyJson, messageOf } from "./codec.ts"
import type { AttemptEnd, Command } from "./command.ts"
import { defect, defects, longestText } from "./defects.ts"
import type { RunError } from "./errors.ts"
import type { PastFailure, RecordedStep, WorkEntry } from "./model.ts"
import { tooLong } from "./record.ts"
import { retryAt } from "./retrying.ts"
import type { Registered } from "./registered.ts"
import { longestSleepMillis } from "./wakeTimer.ts"

/** What an attempt needs of the run that it belongs to. */
export interface Host {
  readonly runId: string
  readonly fork: <A, E>(effect: Effect.Effect<A, E>, context?: Context.Context<never>) => Fiber.Fiber<A, E>
  readonly now: () => number
  readonly post: (command: Command) => void
  readonly send: (command: Command) => Effect.Effect<unknown, RunError>
  readonly acquire: (
    id: string,
    start: number,
    request: Parameters<Port["acquire"]>[0]
  ) => Effect.Effect<void, RunError>
  readonly outcome: (id: string) => Effect.Effect<Ended, RunError>
  readonly history: CurrentWork["Service"]["history"]
  readonly ended: (attempt: Attempt) => void
  readonly gaveUp: (attempt: Attempt) => void
  readonly isPausing: (id: string) => boolean
  readonly changed: () => void
}

const noSteps: ReadonlyMap<string, unknown> = new Map()

export const resultsOf = (steps: ReadonlyMap<string, RecordedStep> | undefined): ReadonlyMap<string, unknown> =>
  steps === undefined ? noSteps : new Map(Array.from(steps, ([name, step]) => [name, step.result]))

export const idempotencyKey = (runId: string, id: string, generation: number, name: string): string =>
  `${runId}/${id}/${generation}/${name}`

export class Attempt implements Port {
  readonly spec: WorkSpec
  readonly attempt: number
  readonly generation: number
  readonly start: number
  readonly steps: ReadonlyMap<string, unknown>
  readonly session: object
  readonly startedAt: number
  readonly livedMillis: number
  step: string | undefined = undefined
  progress: Progress | undefined = undefined
  reason: StopReason | undefined = undefined
  /** It was given up: its end is not waited for, and nothing that it says is recorded. */
  isStuck = false
  private isGivenUp = false
  /** A fiber that it left behind says nothing for it. */
  private hasEnded = false
  /** Of a work that was retried by name it counts no more. */
  private readonly deadline: number | undefined
  private readonly host: Host
  private readonly entry: WorkEntry
  readonly registered: Registered
  private readonly past: ReadonlyArray<PastFailure>
  private fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  private timer: Fiber.Fiber<unknown, unknown> | undefined = undefined
  private lastSign: number
  /** Claims that are waited for: there is nothing that it could do to get them sooner, so it does not stall. */
  private asking = 0
  private names: Set<string> | undefined = undefined
  private spawned: Array<ChildSpec> | undefined = undefined

  constructor(host: Host, registered: Registered, entry: WorkEntry) {
    const live = entry.live!
    this.host = host
    this.entry = entry
    this.session = host
    this.registered = registered
    this.spec = entry.spec
    this.attempt = live.attempt
    this.generation = live.generation
    this.start = live.starts
    this.startedAt = live.startedAt
    this.livedMillis = live.livedMillis
    this.lastSign = live.startedAt
    this.deadline = entry.wait?.isReleased === true ? undefined : entry.spec.deadline
    this.steps = resultsOf(live.steps)
    this.past = live.failures === undefined ? [] : live.failures.slice(live.forgiven)
  }

  get isOver(): boolean {
    return this.fiber !== undefined && this.fiber.pollUnsafe() !== undefined
  }

  // -- CurrentWork

  get runId(): string {
    return this.host.runId
  }

  get stopReason(): Effect.Effect<StopReason | undefined> {
    return Effect.sync(() => this.reason)
  }

  get port(): Port {
    return this
  }

  // Functions, made when they are asked for: a handler may take them out of the service.

  get idempotencyKey(): (name: string) => string {
    return (name) => idempotencyKey(this.host.runId, this.spec.id, this.generation, name)
  }

  get history(): CurrentWork["Service"]["history"] {
    return (after) => this.host.history(after)
  }

  // -- Port

  get used(): Set<string> {
    return (this.names ??= new Set())
  }

  get children(): Array<ChildSpec> {
    return (this.spawned ??= [])
  }

  tell(message: Message): Effect.Effect<void, RunError> {
    this.lastSign = this.host.now()
    return this.host.send(message) as Effect.Effect<void, RunError>
  }

  acquire(request: Parameters<Port["acquire"]>[0]): Effect.Effect<void, RunError> {
    return Effect.suspend(() => {
      this.asking += 1
      return Effect.ensuring(
        this.host.acquire(this.spec.id, this.start, request),
        Effect.sync(() => {
          this.asking -= 1
          this.lastSign = this.host.now()
        })
      )
    })
  }

  report(progress: Progress | undefined): void {
    this.lastSign = this.host.now()
    if (progress === undefined) return
    this.progress = progress
    this.host.changed()
  }

  enter(step: string | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (step !== undefined && (this.isStuck || this.hasEnded)) {
        const why = this.isStuck ? "was given up" : "has ended"
        return Effect.die(new Error(`this handler of "${this.spec.id}" ${why}: it starts no step any more`))
      }
      this.step = step
      this.lastSign = this.host.now()
      this.host.changed()
      // After a cancel no step begins, also where the handler cannot be interrupted.
      if (step !== undefined && this.reason === "cancel") return Effect.interruptible(Effect.never)
      if (!this.host.isPausing(this.spec.id)) return Effect.void
      this.stop("pause")
      return Effect.interruptible(Effect.never)
    })
  }

  outcome(id: string): Effect.Effect<Ended, RunError> {
    return this.host.outcome(id)
  }

  // -- The life of it

  /** `base` holds the services of the handler and of whoever opened the run. */
  begin(
    base: Context.Context<never>,
    wrap: ((handler: Effect.Effect<unknown, unknown>) => Effect.Effect<unknown, unknown>) | undefined
  ): void {
    // It was stopped between its start and its beginning.
    if (this.reason !== undefined) return this.stopped((end) => this.end(end))
    const decoded = this.registered.payload.decode(copyJson(this.spec.payload))
    if (Exit.isFailure(decoded)) {
      const what = `its payload does not fit the kind "${this.spec.kind}": ${messageOf(decoded)}`
      return this.end({ _tag: "Block", id: this.spec.id, start: this.start, what })
    }
    const scope = Scope.makeUnsafe()
    const context = Context.add(Context.add(base, CurrentWork, this as never), Scope.Scope, scope)
    let handler: Effect.Effect<unknown, unknown>
    try {
      // The context that the fiber gets holds what it requires.
      // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
      handler = this.registered.handler.run(decoded.value as never) as Effect.Effect<unknown, unknown>
      if (wrap !== undefined) handler = wrap(handler)
    } catch (error) {
      // The function itself threw, before it made an effect.
      handler = Effect.die(error)
    }
    const fiber = this.host.fork(handler, context)
    this.fiber = fiber
    this.armTimer()
    fiber.addObserver((exit) => {
      if (scope.state._tag === "Empty") return this.exited(exit)
      // Uninterruptible to the last: an interruption that came through after the handler's end would lose the report.
      this.fiber = this.host.fork(
        Effect.uninterruptible(
          Effect.flatMap(
            Effect.exit(Scope.close(scope, exit)),
            (closed) => Effect.sync(() => this.exited(Exit.isFailure(closed) && Exit.isSuccess(exit) ? closed : exit))
          )
        ),
        context
      )
    })
  }

  /** Interrupts the handler, once, and says why. */
  stop(reason: StopReason): void {
    if (this.reason !== undefined) return
    this.reason = reason
    this.timer?.interruptUnsafe()
    const { graceMillis } = this.registered
    if (this.fiber === undefined || this.isOver) return
    // The timer first: an interruption is carried out at once.
    if (Number.isFinite(graceMillis)) {
      this.timer = this.host.fork(
        Effect.andThen(Effect.sleep(Duration.millis(graceMillis)), Effect.sync(() => this.giveUp()))
      )
    }
    this.fiber.interruptUnsafe()
  }

  private armTimer(): void {
    const { stallMillis, timeoutMillis } = this.registered
    const { deadline } = this
    if ((timeoutMillis === undefined && stallMillis === undefined && deadline === undefined) || this.isOver) return
    const timeoutAt = timeoutMillis === undefined ? Infinity : this.startedAt + timeoutMillis - this.livedMillis
    const check: Effect.Effect<void> = Effect.suspend(() => {
      const now = this.host.now()
      if (this.asking > 0) this.lastSign = now
      const stallAt = stallMillis === undefined ? Infinity : this.lastSign + stallMillis
      if (now >= timeoutAt) return Effect.sync(() => this.stop("timeout"))
      if (now >= (deadline ?? Infinity)) return Effect.sync(() => this.stop("deadline"))
      if (now >= stallAt) return Effect.sync(() => this.stop("stall"))
      const next = Math.min(timeoutAt, deadline ?? Infinity, stallAt)
      return Effect.andThen(Effect.sleep(Duration.millis(Math.min(next - now, longestSleepMillis))), check)
    })
    const timer = this.host.fork(check)
    // It may have run out already: then the timer is the grace's, which must not be lost from sight.
    if (this.reason === undefined) this.timer = timer
  }

  /** It did not end within its grace: the work goes on without it. */
  private giveUp(): void {
    if (this.isOver) return
    this.isStuck = true
    const { id } = this.spec
    this.stopped((end) => {
      this.host.post({ _tag: "Stuck", id, start: this.start, keepsSlots: this.registered.keepsSlots, end })
      this.host.gaveUp(this)
      this.isGivenUp = true
      if (this.isOver) this.unstuck()
    })
  }

  private unstuck(): void {
    this.over({ _tag: "Unstuck", id: this.spec.id, start: this.start })
  }

  private exited(exit: Exit.Exit<unknown, unknown>): void {
    this.timer?.interruptUnsafe()
    try {
      this.conclude(exit)
    } catch (error) {
      // A user's own value or codec threw while it was being recorded: that too is a failure of this work alone.
      this.fail(defect(error))
    }
  }

  private conclude(exit: Exit.Exit<unknown, unknown>): void {
    if (this.isStuck) return this.isGivenUp ? this.unstuck() : undefined
    if (Exit.isFailure(exit)) return this.failed(exit.cause)
    const { entry, spec: { id } } = this
    const encoded = this.encode("the result", () => this.registered.success.encode(exit.value))
    if (encoded._tag === "Defect") return this.fail(encoded)
    const children = this.spawned ?? noChildren
    this.end({ _tag: "Succeed", id, start: this.start, result: encoded.json, children, entry })
  }

  private failed(cause: Cause.Cause<unknown>): void {
    if (this.reason !== undefined && Cause.hasInterrupts(cause)) return this.stopped((end) => this.end(end))
    const error = Cause.findErrorOption(cause)
    const died = cause.reasons.filter(Cause.isDieReason)
    const worker = died[0]?.defect
    if (worker instanceof WorkerUnusable) {
      return this.end({ _tag: "Block", id: this.spec.id, start: this.start, what: worker.message })
    }
    if (worker instanceof WorkerDied) {
      const { exitCode, message, reason, signal } = worker
      const failure: WorkFailure = {
        _tag: "WorkerDied",
        reason,
        message: message.slice(0, longestText),
        ...(exitCode === undefined ? {} : { exitCode }),
        ...(signal === undefined ? {} : { signal })
      }
      return this.fail(failure, Option.some(worker))
    }
    // A defect beside a typed error (in a finalizer, say) would be hidden by it.
    if (Option.isSome(error) && died.length === 0) {
      const encoded = this.encode("the error", () => this.registered.error.encode(error.value))
      return this.fail(
        encoded._tag === "Defect" ? encoded : { _tag: "Error", error: encoded.json as never },
        Option.some(error.value)
      )
    }
    this.fail(
      died.length === 0
        ? { _tag: "Defect", message: "the handler interrupted itself" }
        : defects(died.map((each) => each.defect))
    )
  }

  /** The end of a handler that was told to stop. */
  private stopped(end: (end: AttemptEnd) => void): void {
    const { deadline, reason, registered: { stallMillis, timeoutMillis }, spec: { id }, start } = this
    switch (reason) {
      case "timeout":
        return this.fail(
          { _tag: "TimedOut", afterMillis: timeoutMillis! },
          Option.some(new AttemptTimedOut({ afterMillis: timeoutMillis! })),
          end
        )
      case "stall":
        return this.fail(
          { _tag: "Stalled", afterMillis: stallMillis! },
          Option.some(new AttemptStalled({ afterMillis: stallMillis! })),
          end
        )
      case "deadline":
        return this.fail({ _tag: "Expired", deadline: deadline! }, Option.none(), end)
      default:
        return end({ _tag: "Interrupted", id, start, livedMillis: Math.max(0, this.host.now() - this.startedAt) })
    }
  }

  /** A user's own codec may throw, and a value may be too large: that is a failure of this work alone. */
  private encode(
    what: string,
    encode: () => Exit.Exit<unknown, unknown>
  ): { readonly _tag: "Json"; readonly json: unknown } | Extract<WorkFailure, { readonly _tag: "Defect" }> {
    try {
      const exit = encode()
      if (Exit.isFailure(exit)) {
        return { _tag: "Defect", message: `${what} does not fit its schema: ${messageOf(exit as never)}` }
      }
      const long = tooLong("result", what, this.spec.id, exit.value)
      return long === undefined ? { _tag: "Json", json: exit.value } : { _tag: "Defect", message: long.message }
    } catch (error) {
      return defect(error)
    }
  }

  /** `error` is what the retry policy sees; none for what is never retried. */
  private fail(
    failure: WorkFailure,
    error: Option.Option<unknown> = Option.none(),
    end: (end: AttemptEnd) => void = (each) => this.end(each)
  ): void {
    const { id } = this.spec
    const failed = { _tag: "Fail", id, start: this.start, failure, children: this.spawned ?? noChildren } as const
    const { policies } = this.registered.kind
    if (policies.retry === undefined || Option.isNone(error) || failure._tag === "Defect") {
      return end({ ...failed, retryAt: undefined })
    }
    const fiber = this.host.fork(retryAt(this.registered, this.past, failure, error.value, this.host.now()))
    fiber.addObserver((exit) => {
      if (Exit.isFailure(exit)) {
        return end({ ...failed, failure: defect(Cause.squash(exit.cause)), retryAt: undefined })
      }
      const { at, from } = exit.value
      end({ ...failed, retryAt: at, ...(from === undefined ? {} : { from }) })
    })
  }

  private end(end: AttemptEnd): void {
    this.over(end)
  }

  private over(command: Command): void {
    this.hasEnded = true
    this.host.ended(this)
    this.host.post(command)
  }
}

const noChildren: ReadonlyArray<ChildSpec> = []
