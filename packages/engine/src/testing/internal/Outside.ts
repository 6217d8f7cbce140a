/**
 * The world outside of the simulated processes: it sees what handlers do, and what is durable, and nothing of the engine's
 * state. Whatever does not fit together is noted, with the time.
 *
 * No more handlers are alive, and no more units are held by them, than are on record; and what is on record is held against the
 * limits by `Accounting`. A handler is counted from its first effect on, which is after its start was recorded, and no longer when
 * its last is through, which is before its end is.
 */
import type { RunEvent, RunSnapshot, Sequenced } from "../../RunEvent.ts"
import { fold, fromSnapshot, toSnapshot } from "../../RunState.ts"
import type { Claims, WorkSpec } from "../../WorkSpec.ts"
import { Accounting } from "../Accounting.ts"
import { canonical, same } from "./same.ts"
import type { Program, Work } from "./Program.ts"

/** A handler that is alive, as it knows itself. */
export interface Handler {
  readonly token: number
  readonly process: number
  readonly spec: WorkSpec
  readonly generation: number
  readonly attempt: number
  /** Claims that it waits for: it lends its unit meanwhile. */
  asking: number
  /** Units that it holds for a part of itself. */
  readonly stepSlots: Map<string, Claims>
  /** Children that it spawned outside of steps. */
  readonly spawned: Array<{ readonly on: string; readonly id: string }>
  /** It has been told to stop, and may be given up at any time from then on. */
  readonly mayBeGivenUp: () => boolean
}

/** What the events up to a number amount to, as far as it is compared. */
export interface Totals {
  readonly succeeded: number
  readonly failed: number
  readonly skipped: number
  readonly cancelled: number
  readonly works: number
}

export class Outside {
  readonly violations: Array<string> = []
  readonly events: Array<RunEvent> = []
  readonly accounting = new Accounting()
  readonly totals: Array<Totals> = [{ succeeded: 0, failed: 0, skipped: 0, cancelled: 0, works: 0 }]
  /** How often what happened. */
  readonly coverage = new Map<string, number>()
  now: () => number = () => 0
  /** The plans of works by id, children included. */
  readonly works = new Map<string, Work>()
  /** What each execution of a step spawned, by its token. */
  readonly spawnedBy = new Map<number, ReadonlyArray<{ readonly on: string; readonly id: string }>>()
  private readonly handlers = new Map<number, Handler>()
  private readonly holds = new Map<string, Map<string, Claims>>()
  private tokens = 0

  private readonly isForgetful: boolean

  constructor(program: Program) {
    this.isForgetful = program.options.retain !== undefined
    const plan = (work: Work): void => {
      this.works.set(work.id, work)
      for (const operation of work.operations) {
        if (operation._tag === "Step") operation.children?.forEach(({ work: child }) => plan(child))
        if (operation._tag === "Spawn") plan(operation.child.work)
      }
    }
    for (const { works } of program.additions) works.forEach(plan)
  }

  violate(what: string): void {
    if (this.violations.length < 20) this.violations.push(`at ${this.now()} ms: ${what}`)
  }

  require(holds: boolean, what: () => string): void {
    if (!holds) this.violate(what())
  }

  cover(what: string): void {
    this.coverage.set(what, (this.coverage.get(what) ?? 0) + 1)
  }

  /** The number of the last event that is durable. */
  get seq(): number {
    return this.events.length
  }

  /** Events have become durable. */
  recorded(events: ReadonlyArray<RunEvent>): void {
    for (const event of events) {
      this.events.push(event)
      const before = this.accounting.violations.length
      this.accounting.apply(event)
      for (const each of this.accounting.violations.slice(before)) this.violate(each)
      this.checkChildren(event)
      if ("id" in event && this.accounting.works.get(event.id)?.status === "settled") this.holdsNothing(event.id)
      this.total(event)
      this.cover(`event ${event._tag}`)
    }
  }

  /** Events as somebody was shown them: in order, and on record. */
  isDurable(where: string, events: ReadonlyArray<Sequenced>): void {
    let last: number | undefined
    for (const { event, seq } of events) {
      if (last !== undefined) this.require(seq === last + 1, () => `${where} shows event ${seq} after ${last}`)
      last = seq
      if (event._tag === "RunSnapshot") this.isSnapshot(where, seq, event)
      else {
        this.require(
          same(event, this.events[seq - 1]),
          () => `${where} shows event ${seq} as ${event._tag}, and on record is ${JSON.stringify(this.events[seq - 1])}`
        )
      }
    }
  }

