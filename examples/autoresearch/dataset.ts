/**
 * Makes the dataset of the example: synthetic photographs with labels, compressed one by one, grouped in shards.
 *
 *   node examples/autoresearch/dataset.ts FOLDER
 *
 * The dataset is a function of its specification alone: integers only, a generator of its own, so every machine gets the
 * same images. It is made in a folder beside the final one and renamed when it is complete; one that is there already
 * is kept if it was made to the same specification and its files have their checksums.
 */

import { createHash, randomBytes } from "node:crypto"
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { promisify } from "node:util"
import { deflate } from "node:zlib"
import type { Metadata } from "./pipeline/src/decode.ts"
import {
  CHANNELS,
  CLASSES,
  CROP,
  type Manifest,
  REFERENCE_VALUES,
  SAMPLE_VALUES,
  shardFile,
  VARIATIONS
} from "./pipeline/src/format.ts"
import { randomNumbers } from "./pipeline/src/order.ts"
import { augmentationOf, DEVIATION, MEAN } from "./pipeline/src/transform.ts"

/** Raise it when the images, the format or the reference change: older datasets are then made anew. */
const VERSION = 2

/** What a dataset is made to. */
export interface Specification {
  readonly seed: number
  readonly records: number
  readonly recordsPerShard: number
  /** Pixels. */
  readonly width: number
  /** Pixels. */
  readonly height: number
}

/** The dataset of the example: about 30 MB in 8 shards. */
export const SPECIFICATION: Specification = { seed: 20_24, records: 4096, recordsPerShard: 512, width: 64, height: 64 }

const KINDS = ["disc", "square", "diamond"] as const
const COLOURS = ["red", "orange", "yellow", "lime", "green", "teal", "azure", "blue", "violet", "rose"] as const
const PALETTE = [
  [214, 48, 40],
  [226, 130, 36],
  [222, 206, 52],
  [140, 200, 44],
  [40, 150, 62],
  [36, 154, 150],
  [70, 150, 220],
  [44, 66, 190],
  [134, 60, 180],
  [220, 90, 150]
] as const

interface Shape {
  readonly kind: number
  readonly colour: number
  readonly x: number
  readonly y: number
  readonly radius: number
}

/** Whether a point lies in a shape. */
const covers = ({ kind, radius, x, y }: Shape, px: number, py: number): boolean => {
  const dx = Math.abs(px - x)
  const dy = Math.abs(py - y)
  if (kind === 0) return dx * dx + dy * dy <= radius * radius
  return kind === 1 ? Math.max(dx, dy) <= radius : dx + dy <= radius
}

/** Twelve points on the circle of radius 64, a third of a right angle apart. */
const CIRCLE = [
  [64, 0],
  [55, 32],
  [32, 55],
  [0, 64],
  [-32, 55],
  [-55, 32],
  [-64, 0],
  [-55, -32],
  [-32, -55],
  [0, -64],
  [32, -55],
  [55, -32]
] as const

/** The outline of a shape as an annotator would have marked it. */
const outlineOf = ({ kind, radius, x, y }: Shape): Array<readonly [x: number, y: number]> => {
  if (kind === 0) return CIRCLE.map(([dx, dy]) => [x + ((dx * radius) >> 6), y + ((dy * radius) >> 6)])
  const corners = kind === 1
    ? [[1, 1], [-1, 1], [-1, -1], [1, -1]] as const
    : [[1, 0], [0, 1], [-1, 0], [0, -1]] as const
  return corners.map(([dx, dy]) => [x + dx * radius, y + dy * radius])
}

