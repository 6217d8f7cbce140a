/**
 * Runs a program: processes that open the run one after another, what is done to it from outside, faults, and virtual time;
 * then, with everybody behaving, to the end.
 */
import type { RunConfig, RunEvent } from "../RunEvent.ts"
import type { WorkSpec } from "../WorkSpec.ts"
import type { Command } from "./command.ts"
import { Auditor, type Watch } from "./simulatorAuditor.ts"
import { check } from "./simulatorCheck.ts"
import { compare } from "./simulatorCompare.ts"
import type { Core } from "./simulatorCore.ts"
import { evolve } from "./simulatorFold.ts"
import { earliestDue } from "./simulatorFollow.ts"
import type { Handler } from "./simulatorHandler.ts"
import { SimulatedJournal } from "./simulatorJournal.ts"
import { empty, find, isAlive, type Job, type Naive } from "./simulatorModel.ts"
import { SimulatedProcess, type Surroundings } from "./simulatorProcess.ts"
import {
  controlOf,
  type Deed,
  type Fault,
  type Pick,
  type Program,
  type Rogue,
  type Sketch
} from "./simulatorProgram.ts"
import { Random } from "./simulatorRandom.ts"
import { stateOf } from "./simulatorStates.ts"

const by = { actor: "ada", reason: "at random" } as const

/** A deployment that has everything that any work can want. */
export const generous: RunConfig = {
  concurrency: 4,
  pools: { gpu: 99, disk: 99, tape: 99 },
  kinds: {
    Plain: { onCancel: false },
    Undo: { onCancel: true },
    Single: { onCancel: false, limit: 1 },
    Pair: { onCancel: true, limit: 2 }
  },
  maxCrashes: 100,
  keepOpen: false
}

export class World implements Surroundings {
  readonly seed: number
  readonly core: Core
  readonly auditor: Auditor
  readonly journal = new SimulatedJournal()
  durable: Naive = empty()
  now = 1_000
  turn = 0
  isDraining = false
  /** How often each fault met each control. */
  readonly pairs: Map<string, number>
  private readonly program: Program
  private process: SimulatedProcess | undefined = undefined
  private openings = 0
  private opensAt = 0

  constructor(program: Program, core: Core, watch: Watch, pairs: Map<string, number>) {
    this.program = program
    this.seed = program.seed
    this.core = core
    this.auditor = new Auditor(core, watch)
    this.pairs = pairs
  }

  run(): this {
    let next = 0
    const { happenings, turns } = this.program
    for (this.turn = 0; this.turn < turns; this.turn++) {
      this.live()
      const isTime = this.turn === this.program.startsAt && this.process !== undefined
      if (isTime) this.start(this.process!, this.program.configs[0]!)
      for (; next < happenings.length && happenings[next]!.turn <= this.turn; next++) this.does(happenings[next]!.deed)
      const random = new Random(this.seed, 5, this.turn)
      this.now += random.below(5)
      if (this.process?.isDead === false && random.chance(60)) this.process.tick()
      const moves = random.between(1, 4)
      for (let move = 0; move < moves; move++) this.move(random)
    }
    this.drain()
    return this
  }

  /** There is a process that has the run open, unless it takes its time. */
  private live(): void {
    const { process } = this
    if (process !== undefined && (process.isDead || this.turn >= process.leavesAt)) {
      this.process = undefined
      this.opensAt = this.turn + (this.isDraining ? 0 : this.turn % 3)
    }
    if (this.process === undefined && this.turn >= this.opensAt) this.open()
  }

  private open(): void {
    const { configs } = this.program
    const config = this.isDraining ? generous : configs[Math.min(this.openings, configs.length - 1)]!
    this.openings += 1
    const events = this.journal.read()
    this.auditor.restarted(events)
    this.process = new SimulatedProcess(this, this.restored(events))
    if (events.length > 0 || this.turn < this.program.startsAt) return this.process.command({ _tag: "Open", config })
    if (this.isDraining || this.turn > this.program.startsAt) this.start(this.process, config)
  }

  /** The first time, or because not even the start was durable. */
  private start(process: SimulatedProcess, config: RunConfig): void {
    const specs = this.isDraining ? [] : this.specsOf(this.program.sketches)
    process.command({ _tag: "Start", config, specs })
  }

  /** The state of a process that has just read the journal: from its first event, or from a snapshot. */
  private restored(events: ReadonlyArray<RunEvent>): ReturnType<Core["make"]> {
    const { snapshot } = this.journal
    const state = snapshot === undefined ? this.core.make() : this.core.fromSnapshot(JSON.parse(snapshot.parts))
    for (const event of events.slice(snapshot?.after ?? 0)) this.core.evolve(state, event)
    compare(this.auditor.naive, state)
    return state
  }

