/**
 * Reads and writes files of a tree on disk, and never any other: a path is followed segment by
 * segment, symbolic links included, before it is opened.
 */
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { entryAt, readBytes, replaceFile } from "./files.ts"
import {
  checkEditable,
  checkSize,
  editableBytes,
  editContent,
  type Policy,
  readableBytes,
  segmentsOf,
  tooLargeToRead
} from "./guard.ts"
import { followPath, isBelow, openPlainFile } from "./insideRoot.ts"
import type { Edit, EditRejected } from "./workspaceChanges.ts"
import { WorkspaceError } from "./workspaceErrors.ts"
import { fileOperation, removeIfEmpty } from "./workspaceFiles.ts"
import type { Content, Look, Plan } from "./workspacePlan.ts"

// What the system takes, the zero at the end included; and what `store` appends to a directory.
const longestPath = process.platform === "linux" ? 4096 : process.platform === "win32" ? 32_767 : 1024
const asideBytes = "/.espalier-".length + 12

interface Target {
  /** The real path of the root. */
  readonly top: string
  readonly path: string
  /** Path below the root, with forward slashes. */
  readonly file: string
  readonly exists: boolean
}

/**
 * Where a path below `root` really leads. Fails where that is outside, or no place for a plain file, or where the policy
 * does not let it be changed; without a policy the path is only to be read.
 */
const locate = (
  root: string,
  file: string,
  policy: Policy | undefined,
  follow = true
): Effect.Effect<Target, WorkspaceError> =>
  Effect.gen(function*() {
    const refuse = (why: string) => Effect.fail(WorkspaceError.of({ _tag: "PathRefused", file, why }))
    const segments = yield* Effect.fromResult(segmentsOf(file))
    yield* Effect.fromResult(checkEditable(file, segments, policy))
    const top = yield* fileOperation("open", root, () => fs.realpath(root))
    const place = yield* fileOperation("look at", Path.join(top, ...segments), () => followPath(top, segments, follow))
    switch (place._tag) {
      case "Link":
        return yield* refuse(
          `${segments[place.index]} in it is a symbolic link, and a patch is not applied through one`
        )
      case "Nowhere":
        return yield* refuse(`the symbolic link ${segments[place.index]} in it leads nowhere`)
      case "Outside":
        return yield* refuse(`the symbolic link ${segments[place.index]} in it leads out of the tree`)
      case "NoDirectory":
        return yield* refuse(`${segments[place.index]} in it is not a directory`)
      case "Found":
        if (place.entry.isDirectory()) return yield* refuse("it names a directory")
        if (!place.entry.isFile()) return yield* refuse("it is not a plain file")
    }
    const { path } = place
    // A link inside the tree may lead to another file of it: that file has to be allowed too.
    const below = Path.relative(top, path).split(Path.sep).join("/")
    const real = yield* Effect.fromResult(segmentsOf(below))
    yield* Effect.fromResult(checkEditable(file, real, policy))
    const longest = Math.max(Buffer.byteLength(path), Buffer.byteLength(Path.dirname(path)) + asideBytes)
    if (policy !== undefined && longest >= longestPath) {
      return yield* refuse(
        `with the path of the tree it has ${longest} bytes, and ${longestPath - 1} are possible here`
      )
    }
    return { top, path, file: below, exists: place._tag === "Found" }
  })

/**
 * Writes a file whole or not at all, and never through another name that it has: a new file takes its place. Its mode
 * stays, but for the executable bits where `executable` says so.
 */
const store = (path: string, content: Buffer | string, executable?: boolean): Effect.Effect<void, WorkspaceError> =>
  fileOperation("write", path, async () => {
    await fs.mkdir(Path.dirname(path), { recursive: true })
    const before = await entryAt(path)
    await replaceFile(path, content, {
      aside: Path.join(Path.dirname(path), `.espalier-${randomBytes(6).toString("hex")}`),
      permissions: (made) => {
        const mode = before?.isFile() === true ? before.mode & 0o777 : made
        // Whoever may read it may execute it, as git does.
        return executable === undefined ? mode : executable ? mode | ((mode & 0o444) >> 2) : mode & ~0o111
      }
    })
  })

