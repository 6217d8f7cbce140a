/**
 * Counts the rows of the run's table of `docs/life-of-a-work.md` that occur: which state the run was in, what was done to it,
 * what was recorded about it, and what state it is in then.
 */
import { Result } from "effect"
import type { RunEvent } from "../RunEvent.ts"
import type { Command } from "./command.ts"
import type { Outcome, Watch } from "./simulatorAuditor.ts"
import { limitsAreWrong } from "./simulatorBatch.ts"
import { find, handlers, isSettled, type Naive, unsettled } from "./simulatorModel.ts"
import { isSettling } from "./simulatorRows.ts"
import { runStateOf } from "./simulatorStates.ts"

/** What stands in the run's table under a name of its own. */
const names: { readonly [tag in Command["_tag"]]?: string } = {
  Start: "start",
  Open: "open",
  Add: "add",
  Pause: "pause",
  Continue: "continue",
  Suspend: "suspend",
  Cancel: "cancel",
  Close: "close",
  SetLimits: "setLimits",
  PauseScope: "pauseScope",
  ContinueScope: "continueScope",
  PauseWork: "pauseWork",
  ContinueWork: "continueWork",
  Reprioritize: "reprioritize",
  RetryWork: "retryWork",
  Each: "each"
}

const isOfRun = ({ _tag }: RunEvent): boolean => /^(Run|Limits|Scope)/.test(_tag)

export class RunRows implements Watch {
  readonly counts: Map<string, number>
  private state = "absent"
  private condition = ""
  private hadWork = false
  private hadHandler = false
  private isClosed = false

  constructor(counts: Map<string, number>) {
    this.counts = counts
  }

  private count(command: string, condition: string, events: string, next: string): void {
    const row = `${this.state} | ${condition === "" ? command : `${command} (${condition})`} | ${events} | ${next}`
    this.counts.set(row, (this.counts.get(row) ?? 0) + 1)
  }

  readonly asked = (command: Command, naive: Naive): void => {
    this.state = runStateOf(naive)
    this.condition = conditionOf(command, naive, this.state)
    this.hadWork = unsettled(naive) > 0
    this.hadHandler = handlers(naive) > 0
    this.isClosed = !naive.isKeptOpen
  }

  readonly answered = (command: Command, outcome: Outcome, naive: Naive): void => {
    const name = names[command._tag]
    const next = runStateOf(naive)
    if (Result.isFailure(outcome)) {
      if (name === undefined) return
      const { _tag } = outcome.failure
      // That a kind is unknown matters to the one that pauses it; to the others it is a bad value.
      if (_tag === "RunNotAccepting" || this.condition === "bad value" || this.condition === "unknown kind") {
        return this.count(name, _tag === "RunNotAccepting" ? "" : this.condition, `refused: ${_tag}`, next)
      }
      // Whether a work takes a control is the work's affair.
      if (_tag.startsWith("Work")) this.count(name, "", "-", next)
      return
    }
    const events = outcome.success
    const tags = events.filter(isOfRun).map((event) => event._tag)
    const isCancelled = events.some((event) => event._tag === "RunCancelling" && event.actor === "engine")
    const settles = events.some(isSettling)
    if (isCancelled) return this.failsFast(tags, next)
    if (name === undefined) return this.endsOfItself(tags, naive, next)
    // What works do of themselves at the same moment would be told twice.
    const isItsOwn = command._tag === "Cancel" || (command._tag === "Open" && this.state === "cancelling")
    if (settles && !isItsOwn) return
    if (command._tag === "Add" && !events.some((event) => event._tag === "WorkAdded")) return
    this.count(name, this.finish(command, events, next), tags.join(", ") || "-", next)
  }

  /** What only the outcome tells of the condition. */
  private finish(command: Command, events: ReadonlyArray<RunEvent>, next: string): string {
    if (command._tag === "Cancel") {
      if (this.state === "running (busy)" && next === "cancelled") return "at once"
      return next === "cancelling" && /^(paused|suspended)/.test(this.state) ? "to clean" : ""
    }
    if (command._tag === "Open" && this.state === "cancelling" && next === "cancelling") return "to clean"
    if (
      command._tag === "Each" && /idle|completed/.test(this.state) &&
      events.some((event) => event._tag === "WorkRetried")
    ) {
      return "retry"
    }
    return this.condition
  }

  /** Nobody asked the run for anything: its works, handlers and clock did. */
  private endsOfItself(tags: ReadonlyArray<string>, naive: Naive, next: string): void {
    const hasWork = unsettled(naive) > 0
    const events = tags.join(", ") || "-"
    if ((this.state === "pausing" || this.state === "suspending") && this.hadHandler && handlers(naive) === 0) {
      const isBusy = this.state === "pausing" ? "others wait" : ""
      const isIdle = this.state === "pausing" ? (this.isClosed ? "closed" : "") : "nothing is left"
      return this.count("last handler ends", hasWork ? isBusy : isIdle, events, next)
    }
    if (!this.hadWork || hasWork) return
    const isOpen = this.state.startsWith("running") || this.state.startsWith("paused")
    this.count("last work settles", isOpen && this.isClosed ? "closed" : "", events, next)
  }

  private failsFast(tags: ReadonlyArray<string>, next: string): void {
    const ofRun = tags.filter((tag) => tag !== "RunResumed").join(", ")
    // A process that finds that a work crashed too often is told by `open` as well.
    if (tags.includes("RunResumed") || !/^(running|pausing|paused)/.test(this.state)) return
    this.count("work fails", next === "cancelled" ? "fail fast, at once" : "fail fast", ofRun, next)
  }
}

const conditionOf = (command: Command, naive: Naive, state: string): string => {
  const isOpen = /^(running|pausing|paused|completed)/.test(state)
  switch (command._tag) {
    case "Start":
      if (state !== "absent") return ""
      return command.specs.length > 0 ? "with works" : command.config.keepOpen ? "" : "dry, and not kept open"
    case "Open":
      if (state.endsWith("(idle)") && !command.config.keepOpen) return "not kept open"
      return state.startsWith("suspend") && naive.isPaused ? "paused before" : ""
    case "Pause":
    case "Suspend":
      return state === "running (busy)" && handlers(naive) === 0 ? "no handler" : ""
    case "Close":
      if (state === "completed") return naive.isKeptOpen ? "kept open again" : ""
      return isOpen && !naive.isKeptOpen ? "closed" : ""
    case "SetLimits":
      return isOpen && limitsAreWrong(naive, command.limits) ? "bad value" : ""
    case "PauseScope":
    case "ContinueScope": {
      const { scope } = command
      if (!isOpen) return ""
      if (scope._tag === "Kind" && !naive.kinds.includes(scope.kind)) return "unknown kind"
      const isPaused = scope._tag === "Kind"
        ? naive.pausedKinds.includes(scope.kind)
        : naive.pausedKeys.includes(scope.key)
      return isPaused ? "paused" : ""
    }
    case "RetryWork": {
      const it = find(naive, command.id)
      return it !== undefined && isSettled(it) ? "it settled" : ""
    }
    case "Each":
      return command.control._tag === "CancelWork" ? "cancel" : ""
    default:
      return ""
  }
}
