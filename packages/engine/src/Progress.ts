/**
 * Live progress of a work: shown on the status, never in the journal, conflated per work (the newest wins). Reporting is a
 * field write, so a handler may report as often as it likes.
 */
import { Effect } from "effect"
import { CurrentWork } from "./CurrentWork.ts"

/**
 * How far a work has come. `current` and `total` are in a unit of the handler's own; `data` is anything serializable.
 */
export interface Progress {
  readonly current: number
  readonly total?: number
  readonly message?: string
  readonly stage?: string
  readonly data?: unknown
}

/**
 * Shows where the current work is.
 */
export const report = (progress: Progress): Effect.Effect<void, never, CurrentWork> =>
  Effect.map(CurrentWork, (work) => work.port.report(progress))
