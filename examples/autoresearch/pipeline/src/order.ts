/** In which order an epoch goes through the records. The order does not depend on how the records are loaded. */

import { BLOCK } from "./format.ts"

/** A small, good enough generator of pseudo-random 32-bit numbers (splitmix32). */
export const randomNumbers = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let z = state
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
}

/**
 * The records of an epoch, block-wise shuffled: blocks of neighbouring records come in random order, the records of a
 * block in their own. It is the usual compromise between a good mixture and reads that are not all single records.
 */
export const epochOrder = (records: number, epoch: number): Array<number> => {
  const random = randomNumbers(epoch + 1)
  const blocks = Array.from({ length: Math.ceil(records / BLOCK) }, (_, block) => block)
  for (let i = blocks.length - 1; i > 0; i--) {
    const j = random() % (i + 1)
    const block = blocks[i]!
    blocks[i] = blocks[j]!
    blocks[j] = block
  }
  return blocks.flatMap((block) =>
    Array.from({ length: Math.min(BLOCK, records - block * BLOCK) }, (_, i) => block * BLOCK + i)
  )
}

/** Which records the batch with this sequence number holds. */
export interface BatchPlan {
  readonly sequence: number
  readonly epoch: number
  readonly ids: ReadonlyArray<number>
}

/** Cuts epoch after epoch into batches; what does not fill a batch at the end of an epoch is left out. */
export const planBatches = (records: number, batchSize: number): (sequence: number) => BatchPlan => {
  const batchesPerEpoch = Math.floor(records / batchSize)
  if (batchesPerEpoch === 0) throw new Error(`a batch of ${batchSize} is more than all ${records} records`)
  let current = { epoch: -1, order: [] as Array<number> }
  return (sequence) => {
    const epoch = Math.floor(sequence / batchesPerEpoch)
    if (epoch !== current.epoch) current = { epoch, order: epochOrder(records, epoch) }
    const start = (sequence % batchesPerEpoch) * batchSize
    return { sequence, epoch, ids: current.order.slice(start, start + batchSize) }
  }
}
