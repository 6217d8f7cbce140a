/**
 * One try at a work: from a payload in JSON to the command that tells how it ended.
 */
import { Cause, Clock, Duration, Effect, Exit, Option, Result, Schedule, Schema } from "effect"
import { CurrentWork, type Port, type StopReason } from "../CurrentWork.ts"
import type { WorkFailure } from "../Outcome.ts"
import { type Any, AttemptTimedOut, type HandlerService } from "../WorkKind.ts"
import type { Command } from "./decide.ts"
import type { PastFailure, WorkEntry } from "./model.ts"
import { tooLong } from "./record.ts"

/** A kind with the handler that this process has for it. */
export interface Registered {
  readonly kind: Any
  readonly handler: HandlerService
  readonly timeoutMillis: number | undefined
}

export interface AttemptContext {
  readonly entry: WorkEntry
  readonly registered: Registered
  readonly work: CurrentWork["Service"]
  readonly port: Port
  readonly stopReason: () => StopReason | undefined
}

const defect = (error: unknown): WorkFailure =>
  error instanceof Error
    ? {
      _tag: "Defect",
      message: error.message === "" ? error.name : error.message,
      ...(error.stack === undefined ? {} : { stack: error.stack.slice(0, 8_000) })
    }
    : { _tag: "Defect", message: typeof error === "string" ? error : Cause.pretty(Cause.die(error)) }

/**
 * When a failed attempt is to be tried again, in milliseconds since the epoch, or undefined. The schedule is replayed
 * over the failures on record, so that it goes on where it was after a restart.
 */
const retryAt = Effect.fnUntraced(function*(
  kind: Any,
  past: ReadonlyArray<PastFailure>,
  failure: WorkFailure,
  now: number
) {
  const schedule = kind.policies.retry
  if (schedule === undefined || failure._tag === "Defect") return undefined
  const codec = Schema.toCodecJson(kind.error)
  const step = yield* Schedule.toStep(schedule)
  let delay: Duration.Duration | undefined
  for (const { at, failure: each } of [...past, { at: now, failure }]) {
    if (each._tag === "Defect") continue
    const input = each._tag === "TimedOut"
      ? Result.succeed(new AttemptTimedOut({ afterMillis: each.afterMillis }))
      : Schema.decodeUnknownResult(codec)(each.error)
    if (Result.isFailure(input)) continue
    const pulled = yield* Effect.exit(step(at, input.success as never))
    if (Exit.isFailure(pulled)) return undefined
    delay = pulled.value[1]
  }
  return delay === undefined ? undefined : now + Duration.toMillis(delay)
})

/**
 * Runs a handler to its end, whatever that is, and reports it by a command. Never fails; only the handler itself
 * can be interrupted.
 */
export const run = (
  context: AttemptContext,
  report: (command: Command) => Effect.Effect<void>
): Effect.Effect<void> => {
  const { entry, port, registered, stopReason, work } = context
  const id = entry.spec.id
  const attempt = work.attempt
  const { handler, kind } = registered
  const live = entry.live!

  const fail = (failure: WorkFailure): Effect.Effect<Command> =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const at = yield* retryAt(kind, live.failures, failure, now)
      return { _tag: "Fail", id, attempt, failure, retryAt: at, children: port.children }
    })

  const succeeded = (value: unknown): Effect.Effect<Command> =>
    Effect.matchEffect(Schema.encodeEffect(Schema.toCodecJson(kind.success))(value), {
      onFailure: (error) => fail({ _tag: "Defect", message: `the result does not fit its schema: ${error.message}` }),
      onSuccess: (result) => {
        const long = tooLong("the result", id, result)
        return long === undefined
          ? Effect.succeed<Command>({ _tag: "Succeed", id, attempt, result, children: port.children })
          : fail({ _tag: "Defect", message: long.message })
      }
    })

  const failed = (cause: Cause.Cause<unknown>): Effect.Effect<Command> => {
    const reason = stopReason()
    if (reason !== undefined && Cause.hasInterrupts(cause)) {
      if (reason === "timeout") return fail({ _tag: "TimedOut", afterMillis: registered.timeoutMillis! })
      return Effect.map(Clock.currentTimeMillis, (now) => ({
        _tag: "Interrupted",
        id,
        attempt,
        livedMillis: Math.max(0, now - live.startedAt)
      }))
    }
    const error = Cause.findErrorOption(cause)
    if (Option.isSome(error)) {
      return Effect.matchEffect(Schema.encodeUnknownEffect(Schema.toCodecJson(kind.error))(error.value), {
        onFailure: (mismatch) =>
          fail({ _tag: "Defect", message: `the error does not fit its schema: ${mismatch.message}` }),
        onSuccess: (encoded) => fail({ _tag: "Error", error: encoded })
      })
    }
    const died = cause.reasons.find(Cause.isDieReason)
    return fail(
      died === undefined
        ? { _tag: "Defect", message: "the handler interrupted itself" }
        : defect(died.defect)
    )
  }

  // Uninterruptible to the last: an interruption that came through after the handler's end would lose the report.
  return Effect.uninterruptible(
    Effect.matchEffect(Schema.decodeUnknownEffect(Schema.toCodecJson(kind.payload))(entry.spec.payload), {
      onFailure: (error) => Effect.succeed<Command>({ _tag: "Block", id, attempt, what: error.message }),
      onSuccess: (payload) =>
        Effect.suspend(() => handler.run(payload as never)).pipe(
          Effect.scoped,
          Effect.provideService(CurrentWork, work),
          Effect.interruptible,
          Effect.exit,
          Effect.flatMap((exit) => Exit.isSuccess(exit) ? succeeded(exit.value) : failed(exit.cause))
        )
    }).pipe(
      // Encoding, a schedule or a schema of the user's own may throw: that too is a failure of this work alone.
      Effect.catchCause((cause) =>
        Effect.succeed<Command>({
          _tag: "Fail",
          id,
          attempt,
          failure: defect(Cause.squash(cause)),
          retryAt: undefined,
          children: port.children
        })
      ),
      Effect.flatMap(report)
    )
  )
}

/** Gives an effect the work that it is part of. */
export const provideWork = (work: CurrentWork["Service"]) => Effect.provideService(CurrentWork, work)
