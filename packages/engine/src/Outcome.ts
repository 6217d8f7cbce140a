/**
 * How a work ended, in the form that is journaled.
 */
import { Schema } from "effect"

/**
 * Why an attempt did not succeed.
 *
 * - `Error`: the handler failed with its kind's typed error, here in encoded form.
 * - `Defect`: the handler threw, or failed in a way that its kind does not declare.
 * - `TimedOut`: the attempt lived longer than the kind's `timeout`.
 */
export const WorkFailure = Schema.Union([
  Schema.TaggedStruct("Error", { error: Schema.Json }),
  Schema.TaggedStruct("Defect", { message: Schema.String, stack: Schema.optionalKey(Schema.String) }),
  Schema.TaggedStruct("TimedOut", { afterMillis: Schema.Finite })
])
export type WorkFailure = typeof WorkFailure.Type

/**
 * The final outcome of a work. It never changes.
 */
export const Outcome = Schema.Union([
  Schema.TaggedStruct("Succeeded", { result: Schema.Json }),
  Schema.TaggedStruct("Failed", { failure: WorkFailure }),
  Schema.TaggedStruct("Cancelled", { reason: Schema.String, actor: Schema.String })
])
export type Outcome = typeof Outcome.Type

/**
 * One line for a person about a failure.
 */
export const describeFailure = (failure: WorkFailure): string => {
  switch (failure._tag) {
    case "Error":
      return JSON.stringify(failure.error)
    case "Defect":
      return failure.message
    case "TimedOut":
      return `timed out after ${failure.afterMillis} ms`
  }
}
