/**
 * One timer, for the earliest time at which something happens by itself in a run.
 */
import { type Clock, Duration, Effect, Fiber } from "effect"

/** A timer of the platform takes no more than 2^31 - 1 ms: whoever sleeps longer looks again in between. */
export const longestSleepMillis = 2_000_000_000

export class WakeTimer {
  private armed: { readonly at: number; readonly fiber: Fiber.Fiber<unknown, unknown> } | undefined = undefined
  private readonly clock: Clock.Clock
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<unknown, unknown>
  private readonly ring: () => void

  constructor(
    clock: Clock.Clock,
    fork: (effect: Effect.Effect<void>) => Fiber.Fiber<unknown, unknown>,
    ring: () => void
  ) {
    this.clock = clock
    this.fork = fork
    this.ring = ring
  }

  /** Rings at this time (milliseconds since the epoch), or a little earlier where it is far away; undefined: not at all. */
  set(at: number | undefined): void {
    if (at === this.armed?.at) return
    this.armed?.fiber.interruptUnsafe()
    this.armed = undefined
    if (at === undefined) return
    const millis = Math.min(Math.max(0, at - this.clock.currentTimeMillisUnsafe()), longestSleepMillis)
    const fiber = this.fork(
      Effect.andThen(
        Effect.sleep(Duration.millis(millis)),
        Effect.sync(() => {
          this.armed = undefined
          this.ring()
        })
      )
    )
    this.armed = { at, fiber }
  }

  readonly stop: Effect.Effect<void> = Effect.suspend(() =>
    this.armed === undefined ? Effect.void : Fiber.interrupt(this.armed.fiber)
  )
}
