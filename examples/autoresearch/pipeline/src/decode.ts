/**
 * Third stage: takes a record apart.
 *
 * A record is the length of its metadata (32 bits, little endian), the metadata as JSON, and the rows of the image. As
 * in PNG (ISO/IEC 15948, section 9) each row begins with the number of the filter that was applied to it before the
 * compression: none, sub, up, average, Paeth.
 */

import { CHANNELS, type Image } from "./format.ts"

/** What is known of an image besides its pixels. */
export interface Metadata {
  readonly id: number
  readonly label: number
  readonly width: number
  readonly height: number
  readonly caption: string
  readonly tags: ReadonlyArray<string>
  readonly shapes: ReadonlyArray<{
    readonly kind: string
    readonly colour: string
    readonly outline: ReadonlyArray<readonly [x: number, y: number]>
  }>
}

/** The Paeth predictor: whichever of the three neighbours is closest to left + up - upLeft. */
const paeth = (left: number, up: number, upLeft: number): number => {
  const estimate = left + up - upLeft
  const toLeft = Math.abs(estimate - left)
  const toUp = Math.abs(estimate - up)
  const toUpLeft = Math.abs(estimate - upLeft)
  if (toLeft <= toUp && toLeft <= toUpLeft) return left
  return toUp <= toUpLeft ? up : upLeft
}

/** What a filter expects a byte to be, seen from its neighbours. */
const predict = (filter: number, left: number, up: number, upLeft: number): number => {
  switch (filter) {
    case 0:
      return 0
    case 1:
      return left
    case 2:
      return up
    case 3:
      return (left + up) >> 1
    case 4:
      return paeth(left, up, upLeft)
    default:
      throw new Error(`unknown row filter ${filter}: the record is damaged`)
  }
}

/** Undoes the row filters: gives the pixels back. */
export const unfilter = (rows: Uint8Array, width: number, height: number): Uint8Array => {
  const stride = width * CHANNELS
  const pixels = new Uint8Array(stride * height)
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (stride + 1)]!
    const source = y * (stride + 1) + 1
    const target = y * stride
    for (let x = 0; x < stride; x++) {
      const left = x >= CHANNELS ? pixels[target + x - CHANNELS]! : 0
      const up = y > 0 ? pixels[target + x - stride]! : 0
      const upLeft = x >= CHANNELS && y > 0 ? pixels[target + x - stride - CHANNELS]! : 0
      pixels[target + x] = rows[source + x]! + predict(filter, left, up, upLeft)
    }
  }
  return pixels
}

/** The image of a decompressed record. */
export const decode = (record: Buffer): Image => {
  const start = 4 + record.readUInt32LE(0)
  const metadata = JSON.parse(record.toString("utf8", 4, start)) as Metadata
  const { id, label, width, height } = metadata
  if (record.length !== start + (width * CHANNELS + 1) * height) {
    throw new Error(`record ${id} has ${record.length - start} bytes of pixels, which is not ${width} x ${height}`)
  }
  return { id, label, width, height, pixels: unfilter(record.subarray(start), width, height) }
}
