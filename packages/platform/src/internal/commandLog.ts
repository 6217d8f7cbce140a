/** The log file of a command: opened for it, and its end read afterwards. */
import * as fs from "node:fs/promises"
import * as Path from "node:path"

/** Most of a log that goes into an error or a record. */
const tailBytes = 8 * 1024
const tailLines = 40

/** Creates the file anew, with the directories that lead to it. */
export const openLog = async (file: string): Promise<fs.FileHandle> => {
  await fs.mkdir(Path.dirname(file), { recursive: true })
  return fs.open(file, "w")
}

/** The last lines of a file. A line that is cut in two at its start is left out, unless it is the only one. */
export const readTail = async (file: string): Promise<string> => {
  const handle = await fs.open(file, "r")
  try {
    const { size } = await handle.stat()
    const start = Math.max(0, size - tailBytes)
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - start), 0, size - start, start)
    const lines = buffer.subarray(0, bytesRead).toString("utf8").trimEnd().split(/\r?\n/)
    if (start > 0 && lines.length > 1) lines.shift()
    return lines.slice(-tailLines).join("\n")
  } finally {
    await handle.close()
  }
}
