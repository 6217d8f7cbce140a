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
import { Cause, type Clock, type Context, Effect, Exit, Fiber, Option } from "effect"
import type { Ended, Port } from "../CurrentWork.ts"
import { type Journal, JournalError, type JournalWriter } from "../Journal.ts"
import type { Outcome } from "../Outcome.ts"
import type { RunQuarantined } from "../RunError.ts"
import * as RunEvent from "../RunEvent.ts"
import type * as RunState from "../RunState.ts"
import type * as RunStatus from "../RunStatus.ts"
import type { Host } from "./attempt.ts"
import { Activities } from "./activities.ts"
import { type Command, WorkNotFound } from "./command.ts"
import { Compaction } from "./compaction.ts"
import { closedRun, only, type RunError } from "./errors.ts"
import { executeInto, scheduleInto } from "./execute.ts"
import { readEvents } from "./history.ts"
import { type Answer, Message } from "./message.ts"
import { Meter } from "./meter.ts"
import { Inbox, type Item } from "./inbox.ts"
import type { Registered } from "./registered.ts"
import { outcomeExpired } from "./outcomes.ts"
import { nextWake } from "./ready.ts"
import { Room } from "./room.ts"
import { makeStatus, statusOfWork } from "./status.ts"
import { setViews, type Views } from "./views.ts"
import { Waiters } from "./waiters.ts"
import { WakeTimer } from "./wakeTimer.ts"
import { Watching } from "./watching.ts"

export interface RunnerOptions {
  readonly runId: string
  readonly state: RunState.RunState
  readonly journal: Journal["Service"]
  readonly writer: JournalWriter
  readonly seq: number
  readonly snapshotSeq: number
  readonly horizon: number
  readonly views: Views
  readonly kinds: ReadonlyMap<string, Registered>
  readonly clock: Clock.Clock
  readonly context: Context.Context<never>
  readonly failpoint: (name: string) => void
  /** How many unsettled works `add` may bring the run to; those that are spawned do not count against it. */
  readonly capacity: number
}

/** How long turns may follow on each other before the host's event loop gets a turn. */
const yieldAfterMillis = 4

/**
 * More starts than this in a turn are not begun all at once: the others begin while the journal writes what the first have
 * said. Else the journal would wait for the handlers, and they for the journal.
 */
const fewStarts = 64

export class Runner implements Host {
  readonly runId: string
  readonly state: RunState.RunState
  /** The durable watermark: the number of the last event that is in the journal. */
  seq: number
  /** The run's state at the watermark; `state` is ahead of it while an append is under way. */
  published: RunState.RunState["name"]
  failure: JournalError | undefined = undefined
  /** Its scope has closed: `failure` says no more than that. */
  isClosed = false
  readonly backgroundErrors: Array<string> = []
  readonly room: Room
  readonly watching = new Watching()
  readonly views: Views
  private readonly journal: Journal["Service"]
  private readonly writer: JournalWriter
  private readonly clock: Clock.Clock
  private readonly context: Context.Context<never>
  private readonly failpoint: (name: string) => void
  private readonly activities: Activities
  private readonly compaction: Compaction
  private readonly meter: Meter
  private readonly settling = new Waiters<Outcome>()
  /** Who waits for a hold, by work and name: fibers of one handler may ask for the same hold. */
  private readonly granting = new Waiters<void>()
  private readonly inbox = new Inbox()
  /** What the turn at hand has taken from the inbox. */
  private taken: ReadonlyArray<Item> = []
  private yieldedAt = 0
  /** The turn at hand has begun to cancel the run. */
  private isCancelling = false
  /** The status when the scope closed. */
  last: RunStatus.RunStatus | undefined = undefined
  private readonly timer: WakeTimer

  constructor(options: RunnerOptions) {
    this.runId = options.runId
    this.state = options.state
    this.journal = options.journal
    this.writer = options.writer
    this.seq = options.seq
    this.published = options.state.name
    this.clock = options.clock
    this.context = options.context
    this.failpoint = options.failpoint
    this.room = new Room(options.runId, options.state, options.capacity)
    this.activities = new Activities(
      this,
      options.state,
      options.kinds,
      options.context,
      (message) => this.background(message)
    )
    this.compaction = new Compaction(options)
    this.meter = new Meter(options.runId, options.context)
    this.views = options.views
    setViews(this, options.views)
    this.timer = new WakeTimer(options.clock, (effect) => this.fork(effect), () => this.post({ _tag: "Tick" }))
  }

  readonly fork = <A, E>(effect: Effect.Effect<A, E>, context = this.context): Fiber.Fiber<A, E> =>
    Effect.runForkWith(context)(effect)

