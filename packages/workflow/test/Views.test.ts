import { assert, describe, it } from "@effect/vitest"
import * as NoRenderer from "@espalier/platform/renderer/None"
import { Laboratory, TreeView, Views } from "@espalier/workflow"
import { TestLaboratory } from "@espalier/workflow/testing"
import { Effect, FileSystem, Layer, Path, PlatformError } from "effect"
import { program, studyOf } from "./support/program.ts"

const settings = studyOf({ limits: { experiments: 7 } })
const titles = { name: "a search", run: settings.run, repository: "/source" }

const search = Effect.runSync(Effect.cached(
  Effect.gen(function*() {
    yield* TestLaboratory.run(settings)
    return yield* (yield* Laboratory.Laboratory).history(settings.run)
  }).pipe(Effect.provide(TestLaboratory.layerTest(settings, program(0.005))))
))

/** Files in a map. A rename counts as one whole write; what is written aside is not seen. */
const disk = () => {
  const files = new Map<string, string>()
  const written: Array<string> = []
  const layer = FileSystem.layerNoop({
    makeDirectory: () => Effect.void,
    readFileString: (file) => {
      const content = files.get(file)
      return content === undefined
        ? Effect.fail(PlatformError.systemError({ _tag: "NotFound", module: "FileSystem", method: "readFileString" }))
        : Effect.succeed(content)
    },
    writeFileString: (file, content) => Effect.sync(() => void files.set(file, content)),
    rename: (from, to) =>
      Effect.sync(() => {
        files.set(to, files.get(from)!)
        files.delete(from)
        written.push(to)
      })
  })
  return { files, written, layer: Layer.mergeAll(layer, Path.layer, NoRenderer.layer) }
}

describe("the views of a run", () => {
  it.effect("can be written after every single event", () =>
    Effect.gen(function*() {
      const events = yield* search
      const view = TreeView.empty()
      for (const [index, event] of events.entries()) {
        TreeView.evolve(view, event)
        // All events in turn would be quadratic: every tenth, and every end of an experiment.
        if (index % 10 !== 0 && !event.event._tag.startsWith("WorkFailed")) continue
        for (const [name, text] of Views.texts(view, titles)) assert.notMatch(text, /undefined|NaN|\[object/, name)
      }
    }))

  it.effect("tell of every node what is known of it", () =>
    Effect.gen(function*() {
      const view = TreeView.fold(yield* search)
      const files = Views.texts(view, titles)
      for (const node of view.tree.nodes.values()) {
        assert.include(files.get("master_table.tsv"), node.id)
        assert.isTrue([...files.keys()].some((name) => name.startsWith(`tree/${node.id}/`)))
        const jobs = JSON.parse(files.get(`tree/${node.id}/jobs.json`) ?? "[]")
        assert.strictEqual(jobs.length, node.jobs)
      }
      assert.include(files.get("report.md"), "a search")
    }))

  it.effect("are all there again, the same bytes, when they were deleted; and are left alone when they are as they should be", () =>
    Effect.gen(function*() {
      const view = TreeView.fold(yield* search)
      const { files, layer, written } = disk()
      yield* Effect.gen(function*() {
        const names = yield* Views.write("/run", view, titles)
        const pictures = yield* (yield* NoRenderer.Pictures).latest
        assert.sameMembers([...names], [...files.keys(), ...pictures.keys()].map((file) => file.slice("/run/".length)))
        assert.includeMembers([...names], [...Views.names])

        const before = new Map(files)
        written.length = 0
        yield* Views.write("/run", view, titles)
        assert.deepStrictEqual(written, [])

        files.delete("/run/summary.md")
        files.set("/run/report.md", "half a rep")
        yield* Views.write("/run", view, titles)
        assert.sameMembers(written, ["/run/summary.md", "/run/report.md"])
        assert.deepStrictEqual([...files].sort(), [...before].sort())

        files.clear()
        yield* Views.write("/run", view, titles)
        assert.deepStrictEqual([...files].sort(), [...before].sort())
        assert.deepStrictEqual(yield* (yield* NoRenderer.Pictures).latest, pictures)
      }).pipe(Effect.provide(layer))
    }))
})
