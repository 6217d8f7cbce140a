/**
 * What stands on the disk and what does not: a file that is missing is `undefined`, and not an error. `node:` imports
 * only, for the wrapper of a job starts with this.
 */
import type { Stats } from "node:fs"
import { lstat } from "node:fs/promises"

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
