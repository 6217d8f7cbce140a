/**
 * The worker's side: it builds the handlers' layer once, and runs what the pool assigns, one work at a time, as the
 * engine would run it in the host.
 */
import {
  Cause,
  Context,
  Effect,
  Exit,
  type Fiber,
  Formatter,
  Layer,
  Logger,
  References,
  Schema,
  Scope,
  Tracer
} from "effect"
import { CurrentWork, type StopReason } from "../CurrentWork.ts"
import type { Progress } from "../Progress.ts"
import type { Any, Cancelled, HandlerService } from "../WorkKind.ts"
import { codecOf, messageOf } from "./codec.ts"
import type { RunError } from "./errors.ts"
import { decodeEnding, decodeRunError, encodeExit } from "./workerCodec.ts"
import {
  type Assignment,
  type Ending,
  type FromWorker,
  toThrown,
  type WorkEnding,
  type WorkerChannel
} from "./workerMessage.ts"
import { type Line, makeWork, type PortCall } from "./workerPort.ts"

/** Progress is sent at most this often; the newest wins. */
const progressMillis = 20

interface Served {
  readonly kind: Any
  readonly handler: HandlerService
}

/** A work that is running here. */
class Running {
  readonly number: number
  readonly channel: WorkerChannel
  stopReason: StopReason | undefined = undefined
  fiber: Fiber.Fiber<WorkEnding> | undefined = undefined
  private readonly calls = new Map<number, (ending: Ending) => void>()
  private lastCall = 0
  private progress: Progress | undefined = undefined
  private hasSign = false
  private progressAt = 0
  private timer: NodeJS.Timeout | undefined = undefined
  /** What could not be sent while no fiber was there to be told: the next one that comes is. */
  private fault: unknown = undefined

  constructor(number: number, channel: WorkerChannel) {
    this.number = number
    this.channel = channel
  }

  /** What cannot be cloned (a function, a socket) is a mistake of the handler: its defect, in words. */
  private post(what: string, message: FromWorker): void {
    try {
      this.channel.post(message)
    } catch (cause) {
      throw new Error(`${what} cannot be sent from the worker to the host: ${(cause as Error).message}`, { cause })
    }
  }

  answered(call: number, ending: Ending): void {
    this.calls.get(call)?.(ending)
    this.calls.delete(call)
  }

  readonly line: Line = {
    call: (request) => this.call(request),
    report: (progress) => {
      this.progress = progress ?? this.progress
      this.hasSign = true
      const wait = this.progressAt + progressMillis - performance.now()
      if (wait <= 0) this.flush()
      else this.timer ??= setTimeout(() => this.flushLater(), wait)
    },
    spawn: (child) => this.post("a spawned child", { _tag: "Spawn", work: this.number, child }),
    stopReason: () => this.stopReason
  }

  private flushLater(): void {
    try {
      this.flush()
    } catch (fault) {
      this.fault = fault
    }
  }

  /** Shows the latest progress, or that there is life. */
  flush(): void {
    if (this.fault !== undefined) throw this.fault
    clearTimeout(this.timer)
    this.timer = undefined
    if (!this.hasSign) return
    const { progress } = this
    this.progress = undefined
    this.hasSign = false
    this.progressAt = performance.now()
    this.post("progress", { _tag: "Progress", work: this.number, progress })
  }

  private call(request: PortCall): Effect.Effect<unknown, RunError> {
    return Effect.flatMap(
      Effect.callback<Ending>((resume) => {
        this.flush()
        const call = ++this.lastCall
        this.post(request._tag === "Tell" ? request.message._tag : request._tag, {
          _tag: "Call",
          work: this.number,
          call,
          request
        })
        this.calls.set(call, (ending) => resume(Effect.succeed(ending)))
        return Effect.sync(() => {
          this.calls.delete(call)
          this.channel.post({ _tag: "Abandon", work: this.number, call })
        })
      }),
      (ending) => decodeEnding(ending, { value: Exit.succeed, error: decodeRunError })
    )
  }
}

