/**
 * Counts the rows of the work's table of `docs/life-of-a-work.md` that occur: which state a work was in, what was done to it,
 * what was recorded about it, and what state it is in then.
 *
 * What happens to works of itself has a name in the table too: `tick (due)`, `dependency fails`, `forget`...
 */
import { Result } from "effect"
import type { RunEvent } from "../RunEvent.ts"
import type { Command } from "./command.ts"
import type { Outcome, Source, Watch } from "./simulatorAuditor.ts"
import { labelOf, openLabel, tickLabel } from "./simulatorLabels.ts"
import {
  find,
  haveSameKey,
  isNeeded,
  isSettled,
  type Job,
  keyHolder,
  type Naive
} from "./simulatorModel.ts"
import { stateOf } from "./simulatorStates.ts"

/** A row under way: what has been recorded of it so far. */
interface Open {
  readonly state: string
  readonly command: string
  readonly condition: string
  readonly tags: Array<string>
  next: string
}

const named = (command: string, condition: string): string => condition === "" ? command : `${command} (${condition})`

export class WorkRows implements Watch {
  readonly counts: Map<string, number>
  /** Rows of the works that the command at hand is for, by their ids. */
  private readonly open = new Map<string, Open>()
  private isEngineCancel = false
  private added: ReadonlyArray<string> = []
  /** Works that wait for the one that is being settled. */
  private waiting: ReadonlyArray<Job> = []
  /** The state that a work was in before the event at hand. */
  private was = "absent"

  constructor(counts: Map<string, number>) {
    this.counts = counts
  }

  private count(state: string, command: string, condition: string, events: string, next: string): void {
    const row = `${state} | ${named(command, condition)} | ${events} | ${next}`
    this.counts.set(row, (this.counts.get(row) ?? 0) + 1)
  }

  private begin(it: Job, command: string, condition: string): void {
    const state = stateOf(it)
    this.open.set(it.spec.id, { state, command, condition, tags: [], next: state })
  }

  readonly asked = (command: Command, naive: Naive, now: number): void => {
    this.open.clear()
    this.isEngineCancel = false
    this.added = []
    switch (command._tag) {
      case "Open":
        this.count("absent", "open", "", "-", "absent")
        for (const it of naive.jobs) this.begin(it, "open", openLabel(naive, it, command.config))
        return
      case "Tick":
        this.count("absent", "tick", "", "-", "absent")
        for (const it of naive.jobs) this.begin(it, "tick", tickLabel(it, now))
        return
      case "Cancel":
        return this.cancels(naive, now)
      case "Each": {
        for (const it of naive.jobs) {
          const { id } = it.spec
          const label = labelOf(naive, it, { ...command.control, id, actor: "", reason: "" }, now)!
          this.begin(it, label.command, label.condition)
        }
        return
      }
      case "Add":
        this.added = command.specs.map((spec) => spec.id)
        return
      default:
        if (!("id" in command)) return
        return this.target(naive, command, now)
    }
  }

  private target(naive: Naive, command: Extract<Command, { readonly id: string }>, now: number): void {
    const it = find(naive, command.id)
    const label = labelOf(naive, it, command, now)
    if (label === undefined) return
    const state = stateOf(it)
    this.open.set(command.id, { state, command: label.command, condition: label.condition, tags: [], next: state })
  }

  private cancels(naive: Naive, now: number): void {
    for (const it of naive.jobs) {
      if (isSettled(it)) continue
      const label = labelOf(naive, it, { _tag: "CancelWork", id: it.spec.id, actor: "", reason: "" }, now)!
      this.begin(it, label.command, label.condition)
    }
  }