/** A file that has at most so many bytes: a larger one is not read, whoever made it. */
const load = ({ path, top }: Target, limitBytes: number): Effect.Effect<Content, WorkspaceError> =>
  fileOperation("read", path, async () => {
    const file = await openPlainFile(path, top)
    if (file === undefined) throw new Error("it is no plain file of the tree any more")
    const { entry: { mode, size }, handle } = file
    try {
      const executable = (mode & 0o100) !== 0
      return size > limitBytes
        ? { bytes: Buffer.alloc(0), executable, unreadBytes: size }
        : { bytes: await readBytes(handle, 0, size), executable }
    } finally {
      await handle.close()
    }
  })

/** The same, where its content is needed. `file` is for messages. */
const loadWhole = (target: Target, file: string, limitBytes: number): Effect.Effect<Buffer, WorkspaceError> =>
  Effect.flatMap(
    load(target, limitBytes),
    ({ bytes, unreadBytes }) =>
      unreadBytes === undefined ? Effect.succeed(bytes) : Effect.fail(tooLargeToRead(file, unreadBytes, limitBytes))
  )

/** The text of a file below `root`. */
export const readGuarded = (root: string, file: string, policy: Policy): Effect.Effect<string, WorkspaceError> =>
  Effect.gen(function*() {
    const target = yield* locate(root, file, undefined)
    return (yield* loadWhole(target, file, readableBytes(policy))).toString("utf8")
  })

/** Creates or replaces a file below `root`, with the directories that lead to it. Returns its real path below `root`. */
export const writeGuarded = (
  root: string,
  file: string,
  content: string,
  policy: Policy
): Effect.Effect<string, WorkspaceError> =>
  Effect.gen(function*() {
    const target = yield* locate(root, file, policy)
    yield* Effect.fromResult(checkSize(file, Buffer.byteLength(content), policy))
    yield* store(target.path, content)
    return target.file
  })

/** Applies an edit to a file below `root`. Returns the file's real path below `root`. */
export const editGuarded = (
  root: string,
  edit: Edit,
  policy: Policy
): Effect.Effect<string, WorkspaceError | EditRejected> =>
  Effect.gen(function*() {
    const target = yield* locate(root, edit.file, policy)
    const before = target.exists ? yield* loadWhole(target, edit.file, editableBytes(policy)) : undefined
    const after = yield* Effect.fromResult(editContent(edit, before))
    yield* Effect.fromResult(checkSize(edit.file, after.length, policy))
    yield* store(target.path, after)
    return target.file
  })

/** How a plan finds the files of a tree on disk. */
export const lookGuarded = (root: string, policy: Policy): Look => (file, follow) =>
  Effect.gen(function*() {
    const target = yield* locate(root, file, policy, follow)
    return { path: target.file, content: target.exists ? yield* load(target, editableBytes(policy)) : undefined }
  })

/**
 * Writes a plan to the disk, and is not interrupted at it: it is bounded by what a change may have. What goes first makes room: a directory is gone with its last file, as in git, and a file
 * may take its name. An error of the disk in the middle leaves a part: the tree is of no use then.
 */
export const storePlan = (root: string, plan: Plan): Effect.Effect<void, WorkspaceError> =>
  Effect.gen(function*() {
    const top = yield* fileOperation("open", root, () => fs.realpath(root))
    for (const [file, content] of plan.writes) {
      if (content === undefined) yield* fileOperation("remove", file, () => removeFile(top, Path.join(top, file)))
    }
    for (const [file, content] of plan.writes) {
      if (content !== undefined) yield* store(Path.join(top, file), content.bytes, content.executable)
    }
  }).pipe(Effect.uninterruptible)

const removeFile = async (top: string, path: string): Promise<void> => {
  await fs.rm(path, { force: true })
  for (let at = Path.dirname(path); at !== top && isBelow(top, at); at = Path.dirname(at)) {
    if (!await removeIfEmpty(at)) return
  }
}
