/**
 * The accounting of one round: what the journal says, what really happened, and what had to come out.
 */
import { Journal, RunEvent } from "@espalier/engine"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { Effect, Option, Result } from "effect"
import { auditEvents } from "./auditEvents.ts"
import { auditNotes } from "./auditNotes.ts"
import { Faults } from "./faults.ts"
import type { Setting } from "./life.ts"
import { type Observation, readNotes } from "./observations.ts"
import { plans } from "./works.ts"

export interface Account {
  readonly faults: ReadonlyArray<string>
  readonly figures: { readonly [name: string]: number }
  /** How each work ended, as text. */
  readonly outcomes: ReadonlyMap<string, string>
}

interface Stored {
  /** Events up to this one are no longer kept. */
  readonly horizon: number
  readonly lastSeq: number
  readonly events: ReadonlyArray<RunEvent.RunEvent>
  readonly snapshot: { readonly seq: number; readonly parts: ReadonlyArray<unknown> } | undefined
}

const read = (setting: Setting): Promise<Stored> =>
  Effect.runPromise(
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      const info = (yield* journal.list).find(({ runId }) => runId === setting.run)!
      const entries = yield* journal.read(setting.run, { after: info.horizon })
      const snapshot = yield* journal.snapshot(setting.run)
      return {
        horizon: info.horizon,
        lastSeq: info.lastSeq,
        events: entries.map(({ event, version }) => Result.getOrThrow(RunEvent.decode(event, version))),
        snapshot: Option.getOrUndefined(snapshot)
      }
    }).pipe(Effect.provide(JournalSqlite.layer({ filename: setting.journal })))
  )

/** All events, as they were shown while the run went on over its lives; undefined if some were forgotten before they could be. */
const shown = (notes: ReadonlyArray<Observation>, faults: Faults): ReadonlyArray<string> | undefined => {
  const all: Array<string> = []
  for (const note of notes) {
    if (note._tag === "gap") return undefined
    if (note._tag !== "saw") continue
    if (note.seq !== all.length + 1) {
      faults.add("events were shown with a gap, or twice", `${note.seq} after ${all.length}`)
      return undefined
    }
    all.push(note.json)
  }
  return all
}

/** `counts` is what the last life said when it was done; `reference` is how each work ended in a run without a crash. */
export const audit = async (
  setting: Setting,
  counts: { readonly [state: string]: number },
  reference: ReadonlyMap<string, string> | undefined
): Promise<Account> => {
  const faults = new Faults()
  const expected = plans(setting.works)
  const notes = readNotes(setting.notes)
  const { lives, repeated } = auditNotes(notes, expected, faults)
  const stored = await read(setting)
  const seen = shown(notes, faults)

  if (stored.lastSeq !== stored.horizon + stored.events.length) {
    faults.add(
      "the journal has a gap",
      `${stored.events.length} events from ${stored.horizon + 1} to ${stored.lastSeq}`
    )
  }
  if (seen !== undefined) {
    if (seen.length !== stored.lastSeq) faults.add("not all was shown", `${seen.length} events of ${stored.lastSeq}`)
    stored.events.forEach((event, index) => {
      const json = JSON.stringify(event)
      const place = stored.horizon + index
      if (seen[place] !== json) {
        faults.add("something else was shown than is recorded", `${place + 1}: ${seen[place]}, ${json}`)
      }
    })
  }
  const settled = (counts["forgotten"] ?? 0) +
    ["succeeded", "failed", "skipped", "cancelled"].reduce((sum, state) => sum + (counts[state] ?? 0), 0)
  if (settled !== expected.size) {
    faults.add("the count is wrong", `${settled} works settled, ${expected.size} had to: ${JSON.stringify(counts)}`)
  }

  const events = stored.horizon === 0 ? stored.events : seen?.map((json) => JSON.parse(json) as RunEvent.RunEvent)
  const figures = { lives, "effects that a crash repeated": repeated }
  if (events === undefined) {
    return { faults: faults.all, figures: { ...figures, "rounds not wholly seen": 1 }, outcomes: new Map() }
  }
  const account = auditEvents(events, notes, expected, stored.snapshot, faults)
  if (reference !== undefined) {
    for (const [id, outcome] of reference) {
      if (account.outcomes.get(id) !== outcome) {
        faults.add("not as without a crash", `${id}: ${account.outcomes.get(id)}, without a crash ${outcome}`)
      }
    }
    if (account.outcomes.size !== reference.size) {
      faults.add("not as without a crash", `${account.outcomes.size} works, not ${reference.size}`)
    }
  }
  return { faults: faults.all, figures: { ...account.figures, ...figures }, outcomes: account.outcomes }
}
