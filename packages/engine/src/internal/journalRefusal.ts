/**
 * What the journals of this package do alike: whom they name as the owner, and the errors with which they refuse. The rules and
 * their words are in `journalRules.ts`.
 *
 * Each function that checks returns the error, or `undefined` when there is nothing to refuse.
 */
import { JournalError } from "../JournalError.ts"
import * as Rules from "./journalRules.ts"

/** The owner's name when `open` was given none. */
export const defaultOwner = "espalier"

const refusal = (
  operation: JournalError["operation"],
  runId: string,
  message: string | undefined
): JournalError | undefined => message === undefined ? undefined : new JournalError({ operation, runId, message })

export const checkRunId = (runId: string): JournalError | undefined => refusal("open", runId, Rules.runIdFault(runId))

export const checkPage = (
  runId: string,
  options: { readonly after: number; readonly limit?: number }
): JournalError | undefined => refusal("read", runId, Rules.pageFault(runId, options))

export const checkVersion = (runId: string, version: number): JournalError | undefined =>
  refusal("append", runId, Rules.versionFault(runId, version))

export const checkSnapshot = (
  runId: string,
  snapshot: { readonly seq: number; readonly version: number },
  run: Rules.Extent
): JournalError | undefined => refusal("snapshot", runId, Rules.snapshotFault(runId, snapshot, run))

export const checkTrim = (runId: string, upTo: number, run: Rules.Extent): JournalError | undefined =>
  refusal("trim", runId, Rules.trimFault(runId, upTo, run))

/** The failure of everything asked of a writer after an append that failed. */
export const brokenWriter = (
  runId: string,
  first: JournalError,
  operation: JournalError["operation"] = "append"
): JournalError =>
  new JournalError({ operation, runId, cause: first, message: Rules.brokenMessage(runId, first.message) })

/** The failure of everything asked of a writer after its scope was closed. */
export const closedWriter = (runId: string, operation: JournalError["operation"] = "append"): JournalError =>
  new JournalError({ operation, runId, message: Rules.closedMessage(runId) })