  /** What stands for events that are gone is what they amount to. */
  private isSnapshot(where: string, seq: number, { parts }: RunSnapshot): void {
    this.require(seq <= this.seq, () => `${where} shows a snapshot at ${seq}, and ${this.seq} are durable`)
    this.cover("snapshot read")
    const state = fold(this.events.slice(0, seq))
    const read = fromSnapshot(parts)
    const [found, expected] = [read, state].map((each) => canonical(Array.from(toSnapshot(each))))
    this.require(
      found === expected,
      () => `${where} shows a snapshot at ${seq} that is not what the events amount to:\n${found}\n${expected}`
    )
  }

  /** A view counts what the events up to its number say. */
  isView(
    view: { readonly seq: number; readonly succeeded: number; readonly failed: number; readonly skipped: number }
  ): void {
    const counted = { succeeded: 0, failed: 0, skipped: 0 }
    for (const { _tag } of this.events.slice(0, view.seq)) {
      if (_tag === "WorkSucceeded") counted.succeeded += 1
      if (_tag === "WorkFailed") counted.failed += 1
      if (_tag === "WorkSkipped") counted.skipped += 1
    }
    this.require(view.seq <= this.seq, () => `a view has folded event ${view.seq}, and ${this.seq} are durable`)
    // Where events are gone, a view that was not saved begins at what stands for them.
    if (this.isForgetful) return
    this.require(
      view.succeeded === counted.succeeded && view.failed === counted.failed && view.skipped === counted.skipped,
      () => `a view at ${view.seq} is ${JSON.stringify(view)}, and counted are ${JSON.stringify(counted)}`
    )
  }

  private total(event: RunEvent): void {
    const last = this.totals[this.totals.length - 1]!
    const { works } = this.accounting
    if (event._tag === "WorksForgotten" || event._tag === "WorkRetried") {
      const totals = { succeeded: 0, failed: 0, skipped: 0, cancelled: 0, works: works.size }
      for (const { outcome } of works.values()) if (outcome !== undefined) totals[stateOf(outcome._tag)] += 1
      this.totals.push(totals)
      return
    }
    const next = { ...last, works: works.size }
    switch (event._tag) {
      case "WorkSucceeded":
      case "WorkFailed":
      case "WorkSkipped":
      case "WorkCancelled":
        next[stateOf(event._tag)] += 1
    }
    this.totals.push(next)
  }

  /** A child exists if and only if the record that carries it does. */
  private checkChildren(event: RunEvent): void {
    if (event._tag !== "WorkSucceeded" && event._tag !== "WorkFailed") return
    const on = event._tag === "WorkSucceeded" ? "success" : "failure"
    const work = this.accounting.works.get(event.id)
    const token = tokenOf(event._tag === "WorkSucceeded" ? event.result : failureOf(event))
    const handler = token === undefined ? undefined : this.handlers.get(token) ?? this.ended.get(token)
    if (work === undefined || (token !== undefined && handler === undefined)) {
      return this.violate(`"${event.id}" ends with a result that no handler gave: ${JSON.stringify(event)}`)
    }
    const expected = new Set<string>()
    const consider = (child: { readonly on: string; readonly id: string }): void => {
      if (child.on === on || child.on === "always") expected.add(child.id)
    }
    for (const { result } of work.steps.values()) this.spawnedBy.get(tokenOf(result) ?? -1)?.forEach(consider)
    handler?.spawned.forEach(consider)
    for (const { id } of event.children) {
      if (token === undefined && !expected.has(id)) continue // A failure that names no handler: its own are not known.
      if (!expected.delete(id)) this.violate(`"${id}" is a child of "${event.id}", which did not spawn it for this end`)
    }
    for (const id of expected) {
      const spec = this.works.get(id)
      // It was there before, or somebody else had its idempotency key.
      if (this.accounting.works.has(id) || spec?.dedupe !== undefined || this.accounting.forgotten > 0) continue
      this.violate(`"${id}", spawned by "${event.id}" for ${on}, is not added with it`)
    }
  }

  private readonly ended = new Map<number, Handler>()

  // -- Handlers

  token(): number {
    return ++this.tokens
  }

  enter(handler: Handler): void {
    this.handlers.set(handler.token, handler)
    const { id, kind, key } = handler.spec
    const account = this.accounting.works.get(id)
    this.require(
      // A cancel may be on record before the handler, which has begun, can be interrupted.
      account !== undefined && (account.status === "running" || account.status === "cancelling") &&
        account.attempt === handler.attempt &&
        account.generation === handler.generation,
      () =>
        `the handler of "${id}" runs (generation ${handler.generation}, attempt ${handler.attempt}), and on record it is ` +
        (account === undefined ? "not there" : `${account.status} (${account.generation}, ${account.attempt})`)
    )
    const others = Array.from(this.handlers.values()).filter((other) =>
      other.spec.id === id && other.token !== handler.token && !other.mayBeGivenUp()
    )
    this.require(others.length === 0, () => `two handlers of "${id}" are alive at the same time`)
    this.checkRunning()
    this.isOnRecord(kind, this.count((each) => each.spec.kind === kind), this.accounting.byKind.get(kind))
    if (key !== undefined) {
      this.isOnRecord(
        `works with the key ${key}`,
        this.count((each) => each.spec.key === key),
        this.accounting.byKey.get(key)
      )
    }
    this.checkPools(handler.spec.slots)
  }

