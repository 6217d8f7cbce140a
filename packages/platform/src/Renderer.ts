/**
 * Draws pictures to files.
 *
 * What a picture shows is decided elsewhere, by pure functions that make SVG text of a view; a
 * renderer only turns that into pixels. The layers are `renderer/InProcess` and `renderer/None`.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** A picture to draw. */
export interface Picture {
  /** Absolute path of the `.png` file to make. */
  readonly file: string
  /**
   * The picture as an SVG document. The fonts are DejaVu Sans (regular, bold, oblique) and DejaVu Sans Mono
   * (regular, bold), by these names; every other family, generic ones too, is set in DejaVu Sans.
   */
  readonly svg: string
}

/**
 * A picture could not be drawn or written. Those before it in the list were; a file that was there
 * before is unchanged.
 */
export class RenderError extends Schema.TaggedError<RenderError>()("RenderError", {
  file: Schema.String,
  detail: Schema.String,
  message: Schema.String
}) {
  /** The error with its standard message. */
  static at(file: string, operation: string, detail: string): RenderError {
    return new RenderError({ file, detail, message: `Cannot ${operation} the picture ${file}: ${detail}` })
  }
}

/**
 * Draws pictures.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { Effect } from "effect"
 * import { Renderer } from "@espalier/platform/Renderer"
 * import * as None from "@espalier/platform/renderer/None"
 *
 * const program = Effect.gen(function*() {
 *   const renderer = yield* Renderer
 *   yield* renderer.render([{ file: "/progress.png", svg: "<svg/>" }])
 *   const asked = yield* None.Pictures
 *   return yield* asked.latest
 * }).pipe(Effect.provide(None.layer))
 *
 * assert.equal((await Effect.runPromise(program)).get("/progress.png"), "<svg/>")
 * ```
 */
export class Renderer extends Context.Service<Renderer, {
  /** Draws the pictures in order. A file is replaced whole or not at all. */
  render(pictures: ReadonlyArray<Picture>): Effect.Effect<void, RenderError>
}>()("@espalier/platform/Renderer") {}
