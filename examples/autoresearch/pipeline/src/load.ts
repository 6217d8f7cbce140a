/** Takes one batch through the stages: fetch, decompress, decode, transform, collate. */

import { collate } from "./collate.ts"
import { mapConcurrent } from "./concurrency.ts"
import { decode } from "./decode.ts"
import { decompress } from "./decompress.ts"
import { type Dataset, planReads } from "./fetch.ts"
import type { Batch, Sample, Tensor } from "./format.ts"
import type { BatchPlan } from "./order.ts"
import type { Parameters } from "./parameters.ts"
import { augmentationOf, transform } from "./transform.ts"

/** Loads the planned batch; its tensor goes into `memory` when that is given. */
export const loadBatch = async (
  dataset: Dataset,
  plan: BatchPlan,
  parameters: Parameters,
  memory?: Tensor
): Promise<Batch> => {
  const reads = planReads(plan.ids, parameters.recordsPerRead, dataset.manifest.recordsPerShard)
  const chunks = await mapConcurrent(reads, parameters.readConcurrency, dataset.fetch)
  const records = await mapConcurrent(chunks.flat(), parameters.decompressConcurrency, decompress)
  const samples = records.map((record): Sample => {
    const image = decode(record)
    const augmentation = augmentationOf(image.id, plan.epoch, image.width, image.height)
    return { id: image.id, label: image.label, values: transform(image, augmentation, parameters.precision) }
  })
  return {
    sequence: plan.sequence,
    epoch: plan.epoch,
    ids: samples.map((sample) => sample.id),
    labels: samples.map((sample) => sample.label),
    tensor: collate(samples, parameters.precision, memory)
  }
}
