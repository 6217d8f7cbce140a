/**
 * Handlers in worker threads or worker processes: for work that computes, or that may take its process down.
 *
 * The handler is the same as ever, a layer that `WorkKind.toLayer` makes; only where it is provided changes. In the
 * host a kind is handled by a pool; the pool's worker file provides the kind's own layer:
 *
 * ```
 * host:   Jobs.layer <- WorkerPool.toLayer(Fit, { url: new URL("./fit.worker.ts", import.meta.url), size: 2 })
 * worker: WorkerPool.serve([Fit], FitLive)      // the whole file fit.worker.ts, besides its imports
 * ```
 *
 * Everything that a handler does through `CurrentWork`, `Step`, `Slots`, `Progress` and `spawn` crosses, with the same
 * promises: `Step.run` returns when the record is durable in the host's journal.
 *
 * **Ends.** Interruption (cancel, time-out, suspend) is first asked for, so that finalizers run and see `stopReason`. A
 * worker that has not ended the work `terminateAfter` later is ended itself, also in the middle of an endless loop, and
 * another takes its place. A worker that dies fails the one attempt that it had, with `WorkerDied`, which the kind's
 * `retry` may try again. A worker file that is of no use fails nothing: its works are held back until the run is next
 * opened.
 *
 * **Thread or process.** A process takes some 120 MB where a thread takes 55, and it is a fence: nothing that happens
 * in it reaches the host. A thread shares the host's process: a fault in native code, or one single allocation far
 * beyond its cap, ends them all. `docs/cpu-bound-work.md` has the table.
 *
 * Rejected: `effect/workers` and its RPC (a crash fails every call that is in flight on the client, and an interrupted
 * call leaves a busy worker busy); thread pools of the registry (they know tasks and messages, not durable steps, and
 * most end a busy worker only together with what else it does).
 */
import { Context, Duration, Effect, Layer, type Scope } from "effect"
import { existsSync } from "node:fs"
import type { CurrentWork } from "./CurrentWork.ts"
import { log, runInWorker } from "./internal/workerBridge.ts"
import { showUrl } from "./internal/workerHandle.ts"
import { channelKey, type WorkerChannel } from "./internal/workerMessage.ts"
import { Pool } from "./internal/workerPool.ts"
import { startProcess } from "./internal/workerProcess.ts"
import { serve as serveOn } from "./internal/workerServe.ts"
import { startThread } from "./internal/workerThread.ts"
import type * as WorkKind from "./WorkKind.ts"
import { WorkerDied, WorkerUnusable } from "./WorkerPoolError.ts"

export { WorkerDied, WorkerUnusable }

/**
 * - `url`: the worker file: `new URL("./fit.worker.ts", import.meta.url)`.
 * - `size`: how many workers there are at most; at least 1. No more works than that of one kind run at a time, and fewer
 *   if the kind's `limit` is lower. Kinds that share a pool should claim a pool of slots of this size, too: a work that
 *   was started and waits for a worker is running for the engine, and its `timeout` counts.
 * - `isolation`: `process` (default) or `thread`.
 * - `memoryMegabytes`: how much memory a worker may use, in MiB; no cap by default. For a process: its heap; and it may
 *   not grow by more than that and 64 MiB in all (typed arrays, buffers, native code). For a thread: its heap with what
 *   is not collected yet, and its buffers.
 * - `terminateAfter`: how long an interrupted handler may take to end before its worker is ended; 2 seconds by default.
 * - `startTimeout`: how long a worker may take to import its file and build its layer; 1 minute by default.
 * - `execArgv`: options of Node for the workers, besides those of this process.
 */
export interface PoolOptions {
  readonly url: URL
  readonly size: number
  readonly isolation?: "thread" | "process" | undefined
  readonly memoryMegabytes?: number | undefined
  readonly terminateAfter?: Duration.Input | undefined
  readonly startTimeout?: Duration.Input | undefined
  readonly execArgv?: ReadonlyArray<string> | undefined
}

/**
 * What undoes a cancelled work: the `onCancel` of the kind's layer in the worker file (`"worker"`), or a function that
 * runs in the host. A worker file whose layer has an `onCancel` must be told of here: the engine has to know before a
 * worker is started.
 */
