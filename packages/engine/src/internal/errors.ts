import { Effect } from "effect"
import { JournalError, type RunNotFound } from "../Journal.ts"
import type { OutcomeExpired, RunQuarantined } from "../RunError.ts"
import type { Refusal } from "./command.ts"

/** What a message to a run may be answered with. */
export type RunError = Refusal | JournalError | RunNotFound | RunQuarantined | OutcomeExpired

/** Only these errors can follow from what was asked; another one is a fault of the engine, and a defect. */
export const only = <Tag extends RunError["_tag"]>(...tags: ReadonlyArray<Tag>) => {
  const isAllowed = (error: RunError): error is Extract<RunError, { readonly _tag: Tag }> =>
    (tags as ReadonlyArray<string>).includes(error._tag)
  return <A, R>(effect: Effect.Effect<A, RunError, R>) =>
    Effect.catch(effect, (error) => isAllowed(error) ? Effect.fail(error) : Effect.die(error))
}

/** Whoever still has the handle of a run that was closed is told so, instead of waiting for a loop that has ended. */
export const closedRun = (runId: string): JournalError =>
  new JournalError({
    operation: "append",
    runId,
    message: `run "${runId}" was closed with its scope: open it again`
  })
