/**
 * Holds the real state against the naive model: every answer, every event, and after each event all that can be seen
 * of a state that has folded it.
 */
import { Result } from "effect"
import type { Of, RunEvent } from "../RunEvent.ts"
import type { Command, Refusal } from "./command.ts"
import type { RunState } from "./model.ts"
import { type Answer, answerTo } from "./simulatorAnswer.ts"
import { check, Disagreement, isSame, show } from "./simulatorCheck.ts"
import { compare } from "./simulatorCompare.ts"
import type { Core } from "./simulatorCore.ts"
import { evolve, fold } from "./simulatorFold.ts"
import { earliestDue, followsOfRun, followsOfWorks, wrongToForget, wrongToRemember } from "./simulatorFollow.ts"
import { empty, type Naive } from "./simulatorModel.ts"
import { comesBefore, mayStart, nameOf, nextStart } from "./simulatorOrder.ts"

/** What made an event. */
export type Source = Command | { readonly _tag: "Schedule" }

export type Outcome = Result.Result<ReadonlyArray<RunEvent>, Refusal>

/** Looks on. The model may be read, not kept. */
export interface Watch {
  /** An event of which the model does not know yet. */
  readonly before?: (event: RunEvent, naive: Naive, source: Source) => void
  readonly after?: (event: RunEvent, naive: Naive, source: Source) => void
  /** A command is given; the model does not know of its outcome yet. */
  readonly asked?: (command: Command, naive: Naive, now: number) => void
  /** A command is done with. */
  readonly answered?: (command: Command, outcome: Outcome, naive: Naive, now: number) => void
  /** All that may start is going to be started. */
  readonly scheduling?: (naive: Naive, now: number) => void
  readonly scheduled?: (naive: Naive, now: number) => void
  /** The process is gone: the model shows what the journal holds, and nobody has opened it yet. */
  readonly restarted?: (naive: Naive) => void
}

/** Several that look on together. */
export const watchAll = (watches: ReadonlyArray<Watch>): Watch => ({
  before: (event, naive, source) => {
    for (const watch of watches) watch.before?.(event, naive, source)
  },
  after: (event, naive, source) => {
    for (const watch of watches) watch.after?.(event, naive, source)
  },
  asked: (command, naive, now) => {
    for (const watch of watches) watch.asked?.(command, naive, now)
  },
  answered: (command, outcome, naive, now) => {
    for (const watch of watches) watch.answered?.(command, outcome, naive, now)
  },
  scheduling: (naive, now) => {
    for (const watch of watches) watch.scheduling?.(naive, now)
  },
  scheduled: (naive, now) => {
    for (const watch of watches) watch.scheduled?.(naive, now)
  },
  restarted: (naive) => {
    for (const watch of watches) watch.restarted?.(naive)
  }
})

export class Auditor {
  naive: Naive = empty()
  /** A state that folds the events one by one, as the next process would. */
  replica: RunState
  private readonly core: Core
  private readonly watch: Watch
  private readonly isStrict: boolean

  /** One that is not strict lets the model follow whatever happens, for those who look on. */
  constructor(core: Core, watch: Watch, isStrict = true) {
    this.core = core
    this.watch = watch
    this.isStrict = isStrict
    this.replica = core.make()
  }

  /** The process is gone: what counts is what the journal holds. */
  restarted(events: ReadonlyArray<RunEvent>): void {
    this.naive = fold(empty(), events)
    this.replica = this.core.make()
    for (const event of events) this.core.evolve(this.replica, event)
    compare(this.naive, this.replica)
    this.watch.restarted?.(this.naive)
  }

  /** A command was executed with this outcome; `state` is the state that follows. */
  answered(command: Command, outcome: Outcome, state: RunState, now: number): void {
    this.watch.asked?.(command, this.naive, now)
    if (this.isStrict) this.audit(command, outcome, state, now)
    else if (Result.isSuccess(outcome)) { for (const event of outcome.success) this.take(event, command) }
    this.watch.answered?.(command, outcome, this.naive, now)
  }

  private audit(command: Command, outcome: Outcome, state: RunState, now: number): void {
    const answer = answerTo(this.naive, command, now)
    const { events, refusals } = answer
    if (Result.isFailure(outcome)) {
      const { _tag, message } = outcome.failure
      check(
        refusals.includes(_tag),
        () => `${show(command)} is refused: ${_tag} (${message}); expected ${refusals.join(" or ") || show(events)}`
      )
    } else {
      const { success } = outcome
      check(
        refusals.length === 0,
        () => `${show(command)} is taken (${show(success)}); expected ${refusals.join(" or ")}`
      )
      this.fold(success, answer, command, now)
    }
    compare(this.naive, state)
    this.wakes(state, Result.isSuccess(outcome), now)
  }

