/** Where messages go: a service of its own, so that a test can put another in its place. */
import { Context, Effect, FileSystem, Layer, Path, Schema } from "effect"

/** A message could not be delivered; another try may succeed. */
export class Undelivered extends Schema.TaggedError<Undelivered>()("Undelivered", { message: Schema.String }) {}

/** Delivers a message once for each key: delivering it again under the same key changes nothing. */
export class Outbox extends Context.Service<Outbox, {
  deliver(message: { readonly key: string; readonly text: string }): Effect.Effect<void, Undelivered>
}>()("quickstart/Outbox") {
  /** One file for each message, named by its key. */
  static readonly layer = (directory: string) =>
    Layer.effect(
      Outbox,
      Effect.gen(function*() {
        const files = yield* FileSystem.FileSystem
        const path = yield* Path.Path
        return Outbox.of({
          deliver: ({ key, text }) =>
            files.makeDirectory(directory, { recursive: true }).pipe(
              Effect.andThen(files.writeFileString(path.join(directory, `${encodeURIComponent(key)}.txt`), text)),
              Effect.mapError((error) => new Undelivered({ message: `No message in ${directory}: ${error.message}` }))
            )
        })
      })
    )
}
