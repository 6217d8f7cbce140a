/**
 * What the tests of cancelling share: a kind with a step and an `onCancel` that notes what it is told.
 */
import { Step, WorkEngine, WorkKind } from "@espalier/engine"
import { Deferred, Effect, Layer, Schedule, Schema } from "effect"
import { Boom, engineOf, mortalJournal, Stage, Task } from "./laboratory.ts"

export class Remote extends WorkKind.make("Remote", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  retry: Schedule.spaced("10 seconds")
}) {}

export class Clinics extends WorkEngine.Service<Clinics>()("test/unit/Clinics", { kinds: [Remote, Task] }) {}

/** A kind with `onCancel`: it notes what it is told, and fails or waits as the test says. */
export const clinic = Effect.gen(function*() {
  const { layer, state } = yield* mortalJournal
  const stage = new Stage()
  const undone: Array<string> = []
  const how: { fail: number; wait: Deferred.Deferred<void> | undefined } = { fail: 0, wait: undefined }
  const handlers = (onCancel: boolean) =>
    Layer.mergeAll(
      Remote.toLayer(
        ({ name }) =>
          Effect.andThen(Step.run("launch", Schema.String, Effect.succeed(`job of ${name}`)), stage.handler({ name })),
        onCancel
          ? {
            onCancel: ({ name }, { actor, reason, recorded }) =>
              Effect.gen(function*() {
                undone.push(`${name} ${recorded("launch", Schema.String)} ${actor} ${reason}`)
                if (how.wait !== undefined) yield* Deferred.await(how.wait)
                if (how.fail-- > 0) return yield* Effect.fail("the remote does not answer")
              })
          }
          : {}
      ),
      Task.toLayer(stage.handler)
    )
  const engine = yield* engineOf(Clinics, handlers(true), layer)
  const without = yield* engineOf(Clinics, handlers(false), layer)
  return { engine, without, stage, undone, how, state }
})

export const by = { actor: "ada", reason: "enough" }

export const cancelled = { _tag: "Cancelled", ...by } as const