  /** The loop. It ends only by interruption, or when the journal fails. */
  readonly loop: Effect.Effect<void> = Effect.suspend(() =>
    Effect.whileLoop({
      while: () => this.failure === undefined,
      body: () => {
        // The run's own clock: under a test clock no time passes, and nothing depends on how fast the machine is.
        const now = this.clock.currentTimeMillisUnsafe()
        if (this.inbox.isEmpty) {
          if (this.activities.areWaiting) return this.beginRest
          return Effect.flatMap(this.inbox.arrival, () => {
            this.yieldedAt = this.clock.currentTimeMillisUnsafe()
            return this.turn()
          })
        }
        // Handlers are resumed within a turn and may compute: the host is let in now and then.
        if (now - this.yieldedAt < yieldAfterMillis) return this.turn()
        this.yieldedAt = now
        return Effect.flatMap(Effect.yieldNow, () => this.turn())
      },
      step: () => undefined
    }).pipe(
      // A defect here is a fault of the engine. Nobody may be left waiting for a loop that has ended.
      Effect.catchCause((cause) => Cause.hasInterrupts(cause) ? Effect.interrupt : Effect.sync(() => this.fail(cause)))
    )
  )

  /** Takes up what an earlier process left in the middle of its clean-up. */
  recover(): void {
    this.activities.recover()
  }

  private turn(): Effect.Effect<void> {
    const messages = this.inbox.take()
    this.taken = messages
    const now = this.now()
    const events: Array<RunEvent.RunEvent> = []
    const answers: Array<() => void> = []
    for (const message of this.room.admitted()) this.execute(message, now, events, answers)
    for (const message of messages) {
      if (!(message instanceof Message)) executeInto(this.state, message, now, events)
      else if (this.room.isFullFor(message)) {
        if (message.whenFull === "wait") this.room.wait(message)
        else answers.push(() => message.answer!(Exit.fail(this.room.refusal())))
      } else this.execute(message, now, events, answers)
    }
    const started: Array<RunState.WorkEntry> = []
    scheduleInto(this.state, now, events, started)
    if (events.length === 0) {
      return Effect.sync(() => {
        this.activities.beginWaiting()
        this.finish(events, started, answers)
      })
    }
    this.failpoint("append.before")
    return Effect.matchCauseEffect(this.append(events), {
      onSuccess: (seq) =>
        Effect.sync(() => {
          this.seq = seq
          this.failpoint("append.after")
          this.finish(events, started, answers)
        }),
      onFailure: (cause) => Effect.sync(() => this.fail(cause))
    })
  }

  /** While the journal makes these durable, handlers begin whose starts are. */
  private append(events: ReadonlyArray<RunEvent.RunEvent>): Effect.Effect<number, JournalError> {
    const append = this.writer.append(events as never, RunEvent.version)
    return this.activities.areWaiting
      ? Effect.flatMap(Effect.forkChild(append, { startImmediately: true }), (fiber) => {
        this.activities.beginWaiting()
        return Fiber.join(fiber)
      })
      : append
  }

  /** Those who have begun come to their ends first, if they do so soon; what they say goes into the next append. */
  private readonly beginRest = Effect.map(Effect.yieldNow, () => {
    if (this.inbox.isEmpty) this.activities.beginWaiting()
  })

  private execute(message: Message, now: number, events: Array<RunEvent.RunEvent>, answers: Array<() => void>): void {
    const { answer, behind, command } = message
    if (command === undefined) {
      answers.push(() => answer!(nothing))
      return
    }
    const from = events.length
    const refusal = executeInto(this.state, command, now, events)
    if (refusal === undefined) behind?.(this.state)
    if (answer === undefined) return
    const to = events.length
    answers.push(() => answer(refusal === undefined ? Exit.succeed(events.slice(from, to)) : Exit.fail(refusal)))
  }

  /** What was decided is durable: now it is carried out and told. */
  private finish(
    events: ReadonlyArray<RunEvent.RunEvent>,
    started: ReadonlyArray<RunState.WorkEntry>,
    answers: ReadonlyArray<() => void>
  ): void {
    this.published = this.state.name
    let next = 0
    for (const event of events) {
      if (event._tag !== "WorkStarted") this.act(event)
      else {
        this.activities.start(started[next++]!)
        if (started.length <= fewStarts) this.activities.beginWaiting()
      }
    }
    if (started.length > fewStarts && this.inbox.isEmpty) this.activities.beginWaiting(started.length >> 1)
    if (this.isCancelling) this.recoverBut(events)
    for (const answer of answers) answer()
    if (events.length > 0) {
      this.meter.record(events)
      this.changed()
      if (this.compaction.isDue(this.seq)) this.compact()
    }
    this.timer.set(nextWake(this.state))
    // Room was made and nothing else will wake the loop for it.
    if (this.room.isAwaited && events.length > 0 && this.inbox.isEmpty) this.post({ _tag: "Tick" })
  }

