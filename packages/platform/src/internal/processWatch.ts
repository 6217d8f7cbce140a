/**
 * Waiting for a file of a directory to change, without a busy loop: the system's notification, and a slow
 * look now and then for where there is none (network disks, a system out of watches).
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { type FSWatcher, watch } from "node:fs"

/**
 * Watches these names in a directory for as long as the scope is open. The effect that it returns waits until
 * one of them has changed since the last wait (or since the watch began), but at most `atMost`. So look
 * first, then wait, in a loop: no change is missed in between.
 */
export const watchFiles = (
  directory: string,
  names: ReadonlyArray<string>,
  atMost: Duration.Input
): Effect.Effect<Effect.Effect<void>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const changed = yield* Queue.sliding<void>(1)
    const listener = (_event: string, name: string | null): void => {
      if (name === null || names.includes(name)) Queue.offerUnsafe(changed, undefined)
    }
    yield* Effect.acquireRelease(
      Effect.sync((): FSWatcher | undefined => {
        try {
          // A watch that breaks later (its directory removed) leaves the slow look, which will report it.
          return watch(directory, listener).on("error", () => Queue.offerUnsafe(changed, undefined))
        } catch {
          return undefined // no watches left, or no such directory: the slow look remains
        }
      }),
      (watcher) => Effect.sync(() => watcher?.close())
    )
    return Queue.take(changed).pipe(Effect.timeoutOption(atMost), Effect.asVoid)
  })
