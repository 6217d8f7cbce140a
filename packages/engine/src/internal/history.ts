import { Effect, Option, Result } from "effect"
import type { EventsTrimmed, Journal, JournalError, RunNotFound } from "../Journal.ts"
import * as RunEvent from "../RunEvent.ts"
import { RunQuarantined } from "../RunError.ts"
import * as RunState from "../RunState.ts"
import { snapshotVersion } from "./snapshot.ts"
import { type SavedView, Views } from "./views.ts"

const pageSize = 10_000

const quarantined = (runId: string, seq: number, what: string): RunQuarantined =>
  new RunQuarantined({
    runId,
    seq,
    message: `event ${seq} of run "${runId}" cannot be read by this version: ${what}. ` +
      "The run is left as it is: open it with the version that wrote it, or a newer one"
  })

/** An event whose shape is right may tell what cannot have happened: about a work that is not there, say. */
const faultOf = (fold: () => void): string | undefined => {
  try {
    fold()
    return undefined
  } catch (cause) {
    return String(cause)
  }
}

/** Calls `each` for the events with `after < seq <= upTo`, in order. What cannot be read quarantines the run. */
const scan = Effect.fnUntraced(function*(
  journal: Journal["Service"],
  runId: string,
  after: number,
  upTo: number,
  each: (event: RunEvent.RunEvent, seq: number) => void
): Effect.fn.Return<void, EventsTrimmed | JournalError | RunNotFound | RunQuarantined> {
  let last = after
  while (last < upTo) {
    const page = yield* journal.read(runId, { after: last, limit: Math.min(pageSize, upTo - last) })
    if (page.length === 0) break
    for (const entry of page) {
      const decoded = RunEvent.decode(entry.event, entry.version)
      if (Result.isFailure(decoded)) return yield* quarantined(runId, entry.seq, decoded.failure.message)
      const fault = faultOf(() => each(decoded.success, entry.seq))
      if (fault !== undefined) {
        const what = `${decoded.success._tag} does not follow from what is before it: ${fault}`
        return yield* quarantined(runId, entry.seq, what)
      }
    }
    last = page[page.length - 1]!.seq
  }
})

/** A snapshot as an event, at the number of the last event that it holds. */
const readSnapshot = Effect.fnUntraced(function*(journal: Journal["Service"], runId: string) {
  const found = yield* journal.snapshot(runId)
  if (Option.isNone(found)) return undefined
  const { parts, seq, version } = found.value
  if (version !== snapshotVersion) return undefined
  return { seq, parts }
})

/**
 * Reads with a horizon, and again with a later one when the events that were wanted are trimmed while they are read: somebody who
 * has the run open goes on forgetting.
 */
const fromHorizon = <A, E>(
  horizon: number,
  read: (horizon: number) => Effect.Effect<A, E | EventsTrimmed>
): Effect.Effect<A, Exclude<E, EventsTrimmed>> =>
  Effect.catchIf(
    read(horizon),
    (error): error is Extract<E | EventsTrimmed, EventsTrimmed> =>
      (error as { readonly _tag?: string })._tag === "EventsTrimmed",
    (error) => fromHorizon(error.horizon, read)
  ) as Effect.Effect<A, Exclude<E, EventsTrimmed>>

/**
 * The events with `after < seq <= upTo`, at most `limit` of them. Where some of them are no longer kept, the first one is a `RunSnapshot`: what all
 * events up to its number amount to.
 */
export const readEvents = (
  journal: Journal["Service"],
  runId: string,
  after: number,
  upTo: number,
  horizon: number,
  limit = Infinity
): Effect.Effect<ReadonlyArray<RunEvent.Sequenced>, JournalError | RunNotFound | RunQuarantined> =>
  fromHorizon(
    horizon,
    Effect.fnUntraced(function*(horizon: number) {
      const events: Array<RunEvent.Sequenced> = []
      let from = after
      if (after < horizon) {
        const snapshot = yield* readSnapshot(journal, runId)
        if (snapshot === undefined) return yield* quarantined(runId, horizon, "its snapshot is of another version")
        const { lastAt } = snapshot.parts[0] as { readonly lastAt: number }
        events.push({ seq: snapshot.seq, event: { _tag: "RunSnapshot", at: lastAt, parts: snapshot.parts } })
        from = snapshot.seq
      }
      yield* scan(journal, runId, from, Math.min(upTo, from + limit), (event, seq) => events.push({ seq, event }))
      return events
    })
  )

/** The views in a snapshot, but for those that have fallen behind events that are no longer kept. */
const savedViews = (parts: ReadonlyArray<unknown>, horizon: number): ReadonlyArray<SavedView> => {
  const last = parts.at(-1) as { readonly views?: ReadonlyArray<SavedView> } | undefined
  return last?.views?.filter((view) => view.seq >= horizon) ?? []
}

/** The state of a snapshot; undefined for one that is not as it was written: the events, where they are kept, tell the same. */
const restore = (parts: ReadonlyArray<unknown>): RunState.RunState | undefined => {
  try {
    return RunState.fromSnapshot(parts)
  } catch {
    return undefined
  }
}

/** The state at `upTo`: from the latest snapshot on, where there is one that this version can read. */
export const readState = (
  journal: Journal["Service"],
  runId: string,
  upTo: number,
  horizon: number
): Effect.Effect<
  { readonly state: RunState.RunState; readonly snapshotSeq: number; readonly views: Views },
  JournalError | RunNotFound | RunQuarantined
> =>
  fromHorizon(
    horizon,
    Effect.fnUntraced(function*(horizon: number) {
      const snapshot = yield* readSnapshot(journal, runId)
      if (snapshot === undefined && horizon > 0) {
        return yield* quarantined(runId, horizon, "its snapshot is of another version")
      }
      const isUsable = snapshot !== undefined && snapshot.seq <= Math.max(upTo, horizon)
      const restored = isUsable ? restore(snapshot.parts) : undefined
      if (isUsable && restored === undefined && horizon > 0) {
        return yield* quarantined(
          runId,
          snapshot.seq,
          "its snapshot is not whole, and the events before are no longer kept"
        )
      }
      const state = restored ?? RunState.make()
      const snapshotSeq = restored === undefined ? 0 : snapshot!.seq
      yield* scan(journal, runId, snapshotSeq, upTo, (event) => RunState.evolve(state, event))
      return {
        state,
        snapshotSeq,
        views: new Views(restored === undefined ? [] : savedViews(snapshot!.parts, horizon))
      }
    })
  )
