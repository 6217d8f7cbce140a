/**
 * What a simulated run is made of, as data: works and what their handlers do, controls, and what goes wrong in each of its
 * processes. It can be made smaller by leaving parts of it out.
 */
import type { Claims } from "../../WorkSpec.ts"

export interface Child {
  readonly on: "success" | "failure" | "always"
  readonly work: Work
}

export type Operation =
  /** `fails`: it fails in attempts up to this one, after its effect. */
  | {
    readonly _tag: "Step"
    readonly name: string
    readonly millis: number
    readonly slots?: Claims
    readonly fails?: number
    readonly children?: ReadonlyArray<Child>
  }
  | { readonly _tag: "Cursor"; readonly name: string; readonly to: number; readonly millis: number }
  /** `patience`: it is asked for no longer than so many milliseconds; the request stays. */
  | {
    readonly _tag: "Hold"
    readonly name: string
    readonly claims: Claims
    readonly until?: string
    readonly patience?: number
  }
  | { readonly _tag: "Release"; readonly name: string }
  | { readonly _tag: "Sleep"; readonly millis: number }
  | { readonly _tag: "Report"; readonly current: number }
  /** The run's events so far, and a view of them. */
  | { readonly _tag: "Look" }
  | { readonly _tag: "Spawn"; readonly child: Child }
  | { readonly _tag: "Read"; readonly id: string }
  | { readonly _tag: "Both"; readonly left: ReadonlyArray<Operation>; readonly right: ReadonlyArray<Operation> }
  | { readonly _tag: "Finalizer"; readonly millis: number }
  /** Nothing interrupts it. */
  | { readonly _tag: "Stubborn"; readonly millis: number }

/** How a handler ends when it has come through its operations. */
export type End =
  | { readonly _tag: "Succeed" }
  /** In attempts up to this one; then it succeeds. In a kind with `retryFrom`: in generations up to this one. */
  | { readonly _tag: "Fail"; readonly until: number }
  | { readonly _tag: "Die" }
  | { readonly _tag: "Hang" }

export interface Work {
  readonly id: string
  readonly kind: KindName
  readonly priority: number
  readonly key?: string
  readonly slots?: Claims
  readonly after?: ReadonlyArray<string>
  readonly onDependencyFailure?: "skip" | "run"
  readonly notBeforeIn?: number
  readonly deadlineIn?: number
  readonly timeToLive?: number
  readonly dedupe?: string
  readonly onCollision?: "keep" | "replace" | "reject"
  readonly operations: ReadonlyArray<Operation>
  readonly end: End
  /** How often its clean-up fails before it succeeds, and how long it takes. */
  readonly cleanUp: { readonly fails: number; readonly millis: number }
}

export type KindName = "Plain" | "Undo" | "Single" | "Timed" | "Stalling" | "Stubborn" | "Keeper"

/** Works that are added together, at a time. */
export interface Addition {
  readonly at: number
  readonly works: ReadonlyArray<Work>
}

/** One of the works that are in a state when the control is given, as their events tell. */
export interface Whose {
  readonly state: "pending" | "running" | "cancelling" | "cleaning" | "settled" | "asking" | "holding"
  readonly nth: number
}

/** A work by name, or, where there is one, one of those that are in a state. */
export interface Target {
  readonly id: string
  readonly whose?: Whose
}

export type Control =
  & { readonly at: number }
  & (
    | { readonly _tag: "Pause"; readonly kind?: KindName; readonly key?: string }
    | { readonly _tag: "Resume"; readonly kind?: KindName; readonly key?: string }
    | { readonly _tag: "PauseEngine" }
    | { readonly _tag: "UnpauseEngine" }
    | { readonly _tag: "PauseWork" } & Target
    | { readonly _tag: "ResumeWork" } & Target
    | { readonly _tag: "CancelWork" } & Target
    | { readonly _tag: "Retry"; readonly from?: string } & Target
    | { readonly _tag: "Reprioritize"; readonly priority: number } & Target
    | { readonly _tag: "Each"; readonly control: "cancel" | "pause" | "resume" | "retry"; readonly kind: KindName }
    | { readonly _tag: "Concurrency"; readonly to: number }
    | { readonly _tag: "Pool"; readonly name: string; readonly to: number }
    | { readonly _tag: "KindLimit"; readonly kind: KindName; readonly to: number | null }
    | { readonly _tag: "KeyLimit"; readonly key?: string; readonly to: number | null }
    | { readonly _tag: "Suspend" }
    | { readonly _tag: "Cancel" }
    | { readonly _tag: "Close" }
    /** Looks at the status, the queue, the view, the works, and who may open the run besides. */
    | { readonly _tag: "Look" }
    /** Somebody waits for a work, for no longer than that. */
    | { readonly _tag: "Await"; readonly millis: number } & Target
    /** Somebody reads the events from here on. */
    | { readonly _tag: "Watch"; readonly back: number }
  )

export type ControlTag = Control["_tag"]

/** What goes wrong in a process. The first that ends it ends it; one without any goes on to the end of the run. */
export type Fault =
  | { readonly _tag: "CrashAtEffect"; readonly effects: number }
  | { readonly _tag: "CrashAtFailpoint"; readonly name: string; readonly nth: number }
  | { readonly _tag: "CrashAt"; readonly millis: number }
  | { readonly _tag: "Stop"; readonly millis: number }
  | { readonly _tag: "StandStill"; readonly at: number; readonly millis: number }
  | {
    readonly _tag: "Journal"
    readonly operation: "append" | "read" | "saveSnapshot" | "trim" | "snapshot" | "open"
    readonly nth: number
    readonly when: "before" | "after"
    /** It takes so long; it fails when this is not given. */
    readonly slow?: number
  }
  | { readonly _tag: "LoseLock"; readonly millis: number }

/** What is deployed in a process. A kind may be missing, or its payload be another one; `Undo` may have nothing to undo. */
export interface Deployment {
  readonly Plain?: "missing" | "changed"
  readonly Undo?: "missing" | "without onCancel"
}

/** A process: what goes wrong in it, and how it differs from the last one. */
export interface Life {
  readonly faults: ReadonlyArray<Fault>
  readonly deployment?: Deployment
  readonly options?: Pick<Options, "concurrency" | "pools">
}

export interface Options {
  readonly concurrency: number
  readonly pools: { readonly gpu: number; readonly disk: number; readonly tape: number }
  readonly keyLimit?: number
  readonly capacity?: number
  readonly failFast?: boolean
  readonly maxCrashes?: number
  readonly retain?: number
  readonly reserveAfter?: number
  /** A snapshot after so many events, and at the end of a process after so many. */
  readonly snapshots?: { readonly everyEvents: number; readonly atEndEvents: number }
}

export interface Program {
  readonly seed: number
  readonly isSteady: boolean
  readonly options: Options
  readonly additions: ReadonlyArray<Addition>
  readonly controls: ReadonlyArray<Control>
  /** The processes, one after the other. After these comes one in which nothing goes wrong. */
  readonly lives: ReadonlyArray<Life>
}
