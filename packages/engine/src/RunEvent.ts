/**
 * Everything that can happen in a run. The journal holds these events and nothing else; every state that anyone
 * sees is a fold over them. `docs/life-of-a-work.md` tells which command makes which event.
 *
 * Events are JSON as they stand (no codec between memory and disk), carry `at` in milliseconds since the epoch, and
 * are wrapped with a version when written. A reader that meets a version or a tag that it does not know
 * refuses the run (`quarantined`): nothing is guessed and nothing is dropped.
 */
import { Result, Schema } from "effect"
import { SkipCause, WorkFailure } from "./Outcome.ts"
import { ChildSpec, Claims, WorkSpec } from "./WorkSpec.ts"

/**
 * Part of an event: what the scheduler must know of a kind. `limit`: how many works of it may run at the same time.
 */
export const KindConfig = Schema.Struct({
  limit: Schema.optionalKey(Schema.Int),
  onCancel: Schema.Boolean
})
export type KindConfig = typeof KindConfig.Type

/** Part of an event: which settled works a run keeps; all of them when neither is given. The newest stay. */
export const Retention = Schema.Struct({
  count: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
  ageMillis: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)))
})
export type Retention = typeof Retention.Type

/**
 * Part of an event: the options of a run, as its latest opener set them; see `WorkEngine.OpenOptions`. What is left out: keys are
 * not limited, a failure stops nobody, a work is given up after 5 crashes in a row, all settled works are kept, and units are
 * reserved for what has waited for 30 seconds.
 */
export const RunConfig = Schema.Struct({
  concurrency: Schema.Int.check(Schema.isGreaterThan(0)),
  pools: Schema.Record(Schema.String, Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
  kinds: Schema.Record(Schema.String, KindConfig),
  keepOpen: Schema.Boolean,
  keyLimit: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThan(0))),
  keyLimits: Schema.optionalKey(Schema.Record(Schema.String, Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)))),
  failFast: Schema.optionalKey(Schema.Boolean),
  maxCrashes: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThan(0))),
  retain: Schema.optionalKey(Retention),
  reserveAfterMillis: Schema.optionalKey(Schema.Finite)
})
export type RunConfig = typeof RunConfig.Type

/** @internal */
export const defaultMaxCrashes = 5

/** @internal */
export const defaultReserveAfterMillis = 30_000

/**
 * Part of an event: new limits of a run that is under way; what is left out stays. A kind's or key's limit of `null` is "none".
 */
export const Limits = Schema.Struct({
  concurrency: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThan(0))),
  pools: Schema.optionalKey(Schema.Record(Schema.String, Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)))),
  kinds: Schema.optionalKey(
    Schema.Record(Schema.String, Schema.NullOr(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))))
  ),
  keyLimit: Schema.optionalKey(Schema.NullOr(Schema.Int.check(Schema.isGreaterThan(0)))),
  keyLimits: Schema.optionalKey(
    Schema.Record(Schema.String, Schema.NullOr(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))))
  )
})
export type Limits = typeof Limits.Type

/** Part of an event: a part of a run that can be paused on its own, which is all works of a kind, or all with a key. */
export const PauseScope = Schema.Union([
  Schema.TaggedStruct("Kind", { kind: Schema.String }),
  Schema.TaggedStruct("Key", { key: Schema.String })
])
export type PauseScope = typeof PauseScope.Type

const run = { at: Schema.Finite }
const work = { at: Schema.Finite, id: Schema.String }
const actor = { actor: Schema.String, reason: Schema.String }
const claim = {
  ...work,
  hold: Schema.String,
  claims: Claims,
  until: Schema.optionalKey(Schema.String),
  step: Schema.optionalKey(Schema.String)
}

/**
 * One event of a run: a schema, and the type of what `run.events` and an engine's `history` give. Match it by its tag.
 */
