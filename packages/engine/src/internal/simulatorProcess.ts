/**
 * One simulated process: it holds the run's state, gives it commands, appends what they make, and acts on nothing that is
 * not durable. Its handlers, and whatever it has not appended, die with it.
 */
import { Result } from "effect"
import type { RunEvent } from "../RunEvent.ts"
import type { AttemptEnd, Command } from "./command.ts"
import type { RunState } from "./model.ts"
import type { Auditor } from "./simulatorAuditor.ts"
import { check } from "./simulatorCheck.ts"
import type { Core } from "./simulatorCore.ts"
import { earliestDue } from "./simulatorFollow.ts"
import { Handler, type Host } from "./simulatorHandler.ts"
import type { SimulatedJournal } from "./simulatorJournal.ts"
import { find, type Naive } from "./simulatorModel.ts"
import type { Fault } from "./simulatorProgram.ts"
import { mix } from "./simulatorRandom.ts"
import { scriptOf, temperOf } from "./simulatorScript.ts"

type Reply = (events: ReadonlyArray<RunEvent> | undefined) => void

/** What is to become durable together, and who waits for it. */
interface Entry {
  readonly events: ReadonlyArray<RunEvent>
  readonly control: string | undefined
  readonly reply: Reply | undefined
}

interface Append {
  readonly entries: ReadonlyArray<Entry>
  /** Armed before it began. */
  readonly fault: Fault | undefined
  turnsLeft: number
}

/** A handler that was given up: it says something late, and ends. */
interface GivenUp {
  readonly id: string
  readonly start: number
  turnsLeft: number
}

/** The world around a process. */
export interface Surroundings {
  readonly seed: number
  readonly core: Core
  readonly auditor: Auditor
  readonly journal: SimulatedJournal
  now: number
  turn: number
  isDraining: boolean
  /** What is durable, by the naive model. */
  readonly durable: Naive
  /** Events have become durable. */
  readonly appended: (events: ReadonlyArray<RunEvent>) => void
  readonly effect: (handler: Handler, step: string) => void
  readonly cleaned: (id: string) => void
  /** A fault strikes an append: with these controls in it. */
  readonly strikes: (fault: Fault, controls: ReadonlyArray<string>) => void
}

export class SimulatedProcess implements Host {
  readonly state: RunState
  private readonly around: Surroundings
  private readonly owner: number
  private queue: Array<Entry> = []
  private append: Append | undefined = undefined
  readonly handlers = new Map<string, Handler>()
  private givenUp: Array<GivenUp> = []
  /** Clean-ups under way, with the turns that they still take. */
  private readonly cleaning = new Map<string, number>()
  armed: Fault | undefined = undefined
  /** The control that was given last, until a fault strikes. */
  lastControl: string | undefined = undefined
  isDead = false
  /** The run was suspended: the process ends after so many turns. */
  leavesAt = Infinity

  constructor(around: Surroundings, state: RunState) {
    this.around = around
    this.state = state
    this.owner = around.journal.open()
  }

  get now(): number {
    return this.around.now
  }

  get turn(): number {
    return this.around.turn
  }

  get isDraining(): boolean {
    return this.around.isDraining
  }

  /** Nothing is left that is not durable. */
  get isAtRest(): boolean {
    return this.append === undefined && this.queue.length === 0
  }

  /** Gives a command, after the clock has had its say, and starts what may start. */
  command(command: Command, control?: string, reply?: Reply): void {
    const due = earliestDue(this.around.auditor.naive)
    if (due !== undefined && due <= this.now && command._tag !== "Open") {
      this.execute({ _tag: "Tick" }, undefined, undefined)
    }
    this.execute(command, control, reply)
    this.schedule()
  }

  /** Looks at the clock. */
  tick(): void {
    const due = earliestDue(this.around.auditor.naive)
    if (due === undefined || due > this.now) return
    this.execute({ _tag: "Tick" }, undefined, undefined)
    this.schedule()
  }

  readonly say = (command: Command, reply?: Reply): void => this.command(command, undefined, reply)

  readonly effect = (handler: Handler, step: string): void => this.around.effect(handler, step)

  readonly give = (handler: Handler, end: AttemptEnd): void => {
    this.handlers.delete(handler.id)
    this.command(end)
  }

  readonly giveUp = (handler: Handler, end: AttemptEnd): void => {
    const { id, start, temper } = handler
    this.handlers.delete(id)
    // Some take a long time, in which the work may be tried again and come to its end.
    this.givenUp.push({ id, start, turnsLeft: 2 + mix(start, this.turn) % 40 })
    this.command({ _tag: "Stuck", id, start, keepsSlots: temper.keepsSlots, end })
  }

  private execute(command: Command, control: string | undefined, reply: Reply | undefined): void {
    const { auditor, core } = this.around
    const outcome = core.execute(this.state, command, this.now)
    auditor.answered(command, outcome, this.state, this.now)
    if (Result.isFailure(outcome)) return reply?.(undefined)
    const events = outcome.success
    if (control !== undefined && events.length > 0) this.lastControl = control
    this.queue.push({ events, control: events.length > 0 ? control : undefined, reply })
  }

  private schedule(): void {
    const { auditor, core } = this.around
    const events = core.schedule(this.state, this.now)
    auditor.scheduled(events, this.state, this.now)
    if (events.length > 0) this.queue.push({ events, control: undefined, reply: undefined })
  }

  /** Goes on with the append under way, or begins one. */
  appends(): void {
    const { append } = this
    if (append === undefined) return this.begins()
    append.turnsLeft -= 1
    if (append.turnsLeft > 0) return
    this.append = undefined
    this.ends(append)
  }

