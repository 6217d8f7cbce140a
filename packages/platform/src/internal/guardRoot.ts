/**
 * Whether a tree's directory is still the one that was opened. A program in the tree may put a link in its place; every path
 * below it would then lead to where that points, for the root itself is not among the segments that are followed.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { codeOf, entryAt } from "./files.ts"
import { WorkspaceError } from "./workspaceErrors.ts"
import { fileOperation } from "./workspaceFiles.ts"

/** What a tree's directory was when it was opened. */
export interface Root {
  /** The directory that was made for the tree. */
  readonly top: string
  readonly device: number
  readonly inode: number
  /** `Tree.path`: `top`, or a directory below it. A program may make that one anew, it is content. */
  readonly path: string
  /** Where `path` really was. */
  readonly real: string
}

/** Notes down a tree's directory that stands there, and has not been given to anybody yet. */
export const rootAt = (top: string, path: string): Effect.Effect<Root, WorkspaceError> =>
  fileOperation("look at", path, async () => {
    const { dev, ino } = await fs.lstat(top)
    // A job that outlived the engine may have deleted what is below the top.
    const real = await fs.realpath(path).catch(async (error: unknown) => {
      if (codeOf(error) !== "ENOENT") throw error
      return Path.join(await fs.realpath(top), Path.relative(top, path))
    })
    return { top, device: dev, inode: ino, path, real }
  })

/** Fails where something else stands there now. What is gone is left to the operation, which says so. */
export const requireRoot = (root: Root): Effect.Effect<void, WorkspaceError> =>
  Effect.flatMap(
    fileOperation("look at", root.path, async () => {
      const entry = await entryAt(root.top)
      if (entry === undefined) return true
      if (!entry.isDirectory() || entry.dev !== root.device || entry.ino !== root.inode) return false
      const real = await fs.realpath(root.path).catch((error: unknown) => {
        const code = codeOf(error)
        // A link that leads nowhere, or in a circle, is no directory of ours either.
        if (code === "ENOENT") return entryAt(root.path).then((left) => left === undefined ? root.real : undefined)
        if (code === "ELOOP") return undefined
        if (code === "ENOTDIR") return root.real
        throw error
      })
      return real === root.real
    }),
    (isSame) =>
      isSame ? Effect.void : Effect.fail(WorkspaceError.of({
        _tag: "PathRefused",
        file: root.path,
        why:
          "it is not the directory any more that was opened as this tree, for something in it moved it away or put a " +
          "link in its place. Close the tree and open it again"
      }))
  )