export const RunEvent = Schema.Union([
  Schema.TaggedStruct("RunStarted", { ...run, config: RunConfig }),
  Schema.TaggedStruct("RunResumed", { ...run, config: RunConfig }),
  Schema.TaggedStruct("RunPausing", { ...run, ...actor }),
  Schema.TaggedStruct("RunPaused", run),
  Schema.TaggedStruct("RunContinued", { ...run, ...actor }),
  Schema.TaggedStruct("RunSuspending", { ...run, ...actor }),
  Schema.TaggedStruct("RunSuspended", run),
  Schema.TaggedStruct("RunCancelling", { ...run, ...actor }),
  Schema.TaggedStruct("RunCancelled", run),
  Schema.TaggedStruct("RunClosed", run),
  Schema.TaggedStruct("RunCompleted", run),
  Schema.TaggedStruct("LimitsChanged", { ...run, limits: Limits, ...actor }),
  Schema.TaggedStruct("ScopePaused", { ...run, scope: PauseScope, ...actor }),
  Schema.TaggedStruct("ScopeContinued", { ...run, scope: PauseScope, ...actor }),
  Schema.TaggedStruct("WorksForgotten", { ...run, ids: Schema.Array(Schema.String) }),

  Schema.TaggedStruct("WorkAdded", { at: Schema.Finite, spec: WorkSpec }),
  Schema.TaggedStruct("WorkStarted", { ...work, attempt: Schema.Int }),
  Schema.TaggedStruct("StepRecorded", {
    ...work,
    step: Schema.String,
    result: Schema.Json,
    children: Schema.Array(ChildSpec),
    cursor: Schema.optionalKey(Schema.Boolean)
  }),
  Schema.TaggedStruct("SlotsRequested", claim),
  Schema.TaggedStruct("SlotsGranted", claim),
  Schema.TaggedStruct("SlotsReleased", { ...work, hold: Schema.String }),
  Schema.TaggedStruct("WorkSucceeded", { ...work, result: Schema.Json, children: Schema.Array(WorkSpec) }),
  Schema.TaggedStruct("WorkFailed", { ...work, failure: WorkFailure, children: Schema.Array(WorkSpec) }),
  Schema.TaggedStruct("WorkSkipped", { ...work, cause: SkipCause }),
  Schema.TaggedStruct("WorkRetryScheduled", {
    ...work,
    failure: WorkFailure,
    wakeAt: Schema.Finite,
    from: Schema.optionalKey(Schema.String)
  }),
  Schema.TaggedStruct("WorkRetried", { ...work, from: Schema.optionalKey(Schema.String), ...actor }),
  Schema.TaggedStruct("WorkQueued", work),
  Schema.TaggedStruct("WorkInterrupted", { ...work, livedMillis: Schema.Finite }),
  Schema.TaggedStruct("WorkBlocked", { ...work, what: Schema.String }),
  Schema.TaggedStruct("WorkPaused", { ...work, ...actor }),
  Schema.TaggedStruct("WorkContinued", { ...work, ...actor }),
  Schema.TaggedStruct("WorkReprioritized", { ...work, priority: Schema.Finite, ...actor }),
  Schema.TaggedStruct("WorkCancelling", { ...work, ...actor }),
  Schema.TaggedStruct("WorkCleaning", work),
  Schema.TaggedStruct("WorkCancelled", { ...work, ...actor }),
  Schema.TaggedStruct("WorkStuck", { ...work, start: Schema.Int, keepsSlots: Schema.Boolean }),
  Schema.TaggedStruct("WorkUnstuck", { ...work, start: Schema.Int })
])
export type RunEvent = typeof RunEvent.Type

/**
 * One event of the union by its tag: `RunEvent.Of<"WorkSucceeded">`.
 */
export type Of<Tag extends RunEvent["_tag"]> = Extract<RunEvent, { readonly _tag: Tag }>

/**
 * What all events up to a number amount to, in place of events that are no longer kept: the first thing that a reader gets
 * who asks for them. It is never in a journal. `RunState.fromSnapshot(parts)` makes the state of it. `at` is the time
 * of the last event that it stands for, in milliseconds since the epoch.
 */
export interface RunSnapshot {
  readonly _tag: "RunSnapshot"
  readonly at: number
  readonly parts: ReadonlyArray<unknown>
}

/**
 * An event with its place in the run's journal: `seq` counts from 1, without gaps; a `RunSnapshot` has the number of the last event
 * that it stands for.
 */
export interface Sequenced {
  readonly seq: number
  readonly event: RunEvent | RunSnapshot
}