  /** Folds what a command made: what was decided, then what follows of itself. */
  private fold(events: ReadonlyArray<RunEvent>, answer: Answer, source: Command, now: number): void {
    let rest = answer.events
    let isDecided = answer.next === undefined
    /** What may come next, each with what must come after it. */
    const next = (): ReadonlyArray<ReadonlyArray<RunEvent>> => {
      if (rest.length > 0) return [rest]
      if (!isDecided) {
        const more = answer.next!(this.naive)
        if (more.length > 0) return more
        isDecided = true
      }
      const following = followsOfWorks(this.naive, now)
      return following.length > 0 ? [following] : []
    }
    for (const event of events) {
      let expected = next()
      if (expected.length === 0 && event._tag === "WorksForgotten") this.forgets(event.ids, now)
      else {
        if (expected.length === 0) expected = this.transition(now)
        const chosen = expected.find(([first]) => isSame(first, event))
        check(
          chosen !== undefined,
          () =>
            `${show(source)} makes ${show(event)}; expected ${
              expected.map(([first]) => show(first)).join(" or ") || "nothing more"
            }`
        )
        rest = chosen!.slice(1)
      }
      this.take(event, source)
    }
    const missing = [...next(), ...this.transition(now)]
    check(missing.length === 0, () => `${show(source)} does not make ${show(missing[0]![0])}, only ${show(events)}`)
    const late = wrongToRemember(this.naive, now)
    check(late === undefined, () => late!)
  }

  private transition(now: number): ReadonlyArray<ReadonlyArray<RunEvent>> {
    const event = followsOfRun(this.naive, now)
    return event === undefined ? [] : [[event]]
  }

  /** The scheduler has started these. */
  scheduled(events: ReadonlyArray<RunEvent>, state: RunState, now: number): void {
    this.watch.scheduling?.(this.naive, now)
    if (this.isStrict) this.auditStarts(events, state, now)
    else for (const event of events) this.take(event, { _tag: "Schedule" })
    this.watch.scheduled?.(this.naive, now)
  }

  private auditStarts(events: ReadonlyArray<RunEvent>, state: RunState, now: number): void {
    for (const event of events) {
      const all = mayStart(this.naive, now)
      const chosen = all.find(({ job, request }) =>
        event._tag === "SlotsGranted"
          ? event.id === job.spec.id && event.hold === request?.name
          : event._tag === "WorkStarted" && event.id === job.spec.id && request === undefined
      )
      const names = (): string => all.map(nameOf).join(", ") || "nothing"
      if (chosen === undefined) throw new Disagreement(`${show(event)}; may start: ${names()}`)
      const earlier = all.filter((each) => comesBefore(this.naive, each, chosen))
      check(earlier.length === 0, () => `${nameOf(chosen)} starts before ${earlier.map(nameOf).join(", ")}`)
      if (event._tag === "WorkStarted") {
        const expected = nextStart(this.naive, now)
        check(isSame(expected, event), () => `${show(event)}; expected ${show(expected)}`)
      } else {
        const { claims, step, until } = chosen.request!
        const { claims: granted, step: ofStep, until: untilStep } = event as Of<"SlotsGranted">
        check(isSame([claims, step, until], [granted, ofStep, untilStep]), () => show(event))
      }
      this.take(event, { _tag: "Schedule" })
    }
    const left = mayStart(this.naive, now)
    check(left.length === 0, () => `left to start: ${left.map(nameOf).join(", ")}`)
    compare(this.naive, state)
  }

  private take(event: RunEvent, source: Source): void {
    this.watch.before?.(event, this.naive, source)
    evolve(this.naive, event)
    this.core.evolve(this.replica, event)
    if (this.isStrict) compare(this.naive, this.replica)
    this.watch.after?.(event, this.naive, source)
  }

  private forgets(ids: ReadonlyArray<string>, now: number): void {
    const wrong = wrongToForget(this.naive, ids, now)
    check(wrong === undefined, () => wrong!)
  }

  /** Whoever looks at the clock next must not come too late, and not for nothing again and again. */
  private wakes(state: RunState, isTaken: boolean, now: number): void {
    const at = this.core.nextWake(state)
    check(!isTaken || at === undefined || at > now, () => `the next wake is at ${at}, and it is ${now}`)
    const due = earliestDue(this.naive)
    check(due === undefined || (at !== undefined && at <= due), () => `the next wake is at ${at}; due at ${due}`)
  }
}
