/**
 * The users' own views of a run, as one process has them: each is kept where it was last read, and folds in what is
 * new when it is read again. Those that can be written are saved with the run's snapshots.
 */
import { Effect, Exit } from "effect"
import type { Definition } from "../Projection.ts"
import type { Sequenced } from "../RunEvent.ts"
import { codecOf } from "./codec.ts"

/** A view in a snapshot. */
export interface SavedView {
  readonly name: string
  readonly version: number
  readonly seq: number
  readonly state: unknown
}

interface Held {
  state: unknown
  seq: number
}

export class Views {
  private readonly held = new Map<Definition<unknown>, Held>()
  private readonly saved = new Map<string, SavedView>()

  constructor(saved: ReadonlyArray<SavedView> = []) {
    for (const view of saved) this.saved.set(view.name, view)
  }

  /** The view with all that `history` has after what it holds. */
  read<State, E>(
    definition: Definition<State>,
    history: (after: number) => Effect.Effect<ReadonlyArray<Sequenced>, E>
  ): Effect.Effect<State, E> {
    return Effect.suspend(() => {
      const key = definition as Definition<unknown>
      let view = this.held.get(key)
      if (view === undefined) {
        view = this.restore(key) ?? { state: definition.initial(), seq: 0 }
        this.held.set(key, view)
      }
      const held = view
      return Effect.map(history(held.seq), (events) => {
        for (const event of events) {
          // Another reader may have folded the same events in meanwhile.
          if (event.seq <= held.seq) continue
          if (event.event._tag === "RunSnapshot") held.state = definition.initial()
          definition.evolve(held.state as State, event)
          held.seq = event.seq
        }
        return held.state as State
      })
    })
  }

  /** Brings every view that has been read up to date. */
  refresh<E>(history: (after: number) => Effect.Effect<ReadonlyArray<Sequenced>, E>): Effect.Effect<void, E> {
    return Effect.forEach(Array.from(this.held.keys()), (definition) => this.read(definition, history), {
      discard: true
    })
  }

  private restore({ snapshot }: Definition<unknown>): Held | undefined {
    const saved = snapshot === undefined ? undefined : this.saved.get(snapshot.name)
    if (saved === undefined || saved.version !== snapshot!.version) return undefined
    const decoded = codecOf(snapshot!.schema).decode(saved.state)
    // What the schema no longer reads is folded anew, as if it had not been saved.
    return Exit.isSuccess(decoded) ? { state: decoded.value, seq: saved.seq } : undefined
  }

  /** All that can be written; views that nobody has read in this session as they were. */
  save(): ReadonlyArray<SavedView> {
    for (const [{ snapshot }, { seq, state }] of this.held) {
      if (snapshot === undefined) continue
      const encoded = codecOf(snapshot.schema).encode(state)
      if (Exit.isFailure(encoded)) this.saved.delete(snapshot.name)
      else {
        const { name, version } = snapshot
        this.saved.set(name, { name, version, seq, state: structuredClone(encoded.value) })
      }
    }
    return Array.from(this.saved.values())
  }
}

const bySession = new WeakMap<object, Views>()

/** The views of a run as a process, or a worker of it, has it open. */
export const viewsOf = (session: object): Views => {
  let views = bySession.get(session)
  if (views === undefined) bySession.set(session, views = new Views())
  return views
}

export const setViews = (session: object, views: Views): void => void bySession.set(session, views)
