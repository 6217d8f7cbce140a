/**
 * What the dataset looks like on disk, and the shapes that the stages hand to one another.
 *
 * A dataset is a folder: `manifest.json`, shards of records that are compressed one by one, `index.bin` with the place
 * of every record in its shard, and `reference.bin` with what every sample must be when the stages are done with it.
 */

/** Bytes of a pixel: red, green, blue. */
export const CHANNELS = 3
/** Side of the square that training sees, in pixels. */
export const CROP = 32
/** Numbers of one training sample: three planes of CROP x CROP. */
export const SAMPLE_VALUES = CHANNELS * CROP * CROP
/** Labels run from 0 to CLASSES - 1. */
export const CLASSES = 10
/** Records that lie next to one another and are read in that order: shuffling moves whole blocks. */
export const BLOCK = 64
/** So many different epochs of augmentations there are; then they repeat. */
export const VARIATIONS = 4
/** Numbers of one entry of `reference.bin`: sum, weighted sum, label. The entries go record by record, then by epoch. */
export const REFERENCE_VALUES = 3

/** `manifest.json`. */
export interface Manifest {
  readonly version: number
  readonly seed: number
  readonly records: number
  readonly recordsPerShard: number
  readonly width: number
  readonly height: number
  readonly files: ReadonlyArray<{ readonly file: string; readonly bytes: number; readonly sha256: string }>
}

/** The file of a shard. */
export const shardFile = (shard: number): string => `shard-${String(shard).padStart(3, "0")}.bin`

/** An image as it comes out of a record: 8-bit RGB, row by row. */
export interface Image {
  readonly id: number
  readonly label: number
  readonly width: number
  readonly height: number
  readonly pixels: Uint8Array
}

/** The numbers of a sample or a batch. */
export type Tensor = Float32Array<ArrayBufferLike> | Float64Array<ArrayBufferLike>

/** What training sees of one image. */
export interface Sample {
  readonly id: number
  readonly label: number
  readonly values: Tensor
}

/** What one training step is fed with: `tensor` holds the samples one after the other. */
export interface Batch {
  readonly sequence: number
  readonly epoch: number
  readonly ids: ReadonlyArray<number>
  readonly labels: ReadonlyArray<number>
  readonly tensor: Tensor
}

/** The number format of tensors. */
export type Precision = "float32" | "float64"

/** A tensor of zeros. */
export const allocateTensor = (precision: Precision, length: number): Tensor =>
  precision === "float32" ? new Float32Array(length) : new Float64Array(length)

/** A tensor on memory that is there already. */
export const viewTensor = (precision: Precision, memory: ArrayBufferLike): Tensor =>
  precision === "float32" ? new Float32Array(memory) : new Float64Array(memory)

/** Bytes that the tensor of one batch takes. */
export const batchBytes = (precision: Precision, batchSize: number): number =>
  batchSize * SAMPLE_VALUES * (precision === "float32" ? 4 : 8)
