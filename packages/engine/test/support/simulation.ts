/**
 * Runs a program against the real state, held against the naive model by an auditor, and shows every event to whoever
 * watches.
 */
import { Result } from "effect"
import type { AttemptEnd, Command, WorkControl, WorkFilter } from "../../src/internal/command.ts"
import { Auditor, type Watch } from "../../src/internal/simulatorAuditor.ts"
import { core } from "../../src/internal/simulatorCore.ts"
import { earliestDue } from "../../src/internal/simulatorFollow.ts"
import * as Naive from "../../src/internal/simulatorModel.ts"
import type { RunConfig, RunEvent } from "../../src/RunEvent.ts"
import * as RunEvents from "../../src/RunEvent.ts"
import * as RunState from "../../src/RunState.ts"
import type { ChildSpec, WorkSpec } from "../../src/WorkSpec.ts"
import type {
  Action,
  ChildSketch,
  ControlSketch,
  EndSketch,
  FilterSketch,
  Message,
  Program,
  SpecSketch
} from "./program.ts"
import { projection } from "./projection.ts"

/** A deployment that has everything that any work can want. */
export const generous: RunConfig = {
  concurrency: 4,
  pools: { gpu: 9, disk: 9, tape: 9 },
  kinds: {
    Plain: { onCancel: false },
    Undo: { onCancel: true },
    Single: { onCancel: false, limit: 1 },
    Pair: { onCancel: true, limit: 2 }
  },
  maxCrashes: 100,
  keepOpen: false
}

const by = { actor: "ada", reason: "at random" } as const

/** An event as the journal gives it back. */
const roundTrip = (event: RunEvent): RunEvent =>
  Result.getOrThrow(RunEvents.decode(JSON.parse(JSON.stringify(event)), RunEvents.version))

interface Options {
  /** Each command is decided once for nothing, and a refusal is looked at closely. */
  readonly checksPurity?: boolean
  /** Disagreement with the naive model is a failure; else the model only follows the events. */
  readonly isAudited?: boolean
}

export class Simulation {
  now = 1_000
  /** The state that commands are given to. */
  live: RunState.RunState = RunState.make()
  /** The journal, as it is read from disk: the events of one answer are durable together or not at all. */
  answers: Array<ReadonlyArray<RunEvent>> = []
  readonly auditor: Auditor
  private ids = 0
  readonly core = core
  private readonly checksPurity: boolean

  constructor(watch: Watch, options: Options = {}) {
    this.auditor = new Auditor(core, watch, options.isAudited ?? true)
    this.checksPurity = options.checksPurity ?? false
  }

  get naive(): Naive.Naive {
    return this.auditor.naive
  }

  get events(): ReadonlyArray<RunEvent> {
    return this.answers.flat()
  }

