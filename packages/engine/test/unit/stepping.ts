/**
 * What the tests of steps and children share: a kind whose handler is the test's own, and running one work of it.
 */
import { type CurrentWork, RunError, WorkEngine, WorkKind } from "@espalier/engine"
import { assert } from "@effect/vitest"
import { Effect, Layer, Schedule, Schema } from "effect"
import { Boom, engineOf, mortalJournal } from "./laboratory.ts"

export class Job extends WorkKind.make("Job", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  retry: Schedule.recurs(1)
}) {}

export class Leaf extends WorkKind.make("Leaf", { payload: { name: Schema.String }, success: Schema.String }) {}

export class Steps extends WorkEngine.Service<Steps>()("test/unit/Steps", { kinds: [Job, Leaf] }) {}

export type Handler = (name: string) => Effect.Effect<string, Boom, CurrentWork.CurrentWork>

export const steps = Effect.fnUntraced(function*(handler: Handler) {
  const { layer, state } = yield* mortalJournal
  const handlers = Layer.mergeAll(
    Job.toLayer(({ name }) => handler(name)),
    Leaf.toLayer(({ name }) => Effect.succeed(name))
  )
  return { engine: yield* engineOf(Steps, handlers, layer), state }
})

/** Runs one work with a handler, and gives how it ended. */
export const one = Effect.fnUntraced(function*(handler: Handler) {
  const { engine } = yield* steps(handler)
  const run = yield* engine.open("r", { concurrency: 1, pools: { bench: 1 } })
  const job = yield* run.submit(Job, { name: "a" }, { id: "a" })
  return { engine, run, exit: yield* Effect.exit(job.await), job }
})

/** Runs one work whose handler breaks, and gives the message. */
export const defect = (handler: Handler) =>
  Effect.gen(function*() {
    const { job } = yield* one(handler)
    const error = yield* Effect.flip(job.await)
    assert.instanceOf(error, RunError.WorkStopped)
    const reason = (error as RunError.WorkStopped).reason
    assert.strictEqual(reason._tag, "Defect")
    return (error as RunError.WorkStopped).message
  })
