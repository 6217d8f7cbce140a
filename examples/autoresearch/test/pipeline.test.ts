import { createHash } from "node:crypto"
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { inflateSync } from "node:zlib"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ensureDataset, type Specification } from "../dataset.ts"
import { mapConcurrent } from "../pipeline/src/concurrency.ts"
import { type Dataset, openDataset, planReads } from "../pipeline/src/fetch.ts"
import type { Batch, Image } from "../pipeline/src/format.ts"
import { loadBatch } from "../pipeline/src/load.ts"
import { cached, prefetch } from "../pipeline/src/loader.ts"
import { epochOrder, planBatches } from "../pipeline/src/order.ts"
import { decodeParameters, type Parameters } from "../pipeline/src/parameters.ts"
import { Model } from "../pipeline/src/step.ts"
import { openVerifier } from "../pipeline/src/verify.ts"
import { applyEdit, readSpace } from "../space.ts"

const example = join(import.meta.dirname, "..")
const TINY: Specification = { seed: 7, records: 80, recordsPerShard: 48, width: 40, height: 36 }

let directory: string
let data: string
let dataset: Dataset
let parameters: Parameters
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "espalier-pipeline-"))
  data = join(directory, "data")
  await ensureDataset(data, TINY)
  dataset = await openDataset(data)
  parameters = decodeParameters(JSON.parse(await readFile(join(example, "pipeline/parameters.json"), "utf8")))
})
afterAll(async () => {
  await dataset.close()
  await rm(directory, { recursive: true, force: true })
})

const hashes = async (folder: string) =>
  Object.fromEntries(
    await Promise.all(
      (await readdir(folder)).map(async (file) => [file, (await readFile(join(folder, file))).toString("base64")])
    )
  )

describe("the dataset", () => {
  it("is the same bytes every time it is made", async () => {
    await ensureDataset(join(directory, "again"), TINY)
    expect(await hashes(join(directory, "again"))).toEqual(await hashes(data))
  })

  it("is kept while it is sound, and made anew when a file is damaged or missing, or another is asked for", async () => {
    const folder = join(directory, "kept")
    expect((await ensureDataset(folder, TINY)).madeBecause).toBe("there is none")
    const { ino } = await stat(folder)
    expect((await ensureDataset(folder, TINY)).madeBecause).toBeUndefined()
    expect((await stat(folder)).ino).toBe(ino)
    await writeFile(join(folder, "index.bin"), "damaged")
    expect((await ensureDataset(folder, TINY)).madeBecause).toBe("index.bin is damaged")
    await rm(join(folder, "shard-001.bin"))
    expect((await ensureDataset(folder, TINY)).madeBecause).toBe("shard-001.bin is missing")
    expect((await ensureDataset(folder, { ...TINY, seed: 8 })).madeBecause).toBe("it was made to another specification")
    expect((await readdir(directory)).filter((name) => name.endsWith(".partial"))).toEqual([])
  })
})

describe("the order of an epoch", () => {
  it("holds every record once, and differs from epoch to epoch", () => {
    const first = epochOrder(300, 0)
    expect([...first].sort((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, i) => i))
    expect(epochOrder(300, 1)).not.toEqual(first)
    expect(epochOrder(300, 0)).toEqual(first)
  })

  it("is the same for every batch size", () => {
    const idsOf = (batchSize: number) =>
      Array.from({ length: 256 / batchSize }, (_, i) => planBatches(256, batchSize)(i).ids).flat()
    expect(idsOf(8)).toEqual(idsOf(64))
    expect(planBatches(256, 64)(4).epoch).toBe(1)
  })
})

describe("reads", () => {
  it("bring neighbours in together, within one shard and up to their size", () => {
    expect(planReads([4, 5, 6, 7, 12, 20, 19], 3, 6)).toEqual([
      { shard: 0, ids: [4, 5] },
      { shard: 1, ids: [6, 7] },
      { shard: 2, ids: [12] },
      { shard: 3, ids: [20] },
      { shard: 3, ids: [19] }
    ])
  })

  it("give the same records however many they bring in", async () => {
    const ids = [40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 3]
    const records = async (recordsPerRead: number) =>
      (await Promise.all(planReads(ids, recordsPerRead, 48).map(dataset.fetch))).flat().map((record) => [...record])
    expect(await records(64)).toEqual(await records(1))
  })

  it("happen in order of the items, with no more under way than allowed", async () => {
    let running = 0
    let most = 0
    const results = await mapConcurrent([5, 3, 8, 1, 9, 2], 3, async (n) => {
      most = Math.max(most, ++running)
      for (let i = 0; i < n; i++) await Promise.resolve()
      running--
      return n * 10
    })
    expect(results).toEqual([50, 30, 80, 10, 90, 20])
    expect(most).toBe(3)
  })
})