/**
 * The version of the events that this code writes. It reads this one and all before it.
 */
export const version = 2

/**
 * An event of a journal that this code cannot read: `message` says which, and why. A run that holds one is refused as
 * `RunQuarantined`.
 */
export class UnreadableEvent extends Schema.TaggedError<UnreadableEvent>()("UnreadableEvent", {
  message: Schema.String
}) {}

/** Each takes an event of its version to the next one. */
const upcasts: { readonly [version: number]: (event: { readonly _tag?: unknown }) => unknown } = {
  // Version 2 added events and optional fields, and the journal keeps the version apart: it is no field any more.
  1: ({ v: _, ...event }: { readonly _tag?: unknown; readonly v?: unknown }) => event
}

const decodeEvent = Schema.decodeUnknownResult(RunEvent)

/**
 * Reads an event as a journal gives it back, with the version that it was written with; an old one is brought up to date.
 * Fails with `UnreadableEvent` for a version that this code does not know, and for an unknown shape. For whoever reads a journal
 * without an engine; an engine's events are decoded already.
 *
 * @example
 * ```ts
 * import { RunEvent } from "@espalier/engine"
 * import { Result } from "effect"
 * import assert from "node:assert"
 *
 * const event = { _tag: "WorkQueued", at: 1_700_000_000_000, id: "a" }
 * const read = (json: unknown, version: number): RunEvent.RunEvent | RunEvent.UnreadableEvent =>
 *   Result.merge(RunEvent.decode(json, version))
 *
 * assert.deepStrictEqual(read(event, RunEvent.version), event)
 * assert(read(event, 99) instanceof RunEvent.UnreadableEvent)
 * assert(read({ ...event, _tag: "WorkLost" }, RunEvent.version) instanceof RunEvent.UnreadableEvent)
 * ```
 */
export const decode = (json: unknown, written: number): Result.Result<RunEvent, UnreadableEvent> => {
  let event = json as { readonly _tag?: unknown }
  for (let each = written; each < version; each++) {
    const upcast = upcasts[each]
    if (upcast === undefined) return unknownVersion(written, event)
    event = upcast(event) as typeof event
  }
  if (written > version) return unknownVersion(written, event)
  if (isPlain(event)) return Result.succeed(event as RunEvent)
  return Result.mapError(
    decodeEvent(event),
    (issue) => new UnreadableEvent({ message: `${String(event?._tag)}: ${issue.message}` })
  )
}

const unknownVersion = (written: number, event: { readonly _tag?: unknown }) =>
  Result.fail(
    new UnreadableEvent({
      message: `version ${written} of ${String(event?._tag)}; this code reads versions up to ${version}`
    })
  )

const plainSpecFields = new Set(["id", "kind", "priority", "payload"])

/**
 * Whether it is one of the events that a journal is full of, in its plain form: looked at by hand, because a million of
 * them are read when a long run is opened. What this does not know goes through the schema.
 */
const isPlain = (event: { readonly [field: string]: unknown }): boolean => {
  if (typeof event !== "object" || event === null || !Number.isFinite(event["at"])) return false
  switch (event["_tag"]) {
    case "WorkAdded": {
      const spec = event["spec"] as { readonly [field: string]: unknown } | undefined
      if (typeof spec !== "object" || spec === null) return false
      for (const field in spec) if (!plainSpecFields.has(field)) return false
      const { id, kind, priority } = spec
      return typeof id === "string" && id.length > 0 && id.length <= 512 && typeof kind === "string" &&
        kind.length > 0 && Number.isFinite(priority) && spec["payload"] !== undefined
    }
    case "WorkStarted":
      return typeof event["id"] === "string" && Number.isSafeInteger(event["attempt"])
    case "WorkSucceeded":
      return typeof event["id"] === "string" && event["result"] !== undefined && isEmpty(event["children"])
    case "StepRecorded":
      return typeof event["id"] === "string" && typeof event["step"] === "string" && event["result"] !== undefined &&
        isEmpty(event["children"]) && (event["cursor"] === undefined || typeof event["cursor"] === "boolean")
    default:
      return false
  }
}

const isEmpty = (children: unknown): boolean => Array.isArray(children) && children.length === 0
