/** Second stage: undoes the zlib compression of one record. */

import { promisify } from "node:util"
import * as zlib from "node:zlib"

const inflate = promisify(zlib.inflate)

/** The bytes of a record. Runs on the thread pool, so several records are decompressed at a time. */
export const decompress = async (record: Uint8Array): Promise<Buffer> => {
  return await inflate(record)
}
