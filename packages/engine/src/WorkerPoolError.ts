/**
 * How a worker of a pool fails. `WorkerPool` exports these again; they are apart so that whoever only looks at outcomes
 * needs nothing of Node.
 */
import { Schema } from "effect"

/**
 * A worker died in the middle of a work: how this attempt fails. A kind's `retry` and `retryIf` see it and may try again;
 * otherwise the work ends as `WorkStopped`, with this as its reason. Other works of the pool, and the host, are not
 * touched, and another worker takes the place of the dead one.
 *
 * - `memory`: it used more than the pool's `memoryMegabytes`.
 * - `exit`: something in it ended the process (`process.exit`), with `exitCode`.
 * - `signal`: its process was killed by `signal`, by itself (a fault in native code) or from outside.
 * - `error`: an error that no handler saw (thrown in a timer or an event listener).
 */
export class WorkerDied extends Schema.TaggedError<WorkerDied>()("WorkerDied", {
  reason: Schema.Literals(["memory", "exit", "signal", "error"]),
  exitCode: Schema.optionalKey(Schema.Int),
  signal: Schema.optionalKey(Schema.String),
  message: Schema.String
}) {}

/**
 * The pool's workers cannot do this work at all, however often it is tried: the worker file is not there, throws when
 * it is imported, does not serve the kind, or cannot read the payload. The message says which. A pool whose options or
 * file cannot be fails with it when its layer is built; a work that finds it out is not failed by it, but held back
 * (`blocked`, with this message) until the run is next opened.
 */
export class WorkerUnusable extends Schema.TaggedError<WorkerUnusable>()("WorkerUnusable", {
  /** The worker file. */
  url: Schema.String,
  message: Schema.String
}) {}
