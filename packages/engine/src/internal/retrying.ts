/**
 * Whether and when a failed attempt is tried again.
 */
import { Duration, Effect, Exit, Option, Schedule } from "effect"
import type { WorkFailure } from "../Outcome.ts"
import { WorkerDied } from "../WorkerPoolError.ts"
import { AttemptStalled, AttemptTimedOut } from "../WorkKind.ts"
import type { PastFailure } from "./model.ts"
import type { Registered } from "./registered.ts"

/**
 * When a failed attempt is to be tried again, in milliseconds since the epoch, or undefined; and from which step. The
 * schedule is replayed over the failures on record, so that it goes on where it was after a restart.
 */
export const retryAt = Effect.fnUntraced(function*(
  { error: codec, kind }: Registered,
  past: ReadonlyArray<PastFailure>,
  failure: WorkFailure,
  error: unknown,
  now: number
) {
  const { retry, retryFrom, retryIf } = kind.policies
  if (retryIf !== undefined && !retryIf(error as never)) return { at: undefined, from: undefined }
  const step = yield* Schedule.toStep(retry!)
  let delay: Duration.Duration | undefined
  for (const each of [...past, { at: now, failure }]) {
    const input = each.failure === failure ? Option.some(error) : inputOf(codec, each.failure)
    if (Option.isNone(input)) continue
    const pulled = yield* Effect.exit(step(each.at, input.value as never))
    if (Exit.isFailure(pulled)) return { at: undefined, from: undefined }
    delay = pulled.value[1]
  }
  return {
    at: delay === undefined ? undefined : timeAfter(now, Duration.toMillis(delay)),
    from: retryFrom?.(error as never)
  }
})

/** The last moment that a date can name: whoever delays without end waits until then. */
const endOfTime = 8_640_000_000_000_000

const timeAfter = (now: number, millis: number): number | undefined =>
  Number.isNaN(millis) ? undefined : Math.min(Math.max(now, Math.ceil(now + millis)), endOfTime)

/** A recorded failure as the schedule saw it; none for one that it never saw, or that the kind's schema no longer reads. */
const inputOf = (codec: Registered["error"], failure: WorkFailure): Option.Option<unknown> => {
  switch (failure._tag) {
    case "TimedOut":
      return Option.some(new AttemptTimedOut({ afterMillis: failure.afterMillis }))
    case "Stalled":
      return Option.some(new AttemptStalled({ afterMillis: failure.afterMillis }))
    case "WorkerDied": {
      const { _tag: _, ...died } = failure
      return Option.some(new WorkerDied(died))
    }
    case "Error": {
      const decoded = codec.decode(failure.error)
      return Exit.isSuccess(decoded) ? Option.some(decoded.value) : Option.none()
    }
    default:
      return Option.none()
  }
}
