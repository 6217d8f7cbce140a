/**
 * Runs a program against the real state, with the naive model beside it, and shows every event to whoever watches.
 */
import { Result } from "effect"
import { type Command, decide, type Refusal } from "../../src/internal/decide.ts"
import type { RunConfig, RunEvent } from "../../src/RunEvent.ts"
import * as RunEvents from "../../src/RunEvent.ts"
import { evolve, execute, fold, type RunState, schedule } from "../../src/RunState.ts"
import type { ChildSpec, WorkSpec } from "../../src/WorkSpec.ts"
import * as Naive from "./model.ts"
import type { Action, ChildSketch, Message, Program, SpecSketch } from "./program.ts"
import { projection } from "./projection.ts"

/** What made an event: a command, or the scheduler. */
export type Source = Command | { readonly _tag: "Schedule" }

/** An event on its way. The replica is a state that has folded the events one by one, from their JSON. */
export interface Moment {
  readonly event: RunEvent
  readonly source: Source
  readonly naive: Naive.Naive
  readonly replica: RunState
}

/** Whatever a property wants to look at. All parts are optional; `naive` and `replica` may be read, not kept. */
export interface Watch {
  /** An event of which neither the model nor the replica knows yet. */
  readonly before?: (moment: Moment) => void
  /** The same event, folded into both. */
  readonly after?: (moment: Moment) => void
  /** A command is done with; `outcome` is its events or its refusal. */
  readonly answered?: (
    command: Command,
    outcome: Result.Result<ReadonlyArray<RunEvent>, Refusal>,
    simulation: Simulation
  ) => void
  /** A batch is done with, and whatever may start has been started. */
  readonly scheduled?: (simulation: Simulation) => void
  /** The process has died: the model shows what the journal holds, and nobody has opened it yet. */
  readonly died?: (simulation: Simulation) => void
  /** The program is over, and so is the run: everything was brought to its end. */
  readonly drained?: (simulation: Simulation) => void
}

/** A deployment that has everything that any work can want. */
export const generous: RunConfig = {
  concurrency: 4,
  pools: { gpu: 9, disk: 9 },
  kinds: {
    Plain: { onCancel: false },
    Undo: { onCancel: true },
    Single: { onCancel: false, limit: 1 },
    Pair: { onCancel: true, limit: 2 }
  },
  keepOpen: false
}

const by = { actor: "ada", reason: "at random" } as const

export class Simulation {
  now = 1_000
  /** The state that commands are given to. */
  live: RunState = fold([])
  /** The journal, as it is read from disk. */
  events: Array<RunEvent> = []
  /** The same events folded one by one. */
  replica: RunState = fold([])
  naive: Naive.Naive = Naive.empty()
  private ids = 0
  private readonly watch: Watch
  private readonly checksPurity: boolean

  constructor(watch: Watch, options: { readonly checksPurity?: boolean } = {}) {
    this.watch = watch
    this.checksPurity = options.checksPurity ?? false
  }

  run(program: Program): void {
    this.give({ _tag: "Start", config: program.config, specs: this.specsOf(program.specs) })
    this.schedule()
    for (const batch of program.batches) {
      for (const action of batch) this.act(action)
      this.schedule()
    }
    if (this.watch.drained !== undefined) {
      this.drain()
      this.watch.drained(this)
    }
  }

  private act(action: Action): void {
    switch (action._tag) {
      case "Add":
        return this.give({ _tag: "Add", specs: this.specsOf(action.specs) })
      case "Start":
        return this.give({ _tag: "Start", config: action.config, specs: this.specsOf(action.specs) })
      case "Tick":
        this.now += action.millis
        return this.give({ _tag: "Tick" })
      case "Run":
        return this.give(action.command === "Close" ? { _tag: "Close" } : { _tag: action.command, ...by })
      case "CancelWork": {
        const target = this.pick(this.naive.jobs, action.pick)
        return this.give({
          _tag: "CancelWork",
          id: action.pick % 20 === 0 ? "nobody" : target?.spec.id ?? "nobody",
          ...by
        })
      }
      case "Crash":
        this.die(action.lose)
        return this.give({ _tag: "Open", config: action.config })
      case "Handler":
        return this.hear(action)
    }
  }

  private hear({ manner, message, pick }: Extract<Action, { readonly _tag: "Handler" }>): void {
    if (manner === "unknown work") return this.give(this.commandOf(message, "nobody", 1))
    const target = this.pick(
      manner === "obeys" ? this.naive.jobs.filter((job) => this.mayHear(job, message, pick)) : this.naive.jobs,
      pick
    )
    if (target === undefined) return
    const attempt = manner === "another attempt" ? target.attempt + (pick % 2 === 0 ? 1 : -1) : target.attempt
    this.give(this.commandOf(message, target.spec.id, attempt))
  }

  /** A handler that waits for slots mostly does nothing else; now and then it has other fibers. */
  private mayHear(job: Naive.Job, message: Message, pick: number): boolean {
    if (message._tag === "Cleaned") return job.status === "cleaning"
    return Naive.isAlive(job) && (job.requests.length === 0 || pick % 5 === 0)
  }

