/**
 * What the events of a run must add up to, whatever happened: a second reading of the journal that shares no code with
 * the engine. It knows the law of `docs/life-of-a-work.md` as far as it can be told from the events alone: who may start, what may
 * be held at the same time, what may be recorded, and that each work settles once in a generation.
 */
import type { Of, RunConfig, RunEvent } from "../RunEvent.ts"
import type { Claims, WorkSpec } from "../WorkSpec.ts"

interface Hold {
  readonly claims: Claims
  readonly until: string | undefined
  readonly step: string | undefined
}

/** What is on record of one work. */
export interface Account {
  spec: WorkSpec
  generation: number
  /** Starts in the life of the work. */
  starts: number
  /** Of the latest start. */
  attempt: number
  failures: number
  /** A handler has run. One that could not read its payload has not, unless something tells of an earlier one. */
  hasBegun: boolean
  livedMillis: number
  startedAt: number
  status: "pending" | "running" | "cancelling" | "cleaning" | "settled"
  /** Names of claims that its handler waits for. */
  readonly asking: Set<string>
  isLent: boolean
  readonly steps: Map<string, { readonly result: unknown; readonly isCursor: boolean }>
  readonly holds: Map<string, Hold>
  outcome: Extract<RunEvent, { readonly _tag: `Work${"Succeeded" | "Failed" | "Skipped" | "Cancelled"}` }> | undefined
  isPaused: boolean
}

const count = (counts: Map<string, number>, name: string | undefined, by: number): number => {
  if (name === undefined) return 0
  const sum = (counts.get(name) ?? 0) + by
  counts.set(name, sum)
  return sum
}

/** Folds events, one after the other, and notes what does not add up. */
export class Accounting {
  readonly violations: Array<string> = []
  readonly works = new Map<string, Account>()
  run:
    | "absent"
    | "running"
    | "pausing"
    | "paused"
    | "suspending"
    | "suspended"
    | "cancelling"
    | "cancelled"
    | "completed" = "absent"
  seq = 0
  /** Works that hold a unit of concurrency. */
  units = 0
  forgotten = 0
  private unsettled = 0
  private alive = 0
  private keepOpen = false
  private lastAt = 0
  /** Units of pools in use, works that run by kind, and by key. */
  readonly used = new Map<string, number>()
  readonly byKind = new Map<string, number>()
  readonly byKey = new Map<string, number>()
  private readonly pausedScopes = new Set<string>()
  /** What handlers that were given up go on holding, by work and start. */
  private readonly kept = new Map<string, ReadonlyArray<Claims>>()
  private config: RunConfig = { concurrency: 0, pools: {}, kinds: {}, keepOpen: false }

  private violate(what: string): void {
    this.violations.push(`event ${this.seq}: ${what}`)
  }

  apply(event: RunEvent): this {
    this.seq += 1
    const before = this.lastAt
    if (event.at < this.lastAt) this.violate(`${event._tag} is of an earlier time than the event before`)
    this.lastAt = event.at
    if (this.run === "absent" && event._tag !== "RunStarted") this.violate(`${event._tag} before the run was started`)
    if (event._tag === "WorkAdded") this.add(event.spec)
    else if (event._tag === "WorksForgotten") this.forget(event.ids)
    else if ("id" in event) this.work(event)
    else this.ofRun(event, before)
    return this
  }

  // -- Works

  private add(spec: WorkSpec): void {
    if (this.works.has(spec.id)) return this.violate(`"${spec.id}" is added, and is in the run`)
    this.unsettled += 1
    if (this.run === "completed") this.run = "running"
    if (this.run === "cancelled" || this.run === "suspended") {
      this.violate(`"${spec.id}" is added to a run that is ${this.run}`)
    }
    this.works.set(spec.id, {
      spec,
      generation: 0,
      starts: 0,
      attempt: 0,
      failures: 0,
      hasBegun: false,
      livedMillis: 0,
      startedAt: 0,
      status: "pending",
      asking: new Set(),
      isLent: false,
      steps: new Map(),
      holds: new Map(),
      outcome: undefined,
      isPaused: false
    })
  }

  private forget(ids: ReadonlyArray<string>): void {
    for (const id of ids) {
      if (this.works.get(id)?.status !== "settled") this.violate(`"${id}" is forgotten, and has not settled`)
      this.works.delete(id)
      this.forgotten += 1
    }
  }

