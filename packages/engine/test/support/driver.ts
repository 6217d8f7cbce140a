/**
 * A run for examples: gives commands to a state and keeps the clock, the journal and the state in step.
 */
import { Result } from "effect"
import { statusOfWork } from "../../src/internal/status.ts"
import type { AttemptEnd, Command, Refusal, WorkControl } from "../../src/internal/command.ts"
import type { KindConfig, RunConfig, RunEvent } from "../../src/RunEvent.ts"
import * as RunEvents from "../../src/RunEvent.ts"
import {
  decide,
  execute,
  fold,
  fromSnapshot,
  type RunState,
  schedule,
  toSnapshot,
  type WorkEntry
} from "../../src/RunState.ts"
import type * as RunStatus from "../../src/RunStatus.ts"
import type { ChildSpec, Claims, SpawnOn, WorkSpec } from "../../src/WorkSpec.ts"

export const start = 1_700_000_000_000

export const by = { actor: "ada", reason: "asked to" } as const

export const kind = (options: Partial<KindConfig> = {}): KindConfig => ({ onCancel: false, ...options })

export const configOf = (options: Partial<RunConfig> = {}): RunConfig => ({
  concurrency: 10,
  pools: {},
  kinds: { Plain: kind(), Undo: kind({ onCancel: true }) },
  keepOpen: true,
  ...options
})

export const spec = (id: string, options: Partial<WorkSpec> = {}): WorkSpec => ({
  id,
  kind: "Plain",
  priority: 0,
  payload: null,
  ...options
})

export const child = (id: string, on: SpawnOn = "success", options: Partial<WorkSpec> = {}): ChildSpec => ({
  on,
  spec: spec(id, options)
})

export const boom = { _tag: "Error", error: "boom" } as const

/** An event as the journal gives it back. */
export const readBack = (event: RunEvent): RunEvent =>
  Result.getOrThrow(RunEvents.decode(JSON.parse(JSON.stringify(event)), RunEvents.version))

export class Driver {
  now = start
  state: RunState
  events: Array<RunEvent>

  private constructor(events: ReadonlyArray<RunEvent>) {
    this.events = [...events]
    this.state = fold(events)
  }

  static empty(): Driver {
    return new Driver([])
  }

  static start(options: Partial<RunConfig> = {}, ...specs: ReadonlyArray<WorkSpec>): Driver {
    const driver = Driver.empty()
    driver.give({ _tag: "Start", config: configOf(options), specs })
    return driver
  }

  /** Gives a command. The refusal is returned, its events are in the journal otherwise. */
  try(command: Command): Result.Result<ReadonlyArray<RunEvent>, Refusal> {
    const result = execute(this.state, command, this.now)
    if (Result.isSuccess(result)) this.events.push(...result.success)
    return result
  }

  give(command: Command): ReadonlyArray<RunEvent> {
    return Result.getOrThrow(this.try(command))
  }

  /** The tag of the refusal, or undefined when the command is taken. */
  refusal(command: Command): Refusal["_tag"] | undefined {
    const result = this.try(command)
    return Result.isFailure(result) ? result.failure._tag : undefined
  }

  /** What a command would do, without doing it. */
  wouldDo(command: Command): ReadonlyArray<RunEvent> {
    return Result.getOrThrow(decide(this.state, command, this.now))
  }

  add(...specs: ReadonlyArray<WorkSpec>): ReadonlyArray<RunEvent> {
    return this.give({ _tag: "Add", specs })
  }

  /** Starts what may start: the ids, or `id/hold` for a grant, in order. */
  schedule(): ReadonlyArray<string> {
    const events = schedule(this.state, this.now)
    this.events.push(...events)
    return events.map((event) =>
      event._tag === "SlotsGranted" ? `${event.id}/${event.hold}` : event._tag === "WorkStarted" ? event.id : event._tag
    )
  }

  entry(id: string): WorkEntry {
    const entry = this.state.works.get(id)
    if (entry === undefined) throw new Error(`no work "${id}" in the run`)
    return entry
  }

  status(id: string): string {
    return this.entry(id).status
  }

  attempt(id: string): number {
    return this.entry(id).live?.attempt ?? 1
  }

  /** The number of the work's latest start: what a message of its handler carries. */
  startOf(id: string): number {
    return this.state.works.get(id)?.live?.starts ?? 0
  }

  succeed(id: string, ...children: ReadonlyArray<ChildSpec>): ReadonlyArray<RunEvent> {
    return this.give({ _tag: "Succeed", id, start: this.startOf(id), result: null, children })
  }