  now(): number {
    return Math.max(this.clock.currentTimeMillisUnsafe(), this.state.lastAt)
  }

  /** Carries a durable event out. */
  private act(event: RunEvent.RunEvent): void {
    switch (event._tag) {
      case "WorkSucceeded":
        return this.settled(event.id, event, ({ result }) => ({ _tag: "Succeeded", result }))
      case "SlotsGranted":
        return this.granting.wake(`${event.id}\n${event.hold}`, Exit.void)
      case "WorkCancelling":
        return this.activities.active.get(event.id)?.stop("cancel")
      case "WorkCleaning":
        return this.activities.startCleaning(event.id)
      case "RunCancelling":
        this.isCancelling = true
        return
      case "RunSuspending":
        return this.activities.interruptAll("suspend")
      case "WorkFailed":
        return this.settled(event.id, event, ({ failure }) => ({ _tag: "Failed", failure }))
      case "WorkSkipped":
        return this.settled(event.id, event, ({ cause }) => ({ _tag: "Skipped", cause }))
      case "WorkCancelled":
        return this.settled(event.id, event, ({ actor, reason }) => ({ _tag: "Cancelled", reason, actor }))
      default:
        return
    }
  }

  /** Clean-ups that a suspend had stopped go on when the run is cancelled; those that begin with the cancel have begun. */
  private recoverBut(events: ReadonlyArray<RunEvent.RunEvent>): void {
    this.isCancelling = false
    this.activities.recover(new Set(events.flatMap((event) => event._tag === "WorkCleaning" ? [event.id] : [])))
  }

  private settled<Event>(id: string, event: Event, outcome: (event: Event) => Outcome): void {
    if (this.settling.has(id)) this.settling.wake(id, Exit.succeed(outcome(event)))
  }

  private background(message: string): void {
    this.backgroundErrors.push(message)
    if (this.backgroundErrors.length > 20) this.backgroundErrors.shift()
    this.changed()
  }

  changed(): void {
    this.watching.changed()
  }

  isPausing(id: string): boolean {
    return this.state.works.get(id)?.wait?.paused !== undefined
  }

  ended(attempt: Parameters<Host["ended"]>[0]): void {
    this.activities.ended(attempt)
  }

  gaveUp(attempt: Parameters<Host["gaveUp"]>[0]): void {
    this.activities.gaveUp(attempt)
    this.background(
      `the handler of "${attempt.spec.id}" was told to stop (${attempt.reason}) and did not end within its grace: ` +
        "the work goes on without it. Make its effects interruptible, or give the kind a longer `grace`"
    )
  }

  /** The run's durable events after `after`; at most so many at a time. */
  history(
    after: number,
    limit = Infinity
  ): Effect.Effect<ReadonlyArray<RunEvent.Sequenced>, JournalError | RunQuarantined> {
    return only("JournalError", "RunQuarantined")(
      Effect.suspend(() => readEvents(this.journal, this.runId, after, this.seq, this.compaction.horizon, limit))
    )
  }

  acquire(id: string, start: number, request: Parameters<Port["acquire"]>[0]): Effect.Effect<void, RunError> {
    const key = `${id}\n${request.hold}`
    return Effect.callback<void, RunError>((resume) => {
      const leave = this.granting.add(key, resume)
      this.postMessage(
        new Message(
          { _tag: "RequestSlots", id, start, ...request },
          (answer) => {
            if (Exit.isSuccess(answer) && answer.value.some((event) => event._tag === "SlotsRequested")) return
            leave()
            resume(Exit.asVoid(answer))
          },
          undefined
        )
      )
      return Effect.sync(leave)
    })
  }

  private compact(): void {
    this.fork(
      Effect.catch(
        this.compaction.run(this.writer, this.seq, (after) => this.history(after)),
        (error) =>
          Effect.sync(() => this.background(`no snapshot was made, opening will take longer: ${error.message}`))
      )
    )
  }

  /** The run is over in this process: whoever waits, or asked in vain, is told why. */
  private fail(cause: Cause.Cause<JournalError>): void {
    const error = cause.reasons.find(Cause.isFailReason)?.error
    this.failure = error ?? new JournalError({
      operation: "append",
      runId: this.runId,
      cause: Cause.squash(cause),
      message: `the journal failed: ${Cause.pretty(cause)}`
    })
    this.activities.interruptAll("journal")
    const failed = Exit.fail(this.failure)
    this.settling.wakeAll(failed)
    this.granting.wakeAll(failed)
    // Also what came while the append was under way: no turn will take it.
    const left = [...this.taken, ...this.room.dismiss(), ...this.inbox.take()]
    for (const message of left) if (message instanceof Message) message.answer?.(failed)
    this.changed()
  }

