/**
 * What a command does: events, a typed refusal, or `Late` for the message of an attempt that is over.
 * `docs/life-of-a-work.md` is the table of this file.
 */
import { Result, Schema } from "effect"
import type { WorkFailure } from "../Outcome.ts"
import type { RunConfig, RunEvent } from "../RunEvent.ts"
import type { ChildSpec, Claims, WorkSpec } from "../WorkSpec.ts"
import { hasRecords } from "./evolve.ts"
import { isSettled, type RunState, Wake, type WorkEntry } from "./model.ts"
import { fits, hasRival } from "./ready.ts"

interface Asked {
  readonly actor: string
  readonly reason: string
}

interface FromHandler {
  readonly id: string
  readonly attempt: number
}

export type Command =
  | { readonly _tag: "Start"; readonly config: RunConfig; readonly specs: ReadonlyArray<WorkSpec> }
  | { readonly _tag: "Open"; readonly config: RunConfig }
  | { readonly _tag: "Add"; readonly specs: ReadonlyArray<WorkSpec> }
  | { readonly _tag: "Tick" }
  | { readonly _tag: "Pause" } & Asked
  | { readonly _tag: "Continue" } & Asked
  | { readonly _tag: "Suspend" } & Asked
  | { readonly _tag: "Cancel" } & Asked
  | { readonly _tag: "Close" }
  | { readonly _tag: "CancelWork"; readonly id: string } & Asked
  | {
    readonly _tag: "RecordStep"
    readonly step: string
    readonly result: unknown
    readonly children: ReadonlyArray<ChildSpec>
  } & FromHandler
  | {
    readonly _tag: "RequestSlots"
    readonly hold: string
    readonly claims: Claims
    readonly until?: string
    readonly step?: string
  } & FromHandler
  | { readonly _tag: "ReleaseSlots"; readonly hold: string } & FromHandler
  | { readonly _tag: "Succeed"; readonly result: unknown; readonly children: ReadonlyArray<ChildSpec> } & FromHandler
  | {
    readonly _tag: "Fail"
    readonly failure: WorkFailure
    readonly retryAt: number | undefined
    readonly children: ReadonlyArray<ChildSpec>
  } & FromHandler
  | { readonly _tag: "Interrupted"; readonly livedMillis: number } & FromHandler
  | { readonly _tag: "Block"; readonly what: string } & FromHandler
  | { readonly _tag: "Cleaned"; readonly id: string }

/** The run does not take this command in the state that it is in. */
export class RunNotAccepting extends Schema.TaggedError<RunNotAccepting>()("RunNotAccepting", {
  command: Schema.String,
  state: Schema.String,
  message: Schema.String
}) {}

/** A work with this id is in the run already. */
export class DuplicateWork extends Schema.TaggedError<DuplicateWork>()("DuplicateWork", {
  id: Schema.String,
  message: Schema.String
}) {}

/** No work of this id is in the run. */
export class WorkNotFound extends Schema.TaggedError<WorkNotFound>()("WorkNotFound", {
  id: Schema.String,
  message: Schema.String
}) {}

/** The work has its final outcome already. */
export class WorkSettled extends Schema.TaggedError<WorkSettled>()("WorkSettled", {
  id: Schema.String,
  status: Schema.String,
  message: Schema.String
}) {}

/** A spec, or a claim, that the run cannot take. Names the field, the value and what is allowed. */
export class InvalidWork extends Schema.TaggedError<InvalidWork>()("InvalidWork", {
  id: Schema.String,
  field: Schema.String,
  value: Schema.String,
  message: Schema.String
}) {}

/** The attempt that sent the message is over; nothing of it is recorded. */
export class Late extends Schema.TaggedError<Late>()("Late", { id: Schema.String, message: Schema.String }) {}

export type Refusal = RunNotAccepting | DuplicateWork | WorkNotFound | WorkSettled | InvalidWork | Late

export type Decision = Result.Result<ReadonlyArray<RunEvent>, Refusal>

const none: Decision = Result.succeed([])

const remedy: { readonly [state: string]: string } = {
  absent: "start the run first",
  suspending: "open the run again when it is suspended",
  suspended: "open the run again",
  cancelling: "a cancelled run takes no more work: start another",
  cancelled: "a cancelled run takes no more work: start another",
  completed: "adding work extends it"
}

