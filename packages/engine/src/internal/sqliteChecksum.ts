/**
 * The checksums of the journal's rows.
 *
 * Each covers what a row says about its own place, so that a row in another's place is noticed as well as one that
 * was changed.
 */
import { crc32 } from "node:zlib"

/** The checksum of a row of `chunks`. */
export const chunkChecksum = (
  run: number,
  { body, count, first_seq, version }: {
    readonly first_seq: number
    readonly count: number
    readonly version: number
    readonly body: string
  }
): number => crc32(body, crc32(`chunk ${run} ${first_seq} ${count} ${version}`))

/** The checksum of a row of `parts`. The generation is the row's key, and says to which snapshot it belongs. */
export const partChecksum = (run: number, generation: number, number: number, body: string): number =>
  crc32(body, crc32(`part ${run} ${generation} ${number}`))

/** The checksum of a row of `snapshots`. */
export const snapshotChecksum = (
  run: number,
  { generation, parts, seq, version }: {
    readonly generation: number
    readonly seq: number
    readonly version: number
    readonly parts: number
  }
): number => crc32(`snapshot ${run} ${generation} ${seq} ${version} ${parts}`)

/** The checksum of an entry in a file of format 1. */
export const formerChecksum = (seq: number, body: string): number => crc32(body, seq % 0x1_0000_0000)
