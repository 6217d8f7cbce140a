/**
 * Watches that the stages still compute what they should: the first samples, and then one of every batch, are compared
 * with the reference that was made along with the dataset, from the pixels before they were filtered and compressed.
 * Speed without the right numbers is worth nothing.
 */

import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { type Batch, REFERENCE_VALUES, SAMPLE_VALUES, type Tensor, VARIATIONS } from "./format.ts"

/** Samples that are all compared. After them one of every batch is, which costs next to nothing. */
export const VERIFIED_SAMPLES = 256

/** How far a digest may be off: rounding to float32 is allowed, little more. */
const TOLERANCE = SAMPLE_VALUES * 1e-6

/** Sum, and sum with weights that differ from place to place, so that numbers in the wrong place are noticed as well. */
export const digest = (tensor: Tensor, offset: number): readonly [sum: number, weighted: number] => {
  let sum = 0
  let weighted = 0
  for (let i = 0; i < SAMPLE_VALUES; i++) {
    const value = tensor[offset + i]!
    sum += value
    weighted += value * ((i * 37) % 1009) / 1009
  }
  return [sum, weighted]
}

export interface Verifier {
  /** Compares what has to be compared of a batch. Throws at the first sample that is wrong. */
  verify(batch: Batch): void
  /** Whether the first samples are all compared. */
  isDone(): boolean
  /** How many samples were compared first, and the sum over them: it depends neither on their order nor on batches. */
  result(): { readonly samples: number; readonly checksum: number }
}

/** Reads the reference of a dataset with this many records. */
export const openVerifier = async (directory: string, records: number): Promise<Verifier> => {
  const bytes = await readFile(join(directory, "reference.bin"))
  const reference = new Float64Array(new Uint8Array(bytes).buffer)
  const wanted = Math.min(VERIFIED_SAMPLES, records)
  let samples = 0
  let checksum = 0

  /** The sum over the digest of a sample, if it is right. */
  const compare = ({ epoch, ids, labels, tensor }: Batch, i: number): number => {
    const [sum, weighted] = digest(tensor, i * SAMPLE_VALUES)
    const entry = ((epoch % VARIATIONS) * records + ids[i]!) * REFERENCE_VALUES
    const isRight = Math.abs(sum - reference[entry]!) <= TOLERANCE &&
      Math.abs(weighted - reference[entry + 1]!) <= TOLERANCE &&
      labels[i] === reference[entry + 2]
    if (!isRight) {
      throw new Error(
        `wrong sample: record ${ids[i]} came out with digest ${sum}, ${weighted} and label ${labels[i]}, ` +
          `it must be ${reference[entry]}, ${reference[entry + 1]} and ${reference[entry + 2]}`
      )
    }
    return sum + weighted
  }

  return {
    verify: (batch) => {
      const size = batch.ids.length
      if (samples >= wanted) compare(batch, batch.sequence % size)
      for (let i = 0; i < size && samples < wanted; i++) {
        checksum += compare(batch, i)
        samples++
      }
    },
    isDone: () => samples >= wanted,
    result: () => ({ samples, checksum })
  }
}
