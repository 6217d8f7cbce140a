/** Reading a job's output files while the job writes them. */
import * as Effect from "effect/Effect"
import { open } from "node:fs/promises"
import { ExecutionError, type JobProgress } from "../Execution.ts"
import { codeOf } from "./processFiles.ts"

const chunkBytes = 256 * 1024
const lineBytes = 4096

const cannotRead = (operation: string, path: string) => (cause: unknown): ExecutionError =>
  new ExecutionError({ operation, cause, message: `The output ${path} cannot be read: ${cause}.` })

/** A file that may not be there yet, opened for reading. */
const withFile = async <A>(path: string, read: (file: Awaited<ReturnType<typeof open>>) => Promise<A>, absent: A) => {
  let file: Awaited<ReturnType<typeof open>>
  try {
    file = await open(path, "r")
  } catch (error) {
    if (codeOf(error) === "ENOENT") return absent
    throw error
  }
  try {
    return await read(file)
  } finally {
    await file.close()
  }
}

/** What stands in a file from this byte on, at most 256 KiB of it; nothing when there is no more, or no file. */
export const readFrom = (path: string, offset: number): Effect.Effect<Uint8Array, ExecutionError> =>
  Effect.tryPromise({
    try: () =>
      withFile(path, async (file) => {
        const buffer = new Uint8Array(chunkBytes)
        const { bytesRead } = await file.read(buffer, 0, chunkBytes, offset)
        // A short chunk is copied, so that it does not keep the whole buffer alive.
        return bytesRead === chunkBytes ? buffer : buffer.slice(0, bytesRead)
      }, new Uint8Array()),
    catch: cannotRead("logs", path)
  })

/** The last line that is not blank, of text whose lines may end in a carriage return (progress bars do). */
export const lastLineOf = (text: string): string | undefined => {
  // Terminal sequences and control characters are for a terminal that is not there.
  const plain = text.replaceAll(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\^_])/g, "")
  return plain.split(/[\r\n]+/).map((line) => line.replaceAll(/[\u0000-\u001f\u007f]+/g, " ").trim())
    .findLast((line) => line !== "")
}

/** The last line of whichever of these files grew last; undefined when none holds anything. */
export const lastLine = (
  paths: ReadonlyArray<string>
): Effect.Effect<JobProgress | undefined, ExecutionError> =>
  Effect.forEach(paths, (path) =>
    Effect.tryPromise({
      try: () =>
        withFile<JobProgress | undefined>(path, async (file) => {
          const { mtimeMs, size } = await file.stat()
          if (size === 0) return undefined
          const from = Math.max(0, size - lineBytes)
          const { buffer, bytesRead } = await file.read(Buffer.alloc(lineBytes), 0, lineBytes, from)
          return { line: lastLineOf(buffer.toString("utf8", 0, bytesRead)) ?? "", at: Math.round(mtimeMs) }
        }, undefined),
      catch: cannotRead("progress", path)
    })).pipe(Effect.map((found) =>
      found.filter((one) => one !== undefined).reduce<JobProgress | undefined>(
        (newest, one) => newest === undefined || one.at > newest.at ? one : newest,
        undefined
      )
    ))
