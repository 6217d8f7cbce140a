/**
 * What a run can be asked, and what it can refuse. `docs/life-of-a-work.md` tells what each command does in each state.
 */
import { Schema } from "effect"
import type { WorkFailure } from "../Outcome.ts"
import type { Limits, PauseScope, RunConfig } from "../RunEvent.ts"
import type { ChildSpec, Claims, WorkSpec } from "../WorkSpec.ts"
import type { WorkEntry, WorkStatus } from "./model.ts"

/** Who asks, and why. Recorded with what follows. */
export interface Asked {
  readonly actor: string
  readonly reason: string
}

/** `start` is the number of the work's start that the message comes from: a message of an earlier one is late. */
interface FromHandler {
  readonly id: string
  readonly start: number
  /** The work, from whoever has it at hand: looking up one of a million misses the processor's cache. */
  readonly entry?: WorkEntry
}

/** Which works a control is for: those that match everything given. Nothing given: all. */
export interface WorkFilter {
  readonly ids?: ReadonlyArray<string>
  readonly kind?: string
  readonly key?: string
  readonly parent?: string
  readonly state?: WorkStatus | ReadonlyArray<WorkStatus>
}

/** What can be asked of one work, or of all that match a filter. */
export type WorkControl =
  | { readonly _tag: "CancelWork" }
  | { readonly _tag: "PauseWork" }
  | { readonly _tag: "ContinueWork" }
  | { readonly _tag: "RetryWork"; readonly from?: string }
  | { readonly _tag: "Reprioritize"; readonly priority: number }

/** How an attempt ends. */
export type AttemptEnd =
  | { readonly _tag: "Succeed"; readonly result: unknown; readonly children: ReadonlyArray<ChildSpec> } & FromHandler
  | {
    readonly _tag: "Fail"
    readonly failure: WorkFailure
    readonly retryAt: number | undefined
    /** Run again from this step on: it and all recorded later are dropped. */
    readonly from?: string
    readonly children: ReadonlyArray<ChildSpec>
  } & FromHandler
  | { readonly _tag: "Interrupted"; readonly livedMillis: number } & FromHandler
  | { readonly _tag: "Block"; readonly what: string } & FromHandler

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
  | { readonly _tag: "SetLimits"; readonly limits: Limits } & Asked
  | { readonly _tag: "PauseScope"; readonly scope: PauseScope } & Asked
  | { readonly _tag: "ContinueScope"; readonly scope: PauseScope } & Asked
  | WorkControl & { readonly id: string } & Asked
  | { readonly _tag: "Each"; readonly filter: WorkFilter; readonly control: WorkControl } & Asked
  | AttemptEnd
  | {
    readonly _tag: "RecordStep"
    readonly step: string
    readonly result: unknown
    readonly children: ReadonlyArray<ChildSpec>
    /** The step is a cursor: it may be recorded again, and the latest record holds. */
    readonly cursor?: boolean
  } & FromHandler
  | {
    readonly _tag: "RequestSlots"
    readonly hold: string
    readonly claims: Claims
    readonly until?: string
    readonly step?: string
  } & FromHandler
  | { readonly _tag: "ReleaseSlots"; readonly hold: string } & FromHandler
  /** The handler did not end within its grace: the attempt ends without it, as `end` says. */
  | { readonly _tag: "Stuck"; readonly keepsSlots: boolean; readonly end: AttemptEnd } & FromHandler
  /** A stuck handler has ended at last. */
  | { readonly _tag: "Unstuck" } & FromHandler
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

/** The run holds as many unsettled works as it was opened for, and the caller asked not to wait. Nothing was added. */
export class RunFull extends Schema.TaggedError<RunFull>()("RunFull", {
  capacity: Schema.Int,
  message: Schema.String
}) {}

/** A work with this idempotency key has not begun, and the new one asked to be refused in that case. */
export class DuplicateKey extends Schema.TaggedError<DuplicateKey>()("DuplicateKey", {
  id: Schema.String,
  key: Schema.String,
  existing: Schema.String,
  message: Schema.String
}) {}

/** No work of this id is in the run. */
export class WorkNotFound extends Schema.TaggedError<WorkNotFound>()("WorkNotFound", {
  id: Schema.String,
  /** How many settled works the run has forgotten, as it was told to: this may be one of them. Absent: none. */
  forgotten: Schema.optionalKey(Schema.Int),
  message: Schema.String
}) {}

/** The work has its final outcome already. */
export class WorkSettled extends Schema.TaggedError<WorkSettled>()("WorkSettled", {
  id: Schema.String,
  status: Schema.String,
  message: Schema.String
}) {}

/** The work does not take this command in the state that it is in. */
export class WorkNotAccepting extends Schema.TaggedError<WorkNotAccepting>()("WorkNotAccepting", {
  id: Schema.String,
  command: Schema.String,
  status: Schema.String,
  message: Schema.String
}) {}

/** A spec, a claim or a limit that the run cannot take. Names the field, the value and what is allowed. */
export class InvalidWork extends Schema.TaggedError<InvalidWork>()("InvalidWork", {
  id: Schema.String,
  field: Schema.String,
  value: Schema.String,
  message: Schema.String
}) {}

/** The attempt that sent the message is over; nothing of it is recorded. */
export class Late extends Schema.TaggedError<Late>()("Late", { id: Schema.String, message: Schema.String }) {}

export type Refusal =
  | RunNotAccepting
  | RunFull
  | DuplicateWork
  | DuplicateKey
  | WorkNotFound
  | WorkSettled
  | WorkNotAccepting
  | InvalidWork
  | Late