  /** Something that may happen next does. */
  private move(random: Random): void {
    const { process } = this
    if (process === undefined || process.isDead) return
    const ready = process.ready()
    const what = random.weighted(
      [
        [process.isAtRest ? 0 : 5, "append"],
        [ready.length > 0 ? 5 : 0, "handler"],
        [1, "others"]
      ] as const
    )
    if (what === "append") process.appends()
    else if (what === "handler") this.handler(process, random.pick(ready))
    else process.others()
  }

  private handler(process: SimulatedProcess, handler: Handler): void {
    handler.act(process)
    if (process.armed === "crash between effects" && !process.isDead) {
      process.isDead = true
      process.armed = undefined
      this.strikes("crash between effects", process.lastControl === undefined ? [] : [process.lastControl])
    }
  }

  readonly strikes = (fault: Fault, controls: ReadonlyArray<string>): void => {
    for (const control of new Set(controls)) {
      const pair = `${fault} | ${control}`
      this.pairs.set(pair, (this.pairs.get(pair) ?? 0) + 1)
    }
  }

  readonly appended = (events: ReadonlyArray<RunEvent>): void => {
    for (const event of events) evolve(this.durable, event)
  }

  /** The world sees what a handler does: it may not be done when its record is durable, or when nobody has asked for it. */
  readonly effect = (handler: Handler, step: string): void => {
    const job = find(this.durable, handler.id)
    check(
      job !== undefined && isAlive(job) && job.starts === handler.start,
      () => `${handler.id} runs its step ${step}, and its start ${handler.start} is not what is durable`
    )
    check(job!.status !== "cancelling", () => `${handler.id} begins its step ${step} after it was cancelled`)
    check(
      !job!.steps.some((each) => each.name === step),
      () => `${handler.id} runs its step ${step}, which is recorded`
    )
  }

  readonly cleaned = (id: string): void => {
    const status = find(this.durable, id)?.status
    check(status === "cleaning", () => `${id} is cleaned up while it is ${status}`)
  }

  private does(deed: Deed): void {
    if (deed._tag === "Sleep") {
      this.now += deed.millis
      return
    }
    const { process } = this
    if (process === undefined || process.isDead) return
    switch (deed._tag) {
      case "Snapshot":
        if (!process.isAtRest) return
        this.journal.snapshot = {
          after: this.journal.length,
          parts: JSON.stringify(this.core.toSnapshot(process.state))
        }
        return
      case "Stop":
        process.leavesAt = this.turn + 1
        return
      case "Fault":
        process.armed = deed.fault
        return
      case "Ask":
      case "Release":
        return this.aside(process, deed)
      case "EndStuck":
        return process.endStuck((id) => stateOf(find(this.auditor.naive, id)) === deed.state)
      default: {
        const command = this.commandOf(deed)
        if (command !== undefined) process.command(command, controlOf(deed))
      }
    }
  }

  /** Another fiber of a handler asks for a claim, or gives one back. */
  private aside(process: SimulatedProcess, deed: Extract<Deed, { readonly _tag: "Ask" | "Release" }>): void {
    const job = this.pick(deed.of)
    const handler = job === undefined ? undefined : process.handlers.get(job.spec.id)
    if (handler === undefined || handler.hasEnded) return
    if (deed._tag === "Release") handler.releasesAside(process, deed.hold)
    else handler.asksAside(process, deed.hold, deed.claims, deed.until, deed.isWaitedFor)
  }

  private commandOf(
    deed: Exclude<Deed, { readonly _tag: "Sleep" | "Snapshot" | "Stop" | "Fault" | "Ask" | "Release" | "EndStuck" }>
  ): Command | undefined {
    switch (deed._tag) {
      case "Add":
        return { _tag: "Add", specs: this.specsOf(deed.sketches) }
      case "Control":
        return { ...deed.control, id: this.pick(deed.of)?.spec.id ?? "nobody", ...by }
      case "Each":
        return { _tag: "Each", filter: deed.filter, control: deed.control, ...by }
      case "Run":
        return deed.command === "Close" ? { _tag: "Close" } : { _tag: deed.command, ...by }
      case "SetLimits":
        return { _tag: "SetLimits", limits: deed.limits, ...by }
      case "Scope":
        return { _tag: deed.command, scope: deed.scope, ...by }
      case "Start":
        return { _tag: "Start", config: generous, specs: [] }
      case "Rogue":
        return this.rogue(deed)
    }
  }

