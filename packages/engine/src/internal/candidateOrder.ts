/**
 * Who goes first, of two candidates.
 */
import type { Candidate } from "./model.ts"

/** The order among works of one key. */
export const before = (a: Candidate, b: Candidate): boolean => {
  const x = a.owner
  const y = b.owner
  if (x.resumed !== y.resumed) return x.resumed
  const p = x.spec.priority
  const q = y.spec.priority
  if (p !== q) return p < q
  return x === y ? askedFirst(a, b) : x.arrival < y.arrival
}

/** The order of DESIGN 4.4 among candidates of any keys. */
export const goesFirst = (a: Candidate, aTurn: number, b: Candidate, bTurn: number): boolean => {
  const x = a.owner
  const y = b.owner
  if (x.resumed !== y.resumed) return x.resumed
  const p = x.spec.priority
  const q = y.spec.priority
  if (p !== q) return p < q
  if (aTurn !== bTurn) return aTurn < bTurn
  return x === y ? askedFirst(a, b) : x.arrival < y.arrival
}

/** Of two claims of one work, the one that was asked for first. */
const askedFirst = (a: Candidate, b: Candidate): boolean => (a.request?.ordinal ?? 0) < (b.request?.ordinal ?? 0)
