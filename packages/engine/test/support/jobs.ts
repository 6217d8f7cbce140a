/**
 * What the tests of a run share: an engine on one journal in memory that can be opened again, as another process would.
 */
import { type CurrentWork, Journal, WorkEngine, WorkKind } from "@espalier/engine"
import { Effect, Layer, Schedule, Schema, Stream } from "effect"

export class Boom extends Schema.TaggedError<Boom>()("Boom", { why: Schema.String }) {}

export class Task extends WorkKind.make("Task", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  retry: Schedule.spaced("1 minute").pipe(Schedule.upTo({ times: 2 })),
  timeout: "1 hour"
}) {}

export class Child extends WorkKind.make("Child", { payload: { of: Schema.String }, success: Schema.String }) {}

export class Jobs extends WorkEngine.Service<Jobs>()("test/Jobs", { kinds: [Task, Child] }) {}

export type TaskHandler = (payload: { readonly name: string }) => Effect.Effect<string, Boom, CurrentWork.CurrentWork>

interface TaskOptions {
  readonly onCancel: (
    payload: { readonly name: string },
    cancelled: WorkKind.Cancelled
  ) => Effect.Effect<void, unknown, CurrentWork.CurrentWork>
}

/** An engine on one memory journal, so that a run can be opened again as another process would. */
export const laboratory = Effect.gen(function*() {
  const journal = yield* Layer.build(Journal.layerMemory)
  const jobs = (handler: TaskHandler, options?: TaskOptions) =>
    Effect.map(
      Layer.build(Jobs.layer.pipe(
        Layer.provide([Task.toLayer(handler, options), Child.toLayer(({ of }) => Effect.succeed(`child of ${of}`))]),
        Layer.provide(Layer.succeedContext(journal))
      )),
      (context) => Effect.provide(Jobs, context)
    ).pipe(Effect.flatten)
  return { jobs, journal }
})

export const tags = (
  run: { readonly events: () => Stream.Stream<{ readonly event: { readonly _tag: string } }, unknown> },
  count: number
) => run.events().pipe(Stream.map(({ event }) => event._tag), Stream.take(count), Stream.runCollect)