/** One image and what is known about it: a background that changes slowly, some shapes, and the noise of a sensor. */
const draw = (id: number, { height, seed, width }: Specification): { metadata: Metadata; pixels: Uint8Array } => {
  const random = randomNumbers(Math.imul(seed, 0x9e3779b1) + id)
  const label = random() % CLASSES
  const shapes = Array.from({ length: 4 + random() % 5 }, (_, i): Shape => ({
    kind: random() % KINDS.length,
    colour: i % 2 === 0 ? label : random() % CLASSES,
    x: random() % width,
    y: random() % height,
    radius: 6 + random() % 14
  }))
  const base = Array.from({ length: CHANNELS }, () => 60 + random() % 100)
  const slopeX = Array.from({ length: CHANNELS }, () => random() % 193 - 96)
  const slopeY = Array.from({ length: CHANNELS }, () => random() % 193 - 96)

  const clean = new Int16Array(width * height * CHANNELS)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < CHANNELS; channel++) {
        clean[(y * width + x) * CHANNELS + channel] = base[channel]! +
          ((slopeX[channel]! * x + slopeY[channel]! * y) >> 7)
      }
    }
  }
  for (const shape of shapes) {
    const [red, green, blue] = PALETTE[shape.colour]!
    for (let y = Math.max(0, shape.y - shape.radius); y <= Math.min(height - 1, shape.y + shape.radius); y++) {
      for (let x = Math.max(0, shape.x - shape.radius); x <= Math.min(width - 1, shape.x + shape.radius); x++) {
        if (!covers(shape, x, y)) continue
        const place = (y * width + x) * CHANNELS
        clean[place] = red
        clean[place + 1] = green
        clean[place + 2] = blue
      }
    }
  }
  const pixels = new Uint8Array(clean.length)
  let bits = 0
  for (let i = 0; i < clean.length; i++) {
    bits = i % CHANNELS === 0 ? random() : bits >>> 8
    const value = clean[i]! + (bits & 7) + ((bits >>> 3) & 7) - 7
    pixels[i] = value < 0 ? 0 : value > 255 ? 255 : value
  }
  const seen = shapes.map((shape) => `a ${COLOURS[shape.colour]} ${KINDS[shape.kind]}`)
  const metadata: Metadata = {
    id,
    label,
    width,
    height,
    caption: `An image with ${seen.slice(0, -1).join(", ")} and ${seen.at(-1)} on a plain background.`,
    tags: [...new Set(shapes.flatMap((shape) => [KINDS[shape.kind]!, COLOURS[shape.colour]!]))],
    shapes: shapes.map((shape) => ({
      kind: KINDS[shape.kind]!,
      colour: COLOURS[shape.colour]!,
      outline: outlineOf(shape)
    }))
  }
  return { metadata, pixels }
}

const paeth = (left: number, up: number, upLeft: number): number => {
  const [toLeft, toUp, toUpLeft] = [Math.abs(up - upLeft), Math.abs(left - upLeft), Math.abs(left + up - 2 * upLeft)]
  if (toLeft <= toUp && toLeft <= toUpLeft) return left
  return toUp <= toUpLeft ? up : upLeft
}

/** The size of a difference of two bytes that is kept as a byte. */
const magnitude = (difference: number): number => Math.abs((difference << 24) >> 24)

/**
 * Filters every row with whichever of sub, up, average and Paeth leaves the smallest sum of absolute differences: the
 * heuristic of the PNG specification (ISO/IEC 15948, section 12.7).
 */
const filterRows = (pixels: Uint8Array, { height, width }: Specification): Uint8Array => {
  const stride = width * CHANNELS
  const rows = new Uint8Array((stride + 1) * height)
  const sub = new Uint8Array(stride)
  const upper = new Uint8Array(stride)
  const average = new Uint8Array(stride)
  const closest = new Uint8Array(stride)
  for (let y = 0; y < height; y++) {
    let [subCost, upperCost, averageCost, closestCost] = [0, 0, 0, 0]
    for (let x = 0; x < stride; x++) {
      const place = y * stride + x
      const value = pixels[place]!
      const left = x >= CHANNELS ? pixels[place - CHANNELS]! : 0
      const up = y > 0 ? pixels[place - stride]! : 0
      const upLeft = x >= CHANNELS && y > 0 ? pixels[place - stride - CHANNELS]! : 0
      subCost += magnitude(sub[x] = value - left)
      upperCost += magnitude(upper[x] = value - up)
      averageCost += magnitude(average[x] = value - ((left + up) >> 1))
      closestCost += magnitude(closest[x] = value - paeth(left, up, upLeft))
    }
    const costs = [subCost, upperCost, averageCost, closestCost]
    const best = costs.indexOf(Math.min(...costs))
    rows[y * (stride + 1)] = best + 1
    rows.set([sub, upper, average, closest][best]!, y * (stride + 1) + 1)
  }
  return rows
}

/** A record before its compression. */
const encode = (metadata: Metadata, rows: Uint8Array): Buffer => {
  const json = Buffer.from(JSON.stringify(metadata))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(json.length)
  return Buffer.concat([length, json, rows])
}

/** Linear light of every 8-bit sRGB value. */
const LINEAR = Array.from({ length: 256 }, (_, value) => {
  const scaled = value / 255
  return scaled <= 0.04045 ? scaled / 12.92 : ((scaled + 0.055) / 1.055) ** 2.4
})

/**
 * What the sample of this image must come out as in an epoch: digest and label. Written on its own, straight from
 * the pixels, so that a fault in the pipeline does not excuse itself.
 */
