import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema, Stream } from "effect"
import { Journal, WorkEngine, WorkKind } from "@espalier/engine"
import { Failpoint } from "../../src/Failpoint.ts"

class Many extends WorkKind.make("Many", { payload: { n: Schema.Int } }) {}
class Engine extends WorkEngine.Service<Engine>()("test/ManyStarts", { kinds: [Many] }) {}

const specs = (count: number) =>
  Array.from({ length: count }, (_, n) => ({ id: `work-${n}`, kind: "Many", priority: 0, payload: { n } }))

/** An engine whose handler does this. */
const engineOf = (handler: (n: number) => Effect.Effect<void>) =>
  Engine.layer.pipe(Layer.provide(Many.toLayer(({ n }) => handler(n))))

describe("when far more works start in one turn than handlers are begun at once", () => {
  it.effect("all begin, each once, in the order in which they were started", () => {
    const begun: Array<number> = []
    return Effect.gen(function*() {
      const engine = yield* Engine
      const run = yield* engine.start("r", { concurrency: 500, works: specs(500), keepOpen: false })
      assert.strictEqual((yield* run.await).counts.succeeded, 500)
      const started = (yield* engine.history("r")).flatMap(({ event }) =>
        event._tag === "WorkStarted" ? [event.id] : []
      )
      assert.deepStrictEqual(begun.map((n) => `work-${n}`), started)
      assert.strictEqual(new Set(begun).size, 500)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        engineOf((n) => Effect.andThen(Effect.sync(() => begun.push(n)), Effect.promise(() => Promise.resolve())))
      ),
      Effect.provide(Journal.layerMemory)
    )
  })

  it.effect("those that never end do not keep the others from beginning", () => {
    const begun = new Set<number>()
    return Effect.gen(function*() {
      const engine = yield* Engine
      const run = yield* engine.start("r", { concurrency: 300, works: specs(300) })
      yield* run.changes.pipe(Stream.takeUntil(() => begun.size === 300), Stream.runDrain)
    }).pipe(
      Effect.scoped,
      Effect.provide(engineOf((n) => Effect.andThen(Effect.sync(() => void begun.add(n)), Effect.never))),
      Effect.provide(Journal.layerMemory)
    )
  })

  it.effect("a run that is closed right behind the starts loses none, and burns no attempt", () => {
    const begun: Array<number> = []
    let isOpen = false
    return Effect.gen(function*() {
      const engine = yield* Engine
      // Its first turn starts them all; the close is what the loop hears of next.
      yield* Effect.scoped(engine.start("r", { concurrency: 300, works: specs(300), keepOpen: false }))
      isOpen = true
      begun.length = 0
      const run = yield* engine.resume("r", { concurrency: 300, keepOpen: false })
      assert.strictEqual((yield* run.await).counts.succeeded, 300)
      assert.strictEqual(new Set(begun).size, 300)
      const work = yield* run.work("work-299")
      assert.strictEqual(work.attempt, 1)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        engineOf((n) =>
          Effect.andThen(Effect.sync(() => begun.push(n)), Effect.suspend(() => isOpen ? Effect.void : Effect.never))
        )
      ),
      Effect.provide(Journal.layerMemory)
    )
  })

  it.effect("those that have not begun when the loop breaks never begin, and everybody who asked is answered", () => {
    const begun = new Set<number>()
    let isBroken = false
    return Effect.gen(function*() {
      const engine = yield* Engine
      const run = yield* engine.start("r", { concurrency: 300, works: specs(300) })
      const ended = yield* Effect.forkChild(Effect.flip(run.await), { startImmediately: true })
      const asked = yield* Effect.forkChild(Effect.flip(run.pause()), { startImmediately: true })
      assert.strictEqual((yield* Fiber.join(asked))._tag, "JournalError")
      assert.strictEqual((yield* Fiber.join(ended))._tag, "JournalError")
      assert.isTrue(begun.has(0))
      assert.isBelow(begun.size, 300)
    }).pipe(
      Effect.scoped,
      // The first to begin breaks the next turn, which comes before the others begin.
      Effect.provide(
        engineOf((n) =>
          Effect.suspend(() => {
            begun.add(n)
            isBroken = true
            return n === 0 ? Effect.void : Effect.never
          })
        )
      ),
      Effect.provide(Journal.layerMemory),
      Effect.provideService(Failpoint, (name) => {
        if (isBroken && name === "append.before") throw new Error("broken for a test")
      })
    )
  })
})
