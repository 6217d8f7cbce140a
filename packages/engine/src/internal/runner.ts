/**
 * The thin shell around the pure state: one loop that takes commands, folds what they decide, makes it durable, and only
 * then acts on it.
 *
 * ```
 * inbox ──▶ execute each ──▶ schedule ──▶ journal.append (one commit for all) ──▶ act ──▶ answer
 * ```
 *
 * Everything that arrives while a commit is under way goes into the next one: that is the whole group commit. Nothing above
 * the durable watermark is acted on or shown, because acting, answering and queries come after the append
 * in the same turn, and no other turn runs meanwhile. When an append fails the state in memory is ahead of
 * the journal; it is dropped with the runner, whose every caller gets the `JournalError`.
 *
 * Fibers are forked with the context of the fiber that opened the run (its clock, its logger) and are owned
 * by this runner: `stop` ends them all.
 */
import { Cause, type Clock, type Context, Duration, Effect, Exit, Fiber, Queue, Result, Schema } from "effect"
import type { CurrentWork, Port, StopReason } from "../CurrentWork.ts"
import { type Journal, JournalError, type JournalWriter } from "../Journal.ts"
import type { Outcome } from "../Outcome.ts"
import type { Progress } from "../Progress.ts"
import * as RunEvent from "../RunEvent.ts"
import * as RunState from "../RunState.ts"
import * as RunStatus from "../RunStatus.ts"
import * as Attempt from "./attempt.ts"
import type { Command } from "./decide.ts"
import type { RunError } from "./errors.ts"
import { readEvents } from "./history.ts"
import { Waiters } from "./waiters.ts"

type Answer = Exit.Exit<ReadonlyArray<RunEvent.RunEvent>, RunError>

/** What the loop takes from its inbox. */
export type Message =
  | {
    readonly _tag: "Command"
    readonly command: Command
    readonly answer: ((answer: Answer) => void) | undefined
    /** Looks at the state right behind the command, before any other; what it sees is not durable yet. */
    readonly behind?: (state: RunState.RunState) => void
  }
  | { readonly _tag: "Query"; readonly answer: () => void }

interface Active {
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  timer: Fiber.Fiber<unknown, unknown> | undefined
  stopReason: StopReason | undefined
  step: string | undefined
  progress: Progress | undefined
}

/** Interrupts a handler or a clean-up, once, and says why. */
const stop = (active: Active, reason: StopReason): void => {
  if (active.stopReason !== undefined) return
  active.stopReason = reason
  active.fiber?.interruptUnsafe()
}

export class Runner {
  readonly runId: string
  readonly state: RunState.RunState
  /** The durable watermark: the number of the last event that is in the journal. */
  seq: number
  /** The run's state at the watermark; `state` is ahead of it while an append is under way. */
  published: RunState.RunState["name"]
  /** Grows with every change that a status could show. */
  version = 0
  failure: JournalError | undefined = undefined
  readonly backgroundErrors: Array<string> = []
  private readonly journal: Journal["Service"]
  private readonly writer: JournalWriter
  private readonly kinds: ReadonlyMap<string, Attempt.Registered>
  private readonly inbox: Queue.Queue<Message>
  private readonly clock: Clock.Clock
  private readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  private readonly failpoint: (name: string) => void
  private readonly active = new Map<string, Active>()
  private readonly settling = new Waiters<Outcome>()
  /** Who waits for a hold, by work and name: fibers of one handler may ask for the same hold. */
  private readonly granting = new Waiters<void>()
  private readonly listeners = new Set<() => void>()
  private timer: { readonly at: number; readonly fiber: Fiber.Fiber<unknown, unknown> } | undefined = undefined

  constructor(options: {
    readonly runId: string
    readonly state: RunState.RunState
    readonly journal: Journal["Service"]
    readonly writer: JournalWriter
    readonly seq: number
    readonly kinds: ReadonlyMap<string, Attempt.Registered>
    readonly inbox: Queue.Queue<Message>
    readonly clock: Clock.Clock
    readonly context: Context.Context<never>
    readonly failpoint: (name: string) => void
  }) {
    this.runId = options.runId
    this.state = options.state
    this.journal = options.journal
    this.writer = options.writer
    this.seq = options.seq
    this.published = options.state.name
    this.kinds = options.kinds
    this.inbox = options.inbox
    this.clock = options.clock
    this.fork = Effect.runForkWith(options.context)
    this.failpoint = options.failpoint
  }

