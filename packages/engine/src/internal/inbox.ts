/**
 * What has been said to a run and not been taken up yet.
 */
import { Effect, type Scheduler } from "effect"
import type { Command } from "./command.ts"
import type { Message } from "./message.ts"

/** A message; or a command as it is, when nobody waits for an answer. */
export type Item = Message | Command

export class Inbox {
  private items: Array<Item> = []
  private wake: (() => void) | undefined = undefined
  private dispatcher: Scheduler.SchedulerDispatcher | undefined = undefined

  get isEmpty(): boolean {
    return this.items.length === 0
  }

  push(item: Item): void {
    this.items.push(item)
    if (this.wake === undefined) return
    const { wake } = this
    this.wake = undefined
    // Not at once: what arrives in the same breath goes into the same turn.
    this.dispatcher!.scheduleTask(wake, 0)
  }

  /** All that is there. */
  take(): ReadonlyArray<Item> {
    const { items } = this
    this.items = []
    return items
  }

  /** Waits until there is something. For one fiber: the loop's. */
  readonly arrival: Effect.Effect<void> = Effect.withFiber((fiber) => {
    this.dispatcher = fiber.currentDispatcher
    return Effect.callback<void>((resume) => {
      if (!this.isEmpty) resume(Effect.void)
      else this.wake = () => resume(Effect.void)
      return Effect.sync(() => (this.wake = undefined))
    })
  })
}
