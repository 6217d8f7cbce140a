/**
 * What the handlers of all kinds share: turning errors into failure records, and knowing whether the tree of a job may go.
 */
import { CurrentWork } from "@espalier/engine"
import { Cause, Clock, Effect } from "effect"
import * as Failure from "../Failure.ts"
import { ExperimentFailed } from "../Laboratory.ts"

interface Described {
  readonly message: string
  readonly _tag?: string
}

/** Fails the experiment with a record of this kind. */
export const failWith = (
  kind: Failure.FailureKind,
  error: Described,
  more: {
    readonly details?: object
    readonly jobId?: string
    readonly logTail?: string
    readonly phase?: Failure.FailurePhase
  } = {}
): Effect.Effect<never, ExperimentFailed, CurrentWork.CurrentWork> =>
  Effect.gen(function*() {
    const { attempt } = yield* CurrentWork.CurrentWork
    const failure = Failure.make({
      kind,
      message: error.message,
      createdAt: yield* Clock.currentTimeMillis,
      attempt,
      ...(error._tag === undefined ? {} : { exceptionType: error._tag }),
      ...more
    })
    return yield* new ExperimentFailed({ failure })
  })

/** Wraps what nobody declared as `unexpected_exception`, with its stack. An interruption stays one. */
export const recordDefects = (phase: Failure.FailurePhase) =>
<A, R>(
  effect: Effect.Effect<A, ExperimentFailed, R>
): Effect.Effect<A, ExperimentFailed, R | CurrentWork.CurrentWork> =>
  Effect.catchCause(effect, (cause) => {
    const died = cause.reasons.find(Cause.isDieReason)
    if (died === undefined || Cause.hasInterrupts(cause)) return Effect.failCause(cause)
    return Effect.gen(function*() {
      const { attempt } = yield* CurrentWork.CurrentWork
      const createdAt = yield* Clock.currentTimeMillis
      return yield* new ExperimentFailed({ failure: Failure.fromDefect(died.defect, { phase, createdAt, attempt }) })
    })
  })

/**
 * Whether the trees of this work must stay when its handler ends, because a job may run in one: it goes on when the run is
 * suspended or the journal fails, and when the work is cancelled it is `onCancel` that ends it, and then the tree.
 */
export const keepWhileRunning: Effect.Effect<Effect.Effect<boolean>, never, CurrentWork.CurrentWork> = Effect.map(
  CurrentWork.CurrentWork,
  ({ port, stopReason }) =>
    Effect.map(stopReason, (reason) =>
      reason === "suspend" || reason === "journal" ||
      (reason === "cancel" && Array.from(port.used).some((step) => step.startsWith("launch "))))
)