  leave(handler: Handler): void {
    this.handlers.delete(handler.token)
    this.ended.set(handler.token, handler)
  }

  /** A process is no more: its handlers are not. What works hold across steps, they hold. */
  died(process: number): void {
    for (const handler of Array.from(this.handlers.values())) if (handler.process === process) this.leave(handler)
  }

  private count(matches: (handler: Handler) => boolean): number {
    let count = 0
    for (const handler of this.handlers.values()) if (!handler.mayBeGivenUp() && matches(handler)) count += 1
    return count
  }

  private isOnRecord(what: string, count: number, recorded: number | undefined): void {
    this.require(
      count <= (recorded ?? 0),
      () => `${count} ${what} at the same time, and on record are ${recorded ?? 0}`
    )
  }

  private checkRunning(): void {
    this.isOnRecord("running works", this.count((each) => each.asking === 0), this.accounting.units)
  }

  /** Somebody was let into these pools. */
  private checkPools(claims: Claims | undefined): void {
    for (const pool in claims) {
      let sum = 0
      for (const handler of this.handlers.values()) {
        if (handler.mayBeGivenUp() && handler.spec.kind !== "Keeper") continue
        sum += handler.spec.slots?.[pool] ?? 0
        for (const slots of handler.stepSlots.values()) sum += slots[pool] ?? 0
      }
      for (const holds of this.holds.values()) for (const each of holds.values()) sum += each[pool] ?? 0
      this.isOnRecord(`units of ${pool}`, sum, this.accounting.used.get(pool))
    }
  }

  /** A claim was granted to a handler that asked for it. */
  granted(handler: Handler, name: string, claims: Claims, isForStep: boolean): void {
    handler.asking -= 1
    const { id } = handler.spec
    const account = this.accounting.works.get(id)
    this.require(
      account?.holds.has(name) === true,
      () => `"${id}" goes on with its claim "${name}", and the grant is not on record`
    )
    if (isForStep) {
      handler.stepSlots.set(name, claims)
    } else {
      const holds = this.holds.get(id) ?? new Map<string, Claims>()
      holds.set(name, claims)
      this.holds.set(id, holds)
    }
    this.checkRunning()
    this.checkPools(claims)
  }

  /** A handler is about to give a claim back, or to record the step that does. */
  givesBack(id: string, isOver: (name: string) => boolean): void {
    const holds = this.holds.get(id)
    for (const name of Array.from(holds?.keys() ?? [])) if (isOver(name)) holds!.delete(name)
  }

  /** The work is about to settle, or has: nothing is held for it. */
  holdsNothing(id: string): void {
    this.holds.delete(id)
  }

  // -- Steps

  stepBegins(handler: Handler, step: string, isCursor: boolean): void {
    const { id } = handler.spec
    const account = this.accounting.works.get(id)
    if (account === undefined || account.generation !== handler.generation) return
    this.require(
      isCursor || !account.steps.has(step) || handler.mayBeGivenUp(),
      () => `step "${step}" of "${id}" is executed, and is on record in generation ${account.generation}`
    )
    this.cover("step executed")
  }

  stepEnded(handler: Handler, step: string, value: unknown): void {
    const { id } = handler.spec
    const account = this.accounting.works.get(id)
    // The work may have gone on without a handler that was given up.
    if (account === undefined || account.generation !== handler.generation || handler.mayBeGivenUp()) return
    this.require(
      same(account.steps.get(step)?.result, value),
      () =>
        `step "${step}" of "${id}" returned ${JSON.stringify(value)}, and on record is ${
          JSON.stringify(account.steps.get(step)?.result)
        }`
    )
  }
}

export const stateOf = (tag: "WorkSucceeded" | "WorkFailed" | "WorkSkipped" | "WorkCancelled") =>
  tag === "WorkSucceeded"
    ? "succeeded"
    : tag === "WorkFailed"
    ? "failed"
    : tag === "WorkSkipped"
    ? "skipped"
    : "cancelled"

/** The number that a handler put into what it gave. */
export const tokenOf = (json: unknown): number | undefined => {
  const token = (json as { readonly token?: unknown } | null | undefined)?.token
  return typeof token === "number" ? token : undefined
}

const failureOf = (event: Extract<RunEvent, { readonly _tag: "WorkFailed" }>): unknown =>
  event.failure._tag === "Error" ? event.failure.error : undefined