  readonly before = (event: RunEvent, naive: Naive, source: Source): void => {
    if (event._tag === "WorksForgotten") this.forgets(event.ids, naive)
    if (event._tag === "RunCancelling" && source._tag !== "Cancel") {
      this.flush(undefined, source._tag === "Each")
      this.isEngineCancel = true
      this.open.clear()
      this.cancels(naive, event.at)
    }
    if (!("id" in event)) return
    const it = find(naive, event.id)
    this.was = stateOf(it)
    if (
      event._tag === "WorkSucceeded" || event._tag === "WorkFailed" || event._tag === "WorkSkipped" ||
      event._tag === "WorkCancelled"
    ) {
      this.waiting = naive.jobs.filter((each) => each.waitsFor.includes(event.id)).map((each) => ({ ...each }))
    }
  }

  readonly after = (event: RunEvent, naive: Naive, source: Source): void => {
    if (event._tag === "RunResumed") {
      for (const [id, row] of this.open) row.next = stateOf(find(naive, id))
    }
    if (!("id" in event)) return
    const it = find(naive, event.id)
    const own = this.ofItself(event, it, source)
    if (own !== undefined) this.count(this.was, own.command, own.condition, event._tag, stateOf(it))
    else {
      const row = this.open.get(event.id)
      row?.tags.push(event._tag)
      if (row !== undefined) row.next = stateOf(it)
    }
    for (const each of this.waiting) this.met(each, find(naive, each.spec.id)!, it!)
    this.waiting = []
  }

  /** What happened of itself, or undefined when the command did it. */
  private ofItself(
    event: Extract<RunEvent, { readonly id: string }>,
    it: Job | undefined,
    source: Source
  ): { readonly command: string; readonly condition: string } | undefined {
    switch (event._tag) {
      case "WorkQueued": {
        const row = this.open.get(event.id)
        return row?.command === "retry" && row.tags.length === 0 ? undefined : { command: "tick", condition: "due" }
      }
      case "WorkSkipped": {
        const { cause } = event
        if (this.added.includes(event.id)) return undefined
        if (cause._tag === "Replaced") return { command: "same key", condition: "replace" }
        if (cause._tag === "Dependency") return { command: "dependency fails", condition: "" }
        return { command: "tick", condition: cause.by === "deadline" ? "deadline" : "time to live" }
      }
      case "WorkFailed": {
        if (event.failure._tag !== "Expired" || isAliveIn(this.was)) return undefined
        const isAlways = this.was === "resumed" || this.was === "retrying"
        return { command: "tick", condition: isAlways ? "deadline" : "deadline, begun" }
      }
      case "WorkStarted":
        return { command: "schedule", condition: "" }
      case "SlotsGranted": {
        if (source._tag !== "Schedule") return undefined
        const next = stateOf(it)
        const condition = next === "asking"
          ? "freed, another claim waits"
          : next === "pausing"
          ? "freed, paused"
          : "freed"
        return { command: "schedule", condition }
      }
      default:
        return undefined
    }
  }

  private met(before: Job, after: Job, dependency: Job): void {
    if (after.doomed !== undefined || before.doomed !== undefined || isSettled(after)) return
    const state = stateOf(before)
    const next = stateOf(after)
    const condition = state === "paused"
      ? ""
      : next === "dependent"
      ? "not the last"
      : next === "delayed"
      ? "notBefore"
      : dependency.status === "succeeded"
      ? ""
      : "failed, runs all the same"
    this.count(state, "dependency met", condition, "-", next)
  }

  private forgets(ids: ReadonlyArray<string>, naive: Naive): void {
    let latest = -Infinity
    for (const it of naive.jobs) {
      if (!ids.includes(it.spec.id)) continue
      latest = Math.max(latest, it.settledAt)
      this.count(stateOf(it), "forget", "", "WorksForgotten", "absent")
    }
    for (const it of naive.jobs) {
      if (!isSettled(it) || it.settledAt > latest || ids.includes(it.spec.id)) continue
      if (isNeeded(naive, it.spec.id)) this.count(stateOf(it), "forget", "needed", "-", stateOf(it))
    }
  }