describe("what the stages compute", () => {
  const load = (changed: Partial<Parameters> = {}) => {
    const wanted = { ...parameters, ...changed }
    const planOf = planBatches(TINY.records, wanted.batchSize)
    return Promise.all(
      Array.from(
        { length: Math.floor(TINY.records / wanted.batchSize) },
        (_, i) => loadBatch(dataset, planOf(i), wanted)
      )
    )
  }

  it.for<Partial<Parameters>>([
    {},
    { precision: "float32" },
    { batchSize: 8, recordsPerRead: 64, readConcurrency: 1 },
    { batchSize: 40, decompressConcurrency: 64 }
  ])("agrees with the reference: %o", async (changed) => {
    const verifier = await openVerifier(data, TINY.records)
    for (const batch of await load(changed)) verifier.verify(batch)
    expect(verifier.isDone()).toBe(true)
    expect(verifier.result().samples).toBe(TINY.records)
  })

  it("is found wrong when a number, a place or a label is wrong", async () => {
    const [batch] = await load()
    const verifier = await openVerifier(data, TINY.records)
    const wrong = (change: (copy: Batch & { labels: Array<number> }) => void) => {
      const copy = { ...batch!, labels: [...batch!.labels], tensor: batch!.tensor.slice() }
      change(copy)
      return () => verifier.verify(copy)
    }
    expect(wrong(({ tensor }) => tensor[100]! += 0.01)).toThrow("wrong sample: record")
    expect(wrong(({ tensor }) => tensor.subarray(0, 64).reverse())).toThrow("wrong sample: record")
    expect(wrong(({ labels }) => labels[3]! += 1)).toThrow("wrong sample: record")
    expect(wrong(() => {})).not.toThrow()
  })

  it("is still watched after the first samples, in every epoch", async () => {
    const verifier = await openVerifier(data, TINY.records)
    for (const batch of await load()) verifier.verify(batch)
    for (const epoch of [1, 3, 4, 9]) {
      const later = await loadBatch(dataset, { sequence: epoch * 5, epoch, ids: [7, 30] }, {
        ...parameters,
        batchSize: 2
      })
      expect(() => verifier.verify(later)).not.toThrow()
      later.tensor.fill(0)
      expect(() => verifier.verify(later)).toThrow("wrong sample: record")
    }
    expect(verifier.result().samples).toBe(TINY.records)
  })

  it("does not change with the edits that only make it faster", async () => {
    const space = await readSpace(join(example, "espalier.toml"))
    const ids = [...Array(24).keys()]
    const records = (await Promise.all(planReads(ids, 24, 48).map(dataset.fetch))).flat()
    const hashOf = ({ buffer, byteLength, byteOffset }: ArrayBufferView) =>
      createHash("sha256").update(new Uint8Array(buffer, byteOffset, byteLength)).digest("hex")
    const stagesOf = async (...names: Array<string>) => {
      const source = join(directory, ["source", ...names].join("-"))
      await cp(join(example, "pipeline/src"), join(source, "src"), { recursive: true })
      for (const edit of space.edits.filter(({ name }) => names.includes(name))) {
        const file = join(source, edit.file)
        await writeFile(file, applyEdit(await readFile(file, "utf8"), edit))
      }
      const load = (file: string) => import(/* @vite-ignore */ pathToFileURL(join(source, "src", file)).href)
      const { decode } = await load("decode.ts") as typeof import("../pipeline/src/decode.ts")
      const { decompress } = await load("decompress.ts") as typeof import("../pipeline/src/decompress.ts")
      const { augmentationOf, transform } = await load("transform.ts") as typeof import("../pipeline/src/transform.ts")
      return Promise.all(records.map(async (record) => {
        const { pixels, ...image }: Image = decode(await decompress(record))
        const samples = [0, 1, 2].map((epoch) => {
          const augmentation = augmentationOf(image.id, epoch, image.width, image.height)
          return hashOf(transform({ ...image, pixels }, augmentation, "float64"))
        })
        return { ...image, pixels: hashOf(pixels), samples }
      }))
    }
    const expected = await stagesOf()
    expect(expected.map(({ id }) => id)).toEqual(ids)
    for (
      const name of [
        "linear-table",
        "fused-transform",
        "row-filters",
        "metadata-scan",
        "inflate-sync",
        "inflate-stream"
      ]
    ) {
      expect(await stagesOf(name), name).toEqual(expected)
    }
    expect(await stagesOf("linear-table", "fused-transform", "row-filters", "metadata-scan")).toEqual(expected)
  })

  it("meets every row filter", async () => {
    const records = (await Promise.all(planReads([...Array(TINY.records).keys()], 64, 48).map(dataset.fetch))).flat()
    const filters = records.flatMap((record) => {
      const bytes = inflateSync(record)
      const rows = bytes.subarray(4 + bytes.readUInt32LE(0))
      return Array.from({ length: TINY.height }, (_, y) => rows[y * (TINY.width * 3 + 1)])
    })
    expect(new Set(filters)).toEqual(new Set([1, 2, 3, 4]))
  })

  it("can be learnt from: the loss falls", async () => {
    const batches = await load()
    const model = new Model()
    const epochs = Array.from({ length: 12 }, () => {
      const losses = batches.map((batch) => model.step(batch))
      return losses.reduce((sum, loss) => sum + loss, 0) / losses.length
    })
    expect(epochs.at(-1)!).toBeLessThan(epochs[0]! * 0.95)
  })
})

