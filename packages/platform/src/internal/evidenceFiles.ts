/**
 * The files of a job that a glob names, and their bytes.
 *
 * The job owns its directories and can put anything there: links that lead out, pipes that never end, a million files.
 * So: what is opened lies inside (asked after it was opened, too), is a plain file, and there are not more of them, nor
 * larger ones, than the limits say. Beyond a limit nothing is read at all: a metric of half the files would be a wrong one.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { lstat, opendir, realpath, stat } from "node:fs/promises"
import { isAbsolute, join } from "node:path"
import { EvidenceError } from "../Evidence.ts"
import { codeOf } from "./files.ts"
import { type Glob, nameMatches, type Segment } from "./glob.ts"
import { isBelow, openPlainFile } from "./insideRoot.ts"

/** How much is looked at, and read. */
export interface FileLimits {
  readonly files: number
  readonly bytes: number
}

/** How many names are looked at on the way. */
const entryLimit = 200_000
const chunkBytes = 256 * 1024

/** A file that was found. `path` is relative to the directory. */
export interface FoundFile<E = EvidenceError> {
  readonly path: string
  readonly bytes: Stream.Stream<Uint8Array, E>
}

/** The files, in the order of their paths; and what was refused, as sentences without an end. */
export interface FoundFiles<E = EvidenceError> {
  readonly files: ReadonlyArray<FoundFile<E>>
  readonly refused: ReadonlyArray<string>
}

interface Candidate {
  readonly path: string
  readonly real: string
  readonly size: number
}

class Search {
  readonly found = new Map<string, Candidate>()
  readonly refused = new Set<string>()
  private entries = 0
  private readonly root: string
  private readonly limits: FileLimits
  private readonly signal: AbortSignal

  constructor(root: string, limits: FileLimits, signal: AbortSignal) {
    this.root = root
    this.limits = limits
    this.signal = signal
  }

  /** `at`: the real path of a directory inside; `path`: the same as it was asked for. */
  async walk(at: string, path: string, segments: ReadonlyArray<Segment>): Promise<void> {
    const [segment, ...rest] = segments
    if (segment === undefined) return
    if (segment._tag === "Name") return this.visit(at, path, segment.name, rest, true)
    // `**` is also no directory at all.
    if (segment._tag === "Directories") await this.walk(at, path, rest)
    for (const name of await this.names(at)) {
      if (!nameMatches(segment, name)) continue
      if (segment._tag === "Directories") await this.visit(at, path, name, segments, false)
      else await this.visit(at, path, name, rest, true)
    }
  }

  /** Goes on with one entry. Under `**` no link is followed: it could lead in circles. */
  private async visit(
    at: string,
    path: string,
    name: string,
    rest: ReadonlyArray<Segment>,
    follow: boolean
  ): Promise<void> {
    const asked = path === "" ? name : `${path}/${name}`
    const place = join(at, name)
    const real = await absent(realpath(place))
    // Names come as text. One whose bytes are no UTF-8 has marks in it that are not in the name on the disk.
    if (real === undefined && name.includes("\ufffd") && await absent(lstat(place)) === undefined) {
      this.refused.add(`a name that is no UTF-8 cannot be opened, and was passed over: ${asked}`)
    }
    if (real === undefined || (!follow && real !== place)) return
    if (!isBelow(this.root, real)) {
      this.refused.add(`a link that leads out of the directory was refused: ${asked}`)
      return
    }
    const info = await absent(stat(real))
    if (info === undefined) return
    if (rest.length > 0) {
      if (info.isDirectory()) await this.walk(real, asked, rest)
    } else if (info.isFile()) this.found.set(asked, { path: asked, real, size: info.size })
    if (this.found.size > this.limits.files) {
      throw new TooMany(`more than ${this.limits.files} files match, and none was read: narrow the glob`)
    }
  }

  private async names(directory: string): Promise<ReadonlyArray<string>> {
    const names: Array<string> = []
    const entries = await absent(opendir(directory))
    if (entries === undefined) return names
    for await (const { name } of entries) {
      this.signal.throwIfAborted()
      if (++this.entries > entryLimit) {
        throw new TooMany(`the glob leads through more than ${entryLimit} names, and nothing was read: narrow it`)
      }
      names.push(name)
    }
    return names
  }
}

/** A limit was passed. */
class TooMany extends Error {}

/** Nothing when it is not there, cannot be looked at, or leads in circles. */
const absent = async <A>(promise: Promise<A>): Promise<A | undefined> => {
  try {
    return await promise
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES", "ELOOP", "ENAMETOOLONG"].includes(codeOf(error) ?? "")) return undefined
    throw error
  }
}

const cannotRead = (what: string) => (cause: unknown): EvidenceError =>
  new EvidenceError({ operation: "collect", cause, message: `${what} cannot be read: ${String(cause)}` })

async function* chunks(root: string, { path, real, size }: Candidate): AsyncGenerator<Uint8Array> {
  const file = await openPlainFile(real, root)
  if (file === undefined) throw new Error(`${path} was replaced while it was looked at`)
  try {
    // Not further than it was long when it was found: it may grow for ever.
    for (let offset = 0; offset < size;) {
      const buffer = new Uint8Array(Math.min(chunkBytes, size - offset))
      const { bytesRead } = await file.handle.read(buffer, 0, buffer.length, offset)
      if (bytesRead === 0) return
      offset += bytesRead
      yield bytesRead === buffer.length ? buffer : buffer.slice(0, bytesRead)
    }
  } finally {
    await file.handle.close()
  }
}

/** Why a file that is named is no plain file, and is not read; nothing where it is one, or is not there. */
export const noPlainFile = (directory: string, name: string): Effect.Effect<string | undefined, EvidenceError> =>
  Effect.tryPromise({
    try: async () => {
      const info = isAbsolute(directory) ? await absent(lstat(join(directory, name))) : undefined
      if (info === undefined || info.isFile()) return undefined
      const what = info.isSymbolicLink() ? "a link" : info.isDirectory() ? "a directory" : "a pipe or a device"
      return `${name} was not read, because it is no plain file but ${what}`
    },
    catch: cannotRead(`The file ${name} of the job`)
  })

/** Finds the files of a directory that match. None when the directory is not there. */
export const findFiles = (
  directory: string,
  glob: Glob,
  limits: FileLimits
): Effect.Effect<FoundFiles, EvidenceError> =>
  Effect.tryPromise({
    try: async (signal): Promise<FoundFiles> => {
      const root = isAbsolute(directory) ? await absent(realpath(directory)) : undefined
      if (root === undefined) return { files: [], refused: [] }
      const search = new Search(root, limits, signal)
      try {
        for (const segments of glob.alternatives) await search.walk(root, "", segments)
      } catch (error) {
        if (error instanceof TooMany) return { files: [], refused: [error.message] }
        throw error
      }
      const candidates = [...search.found.values()].sort((a, b) => a.path < b.path ? -1 : a.path > b.path ? 1 : 0)
      const large = candidates.find(({ size }) => size > limits.bytes)
      if (large !== undefined) {
        const why = `${large.path} has ${large.size} bytes, more than ${limits.bytes}, and no file was read`
        return { files: [], refused: [`a file is too large: ${why}`] }
      }
      const files = candidates.map((one): FoundFile => ({
        path: one.path,
        bytes: Stream.fromAsyncIterable(chunks(root, one), cannotRead(`The file ${one.path} of the job`))
      }))
      return { files, refused: [...search.refused] }
    },
    catch: cannotRead("The files of the job")
  })
