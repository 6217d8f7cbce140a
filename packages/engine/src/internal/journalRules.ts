/**
 * What every journal refuses, and in which words: pure, so that a thread that knows nothing of Effect can use it too.
 *
 * Each function that judges returns the message of the refusal, or `undefined` when there is nothing to refuse.
 */

/** What is kept of a run, as far as the rules need it. */
export interface Extent {
  readonly lastSeq: number
  /** `undefined` for a run without a snapshot. */
  readonly snapshotSeq: number | undefined
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0
const quote = (runId: string): string => JSON.stringify(runId)

/** An id is text that survives UTF-8. */
export const runIdFault = (runId: string): string | undefined =>
  runId.length > 0 && runId.isWellFormed() && !runId.includes("\0")
    ? undefined
    : `${quote(runId)} cannot be the id of a run: it has to be a non-empty text without unpaired surrogates and ` +
      `without NUL. Choose another id.`

export const pageFault = (
  runId: string,
  { after, limit }: { readonly after: number; readonly limit?: number }
): string | undefined => {
  const fault = !isCount(after)
    ? `after: ${after}`
    : limit !== undefined && !isCount(limit)
    ? `limit: ${limit}`
    : undefined
  return fault === undefined
    ? undefined
    : `A page of the run ${quote(runId)} was asked for with ${fault}: it has to be an integer, 0 or more.`
}

export const versionFault = (runId: string, version: number): string | undefined =>
  isCount(version)
    ? undefined
    : `Version ${version} was given for the run ${
      quote(runId)
    }: it has to be an integer, 0 or more. Nothing was written.`

export const snapshotFault = (
  runId: string,
  snapshot: { readonly seq: number; readonly version: number },
  { lastSeq, snapshotSeq = 0 }: Extent
): string | undefined => {
  const { seq, version } = snapshot
  const fault = !isCount(seq)
    ? `it has to be an integer, 0 or more`
    : seq > lastSeq
    ? `the run's last entry is ${lastSeq}, and a snapshot cannot speak for entries that are not there`
    : seq < snapshotSeq
    ? `the snapshot at ${snapshotSeq} is newer, and entries up to there may have been trimmed`
    : undefined
  return fault === undefined
    ? versionFault(runId, version)
    : `A snapshot at entry ${seq} of the run ${quote(runId)} was refused: ${fault}. Nothing was written.`
}

export const trimFault = (runId: string, upTo: number, { snapshotSeq }: Extent): string | undefined => {
  const fault = !isCount(upTo)
    ? `it has to be an integer, 0 or more`
    : upTo > 0 && snapshotSeq === undefined
    ? `the run has no snapshot, so what the entries amount to would be lost. Save a snapshot first`
    : upTo > (snapshotSeq ?? 0)
    ? `the snapshot is at ${snapshotSeq}, so what the entries behind it amount to would be lost. Save a newer one first`
    : undefined
  return fault === undefined
    ? undefined
    : `Trimming the run ${quote(runId)} up to entry ${upTo} was refused: ${fault}. Nothing was deleted.`
}

export const brokenMessage = (runId: string, first: string): string =>
  `The writer of the run ${quote(runId)} is broken, because an earlier append failed: ${first} Close its scope, open ` +
  `the run again and read it before appending.`

export const closedMessage = (runId: string): string =>
  `The writer of the run ${quote(runId)} is closed: its scope has ended and the run may belong to someone else. Open ` +
  `the run again.`

export const trimmedMessage = (runId: string, horizon: number): string =>
  `The entries 1 to ${horizon} of the run ${quote(runId)} were trimmed and cannot be read any more. Take the run's ` +
  `snapshot, and read the entries after its number.`
