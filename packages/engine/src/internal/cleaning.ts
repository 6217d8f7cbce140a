/**
 * `onCancel` of a cancelled work, again and again until it succeeds.
 */
import { Cause, type Context, Effect, Exit, type Fiber, Schema } from "effect"
import { CurrentWork, type StopReason } from "../CurrentWork.ts"
import { Attempt, type Host } from "./attempt.ts"
import { messageOf } from "./codec.ts"
import type { WorkEntry } from "./model.ts"
import type { Registered } from "./registered.ts"

const firstPauseMillis = 1_000
const longestPauseMillis = 60_000

const refused = (what: string): Error =>
  new Error(
    `onCancel cannot ${what}: nothing of a cancelled work is recorded. Make it repeatable, and read what was recorded ` +
      "with `cancelled.recorded`"
  )

/** The work as its `onCancel` has it: it can be looked at, and records nothing. */
class CancelledWork extends Attempt {
  override tell(): Effect.Effect<never> {
    return Effect.die(refused("record"))
  }

  override acquire(): Effect.Effect<never> {
    return Effect.die(refused("ask for slots"))
  }

  override enter(step: string | undefined): Effect.Effect<void> {
    return step === undefined ? Effect.void : Effect.die(refused(`run the step "${step}"`))
  }

  override get children(): never {
    throw refused("spawn works")
  }
}

export class Cleaning {
  work: Attempt
  readonly fiber: Fiber.Fiber<unknown, unknown>

  constructor(
    host: Host,
    registered: Registered,
    entry: WorkEntry,
    base: Context.Context<never>,
    failed: (message: string) => void,
    over: () => void
  ) {
    const { id } = entry.spec
    const cancel = entry.live!.cancel!
    const steps = new Map(entry.live!.steps)
    const fresh = (): Attempt => {
      const work = new CancelledWork(host, registered, entry)
      work.step = "onCancel"
      return (this.work = work)
    }
    this.work = fresh()
    const once = Effect.suspend(() => {
      const payload = registered.payload.decode(entry.spec.payload)
      if (Exit.isFailure(payload)) return Effect.die(new Error(`its payload cannot be read: ${messageOf(payload)}`))
      return registered.handler.onCancel!(payload.value as never, {
        ...cancel,
        recorded: (step, schema) => {
          const recorded = steps.get(step)
          return recorded === undefined
            ? undefined
            : Schema.decodeUnknownSync(Schema.toCodecJson(schema))(recorded.result)
        }
      })
    }).pipe(Effect.scoped, Effect.provideServiceEffect(CurrentWork, Effect.sync(() => fresh() as never)))
    const attempt = (pauseMillis: number): Effect.Effect<void> =>
      Effect.matchCauseEffect(once, {
        onSuccess: () => Effect.sync(() => host.post({ _tag: "Cleaned", id })),
        onFailure: (cause) => {
          if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
          failed(`onCancel of "${id}" failed and is tried again in ${pauseMillis} ms: ${Cause.pretty(cause)}`)
          return Effect.andThen(
            Effect.sleep(pauseMillis),
            Effect.suspend(() => attempt(Math.min(pauseMillis * 2, longestPauseMillis)))
          )
        }
      })
    this.fiber = host.fork(
      Effect.ensuring(attempt(firstPauseMillis), Effect.sync(over)),
      base
    )
  }

  interrupt(reason: StopReason): void {
    this.work.reason = reason
    this.fiber.interruptUnsafe()
  }
}
