/**
 * The files of a workspace, as its layers handle them: every operation is an effect whose refusal is a `WorkspaceError`,
 * and what is removed is gone whole. What goes by a path that somebody else named is in `guardFiles.ts`.
 */
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { attempt, attemptLong, detailOf } from "./fileEffects.ts"
import { codeOf, entryAt } from "./files.ts"
import { WorkspaceError } from "./workspaceErrors.ts"

const failedBecause = (operation: string, file: string) => (error: unknown): WorkspaceError =>
  error instanceof WorkspaceError
    ? error
    : WorkspaceError.of({ _tag: "FileFailed", file, operation, detail: detailOf(error) })

/** A short file operation. */
export const fileOperation = <A>(
  operation: string,
  file: string,
  run: () => Promise<A>
): Effect.Effect<A, WorkspaceError> => attempt(run, failedBecause(operation, file))

/** The same for what takes its time: it can be interrupted. */
export const longFileOperation = <A>(
  operation: string,
  file: string,
  run: (signal: AbortSignal) => Promise<A>
): Effect.Effect<A, WorkspaceError> => attemptLong(run, failedBecause(operation, file))

/** Removes a directory that has nothing in it; returns whether it is gone. */
export const removeIfEmpty = async (directory: string): Promise<boolean> => {
  try {
    await fs.rmdir(directory)
  } catch (error) {
    const code = codeOf(error)
    if (code === "ENOENT") return true
    if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOTDIR") throw error
    return false
  }
  return true
}

/**
 * Removes a directory with all that is in it; none is fine. Builds leave directories that even their
 * owner may not write (module caches do), so these are opened up and the removal is tried once more.
 */
export const removeDirectory = (path: string): Effect.Effect<void, WorkspaceError> =>
  fileOperation("remove", path, async () => {
    const remove = () => fs.rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 })
    try {
      await remove()
    } catch (error) {
      if (codeOf(error) !== "EACCES" && codeOf(error) !== "EPERM") throw error
      await openUp(path)
      await remove()
    }
  })

/**
 * Removes what stands at `path` so that it is there whole, or not at all, whatever moment the engine dies at: it gets
 * another name first, `.removed-` and so on, beside the old one. Nothing takes a directory of such a name for a tree.
 */
export const removeWhole = (path: string): Effect.Effect<void, WorkspaceError> =>
  Effect.uninterruptible(Effect.flatMap(
    fileOperation("remove", path, async () => {
      const aside = Path.join(Path.dirname(path), `.removed-${randomBytes(6).toString("hex")}`)
      try {
        await fs.rename(path, aside)
        return aside
      } catch (error) {
        const code = codeOf(error)
        if (code === "ENOENT" || code === "ENOTDIR") return undefined
        // A mount point, and a directory of a lower layer of a container's file system, keep their names.
        if (code === "EBUSY" || code === "EXDEV") return path
        throw error
      }
    }),
    (left) => left === undefined ? Effect.void : removeDirectory(left)
  ))

const openUp = async (directory: string): Promise<void> => {
  const entry = await entryAt(directory)
  if (entry === undefined || !entry.isDirectory()) return
  await fs.chmod(directory, entry.mode | 0o700)
  for (const child of await fs.readdir(directory, { withFileTypes: true })) {
    if (child.isDirectory()) await openUp(Path.join(directory, child.name))
  }
}
