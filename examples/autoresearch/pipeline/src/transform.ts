/**
 * Fourth stage: makes a training sample of an image. A random square is cut out, sometimes mirrored, brought from sRGB
 * to linear light (IEC 61966-2-1), turned from pixels into planes, and normalised.
 */

import { allocateTensor, CHANNELS, CROP, type Image, type Precision, type Tensor, VARIATIONS } from "./format.ts"

/** How one image is varied in one epoch. */
export interface Augmentation {
  readonly left: number
  readonly top: number
  readonly mirrored: boolean
}

/** Mean and standard deviation of the dataset in linear light: red, green, blue. */
export const MEAN = [0.24, 0.23, 0.22] as const
export const DEVIATION = [0.21, 0.2, 0.2] as const

/**
 * The augmentation of a record in an epoch. It comes from a hash and not from a running generator, so that a sample is
 * the same however, wherever and in whatever order it is loaded.
 */
export const augmentationOf = (id: number, epoch: number, width: number, height: number): Augmentation => {
  let hash = Math.imul(id + 1, 0x9e3779b1) ^ Math.imul(epoch % VARIATIONS + 1, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39)
  hash = (hash ^ (hash >>> 15)) >>> 0
  return {
    left: (hash & 0xfff) % (width - CROP + 1),
    top: ((hash >>> 12) & 0xfff) % (height - CROP + 1),
    mirrored: hash >>> 31 === 1
  }
}

const crop = (image: Image, { left, top }: Augmentation): Uint8Array => {
  const cropped = new Uint8Array(CROP * CROP * CHANNELS)
  for (let y = 0; y < CROP; y++) {
    const start = ((top + y) * image.width + left) * CHANNELS
    cropped.set(image.pixels.subarray(start, start + CROP * CHANNELS), y * CROP * CHANNELS)
  }
  return cropped
}

const mirror = (pixels: Uint8Array): Uint8Array => {
  const mirrored = new Uint8Array(pixels.length)
  for (let y = 0; y < CROP; y++) {
    for (let x = 0; x < CROP; x++) {
      for (let channel = 0; channel < CHANNELS; channel++) {
        const target = (y * CROP + x) * CHANNELS + channel
        mirrored[target] = pixels[(y * CROP + CROP - 1 - x) * CHANNELS + channel]!
      }
    }
  }
  return mirrored
}

/** Linear light, 0 to 1, of an 8-bit sRGB value. */
const toLinear = (value: number): number => {
  const scaled = value / 255
  return scaled <= 0.04045 ? scaled / 12.92 : ((scaled + 0.055) / 1.055) ** 2.4
}

const linearise = (pixels: Uint8Array, precision: Precision): Tensor => {
  const values = allocateTensor(precision, pixels.length)
  for (let i = 0; i < pixels.length; i++) values[i] = toLinear(pixels[i]!)
  return values
}

const toPlanes = (values: Tensor, precision: Precision): Tensor => {
  const planes = allocateTensor(precision, values.length)
  const size = CROP * CROP
  for (let i = 0; i < size; i++) {
    for (let channel = 0; channel < CHANNELS; channel++) {
      planes[channel * size + i] = values[i * CHANNELS + channel]!
    }
  }
  return planes
}

const normalise = (planes: Tensor, precision: Precision): Tensor => {
  const normalised = allocateTensor(precision, planes.length)
  const size = CROP * CROP
  for (let channel = 0; channel < CHANNELS; channel++) {
    for (let i = channel * size; i < (channel + 1) * size; i++) {
      normalised[i] = (planes[i]! - MEAN[channel]!) / DEVIATION[channel]!
    }
  }
  return normalised
}

/** The numbers that training sees of an image: SAMPLE_VALUES of them, plane by plane. */
export const transform = (image: Image, augmentation: Augmentation, precision: Precision): Tensor => {
  const cropped = crop(image, augmentation)
  const oriented = augmentation.mirrored ? mirror(cropped) : cropped
  return normalise(toPlanes(linearise(oriented, precision), precision), precision)
}