  run(program: Program): this {
    this.give({ _tag: "Start", config: program.config, specs: this.specsOf(program.specs) })
    this.schedule()
    for (const batch of program.batches) {
      for (const action of batch) this.act(action)
      this.schedule()
    }
    return this
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
      case "Limits":
        return this.give({ _tag: "SetLimits", limits: action.limits, ...by })
      case "Scope":
        return this.give({ _tag: action.command, scope: action.scope, ...by })
      case "Control": {
        const target = action.pick % 20 === 0 ? undefined : this.pick(this.naive.jobs, action.pick)
        return this.give({ ...this.controlOf(action.control), id: target?.spec.id ?? "nobody", ...by })
      }
      case "Each": {
        const control = this.controlOf(action.control)
        return this.give({ _tag: "Each", filter: this.filterOf(action.filter), control, ...by })
      }
      case "Crash":
        this.die(action.lose)
        return this.give({ _tag: "Open", config: action.config })
      case "Handler":
        return this.hear(action)
    }
  }

  private controlOf(control: ControlSketch): WorkControl {
    if (control._tag !== "RetryWork") return control
    return { _tag: "RetryWork", ...(control.from === undefined ? {} : { from: control.from }) }
  }

  private filterOf({ ids, isChildOf, key, kind, state }: FilterSketch): WorkFilter {
    return {
      ...(ids === undefined ? {} : { ids: ids.map((id) => `w${id}`) }),
      ...(kind === undefined ? {} : { kind }),
      ...(key === undefined ? {} : { key }),
      ...(isChildOf === undefined ? {} : { parent: `w${isChildOf}` }),
      ...(state === undefined ? {} : { state: state.length === 1 ? state[0]! : state })
    }
  }

  private hear({ manner, message, pick }: Extract<Action, { readonly _tag: "Handler" }>): void {
    if (manner === "unknown work") return this.give(this.commandOf(message, "nobody", 1))
    if (message._tag === "Unstuck") return this.hearStuck(manner, message.pick, pick)
    const target = this.pick(
      manner === "obeys" ? this.naive.jobs.filter((job) => this.mayHear(job, message, pick)) : this.naive.jobs,
      pick
    )
    if (target === undefined) return
    const start = manner === "another start" ? target.starts + (pick % 2 === 0 ? 1 : -1) : target.starts
    this.give(this.commandOf(message, target.spec.id, start))
  }

  private hearStuck(manner: string, which: number, pick: number): void {
    const stuck = this.pick(this.naive.stuck, which)
    if (stuck !== undefined && manner === "obeys") {
      return this.give({ _tag: "Unstuck", id: stuck.id, start: stuck.start })
    }
    const job = this.pick(this.naive.jobs, pick)
    if (job !== undefined && pick % 3 === 0) this.give({ _tag: "Unstuck", id: job.spec.id, start: job.starts })
  }

  /** A handler that waits for slots mostly does nothing else; now and then it has other fibers. */
  private mayHear(job: Naive.Job, message: Message, pick: number): boolean {
    if (message._tag === "Cleaned") return job.status === "cleaning"
    return Naive.isAlive(job) && (job.requests.length === 0 || pick % 5 === 0)
  }

  private commandOf(message: Message, id: string, start: number): Command {
    const from = { id, start }
    switch (message._tag) {
      case "RecordStep":
        return {
          _tag: "RecordStep",
          step: message.step,
          result: { recorded: this.answers.length },
          children: this.childrenOf(message.children, id),
          ...(message.cursor ? { cursor: true } : {}),
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
      case "Stuck":
        return { _tag: "Stuck", keepsSlots: message.keepsSlots, end: this.endOf(message.end, id, start), ...from }
      case "Unstuck":
        return { _tag: "Unstuck", ...from }
      case "Cleaned":
        return { _tag: "Cleaned", id }
      default:
        return this.endOf(message, id, start)
    }
  }

  private endOf(end: EndSketch, id: string, start: number): AttemptEnd {
    const from = { id, start }
    switch (end._tag) {
      case "Succeed":
        return { _tag: "Succeed", result: this.answers.length, children: this.childrenOf(end.children, id), ...from }
      case "Fail":
        return {
          _tag: "Fail",
          failure: { _tag: "Error", error: this.answers.length },
          retryAt: end.retryIn === undefined ? undefined : this.now + end.retryIn,
          children: this.childrenOf(end.children, id),
          ...(end.from === undefined ? {} : { from: end.from }),
          ...from
        }
      case "Interrupted":
        return { _tag: "Interrupted", livedMillis: end.livedMillis, ...from }
      case "Block":
        return { _tag: "Block", what: "of another version", ...from }
    }
  }

  /** A command, as the runner gives it. */
  give(command: Command): void {
    const before = this.checksPurity ? projection(this.live) : ""
    if (this.checksPurity) {
      RunState.decide(this.live, command, this.now)
      if (projection(this.live) !== before) throw new Error(`deciding ${command._tag} changed the state`)
    }
    const outcome = RunState.execute(this.live, command, this.now)
    if (this.checksPurity && Result.isFailure(outcome) && projection(this.live) !== before) {
      throw new Error(`${command._tag} was refused with ${outcome.failure._tag} and changed the state`)
    }
    const read = Result.map(outcome, (events) => events.map(roundTrip))
    if (Result.isSuccess(read) && read.success.length > 0) this.answers.push(read.success)
    this.auditor.answered(command, read, this.live, this.now)
  }

  schedule(): void {
    const events = RunState.schedule(this.live, this.now).map(roundTrip)
    if (events.length > 0) this.answers.push(events)
    this.auditor.scheduled(events, this.live, this.now)
  }

  /** The process is gone, and so is whatever was not durable. The run itself always is. */
  private die(lose: number): void {
    this.answers = this.answers.slice(0, Math.max(1, this.answers.length - lose))
    this.live = RunState.fold(this.events)
    this.auditor.restarted(this.events)
  }

  /** Everybody behaves from now on: whatever can still happen happens, until nothing can. */
  drain(): this {
    this.die(0)
    this.give({ _tag: "Open", config: generous })
    this.give({ _tag: "Continue", ...by })
    for (const kind of this.naive.pausedKinds) {
      this.give({ _tag: "ContinueScope", scope: { _tag: "Kind", kind }, ...by })
    }
    for (const key of this.naive.pausedKeys) this.give({ _tag: "ContinueScope", scope: { _tag: "Key", key }, ...by })
    this.give({ _tag: "Each", filter: {}, control: { _tag: "ContinueWork" }, ...by })
    for (let round = 0; round < 1_000; round++) {
      this.schedule()
      const job = this.naive.jobs.find((each) => Naive.isAlive(each) || each.status === "cleaning")
      if (job !== undefined) {
        const message = { _tag: job.status === "cleaning" ? "Cleaned" as const : "Succeed" as const, children: [] }
        this.give(this.commandOf(message, job.spec.id, job.starts))
        continue
      }
      const due = earliestDue(this.naive)
      if (due === undefined) return this
      this.now = Math.max(this.now, due)
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

  private specOf(sketch: SpecSketch, batch: ReadonlyArray<string>, place: number, parent?: string): WorkSpec {
    const { dedupe, key, kind, onCollision, onDependencyFailure, priority, slots, timeToLiveMillis } = sketch
    const after = sketch.after.map(({ of, pick }) =>
      of === "batch"
        ? this.pick(batch, pick)!
        : of === "nobody"
        ? "nobody"
        : this.pick(this.naive.jobs, pick)?.spec.id ?? "nobody"
    )
    const optional = {
      key,
      slots,
      dedupe,
      onCollision,
      onDependencyFailure,
      timeToLiveMillis,
      parent,
      notBefore: sketch.notBeforeIn === undefined ? undefined : this.now + sketch.notBeforeIn,
      deadline: sketch.deadlineIn === undefined ? undefined : this.now + sketch.deadlineIn,
      after: after.length === 0 ? undefined : after
    }
    const given = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined))
    return { id: batch[place]!, kind, priority, payload: null, ...given }
  }

  private specsOf(sketches: ReadonlyArray<SpecSketch>, parent?: string): ReadonlyArray<WorkSpec> {
    const batch = sketches.map((sketch) => this.idOf(sketch))
    return sketches.map((sketch, place) => this.specOf(sketch, batch, place, parent))
  }

  private childrenOf(sketches: ReadonlyArray<ChildSketch>, parent: string): ReadonlyArray<ChildSpec> {
    return this.specsOf(sketches, parent).map((spec, place) => ({ on: sketches[place]!.on, spec }))
  }
}
