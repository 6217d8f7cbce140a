/**
 * From a journaled outcome to what a kind's own types say: its success, its typed error, or `WorkStopped`.
 */
import { Effect, Exit } from "effect"
import { describeFailure, describeSkip, type Outcome } from "../Outcome.ts"
import { type EndReason, OutcomeExpired, WorkStopped } from "../RunError.ts"
import type { Any } from "../WorkKind.ts"
import { codecOf, copyJson, messageOf } from "./codec.ts"

const stopped = (id: string, reason: EndReason, message: string): Effect.Effect<never, WorkStopped> =>
  Effect.fail(new WorkStopped({ id, reason, message: `work "${id}" ${message}` }))

/** A value that the kind's present schema no longer reads is a defect: the program was changed under its records. */
const unreadable = (id: string, what: string, exit: Exit.Failure<unknown, never>): Effect.Effect<never> =>
  Effect.die(new Error(`the recorded ${what} of work "${id}" does not fit its kind's schema: ${messageOf(exit)}`))

export const fromOutcome = (kind: Any, id: string, outcome: Outcome): Effect.Effect<unknown, unknown> => {
  switch (outcome._tag) {
    case "Succeeded": {
      const decoded = codecOf(kind.success).decode(copyJson(outcome.result))
      return Exit.isSuccess(decoded) ? decoded : unreadable(id, "result", decoded as never)
    }
    case "Cancelled":
      return stopped(id, outcome, `was cancelled by ${outcome.actor}: ${outcome.reason}`)
    case "Skipped":
      return stopped(id, outcome, `was skipped: ${describeSkip(outcome.cause)}`)
    case "Failed": {
      const { failure } = outcome
      switch (failure._tag) {
        case "Error": {
          const decoded = codecOf(kind.error).decode(copyJson(failure.error))
          return Exit.isSuccess(decoded) ? Effect.fail(decoded.value) : unreadable(id, "error", decoded as never)
        }
        case "Defect":
          return stopped(id, failure, `failed by a defect: ${failure.message}`)
        case "TimedOut":
          return stopped(id, failure, `timed out after ${failure.afterMillis} ms`)
        default:
          return stopped(id, failure, `failed: ${describeFailure(failure)}`)
      }
    }
  }
}

export const outcomeExpired = (id: string): OutcomeExpired =>
  new OutcomeExpired({
    id,
    message: `work "${id}" settled, and the run has forgotten how: it keeps only some of its settled works. ` +
      "Wait for a work before it is forgotten, or open the run with a larger `retain`"
  })