  fail(id: string, ...children: ReadonlyArray<ChildSpec>): ReadonlyArray<RunEvent> {
    return this.give(this.failing(id, undefined, {}, children))
  }

  /** The attempt fails, and is to be tried again after a while. */
  failAgain(id: string, delayMillis: number, options: { readonly from?: string } = {}): ReadonlyArray<RunEvent> {
    return this.give(this.failing(id, delayMillis, options))
  }

  /** The end of an attempt that failed. */
  failing(
    id: string,
    retryInMillis: number | undefined,
    options: { readonly from?: string } = {},
    children: ReadonlyArray<ChildSpec> = []
  ): AttemptEnd {
    const retryAt = retryInMillis === undefined ? undefined : this.now + retryInMillis
    return { _tag: "Fail", id, start: this.startOf(id), failure: boom, retryAt, children, ...options }
  }

  /** Somebody asks for something of a work. */
  ask(id: string, control: WorkControl): ReadonlyArray<RunEvent> {
    return this.give({ ...control, id, ...by })
  }

  record(id: string, step: string, ...children: ReadonlyArray<ChildSpec>): ReadonlyArray<RunEvent> {
    return this.give({ _tag: "RecordStep", id, start: this.startOf(id), step, result: `${step} of ${id}`, children })
  }

  /** Records how far a loop has come. */
  advance(id: string, cursor: string, at: number, ...children: ReadonlyArray<ChildSpec>): ReadonlyArray<RunEvent> {
    return this.give({
      _tag: "RecordStep",
      id,
      start: this.startOf(id),
      step: cursor,
      result: at,
      children,
      cursor: true
    })
  }

  request(
    id: string,
    hold: string,
    claims: Claims,
    options: { readonly until?: string; readonly step?: string } = {}
  ): ReadonlyArray<RunEvent> {
    return this.give({ _tag: "RequestSlots", id, start: this.startOf(id), hold, claims, ...options })
  }

  release(id: string, hold: string): ReadonlyArray<RunEvent> {
    return this.give({ _tag: "ReleaseSlots", id, start: this.startOf(id), hold })
  }

  interrupted(id: string): ReadonlyArray<RunEvent> {
    return this.give({ _tag: "Interrupted", id, start: this.startOf(id), livedMillis: 10 })
  }

  cancel(id: string): ReadonlyArray<RunEvent> {
    return this.ask(id, { _tag: "CancelWork" })
  }

  pause(id: string): ReadonlyArray<RunEvent> {
    return this.ask(id, { _tag: "PauseWork" })
  }

  continue(id: string): ReadonlyArray<RunEvent> {
    return this.ask(id, { _tag: "ContinueWork" })
  }

  /** Retries a work by name. */
  again(id: string, from?: string): ReadonlyArray<RunEvent> {
    return this.ask(id, { _tag: "RetryWork", ...(from === undefined ? {} : { from }) })
  }

  /** Why a work waits, as the status says. */
  reason(id: string): RunStatus.WaitReason | undefined {
    return statusOfWork(this.state, this.entry(id), this.now, () => undefined).reason
  }

  /** Lets time pass. */
  tick(millis: number): ReadonlyArray<RunEvent> {
    this.now += millis
    return this.give({ _tag: "Tick" })
  }

  /** The process dies; the next one reads the journal and opens the run. */
  crash(options: Partial<RunConfig> = {}): ReadonlyArray<RunEvent> {
    this.die()
    return this.give({ _tag: "Open", config: configOf({ ...this.state.config, ...options }) })
  }

  /** The same run, as a process has it that read a snapshot. */
  restore(): void {
    this.state = fromSnapshot(JSON.parse(JSON.stringify(toSnapshot(this.state))))
  }

  /** The process dies before the last `lost` events are durable; nobody has opened the run again yet. */
  die(lost = 0): void {
    this.events = this.events.slice(0, this.events.length - lost)
    this.state = fold(this.events.map(readBack))
  }
}

export const tags = (events: ReadonlyArray<RunEvent>): ReadonlyArray<string> => events.map((event) => event._tag)

/** A run in which all works were added one after another and started as far as possible. */
export const running = (options: Partial<RunConfig>, ...specs: ReadonlyArray<WorkSpec>): Driver => {
  const run = Driver.start(options, ...specs)
  run.schedule()
  return run
}

/** The works that are in the run. */
export const ids = (run: Driver): ReadonlyArray<string> => Array.from(run.state.works.keys())
