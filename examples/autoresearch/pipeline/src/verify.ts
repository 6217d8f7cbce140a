/**
 * Watches that the stages still compute what they should: the first samples are compared with the reference that was
 * made along with the dataset, from the pixels before they were filtered and compressed. Speed without the right
 * numbers is worth nothing.
 */

import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { type Batch, REFERENCE_VALUES, SAMPLE_VALUES, type Tensor } from "./format.ts"

/** Samples that are compared. */
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
  /** Whether all was compared that has to be. */
  isDone(): boolean
  /** How many samples were compared, and the sum over them, which depends neither on their order nor on batches. */
  result(): { readonly samples: number; readonly checksum: number }
}

/** Reads the reference of a dataset with this many records. */
export const openVerifier = async (directory: string, records: number): Promise<Verifier> => {
  const bytes = await readFile(join(directory, "reference.bin"))
  const reference = new Float64Array(new Uint8Array(bytes).buffer)
  const wanted = Math.min(VERIFIED_SAMPLES, records)
  let samples = 0
  let checksum = 0
  return {
    verify: ({ epoch, ids, labels, tensor }) => {
      // The reference holds for the first epoch: later ones augment the images differently.
      if (epoch > 0) return
      for (let i = 0; i < ids.length && samples < wanted; i++) {
        const [sum, weighted] = digest(tensor, i * SAMPLE_VALUES)
        const entry = ids[i]! * REFERENCE_VALUES
        const right = Math.abs(sum - reference[entry]!) <= TOLERANCE &&
          Math.abs(weighted - reference[entry + 1]!) <= TOLERANCE &&
          labels[i] === reference[entry + 2]
        if (!right) {
          throw new Error(
            `wrong sample: record ${ids[i]} came out with digest ${sum}, ${weighted} and label ${labels[i]}, ` +
              `it must be ${reference[entry]}, ${reference[entry + 1]} and ${reference[entry + 2]}`
          )
        }
        samples++
        checksum += sum + weighted
      }
    },
    isDone: () => samples >= wanted,
    result: () => ({ samples, checksum })
  }
}