const refuse = (state: RunState, command: Command["_tag"]): Decision =>
  Result.fail(
    new RunNotAccepting({
      command,
      state: state.name,
      message: `${command} is not possible while the run is ${state.name}${
        remedy[state.name] === undefined ? "" : `: ${remedy[state.name]}`
      }`
    })
  )

export const decide = (state: RunState, command: Command, now: number): Decision => {
  switch (command._tag) {
    case "Start": {
      if (state.name !== "absent") return refuse(state, command._tag)
      const start: RunEvent = { _tag: "RunStarted", at: now, config: command.config }
      return Result.map(admit(state, command.specs, now, command.config), (added) => [start, ...added])
    }
    case "Open":
      return open(state, command.config, now)
    case "Tick":
      return none
    case "Add":
      return isAccepting(state) || state.name === "completed"
        ? admit(state, command.specs, now, state.config)
        : refuse(state, command._tag)
    case "Pause":
      if (state.name === "pausing" || state.name === "paused") return none
      return state.name === "running" ? asked("RunPausing", command, now) : refuse(state, command._tag)
    case "Continue":
      if (state.name === "running" || state.name === "completed") return none
      return state.name === "pausing" || state.name === "paused"
        ? asked("RunContinued", command, now)
        : refuse(state, command._tag)
    case "Suspend":
      if (state.name === "absent") return refuse(state, command._tag)
      return isAccepting(state) ? asked("RunSuspending", command, now) : none
    case "Cancel":
      if (state.name === "cancelling" || state.name === "cancelled") return none
      if (state.name === "absent" || state.name === "completed") return refuse(state, command._tag)
      return Result.succeed([
        { _tag: "RunCancelling", at: now, reason: command.reason, actor: command.actor },
        ...Array.from(state.works.values()).flatMap((entry) =>
          isSettled(entry.status) ? [] : cancelEntry(state, entry, command, now)
        )
      ])
    case "Close":
      if (!isAccepting(state) && state.name !== "completed") return refuse(state, command._tag)
      return state.keepOpen ? Result.succeed([{ _tag: "RunClosed", at: now }]) : none
    case "CancelWork": {
      const entry = state.works.get(command.id)
      if (entry === undefined) {
        return Result.fail(
          new WorkNotFound({ id: command.id, message: `no work "${command.id}" in this run: check the id` })
        )
      }
      if (isSettled(entry.status)) {
        return Result.fail(
          new WorkSettled({
            id: command.id,
            status: entry.status,
            message: `work "${command.id}" is ${entry.status} already; its outcome does not change`
          })
        )
      }
      return Result.succeed(cancelEntry(state, entry, command, now))
    }
    case "Cleaned": {
      const entry = state.works.get(command.id)
      if (entry?.status !== "cleaning") return late(command.id)
      return Result.succeed([cancelled(entry, now)])
    }
    default:
      return fromHandler(state, command, now)
  }
}

const isAccepting = (state: RunState): boolean =>
  state.name === "running" || state.name === "pausing" || state.name === "paused"

const asked = (_tag: "RunPausing" | "RunContinued" | "RunSuspending", by: Asked, now: number): Decision =>
  Result.succeed([{ _tag, at: now, reason: by.reason, actor: by.actor }])

const late = (id: string): Decision =>
  Result.fail(new Late({ id, message: `an earlier attempt of "${id}" is over; what it says now is not recorded` }))

/**
 * A new process takes the run up. Cancelling works whose handler died with the old one go on to their clean-up, as the
 * kinds of the new process declare it: it is the one that must do it. A clean-up that it no longer declares is over.
 */
const open = (state: RunState, config: RunConfig, now: number): Decision => {
  if (state.name === "absent") return refuse(state, "Open")
  if (state.name === "cancelled") return none
  const events: Array<RunEvent> = [{ _tag: "RunResumed", at: now, config }]
  for (const entry of state.begun) {
    if (entry.status === "cancelling") events.push(afterCancel(state, entry, config, now))
    if (entry.status === "cleaning" && !declaresOnCancel(state, entry, config)) events.push(cancelled(entry, now))
  }
  if (state.name !== "cancelling") return Result.succeed(events)
  // The journal's tail may have been torn off within the events of the cancel: it is carried through.
  for (const entry of state.works.values()) {
    if (isSettled(entry.status) || entry.status === "cancelling" || entry.status === "cleaning") continue
    events.push(...cancelIdle(state, entry, state.cause!, config, now))
  }
  return Result.succeed(events)
}