  /** The loop. It ends only by interruption, or when the journal fails. */
  readonly loop: Effect.Effect<void> = Effect.suspend(() =>
    Effect.whileLoop({
      while: () => this.failure === undefined,
      body: () => Effect.flatMap(Queue.takeAll(this.inbox), (messages) => this.turn(messages)),
      step: () => undefined
    }).pipe(
      // A defect here is a fault of the engine. Nobody may be left waiting for a loop that has ended.
      Effect.catchCause((cause) =>
        Cause.hasInterrupts(cause) ? Effect.interrupt : Effect.sync(() => this.fail(cause, []))
      )
    )
  )

  /** Takes up what an earlier process left in the middle of its clean-up. */
  recover(): void {
    for (const entry of this.state.begun) if (entry.status === "cleaning") this.startCleaning(entry.spec.id)
  }

  private turn(messages: ReadonlyArray<Message>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const now = this.now()
      const events: Array<RunEvent.RunEvent> = []
      const answers: Array<() => void> = []
      for (const message of messages) {
        if (message._tag === "Query") {
          answers.push(message.answer)
          continue
        }
        const result = RunState.execute(this.state, message.command, now)
        if (Result.isSuccess(result)) {
          for (const event of result.success) events.push(event)
          message.behind?.(this.state)
        }
        const { answer } = message
        if (answer !== undefined) {
          answers.push(() =>
            answer(Result.isSuccess(result) ? Exit.succeed(result.success) : Exit.fail(result.failure))
          )
        }
      }
      for (const event of RunState.schedule(this.state, now)) events.push(event)
      const finish = (): void => {
        this.published = this.state.name
        for (const event of events) this.act(event)
        for (const answer of answers) answer()
        if (events.length > 0) this.changed()
        this.armTimer()
      }
      if (events.length === 0) return Effect.sync(finish)
      this.failpoint("append.before")
      return Effect.matchCauseEffect(this.writer.append(events.map(RunEvent.encode)), {
        onSuccess: (seq) =>
          Effect.sync(() => {
            this.seq = seq
            this.failpoint("append.after")
            finish()
          }),
        onFailure: (cause) =>
          Effect.sync(() => {
            this.fail(cause, messages)
          })
      })
    })
  }

  private now(): number {
    return Math.max(this.clock.currentTimeMillisUnsafe(), this.state.lastAt)
  }

  /** Carries a durable event out. */
  private act(event: RunEvent.RunEvent): void {
    switch (event._tag) {
      case "WorkStarted":
        return this.startHandler(event.id)
      case "SlotsGranted":
        return this.granting.wake(`${event.id}\n${event.hold}`, Exit.void)
      case "WorkCancelling":
        return this.interrupt(event.id, "cancel")
      case "WorkCleaning":
        return this.startCleaning(event.id)
      case "RunCancelling":
        // Clean-ups that a suspend had stopped.
        return this.recover()
      case "RunSuspending":
        for (const id of this.active.keys()) this.interrupt(id, "suspend")
        return
      case "WorkSucceeded":
        return this.settled(event.id, { _tag: "Succeeded", result: event.result })
      case "WorkFailed":
        return this.settled(event.id, { _tag: "Failed", failure: event.failure })
      case "WorkCancelled":
        return this.settled(event.id, { _tag: "Cancelled", reason: event.reason, actor: event.actor })
      default:
        return
    }
  }

  private startHandler(id: string): void {
    const entry = this.state.works.get(id)!
    const registered = this.kinds.get(entry.spec.kind)!
    const active: Active = {
      fiber: undefined,
      timer: undefined,
      stopReason: undefined,
      step: undefined,
      progress: undefined
    }
    this.active.set(id, active)
    const work = this.workOf(entry, active)
    active.fiber = this.fork(
      Attempt.run(
        { entry, registered, work, port: work.port, stopReason: () => active.stopReason },
        (command) => Effect.sync(() => this.ended(id, active, command))
      )
    )
    // A handler that needed to wait for nothing has ended by now.
    if (registered.timeoutMillis !== undefined && this.active.get(id) === active) {
      const left = Math.max(0, registered.timeoutMillis - entry.live!.livedMillis)
      active.timer = this.fork(
        Effect.andThen(Effect.sleep(Duration.millis(left)), Effect.sync(() => stop(active, "timeout")))
      )
    }
  }

  private ended(id: string, active: Active, command: Command): void {
    if (this.active.get(id) === active) this.active.delete(id)
    active.timer?.interruptUnsafe()
    this.post({ _tag: "Command", command, answer: undefined })
    this.changed()
  }

  /** `onCancel` of a work, again and again until it succeeds. A kind that this process lacks waits for one that has it. */
  private startCleaning(id: string): void {
    const entry = this.state.works.get(id)!
    const registered = this.kinds.get(entry.spec.kind)
    const onCancel = registered?.handler.onCancel
    if (registered === undefined || onCancel === undefined || this.active.has(`cleaning ${id}`)) return
    const active: Active = {
      fiber: undefined,
      timer: undefined,
      stopReason: undefined,
      step: "onCancel",
      progress: undefined
    }
    this.active.set(`cleaning ${id}`, active)
    const live = entry.live!
    const steps = new Map(live.steps)
    const work = this.workOf(entry, active)
    const once = Effect.flatMap(
      Schema.decodeUnknownEffect(Schema.toCodecJson(registered.kind.payload))(entry.spec.payload),
      (payload) =>
        onCancel(payload as never, {
          ...live.cancel!,
          recorded: (step, schema) => {
            const recorded = steps.get(step)
            return recorded === undefined
              ? undefined
              : Schema.decodeUnknownSync(Schema.toCodecJson(schema))(recorded.result)
          }
        })
    ).pipe(Effect.scoped, Attempt.provideWork(work))
    const attempt = (delayMillis: number): Effect.Effect<void> =>
      Effect.matchCauseEffect(once, {
        onSuccess: () =>
          Effect.sync(() => this.post({ _tag: "Command", command: { _tag: "Cleaned", id }, answer: undefined })),
        onFailure: (cause) => {
          if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
          this.background(`onCancel of "${id}" failed and is tried again in ${delayMillis} ms: ${Cause.pretty(cause)}`)
          return Effect.andThen(
            Effect.sleep(delayMillis),
            Effect.suspend(() => attempt(Math.min(delayMillis * 2, 60_000)))
          )
        }
      })
    active.fiber = this.fork(
      Effect.ensuring(attempt(1_000), Effect.sync(() => this.active.delete(`cleaning ${id}`)))
    )
  }

  private background(message: string): void {
    this.backgroundErrors.push(message)
    if (this.backgroundErrors.length > 20) this.backgroundErrors.shift()
    this.changed()
  }

  private workOf(entry: RunState.WorkEntry, active: Active): CurrentWork["Service"] {
    const { spec } = entry
    const live = entry.live!
    const attempt = live.attempt
    const port: Port = {
      session: this,
      steps: new Map(Array.from(live.steps, ([name, step]) => [name, step.result])),
      used: new Set(),
      children: [],
      tell: (command) => Effect.asVoid(this.send(command)),
      acquire: (request) => this.acquire(spec.id, attempt, request),
      report: (progress) => {
        active.progress = progress
        this.changed()
      },
      enter: (step) => {
        active.step = step
        this.changed()
      }
    }
    return {
      runId: this.runId,
      spec,
      attempt,
      stopReason: Effect.sync(() => active.stopReason),
      idempotencyKey: (name) => `${this.runId}/${spec.id}/0/${name}`,
      history: (after) => Effect.suspend(() => this.history(after)),
      port
    }
  }

  /** The run's durable events after `after`. */
  history(after: number): Effect.Effect<ReadonlyArray<RunEvent.Sequenced>, RunError> {
    return readEvents(this.journal, this.runId, after, this.seq)
  }

  private acquire(
    id: string,
    attempt: number,
    request: Parameters<Port["acquire"]>[0]
  ): Effect.Effect<void, RunError> {
    const key = `${id}\n${request.hold}`
    return Effect.callback<void, RunError>((resume) => {
      const leave = this.granting.add(key, resume)
      this.post({
        _tag: "Command",
        command: { _tag: "RequestSlots", id, attempt, ...request },
        answer: (answer) => {
          if (Exit.isSuccess(answer) && answer.value.some((event) => event._tag === "SlotsRequested")) return
          leave()
          resume(Exit.asVoid(answer))
        }
      })
      return Effect.sync(leave)
    })
  }

  private interrupt(id: string, reason: StopReason): void {
    const active = this.active.get(id)
    if (active !== undefined) stop(active, reason)
  }

  private settled(id: string, outcome: Outcome): void {
    this.settling.wake(id, Exit.succeed(outcome))
  }

  private changed(): void {
    this.version += 1
    for (const listener of Array.from(this.listeners)) listener()
  }

  private armTimer(): void {
    const at = RunState.nextWake(this.state)
    if (at === this.timer?.at) return
    this.timer?.fiber.interruptUnsafe()
    this.timer = at === undefined ? undefined : {
      at,
      fiber: this.fork(
        Effect.andThen(
          Effect.sleep(Duration.millis(Math.max(0, at - this.clock.currentTimeMillisUnsafe()))),
          Effect.sync(() => {
            this.timer = undefined
            this.post({ _tag: "Command", command: { _tag: "Tick" }, answer: undefined })
          })
        )
      )
    }
  }

  /** The run is over in this process: whoever waits, or asked in vain, is told why. */
  private fail(cause: Cause.Cause<JournalError>, asked: ReadonlyArray<Message>): void {
    const error = cause.reasons.find(Cause.isFailReason)?.error
    this.failure = error ?? new JournalError({
      operation: "append",
      runId: this.runId,
      cause: Cause.squash(cause),
      message: `the journal failed: ${Cause.pretty(cause)}`
    })
    for (const id of this.active.keys()) this.interrupt(id, "journal")
    this.settling.wakeAll(Exit.fail(this.failure))
    this.granting.wakeAll(Exit.fail(this.failure))
    for (const message of asked) this.post(message)
    // Also what came while the append was under way: no turn will take it.
    for (let next = Queue.takeUnsafe(this.inbox); next !== undefined; next = Queue.takeUnsafe(this.inbox)) {
      if (Exit.isFailure(next)) break
      this.post(next.value)
    }
    this.changed()
  }

  private post(message: Message): void {
    if (this.failure === undefined) Queue.offerUnsafe(this.inbox, message)
    else if (message._tag === "Query") message.answer()
    else message.answer?.(Exit.fail(this.failure))
  }

  /** Gives a command to the run and returns its events when they are durable. */
  send(
    command: Command,
    behind?: (state: RunState.RunState) => void
  ): Effect.Effect<ReadonlyArray<RunEvent.RunEvent>, RunError> {
    return Effect.callback((resume) =>
      this.post({ _tag: "Command", command, answer: resume, ...(behind === undefined ? {} : { behind }) })
    )
  }

  /** Looks at the state when all of it is durable. */
  query<A>(look: (state: RunState.RunState) => A): Effect.Effect<A, JournalError> {
    return Effect.callback((resume) =>
      this.post({
        _tag: "Query",
        answer: () => resume(this.failure === undefined ? Exit.succeed(look(this.state)) : Exit.fail(this.failure))
      })
    )
  }

  readonly status: Effect.Effect<RunStatus.RunStatus, JournalError> = Effect.suspend(() =>
    this.query((state) =>
      RunStatus.make(
        this.runId,
        state,
        this.seq,
        this.now(),
        (id) => this.active.get(id) ?? this.active.get(`cleaning ${id}`),
        this.backgroundErrors
      )
    )
  )

  /** Waits until `isReached` holds; looked at after every change. */
  until(isReached: () => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const look = (): void => {
        if (!isReached()) return
        this.listeners.delete(look)
        resume(Effect.void)
      }
      this.listeners.add(look)
      look()
      return Effect.sync(() => this.listeners.delete(look))
    })
  }

  /** The outcome of a work that is in the run, now or when it settles. */
  outcome(id: string): Effect.Effect<Outcome, RunError> {
    return Effect.callback((resume) => {
      let leave = (): void => undefined
      this.post({
        _tag: "Query",
        answer: () => {
          if (this.failure !== undefined) return resume(Exit.fail(this.failure))
          const entry = this.state.works.get(id)
          if (entry?.outcome !== undefined) return resume(Exit.succeed(entry.outcome))
          leave = this.settling.add(id, resume)
        }
      })
      return Effect.sync(() => leave())
    })
  }

  /** Suspends what is running and ends every fiber of the run. */
  readonly stop: Effect.Effect<void> = Effect.suspend(() =>
    Effect.gen({ self: this }, function*() {
      yield* Effect.ignore(this.send({ _tag: "Suspend", reason: "the run was closed", actor: "engine" }))
      for (const [id, active] of this.active) {
        if (active.stopReason === undefined) this.interrupt(id, "suspend")
      }
      yield* this.until(() => Array.from(this.active.keys()).every((id) => id.startsWith("cleaning ")))
      yield* Fiber.interruptAll(
        [...this.active.values(), ...(this.timer === undefined ? [] : [this.timer])].flatMap((each) =>
          each.fiber === undefined ? [] : [each.fiber]
        )
      )
      yield* Effect.ignore(this.query(() => undefined))
      // Whoever still has the handle is told, instead of waiting for a loop that has ended.
      this.failure ??= new JournalError({
        operation: "append",
        runId: this.runId,
        message: `run "${this.runId}" was closed with its scope: open it again`
      })
      this.changed()
    })
  )
}
