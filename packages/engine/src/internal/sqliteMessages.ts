/**
 * What the two threads of a journal say to each other.
 *
 * The answers come in the order of the requests, with one exception: who has to wait for the lock of a dying process is
 * overtaken. A request that nobody waits for any more is cancelled, which has no answer: if it has not begun it never will,
 * and what it opened is given back.
 */
import type { LockOwner } from "../JournalError.ts"
import type { Fault } from "./sqliteFault.ts"
import type { Piece } from "./sqliteSnapshot.ts"

/** What a writer of a run is asked; `writer` is what opening it returned. */
export type WriterRequest =
  | {
    readonly op: "append"
    readonly writer: number
    readonly version: number
    /** The chunks: `bodies[i]` is a JSON array of `counts[i]` events. */
    readonly counts: ReadonlyArray<number>
    readonly bodies: ReadonlyArray<string>
  }
  | { readonly op: "snapshot"; readonly writer: number; readonly piece: Piece }
  | { readonly op: "trim"; readonly writer: number; readonly upTo: number }
  | { readonly op: "leave"; readonly writer: number }

export type Request =
  | WriterRequest
  | {
    readonly op: "open"
    readonly runId: string
    readonly mode: "create" | "existing" | "either"
    readonly claim: LockOwner
  }
  | { readonly op: "owner"; readonly runId: string }
  | { readonly op: "remove"; readonly runId: string }
  /** Gives back all runs, closes the file and ends the thread. */
  | { readonly op: "close" }

export type Message =
  | { readonly id: number; readonly request: Request }
  | { readonly id: number; readonly cancel: true }

/** What opening a run returns. */
export interface Opened {
  readonly writer: number
  readonly lastSeq: number
}

export type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly fault: Fault }
