/** Who makes the batches: the main thread itself, or worker threads. */

import { Worker } from "node:worker_threads"
import { openDataset } from "./fetch.ts"
import { type Batch, batchBytes, viewTensor } from "./format.ts"
import { loadBatch } from "./load.ts"
import { planBatches } from "./order.ts"
import type { Parameters } from "./parameters.ts"
import type { Answer, Setup, Task } from "./worker.ts"

export interface Producer {
  /** Starts to make the batch with this sequence number. */
  produce(sequence: number): Promise<Batch>
  /** Takes the memory of a batch back that training is done with. */
  release(batch: Batch): void
  close(): Promise<void>
}

/** Makes batches on the calling thread. */
export const inProcess = async (directory: string, parameters: Parameters): Promise<Producer> => {
  const dataset = await openDataset(directory)
  const planOf = planBatches(dataset.manifest.records, parameters.batchSize)
  return {
    produce: (sequence) => loadBatch(dataset, planOf(sequence), parameters),
    release: () => {},
    close: () => dataset.close()
  }
}

interface Waiting {
  readonly worker: number
  readonly memory: SharedArrayBuffer | undefined
  readonly resolve: (batch: Batch) => void
  readonly reject: (cause: unknown) => void
}

/** Makes batches on worker threads: each new batch goes to the thread with the fewest batches to make. */
export const onWorkers = (directory: string, parameters: Parameters): Producer => {
  const { batchSize, handOff, precision, prefetchBatches } = parameters
  const waiting = new Map<number, Waiting>()
  const load = new Array<number>(parameters.workers).fill(0)
  // One piece of shared memory for each batch that is asked for, and one for the batch that training uses.
  const free = handOff === "shared"
    ? Array.from({ length: prefetchBatches + 1 }, () => new SharedArrayBuffer(batchBytes(precision, batchSize)))
    : []
  const memoryOf = new Map<number, SharedArrayBuffer>()
  let failure: unknown

  const fail = (cause: unknown): void => {
    failure ??= cause
    for (const { reject } of waiting.values()) reject(failure)
    waiting.clear()
  }
  const settle = (answer: Answer): void => {
    const { memory, resolve, worker } = waiting.get(answer.sequence)!
    waiting.delete(answer.sequence)
    load[worker]!--
    if (memory) memoryOf.set(answer.sequence, memory)
    resolve({ ...answer, tensor: answer.tensor ?? viewTensor(precision, memory!) })
  }
  const workers = load.map(() => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), {
      workerData: { directory, parameters } satisfies Setup
    })
    worker.on("message", settle)
    worker.on("error", fail)
    worker.on("messageerror", fail)
    return worker
  })

  return {
    produce: (sequence) =>
      new Promise((resolve, reject) => {
        if (failure) return reject(failure)
        const worker = load.indexOf(Math.min(...load))
        const memory = free.pop()
        load[worker]!++
        waiting.set(sequence, { worker, memory, resolve, reject })
        workers[worker]!.postMessage({ sequence, ...(memory && { memory }) } satisfies Task)
      }),
    release: ({ sequence }) => {
      const memory = memoryOf.get(sequence)
      if (memory) free.push(memory)
      memoryOf.delete(sequence)
    },
    close: async () => {
      await Promise.all(workers.map((worker) => worker.terminate()))
    }
  }
}
