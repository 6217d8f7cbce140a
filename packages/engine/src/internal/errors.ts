import type { JournalError, RunNotFound } from "../Journal.ts"
import type { RunQuarantined } from "../RunError.ts"
import type { Refusal } from "./decide.ts"

/** What a message to a run may be answered with. */
export type RunError = Refusal | JournalError | RunNotFound | RunQuarantined
