/**
 * A handler as the simulator runs it: one operation after another, each of which may be the last that its process lives to see.
 */
import type { RunEvent } from "../RunEvent.ts"
import type { ChildSpec, Claims, WorkSpec } from "../WorkSpec.ts"
import type { AttemptEnd, Command } from "./command.ts"
import type { Operation, Temper } from "./simulatorScript.ts"

/** Why a handler is interrupted. */
export type Stop = "cancel" | "suspend" | "pause" | "deadline" | "timeout"

/** What a handler needs of the process that it lives in. */
export interface Host {
  readonly now: number
  readonly turn: number
  /** Nothing goes wrong any more: the run is brought to its end. */
  readonly isDraining: boolean
  /** Gives a command; `reply` is called with its events when they are durable, or with undefined when it is refused. */
  readonly say: (command: Command, reply?: (events: ReadonlyArray<RunEvent> | undefined) => void) => void
  /** A step does to the world what it is for. */
  readonly effect: (handler: Handler, step: string) => void
  readonly give: (handler: Handler, end: AttemptEnd) => void
  readonly giveUp: (handler: Handler, end: AttemptEnd) => void
}

/** After so many turns a handler that was interrupted is given up, and one that goes on for ever is out of time. */
const grace = 4
const patience = 12

export class Handler {
  readonly id: string
  readonly start: number
  readonly spec: WorkSpec
  private readonly operations: ReadonlyArray<Operation>
  readonly temper: Temper
  private readonly recorded: Set<string>
  private readonly cursors: Map<string, number>
  private readonly granted = new Set<string>()
  /** Claims that it waits for, and whether it waits for an answer. */
  readonly waitsFor = new Set<string>()
  isAnswerDue = false
  private at = 0
  private isDone = false
  private sleepsUntil = 0
  private readonly spawned: Array<ChildSpec> = []
  stop: Stop | undefined = undefined
  private stoppedAt = 0
  readonly bornAt: number
  hasEnded = false

  constructor(
    spec: WorkSpec,
    start: number,
    operations: ReadonlyArray<Operation>,
    temper: Temper,
    recorded: Iterable<readonly [name: string, result: unknown]>,
    turn: number
  ) {
    this.id = spec.id
    this.start = start
    this.spec = spec
    this.operations = operations
    this.temper = temper
    this.recorded = new Set(Array.from(recorded, ([name]) => name))
    this.cursors = new Map(Array.from(recorded, ([name, result]) => [name, typeof result === "number" ? result : 0]))
    this.bornAt = turn
  }

  /** When it would go on, if it only sleeps. */
  get wakesAt(): number | undefined {
    return this.isBusy ? undefined : this.sleepsUntil
  }

  private get isBusy(): boolean {
    return this.isAnswerDue || this.waitsFor.size > 0
  }

  interrupt(stop: Stop, turn: number): void {
    // A cancel comes before whatever else it was interrupted for.
    if (this.stop !== undefined && stop !== "cancel") return
    this.stop = stop
    this.stoppedAt = turn
  }

  isGranted(hold: string): void {
    this.waitsFor.delete(hold)
    this.granted.add(hold)
  }

  /** Whether it has something to do at this time. */
  isReady(now: number): boolean {
    if (this.hasEnded || this.isAnswerDue) return false
    if (this.stop !== undefined && this.stop !== "pause") return true
    return this.waitsFor.size === 0 && this.sleepsUntil <= now
  }

  /** Does one thing. */
  act(host: Host): void {
    const { ending } = this.temper
    if (ending._tag === "Block" && this.at === 0 && !host.isDraining) {
      return this.end(host, { _tag: "Block", what: "of another version", ...this.from })
    }
    // What is done already is recorded by some before they stop.
    if (this.isInterrupted() && !(this.isDone && this.start % 2 === 1)) return this.stops(host)
    if (this.isDone) return this.records(host)
    const operation = this.operations[this.at]
    if (operation === undefined) return this.finishes(host)
    switch (operation._tag) {
      case "Step":
        return this.steps(host, operation)
      case "Cursor":
        return this.advances(host, operation)
      case "Hold":
        return this.asks(host, operation.name, operation.claims, operation.until, undefined)
      case "Release":
        this.granted.delete(operation.name)
        return this.says(host, { _tag: "ReleaseSlots", hold: operation.name, ...this.from }, () => this.at++)
      case "Spawn":
        this.spawned.push(operation.child)
        this.at++
        return
      case "Sleep":
        this.sleepsUntil = host.now + operation.millis
        this.at++
    }
  }

  private get from(): { readonly id: string; readonly start: number } {
    return { id: this.id, start: this.start }
  }

  /** A pause takes effect where a step would begin, everything else at once. */
  private isInterrupted(): boolean {
    if (this.stop !== "pause") return this.stop !== undefined
    const next = this.operations[this.at]?._tag
    return !this.isDone && (next === "Step" || next === "Cursor")
  }

  private says(host: Host, command: Command, then: (events: ReadonlyArray<RunEvent>) => void): void {
    this.isAnswerDue = true
    host.say(command, (events) => {
      this.isAnswerDue = false
      if (this.hasEnded) return
      if (events === undefined) this.fails(host)
      else then(events)
    })
  }

