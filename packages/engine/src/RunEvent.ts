/**
 * Everything that can happen in a run. The journal holds these events and nothing else; every state that anyone
 * sees is a fold over them. `docs/life-of-a-work.md` tells which command makes which event.
 *
 * Events are JSON as they stand (no codec between memory and disk), carry `at` in milliseconds since the epoch, and
 * are wrapped with a version when written. A reader that meets a version or a tag that it does not know
 * refuses the run (`quarantined`): nothing is guessed and nothing is dropped.
 */
import { Result, Schema } from "effect"
import { WorkFailure } from "./Outcome.ts"
import { ChildSpec, Claims, WorkSpec } from "./WorkSpec.ts"

/**
 * What the scheduler must know of a kind.
 */
export const KindConfig = Schema.Struct({
  limit: Schema.optionalKey(Schema.Int),
  onCancel: Schema.Boolean
})
export type KindConfig = typeof KindConfig.Type

/**
 * The limits of a run, as its latest opener set them.
 */
export const RunConfig = Schema.Struct({
  concurrency: Schema.Int.check(Schema.isGreaterThan(0)),
  pools: Schema.Record(Schema.String, Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
  kinds: Schema.Record(Schema.String, KindConfig),
  keepOpen: Schema.Boolean
})
export type RunConfig = typeof RunConfig.Type

const run = { at: Schema.Finite }
const work = { at: Schema.Finite, id: Schema.String }
const actor = { actor: Schema.String, reason: Schema.String }

/**
 * One event of a run.
 *
 * @example
 * ```ts
 * import { RunEvent } from "@espalier/engine"
 * import { Result } from "effect"
 * import assert from "node:assert"
 *
 * const line = RunEvent.encode({ _tag: "WorkQueued", at: 1_700_000_000_000, id: "a" })
 * assert.deepStrictEqual(Result.getOrThrow(RunEvent.decode(line)), {
 *   _tag: "WorkQueued",
 *   at: 1_700_000_000_000,
 *   id: "a"
 * })
 * assert(Result.isFailure(RunEvent.decode(`{"v":99,"_tag":"WorkQueued"}`)))
 * ```
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

  Schema.TaggedStruct("WorkAdded", { at: Schema.Finite, spec: WorkSpec }),
  Schema.TaggedStruct("WorkStarted", { ...work, attempt: Schema.Int }),
  Schema.TaggedStruct("StepRecorded", {
    ...work,
    step: Schema.String,
    result: Schema.Json,
    children: Schema.Array(ChildSpec)
  }),
  Schema.TaggedStruct("SlotsRequested", {
    ...work,
    hold: Schema.String,
    claims: Claims,
    until: Schema.optionalKey(Schema.String),
    step: Schema.optionalKey(Schema.String)
  }),
  Schema.TaggedStruct("SlotsGranted", {
    ...work,
    hold: Schema.String,
    claims: Claims,
    until: Schema.optionalKey(Schema.String),
    step: Schema.optionalKey(Schema.String)
  }),
  Schema.TaggedStruct("SlotsReleased", { ...work, hold: Schema.String }),
  Schema.TaggedStruct("WorkSucceeded", { ...work, result: Schema.Json, children: Schema.Array(WorkSpec) }),
  Schema.TaggedStruct("WorkFailed", { ...work, failure: WorkFailure, children: Schema.Array(WorkSpec) }),
  Schema.TaggedStruct("WorkRetryScheduled", { ...work, failure: WorkFailure, wakeAt: Schema.Finite }),
  Schema.TaggedStruct("WorkQueued", work),
  Schema.TaggedStruct("WorkInterrupted", { ...work, livedMillis: Schema.Finite }),
  Schema.TaggedStruct("WorkBlocked", { ...work, what: Schema.String }),
  Schema.TaggedStruct("WorkCancelling", { ...work, ...actor }),
  Schema.TaggedStruct("WorkCleaning", work),
  Schema.TaggedStruct("WorkCancelled", { ...work, ...actor })
])
export type RunEvent = typeof RunEvent.Type

/**
 * One event of the union by its tag.
 */
export type Of<Tag extends RunEvent["_tag"]> = Extract<RunEvent, { readonly _tag: Tag }>

/**
 * An event with its place in the run's journal: `seq` is 1-based and gapless.
 */
export interface Sequenced {
  readonly seq: number
  readonly event: RunEvent
}

/**
 * The version that this code writes.
 */
export const version = 1

/**
 * The line of a journal that this code cannot read.
 */
export class UnreadableEvent extends Schema.TaggedError<UnreadableEvent>()("UnreadableEvent", {
  message: Schema.String
}) {}

/**
 * An event as one line of JSON, with its version.
 */
export const encode = (event: RunEvent): string => `{"v":${version},${JSON.stringify(event).slice(1)}`

const decodeEvent = Schema.decodeUnknownResult(RunEvent)

/**
 * Reads a line that `encode` wrote. Fails with `UnreadableEvent` when it is not JSON, of a version that this code does not
 * know, or of an unknown shape.
 */
export const decode = (line: string): Result.Result<RunEvent, UnreadableEvent> => {
  let parsed: { readonly v?: unknown; readonly _tag?: unknown }
  try {
    parsed = JSON.parse(line)
  } catch (cause) {
    return Result.fail(new UnreadableEvent({ message: `not JSON (${String(cause)}): ${line.slice(0, 80)}` }))
  }
  if (parsed.v !== version) {
    return Result.fail(
      new UnreadableEvent({
        message: `event version ${String(parsed.v)} of ${String(parsed._tag)}; this code reads version ${version}`
      })
    )
  }
  return Result.mapError(
    decodeEvent(parsed),
    (issue) => new UnreadableEvent({ message: `${String(parsed._tag)}: ${issue.message}` })
  )
}
