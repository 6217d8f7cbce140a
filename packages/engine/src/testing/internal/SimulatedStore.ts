/**
 * The store of a simulated machine: a journal in memory that takes its time, as a disk does, and tells what has become durable.
 */
import { Effect, Layer } from "effect"
import { Journal, type JournalWriter, type Json, layerMemory } from "../../Journal.ts"
import type { RunEvent } from "../../RunEvent.ts"
import type { Outside } from "./Outside.ts"
import type { Random } from "./Random.ts"

/** Some turns, or none. */
const pause = (random: Random): Effect.Effect<void> =>
  Effect.suspend(() => Effect.repeat(Effect.yieldNow, { times: random.below(4) })).pipe(Effect.asVoid)

const slow = (writer: JournalWriter, outside: Outside, random: Random): JournalWriter => ({
  ...writer,
  append: (events, version) => {
    // In one: what is durable is known, also when whoever asked for it dies.
    const done = Effect.uninterruptible(
      Effect.tap(
        writer.append(events, version),
        () => Effect.sync(() => outside.recorded(JSON.parse(JSON.stringify(events)) as ReadonlyArray<RunEvent>))
      )
    )
    return pause(random).pipe(Effect.andThen(done), Effect.tap(() => pause(random)))
  },
  // Part after part, as they are asked for: the run goes on meanwhile.
  saveSnapshot: (snapshot) =>
    Effect.gen(function*() {
      const parts: Array<Json> = []
      for (const part of snapshot.parts) {
        parts.push(part)
        yield* pause(random)
      }
      yield* writer.saveSnapshot({ ...snapshot, parts })
    })
})

export const layer = (outside: Outside, random: Random): Layer.Layer<Journal> =>
  Layer.effect(
    Journal,
    Effect.map(Journal, (inner) =>
      Journal.of({
        ...inner,
        open: (id, options) => Effect.map(inner.open(id, options), (writer) => slow(writer, outside, random))
      }))
  ).pipe(Layer.provide(layerMemory))