  private steps(host: Host, operation: Extract<Operation, { readonly _tag: "Step" }>): void {
    const { name, slots } = operation
    if (this.recorded.has(name)) {
      this.at++
      return
    }
    if (slots !== undefined && !this.granted.has(`step:${name}`)) {
      return this.asks(host, `step:${name}`, slots, undefined, name)
    }
    host.effect(this, name)
    this.isDone = true
  }

  /** The effect has happened: what came out of it is recorded. */
  private records(host: Host): void {
    const operation = this.operations[this.at]
    this.isDone = false
    if (operation?._tag !== "Step") return
    const { children, name } = operation
    this.says(
      host,
      { _tag: "RecordStep", step: name, result: `${name} of ${this.start}`, children, ...this.from },
      () => {
        this.recorded.add(name)
        this.at++
      }
    )
  }

  private advances(host: Host, { children, name, to }: Extract<Operation, { readonly _tag: "Cursor" }>): void {
    const reached = this.cursors.get(name) ?? 0
    if (reached >= to) {
      this.at++
      return
    }
    const command = {
      _tag: "RecordStep",
      step: name,
      result: reached + 1,
      // Each record has its own: those of the earlier ones must come into the run as well.
      children: children.map(({ on, spec }) => ({ on, spec: { ...spec, id: `${spec.id}.${reached}` } })),
      cursor: true,
      ...this.from
    } as const
    this.says(host, command, () => this.cursors.set(name, reached + 1))
  }

  /** Asks for a claim; the next operation comes when it is granted. */
  private asks(
    host: Host,
    hold: string,
    claims: Claims,
    until: string | undefined,
    step: string | undefined
  ): void {
    const options = { ...(until === undefined ? {} : { until }), ...(step === undefined ? {} : { step }) }
    this.says(host, { _tag: "RequestSlots", hold, claims, ...options, ...this.from }, (events) => {
      const isQueued = events.some((event) => event._tag === "SlotsRequested")
      if (isQueued && !this.granted.has(hold)) this.waitsFor.add(hold)
      else this.granted.add(hold)
      if (step === undefined) this.at++
    })
  }

  /** Another fiber of it asks for a claim; the others wait for that one, or go on. */
  asksAside(host: Host, hold: string, claims: Claims, until: string | undefined, isWaitedFor: boolean): void {
    const command = {
      _tag: "RequestSlots",
      hold,
      claims,
      ...(until === undefined ? {} : { until }),
      ...this.from
    } as const
    host.say(command, (events) => {
      const isQueued = events?.some((event) => event._tag === "SlotsRequested") ?? false
      if (isQueued && isWaitedFor && !this.granted.has(hold)) this.waitsFor.add(hold)
    })
  }

  /** Another fiber of it gives a claim back. */
  releasesAside(host: Host, hold: string): void {
    host.say({ _tag: "ReleaseSlots", hold, ...this.from })
  }

  private fails(host: Host): void {
    this.end(host, { ...this.failure(undefined), retryAt: undefined })
  }

  private failure(from: string | undefined): Extract<AttemptEnd, { readonly _tag: "Fail" }> {
    return {
      _tag: "Fail",
      failure: { _tag: "Error", error: this.start },
      retryAt: undefined,
      ...(from === undefined ? {} : { from }),
      children: this.spawned,
      ...this.from
    }
  }

  private finishes(host: Host): void {
    const { ending } = this.temper
    if (host.isDraining || ending._tag === "Succeed") {
      return this.end(host, { _tag: "Succeed", result: this.start, children: this.spawned, ...this.from })
    }
    if (ending._tag === "Fail") {
      const { from, retryIn } = ending
      return this.end(host, { ...this.failure(from), retryAt: retryIn === undefined ? undefined : host.now + retryIn })
    }
    // It goes on until its time is over.
    if (host.turn - this.bornAt > patience) this.interrupt("timeout", host.turn)
    else this.sleepsUntil = host.now + 5
  }

  private stops(host: Host): void {
    const turns = host.isDraining ? Infinity : host.turn - this.stoppedAt
    if (this.temper.isStubborn && !host.isDraining) {
      if (turns < grace) return
      this.hasEnded = true
      return host.giveUp(this, this.stopped(host))
    }
    if (turns >= this.temper.finalizerTurns) this.end(host, this.stopped(host))
  }

  private stopped(host: Host): AttemptEnd {
    switch (this.stop) {
      case "deadline":
        return { ...this.failure(undefined), failure: { _tag: "Expired", deadline: this.spec.deadline ?? 0 } }
      case "timeout":
        return {
          ...this.failure(undefined),
          failure: { _tag: "TimedOut", afterMillis: 1 },
          retryAt: this.start % 2 === 0 ? undefined : host.now + 20
        }
      default: {
        if (this.temper.isQuick && this.stop !== "pause") {
          return this.start % 2 === 0
            ? this.failure(undefined)
            : { _tag: "Succeed", result: this.start, children: this.spawned, ...this.from }
        }
        return { _tag: "Interrupted", livedMillis: 3, ...this.from }
      }
    }
  }

  private end(host: Host, end: AttemptEnd): void {
    this.hasEnded = true
    host.give(this, end)
  }
}
