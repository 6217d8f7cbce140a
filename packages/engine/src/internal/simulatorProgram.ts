/**
 * What a simulated run is made of, as data: a configuration, works, and what happens at which turn: commands from outside,
 * faults, the passing of time. It follows from a seed alone, and any part of it can be left out.
 */
import type { Limits, PauseScope, RunConfig } from "../RunEvent.ts"
import type { WorkSpec } from "../WorkSpec.ts"
import type { WorkControl, WorkFilter } from "./command.ts"

/** What can go wrong. Each strikes once, at the first chance from its turn on. */
export const faults = [
  /** The process dies while an append is under way: nothing of it is durable. */
  "crash before append",
  /** The process dies when an append has become durable, and before anybody is told. */
  "crash after append",
  /** The process dies when a handler has done something to the world, and before the engine is told. */
  "crash between effects",
  /** An append takes several turns. */
  "slow append",
  /** An append fails: the process drops what it holds and gives up. */
  "failing append",
  /** Another process takes the run over; the next append of the one before must fail. */
  "lost lock"
] as const
export type Fault = (typeof faults)[number]

/** A spec whose times count from the moment when it is added. */
export interface Sketch {
  readonly spec: WorkSpec
  readonly notBeforeIn?: number
  readonly deadlineIn?: number
}

/**
 * A work is named by a number, and, where there is one, by a state that it should be in; `stuck`: its
 * handler is alive, and one of an earlier start was given up and has not ended.
 */
export interface Pick {
  readonly pick: number
  readonly state: string | undefined
}

/** Whose messages break the protocol: they come from nobody, or from another start. */
export type Rogue = "RecordStep" | "Succeed" | "Fail" | "Interrupted" | "Block" | "ReleaseSlots" | "Cleaned" | "Unstuck"

export type Deed =
  | { readonly _tag: "Add"; readonly sketches: ReadonlyArray<Sketch> }
  | { readonly _tag: "Control"; readonly control: WorkControl; readonly of: Pick }
  | { readonly _tag: "Each"; readonly filter: WorkFilter; readonly control: WorkControl }
  | { readonly _tag: "Run"; readonly command: "Pause" | "Continue" | "Suspend" | "Cancel" | "Close" }
  | { readonly _tag: "SetLimits"; readonly limits: Limits }
  | { readonly _tag: "Scope"; readonly command: "PauseScope" | "ContinueScope"; readonly scope: PauseScope }
  | { readonly _tag: "Start" }
  /** Another fiber of a handler asks for a claim, or gives one back. */
  | {
    readonly _tag: "Ask"
    readonly hold: string
    readonly claims: { readonly [pool: string]: number }
    readonly until: string | undefined
    /** The rest of the handler waits for it. */
    readonly isWaitedFor: boolean
    readonly of: Pick
  }
  | { readonly _tag: "Release"; readonly hold: string; readonly of: Pick }
  | { readonly _tag: "Rogue"; readonly message: Rogue; readonly isLate: boolean; readonly of: Pick }
  /** A handler that was given up ends at last: of a work in this state, if there is one. */
  | { readonly _tag: "EndStuck"; readonly state: string }
  | { readonly _tag: "Sleep"; readonly millis: number }
  | { readonly _tag: "Snapshot" }
  | { readonly _tag: "Stop" }
  | { readonly _tag: "Fault"; readonly fault: Fault }

/** What happens at a turn. */
export interface Happening {
  readonly turn: number
  readonly deed: Deed
}

export interface Program {
  /** Handlers and the order of things within a turn follow from it. */
  readonly seed: number
  readonly turns: number
  /** The turn at which the run is started: before, it is asked for things that it cannot do. */
  readonly startsAt: number
  /** What the first process opens the run with, then the second, and so on; the last for all that follow. */
  readonly configs: ReadonlyArray<RunConfig>
  readonly sketches: ReadonlyArray<Sketch>
  readonly happenings: ReadonlyArray<Happening>
}

/** The names of controls, as the histogram shows them. */
export const controlOf = (deed: Deed): string | undefined => {
  switch (deed._tag) {
    case "Control":
      return deed.control._tag === "RetryWork" && deed.control.from !== undefined ? "RetryWork from" : deed.control._tag
    case "Each":
      return `Each ${deed.control._tag}`
    case "Run":
    case "Scope":
      return deed.command
    case "Add":
    case "SetLimits":
      return deed._tag
    default:
      return undefined
  }
}

/** Every control that can meet a fault. */
export const controls: ReadonlyArray<string> = [
  "Add",
  "CancelWork",
  "PauseWork",
  "ContinueWork",
  "RetryWork",
  "RetryWork from",
  "Reprioritize",
  "Each CancelWork",
  "Each PauseWork",
  "Each ContinueWork",
  "Each RetryWork",
  "Each Reprioritize",
  "Pause",
  "Continue",
  "Suspend",
  "Cancel",
  "Close",
  "SetLimits",
  "PauseScope",
  "ContinueScope"
]
