/**
 * What the cases of the journal's conformance suite are made of.
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import assert from "node:assert/strict"
import type {
  EventsTrimmed,
  Journal,
  JournalEntry,
  JournalError,
  JournalSnapshot,
  Json,
  RunExists,
  RunLocked,
  RunNotFound
} from "../../Journal.ts"

/** What a case may fail with when the journal does not behave; a broken promise is a defect (an `AssertionError`). */
export type CaseError = JournalError | RunLocked | RunExists | RunNotFound | EventsTrimmed

/** A promise of every journal. `run` expects an empty store. */
export interface JournalCase {
  readonly name: string
  readonly run: Effect.Effect<void, CaseError, Journal>
}

/** A promise of a journal that outlives its layer: `layer` leads to one store, empty at first. */
export interface ReopeningCase {
  readonly name: string
  readonly run: (layer: Layer.Layer<Journal, JournalError>) => Effect.Effect<void, CaseError>
}

/** A case in a scope of its own. */
export const test = (name: string, run: Effect.Effect<void, CaseError, Journal | Scope.Scope>): JournalCase => ({
  name,
  run: Effect.scoped(run)
})

/** The same for a case that builds the layer itself. */
export const testReopening = (
  name: string,
  run: (layer: Layer.Layer<Journal, JournalError>) => Effect.Effect<void, CaseError, Scope.Scope>
): ReopeningCase => ({ name, run: (layer) => Effect.scoped(run(layer)) })

/** An event; events, and entries of version 1, from one number to another. */
export const event = (number: number): Json => ({ _tag: "Event", number })
export const events = (from: number, to: number): ReadonlyArray<Json> =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => event(from + index))
export const entries = (from: number, to: number, version = 1): ReadonlyArray<JournalEntry> =>
  events(from, to).map((event, index) => ({ seq: from + index, version, event }))

/** A snapshot of version 1 whose parts say what it is. */
export const snapshotAt = (seq: number, parts = 2): JournalSnapshot => ({
  seq,
  version: 1,
  parts: Array.from({ length: parts }, (_, part) => ({ state: `after ${seq}`, part }))
})

/** The failure of an effect that has to fail with this tag. */
export const failureOf = <A, E extends CaseError, R, Tag extends E["_tag"]>(
  self: Effect.Effect<A, E, R>,
  tag: Tag
): Effect.Effect<Extract<E, { readonly _tag: Tag }>, never, R> =>
  Effect.map(Effect.result(self), (result) => {
    assert.equal(result._tag, "Failure", `expected a failure ${tag}, but it succeeded`)
    assert.equal(result._tag === "Failure" ? result.failure._tag : undefined, tag)
    return (result as { readonly failure: unknown }).failure as Extract<E, { readonly _tag: Tag }>
  })