const referenceOf = (
  id: number,
  label: number,
  epoch: number,
  pixels: Uint8Array,
  { height, width }: Specification
) => {
  const { left, mirrored, top } = augmentationOf(id, epoch, width, height)
  let sum = 0
  let weighted = 0
  for (let i = 0; i < SAMPLE_VALUES; i++) {
    const channel = Math.floor(i / (CROP * CROP))
    const y = Math.floor(i / CROP) % CROP
    const x = mirrored ? CROP - 1 - i % CROP : i % CROP
    const byte = pixels[((top + y) * width + left + x) * CHANNELS + channel]!
    const value = (LINEAR[byte]! - MEAN[channel]!) / DEVIATION[channel]!
    sum += value
    weighted += value * ((i * 37) % 1009) / 1009
  }
  return [sum, weighted, label] as const
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** Makes a dataset in an empty folder. */
const make = async (directory: string, specification: Specification): Promise<Manifest> => {
  const { records, recordsPerShard } = specification
  const files: Array<Manifest["files"][number]> = []
  const write = async (file: string, bytes: Uint8Array): Promise<void> => {
    await writeFile(join(directory, file), bytes)
    files.push({ file, bytes: bytes.length, sha256: sha256(bytes) })
  }
  const compress = promisify(deflate)
  const index = new Uint32Array(records * 2)
  const reference = new Float64Array(VARIATIONS * records * REFERENCE_VALUES)
  for (let first = 0; first < records; first += recordsPerShard) {
    const last = Math.min(first + recordsPerShard, records)
    const pending: Array<Promise<Buffer>> = []
    for (let id = first; id < last; id++) {
      const { metadata, pixels } = draw(id, specification)
      for (let epoch = 0; epoch < VARIATIONS; epoch++) {
        const entry = referenceOf(id, metadata.label, epoch, pixels, specification)
        reference.set(entry, (epoch * records + id) * REFERENCE_VALUES)
      }
      pending.push(compress(encode(metadata, filterRows(pixels, specification)), { level: 6 }))
      // Hands what is pending to the thread pool now, so that drawing and compressing go on side by side.
      if (pending.length % 32 === 0) await new Promise((resume) => setImmediate(resume))
    }
    const compressed = await Promise.all(pending)
    let offset = 0
    compressed.forEach((record, i) => {
      index.set([offset, record.length], (first + i) * 2)
      offset += record.length
    })
    await write(shardFile(first / recordsPerShard), Buffer.concat(compressed))
  }
  await write("index.bin", new Uint8Array(index.buffer))
  await write("reference.bin", new Uint8Array(reference.buffer))
  const manifest: Manifest = { version: VERSION, ...specification, files }
  await writeFile(join(directory, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`)
  return manifest
}

/** Why the dataset in a folder cannot be kept; undefined if it can. */
const faultOf = async (directory: string, specification: Specification): Promise<string | undefined> => {
  let manifest: Manifest
  try {
    manifest = JSON.parse(await readFile(join(directory, "manifest.json"), "utf8")) as Manifest
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "ENOENT"
      ? "there is none"
      : `its manifest is damaged: ${String(cause)}`
  }
  const { files, ...made } = manifest
  const wanted = { version: VERSION, ...specification }
  if (JSON.stringify(made) !== JSON.stringify(wanted)) return "it was made to another specification"
  for (const { bytes, file, sha256: expected } of files) {
    const content = await readFile(join(directory, file)).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") return undefined
      throw cause
    })
    if (content === undefined) return `${file} is missing`
    if (content.length !== bytes || sha256(content) !== expected) return `${file} is damaged`
  }
  return undefined
}

/** What `ensureDataset` did. */
export interface Ensured {
  /** Whether a dataset was made, and why; undefined if the one that was there is kept. */
  readonly madeBecause: string | undefined
  readonly manifest: Manifest
  readonly bytes: number
}

/** Makes the dataset in a folder, unless a sound one to the same specification is there. */
export const ensureDataset = async (
  directory: string,
  specification: Specification = SPECIFICATION
): Promise<Ensured> => {
  const target = resolve(directory)
  const fault = await faultOf(target, specification)
  if (fault !== undefined) {
    await mkdir(dirname(target), { recursive: true })
    const draft = `${target}.${randomBytes(6).toString("hex")}.partial`
    try {
      await mkdir(draft)
      await make(draft, specification)
      await rm(target, { recursive: true, force: true })
      await rename(draft, target)
    } finally {
      await rm(draft, { recursive: true, force: true })
    }
  }
  const manifest = JSON.parse(await readFile(join(target, "manifest.json"), "utf8")) as Manifest
  const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0)
  return { madeBecause: fault, manifest, bytes }
}

if (import.meta.main) {
  const directory = process.argv[2]
  if (directory === undefined || process.argv.length > 3) {
    console.error("usage: node dataset.ts FOLDER")
    process.exitCode = 2
  } else {
    const { bytes, madeBecause, manifest } = await ensureDataset(directory)
    const size = `${manifest.records} records, ${(bytes / 1e6).toFixed(1)} MB`
    console.log(madeBecause === undefined ? `kept: ${size}` : `made (${madeBecause}): ${size}`)
  }
}