  private begins(): void {
    const entries = this.queue
    this.queue = []
    const isSlow = this.armed === "slow append"
    const isMet = this.armed !== undefined && this.armed !== "crash between effects"
    const fault = isMet ? this.armed : undefined
    if (isMet) this.armed = undefined
    const controls = entries.flatMap(({ control }) => control === undefined ? [] : [control])
    if (isSlow) this.around.strikes("slow append", controls)
    this.append = { entries, fault: isSlow ? undefined : fault, turnsLeft: isSlow ? 5 : 1 }
  }

  private ends({ entries, fault }: Append): void {
    const controls = entries.flatMap(({ control }) => control === undefined ? [] : [control])
    const events = entries.flatMap((entry) => entry.events)
    if (fault === "lost lock") {
      // Another process has opened the run meanwhile.
      this.around.journal.open()
      this.isDead = true
      this.around.strikes(fault, controls)
      check(!this.around.journal.append(this.owner, events), () => "two processes append to one run")
      return
    }
    if (fault === "crash before append" || fault === "failing append") {
      this.isDead = true
      return this.around.strikes(fault, controls)
    }
    check(this.around.journal.append(this.owner, events), () => "the process has lost its lock and was not told")
    this.around.appended(events)
    if (fault === "crash after append") {
      this.isDead = true
      return this.around.strikes(fault, controls)
    }
    for (const entry of entries) {
      for (const event of entry.events) this.heed(event)
      entry.reply?.(entry.events)
    }
  }

  /** Acts on an event that is durable. */
  private heed(event: RunEvent): void {
    switch (event._tag) {
      case "WorkStarted":
        return this.starts(event.id)
      case "SlotsGranted":
        return this.handlers.get(event.id)?.isGranted(event.hold)
      case "WorkCancelling":
        return this.handlers.get(event.id)?.interrupt("cancel", this.turn)
      case "WorkPaused":
        return this.handlers.get(event.id)?.interrupt("pause", this.turn)
      case "WorkContinued": {
        const handler = this.handlers.get(event.id)
        if (handler?.stop === "pause") handler.stop = undefined
        return
      }
      case "WorkCleaning":
        return this.cleans(event.id)
      case "RunSuspending":
        for (const handler of this.handlers.values()) handler.interrupt("suspend", this.turn)
        return
      case "RunSuspended":
        this.leavesAt = this.turn + 6
        return
      case "RunResumed":
        for (const job of this.around.durable.jobs) if (job.status === "cleaning") this.cleans(job.spec.id)
        return
    }
  }

  private starts(id: string): void {
    const job = find(this.around.durable, id)
    if (job === undefined) return
    const { spec, starts, steps } = job
    const recorded = steps.map((step) => [step.name, step.result] as const)
    const { seed } = this.around
    const handler = new Handler(spec, starts, scriptOf(seed, spec), temperOf(seed, spec, starts), recorded, this.turn)
    this.handlers.set(id, handler)
    if (this.around.durable.run === "suspending") handler.interrupt("suspend", this.turn)
    if (job.status === "cancelling") handler.interrupt("cancel", this.turn)
    else if (job.isPaused) handler.interrupt("pause", this.turn)
  }

  private cleans(id: string): void {
    const job = find(this.around.durable, id)
    // Without the kind nobody knows how to clean up.
    if (job !== undefined && job.spec.kind in this.around.durable.config.kinds) {
      this.cleaning.set(id, 1 + mix(this.turn) % 6)
    }
  }

  /** Handlers whose time is over are interrupted, and those that have waited for a claim for very long. */
  private watchDeadlines(): void {
    for (const handler of this.handlers.values()) {
      if (handler.waitsFor.size > 0 && this.turn - handler.bornAt > 24) handler.interrupt("timeout", this.turn)
      const { deadline } = handler.spec
      if (deadline === undefined || deadline > this.now || handler.stop !== undefined) continue
      if (find(this.around.durable, handler.id)?.isReleased === false) handler.interrupt("deadline", this.turn)
    }
  }

  /** The handlers that have something to do. */
  ready(): ReadonlyArray<Handler> {
    this.watchDeadlines()
    const ready: Array<Handler> = []
    for (const handler of this.handlers.values()) if (handler.isReady(this.now)) ready.push(handler)
    return ready
  }

  /** When a handler that sleeps goes on. */
  wakesAt(): number | undefined {
    let earliest: number | undefined
    for (const handler of this.handlers.values()) {
      const at = handler.wakesAt
      if (at !== undefined && (earliest === undefined || at < earliest)) earliest = at
    }
    return earliest
  }

  /** Clean-ups, and handlers that were given up, go on. */
  others(): boolean {
    for (const [id, turns] of this.cleaning) {
      if (find(this.around.durable, id)?.status !== "cleaning") this.cleaning.delete(id)
      else if (turns > 0) this.cleaning.set(id, turns - 1)
      else {
        this.cleaning.delete(id)
        this.around.cleaned(id)
        this.command({ _tag: "Cleaned", id })
        return true
      }
    }
    for (const each of this.givenUp) each.turnsLeft -= 1
    const ended = this.givenUp.find((each) => each.turnsLeft <= 0)
    if (ended === undefined) return this.cleaning.size > 0
    this.endsAtLast(ended)
    return true
  }

  /** A handler that was given up ends now: one that is chosen, or none. */
  endStuck(isChosen: (id: string) => boolean): void {
    const ended = this.givenUp.find((each) => isChosen(each.id))
    if (ended !== undefined) this.endsAtLast(ended)
  }

  private endsAtLast(ended: GivenUp): void {
    const { id, start } = ended
    this.givenUp = this.givenUp.filter((each) => each !== ended)
    this.command({ _tag: "Succeed", id, start, result: "late", children: [] })
    this.command({ _tag: "Unstuck", id, start })
  }
}
