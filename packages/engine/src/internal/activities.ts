/**
 * What is alive for a run: handlers, clean-ups, and handlers that were given up.
 */
import { Context, Effect, Fiber } from "effect"
import type { StopReason } from "../CurrentWork.ts"
import type { StuckHandler } from "../RunStatus.ts"
import type { WorkSpec } from "../WorkSpec.ts"
import { Attempt, type Host } from "./attempt.ts"
import { Cleaning } from "./cleaning.ts"
import type { RunState, WorkEntry } from "./model.ts"
import type { Registered } from "./registered.ts"
import type { Overlay } from "./status.ts"
import { fromTraceparent, isTraced } from "./trace.ts"

export class Activities {
  /** Handlers that run, or are ending, by the id of their work. */
  readonly active = new Map<string, Attempt>()
  private readonly givenUp = new Set<Attempt>()
  /** Those of the active whose handlers have not begun yet, in the order of their starts. */
  private waiting: Array<Attempt> = []
  private readonly cleanings = new Map<string, Cleaning>()
  private readonly bases = new Map<string, Context.Context<never>>()
  private readonly host: Host
  private readonly state: RunState
  private readonly kinds: ReadonlyMap<string, Registered>
  private readonly context: Context.Context<never>
  private readonly background: (message: string) => void
  private readonly isTraced: boolean

  constructor(
    host: Host,
    state: RunState,
    kinds: ReadonlyMap<string, Registered>,
    context: Context.Context<never>,
    background: (message: string) => void
  ) {
    this.host = host
    this.state = state
    this.kinds = kinds
    this.context = context
    this.background = background
    this.isTraced = isTraced(context)
  }

  /** What a handler may use: its own services, and over them those of whoever opened the run. */
  private baseOf(registered: Registered): Context.Context<never> {
    const { kind } = registered.kind
    let base = this.bases.get(kind)
    if (base === undefined) {
      base = Context.merge(registered.handler.context, this.context)
      this.bases.set(kind, base)
    }
    return base
  }

  /** A start that is durable. Its handler begins with the next `beginWaiting`. */
  start(entry: WorkEntry): void {
    const attempt = new Attempt(this.host, this.kinds.get(entry.spec.kind)!, entry)
    this.active.set(entry.spec.id, attempt)
    this.waiting.push(attempt)
  }

  get areWaiting(): boolean {
    return this.waiting.length > 0
  }

  /** Begins handlers that were started: all, or the first so many. */
  beginWaiting(count = this.waiting.length): void {
    if (count === 0) return
    const attempts = this.waiting
    this.waiting = attempts.splice(count)
    for (const attempt of attempts) {
      const { registered, spec } = attempt
      attempt.begin(
        this.baseOf(registered),
        this.isTraced ? (handler) => this.traced(spec, attempt, handler) : undefined
      )
    }
  }

  /** A span for the attempt, below that of whoever asked for the work. */
  private traced(spec: WorkSpec, attempt: Attempt, handler: Effect.Effect<unknown, unknown>) {
    const parent = spec.traceparent === undefined ? undefined : fromTraceparent(spec.traceparent)
    return Effect.withSpan(handler, spec.kind, {
      ...(parent === undefined ? { root: true } : { parent }),
      attributes: {
        "espalier.run": attempt.runId,
        "espalier.work": spec.id,
        "espalier.attempt": attempt.attempt,
        "espalier.generation": attempt.generation
      }
    })
  }

  ended(attempt: Attempt): void {
    const { id } = attempt.spec
    this.givenUp.delete(attempt)
    if (this.active.get(id) === attempt) this.active.delete(id)
    this.host.changed()
  }

  gaveUp(attempt: Attempt): void {
    const { id } = attempt.spec
    if (this.active.get(id) === attempt) this.active.delete(id)
    this.givenUp.add(attempt)
  }

  get stuck(): ReadonlyArray<StuckHandler> {
    return Array.from(this.givenUp, ({ attempt, reason, spec, startedAt, step }) => ({
      id: spec.id,
      kind: spec.kind,
      attempt,
      startedAt,
      step,
      reason: reason!
    }))
  }

  overlay(id: string): Overlay | undefined {
    return this.active.get(id) ?? this.cleanings.get(id)?.work
  }

  interruptAll(reason: StopReason): void {
    for (const attempt of Array.from(this.active.values())) attempt.stop(reason)
    // What had not begun by now only says that it was stopped.
    this.beginWaiting()
    for (const cleaning of Array.from(this.cleanings.values())) cleaning.interrupt(reason)
  }

  /** Takes up what was left in the middle of its clean-up. */
  recover(but: ReadonlySet<string> = new Set()): void {
    for (const { spec: { id }, status } of this.state.begun) {
      if (status === "cleaning" && !but.has(id)) this.startCleaning(id)
    }
  }

  /** A kind that this process lacks waits for one that has it. */
  startCleaning(id: string): void {
    const entry = this.state.works.get(id)!
    const registered = this.kinds.get(entry.spec.kind)
    if (registered?.handler.onCancel === undefined || this.cleanings.has(id)) return
    let isOver = false
    const cleaning = new Cleaning(
      this.host,
      registered,
      entry,
      this.baseOf(registered),
      this.background,
      () => {
        isOver = true
        this.cleanings.delete(id)
      }
    )
    // One that needed to wait for nothing is over by now.
    if (!isOver) this.cleanings.set(id, cleaning)
  }

  readonly endCleanings: Effect.Effect<void> = Effect.suspend(() => {
    const fibers = Array.from(this.cleanings.values(), (cleaning) => {
      cleaning.interrupt("suspend")
      return cleaning.fiber
    })
    return Effect.asVoid(Fiber.awaitAll(fibers))
  })
}