  private commandOf(message: Message, id: string, attempt: number): Command {
    const from = { id, attempt }
    switch (message._tag) {
      case "RecordStep":
        return {
          _tag: "RecordStep",
          step: message.step,
          result: { recorded: this.events.length },
          children: this.childrenOf(message.children, id),
          ...from
        }
      case "RequestSlots":
        return {
          _tag: "RequestSlots",
          hold: message.hold,
          claims: message.claims,
          ...(message.until === undefined ? {} : { until: message.until }),
          ...(message.step === undefined ? {} : { step: message.step }),
          ...from
        }
      case "ReleaseSlots":
        return { _tag: "ReleaseSlots", hold: message.hold, ...from }
      case "Succeed":
        return { _tag: "Succeed", result: this.events.length, children: this.childrenOf(message.children, id), ...from }
      case "Fail":
        return {
          _tag: "Fail",
          failure: { _tag: "Error", error: this.events.length },
          retryAt: message.retryIn === undefined ? undefined : this.now + message.retryIn,
          children: this.childrenOf(message.children, id),
          ...from
        }
      case "Interrupted":
        return { _tag: "Interrupted", livedMillis: message.livedMillis, ...from }
      case "Block":
        return { _tag: "Block", what: "of another version", ...from }
      case "Cleaned":
        return { _tag: "Cleaned", id }
    }
  }

  /** A command, as the runner gives it. */
  give(command: Command): void {
    const before = this.checksPurity ? projection(this.live) : ""
    if (this.checksPurity) {
      decide(this.live, command, this.now)
      if (projection(this.live) !== before) throw new Error(`deciding ${command._tag} changed the state`)
    }
    const outcome = execute(this.live, command, this.now)
    if (Result.isSuccess(outcome)) this.record(outcome.success, command)
    else if (this.checksPurity && projection(this.live) !== before) {
      throw new Error(`${command._tag} was refused with ${outcome.failure._tag} and changed the state`)
    }
    this.watch.answered?.(command, outcome, this)
  }

  schedule(): void {
    this.record(schedule(this.live, this.now), { _tag: "Schedule" })
    this.watch.scheduled?.(this)
  }

  private record(events: ReadonlyArray<RunEvent>, source: Source): void {
    for (const each of events) {
      const event = Result.getOrThrow(RunEvents.decode(RunEvents.encode(each)))
      const moment = { event, source, naive: this.naive, replica: this.replica }
      this.watch.before?.(moment)
      this.events.push(event)
      evolve(this.replica, event)
      Naive.evolve(this.naive, event)
      this.watch.after?.(moment)
    }
  }

  /** The process is gone, and so is whatever was not durable. The run itself always is. */
  private die(lose: number): void {
    this.events = this.events.slice(0, Math.max(1, this.events.length - lose))
    this.live = fold(this.events)
    this.replica = fold(this.events)
    this.naive = Naive.empty()
    for (const event of this.events) Naive.evolve(this.naive, event)
    this.watch.died?.(this)
  }

  /** Everybody behaves from now on: whatever can still happen happens, until nothing can. */
  private drain(): void {
    this.die(0)
    this.give({ _tag: "Open", config: generous })
    this.give({ _tag: "Continue", ...by })
    for (let round = 0; round < 1_000; round++) {
      this.schedule()
      const job = this.naive.jobs.find((each) => Naive.isAlive(each) || each.status === "cleaning")
      if (job !== undefined) {
        this.give(
          this.commandOf(
            { _tag: job.status === "cleaning" ? "Cleaned" : "Succeed", children: [] },
            job.spec.id,
            job.attempt
          )
        )
        continue
      }
      const wakes = this.naive.jobs.flatMap((each) => each.wakeAt === undefined ? [] : [each.wakeAt])
      if (wakes.length === 0) return
      this.now = Math.max(this.now, Math.min(...wakes))
      this.give({ _tag: "Tick" })
    }
    throw new Error("the run does not come to its end: something starts again and again")
  }

  private pick<A>(from: ReadonlyArray<A>, index: number): A | undefined {
    return from.length === 0 ? undefined : from[index % from.length]
  }

  private idOf(sketch: SpecSketch): string {
    if (sketch.reuse !== undefined && this.ids > 0) return `w${1 + sketch.reuse % this.ids}`
    return `w${++this.ids}`
  }

  private specOf(sketch: SpecSketch, parent: string | undefined): WorkSpec {
    return {
      id: this.idOf(sketch),
      kind: sketch.kind,
      priority: sketch.priority,
      payload: null,
      ...(sketch.slots === undefined ? {} : { slots: sketch.slots }),
      ...(sketch.dedupe === undefined ? {} : { dedupe: sketch.dedupe }),
      ...(parent === undefined ? {} : { parent })
    }
  }

  private specsOf(sketches: ReadonlyArray<SpecSketch>): ReadonlyArray<WorkSpec> {
    return sketches.map((sketch) => this.specOf(sketch, undefined))
  }

  private childrenOf(sketches: ReadonlyArray<ChildSketch>, parent: string): ReadonlyArray<ChildSpec> {
    return sketches.map((sketch) => ({ on: sketch.on, spec: this.specOf(sketch, parent) }))
  }
}
