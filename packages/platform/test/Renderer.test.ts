import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as Path from "node:path"
import { Renderer } from "../src/Renderer.ts"
import * as InProcess from "../src/renderer/InProcess.ts"
import * as None from "../src/renderer/None.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(Path.join(os.tmpdir(), "espalier-render-"))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true, force: true }))
)

const svg = (content: string, size = "width=\"120\" height=\"40\"") =>
  `<svg xmlns="http://www.w3.org/2000/svg" ${size}>${content}</svg>`

const text = (family: string) => svg(`<text x="4" y="24" font-family="${family}">Hill 123</text>`)

const render = (
  pictures: ReadonlyArray<{ readonly file: string; readonly svg: string }>,
  options?: InProcess.Options
) => Effect.flatMap(Renderer, (renderer) => renderer.render(pictures)).pipe(Effect.provide(InProcess.layer(options)))

/** Width and height from a PNG's header. */
const sizeOf = (file: string) => {
  const content = fs.readFileSync(file)
  assert.strictEqual(content.subarray(0, 8).toString("latin1"), "\x89PNG\r\n\x1a\n")
  return [content.readUInt32BE(16), content.readUInt32BE(20)]
}

describe("the in-process renderer", () => {
  it.effect("writes a PNG of the picture's size, in directories that it makes", () =>
    Effect.gen(function*() {
      const file = Path.join(yield* temporary, "deep", "er", "picture.png")
      yield* render([{ file, svg: text("sans-serif") }])
      assert.deepStrictEqual(sizeOf(file), [120, 40])
      yield* render([{ file, svg: text("sans-serif") }], { scale: 2, background: "white" })
      assert.deepStrictEqual(sizeOf(file), [240, 80])
      assert.deepStrictEqual(fs.readdirSync(Path.dirname(file)), ["picture.png"])
    }).pipe(Effect.scoped))

  it.effect("draws text in its own fonts, whatever family is named, and the same each time", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const draw = (family: string) =>
        Effect.gen(function*() {
          const file = Path.join(directory, "picture.png")
          yield* render([{ file, svg: text(family) }])
          return fs.readFileSync(file).toString("base64")
        })
      const sans = yield* draw("DejaVu Sans")
      const mono = yield* draw("DejaVu Sans Mono")
      const nothing = yield* Effect.andThen(
        render([{ file: Path.join(directory, "empty.png"), svg: svg("") }]),
        Effect.sync(() => fs.readFileSync(Path.join(directory, "empty.png")).toString("base64"))
      )
      assert.strictEqual(new Set([sans, mono, nothing]).size, 3)
      assert.strictEqual(yield* draw("Helvetica, Arial, sans-serif"), sans)
      assert.strictEqual(yield* draw("DejaVu Sans"), sans)
    }).pipe(Effect.scoped))

  it.effect("fails typed where the SVG, its size or its place is wrong, and leaves the old file", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const file = Path.join(directory, "picture.png")
      fs.writeFileSync(file, "old")
      const wrong = ["", "<svg", "no svg", svg("", "width=\"0\" height=\"1\""), svg("", "width=\"1e9\" height=\"1e9\"")]
      for (const content of wrong) {
        const error = yield* Effect.flip(render([{ file, svg: content }]))
        assert.strictEqual(error._tag, "RenderError")
        assert.include(error.message, file)
      }
      assert.deepStrictEqual(fs.readdirSync(directory), ["picture.png"])
      assert.strictEqual(fs.readFileSync(file, "utf8"), "old")
      const places = ["relative.png", Path.join(directory, "picture.txt"), Path.join(file, "below.png")]
      for (const place of places) {
        const error = yield* Effect.flip(render([{ file: place, svg: text("sans-serif") }]))
        assert.strictEqual(error.file, place)
      }
    }).pipe(Effect.scoped))
})

describe("no renderer", () => {
  it.effect("draws nothing and remembers the last picture of each file", () =>
    Effect.gen(function*() {
      const renderer = yield* Renderer
      yield* renderer.render([{ file: "/a.png", svg: "1" }, { file: "/b.png", svg: "2" }])
      yield* renderer.render([{ file: "/a.png", svg: "3" }])
      const pictures = yield* None.Pictures
      assert.deepStrictEqual([...yield* pictures.latest], [["/a.png", "3"], ["/b.png", "2"]])
      assert.strictEqual(yield* pictures.count, 3)
    }).pipe(Effect.provide(None.layer)))
})
