/**
 * Reads and writes files of a tree on disk, and never any other: a path is followed segment by
 * segment, symbolic links included, before it is opened.
 */
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { type Edit, type EditRejected, WorkspaceError } from "../Workspace.ts"
import { checkEditable, editContent, segmentsOf } from "./guard.ts"

/**
 * Runs a file operation; its refusal becomes a typed error. Not interruptible: the operations are
 * short, and one that goes on in the background after its effect was given up would act on a tree
 * that somebody else opened since.
 */
export const fileOperation = <A>(
  operation: string,
  file: string,
  run: () => Promise<A>
): Effect.Effect<A, WorkspaceError> =>
  Effect.uninterruptible(Effect.tryPromise({
    try: run,
    catch: (error) => WorkspaceError.of({ _tag: "FileFailed", file, operation, detail: detailOf(error) })
  }))

const detailOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

/** The path's own entry, links not followed; undefined where there is none. */
export const entryAt = (path: string) =>
  fs.lstat(path).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return undefined
    throw error
  })

const isBelow = (root: string, path: string): boolean => path === root || path.startsWith(root + Path.sep)

interface Target {
  readonly path: string
  readonly exists: boolean
}

/** Where a path below `root` really leads. Fails where that is outside, or no place for a plain file. */
const locate = (
  root: string,
  file: string,
  editable: ReadonlyArray<string> | undefined
): Effect.Effect<Target, WorkspaceError> =>
  Effect.gen(function*() {
    const refuse = (why: string) => Effect.fail(WorkspaceError.of({ _tag: "PathRefused", file, why }))
    const segments = yield* Effect.fromResult(segmentsOf(file))
    yield* Effect.fromResult(checkEditable(file, segments, editable))
    const top = yield* fileOperation("open", root, () => fs.realpath(root))
    let path = top
    let exists = true
    for (const [index, segment] of segments.entries()) {
      const next = Path.join(path, segment)
      const entry = yield* fileOperation("look at", next, () => entryAt(next))
      if (entry === undefined) {
        path = Path.join(path, ...segments.slice(index))
        exists = false
        break
      }
      path = entry.isSymbolicLink()
        ? yield* Effect.tryPromise({
          try: () => fs.realpath(next),
          catch: () =>
            WorkspaceError.of({ _tag: "PathRefused", file, why: `the symbolic link ${segment} in it leads nowhere` })
        })
        : next
      if (!isBelow(top, path)) return yield* refuse(`the symbolic link ${segment} in it leads out of the tree`)
      const kind = yield* fileOperation("look at", path, () => fs.lstat(path))
      const last = index === segments.length - 1
      if (!last && !kind.isDirectory()) return yield* refuse(`${segment} in it is not a directory`)
      if (last && kind.isDirectory()) return yield* refuse("it names a directory")
      if (last && !kind.isFile()) return yield* refuse("it is not a plain file")
    }
    // A link inside the tree may lead to another file of it: that file has to be allowed too.
    const real = yield* Effect.fromResult(segmentsOf(Path.relative(top, path).split(Path.sep).join("/")))
    yield* Effect.fromResult(checkEditable(file, real, editable))
    return { path, exists }
  })

// A link that replaces the file between check and use is not followed. Windows has no such flag.
const noFollow = constants.O_NOFOLLOW ?? 0

const store = (path: string, content: Buffer | string): Effect.Effect<void, WorkspaceError> =>
  fileOperation("write", path, async () => {
    await fs.mkdir(Path.dirname(path), { recursive: true })
    const handle = await fs.open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | noFollow, 0o666)
    try {
      await handle.writeFile(content)
    } finally {
      await handle.close()
    }
  })

const load = (path: string): Effect.Effect<Buffer, WorkspaceError> =>
  fileOperation("read", path, async () => {
    const handle = await fs.open(path, constants.O_RDONLY | noFollow)
    try {
      return await handle.readFile()
    } finally {
      await handle.close()
    }
  })

/** The text of a file below `root`. */
export const readGuarded = (root: string, file: string): Effect.Effect<string, WorkspaceError> =>
  Effect.gen(function*() {
    const target = yield* locate(root, file, undefined)
    return (yield* load(target.path)).toString("utf8")
  })

/** Creates or replaces a file below `root`, with the directories that lead to it. Returns its real path. */
export const writeGuarded = (
  root: string,
  file: string,
  content: string,
  editable: ReadonlyArray<string> | undefined
): Effect.Effect<string, WorkspaceError> =>
  Effect.gen(function*() {
    const target = yield* locate(root, file, editable)
    yield* store(target.path, content)
    return target.path
  })

/** Applies an edit to a file below `root`. Returns the file's real path. */
export const editGuarded = (
  root: string,
  edit: Edit,
  editable: ReadonlyArray<string> | undefined
): Effect.Effect<string, WorkspaceError | EditRejected> =>
  Effect.gen(function*() {
    const target = yield* locate(root, edit.file, editable)
    const before = target.exists ? yield* load(target.path) : undefined
    const after = yield* Effect.fromResult(editContent(edit, before))
    yield* store(target.path, after)
    return target.path
  })

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
