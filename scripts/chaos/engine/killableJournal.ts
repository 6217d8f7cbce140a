/**
 * The journal in a file, with places to be killed at while the disk is at work, which the engine itself cannot offer.
 *
 * - `commit.underway`: an append was given to the journal's thread, which has not answered.
 * - `snapshot.underway`: the same for a snapshot, which takes several commits.
 * - `trim.begin`, `trim.underway`, `trim.done`: around the deletion of events that a snapshot stands for.
 */
import { Journal } from "@espalier/engine"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { Effect, Layer } from "effect"

/** A commit takes about this long; the kill comes at any moment of it. */
const commitMillis = 0.6
const snapshotMillis = 30

export const layer = (filename: string, hook: (name: string) => void) =>
  Layer.effect(
    Journal.Journal,
    Effect.map(Journal.Journal, (journal) =>
      Journal.Journal.of({
        ...journal,
        open: (runId, options) => Effect.map(journal.open(runId, options), (writer) => killable(writer, hook))
      }))
  ).pipe(Layer.provide(JournalSqlite.layer({ filename })))

const killable = (writer: Journal.JournalWriter, hook: (name: string) => void): Journal.JournalWriter => ({
  ...writer,
  append: (events, version) => during(writer.append(events, version), commitMillis, () => hook("commit.underway")),
  saveSnapshot: (snapshot) => during(writer.saveSnapshot(snapshot), snapshotMillis, () => hook("snapshot.underway")),
  trim: (upTo) =>
    Effect.suspend(() => {
      hook("trim.begin")
      return during(writer.trim(upTo), commitMillis, () => hook("trim.underway"))
    }).pipe(Effect.tap(Effect.sync(() => hook("trim.done"))))
})

/** Calls `reach` at some moment of the effect, unless the effect is faster. */
const during = <A, E>(effect: Effect.Effect<A, E>, millis: number, reach: () => void): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    let isOver = false
    const at = performance.now() + Math.random() * millis
    const look = (): void => {
      if (isOver) return
      if (performance.now() >= at) reach()
      else setImmediate(look)
    }
    setImmediate(look)
    return Effect.ensuring(effect, Effect.sync(() => (isOver = true)))
  })
