/**
 * A scheduler that runs everything within one call, in an order that is drawn from a seed: what in a real process depends on
 * when the disk and the network answer depends here on chance alone, and happens again with the same seed.
 *
 * Each fiber has its own queue, which stays in order; which queue is next is drawn. A fiber that runs is interrupted in
 * its course now and then, as a long one is in a real process.
 */
import type { Fiber, Scheduler } from "effect"
import type { Random } from "./Random.ts"

class Queue implements Scheduler.SchedulerDispatcher {
  readonly tasks: Array<{ readonly task: () => void; readonly priority: number }> = []
  private readonly scheduler: SimulationScheduler

  constructor(scheduler: SimulationScheduler) {
    this.scheduler = scheduler
  }

  scheduleTask(task: () => void, priority: number): void {
    let at = this.tasks.length
    while (at > 0 && this.tasks[at - 1]!.priority > priority) at -= 1
    this.tasks.splice(at, 0, { task, priority })
    if (this.tasks.length === 1) this.scheduler.waiting.push(this)
  }

  flush(): void {
    for (let next = this.tasks.shift(); next !== undefined; next = this.tasks.shift()) next.task()
  }
}

export class SimulationScheduler implements Scheduler.Scheduler {
  readonly executionMode = "sync"
  readonly waiting: Array<Queue> = []
  private readonly random: Random

  constructor(random: Random) {
    this.random = random
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    // Never at the first: a fiber that is interrupted before it has begun would forget it.
    return fiber.currentOpCount > 1 && (fiber.currentOpCount >= 2_048 || this.random.chance(2))
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return new Queue(this)
  }

  /** Runs until nothing is left to run. False: it was more than so many tasks. */
  drain(most: number): boolean {
    const { waiting } = this
    for (let count = 0; waiting.length > 0; count++) {
      if (count > most) return false
      const at = this.random.below(waiting.length)
      const queue = waiting[at]!
      const next = queue.tasks.shift()
      if (queue.tasks.length === 0) {
        const last = waiting.pop()!
        if (last !== queue) waiting[at] = last
      }
      next?.task()
    }
    return true
  }
}
