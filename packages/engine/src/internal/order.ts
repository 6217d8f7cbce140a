/**
 * The order in which queued works would start if nothing else came and nothing lacked room.
 */
import { goesFirst } from "./candidateOrder.ts"
import type { Candidate, Lane, RunState, WorkEntry } from "./model.ts"
import { Heap, type Placed } from "./heap.ts"

/** The works of one key, in order, while the turns go round. */
class Rank implements Placed {
  index = -1
  turn: number
  next = 0
  readonly works: ReadonlyArray<WorkEntry>

  constructor(works: ReadonlyArray<WorkEntry>, turn: number) {
    this.works = works
    this.turn = turn
  }

  get head(): Candidate {
    return this.works[this.next]!
  }
}

/** At most `limit` queued works, first the one that would start first. Limits of kinds, keys and pools are not looked at. */
export const startOrder = (state: RunState, limit: number): ReadonlyArray<WorkEntry> => {
  const byKey = new Map<Lane["key"], Array<WorkEntry>>()
  for (const group of state.groups.values()) {
    if (group.kind === undefined) continue
    for (const { key, queue } of group.lanes.values()) {
      const works = byKey.get(key) ?? []
      for (const candidate of queue) works.push(candidate.owner)
      byKey.set(key, works)
    }
  }
  const ranks = new Heap<Rank>((a, b) => goesFirst(a.head, a.turn, b.head, b.turn))
  for (const [key, works] of byKey) {
    works.sort((a, b) => goesFirst(a, 0, b, 0) ? -1 : 1)
    if (works.length > 0) ranks.push(new Rank(works, key.turn))
  }
  const order: Array<WorkEntry> = []
  let turn = state.turns
  while (order.length < limit) {
    const rank = ranks.peek()
    if (rank === undefined) break
    order.push(rank.works[rank.next]!)
    ranks.remove(rank)
    rank.next += 1
    rank.turn = ++turn
    if (rank.next < rank.works.length) ranks.push(rank)
  }
  return order
}
