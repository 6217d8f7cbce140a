/** File operations as effects: how long each may be, and what becomes of one that is given up. */
import * as Effect from "effect/Effect"

/** What an error says. */
export const detailOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

/**
 * A short operation. Not interruptible: one that goes on in the background after its effect was given up would act on
 * files that somebody else has by then.
 */
export const attempt = <A, E>(run: () => Promise<A>, failure: (error: unknown) => E): Effect.Effect<A, E> =>
  Effect.uninterruptible(Effect.tryPromise({ try: run, catch: failure }))

/** The same for what takes its time. Interrupted, it is told by the signal, and waited for until it is at rest. */
export const attemptLong = <A, E>(
  run: (signal: AbortSignal) => Promise<A>,
  failure: (error: unknown) => E
): Effect.Effect<A, E> =>
  Effect.callback<A, E>((resume) => {
    const controller = new AbortController()
    const done = run(controller.signal).then(
      (result) => resume(Effect.succeed(result)),
      (error: unknown) => resume(Effect.fail(failure(error)))
    )
    return Effect.promise(() => {
      controller.abort()
      return done
    })
  })
