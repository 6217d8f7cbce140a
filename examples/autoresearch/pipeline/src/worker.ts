/** A loading thread: is told which batch is wanted, and answers with the batch. One batch at a time, in order. */

import { parentPort, workerData } from "node:worker_threads"
import { openDataset } from "./fetch.ts"
import { type Batch, viewTensor } from "./format.ts"
import { loadBatch } from "./load.ts"
import { planBatches } from "./order.ts"
import type { Parameters } from "./parameters.ts"

/** What a worker is started with. */
export interface Setup {
  readonly directory: string
  readonly parameters: Parameters
}

/** A batch that is wanted; `memory` is where its tensor goes when memory is shared. */
export interface Task {
  readonly sequence: number
  readonly memory?: SharedArrayBuffer
}

/** A batch that is done; without a tensor when it lies in shared memory. */
export type Answer = Omit<Batch, "tensor"> & { readonly tensor?: Batch["tensor"] }

const { directory, parameters } = workerData as Setup
const port = parentPort!
const dataset = await openDataset(directory)
const planOf = planBatches(dataset.manifest.records, parameters.batchSize)

const perform = async ({ sequence, memory }: Task): Promise<void> => {
  const target = memory && viewTensor(parameters.precision, memory)
  const batch = await loadBatch(dataset, planOf(sequence), parameters, target)
  if (memory) {
    const { tensor: _, ...answer } = batch
    port.postMessage(answer satisfies Answer)
  } else if (parameters.handOff === "transfer") {
    port.postMessage(batch satisfies Answer, [batch.tensor.buffer as ArrayBuffer])
  } else {
    port.postMessage(batch satisfies Answer)
  }
}

let queue: Promise<void> = Promise.resolve()
port.on("message", (task: Task) => {
  queue = queue.then(() => perform(task))
})
