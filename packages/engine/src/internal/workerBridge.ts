/**
 * The host's side of one work in a worker: hands it over, answers what the handler there asks of its `CurrentWork`, and
 * ends as it ends.
 */
import { type Context, Effect, Exit, type Fiber, Option, References } from "effect"
import { CurrentWork } from "../CurrentWork.ts"
import type { Any, Cancelled } from "../WorkKind.ts"
import { type WorkerDied, WorkerUnusable } from "../WorkerPoolError.ts"
import { codecOf } from "./codec.ts"
import { decodeEnding, encodeExit, encodeRunError } from "./workerCodec.ts"
import { showUrl } from "./workerHandle.ts"
import type { Assignment, FromWorker, LogRecord, ToWorker, WorkEnding } from "./workerMessage.ts"
import { currentTraceparent } from "./trace.ts"
import type { Pool, PooledWorker } from "./workerPool.ts"
import { adopt, perform, type PortCall, stateOf } from "./workerPort.ts"

/** Logs a worker's line with the logger of the fiber that runs this. */
export const log = ({ annotations, cause, level, messages }: LogRecord): Effect.Effect<void> =>
  level === "All" || level === "None"
    ? Effect.void
    : Effect.annotateLogs(
      Effect.logWithLevel(level)(...messages, ...(cause === undefined ? [] : [cause])),
      annotations
    )

type Over = { readonly _tag: "Ended"; readonly ending: WorkEnding } | {
  readonly _tag: "Dead"
  readonly died: WorkerDied
}

/** What is said between host and worker from the assignment of a work to its end. */
class Conversation {
  private readonly worker: PooledWorker
  private readonly number: number
  private readonly work: CurrentWork["Service"]
  private readonly traceparent: string | undefined
  private readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  private readonly calls = new Map<number, Fiber.Fiber<unknown, unknown>>()
  private over: Over | undefined = undefined
  private onOver: ((over: Over) => void) | undefined = undefined

  constructor(
    worker: PooledWorker,
    assignment: Assignment,
    work: CurrentWork["Service"],
    context: Context.Context<never>,
    traceparent: string | undefined
  ) {
    this.worker = worker
    this.number = assignment.work
    this.work = work
    this.traceparent = traceparent
    this.fork = Effect.runForkWith(context)
    worker.client = {
      onMessage: (message) => this.hear(message),
      onEnd: (died) => this.end({ _tag: "Dead", died })
    }
    worker.post({ _tag: "Assign", assignment })
  }

  /** Tells the one listener, now or when it happens, that the work is over there. */
  whenOver(listener: (over: Over) => void): void {
    this.onOver = listener
    if (this.over !== undefined) listener(this.over)
  }

  private end(over: Over): void {
    this.over = over
    this.worker.client = undefined
    for (const fiber of this.calls.values()) fiber.interruptUnsafe()
    this.onOver?.(over)
  }

  private hear(message: FromWorker): void {
    if (message._tag === "Log") return void this.fork(log(message.record))
    // What a stray fiber of an earlier work says is of no more use to anybody.
    if (!("work" in message) || message.work !== this.number) return
    switch (message._tag) {
      case "Call":
        return this.answer(message.call, message.request)
      case "Abandon":
        return this.calls.get(message.call)?.interruptUnsafe()
      case "Progress":
        return this.work.port.report(message.progress)
      case "Spawn":
        return adopt(this.work, message.child, this.traceparent)
      case "Ended":
        return this.end(message)
    }
  }

  private answer(call: number, request: PortCall): void {
    const fiber = this.fork(perform(this.work, request, this.traceparent))
    this.calls.set(call, fiber)
    fiber.addObserver((exit) => {
      this.calls.delete(call)
      if (this.over !== undefined) return
      const ending = encodeExit(exit, { value: Exit.succeed, error: encodeRunError })
      this.worker.post({ _tag: "Answer", work: this.number, call, ending })
    })
  }

  /** Waits for the end. Interruption asks the worker to interrupt the handler, then ends the worker. */
  await(terminateAfterMillis: number): Effect.Effect<Over> {
    return Effect.callback((resume) => {
      this.whenOver((over) => resume(Effect.succeed(over)))
      return Effect.flatMap(this.work.stopReason, (reason) => this.stop(reason, terminateAfterMillis))
    })
  }

