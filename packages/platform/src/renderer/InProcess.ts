/**
 * Renders in this process, on a thread of its own (libuv's pool), with resvg.
 *
 * Fonts come from a package and never from the system, so a picture is the same, byte for byte, on every
 * machine. A picture is written to a temporary file beside its place and renamed: who looks at it
 * meanwhile sees the old one or the new one, whole.
 */
import { renderAsync, Resvg } from "@resvg/resvg-js"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs/promises"
import { createRequire } from "node:module"
import * as Path from "node:path"
import { replaceFile } from "../internal/files.ts"
import { type Picture, Renderer, RenderError } from "../Renderer.ts"

/** How pictures are drawn. */
export interface Options {
  /** Pixels for one unit of the SVG. Default 1; 2 is sharp on dense screens. */
  readonly scale?: number | undefined
  /** A CSS colour behind the picture. Default none: where the SVG draws nothing, the PNG is transparent. */
  readonly background?: string | undefined
}

const require = createRequire(import.meta.url)

const fonts = ["DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Bold"]

const fontFiles = (): Array<string> => fonts.map((name) => require.resolve(`dejavu-fonts-ttf/ttf/${name}.ttf`))

// 64 million pixels are 256 MB while they are drawn. Far above that, resvg cannot get the memory and
// ends the whole process instead of failing, so the size is looked at before anything is drawn.
const sideLimit = 16_384
const pixelLimit = 64_000_000

/**
 * The layer of resvg with the DejaVu fonts.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { mkdtempSync, readFileSync, rmSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import { Effect } from "effect"
 * import { Renderer } from "@espalier/platform/Renderer"
 * import * as InProcess from "@espalier/platform/renderer/InProcess"
 *
 * const directory = mkdtempSync(join(tmpdir(), "espalier-example-"))
 * const file = join(directory, "circle.png")
 * const svg = "<svg xmlns='http://www.w3.org/2000/svg' width='20' height='20'><circle cx='10' cy='10' r='9'/></svg>"
 *
 * await Effect.runPromise(
 *   Effect.flatMap(Renderer, (renderer) => renderer.render([{ file, svg }])).pipe(
 *     Effect.provide(InProcess.layer({ scale: 2 }))
 *   )
 * )
 * assert.equal(readFileSync(file).subarray(1, 4).toString(), "PNG")
 * rmSync(directory, { recursive: true })
 * ```
 */
export const layer = (options: Options = {}): Layer.Layer<Renderer> =>
  Layer.succeed(
    Renderer,
    Renderer.of({
      render: (pictures) => Effect.forEach(pictures, (picture) => draw(options, picture), { discard: true })
    })
  )

const attempt = <A>(
  picture: Picture,
  operation: string,
  run: (signal: AbortSignal) => Promise<A>
): Effect.Effect<A, RenderError> =>
  Effect.tryPromise({
    try: run,
    catch: (error) => RenderError.at(picture.file, operation, error instanceof Error ? error.message : String(error))
  })

const draw = (options: Options, picture: Picture): Effect.Effect<void, RenderError> =>
  Effect.gen(function*() {
    const { file, svg } = picture
    if (!Path.isAbsolute(file) || Path.extname(file).toLowerCase() !== ".png") {
      return yield* RenderError.at(file, "write", "it is not the absolute path of a .png file")
    }
    const scale = options.scale ?? 1
    const size = yield* attempt(picture, "draw", async () => sizeOf(svg, scale))
    if (!(Math.max(size.width, size.height) <= sideLimit && size.width * size.height <= pixelLimit)) {
      const limit = `at most ${sideLimit} on a side and ${pixelLimit} in all can be drawn`
      return yield* RenderError.at(file, "draw", `it has ${size.width} x ${size.height} pixels, and ${limit}`)
    }
    const image = yield* attempt(picture, "draw", (signal) =>
      renderAsync(svg, {
        // resvg-js gives every generic family (serif, monospace) the default one, whatever else it is told.
        font: { loadSystemFonts: false, fontFiles: fontFiles(), defaultFontFamily: "DejaVu Sans" },
        fitTo: { mode: "zoom", value: scale },
        logLevel: "off",
        ...(options.background === undefined ? {} : { background: options.background })
      }, signal))
    // Not interruptible: a rename that happens after its effect was given up would bring an old picture back.
    yield* Effect.uninterruptible(attempt(picture, "write", async () => {
      await fs.mkdir(Path.dirname(file), { recursive: true })
      await replaceFile(file, image.asPng())
    }))
  })

const sizeOf = (svg: string, scale: number): { readonly width: number; readonly height: number } => {
  const { height, width } = new Resvg(svg, { font: { loadSystemFonts: false }, logLevel: "off" })
  return { width: Math.ceil(width * scale), height: Math.ceil(height * scale) }
}
