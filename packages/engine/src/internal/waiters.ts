import type { Exit } from "effect"
import type { RunError } from "./errors.ts"

export type Waiter<A> = (exit: Exit.Exit<A, RunError>) => void

/** Callbacks that wait for something by key: several may wait for the same. */
export class Waiters<A> {
  private readonly byKey = new Map<string, Set<Waiter<A>>>()

  /** Returns what takes the waiter away again. */
  add(key: string, waiter: Waiter<A>): () => void {
    const waiters = this.byKey.get(key) ?? new Set()
    waiters.add(waiter)
    this.byKey.set(key, waiters)
    return () => {
      waiters.delete(waiter)
      if (waiters.size === 0 && this.byKey.get(key) === waiters) this.byKey.delete(key)
    }
  }

  has(key: string): boolean {
    return this.byKey.has(key)
  }

  wake(key: string, exit: Exit.Exit<A, RunError>): void {
    const waiters = this.byKey.get(key)
    if (waiters === undefined) return
    this.byKey.delete(key)
    for (const waiter of Array.from(waiters)) waiter(exit)
  }

  wakeAll(exit: Exit.Exit<A, RunError>): void {
    for (const key of Array.from(this.byKey.keys())) this.wake(key, exit)
  }
}
