/**
 * What a client does within one simulated process: it opens the run, adds works, steers, looks, and waits for the end. Whatever
 * it is told is held against what is durable at that moment.
 */
import { DateTime, Effect, Exit, Fiber, Option, type Scope, Stream } from "effect"
import { SnapshotPolicy } from "../../internal/compaction.ts"
import { makeStatus } from "../../internal/status.ts"
import type { Run } from "../../Run.ts"
import { fold } from "../../RunState.ts"
import type * as RunStatus from "../../RunStatus.ts"
import type { Outside } from "./Outside.ts"
import type { Addition, Control, Life, Program, Whose, Work } from "./Program.ts"
import { canonical, same } from "./same.ts"
import { kindNamed, openOptions, optionsOf, settledView, Simulated } from "./SimulatedKinds.ts"

/** What is left to do, whatever processes there were. */
export interface Agenda {
  readonly additions: Array<Addition>
  readonly controls: Array<Control>
  /** Works that the run has answered for: added, merged into another, or refused. */
  readonly answered: Map<string, string>
  /** Works that a process asked the run to take and did not live to hear of. */
  readonly asked: Set<string>
  readonly startedAt: number
}

export const runId = "run"

type TheRun = Run<(typeof Simulated.kinds)[number]>

interface Refused {
  readonly _tag: string
  readonly message: string
}

/** Refusals that a control may meet, because of when it comes. */
const mayBeRefused: ReadonlySet<string> = new Set([
  "RunNotAccepting",
  "WorkNotFound",
  "WorkSettled",
  "WorkNotAccepting",
  "InvalidWork",
  "DuplicateKey",
  "OutcomeExpired"
])

/** The session is about to end: the next process will ask again. */
const isSuspended = (error: { readonly _tag: string; readonly state?: string }): boolean =>
  error._tag === "RunNotAccepting" && (error.state === "suspending" || error.state === "suspended")

export class Session {
  private readonly outside: Outside
  private readonly program: Program
  private readonly agenda: Agenda
  private readonly now: () => number
  /** The journal may fail in this process. */
  readonly mayFail: boolean
  private readonly life: Life
  /** Of the session: whoever waits or reads does so to its end. */
  private scope!: Scope.Scope
  private readonly attendants: Array<Fiber.Fiber<unknown, unknown>> = []

  constructor(outside: Outside, program: Program, agenda: Agenda, now: () => number, life: Life) {
    this.outside = outside
    this.program = program
    this.agenda = agenda
    this.now = now
    this.life = life
    this.mayFail = life.faults.some(({ _tag }) => _tag === "Journal" || _tag === "LoseLock")
  }

  /** From opening to the end. What it returns says how the run is then. */
  readonly run = Effect.scoped(Effect.gen({ self: this }, function*() {
    this.scope = yield* Effect.scope
    const engine = yield* Simulated
    const { options } = this.program
    const run = yield* engine.open(runId, openOptions({ ...options, ...this.life.options })).pipe(
      Effect.provideService(SnapshotPolicy, options.snapshots ?? { everyEvents: Infinity, atEndEvents: Infinity })
    )
    yield* this.attend(this.watch(run, 0))
    yield* Effect.forkScoped(this.follow(run))
    const adding = yield* Effect.forkScoped(this.add(run))
    const end = yield* Effect.exit(Effect.raceFirst(
      Effect.andThen(
        Effect.andThen(this.steer(run), this.letGo(run)),
        // A full run takes more as works settle, which nothing keeps them from now.
        Effect.andThen(Fiber.join(adding), this.finish(run))
      ),
      // A run that is closed early completes, and is extended by what is still to be added.
      run.changes.pipe(
        Stream.filter((status) => status.state === "cancelled" || status.state === "suspended"),
        Stream.runHead,
        Effect.flatMap((status) => Option.isSome(status) ? Effect.succeed(status.value) : Effect.never)
      )
    ))
    // However it ends, nobody is left waiting: for a work, or for another event.
    for (const attendant of this.attendants) yield* Fiber.await(attendant)
    return (yield* end).state
  }))