  private work(event: Extract<RunEvent, { readonly id: string }>): void {
    const { _tag, id } = event
    const work = this.works.get(id)
    // The handler of a work that was given up, settled and was forgotten may end at last.
    if (_tag === "WorkUnstuck") return this.drop(`${id}#${event.start}`)
    if (work === undefined) return this.violate(`${_tag} of "${id}", which is not in the run`)
    if (work.status === "settled" && _tag !== "WorkRetried") {
      return this.violate(`${_tag} of "${id}", which has settled`)
    }
    switch (_tag) {
      case "WorkStarted":
        return this.start(work, event)
      case "StepRecorded":
        return this.record(work, event)
      case "SlotsRequested":
      case "SlotsGranted":
      case "SlotsReleased":
        return this.slots(work, event)
      case "WorkSucceeded":
      case "WorkFailed":
        this.settle(work, event)
        return event.children.forEach((child) => this.add(child))
      case "WorkSkipped":
      case "WorkCancelled":
        return this.settle(work, event)
      case "WorkRetryScheduled":
        this.end(work)
        work.failures += 1
        work.livedMillis = 0
        if (event.from !== undefined) this.again(work, event.from)
        return
      case "WorkRetried":
        if (work.status === "settled") {
          this.unsettled += 1
          if (this.run === "completed") this.run = "running"
          work.status = "pending"
          work.outcome = undefined
        }
        if (work.hasBegun) {
          this.again(work, event.from)
          work.livedMillis = 0
        }
        work.failures = 0
        return
      case "WorkInterrupted":
      case "WorkBlocked":
        if (work.status !== "running") this.violate(`${_tag} of "${id}", which is ${work.status}`)
        if (event._tag === "WorkInterrupted") work.livedMillis += event.livedMillis
        this.end(work)
        if (_tag === "WorkBlocked") {
          work.hasBegun = work.steps.size + work.failures + work.generation + work.holds.size + work.livedMillis > 0
        }
        return
      case "WorkPaused":
        work.isPaused = true
        return
      case "WorkContinued":
        work.isPaused = false
        return
      case "WorkReprioritized":
        work.spec = { ...work.spec, priority: event.priority }
        return
      case "WorkCancelling":
        if (!work.hasBegun) this.violate(`"${id}" is cancelling, and has never begun`)
        work.asking.clear()
        // It may be on its way to its clean-up already, with no handler.
        work.status = work.status === "running" ? "cancelling" : "cleaning"
        return
      case "WorkCleaning":
        if (work.status === "cancelling") this.end(work)
        work.status = "cleaning"
        return
      case "WorkStuck":
        if (event.keepsSlots) this.keep(work, event.start)
        return
      case "WorkQueued":
        return
    }
  }

  private start(work: Account, { attempt }: Of<"WorkStarted">): void {
    const { id, key, kind, slots } = work.spec
    if (work.status !== "pending") this.violate(`"${id}" is started, and is ${work.status}`)
    if (this.run !== "running") this.violate(`"${id}" is started in a run that is ${this.run}`)
    if (work.isPaused) this.violate(`"${id}" is started, and is paused`)
    if (this.pausedScopes.has(`kind ${kind}`)) this.violate(`"${id}" is started, and its kind is paused`)
    if (this.pausedScopes.has(`key ${key}`)) this.violate(`"${id}" is started, and its key is paused`)
    if (attempt !== work.failures + 1) this.violate(`"${id}" starts attempt ${attempt} after ${work.failures} failures`)
    work.status = "running"
    work.starts += 1
    work.hasBegun = true
    work.startedAt = this.lastAt
    work.attempt = attempt
    this.alive += 1
    this.takeUnit()
    const kinds = count(this.byKind, kind, 1)
    const limit = this.config.kinds[kind]?.limit ?? Infinity
    if (kinds > limit) this.violate(`${kinds} "${kind}" run at the same time, and the limit is ${limit}`)
    const keys = count(this.byKey, key, 1)
    const keyLimit = key === undefined ? Infinity : this.config.keyLimits?.[key] ?? this.config.keyLimit ?? Infinity
    if (keys > keyLimit) {
      this.violate(`${keys} works with the key "${key}" run at the same time, and the limit is ${keyLimit}`)
    }
    this.take(slots)
  }

  private takeUnit(): void {
    this.units += 1
    if (this.units > this.config.concurrency) {
      this.violate(`${this.units} works hold a unit of concurrency, and there are ${this.config.concurrency}`)
    }
  }

