import * as Journal from "@espalier/engine/Journal"
import * as JournalSuite from "@espalier/engine/testing/JournalSuite"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

describe("Journal.layerMemory", () => {
  for (const { name, run } of JournalSuite.cases) {
    it.effect(name, () => run.pipe(Effect.provide(Journal.layerMemory)))
  }

  it.effect("every build of the layer has a store of its own", () =>
    Effect.gen(function*() {
      const create = Effect.scoped(
        Effect.flatMap(Journal.Journal, (journal) => journal.open("run", { mode: "create" }))
      )
      yield* create.pipe(Effect.provide(Journal.layerMemory))
      const writer = yield* create.pipe(Effect.provide(Journal.layerMemory))
      assert.strictEqual(writer.lastSeq, 0)
    }))
})
