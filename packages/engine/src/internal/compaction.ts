/**
 * When a run makes a snapshot, and how.
 *
 * A snapshot costs as much as the run is large, so it is made when four times as many events have come since the last one as
 * the run holds works, and `SnapshotPolicy.everyEvents` at least: the cost of an event stays the same however long the run grows. It
 * spares who opens the run little where works have few events: folding three of them takes as long as reading the work from a snapshot.
 * A run that forgets settled works gives up the events before its last snapshot but one, so that its journal does not
 * grow for ever either.
 */
import { Context, Effect } from "effect"
import type { Journal, JournalError, JournalWriter } from "../Journal.ts"
import type { Sequenced } from "../RunEvent.ts"
import { Capture } from "./capture.ts"
import type { RunState } from "./model.ts"
import { snapshotVersion } from "./snapshot.ts"
import type { RunError } from "./errors.ts"
import type { Views } from "./views.ts"

/**
 * After how many events a snapshot is due: while the run is open, and when it is closed (where it is worth less: it may never be
 * opened again). Taken from the context in which the run is opened; for tests, which need them sooner.
 */
export const SnapshotPolicy = Context.Reference<{ readonly everyEvents: number; readonly atEndEvents: number }>(
  "@espalier/engine/SnapshotPolicy",
  { defaultValue: () => ({ everyEvents: 50_000, atEndEvents: 10_000 }) }
)

/** How many events a work of the run stands for. Twice was tried: docs/adr/0009. */
const eventsPerWork = 4

/** The durable events after a number. */
type History = (after: number) => Effect.Effect<ReadonlyArray<Sequenced>, RunError>

export class Compaction {
  /** Events up to this one are no longer kept. */
  horizon: number
  private readonly state: RunState
  private readonly views: Views
  private readonly failpoint: (name: string) => void
  private snapshotSeq: number
  private isRunning = false
  private readonly isVolatile: boolean
  private readonly policy: { readonly everyEvents: number; readonly atEndEvents: number }

  constructor(options: {
    readonly state: RunState
    readonly views: Views
    readonly snapshotSeq: number
    readonly horizon: number
    readonly failpoint: (name: string) => void
    readonly journal: Journal["Service"]
    readonly context: Context.Context<never>
  }) {
    this.state = options.state
    this.views = options.views
    this.snapshotSeq = options.snapshotSeq
    this.horizon = options.horizon
    this.failpoint = options.failpoint
    this.isVolatile = options.journal.isVolatile === true
    this.policy = Context.get(options.context, SnapshotPolicy)
  }

  isDue(seq: number): boolean {
    const since = seq - this.snapshotSeq
    return since >= this.policy.everyEvents && !this.isRunning && since >= eventsPerWork * this.state.works.size &&
      this.isWorthIt
  }

  private get isWorthIt(): boolean {
    return !this.isVolatile || this.state.config.retain !== undefined
  }

  /** To be called when the state is at `seq` and all of it is durable: what it is at the call is what is written. */
  run(writer: JournalWriter, seq: number, history: History): Effect.Effect<void, JournalError> {
    this.isRunning = true
    const before = this.snapshotSeq
    this.snapshotSeq = seq
    const { state } = this
    this.failpoint("snapshot.begin")
    const capture = new Capture(state)
    state.capture = capture
    const parts = partsOf(capture, this.views.save())
    return writer.saveSnapshot({ seq, version: snapshotVersion, parts }).pipe(
      Effect.ensuring(Effect.sync(() => (state.capture = undefined))),
      Effect.tap(Effect.sync(() => this.failpoint("snapshot.saved"))),
      Effect.andThen(
        state.config.retain !== undefined && before > this.horizon
          // A view that was read in this process must not miss what is forgotten now.
          ? Effect.ignore(this.views.refresh(history)).pipe(
            Effect.andThen(writer.trim(before)),
            Effect.tap(Effect.sync(() => (this.horizon = before)))
          )
          : Effect.void
      ),
      Effect.ensuring(Effect.sync(() => (this.isRunning = false)))
    )
  }

  atEnd(writer: JournalWriter, seq: number, history: History): Effect.Effect<void, JournalError> {
    const since = seq - this.snapshotSeq
    return !this.isRunning && since >= this.policy.atEndEvents && since >= this.state.works.size && this.isWorthIt
      ? this.run(writer, seq, history)
      : Effect.void
  }
}

const partsOf = function*(capture: Capture, views: ReadonlyArray<unknown>) {
  for (const part of capture.parts()) yield part as never
  if (views.length > 0) yield { views } as never
}
