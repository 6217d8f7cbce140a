/**
 * Reading a job's output files while the job writes them.
 *
 * The job owns its directory and can put anything there. Only plain files are read: to open a pipe waits for a
 * writer, for ever, and holds a thread of the engine meanwhile; a link can lead to a device that never ends.
 */
import * as Effect from "effect/Effect"
import { ExecutionError, type JobProgress } from "../Execution.ts"
import { codeOf, readEnd } from "./files.ts"
import { openPlainFile, type PlainFile } from "./insideRoot.ts"

const chunkBytes = 256 * 1024
const lineBytes = 4096

const cannotRead = (operation: string, path: string) => (cause: unknown): ExecutionError =>
  new ExecutionError({ operation, cause, message: `The output ${path} cannot be read: ${cause}.` })

/** A file that may not be there yet, opened for reading; `refused` when it is there, and not a plain file. */
const withFile = async <A>(
  path: string,
  read: (file: PlainFile) => Promise<A>,
  absent: A,
  refused: A
): Promise<A> => {
  const file = await openPlainFile(path).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return null
    throw error
  })
  if (file === null) return absent
  if (file === undefined) return refused
  try {
    return await read(file)
  } finally {
    await file.handle.close()
  }
}

/** A part of an output. `refused`: what stands there is not a plain file, and was not read. */
export interface Part {
  readonly bytes: Uint8Array
  readonly refused: boolean
}

const noBytes = new Uint8Array()

/** What stands in a file from this byte on, at most 256 KiB of it; nothing when there is no more, or no file. */
export const readFrom = (path: string, offset: number): Effect.Effect<Part, ExecutionError> =>
  Effect.tryPromise({
    try: () =>
      withFile<Part>(
        path,
        async ({ handle }) => {
          const buffer = new Uint8Array(chunkBytes)
          const { bytesRead } = await handle.read(buffer, 0, chunkBytes, offset)
          // A short chunk is copied, so that it does not keep the whole buffer alive.
          return { bytes: bytesRead === chunkBytes ? buffer : buffer.slice(0, bytesRead), refused: false }
        },
        { bytes: noBytes, refused: false },
        { bytes: noBytes, refused: true }
      ),
    catch: cannotRead("logs", path)
  })

/** The last line that is not blank, of text whose lines may end in a carriage return (progress bars do). */
export const lastLineOf = (text: string): string | undefined => {
  // Terminal sequences and control characters are for a terminal that is not there.
  const plain = text.replaceAll(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\^_])/g, "")
  return plain.split(/[\r\n]+/).map((line) => line.replaceAll(/[\p{Cc}\u2028-\u202e\u2066-\u2069]+/gu, " ").trim())
    .findLast((line) => line !== "")
}

/** The last line of whichever of these files grew last; undefined when none holds anything. */
export const lastLine = (
  paths: ReadonlyArray<string>
): Effect.Effect<JobProgress | undefined, ExecutionError> =>
  Effect.forEach(paths, (path) =>
    Effect.tryPromise({
      try: () =>
        withFile<JobProgress | undefined>(
          path,
          async ({ entry: { mtimeMs, size }, handle }) => {
            if (size === 0) return undefined
            const end = await readEnd(handle, size, lineBytes)
            return { line: lastLineOf(end.toString("utf8")) ?? "", at: Math.round(mtimeMs) }
          },
          undefined,
          undefined
        ),
      catch: cannotRead("progress", path)
    })).pipe(Effect.map((found) =>
      found.filter((one) => one !== undefined).reduce<JobProgress | undefined>(
        (newest, one) => newest === undefined || one.at > newest.at ? one : newest,
        undefined
      )
    ))