/** Runs what is assigned: decodes the payload, provides the work, and encodes the end. */
const execute = (
  { cancelled, part, port, span, spec }: Assignment,
  { handler, kind }: Served,
  running: Running
): Effect.Effect<WorkEnding> => {
  const work = makeWork(spec, part, port, running.line)
  const recorded: Cancelled["recorded"] = (step, schema) =>
    work.port.steps.has(step)
      ? Schema.decodeUnknownSync(Schema.toCodecJson(schema))(work.port.steps.get(step))
      : undefined
  const payload = codecOf(kind.payload).decode(spec.payload)
  if (Exit.isFailure(payload)) return Effect.succeed({ _tag: "Undecodable", what: messageOf(payload) })
  const run = Effect.suspend((): Effect.Effect<unknown, unknown, CurrentWork | Scope.Scope> => {
    const value = payload.value as never
    return part === "handler" ? handler.run(value) : handler.onCancel!(value, { ...cancelled!, recorded })
  })
  const inSpan = span === undefined ? run : Effect.withParentSpan(run, Tracer.externalSpan(span))
  return Effect.uninterruptible(inSpan.pipe(
    Effect.scoped,
    Effect.provideService(CurrentWork, work),
    Effect.updateContext((own: Context.Context<never>) => Context.merge(handler.context, own)),
    Effect.interruptible,
    Effect.exit,
    Effect.map((exit) =>
      part === "handler"
        ? encodeExit(exit, { value: codecOf(kind.success).encode, error: codecOf(kind.error).encode })
        // What a clean-up fails with has no schema: it is shown, and tried again.
        : encodeExit(exit, { value: () => Exit.succeed(null), error: Exit.die })
    )
  ))
}

const describe = (value: unknown): string => typeof value === "string" ? value : Formatter.format(value)

/** Serves a pool until that closes the worker. */
export const serve = (
  kinds: ReadonlyArray<Any>,
  handlers: Layer.Layer<unknown, unknown>,
  channel: WorkerChannel
): void => {
  channel.isServed = true
  const scope = Scope.makeUnsafe()
  let running: Running | undefined

  /** Whatever is logged here is logged by the host's logger, among the lines of the work's fiber there. */
  const toHost = Logger.make<unknown, void>(({ cause, fiber, logLevel, message }) => {
    const annotations = fiber.getRef(References.CurrentLogAnnotations)
    channel.post({
      _tag: "Log",
      work: running?.number ?? 0,
      record: {
        level: logLevel,
        messages: (Array.isArray(message) ? message : [message]).map(describe),
        cause: cause.reasons.length === 0 ? undefined : Cause.pretty(cause),
        annotations: Object.fromEntries(Object.entries(annotations).map(([key, value]) => [key, describe(value)]))
      }
    })
  })

  const assign = (
    assignment: Assignment,
    served: ReadonlyMap<string, Served>,
    context: Context.Context<never>
  ): void => {
    const now = new Running(assignment.work, channel)
    running = now
    now.fiber = Effect.runForkWith(context)(
      execute(assignment, served.get(assignment.spec.kind)!, now).pipe(
        Effect.provideService(References.MinimumLogLevel, assignment.minimumLogLevel),
        Effect.catchCause((cause) =>
          Effect.succeed<WorkEnding>({ _tag: "Died", thrown: toThrown(Cause.squash(cause)) })
        )
      )
    )
    now.fiber.addObserver((exit) => {
      const ending: WorkEnding = Exit.isSuccess(exit) ? exit.value : { _tag: "Interrupted" }
      const end = (ending: WorkEnding) => channel.post({ _tag: "Ended", work: now.number, ending })
      try {
        now.flush()
        end(ending)
      } catch (cause) {
        end({ _tag: "Died", thrown: toThrown(cause) })
      }
    })
  }

  const start = Effect.gen(function*() {
    const context = yield* Layer.buildWithScope(Layer.merge(handlers, Logger.layer([toHost])), scope)
    const served = new Map<string, Served>()
    for (const kind of kinds) {
      served.set(kind.kind, { kind, handler: Context.getUnsafe(context as Context.Context<unknown>, kind.handler) })
    }
    return { context: context as Context.Context<never>, served }
  }).pipe(Effect.provide(Logger.layer([toHost])))

  Effect.runFork(start).addObserver((exit) => {
    if (Exit.isFailure(exit)) {
      return channel.post({
        _tag: "StartFailed",
        message: `the layer of its handlers failed: ${Cause.pretty(exit.cause)}`
      })
    }
    const { context, served } = exit.value
    channel.listen((message) => {
      switch (message._tag) {
        case "Assign":
          return assign(message.assignment, served, context)
        case "Interrupt": {
          if (running?.number !== message.work) return
          running.stopReason ??= message.reason
          return running.fiber?.interruptUnsafe()
        }
        case "Answer":
          return running?.number === message.work ? running.answered(message.call, message.ending) : undefined
        case "Close":
          Effect.runFork(Scope.close(scope, Exit.void)).addObserver(() => channel.exit())
          return
      }
    })
    channel.post({
      _tag: "Ready",
      kinds: Array.from(served.values(), ({ handler, kind }) => ({
        kind: kind.kind,
        onCancel: handler.onCancel !== undefined
      }))
    })
  })
}