  /** What nobody should say: a message of a handler that is not, of a start that is over, or that says nothing new. */
  private rogue({ isLate, message, of }: Extract<Deed, { readonly _tag: "Rogue" }>): Command | undefined {
    const job = of.pick % 25 === 0 ? undefined : this.pick(of)
    const id = job?.spec.id ?? "nobody"
    const starts = job?.starts ?? 1
    const start = isLate ? starts - 1 : starts
    if (this.auditor.naive.stuck.some((each) => each.id === id && each.start === start)) return undefined
    if (job !== undefined && !isLate && isAlive(job)) return this.repeated(job, message)
    const from = { id, start }
    switch (message) {
      case "RecordStep":
        return { _tag: "RecordStep", step: "a", result: "rogue", children: [], ...from }
      case "Succeed":
        return { _tag: "Succeed", result: "rogue", children: [], ...from }
      case "Fail":
        return { _tag: "Fail", failure: { _tag: "Error", error: "rogue" }, retryAt: undefined, children: [], ...from }
      case "Interrupted":
        return { _tag: "Interrupted", livedMillis: 1, ...from }
      case "Block":
        return { _tag: "Block", what: "rogue", ...from }
      case "ReleaseSlots":
        return { _tag: "ReleaseSlots", hold: "h", ...from }
      case "Unstuck":
        return { _tag: "Unstuck", ...from }
      case "Cleaned":
        return job?.status === "cleaning" ? undefined : { _tag: "Cleaned", id }
    }
  }

  /** A handler that is alive says something that it has no reason to say, and that changes nothing. */
  private repeated(job: Job, message: Rogue): Command | undefined {
    const from = { id: job.spec.id, start: job.starts }
    const [step] = job.steps
    switch (message) {
      case "RecordStep":
        return step === undefined
          ? undefined
          : { _tag: "RecordStep", step: step.name, result: "again", children: [], ...from }
      case "ReleaseSlots":
        return { _tag: "ReleaseSlots", hold: "nothing", ...from }
      case "Unstuck":
        return { _tag: "Unstuck", ...from }
      case "Cleaned":
        return { _tag: "Cleaned", id: job.spec.id }
      default:
        return undefined
    }
  }

  private pick({ pick, state }: Pick): Job | undefined {
    const { jobs, stuck } = this.auditor.naive
    const isStuck = (job: Job): boolean => stuck.some((each) => each.id === job.spec.id)
    const preferred = state === undefined
      ? jobs
      : jobs.filter((job) => stateOf(job) === state || (state === "stuck" && isAlive(job) && isStuck(job)))
    const from = preferred.length > 0 ? preferred : jobs
    return from.length === 0 ? undefined : from[pick % from.length]
  }

  private specsOf(sketches: ReadonlyArray<Sketch>): ReadonlyArray<WorkSpec> {
    return sketches.map(({ deadlineIn, notBeforeIn, spec }) => ({
      ...spec,
      ...(notBeforeIn === undefined ? {} : { notBefore: this.now + notBeforeIn }),
      ...(deadlineIn === undefined ? {} : { deadline: this.now + deadlineIn })
    }))
  }

  /** Everybody behaves from now on, and nothing goes wrong: whatever can still happen does, until nothing can. */
  private drain(): void {
    this.isDraining = true
    this.opensAt = 0
    if (this.process !== undefined) this.process.isDead = true
    for (const end = this.turn + 5_000; this.turn < end; this.turn++) {
      const wasOpen = this.openings
      this.live()
      const process = this.process!
      if (this.openings > wasOpen) this.release(process)
      if (this.goesOn(process)) continue
      if (!this.waits(process)) return
    }
    check(false, () => "the run does not come to its end: something happens again and again")
  }

  /** Nothing is paused any more. */
  private release(process: SimulatedProcess): void {
    if (["absent", "suspending", "suspended", "cancelling", "cancelled"].includes(this.auditor.naive.run)) return
    process.command({ _tag: "Continue", ...by })
    const { pausedKeys, pausedKinds } = this.auditor.naive
    for (const kind of pausedKinds) process.command({ _tag: "ContinueScope", scope: { _tag: "Kind", kind }, ...by })
    for (const key of pausedKeys) process.command({ _tag: "ContinueScope", scope: { _tag: "Key", key }, ...by })
    process.command({ _tag: "Each", filter: {}, control: { _tag: "ContinueWork" }, ...by })
  }

  private goesOn(process: SimulatedProcess): boolean {
    if (!process.isAtRest) {
      process.appends()
      return true
    }
    const [ready] = process.ready()
    if (ready !== undefined) {
      ready.act(process)
      return true
    }
    return process.others()
  }

  /** Lets time pass until something is due. False when nothing ever will be. */
  private waits(process: SimulatedProcess): boolean {
    const due = Math.min(earliestDue(this.auditor.naive) ?? Infinity, process.wakesAt() ?? Infinity)
    if (due === Infinity) return false
    this.now = Math.max(this.now, due)
    process.command({ _tag: "Tick" })
    return true
  }

  /** The state that the last process left. */
  get last(): SimulatedProcess {
    return this.process!
  }
}