  private attend(waiting: Effect.Effect<unknown, unknown>): Effect.Effect<void> {
    return Effect.map(Effect.forkIn(waiting, this.scope), (fiber) => void this.attendants.push(fiber))
  }

  private expectedFailure(what: string, error: { readonly _tag: string; readonly message?: string }): void {
    this.outside.violate(`${what} fails with ${error._tag}: ${error.message}`)
  }

  // -- Adding

  /** One after the other, each until there is an answer: what a process did not live to hear is asked again in the next. */
  private readonly add = (run: TheRun) =>
    Effect.gen({ self: this }, function*() {
      const { agenda } = this
      while (agenda.additions.length > 0) {
        const addition = agenda.additions[0]!
        yield* this.sleepUntil(addition.at)
        yield* this.addAll(run, addition)
        agenda.additions.shift()
      }
    })

  private addAll(run: TheRun, { works }: Addition) {
    const left = works.filter(({ id }) => !this.agenda.answered.has(id))
    const again = left.filter(({ id }) => this.agenda.asked.has(id))
    for (const { id } of left) this.agenda.asked.add(id)
    if (left.length === 1) return this.submit(run, left[0]!, again)
    const specs = left.map((work) => ({
      ...optionsOf(work),
      ...(work.timeToLive === undefined ? {} : { timeToLiveMillis: work.timeToLive }),
      kind: work.kind,
      payload: { work: work as never },
      ...(work.after === undefined ? {} : { after: work.after }),
      ...(work.onDependencyFailure === undefined ? {} : { onDependencyFailure: work.onDependencyFailure }),
      ...(work.notBeforeIn === undefined ? {} : { notBefore: this.now() + work.notBeforeIn }),
      ...(work.deadlineIn === undefined ? {} : { deadline: this.now() + work.deadlineIn })
    })).map(({ timeToLive: _, ...spec }: { readonly timeToLive?: unknown } & Parameters<TheRun["add"]>[0][number]) =>
      spec
    )
    return Effect.matchEffect(run.add(specs), {
      onSuccess: () =>
        Effect.sync(() => {
          this.outside.cover("added together")
          for (const work of left) this.isThere(work, work.id)
        }),
      onFailure: (error) => {
        if (error._tag === "JournalError") return Effect.fail(error)
        if (isSuspended(error) || this.isForAnother(error)) return Effect.never
        if (error._tag !== "DuplicateWork") return Effect.sync(() => this.refused(left, again, error))
        // All of them, or none.
        for (const work of left) this.isThere(work, work.id)
        return Effect.void
      }
    })
  }

  private submit(run: TheRun, work: Work, again: ReadonlyArray<Work>) {
    const options = {
      ...optionsOf(work),
      ...(work.after === undefined ? {} : { after: work.after }),
      ...(work.onDependencyFailure === undefined ? {} : { onDependencyFailure: work.onDependencyFailure }),
      ...(work.notBeforeIn === undefined ? {} : { notBefore: DateTime.makeUnsafe(this.now() + work.notBeforeIn) }),
      ...(work.deadlineIn === undefined ? {} : { deadline: DateTime.makeUnsafe(this.now() + work.deadlineIn) })
    }
    return Effect.matchEffect(run.submit(kindNamed(work.kind), { work: work as never }, options), {
      onSuccess: (job) => {
        this.isThere(work, job.id)
        this.outside.cover(job.id === work.id ? "submitted" : "merged")
        return job.id === work.id
          ? this.attend(this.awaitJob(work, job.await))
          : Effect.void
      },
      onFailure: (error) => {
        if (error._tag === "JournalError") return Effect.fail(error)
        if (isSuspended(error) || this.isForAnother(error)) return Effect.never
        if (error._tag === "DuplicateWork") this.isThere(work, work.id)
        else this.refused([work], again, error)
        return Effect.void
      }
    })
  }

  /** This process lacks the kind: another one will have it. */
  private isForAnother(error: { readonly _tag: string; readonly field?: string }): boolean {
    return this.life.deployment !== undefined && error._tag === "InvalidWork" &&
      (error.field === "kind" || error.field === "payload")
  }

