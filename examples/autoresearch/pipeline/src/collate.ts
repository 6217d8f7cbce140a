/** Fifth stage: puts the samples of a batch together into one tensor. */

import { allocateTensor, type Precision, type Sample, SAMPLE_VALUES, type Tensor } from "./format.ts"

/** The tensor of a batch: in `memory` when that is given, else in memory of its own. */
export const collate = (samples: ReadonlyArray<Sample>, precision: Precision, memory?: Tensor): Tensor => {
  const tensor = memory ?? allocateTensor(precision, samples.length * SAMPLE_VALUES)
  samples.forEach((sample, i) => tensor.set(sample.values, i * SAMPLE_VALUES))
  return tensor
}
