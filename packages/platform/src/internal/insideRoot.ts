/**
 * Paths below a directory, named by somebody who is not trusted, in a directory that somebody else changes meanwhile. A
 * path is followed through every symbolic link before anything is opened. What is opened is a plain file: a pipe would
 * wait for ever, a device has no end. And where it was opened is asked once more, for a directory on the way to it may
 * have been replaced by a link since. `node:` imports only.
 */
import { constants, type Stats } from "node:fs"
import { type FileHandle, lstat, open, readlink, realpath } from "node:fs/promises"
import { join, sep } from "node:path"
import { codeOf, entryAt } from "./files.ts"

/** Whether a path is a directory or lies below it, both without links in them. */
export const isBelow = (root: string, path: string): boolean =>
  path === root || path.startsWith(root.endsWith(sep) ? root : root + sep)

/** Where a path leads. `index` is that of the segment at which it cannot be followed. */
export type Place =
  /** Something stands there, and is no link. */
  | { readonly _tag: "Found"; readonly path: string; readonly entry: Stats }
  /** Nothing stands there, and `path` is where it would. */
  | { readonly _tag: "Free"; readonly path: string }
  /** A link leads out of the root. */
  | { readonly _tag: "Outside"; readonly index: number }
  /** A link leads nowhere, or in a circle. */
  | { readonly _tag: "Nowhere"; readonly index: number; readonly cause: unknown }
  /** What is no directory has something below it. */
  | { readonly _tag: "NoDirectory"; readonly index: number }
  /** A link, where none was to be followed. */
  | { readonly _tag: "Link"; readonly index: number }

/**
 * Follows the segments of a path, none of them `..`, below a root, which is a real path itself. Rejects with what the
 * system says where something cannot be looked at.
 */
export const followPath = async (
  root: string,
  segments: ReadonlyArray<string>,
  throughLinks = true
): Promise<Place> => {
  let path = root
  let entry = await lstat(root)
  for (const [index, segment] of segments.entries()) {
    if (index > 0 && !entry.isDirectory()) return { _tag: "NoDirectory", index: index - 1 }
    path = join(path, segment)
    const found = await entryAt(path)
    if (found === undefined) return { _tag: "Free", path: join(path, ...segments.slice(index + 1)) }
    entry = found
    if (!entry.isSymbolicLink()) continue
    if (!throughLinks) return { _tag: "Link", index }
    try {
      path = await realpath(path)
    } catch (cause) {
      return { _tag: "Nowhere", index, cause }
    }
    if (!isBelow(root, path)) return { _tag: "Outside", index }
    entry = await lstat(path)
  }
  return { _tag: "Found", path, entry }
}

/** A file that is open for reading, and what it was at that moment. Whoever opened it closes it. */
export interface PlainFile {
  readonly handle: FileHandle
  readonly entry: Stats
}

// Without following a link at its end, and without waiting for the other end of a pipe. Windows has no such flags.
const openFlags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
/** What opening a link, and opening a socket, ends with. */
const refusals: ReadonlySet<string | undefined> = new Set(["ELOOP", "EMLINK", "ENXIO"])

/** Opens a plain file; undefined where something else stands there, or, with a root, where it is not below that any more. */
export const openPlainFile = async (path: string, root?: string): Promise<PlainFile | undefined> => {
  let handle: FileHandle
  try {
    handle = await open(path, openFlags)
  } catch (error) {
    if (refusals.has(codeOf(error))) return undefined
    throw error
  }
  try {
    const entry = await handle.stat()
    // Only Linux tells where a file was opened.
    const opened = root === undefined ? path : await readlink(`/proc/self/fd/${handle.fd}`).catch(() => path)
    if (entry.isFile() && (root === undefined || isBelow(root, opened))) return { handle, entry }
  } catch (error) {
    await handle.close()
    throw error
  }
  await handle.close()
  return undefined
}