  private record(work: Account, { cursor, id, result, step }: Of<"StepRecorded">): void {
    if (work.status !== "running" && work.status !== "cancelling") {
      this.violate(`step "${step}" of "${id}" is recorded, and the work is ${work.status}`)
    }
    const earlier = work.steps.get(step)
    if (earlier !== undefined && !earlier.isCursor) this.violate(`step "${step}" of "${id}" is recorded twice`)
    work.steps.delete(step)
    work.steps.set(step, { result, isCursor: cursor === true })
    this.releaseWhere(work, (hold) => hold.until === step || hold.step === step)
  }

  private slots(work: Account, event: Of<"SlotsRequested"> | Of<"SlotsGranted"> | Of<"SlotsReleased">): void {
    const { hold, id } = event
    if (event._tag === "SlotsReleased") return this.releaseWhere(work, (_, name) => name === hold)
    if (work.status !== "running") this.violate(`${event._tag} of "${id}", which is ${work.status}`)
    if (event._tag === "SlotsRequested") {
      work.asking.add(hold)
      if (!work.isLent) this.units -= 1
      work.isLent = true
      return
    }
    if (work.holds.has(hold)) this.violate(`"${id}" is granted "${hold}", which it holds`)
    work.asking.delete(hold)
    if (work.isLent && work.asking.size === 0) {
      work.isLent = false
      this.takeUnit()
    }
    this.take(event.claims)
    work.holds.set(hold, { claims: event.claims, until: event.until, step: event.step })
  }

  private take(claims: Claims | undefined): void {
    for (const pool in claims) {
      const sum = count(this.used, pool, claims[pool]!)
      const size = this.config.pools[pool] ?? 0
      if (sum > size) this.violate(`${sum} units of "${pool}" are in use, and there are ${size}`)
    }
  }

  private free(claims: Claims | undefined): void {
    for (const pool in claims) count(this.used, pool, -claims[pool]!)
  }

  private releaseWhere(work: Account, isOver: (hold: Hold, name: string) => boolean): void {
    for (const [name, hold] of Array.from(work.holds)) {
      if (!isOver(hold, name)) continue
      work.holds.delete(name)
      this.free(hold.claims)
    }
  }

  /** The handler is over. */
  private end(work: Account): void {
    if (work.status !== "running" && work.status !== "cancelling") return
    work.status = "pending"
    if (!work.isLent) this.units -= 1
    work.isLent = false
    work.asking.clear()
    this.alive -= 1
    count(this.byKind, work.spec.kind, -1)
    count(this.byKey, work.spec.key, -1)
    if (this.kept.has(`${work.spec.id}#${work.starts}`)) return
    this.free(work.spec.slots)
    this.releaseWhere(work, (hold) => hold.step !== undefined)
  }

  private keep(work: Account, start: number): void {
    const kept: Array<Claims> = work.spec.slots === undefined ? [] : [work.spec.slots]
    for (const [name, hold] of Array.from(work.holds)) {
      if (hold.step === undefined) continue
      work.holds.delete(name)
      kept.push(hold.claims)
    }
    this.kept.set(`${work.spec.id}#${start}`, kept)
  }

  private drop(name: string): void {
    this.kept.get(name)?.forEach((claims) => this.free(claims))
    this.kept.delete(name)
  }

  private again(work: Account, from: string | undefined): void {
    work.generation += 1
    let isLater = from === undefined
    for (const step of Array.from(work.steps.keys())) {
      isLater ||= step === from
      if (isLater) work.steps.delete(step)
    }
  }

  private settle(work: Account, event: NonNullable<Account["outcome"]>): void {
    const { _tag, id } = event
    if (_tag === "WorkSucceeded" && work.status !== "running") this.violate(`"${id}" succeeds, and is ${work.status}`)
    if (_tag === "WorkSkipped" && work.starts > 0 && work.steps.size > 0) {
      this.violate(`"${id}" is skipped, and has begun`)
    }
    this.end(work)
    this.releaseWhere(work, () => true)
    work.status = "settled"
    work.isPaused = false
    work.outcome = event
    this.unsettled -= 1
  }

  // -- The run

