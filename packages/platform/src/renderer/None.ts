/** A renderer that draws nothing and remembers what it was asked for: for tests, and for runs without pictures. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import { Renderer } from "../Renderer.ts"

/** What was asked for. Only the last of each file is kept, so that a long run does not fill the memory. */
export class Pictures extends Context.Service<Pictures, {
  /** The SVG that each file would show now, by file. */
  readonly latest: Effect.Effect<ReadonlyMap<string, string>>
  /** How many pictures were asked for in all. */
  readonly count: Effect.Effect<number>
}>()("@espalier/platform/renderer/None/Pictures") {}

/** The renderer, and `Pictures` to look at what it was asked for. */
export const layer: Layer.Layer<Renderer | Pictures> = Layer.effectContext(Effect.gen(function*() {
  const latest = yield* Ref.make<ReadonlyMap<string, string>>(new Map())
  const count = yield* Ref.make(0)
  return Context.make(
    Renderer,
    Renderer.of({
      render: (pictures) =>
        Effect.andThen(
          Ref.update(latest, (files) => new Map([...files, ...pictures.map(({ file, svg }) => [file, svg] as const)])),
          Ref.update(count, (total) => total + pictures.length)
        )
    })
  ).pipe(Context.add(Pictures, Pictures.of({ latest: Ref.get(latest), count: Ref.get(count) })))
}))