/** All specs or none. Those that an idempotency key merges into a queued work add nothing. */
const admit = (
  state: RunState,
  specs: ReadonlyArray<WorkSpec>,
  now: number,
  config: RunConfig
): Decision => {
  const ids = new Set<string>()
  const keys = new Set<string>()
  const events: Array<RunEvent> = []
  for (const spec of specs) {
    if (state.works.has(spec.id) || ids.has(spec.id)) {
      return Result.fail(
        new DuplicateWork({
          id: spec.id,
          message: `a work with the id "${spec.id}" is in the run already: ids are unique in a run`
        })
      )
    }
    const invalid = checkClaims(config, spec.id, "slots", spec.slots)
    if (invalid !== undefined) return Result.fail(invalid)
    if (spec.dedupe !== undefined) {
      if (state.dedupe.has(spec.dedupe) || keys.has(spec.dedupe)) continue
      keys.add(spec.dedupe)
    }
    ids.add(spec.id)
    events.push({ _tag: "WorkAdded", at: now, spec })
  }
  return Result.succeed(events)
}

const checkClaims = (
  config: RunConfig,
  id: string,
  field: string,
  claims: Claims | undefined
): InvalidWork | undefined => {
  for (const pool in claims) {
    if (!Object.hasOwn(config.pools, pool)) {
      const known = Object.keys(config.pools)
      return new InvalidWork({
        id,
        field: `${field}.${pool}`,
        value: String(claims[pool]),
        message: `work "${id}" claims the pool "${pool}", which this run does not have: ${
          known.length === 0 ? "give the run pools when it is opened" : `its pools are ${known.join(", ")}`
        }`
      })
    }
  }
  return undefined
}

/**
 * The children that become works now. One whose id is in the run already has been added by an earlier record and
 * is not added again; one whose key is queued is merged.
 */
const heirs = (
  state: RunState,
  entry: WorkEntry,
  own: ReadonlyArray<ChildSpec>,
  on: "success" | "failure"
): Array<WorkSpec> => {
  const ids = new Set<string>()
  const keys = new Set<string>()
  const specs: Array<WorkSpec> = []
  const consider = (child: ChildSpec): void => {
    if (child.on !== on && child.on !== "always") return
    const { spec } = child
    if (state.works.has(spec.id) || ids.has(spec.id)) return
    if (spec.dedupe !== undefined) {
      if (state.dedupe.has(spec.dedupe) || keys.has(spec.dedupe)) return
      keys.add(spec.dedupe)
    }
    ids.add(spec.id)
    specs.push(spec)
  }
  for (const step of entry.live!.steps.values()) step.children.forEach(consider)
  own.forEach(consider)
  return specs
}

const cancelled = (entry: WorkEntry, now: number): RunEvent => ({
  _tag: "WorkCancelled",
  at: now,
  id: entry.spec.id,
  ...entry.live!.cancel!
})

/** Whether a handler has run. One that could not read its payload has not: only records tell of an earlier one. */
const hasBegun = (entry: WorkEntry): boolean =>
  entry.live !== undefined && (entry.status !== "blocked" || hasRecords(entry.live))

/** Of a kind that the program lost, what was last declared holds: its clean-up waits for a program that has it. */
const declaresOnCancel = (state: RunState, entry: WorkEntry, config: RunConfig): boolean => {
  const { kind } = entry.spec
  return Object.hasOwn(config.kinds, kind) ? config.kinds[kind]!.onCancel : state.kinds.get(kind)?.onCancel === true
}

/** The handler of a cancelling work has ended. */
const afterCancel = (state: RunState, entry: WorkEntry, config: RunConfig, now: number): RunEvent =>
  declaresOnCancel(state, entry, config)
    ? { _tag: "WorkCleaning", at: now, id: entry.spec.id }
    : cancelled(entry, now)

/** Cancels a work that has no handler. */
const cancelIdle = (state: RunState, entry: WorkEntry, by: Asked, config: RunConfig, now: number): Array<RunEvent> => {
  const { actor, reason } = by
  const event = { at: now, id: entry.spec.id }
  return hasBegun(entry) && declaresOnCancel(state, entry, config)
    ? [{ _tag: "WorkCancelling", ...event, reason, actor }, { _tag: "WorkCleaning", ...event }]
    : [{ _tag: "WorkCancelled", ...event, reason, actor }]
}

