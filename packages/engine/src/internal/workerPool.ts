/**
 * Some workers of one file: started when they are first needed, used again, ended with the pool.
 *
 * A worker has one work at a time. Two in one worker would die together, and a long computation of the one would keep
 * the other from being cancelled: the worker is the unit of both. What waits for a free worker waits in the order of
 * the engine: lower priority first, then arrival.
 */
import { Effect } from "effect"
import type { WorkerDied } from "../WorkerPoolError.ts"
import { WorkerUnusable } from "../WorkerPoolError.ts"
import { showUrl, type WorkerHandle, type WorkerListener, type WorkerStart } from "./workerHandle.ts"
import type { FromWorker, ToWorker } from "./workerMessage.ts"

export interface PoolSettings extends WorkerStart {
  readonly start: (start: WorkerStart, listener: WorkerListener) => WorkerHandle
  readonly size: number
  readonly terminateAfterMillis: number
  readonly startTimeoutMillis: number
  /** Hears what workers log while they have no work. */
  readonly onMessage: (message: FromWorker) => void
}

/** Hears a worker during one work. */
export interface Client {
  readonly onMessage: (message: FromWorker) => void
  readonly onEnd: (died: WorkerDied) => void
}

/** A worker that is up, or on its way. */
export class PooledWorker {
  /** What it serves; undefined until it is ready. */
  kinds: ReadonlyMap<string, { readonly onCancel: boolean }> | undefined = undefined
  client: Client | undefined = undefined
  died: WorkerDied | undefined = undefined
  private readonly handle: WorkerHandle
  private readonly ends: Array<() => void> = []

  constructor(settings: PoolSettings, onStarted: (error?: WorkerUnusable | WorkerDied) => void, onEnd: () => void) {
    const unusable = (why: string): void => {
      const message = `the worker file ${showUrl(settings.url)} is of no use: ${why}`
      onStarted(new WorkerUnusable({ url: settings.url.href, message }))
      this.handle.terminate()
    }
    const timer = setTimeout(
      () => unusable(`it is not ready after ${settings.startTimeoutMillis} ms`),
      settings.startTimeoutMillis
    )
    this.handle = settings.start(settings, {
      onMessage: (message) => {
        switch (message._tag) {
          case "Ready":
            clearTimeout(timer)
            this.kinds = new Map(message.kinds.map((each) => [each.kind, each]))
            return onStarted()
          case "StartFailed":
            return unusable(message.message)
          default:
            return (this.client ?? settings).onMessage(message)
        }
      },
      onEnd: (died) => {
        clearTimeout(timer)
        this.died = died
        onStarted(died)
        onEnd()
        this.client?.onEnd(died)
        for (const end of this.ends) end()
      }
    })
  }

  post(message: ToWorker): void {
    if (this.died === undefined) this.handle.post(message)
  }

  keepHostAlive(isNeeded: boolean): void {
    if (this.died === undefined) this.handle.keepHostAlive(isNeeded)
  }

  /** Ends it whatever it is doing. */
  kill(): void {
    this.handle.terminate()
  }

  /** Ends it at once, or lets it close its layers first for some time; returns when nothing of it runs any more. */
  end(options: { readonly afterMillis: number }): Effect.Effect<void> {
    return Effect.callback((resume) => {
      if (this.died !== undefined) return resume(Effect.void)
      this.keepHostAlive(true)
      const timer = options.afterMillis > 0 ? setTimeout(() => this.kill(), options.afterMillis) : undefined
      this.ends.push(() => {
        clearTimeout(timer)
        resume(Effect.void)
      })
      if (timer === undefined) this.kill()
      else this.post({ _tag: "Close" })
    })
  }
}

interface Waiter {
  readonly priority: number
  readonly give: (worker: PooledWorker) => void
  /** There is room for a new worker. */
  readonly start: () => void
  readonly refuse: (error: WorkerUnusable) => void
}

export class Pool {
  readonly settings: PoolSettings
  private readonly workers = new Set<PooledWorker>()
  private readonly idle: Array<PooledWorker> = []
  private readonly waiters: Array<Waiter> = []
  private isClosed = false

  constructor(settings: PoolSettings) {
    this.settings = settings
  }

  /** A worker that is free, as soon as there is one. Whoever takes it gives it back with `release`. */
  take(priority: number): Effect.Effect<PooledWorker, WorkerUnusable | WorkerDied> {
    return Effect.callback((resume) => {
      let starting: PooledWorker | undefined
      const start = (): void => {
        starting = this.start((worker, error) => {
          starting = undefined
          resume(error === undefined ? Effect.succeed(worker) : Effect.fail(error))
        })
      }
      const waiter: Waiter = {
        priority,
        start,
        give: (worker) => resume(Effect.succeed(worker)),
        refuse: (error) => resume(Effect.fail(error))
      }
      if (this.isClosed) return waiter.refuse(this.closed())
      const worker = this.idle.pop()
      if (worker !== undefined) {
        worker.keepHostAlive(true)
        return resume(Effect.succeed(worker))
      }
      if (this.workers.size < this.settings.size) start()
      else {
        const behind = this.waiters.findIndex((other) => other.priority > priority)
        this.waiters.splice(behind === -1 ? this.waiters.length : behind, 0, waiter)
      }
      return Effect.suspend(() => {
        const place = this.waiters.indexOf(waiter)
        if (place !== -1) this.waiters.splice(place, 1)
        // It may hang in the middle of its start; another one is started when one is needed.
        return starting === undefined ? Effect.void : starting.end({ afterMillis: 0 })
      })
    })
  }

  private closed(): WorkerUnusable {
    const { url } = this.settings
    return new WorkerUnusable({
      url: url.href,
      message: `the pool of ${showUrl(url)} is closed: a run must not outlive the layer of its engine`
    })
  }

  /** Gives back a worker whose work has ended; one that is dead or dying makes room for another. */
  release(worker: PooledWorker): void {
    worker.client = undefined
    if (worker.died !== undefined) return
    const waiter = this.waiters.shift()
    if (waiter !== undefined) return waiter.give(worker)
    worker.keepHostAlive(false)
    this.idle.push(worker)
  }

  private start(onStarted: (worker: PooledWorker, error?: WorkerUnusable | WorkerDied) => void): PooledWorker {
    let isTold = false
    const worker: PooledWorker = new PooledWorker(
      this.settings,
      (error) => {
        if (isTold) return
        isTold = true
        onStarted(worker, error)
      },
      () => {
        this.workers.delete(worker)
        const place = this.idle.indexOf(worker)
        if (place !== -1) this.idle.splice(place, 1)
        if (!this.isClosed) this.waiters.shift()?.start()
      }
    )
    this.workers.add(worker)
    return worker
  }

  /** Lets idle workers close their layers, ends all, and returns when none is left. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.isClosed = true
    for (const waiter of this.waiters.splice(0)) waiter.refuse(this.closed())
    return Effect.forEach(
      this.workers,
      (worker) => worker.end({ afterMillis: this.idle.includes(worker) ? this.settings.terminateAfterMillis : 0 }),
      { concurrency: "unbounded", discard: true }
    )
  })
}
