/** Calls of one key, one after the other: the second of two equal calls finds the recording of the first. */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

/** Runs an effect while no other of the same key runs. */
export type OneAtATime = <A, E, R>(key: string, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Keys are forgotten when nobody runs or waits under them. */
export const makeOneAtATime = (): OneAtATime => {
  const locks = new Map<string, { readonly semaphore: Semaphore.Semaphore; users: number }>()
  return (key, effect) =>
    Effect.suspend(() => {
      const lock = locks.get(key) ?? { semaphore: Semaphore.makeUnsafe(1), users: 0 }
      locks.set(key, lock)
      lock.users++
      return Effect.ensuring(
        lock.semaphore.withPermit(effect),
        Effect.sync(() => {
          lock.users--
          if (lock.users === 0) locks.delete(key)
        })
      )
    })
}
