/**
 * The journal in a file, with places to be killed at while the disk is at work, which the engine itself cannot offer.
 *
 * - `commit.underway`: an append was given to the journal's thread, which is at work or has just answered.
 * - `snapshot.underway`: the same for a snapshot, which takes several commits.
 * - `trim.begin`, `trim.underway`, `trim.done`: around the deletion of events that a snapshot stands for.
 */
import { Journal } from "@espalier/engine"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { Effect, Layer } from "effect"
import { hook, isAimedAt } from "../failpoint.ts"

/** A commit takes about this long; the kill comes at any moment of it. */
const commitMillis = 0.6
const snapshotMillis = 30

export const layer = (filename: string) =>
  Layer.effect(
    Journal.Journal,
    Effect.map(Journal.Journal, (journal) =>
      Journal.Journal.of({
        ...journal,
        open: (runId, options) => Effect.map(journal.open(runId, options), killable)
      }))
  ).pipe(Layer.provide(JournalSqlite.layer({ filename })))

const killable = (writer: Journal.JournalWriter): Journal.JournalWriter => ({
  ...writer,
  append: (events, version) => during("commit.underway", commitMillis, writer.append(events, version)),
  saveSnapshot: (snapshot) => during("snapshot.underway", snapshotMillis, writer.saveSnapshot(snapshot)),
  trim: (upTo) =>
    Effect.suspend(() => {
      hook("trim.begin")
      return during("trim.underway", commitMillis, writer.trim(upTo))
    }).pipe(Effect.tap(Effect.sync(() => hook("trim.done"))))
})

/**
 * Passes the place at some moment of the time that the effect usually takes. That the effect is over by then changes nothing: an
 * answer that came too early does not mean that the disk is done.
 */
const during = <A, E>(place: string, millis: number, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  isAimedAt(place)
    ? Effect.suspend(() => {
      const at = performance.now() + Math.random() * millis
      const look = (): void => {
        if (performance.now() >= at) hook(place)
        else setImmediate(look)
      }
      setImmediate(look)
      return effect
    })
    : effect