  readonly post = (command: Command): void => this.postMessage(command)

  private postMessage(message: Item): void {
    if (this.failure !== undefined) {
      if (message instanceof Message) message.answer?.(Exit.fail(this.failure))
      return
    }
    this.inbox.push(message)
  }

  /** Gives a command to the run and returns its events when they are durable. */
  send(
    command: Command,
    behind?: (state: RunState.RunState) => void
  ): Effect.Effect<ReadonlyArray<RunEvent.RunEvent>, RunError> {
    return Effect.callback((resume) => this.postMessage(new Message(command, resume, behind)))
  }

  /** The same for an `Add`, which waits, or is refused, while the run is full. */
  add(
    command: Extract<Command, { readonly _tag: "Add" }>,
    whenFull: "wait" | "refuse",
    behind?: (state: RunState.RunState) => void
  ): Effect.Effect<ReadonlyArray<RunEvent.RunEvent>, RunError> {
    return Effect.callback((resume) => {
      const message = new Message(command, resume, behind, this.room.capacity === Infinity ? undefined : whenFull)
      this.postMessage(message)
      return Effect.sync(() => {
        message.isWithdrawn = true
        // Whoever stood behind it may have room.
        if (this.room.isAwaited) this.post({ _tag: "Tick" })
      })
    })
  }

  /** Looks at the state when all of it is durable. */
  query<A>(look: (state: RunState.RunState) => A): Effect.Effect<A, JournalError> {
    return Effect.callback((resume) =>
      this.whenDurable(() =>
        resume(this.failure === undefined ? Exit.succeed(look(this.state)) : Exit.fail(this.failure))
      )
    )
  }

  private whenDurable(look: Answer): void {
    this.postMessage(new Message(undefined, look, undefined))
  }

  readonly status: Effect.Effect<RunStatus.RunStatus, JournalError> = Effect.suspend(() =>
    this.query((state) =>
      makeStatus(
        this.runId,
        state,
        this.seq,
        this.now(),
        (id) => this.activities.overlay(id),
        this.backgroundErrors,
        this.activities.stuck
      )
    )
  )

  workStatus(entry: RunState.WorkEntry): RunStatus.WorkStatus {
    return statusOfWork(this.state, entry, this.now(), (id) => this.activities.overlay(id))
  }

  /** The outcome of a work that was added, now or when it settles. */
  awaitOutcome(id: string): Effect.Effect<Outcome, RunError> {
    return Effect.callback((resume) => {
      let leave = (): void => undefined
      this.whenDurable(() => {
        if (this.failure !== undefined) return resume(Exit.fail(this.failure))
        const entry = this.state.works.get(id)
        if (entry === undefined) return resume(Exit.fail(outcomeExpired(id)))
        if (entry.outcome !== undefined) return resume(Exit.succeed(entry.outcome))
        leave = this.settling.add(id, resume)
      })
      return Effect.sync(() => leave())
    })
  }

  /** How a work ended; undefined when it has not. */
  outcome(id: string): Effect.Effect<Ended, RunError> {
    return Effect.flatMap(
      this.query((state) => {
        const entry = state.works.get(id)
        return entry === undefined ? undefined : { kind: entry.spec.kind, outcome: entry.outcome }
      }),
      (found) =>
        found === undefined
          ? Effect.fail(new WorkNotFound({ id, message: `no work "${id}" in run "${this.runId}"` }))
          : Effect.succeed(found)
    )
  }

  /** Suspends what is running and ends every fiber of the run. */
  readonly stop: Effect.Effect<void> = Effect.suspend(() =>
    Effect.gen({ self: this }, function*() {
      yield* Effect.ignore(this.send({ _tag: "Suspend", reason: "the run was closed", actor: "engine" }))
      this.activities.interruptAll("suspend")
      yield* this.watching.until(() => this.activities.active.size === 0)
      yield* this.activities.endCleanings
      yield* this.timer.stop
      yield* Effect.ignore(this.query(() => undefined))
      if (this.failure === undefined) {
        yield* Effect.ignore(this.compaction.atEnd(this.writer, this.seq, (after) => this.history(after)))
      }
      this.last = Option.getOrUndefined(yield* Effect.option(this.status))
      this.isClosed = true
      this.failure ??= closedRun(this.runId)
      this.changed()
    })
  )
}

const nothing: Exit.Exit<ReadonlyArray<RunEvent.RunEvent>> = Exit.succeed([])