  private stop(
    reason: (ToWorker & { readonly _tag: "Interrupt" })["reason"],
    terminateAfterMillis: number
  ): Effect.Effect<void> {
    return Effect.callback((resume) => {
      // Real time, whatever clock the program has: a test clock that stands still must not keep an endless loop alive.
      const timer = setTimeout(() => this.worker.kill(), terminateAfterMillis)
      this.whenOver(() => {
        clearTimeout(timer)
        resume(Effect.void)
      })
      this.worker.post({ _tag: "Interrupt", work: this.number, reason })
    })
  }
}

/** Why this worker cannot do this part of this kind, or undefined. */
const misfit = (pool: Pool, worker: PooledWorker, kind: Any, part: Assignment["part"], hasOnCancel: boolean) => {
  const { url } = pool.settings
  const unusable = (what: string): WorkerUnusable =>
    new WorkerUnusable({ url: url.href, message: `the worker file ${showUrl(url)} ${what}` })
  const served = worker.kinds?.get(kind.kind)
  if (served === undefined) {
    const names = Array.from(worker.kinds?.keys() ?? []).map((name) => `"${name}"`).join(", ")
    return unusable(`serves ${names === "" ? "no kind" : names}, not "${kind.kind}": give it to WorkerPool.serve there`)
  }
  if (served.onCancel && !hasOnCancel) {
    return unusable(
      `has an onCancel for "${kind.kind}" that nobody would run: give \`onCancel: "worker"\` where the pool handles the kind`
    )
  }
  if (part === "onCancel" && !served.onCancel) return unusable(`has no onCancel for "${kind.kind}"`)
  return undefined
}

/** A work that waits for a worker, or for one to start, gives signs of life all the time. */
const waitingIsNoStall = <A, E>(work: CurrentWork["Service"], wait: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const timer = setInterval(() => work.port.report(undefined), 200)
    return Effect.ensuring(
      wait,
      Effect.sync(() => {
        clearInterval(timer)
        work.port.report(undefined)
      })
    )
  })

let lastWork = 0

/** Runs a part of a kind in a worker of the pool, for the current work. */
export const runInWorker = (
  pool: Pool,
  kind: Any,
  options: { readonly hasOnCancel: boolean; readonly cancelled?: Cancelled }
): Effect.Effect<unknown, unknown, CurrentWork> => {
  const part = options.cancelled === undefined ? "handler" : "onCancel"
  return Effect.gen(function*() {
    const work = yield* CurrentWork
    const context = yield* Effect.context<never>()
    const minimumLogLevel = yield* References.MinimumLogLevel
    const traceparent = yield* currentTraceparent
    const span = Option.getOrUndefined(yield* Effect.option(Effect.currentParentSpan))
    const { cancelled } = options
    const assignment: Assignment = {
      work: ++lastWork,
      part,
      spec: work.spec,
      port: stateOf(work),
      cancelled: cancelled === undefined ? undefined : { reason: cancelled.reason, actor: cancelled.actor },
      minimumLogLevel,
      span: span === undefined
        ? undefined
        : { traceId: span.traceId, spanId: span.spanId, sampled: span.sampled }
    }
    const over = yield* Effect.acquireUseRelease(
      Effect.interruptible(Effect.orDie(waitingIsNoStall(work, pool.take(work.spec.priority)))),
      (worker) => {
        const unusable = misfit(pool, worker, kind, part, options.hasOnCancel)
        return unusable === undefined
          ? new Conversation(worker, assignment, work, context, traceparent).await(pool.settings.terminateAfterMillis)
          : Effect.die(unusable)
      },
      (worker) => Effect.sync(() => pool.release(worker))
    )
    if (over._tag === "Dead") return yield* Effect.die(over.died)
    const { ending } = over
    if (ending._tag === "Undecodable") {
      return yield* Effect.die(
        new WorkerUnusable({
          url: pool.settings.url.href,
          message:
            `the worker file ${showUrl(pool.settings.url)} cannot read the payload of "${work.spec.id}", which ` +
            `the host can: are they of one version? ${ending.what}`
        })
      )
    }
    return yield* decodeEnding(ending, {
      value: part === "handler" ? codecOf(kind.success).decode : Exit.succeed,
      error: codecOf(kind.error).decode
    })
  })
}