  /** The run has answered that it has the work. */
  private isThere(work: Work, as: string): void {
    const { outside } = this
    this.agenda.answered.set(work.id, as)
    outside.require(
      outside.accounting.works.has(as) || outside.accounting.forgotten > 0 || work.dedupe !== undefined,
      () => `"${as}" was added, as the run says, and is not on record`
    )
  }

  private refused(
    works: ReadonlyArray<Work>,
    again: ReadonlyArray<Work>,
    error: { readonly _tag: string; readonly message: string }
  ): void {
    const { outside, program } = this
    outside.cover(`add refused: ${error._tag}`)
    for (const { id } of works) {
      this.agenda.answered.set(id, "refused")
      const mayBeThere = again.some((each) => each.id === id)
      outside.require(
        mayBeThere || !outside.accounting.works.has(id),
        () => `"${id}" was refused (${error._tag}) and is in the run`
      )
    }
    outside.require(
      !program.isSteady && mayBeRefused.has(error._tag),
      () => `adding ${works.map(({ id }) => id).join(", ")} is refused with ${error._tag}: ${error.message}`
    )
  }

  /** Waits for a work, as a client does, and compares what it is told. */
  private awaitJob(work: Work, answer: Effect.Effect<unknown, { readonly _tag: string }>) {
    return Effect.flatMap(Effect.exit(answer), (exit) =>
      Effect.sync(() => {
        const { outside } = this
        const outcome = outside.accounting.works.get(work.id)?.outcome
        const error = Exit.isFailure(exit) ? Option.getOrUndefined(Exit.findErrorOption(exit)) : undefined
        if (error !== undefined && ["JournalError", "RunSuspended", "OutcomeExpired"].includes(error._tag)) return
        if (Exit.hasInterrupts(exit)) return
        outside.cover("awaited")
        const account = outside.accounting.works.get(work.id)
        // A retry by name may have come between the end and this.
        if (account === undefined || account.generation > 0) return
        const told = Exit.isSuccess(exit) ? "WorkSucceeded" : "another end"
        outside.require(
          outcome !== undefined && (outcome._tag === "WorkSucceeded") === Exit.isSuccess(exit),
          () => `await of "${work.id}" tells ${told} (${String(error?._tag)}), and on record is ${outcome?._tag}`
        )
        if (Exit.isSuccess(exit) && outcome?._tag === "WorkSucceeded") {
          outside.require(
            same(exit.value, outcome.result),
            () => `await of "${work.id}" gives ${JSON.stringify(exit.value)}: ${JSON.stringify(outcome.result)}`
          )
        }
      }))
  }

  // -- Watching

  /** Every event from a number on: none is missing, none comes twice, and none is shown before it is durable. */
  private watch(run: TheRun, after: number) {
    const { outside } = this
    let last = after
    return run.events({ after }).pipe(
      Stream.runForEach((each) =>
        Effect.sync(() => {
          const isNext = each.event._tag === "RunSnapshot" ? each.seq > last : each.seq === last + 1
          outside.require(isNext, () => `event ${each.seq} is shown after ${last} to a reader from ${after} on`)
          last = each.seq
          outside.isDurable(`events({ after: ${after} })`, [each])
        })
      ),
      Effect.andThen(Effect.sync(() => outside.cover("events read to their end"))),
      Effect.catch((error) => this.failedOnly(`events({ after: ${after} })`, error))
    )
  }

  private failedOnly(what: string, error: { readonly _tag: string; readonly message?: string }) {
    return Effect.sync(() => {
      if (error._tag === "JournalError") return
      this.expectedFailure(what, error)
    })
  }

  /** Snapshots as things change: never of what is not durable, and never back. */
  private follow(run: TheRun) {
    let seen = 0
    return run.changes.pipe(
      Stream.runForEach((status) =>
        Effect.sync(() => {
          this.outside.require(status.seq >= seen, () => `changes go back from ${seen} to ${status.seq}`)
          seen = status.seq
          this.isTrue(status)
        })
      ),
      Effect.catch((error) => this.failedOnly("changes", error))
    )
  }