const cancelEntry = (state: RunState, entry: WorkEntry, by: Asked, now: number): Array<RunEvent> => {
  if (entry.status === "cancelling" || entry.status === "cleaning") return []
  const { actor, reason } = by
  return entry.status === "running"
    ? [{ _tag: "WorkCancelling", at: now, id: entry.spec.id, reason, actor }]
    : cancelIdle(state, entry, by, state.config, now)
}

type HandlerCommand = Extract<Command, FromHandler>

const fromHandler = (state: RunState, command: HandlerCommand, now: number): Decision => {
  const entry = state.works.get(command.id)
  const live = entry?.live
  if (
    entry === undefined || live === undefined || live.attempt !== command.attempt ||
    (entry.status !== "running" && entry.status !== "cancelling")
  ) return late(command.id)
  const id = command.id
  if (command._tag === "RecordStep") {
    return Result.succeed([{
      _tag: "StepRecorded",
      at: now,
      id,
      step: command.step,
      result: command.result as never,
      children: command.children
    }])
  }
  if (command._tag === "ReleaseSlots") {
    return live.holds.has(command.hold)
      ? Result.succeed([{ _tag: "SlotsReleased", at: now, id, hold: command.hold }])
      : none
  }
  if (entry.status === "cancelling") {
    if (command._tag === "RequestSlots") return late(id)
    const hasNothingToUndo = command._tag === "Block" && !hasRecords(live)
    return Result.succeed([hasNothingToUndo ? cancelled(entry, now) : afterCancel(state, entry, state.config, now)])
  }
  switch (command._tag) {
    case "RequestSlots":
      return requestSlots(state, entry, command, now)
    case "Succeed":
      return Result.succeed([{
        _tag: "WorkSucceeded",
        at: now,
        id,
        result: command.result as never,
        children: heirs(state, entry, command.children, "success")
      }])
    case "Fail":
      return Result.succeed([
        command.retryAt === undefined
          ? {
            _tag: "WorkFailed",
            at: now,
            id,
            failure: command.failure,
            children: heirs(state, entry, command.children, "failure")
          }
          : { _tag: "WorkRetryScheduled", at: now, id, failure: command.failure, wakeAt: command.retryAt }
      ])
    case "Interrupted":
      return Result.succeed([{ _tag: "WorkInterrupted", at: now, id, livedMillis: command.livedMillis }])
    case "Block":
      return Result.succeed([{ _tag: "WorkBlocked", at: now, id, what: command.what }])
  }
}

const requestSlots = (
  state: RunState,
  entry: WorkEntry,
  command: Extract<Command, { readonly _tag: "RequestSlots" }>,
  now: number
): Decision => {
  const { claims, hold, id, step, until } = command
  const { holds, lent, steps } = entry.live!
  if (holds.has(hold)) return none
  // The step that would give the claim back, or that it is for, is over: nothing would ever release it.
  if ((until !== undefined && steps.has(until)) || (step !== undefined && steps.has(step))) return none
  const invalid = checkClaims(state.config, id, `hold "${hold}"`, claims)
  if (invalid !== undefined) return Result.fail(invalid)
  const event = {
    at: now,
    id,
    hold,
    claims,
    ...(until === undefined ? {} : { until }),
    ...(step === undefined ? {} : { step })
  }
  // Granted at once only if nobody who waits for the same pools would have come first.
  return !lent && fits(state, claims) && !hasRival(state, entry, claims)
    ? Result.succeed([{ _tag: "SlotsGranted", ...event }])
    : Result.succeed([{ _tag: "SlotsRequested", ...event }])
}

/** What follows from the state alone: works whose time has come, and ends of the run's own transitions. */
export const follow = (state: RunState, now: number): RunEvent | undefined => {
  const wake = state.wakes.peek()
  if (wake instanceof Wake && wake.at <= now && state.name !== "cancelled" && state.name !== "completed") {
    return { _tag: "WorkQueued", at: now, id: wake.entry.spec.id }
  }
  if (isAccepting(state) && !state.keepOpen && state.unsettled === 0) return { _tag: "RunCompleted", at: now }
  if (state.name === "pausing" && state.handlers === 0) return { _tag: "RunPaused", at: now }
  if (state.name === "suspending" && state.handlers === 0) return { _tag: "RunSuspended", at: now }
  if (state.name === "cancelling" && state.unsettled === 0) return { _tag: "RunCancelled", at: now }
  return undefined
}
