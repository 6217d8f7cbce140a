/**
 * Reading a run's events straight from its journal, without an engine.
 */
import { Journal, RunEvent } from "@espalier/engine"
import { Effect, Result } from "effect"

export * as JournalSqlite from "@espalier/engine/JournalSqlite"

/** All durable events of a run. */
export const readRun = (runId: string) =>
  Effect.gen(function*() {
    const journal = yield* Journal.Journal
    const entries = yield* journal.read(runId, { after: 0 })
    return entries.map(({ event, seq, version }) => ({
      seq,
      event: Result.getOrThrow(RunEvent.decode(event, version))
    }))
  })
