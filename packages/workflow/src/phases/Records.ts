/**
 * What the phases record: the results of their steps, as they lie in the journal.
 */
import { Schema } from "effect"

/** Of prepare: the commit that is the experiment, and what it changes. */
export const Prepared = Schema.Struct({
  commit: Schema.String,
  summary: Schema.String,
  /** Against the base, as a unified diff; the first 100 000 characters of it. */
  patch: Schema.String,
  filesChanged: Schema.Int,
  insertions: Schema.Int,
  deletions: Schema.Int
})
export type Prepared = typeof Prepared.Type

/** Of analyze: the objective over the experiment's jobs, and a reading of it. */
export const Analysis = Schema.Struct({ value: Schema.NullOr(Schema.Finite), text: Schema.String })
export type Analysis = typeof Analysis.Type
