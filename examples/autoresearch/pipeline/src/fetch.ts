/** First stage: brings the compressed records of a batch in from the shards. */

import { type FileHandle, open, readFile } from "node:fs/promises"
import { join } from "node:path"
import { type Manifest, shardFile } from "./format.ts"

/** Where neighbouring records lie: one read. */
export interface Read {
  readonly shard: number
  readonly ids: ReadonlyArray<number>
}

/** An open dataset. */
export interface Dataset {
  readonly manifest: Manifest
  /** The compressed records of one read, in the order of its ids. */
  fetch(read: Read): Promise<Array<Uint8Array>>
  close(): Promise<void>
}

/** Groups ids into reads of up to `recordsPerRead` neighbours in one shard. */
export const planReads = (
  ids: ReadonlyArray<number>,
  recordsPerRead: number,
  recordsPerShard: number
): Array<Read> => {
  const reads: Array<{ shard: number; ids: Array<number> }> = []
  for (const id of ids) {
    const shard = Math.floor(id / recordsPerShard)
    const last = reads.at(-1)
    if (last?.shard === shard && last.ids.length < recordsPerRead && last.ids.at(-1) === id - 1) last.ids.push(id)
    else reads.push({ shard, ids: [id] })
  }
  return reads
}

/** Opens a dataset: reads its manifest and index, and opens its shards. */
export const openDataset = async (directory: string): Promise<Dataset> => {
  const manifest = JSON.parse(await readFile(join(directory, "manifest.json"), "utf8")) as Manifest
  const bytes = await readFile(join(directory, "index.bin"))
  const index = new Uint32Array(bytes.buffer, bytes.byteOffset, manifest.records * 2)
  const shards: Array<FileHandle> = []
  for (let shard = 0; shard * manifest.recordsPerShard < manifest.records; shard++) {
    shards.push(await open(join(directory, shardFile(shard)), "r"))
  }

  const fetch = async (read: Read): Promise<Array<Uint8Array>> => {
    const start = index[read.ids[0]! * 2]!
    const lastId = read.ids.at(-1)!
    const end = index[lastId * 2]! + index[lastId * 2 + 1]!
    const chunk = new Uint8Array(end - start)
    const { bytesRead } = await shards[read.shard]!.read(chunk, 0, chunk.length, start)
    if (bytesRead !== chunk.length) {
      throw new Error(`${shardFile(read.shard)} is cut short: ${bytesRead} of ${chunk.length} bytes at ${start}`)
    }
    return read.ids.map((id) => {
      const offset = index[id * 2]! - start
      return chunk.subarray(offset, offset + index[id * 2 + 1]!)
    })
  }

  return {
    manifest,
    fetch,
    close: async () => {
      await Promise.all(shards.map((shard) => shard.close()))
    }
  }
}