export interface HandlerOptions<K extends WorkKind.Any, R> {
  readonly onCancel?:
    | "worker"
    | ((payload: K["payload"]["Type"], cancelled: WorkKind.Cancelled) => Effect.Effect<void, unknown, R>)
    | undefined
}

/**
 * Some workers of one file, for one kind or for several. Workers start when they are first needed, do one work at a
 * time, are used again, and end with the layer's scope.
 */
export class WorkerPool extends Context.Service<WorkerPool, {
  /** @internal */
  readonly pool: Pool
}>()("@espalier/engine/WorkerPool") {}

const checked = (options: PoolOptions): Effect.Effect<void, WorkerUnusable> =>
  Effect.suspend(() => {
    const refuse = (message: string) => Effect.fail(new WorkerUnusable({ url: options.url.href, message }))
    if (!Number.isInteger(options.size) || options.size < 1) {
      return refuse(`the pool's size is ${options.size}; it must be a whole number from 1`)
    }
    const { memoryMegabytes } = options
    if (memoryMegabytes !== undefined && !(Number.isInteger(memoryMegabytes) && memoryMegabytes >= 16)) {
      return refuse(`memoryMegabytes is ${memoryMegabytes}; it must be a whole number from 16`)
    }
    return options.url.protocol === "file:" && !existsSync(options.url)
      ? refuse(`there is no worker file ${showUrl(options.url)}: give \`new URL(path, import.meta.url)\``)
      : Effect.void
  })

/**
 * A pool that several kinds share: each is handled by `handler(Kind)`. Fails with `WorkerUnusable` for a file that is
 * not there.
 *
 * @example
 * ```ts
 * import { Journal, WorkEngine, WorkKind } from "@espalier/engine"
 * import * as WorkerPool from "@espalier/engine/WorkerPool"
 * import { Effect, Layer, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Sum extends WorkKind.make("Sum", { payload: { upTo: Schema.Int }, success: Schema.Int }) {}
 * class Where extends WorkKind.make("Where", { payload: {}, success: Schema.Int }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Sum, Where] }) {}
 *
 * const sum = (upTo: number) => {
 *   let total = 0
 *   for (let n = 1; n <= upTo; n++) total += n
 *   return total
 * }
 *
 * // One file is host and worker here; a program has a file for each.
 * if (WorkerPool.isWorker) {
 *   const SumLive = Sum.toLayer(({ upTo }) => Effect.sync(() => sum(upTo)))
 *   const WhereLive = Where.toLayer(() => Effect.sync(() => process.pid))
 *   WorkerPool.serve([Sum, Where], Layer.merge(SumLive, WhereLive))
 * } else {
 *   const pool = WorkerPool.layer({ url: new URL(import.meta.url), size: 1 })
 *   const JobsLive = Jobs.layer.pipe(
 *     Layer.provide([WorkerPool.handler(Sum), WorkerPool.handler(Where)]),
 *     Layer.provide([pool, Journal.layerMemory])
 *   )
 *   const program = Effect.gen(function*() {
 *     const run = yield* (yield* Jobs).open("sums", { concurrency: 2 })
 *     const sum = yield* run.submit(Sum, { upTo: 1_000_000 })
 *     const where = yield* run.submit(Where, {})
 *     return { sum: yield* sum.await, where: yield* where.await }
 *   }).pipe(Effect.scoped, Effect.provide(JobsLive))
 *
 *   const result = await Effect.runPromise(program)
 *   assert.strictEqual(result.sum, 500_000_500_000)
 *   assert.notStrictEqual(result.where, process.pid)
 * }
 * ```
 */
export const layer = (options: PoolOptions): Layer.Layer<WorkerPool, WorkerUnusable> =>
  Layer.effect(
    WorkerPool,
    Effect.gen(function*() {
      yield* checked(options)
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const pool = yield* Effect.acquireRelease(
        Effect.sync(() =>
          new Pool({
            url: options.url,
            name: showUrl(options.url),
            size: options.size,
            start: options.isolation === "thread" ? startThread : startProcess,
            memoryMegabytes: options.memoryMegabytes,
            terminateAfterMillis: Duration.toMillis(options.terminateAfter ?? "2 seconds"),
            startTimeoutMillis: Duration.toMillis(options.startTimeout ?? "1 minute"),
            execArgv: options.execArgv ?? [],
            onMessage: (message) => {
              if (message._tag === "Log") fork(log(message.record))
            }
          })
        ),
        (pool) => pool.close
      )
      return WorkerPool.of({ pool })
    })
  )