  /** A status against the events up to its number. */
  private isTrue(status: RunStatus.RunStatus): void {
    const { outside } = this
    const { counts, seq } = status
    const totals = outside.totals[seq]
    if (totals === undefined) return outside.violate(`a status shows event ${seq}, and ${outside.seq} are durable`)
    for (const state of ["succeeded", "failed", "skipped", "cancelled"] as const) {
      outside.require(
        counts[state] === totals[state],
        () => `a status at ${seq} shows ${counts[state]} ${state}, and on record are ${totals[state]}`
      )
    }
  }

  /** Everything there is to see; and what is folded from the journal alone looks the same. */
  private look(run: TheRun) {
    return Effect.gen({ self: this }, function*() {
      const { outside } = this
      const status = yield* run.status
      this.isTrue(status)
      const events = outside.events.slice(0, status.seq)
      if (status.seq > 0) {
        const folded = makeStatus(runId, fold(events), status.seq, status.at, () => undefined, [], [])
        const plain = (each: RunStatus.RunStatus) =>
          canonical({
            ...each,
            backgroundErrors: [],
            stuck: [],
            // In no order that anybody was promised.
            waiting: each.waiting.map(canonical).sort(),
            running: each.running.map(({ etaMillis: _, progress: __, step: ___, ...rest }) => rest)
          })
        outside.require(
          plain(status) === plain(folded),
          () => `the status is not that of the journal:\n${plain(status)}\n${plain(folded)}`
        )
      }
      const view = yield* run.view(settledView)
      outside.isView(view)
      yield* run.queue()
      yield* run.select({ kind: "Plain" }).count
      // Where the lock may be lost to another opener, this one must not be it.
      if (this.mayFail) return
      const engine = yield* Simulated
      const other = yield* Effect.exit(
        Effect.scoped(engine.open(runId, openOptions({ ...this.program.options, ...this.life.options })))
      )
      const refusal = Exit.isFailure(other) ? Option.getOrUndefined(Exit.findErrorOption(other)) : undefined
      outside.require(
        refusal?._tag === "RunLocked",
        () => `the run is opened twice: ${refusal?._tag ?? "nobody objects"}`
      )
    })
  }

  // -- Steering

  private readonly steer = (run: TheRun) =>
    Effect.gen({ self: this }, function*() {
      const { agenda, outside } = this
      while (agenda.controls.length > 0) {
        const control = agenda.controls[0]!
        yield* this.sleepUntil(control.at)
        // Once, whatever becomes of it: nobody repeats an order to cancel after a crash.
        agenda.controls.shift()
        yield* this.order(run, control).pipe(
          Effect.andThen(Effect.sync(() => outside.cover(`control ${control._tag}`))),
          Effect.catch((error) => {
            if (error._tag === "JournalError") return Effect.fail(error as Refused)
            outside.cover(`control ${control._tag} refused: ${error._tag}`)
            outside.require(mayBeRefused.has(error._tag), () =>
              `${control._tag} is refused with ${error._tag}: ${error.message}`)
            return Effect.void
          })
        )
      }
    })

  /** The work that is meant: one by name, or one that is in a certain state as far as anybody outside can tell. */
  private target({ id, whose }: { readonly id: string; readonly whose?: Whose }): string {
    if (whose === undefined) return id
    const works = Array.from(this.outside.accounting.works.values())
    const fitting = works.filter((work) =>
      whose.state === "asking"
        ? work.asking.size > 0
        : whose.state === "holding"
        ? work.holds.size > 0
        : work.status === whose.state
    )
    return fitting[whose.nth % Math.max(1, fitting.length)]?.spec.id ?? id
  }

