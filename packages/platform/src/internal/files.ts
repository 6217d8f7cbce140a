/**
 * Files as every part of this package handles them: one that is missing is `undefined` and not an error, and one that is
 * written is there whole or not at all, whatever moment its writer dies at. `node:` imports only, for the wrapper of a job
 * starts with this.
 *
 * A file that is to be whole is written beside its place first (`writeAside`). Then it gets its name by a rename, which
 * replaces what is there (`replaceFile`), or by a link, which does not: of many who try, one succeeds (`takeName`).
 */
import { randomBytes } from "node:crypto"
import type { Stats } from "node:fs"
import { type FileHandle, link, lstat, open, rename, rm, stat } from "node:fs/promises"
import { basename, dirname, join } from "node:path"

/** The code of a failed system call, as in `ENOENT`. */
export const codeOf = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined

/** What an operation on a file gives; undefined where there is no such file. */
export const ifThere = async <A>(operation: Promise<A>): Promise<A | undefined> => {
  try {
    return await operation
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined
    throw error
  }
}

/** The path's own entry, links not followed; undefined where there is none. */
export const entryAt = (path: string): Promise<Stats | undefined> => ifThere(lstat(path))

/** As many bytes of a file from a place on, or as there are: one that grows while it is read would have no end. */
export const readBytes = async (handle: FileHandle, from: number, count: number): Promise<Buffer> => {
  const bytes = Buffer.alloc(count)
  let length = 0
  while (length < count) {
    const { bytesRead } = await handle.read(bytes, length, count - length, from + length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return bytes.subarray(0, length)
}

/** The last bytes of a file of this size, and at most so many. */
export const readEnd = (handle: FileHandle, size: number, most: number): Promise<Buffer> =>
  readBytes(handle, Math.max(0, size - most), Math.min(size, most))

/** How a file is written. */
export interface Writing {
  /** Where it stands until it has its name; on the same disk. `asideOf` its place when left out. */
  readonly aside?: string
  /** As for `open`: what the process masks is taken off. */
  readonly mode?: number
  /** The permissions it gets whatever the process masks, from those that it was made with. */
  readonly permissions?: (made: number) => number
  /** Its content is on the disk before it has its name. The name itself is only once `syncDirectory` has returned. */
  readonly durable?: boolean
}

/** A name beside a file that nothing else has. */
export const asideOf = (path: string): string =>
  join(dirname(path), `.${basename(path)}.${process.pid}.${randomBytes(6).toString("hex")}`)

/** Creates a file for this content, which is to get its name afterwards. */
export const writeAside = async (
  aside: string,
  content: string | Uint8Array,
  { durable = false, mode = 0o666, permissions }: Omit<Writing, "aside"> = {}
): Promise<void> => {
  const handle = await open(aside, "wx", mode)
  try {
    if (permissions !== undefined) {
      const made = (await handle.stat()).mode & 0o777
      const wanted = permissions(made)
      if (wanted !== made) await handle.chmod(wanted)
    }
    await handle.writeFile(content)
    if (durable) await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Puts a file in its place, in the place of whatever file is there. Failed, it leaves nothing. */
export const replaceFile = async (path: string, content: string | Uint8Array, writing: Writing = {}): Promise<void> => {
  const { aside = asideOf(path) } = writing
  try {
    await writeAside(aside, content, writing)
    await rename(aside, path)
  } catch (error) {
    await rm(aside, { force: true })
    throw error
  }
}

/**
 * Gives what was written aside a name that no file has: true for the one that did. The name and the content appear
 * together: exclusive creation of the file itself would show others an empty file for a moment, and for ever if its
 * writer died there. So the content gets a hard link, which is exclusive too. What is aside is left for the caller to
 * remove. `durable`: the name is on the disk when this returns.
 */
export const takeName = async (aside: string, path: string, durable: boolean): Promise<boolean> => {
  try {
    await link(aside, path)
    if (durable) await syncDirectory(dirname(path))
    return true
  } catch (error) {
    // On a network disk an answer may be lost and the request sent again: then it exists, and is ours.
    if (codeOf(error) === "EEXIST") return (await stat(aside)).nlink > 1
    throw error
  }
}

/** Makes names in a directory durable: without it, a loss of power may forget them. Some systems cannot, and it fails there. */
export const syncDirectory = async (directory: string): Promise<void> => {
  const handle = await open(directory, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