/**
 * The layer that handles a kind in the workers of a `WorkerPool`, for which it asks.
 */
export const handler = <K extends WorkKind.Any, R = never>(
  kind: K,
  options: HandlerOptions<K, R> = {}
): Layer.Layer<WorkKind.HandlersOf<K>, never, WorkerPool | Exclude<R, CurrentWork | Scope.Scope>> => {
  const made: Layer.Layer<unknown, never, unknown> = Layer.effect(
    kind.handler,
    Effect.gen(function*() {
      const { pool } = yield* WorkerPool
      const { onCancel } = options
      const hasOnCancel = onCancel === "worker"
      const service: WorkKind.HandlerService = {
        context: (yield* Effect.context<R>()) as Context.Context<never>,
        limit: pool.settings.size,
        run: () => runInWorker(pool, kind, { hasOnCancel }),
        onCancel: onCancel === "worker"
          ? (_, cancelled) => Effect.asVoid(runInWorker(pool, kind, { hasOnCancel, cancelled }))
          : onCancel as WorkKind.HandlerService["onCancel"]
      }
      return service
    })
  )
  return made as never
}

/**
 * The layer that handles a kind in workers of its own: `layer` and `handler` in one. What `Kind.toLayer(...)` is for a
 * handler in the host.
 *
 * @example
 * ```ts
 * import { Journal, WorkEngine, WorkKind } from "@espalier/engine"
 * import * as WorkerPool from "@espalier/engine/WorkerPool"
 * import { Effect, Layer } from "effect"
 * import assert from "node:assert"
 *
 * class Spin extends WorkKind.make("Spin", { payload: {}, timeout: "500 millis" }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Spin] }) {}
 *
 * if (WorkerPool.isWorker) {
 *   WorkerPool.serve([Spin], Spin.toLayer(() => Effect.sync(() => { for (;;); })))
 * } else {
 *   const SpinLive = WorkerPool.toLayer(Spin, {
 *     url: new URL(import.meta.url),
 *     size: 1,
 *     isolation: "thread",
 *     memoryMegabytes: 64,
 *     terminateAfter: "100 millis"
 *   })
 *   const program = Effect.gen(function*() {
 *     const run = yield* (yield* Jobs).open("spins", { concurrency: 1 })
 *     const job = yield* run.submit(Spin, {})
 *     return yield* Effect.flip(job.await)
 *   }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provide([SpinLive, Journal.layerMemory]))))
 *
 *   const stopped = await Effect.runPromise(program)
 *   assert.match(stopped.message, /timed out after 500 ms/)
 * }
 * ```
 */
export const toLayer = <K extends WorkKind.Any, R = never>(
  kind: K,
  options: PoolOptions & HandlerOptions<K, R>
): Layer.Layer<WorkKind.HandlersOf<K>, WorkerUnusable, Exclude<R, CurrentWork | Scope.Scope>> =>
  Layer.provide(handler(kind, options), layer(options)) as never

const channel: WorkerChannel | undefined = Object.getOwnPropertyDescriptor(globalThis, channelKey)?.value

/**
 * Whether this module runs in a worker of a pool: for a program that is its own worker file.
 */
export const isWorker: boolean = channel !== undefined

/**
 * Makes this process or thread a worker for these kinds: the one call of a worker file, at its top level. The layer is
 * built once a worker, when it starts, and is closed when the pool ends it. What it logs is logged by the host.
 *
 * Throws where no pool has started the worker, and when it is called twice.
 */
export const serve = <K extends WorkKind.Any, E>(
  kinds: ReadonlyArray<K>,
  handlers: Layer.Layer<WorkKind.HandlersOf<K>, E>
): void => {
  if (channel === undefined) {
    throw new Error(
      "WorkerPool.serve was called outside of a worker: give this file's URL to WorkerPool.toLayer instead"
    )
  }
  if (channel.isServed) throw new Error("WorkerPool.serve was called twice: give it all kinds of this worker at once")
  serveOn(kinds, handlers as Layer.Layer<unknown, unknown>, channel)
}