  private ofRun(
    event: Exclude<RunEvent, { readonly id: string } | { readonly _tag: "WorkAdded" | "WorksForgotten" }>,
    before: number
  ): void {
    switch (event._tag) {
      case "RunStarted":
        if (this.run !== "absent") this.violate("the run is started twice")
        this.run = "running"
        this.keepOpen = event.config.keepOpen
        this.config = event.config
        return
      case "RunResumed":
        return this.resume(event.config, before)
      case "RunPausing":
        this.run = "pausing"
        return
      case "RunPaused":
        if (this.alive > 0) this.violate(`the run is paused, and ${this.alive} works run`)
        this.run = "paused"
        return
      case "RunContinued":
        this.run = "running"
        return
      case "RunSuspending":
        this.run = "suspending"
        return
      case "RunSuspended":
        if (this.alive > 0) this.violate(`the run is suspended, and ${this.alive} works run`)
        this.run = "suspended"
        return
      case "RunCancelling":
        this.run = "cancelling"
        return
      case "RunCancelled":
      case "RunCompleted":
        if (this.unsettled > 0) this.violate(`${event._tag}, and ${this.unsettled} works have not settled`)
        if (event._tag === "RunCompleted" && this.keepOpen) this.violate("the run completes, and is kept open")
        this.run = event._tag === "RunCancelled" ? "cancelled" : "completed"
        return
      case "RunClosed":
        this.keepOpen = false
        return
      case "LimitsChanged":
        return this.limit(event)
      case "ScopePaused":
      case "ScopeContinued": {
        const scope = event.scope._tag === "Kind" ? `kind ${event.scope.kind}` : `key ${event.scope.key}`
        if (event._tag === "ScopePaused") this.pausedScopes.add(scope)
        else this.pausedScopes.delete(scope)
      }
    }
  }

  /** A new process: the handlers of the one before are gone, and what they held for an attempt; what a work holds stays. */
  private resume(config: RunConfig, before: number): void {
    this.config = config
    this.keepOpen = config.keepOpen
    for (const name of Array.from(this.kept.keys())) this.drop(name)
    for (const work of this.works.values()) {
      if (work.status === "running") {
        work.livedMillis += Math.max(0, before - work.startedAt)
        this.end(work)
      } else if (work.status === "cancelling") {
        this.end(work)
        work.status = "cleaning"
      }
    }
    if (this.run === "suspending" || this.run === "suspended") this.run = "running"
  }

  private limit({ limits }: Of<"LimitsChanged">): void {
    const { config } = this
    const kinds = { ...config.kinds }
    for (const [name, limit] of Object.entries(limits.kinds ?? {})) {
      const { limit: _, ...rest } = kinds[name] ?? { onCancel: false }
      kinds[name] = limit === null ? rest : { ...rest, limit }
    }
    const keyLimits: { [key: string]: number } = { ...config.keyLimits }
    for (const [name, limit] of Object.entries(limits.keyLimits ?? {})) {
      if (limit === null) Reflect.deleteProperty(keyLimits, name)
      else keyLimits[name] = limit
    }
    const { keyLimit: before, ...rest } = config
    const keyLimit = limits.keyLimit === undefined ? before : limits.keyLimit ?? undefined
    this.config = {
      ...rest,
      concurrency: limits.concurrency ?? config.concurrency,
      pools: { ...config.pools, ...limits.pools },
      kinds,
      keyLimits,
      ...(keyLimit === undefined ? {} : { keyLimit })
    }
  }
}

/**
 * Everything that does not add up in the events of a run, given from the first one on; nothing, for a run that is sound.
 *
 * @example
 * ```ts
 * import type { RunEvent } from "@espalier/engine"
 * import { Accounting } from "@espalier/engine/testing"
 * import assert from "node:assert"
 *
 * const config = { concurrency: 1, pools: {}, kinds: { Task: { onCancel: false } }, keepOpen: false }
 * const task = (id: string) => ({ id, kind: "Task", priority: 0, payload: null })
 * const events: Array<RunEvent.RunEvent> = [
 *   { _tag: "RunStarted", at: 0, config },
 *   { _tag: "WorkAdded", at: 0, spec: task("a") },
 *   { _tag: "WorkAdded", at: 0, spec: task("b") },
 *   { _tag: "WorkStarted", at: 0, id: "a", attempt: 1 }
 * ]
 * assert.deepStrictEqual(Accounting.check(events), [])
 * assert.deepStrictEqual(Accounting.check([...events, { _tag: "WorkStarted", at: 0, id: "b", attempt: 1 }]), [
 *   "event 5: 2 works hold a unit of concurrency, and there are 1"
 * ])
 * ```
 */
export const check = (events: Iterable<RunEvent>): ReadonlyArray<string> => {
  const accounting = new Accounting()
  for (const event of events) accounting.apply(event)
  return accounting.violations
}