  readonly answered = (command: Command, outcome: Outcome, naive: Naive): void => {
    const refusal = Result.isFailure(outcome) ? outcome.failure._tag : undefined
    // Whether the run takes a command at all is told in the run's table; a bad value is nobody's state.
    if (refusal === "RunNotAccepting" || (refusal === "InvalidWork" && "control" in command)) return
    if (refusal === "InvalidWork" && command._tag === "Reprioritize") return
    this.flush(refusal, command._tag === "Each" || command._tag === "Cancel" || this.isEngineCancel)
    if (command._tag === "Add") this.adds(command, outcome, naive)
  }

  /** Of a command that is for all works, those to which it does nothing are not told. */
  private flush(refusal: string | undefined, isForAll: boolean): void {
    for (const { command, condition, next, state, tags } of this.open.values()) {
      if (isForAll && tags.length === 0) continue
      const recorded = tags.join(", ") || "-"
      const events = refusal === undefined ? recorded : refusal === "Late" ? "ignored" : `refused: ${refusal}`
      this.count(state, command, condition, events, next)
    }
  }

  /** Only a batch of one tells what became of it. */
  private adds({ specs }: Extract<Command, { readonly _tag: "Add" }>, outcome: Outcome, naive: Naive): void {
    const [spec] = specs
    if (spec === undefined || specs.length > 1) return
    const it = find(naive, spec.id)
    const refusal = Result.isFailure(outcome) ? outcome.failure._tag : undefined
    const same = naive.jobs.filter((each) => each !== it && haveSameKey(each.spec, spec))
    switch (refusal) {
      case "DuplicateWork":
        return this.count(stateOf(it), "add", "", "refused: DuplicateWork", stateOf(it))
      case "DuplicateKey": {
        const state = stateOf(keyHolder(naive, spec))
        this.count(state, "same key", "reject", "refused: DuplicateKey", state)
        return this.count("absent", "add", "same key: reject", "refused: DuplicateKey", "absent")
      }
      case "InvalidWork": {
        const isPool = Object.keys(spec.slots ?? {}).some((pool) => !(pool in naive.config.pools))
        const why = isPool ? "unknown pool" : spec.after?.includes(spec.id) ? "circle" : "unknown dependency"
        return this.count("absent", "add", why, "refused: InvalidWork", "absent")
      }
    }
    if (Result.isFailure(outcome)) return
    if (it === undefined) {
      // Added, skipped and forgotten in one go.
      if (outcome.success.length > 0) return
      const state = stateOf(keyHolder(naive, spec))
      this.count(state, "same key", "keep", "-", state)
      return this.count("absent", "add", "same key: keep", "-", "absent")
    }
    if (spec.dedupe !== undefined && same.length === 0) this.count("absent", "same key", "", "-", "absent")
    for (const each of same) {
      const cause = each.outcome?._tag === "Skipped" ? each.outcome.cause : undefined
      const isReplaced = cause?._tag === "Replaced" && cause.by === spec.id
      if (!isReplaced) this.count(stateOf(each), "same key", "", "-", stateOf(each))
    }
    this.count("absent", "add", addedAs(it), isSettled(it) ? "WorkAdded, WorkSkipped" : "WorkAdded", stateOf(it))
  }

  readonly scheduled = (naive: Naive): void => {
    this.count("absent", "schedule", "", "-", "absent")
    for (const it of naive.jobs) {
      const state = stateOf(it)
      this.count(state, "schedule", state === "queued" || state === "resumed" ? "no room" : "", "-", state)
    }
  }
}

export const isSettling = ({ _tag }: RunEvent): boolean =>
  _tag === "WorkSucceeded" || _tag === "WorkFailed" || _tag === "WorkSkipped" || _tag === "WorkCancelled"

const isAliveIn = (state: string): boolean => ["running", "pausing", "asking", "cancelling"].includes(state)

const addedAs = (it: Job): string => {
  if (it.outcome?._tag === "Skipped") return it.outcome.cause._tag === "Expired" ? "too late" : "after one that failed"
  const state = stateOf(it)
  return state === "delayed" ? "notBefore" : state === "dependent" ? "after" : ""
}