describe("the loader", () => {
  const batchOf = (sequence: number): Batch => ({
    sequence,
    epoch: 0,
    ids: [],
    labels: [],
    tensor: new Float32Array(1)
  })
  const recording = () => {
    const asked: Array<number> = []
    const released: Array<number> = []
    const resolve = new Map<number, (batch: Batch) => void>()
    return {
      asked,
      released,
      finish: (sequence: number) => resolve.get(sequence)!(batchOf(sequence)),
      produce: (sequence: number) => {
        asked.push(sequence)
        return new Promise<Batch>((settle) => resolve.set(sequence, settle))
      },
      release: ({ sequence }: Batch) => void released.push(sequence),
      close: () => Promise.resolve()
    }
  }

  it("keeps as many batches ahead as it is told, and gives them out in order", async () => {
    const producer = recording()
    const loader = prefetch(producer, 3)
    expect(producer.asked).toEqual([0, 1, 2])
    producer.finish(1)
    producer.finish(0)
    expect((await loader.next()).sequence).toBe(0)
    expect(producer.asked).toEqual([0, 1, 2, 3])
    expect((await loader.next()).sequence).toBe(1)
  })

  it("says whether the next batch is there, and takes a batch back only when the next one is asked for", async () => {
    const producer = recording()
    const loader = prefetch(producer, 2)
    expect(loader.isReady()).toBe(false)
    producer.finish(0)
    producer.finish(1)
    await Promise.resolve()
    expect(loader.isReady()).toBe(true)
    await loader.next()
    expect(producer.released).toEqual([])
    await loader.next()
    expect(producer.released).toEqual([0])
    expect(loader.isReady()).toBe(false)
  })

  it("hands a failure to whoever asks for the batch", async () => {
    const broken = { ...recording(), produce: () => Promise.reject(new Error("no disk")) }
    await expect(prefetch(broken, 2).next()).rejects.toThrow("no disk")
  })

  it("gives the cached batches out again and again", async () => {
    const producer = { ...recording(), produce: (sequence: number) => Promise.resolve(batchOf(sequence)) }
    const loader = await cached(prefetch(producer, 2), 2)
    const sequences: Array<number> = []
    for (let i = 0; i < 5; i++) sequences.push((await loader.next()).sequence)
    expect(sequences).toEqual([0, 1, 0, 1, 0])
    expect(loader.isReady()).toBe(true)
  })
})

describe("the parameters", () => {
  it("are refused with the parameter, its value and what is allowed", () => {
    const bad = (changed: Record<string, unknown>) => () => decodeParameters({ ...parameters, ...changed })
    expect(bad({ workers: 1.5 })).toThrow("parameter workers is 1.5: it must be a whole number from 0 to 8")
    expect(bad({ batchSize: "16" })).toThrow("parameter batchSize is \"16\": it must be a whole number from 1 to 256")
    expect(bad({ prefetchBatches: 0 })).toThrow(
      "parameter prefetchBatches is 0: it must be a whole number from 1 to 64"
    )
    expect(bad({ handOff: "post" })).toThrow("parameter handOff is \"post\": it must be one of clone, transfer, shared")
    expect(bad({ speed: 3 })).toThrow("unknown parameter speed: known are batchSize, workers")
    expect(bad({ precision: undefined })).toThrow("parameter precision is missing")
    expect(() => decodeParameters([])).toThrow("the parameters must be one JSON object")
  })

  it("must fit the memory budget together", () => {
    const large = { ...parameters, batchSize: 128, prefetchBatches: 8 }
    expect(() => decodeParameters({ ...large, precision: "float64" })).toThrow(
      "out of memory budget: 9 batches of 128 samples in float64 take 27.0 MiB, allowed are 24.0 MiB"
    )
    expect(decodeParameters({ ...large, precision: "float32" })).toHaveProperty("batchSize", 128)
  })
})
