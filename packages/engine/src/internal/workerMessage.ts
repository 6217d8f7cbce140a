/**
 * What a pool and its workers say to each other: plain data, so that it crosses a thread's port and a process's channel
 * alike.
 *
 * A worker does one work at a time. `work` numbers them, so that what a stray fiber of an earlier work says late is
 * never taken for the present one's.
 */
import { Cause, type LogLevel } from "effect"
import type { StopReason } from "../CurrentWork.ts"
import type { Progress } from "../Progress.ts"
import type { ChildSpec, WorkSpec } from "../WorkSpec.ts"
import type { PortCall, PortState } from "./workerPort.ts"

/** Something thrown, as data. */
export type Thrown =
  | { readonly _tag: "Error"; readonly name: string; readonly message: string; readonly stack: string | undefined }
  | { readonly _tag: "Value"; readonly text: string }

export const toThrown = (value: unknown): Thrown =>
  value instanceof Error
    ? { _tag: "Error", name: value.name, message: value.message, stack: value.stack }
    : { _tag: "Value", text: typeof value === "string" ? value : Cause.pretty(Cause.die(value)) }

/**
 * The same for whoever catches it: an error with the name, the message and the stack of the place where it was thrown.
 */
export const fromThrown = (thrown: Thrown): unknown => {
  if (thrown._tag === "Value") return thrown.text
  const error = new Error(thrown.message)
  error.name = thrown.name
  if (thrown.stack !== undefined) error.stack = thrown.stack
  return error
}

export const describeThrown = (thrown: Thrown): string =>
  thrown._tag === "Value" ? thrown.text : `${thrown.name}: ${thrown.message}`

/** How an effect ended on the other side. Values are in JSON, as a schema that both sides know encodes them. */
export type Ending =
  | { readonly _tag: "Succeeded"; readonly value: unknown }
  | { readonly _tag: "Failed"; readonly error: unknown }
  | { readonly _tag: "Died"; readonly thrown: Thrown }
  | { readonly _tag: "Interrupted" }

/** How a work ended. `Undecodable`: the payload does not fit the worker's schema of the kind. */
export type WorkEnding = Ending | { readonly _tag: "Undecodable"; readonly what: string }

/** A work as it is handed over. */
export interface Assignment {
  readonly work: number
  /** The kind's handler, or its `onCancel`. */
  readonly part: "handler" | "onCancel"
  readonly spec: WorkSpec
  readonly port: PortState
  readonly cancelled: { readonly reason: string; readonly actor: string } | undefined
  readonly minimumLogLevel: LogLevel.LogLevel
  readonly span: { readonly traceId: string; readonly spanId: string; readonly sampled: boolean } | undefined
}

export type ToWorker =
  | { readonly _tag: "Assign"; readonly assignment: Assignment }
  | { readonly _tag: "Interrupt"; readonly work: number; readonly reason: StopReason | undefined }
  | { readonly _tag: "Answer"; readonly work: number; readonly call: number; readonly ending: Ending }
  | { readonly _tag: "Close" }

export interface LogRecord {
  readonly level: LogLevel.LogLevel
  readonly messages: ReadonlyArray<string>
  readonly cause: string | undefined
  readonly annotations: Readonly<Record<string, string>>
}

export type FromWorker =
  | { readonly _tag: "Ready"; readonly kinds: ReadonlyArray<{ readonly kind: string; readonly onCancel: boolean }> }
  | { readonly _tag: "StartFailed"; readonly message: string }
  | { readonly _tag: "Call"; readonly work: number; readonly call: number; readonly request: PortCall }
  | { readonly _tag: "Abandon"; readonly work: number; readonly call: number }
  | { readonly _tag: "Progress"; readonly work: number; readonly progress: Progress | undefined }
  | { readonly _tag: "Spawn"; readonly work: number; readonly child: ChildSpec }
  | { readonly _tag: "Log"; readonly work: number; readonly record: LogRecord }
  | { readonly _tag: "Ended"; readonly work: number; readonly ending: WorkEnding }
  /** An error that nobody caught: the worker ends with it. */
  | { readonly _tag: "Uncaught"; readonly thrown: Thrown }

/** Where a worker process finds the pipe by which it notices that the host is gone. */
export const watchFd = 4

/** A module beside this one, by its source's name: in what is published it is JavaScript. */
export const builtUrl = (source: URL): URL =>
  import.meta.url.endsWith(".ts") ? source : new URL(source.href.replace(/\.ts$/, ".js"))

/** Under this name a worker finds its channel to the pool; it is how `serve` knows that it runs in one. */
export const channelKey = Symbol.for("@espalier/engine/WorkerPool/channel")

/** A worker's end of the line. */
export interface WorkerChannel {
  /** Throws when the message holds what cannot be sent (a function, a socket). */
  readonly post: (message: FromWorker) => void
  /** Sets who hears the pool; what came before is heard then. */
  readonly listen: (listener: (message: ToWorker) => void) => void
  /** Ends the worker, when what was posted is on its way. */
  readonly exit: () => void
  isServed: boolean
}
