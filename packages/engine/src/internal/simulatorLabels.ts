/**
 * Under what condition a command meets a work: what stands in brackets in the work's table of
 * `docs/life-of-a-work.md`. A label is made before the command is carried out, from the naive model.
 */
import type { RunConfig } from "../RunEvent.ts"
import { defaultMaxCrashes } from "../RunEvent.ts"
import type { AttemptEnd, Command } from "./command.ts"
import { fits, hasRecords, isAlive, isInQueue, isSettled, type Job, mustClean, type Naive } from "./simulatorModel.ts"
import { isKeptBack, isOvertaken, reservation } from "./simulatorOrder.ts"
import { stateOf } from "./simulatorStates.ts"

/** The rows of the table that a command with an id is in, or undefined where it is in none. */
export interface Label {
  readonly command: string
  readonly condition: string
}

const label = (command: string, condition = ""): Label => ({ command, condition })

const cleans = (naive: Naive, it: Job): string => mustClean(naive, it) ? "to clean" : ""

type Targeted = Extract<Command, { readonly id: string }>

/** What a command that is for one work is called in the table, given the state that the work is in. */
export const labelOf = (naive: Naive, it: Job | undefined, command: Targeted, now: number): Label | undefined => {
  switch (command._tag) {
    case "CancelWork":
      return label("cancel", it !== undefined && isInQueue(it) ? cleans(naive, it) : "")
    case "PauseWork":
      return label("pause", isPausedAside(it) ? "paused" : "")
    case "ContinueWork":
      return label("continue", isPausedAside(it) ? "paused" : it?.isPaused === true ? pausedIn(it) : "")
    case "Reprioritize":
      return label(
        "reprioritize",
        it !== undefined && isSteerable(it) && it.spec.priority === command.priority ? "the same" : ""
      )
    case "RetryWork":
      return label("retry", it === undefined ? "" : retryFrom(it, command.from))
    case "Unstuck": {
      const isStuck = naive.stuck.some((each) => each.id === command.id && each.start === command.start)
      return label("unstuck", isStuck ? "given up" : "")
    }
    case "Cleaned":
      return it !== undefined && (isAlive(it) || it.status === "cleaning") ? label("cleaned") : undefined
    default:
      return said(naive, it, command, now)
  }
}

/** It is paused, and in a state that has another name. */
const isPausedAside = (it: Job | undefined): boolean =>
  it !== undefined && it.isPaused && (it.status === "blocked" || stateOf(it) === "asking")

const isSteerable = (it: Job): boolean => isInQueue(it) || it.status === "running"

/** What a paused work will be when it is continued. */
const pausedIn = (it: Job): string => {
  if (it.status !== "waiting") return ""
  const state = stateOf({ ...it, isPaused: false })
  return it.waitsFor.length > 0 || it.wakeAt !== undefined ? state : it.isResumed ? "resumed" : ""
}

const retryFrom = (it: Job, from: string | undefined): string => {
  if (from === undefined || !(isSettled(it) || stateOf(it) === "retrying")) return ""
  return it.steps.some((step) => step.name === from) ? "from" : "from a step that is not recorded"
}

type Said = Exclude<
  Targeted,
  { readonly _tag: "CancelWork" | "PauseWork" | "ContinueWork" | "Reprioritize" | "RetryWork" | "Unstuck" | "Cleaned" }
>

/** What a handler says. Only `succeed` stands in the table where no handler is alive, or where it is late. */
const said = (naive: Naive, it: Job | undefined, message: Said, now: number): Label | undefined => {
  if (it === undefined || !isAlive(it)) return message._tag === "Succeed" ? label("succeed") : undefined
  if (it.starts !== message.start) return message._tag === "Succeed" ? label("succeed", "late") : undefined
  switch (message._tag) {
    case "RecordStep": {
      const recorded = it.steps.find((step) => step.name === message.step)
      if (recorded === undefined) return label("recordStep")
      return label("recordStep", recorded.isCursor && message.cursor === true ? "cursor again" : "again")
    }
    case "RequestSlots":
      return label("requestSlots", it.status === "running" ? request(naive, it, message, now) : "")
    case "ReleaseSlots":
      return label("releaseSlots", it.holds.some((hold) => hold.name === message.hold) ? "held" : "not held")
    case "Stuck":
      return stuck(naive, it, message.end)
    case "Succeed":
      return label("succeed", it.status === "cancelling" ? cleans(naive, it) : "")
    case "Fail":
      return label("fail", it.status === "cancelling" ? cleans(naive, it) : failed(it, message))
    case "Interrupted":
      return label("interrupted", it.status === "cancelling" ? cleans(naive, it) : isPausedAside(it) ? "paused" : "")
    case "Block":
      return label(
        "block",
        it.status === "cancelling" ? cleans(naive, { ...it, hasBegun: hasRecords(it) }) : ""
      )
  }
}

const failed = (it: Job, { from, retryAt }: Extract<AttemptEnd, { readonly _tag: "Fail" }>): string => {
  if (retryAt === undefined) return ""
  if (isPausedAside(it)) return "retry, paused"
  return it.steps.some((step) => step.name === from) ? "retry from" : "retry"
}

const stuck = (naive: Naive, it: Job, end: AttemptEnd): Label | undefined => {
  if (it.status === "cancelling") return label("stuck", cleans(naive, it))
  if (end._tag !== "Fail" && end._tag !== "Interrupted") return undefined
  if (end._tag === "Fail" && end.retryAt === undefined) return label("stuck")
  const how = end._tag === "Fail" ? "retry" : "interrupted"
  return label("stuck", isPausedAside(it) ? `${how}, paused` : how)
}

const request = (
  naive: Naive,
  it: Job,
  { claims, hold, step, until }: Extract<Command, { readonly _tag: "RequestSlots" }>,
  now: number
): string => {
  if (it.steps.some(({ name }) => name === step || name === until)) return "recorded"
  if (it.holds.some(({ name }) => name === hold)) return "held"
  for (const pool in claims) if (!(pool in naive.config.pools)) return "unknown pool"
  if (it.requests.length > 0) {
    if (it.requests.some(({ name }) => name === hold)) return "again"
    return fits(naive, claims) ? "free" : "taken"
  }
  if (!fits(naive, claims)) return "taken"
  const asking = { job: it, request: { name: hold, claims, until, step, at: now } }
  if (isKeptBack(naive, asking, reservation(naive, now))) return "kept back"
  return isOvertaken(naive, asking, now) ? "free, but somebody comes first" : "free"
}

/** What `open` finds a work as. */
export const openLabel = (naive: Naive, it: Job, config: RunConfig): string => {
  const kind = config.kinds[it.spec.kind]
  const onCancel = kind?.onCancel ?? naive.onCancel[it.spec.kind] ?? false
  switch (it.status) {
    case "running":
      if (it.crashes + 1 >= (config.maxCrashes ?? defaultMaxCrashes)) return "crashed too often"
      return isPausedAside(it) ? "paused" : ""
    case "blocked":
      return it.isPaused ? "paused" : ""
    case "cancelling":
      return onCancel ? "to clean" : ""
    case "cleaning":
      return onCancel ? "" : "onCancel dropped"
    default:
      return ""
  }
}

/** What a moment finds a work as, to which nothing happens. */
export const tickLabel = (it: Job, now: number): string =>
  it.status === "running" && !it.isReleased && (it.spec.deadline ?? Infinity) <= now ? "deadline" : ""
