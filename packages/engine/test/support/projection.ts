/**
 * A whole state as text: two states are the same when their projections are. It is what a snapshot would hold, and
 * what is counted anew when a snapshot is read.
 */
import { nextWake } from "../../src/internal/ready.ts"
import { type RunState, toSnapshot } from "../../src/RunState.ts"

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The order of an object's fields says nothing. */
const inOrder = (_: string, value: unknown): unknown =>
  isPlain(value) ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, value[key]])) : value

export const projection = (state: RunState): string => {
  const { counts, dependents, handlers, needed, unsettled } = state
  const numbers = { counts, handlers, unsettled, wake: nextWake(state), needed: Array.from(needed).sort() }
  // One that has settled may be left among those that waited.
  const waiting = Array.from(dependents, ([id, works]) => [
    id,
    ...works.filter((each) => each.status === "waiting").map((each) => each.spec.id)
  ]).sort()
  return JSON.stringify([toSnapshot(state), numbers, waiting.filter((each) => each.length > 1)], inOrder, 1)
}
