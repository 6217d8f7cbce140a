/**
 * A run for examples: gives commands to a state and keeps the clock, the journal and the state in step.
 */
import { Result } from "effect"
import { type Command, decide, type Refusal } from "../../src/internal/decide.ts"
import type { KindConfig, RunConfig, RunEvent } from "../../src/RunEvent.ts"
import * as RunEvents from "../../src/RunEvent.ts"
import { execute, fold, type RunState, schedule, type WorkEntry } from "../../src/RunState.ts"
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

  succeed(id: string, ...children: ReadonlyArray<ChildSpec>): ReadonlyArray<RunEvent> {
    return this.give({ _tag: "Succeed", id, attempt: this.attempt(id), result: null, children })
  }

  fail(id: string, ...children: ReadonlyArray<ChildSpec>): ReadonlyArray<RunEvent> {
    return this.give({
      _tag: "Fail",
      id,
      attempt: this.attempt(id),
      failure: boom,
      retryAt: undefined,
      children
    })
  }

  retry(id: string, delayMillis: number): ReadonlyArray<RunEvent> {
    return this.give({
      _tag: "Fail",
      id,
      attempt: this.attempt(id),
      failure: boom,
      retryAt: this.now + delayMillis,
      children: []
    })
  }

  record(id: string, step: string, ...children: ReadonlyArray<ChildSpec>): ReadonlyArray<RunEvent> {
    return this.give({ _tag: "RecordStep", id, attempt: this.attempt(id), step, result: `${step} of ${id}`, children })
  }

  request(
    id: string,
    hold: string,
    claims: Claims,
    options: { readonly until?: string; readonly step?: string } = {}
  ): ReadonlyArray<RunEvent> {
    return this.give({ _tag: "RequestSlots", id, attempt: this.attempt(id), hold, claims, ...options })
  }

  release(id: string, hold: string): ReadonlyArray<RunEvent> {
    return this.give({ _tag: "ReleaseSlots", id, attempt: this.attempt(id), hold })
  }

  interrupted(id: string): ReadonlyArray<RunEvent> {
    return this.give({ _tag: "Interrupted", id, attempt: this.attempt(id), livedMillis: 10 })
  }

  cancel(id: string): ReadonlyArray<RunEvent> {
    return this.give({ _tag: "CancelWork", id, ...by })
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

  /** The process dies before the last `lost` events are durable; nobody has opened the run again yet. */
  die(lost = 0): void {
    this.events = this.events.slice(0, this.events.length - lost)
    this.state = fold(this.events.map((event) => Result.getOrThrow(RunEvents.decode(RunEvents.encode(event)))))
  }
}

export const tags = (events: ReadonlyArray<RunEvent>): ReadonlyArray<string> => events.map((event) => event._tag)