  private order(run: TheRun, ordered: Control): Effect.Effect<void, Refused, Simulated> {
    const { outside } = this
    const control = "id" in ordered ? { ...ordered, id: this.target(ordered) } : ordered
    const by = { actor: "ada", reason: "at random" }
    const scope = (of: { readonly kind?: string; readonly key?: string }) => ({
      ...by,
      ...(of.kind === undefined ? {} : { kind: of.kind }),
      ...(of.key === undefined ? {} : { key: of.key })
    })
    switch (control._tag) {
      case "Pause":
        return run.pause(scope(control))
      case "Resume":
        return run.resume(scope(control))
      case "PauseEngine":
        return Effect.flatMap(Simulated, (engine) => engine.pause(by))
      case "UnpauseEngine":
        return Effect.flatMap(Simulated, (engine) => engine.unpause(by))
      case "PauseWork":
        return run.pauseWork(control.id, by)
      case "ResumeWork":
        return run.resumeWork(control.id, by)
      case "CancelWork":
        return Effect.tap(run.cancelWork(control.id, by), () =>
          Effect.sync(() => {
            const account = outside.accounting.works.get(control.id)
            outside.require(
              account === undefined || account.generation > 0 ||
                ["cancelling", "cleaning", "settled"].includes(account.status),
              () => `"${control.id}" was cancelled, as the run says, and on record it is ${account?.status}`
            )
          }))
      case "Retry":
        return run.retry(control.id, { ...by, ...(control.from === undefined ? {} : { from: control.from }) })
      case "Reprioritize":
        return run.reprioritize(control.id, control.priority, by)
      case "Each":
        return Effect.asVoid(run.select({ kind: control.kind })[control.control](by))
      case "Concurrency":
        return run.setConcurrency(control.to, by)
      case "Pool":
        return run.setPool(control.name, control.to, by)
      case "KindLimit":
        return run.setKindLimit(control.kind, control.to, by)
      case "KeyLimit":
        return run.setKeyLimit(control.to, { ...by, ...(control.key === undefined ? {} : { key: control.key }) })
      case "Suspend":
        return run.suspend(by)
      case "Cancel":
        return run.cancel(by)
      case "Close":
        return run.close
      case "Look":
        return this.look(run)
      case "Await": {
        const work = outside.works.get(control.id)
        if (work === undefined) return Effect.void
        return Effect.flatMap(
          run.job(kindNamed(work.kind), control.id),
          (job) => Effect.ignore(Effect.timeoutOption(this.awaitJob(work, job.await), control.millis))
        )
      }
      case "Watch":
        return this.attend(this.watch(run, Math.max(0, outside.seq - control.back)))
    }
  }

  /** Nobody holds anything back any more. */
  private letGo(run: TheRun) {
    return Effect.gen({ self: this }, function*() {
      yield* (yield* Simulated).unpause()
      yield* run.resume()
      for (const kind of ["Plain", "Undo", "Single"]) {
        // A process may lack the kind: then nothing of it can be paused either.
        yield* Effect.catchTag(run.resume({ kind }), "InvalidWork", () => Effect.void)
      }
      for (const key of ["red", "blue"]) yield* run.resume({ key })
      yield* run.select().resume()
      yield* run.setConcurrency(4)
      for (const [name, size] of Object.entries(this.program.options.pools)) yield* run.setPool(name, size)
      yield* run.setKindLimit("Single", 1)
      yield* run.setKeyLimit(null)
      yield* run.setKeyLimit(null, { key: "red" })
    }).pipe(
      // The run may be over, or about to be: then there is nothing to let go.
      Effect.catchTag("RunNotAccepting", () => Effect.void)
    )
  }

  /** The run is closed, and has to come to its end. */
  private finish(run: TheRun) {
    return Effect.gen({ self: this }, function*() {
      yield* run.close
      const end = yield* run.await
      if (end.state === "completed") yield* this.look(run)
      return end
    }).pipe(
      // The last work that settles may fail, and the run fail fast: then everything is refused, and that is its end.
      Effect.catchTag("RunNotAccepting", () => run.await)
    )
  }

  private sleepUntil(at: number) {
    return Effect.suspend(() => {
      const millis = this.agenda.startedAt + at - this.now()
      return millis > 0 ? Effect.sleep(millis) : Effect.void
    })
  }
}
