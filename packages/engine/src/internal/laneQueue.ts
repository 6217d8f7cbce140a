/**
 * The candidates of one lane in the order in which they would start: priority, then arrival; what was taken up after a
 * resume first.
 *
 * Nearly all works come in order of arrival, so each priority is a list to whose end they are added and from whose head they are
 * taken, and a small heap holds the priorities: a step costs the same with a million works as with a thousand, because it
 * touches what is in the processor's cache. A binary heap over all works was measured: with a deep backlog it spends most of
 * its time waiting for memory. What comes out of order (a retry keeps its arrival; a resumed work goes first) lies in a heap beside.
 */
import { before } from "./candidateOrder.ts"
import { Heap, type Placed } from "./heap.ts"
import type { Candidate } from "./model.ts"

/** Candidates of one priority, by arrival. Removed ones leave a hole until the head has passed it. */
class Bucket implements Placed {
  index = -1
  readonly priority: number
  private items: Array<Candidate | undefined> = []
  private head = 0
  /** `index` of a candidate is its place in `items` plus this, so that it stays as it is when the list is cut. */
  private base = 0
  private size = 0
  private lastArrival = -1

  constructor(priority: number) {
    this.priority = priority
  }

  get first(): Candidate | undefined {
    return this.items[this.head]
  }

  get isEmpty(): boolean {
    return this.size === 0
  }

  /** Whether the candidate belongs behind all that are here. */
  accepts(arrival: number): boolean {
    return this.size === 0 || arrival > this.lastArrival
  }

  push(candidate: Candidate, arrival: number): void {
    candidate.index = this.base + this.items.length
    this.items.push(candidate)
    this.size += 1
    this.lastArrival = arrival
  }

  remove(candidate: Candidate): void {
    const place = candidate.index - this.base
    candidate.index = -1
    this.items[place] = undefined
    this.size -= 1
    if (this.size === 0) {
      this.items = []
      this.head = 0
      return
    }
    if (place !== this.head) return
    while (this.items[this.head] === undefined) this.head += 1
    if (this.head >= 1_024 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head)
      this.base += this.head
      this.head = 0
    }
  }

  *[Symbol.iterator](): Generator<Candidate> {
    for (const item of this.items) if (item !== undefined) yield item
  }
}

/** A candidate that came out of order. */
class Late implements Placed {
  index = -1
  readonly candidate: Candidate

  constructor(candidate: Candidate) {
    this.candidate = candidate
  }
}

/** Buckets without a candidate are kept up to this number: priorities come back. */
const idleBuckets = 64

export class LaneQueue {
  size = 0
  private readonly buckets = new Map<number, Bucket>()
  /** Buckets that hold something. */
  private readonly order = new Heap<Bucket>((a, b) => a.priority < b.priority)
  private late: { readonly heap: Heap<Late>; readonly nodes: Map<Candidate, Late> } | undefined = undefined

  get first(): Candidate | undefined {
    const inOrder = this.order.items[0]?.first
    if (this.late === undefined) return inOrder
    const late = this.late.heap.items[0]!.candidate
    return inOrder === undefined || before(late, inOrder) ? late : inOrder
  }

  push(candidate: Candidate): void {
    const { arrival, resumed, spec: { priority } } = candidate.owner
    this.size += 1
    let bucket = this.buckets.get(priority)
    if (resumed || candidate.request !== undefined || bucket?.accepts(arrival) === false) {
      return this.pushLate(candidate)
    }
    if (bucket === undefined) {
      bucket = new Bucket(priority)
      this.buckets.set(priority, bucket)
    }
    bucket.push(candidate, arrival)
    if (bucket.index < 0) this.order.push(bucket)
  }

  private pushLate(candidate: Candidate): void {
    this.late ??= { heap: new Heap((a, b) => before(a.candidate, b.candidate)), nodes: new Map() }
    const node = new Late(candidate)
    this.late.nodes.set(candidate, node)
    this.late.heap.push(node)
    candidate.index = 0
  }

  remove(candidate: Candidate): void {
    this.size -= 1
    const node = this.late?.nodes.get(candidate)
    if (node !== undefined) {
      this.late!.heap.remove(node)
      this.late!.nodes.delete(candidate)
      candidate.index = -1
      if (this.late!.nodes.size === 0) this.late = undefined
      return
    }
    const bucket = this.buckets.get(candidate.owner.spec.priority)!
    bucket.remove(candidate)
    if (!bucket.isEmpty) return
    this.order.remove(bucket)
    if (this.buckets.size > idleBuckets) this.buckets.delete(bucket.priority)
  }

  *[Symbol.iterator](): Generator<Candidate> {
    for (const bucket of this.order.items) yield* bucket
    if (this.late !== undefined) yield* this.late.nodes.keys()
  }
}
