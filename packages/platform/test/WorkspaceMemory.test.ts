import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as WorkspaceSuite from "../src/testing/WorkspaceSuite.ts"
import { Workspace } from "../src/Workspace.ts"
import * as Memory from "../src/workspace/Memory.ts"

const subject: WorkspaceSuite.Subject = {
  head: "committed",
  onDisk: false,
  layer: (files, guard) =>
    Layer.effectContext(
      Effect.map(Memory.make({ ...guard, files }), ({ contents, workspace }) =>
        Context.make(Workspace, workspace).pipe(Context.add(
          WorkspaceSuite.Checkout,
          WorkspaceSuite.Checkout.of({
            write: (file, content) =>
              contents.changeCheckout(file, content),
            editTree: (tree, file, content) => contents.changeTree(tree.path, file, content),
            fingerprint: Effect.gen(function*() {
              const branches = [...yield* contents.branches].filter(([name]) => !name.startsWith("espalier/"))
              return JSON.stringify([[...yield* contents.checkout], branches])
            })
          })
        )))
    )
}

describe("the memory workspace keeps what every workspace promises", () => {
  for (const { effect, name } of WorkspaceSuite.cases(subject)) it.effect(name, () => effect)
})

describe("the memory workspace", () => {
  const files = { "main.ts": "const workers = 1\n" }

  it.effect("gives the same commits in every process for the same changes", () =>
    Effect.gen(function*() {
      const commit = Effect.gen(function*() {
        const workspace = yield* Workspace
        const tree = yield* workspace.open({ run: "run", node: "node", base: "HEAD" })
        yield* workspace.write(tree, "parameters.json", "{}")
        return yield* workspace.commit(tree, { message: "node" })
      }).pipe(Effect.scoped)
      const first = yield* Effect.provide(commit, Memory.layer({ files }))
      const second = yield* Effect.provide(commit, Memory.layer({ files }))
      assert.strictEqual(first, second)
      assert.strictEqual(first, "5eadc462b9e7ed2259d3d3cdf803a11874003e11")
    }))

  it.effect("shows a test what each tree held, open or closed", () =>
    Effect.gen(function*() {
      const workspace = yield* Workspace
      const contents = yield* Memory.Contents
      const tree = yield* Effect.scoped(Effect.gen(function*() {
        const tree = yield* workspace.open({ run: "run", node: "node", base: "HEAD" })
        yield* workspace.write(tree, "parameters.json", "{\"batch\":2}")
        assert.deepStrictEqual(yield* contents.openTrees, [tree.path])
        return tree
      }))
      assert.deepStrictEqual(yield* contents.openTrees, [])
      assert.strictEqual((yield* contents.tree(tree.path))?.get("parameters.json"), "{\"batch\":2}")
      assert.strictEqual(yield* contents.tree("/memory/run/other"), undefined)
    }).pipe(Effect.provide(Memory.layer({ files }))))

  it.effect("allows changes only below the prefixes that it is given", () =>
    Effect.gen(function*() {
      const workspace = yield* Workspace
      const tree = yield* workspace.open({ run: "run", node: "node", base: "HEAD" })
      yield* workspace.write(tree, "src/deep/a.ts", "")
      yield* workspace.write(tree, "parameters.json", "{}")
      for (const file of ["main.ts", "srcx/a.ts", "parameters.json.bak", "./other/../main.ts"]) {
        const error = yield* Effect.flip(workspace.write(tree, file, ""))
        assert.strictEqual(error.reason._tag, "PathRefused")
      }
    }).pipe(Effect.scoped, Effect.provide(Memory.layer({ files, editable: ["src/", "./parameters.json"] }))))
})
