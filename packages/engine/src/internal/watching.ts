/**
 * Whoever waits for something in a run to change. A change is a number that grows; what it was, each looks up.
 */
import { Effect } from "effect"

/** A watcher makes a status of each change that it sees, which costs as much as some works do. */
const mostShownAsOne = 32

export class Watching {
  /** Grows with every change that a status could show. */
  version = 0
  private readonly listeners = new Set<() => void>()

  changed(): void {
    this.version += 1
    if (this.listeners.size > 0) { for (const listener of Array.from(this.listeners)) listener() }
  }

  /** Waits until `isReached` holds; looked at after every change. */
  until(isReached: () => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const look = (): void => {
        if (!isReached()) return
        this.listeners.delete(look)
        resume(Effect.void)
      }
      this.listeners.add(look)
      look()
      return Effect.sync(() => this.listeners.delete(look))
    })
  }

  /** Lets changes that follow close on each other pass, a bounded number of them: to a watcher they are one. */
  readonly lull: Effect.Effect<void> = Effect.suspend(() => {
    let seen = -1
    let left = mostShownAsOne
    return Effect.whileLoop({
      while: () => this.version !== seen && left-- > 0,
      body: () => {
        seen = this.version
        return Effect.yieldNow
      },
      step: () => undefined
    })
  })
}
