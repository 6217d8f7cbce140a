/** Keeps batches ahead of training. */

import type { Batch } from "./format.ts"
import type { Parameters } from "./parameters.ts"
import { inProcess, onWorkers, type Producer } from "./producers.ts"

export interface Loader {
  /** Whether the next batch is there already. */
  isReady(): boolean
  /** The next batch, in order. It may be used until the next call, which takes its memory back. */
  next(): Promise<Batch>
  close(): Promise<void>
}

interface Pending {
  readonly batch: Promise<Batch>
  done: boolean
}

/** Asks a producer for batches so that `ahead` of them are always under way or waiting. */
export const prefetch = (producer: Producer, ahead: number): Loader => {
  let sequence = 0
  let inUse: Batch | undefined
  const ask = (): Pending => {
    const pending: Pending = { batch: producer.produce(sequence++), done: false }
    // A failure is reported by the `next` that reaches it.
    pending.batch.then(() => pending.done = true, () => pending.done = true)
    return pending
  }
  const queue = Array.from({ length: ahead }, ask)
  return {
    isReady: () => queue[0]!.done,
    next: async () => {
      if (inUse) producer.release(inUse)
      inUse = undefined
      const batch = await queue.shift()!.batch
      queue.push(ask())
      inUse = batch
      return batch
    },
    close: () => producer.close()
  }
}

/** The loader that the parameters ask for. */
export const openLoader = async (directory: string, parameters: Parameters): Promise<Loader> =>
  prefetch(
    parameters.workers === 0 ? await inProcess(directory, parameters) : onWorkers(directory, parameters),
    parameters.prefetchBatches
  )

/** Loads `count` batches once and then gives them out again and again: loading at no cost. */
export const cached = async (loader: Loader, count: number): Promise<Loader> => {
  const batches: Array<Batch> = []
  for (let i = 0; i < count; i++) {
    const batch = await loader.next()
    batches.push({ ...batch, tensor: batch.tensor.slice() })
  }
  await loader.close()
  let sequence = 0
  return {
    isReady: () => true,
    next: () => Promise.resolve(batches[sequence++ % count]!),
    close: () => Promise.resolve()
  }
}
