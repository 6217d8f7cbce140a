/**
 * Holding units of named pools for a part of a work.
 *
 * A claim queues among the works that wait to start, in the same order, and is journaled: after a crash it is held again
 * before anything new is granted. While a work waits for one it lends its concurrency unit back.
 */
import { Effect } from "effect"
import { CurrentWork } from "./CurrentWork.ts"
import type { Claims } from "./WorkSpec.ts"

/**
 * Holds units from now until the step `until` is recorded, the hold is released, or the work settles; through
 * retries, suspends and crashes. Returns when they are granted; at once when they are held already or when `until` is
 * recorded. A pool that the run does not have is a defect.
 *
 * Interrupting the wait for a grant does not withdraw the request: units granted later stay held by the work.
 */
export const hold = (
  name: string,
  claims: Claims,
  options: { readonly until?: string } = {}
): Effect.Effect<void, never, CurrentWork> =>
  Effect.flatMap(CurrentWork, (work) =>
    options.until !== undefined && work.port.steps.has(options.until)
      ? Effect.void
      : Effect.orDie(
        work.port.acquire({ hold: name, claims, ...(options.until === undefined ? {} : { until: options.until }) })
      ))

/**
 * Gives back what `hold(name, ...)` holds; nothing when it holds nothing.
 */
export const release = (name: string): Effect.Effect<void, never, CurrentWork> =>
  Effect.flatMap(CurrentWork, (work) =>
    Effect.orDie(
      work.port.tell({ _tag: "ReleaseSlots", id: work.spec.id, attempt: work.attempt, hold: name })
    ))
