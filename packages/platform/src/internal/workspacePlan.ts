/**
 * Works out what changes make of the files of a tree, before anything is written: all of them fit, or none is done. The
 * layers say how a file is found and read, and write the result.
 */
import * as Effect from "effect/Effect"
import { checkSize, editableBytes, editContent, type Policy, tooLargeToRead } from "./guard.ts"
import type { AppliedFile, Change, EditRejected } from "./workspaceChanges.ts"
import { PatchRejected } from "./workspaceChanges.ts"
import { WorkspaceError } from "./workspaceErrors.ts"
import { type FilePatch, parsePatch } from "./workspacePatch.ts"
import { allowedWork, applyHunks, spend, tooMuchWork } from "./workspacePatchApply.ts"

/** A plain file. */
export interface Content {
  readonly bytes: Buffer
  readonly executable: boolean
  /** Its size where it is too large to be read: it can be replaced as a whole, and `bytes` is empty. */
  readonly unreadBytes?: number | undefined
}

/** A place in a tree that may be changed: its real path below the tree, and what stands there. */
export interface Place {
  readonly path: string
  readonly content: Content | undefined
}

/**
 * Finds a file that is to be changed, guarded. `follow` is false for patches: these are not applied through symbolic
 * links, not even through those that stay in the tree.
 */
export type Look = (file: string, follow: boolean) => Effect.Effect<Place, WorkspaceError>

/** What is to be written (undefined: to be deleted), by real path, and what to tell of it. */
export interface Plan {
  readonly writes: ReadonlyMap<string, Content | undefined>
  readonly applied: ReadonlyArray<AppliedFile>
}

/** Whatever is allowed: what is longer makes no string of bytes, and was not written by anybody. */
const mostPatchBytes = 128 * 1024 * 1024

/** Plans changes, in order. Others go on between two files, so that the engine is not held up by a change of many. */
export const planChanges = (
  changes: ReadonlyArray<Change>,
  policy: Policy,
  lookAt: Look
): Effect.Effect<Plan, EditRejected | PatchRejected | WorkspaceError> =>
  Effect.gen(function*() {
    const original = new Map<string, Content | undefined>()
    const now = new Map<string, Content | undefined>()
    const movedFrom = new Map<string, string>()

    // What earlier changes made of a file hides what stands in the tree.
    const look: Look = (file, follow) =>
      Effect.map(lookAt(file, follow), ({ content, path }) => {
        if (!original.has(path)) original.set(path, content)
        return { path, content: now.has(path) ? now.get(path) : content }
      })

    const put = (path: string, content: Content) =>
      Effect.map(Effect.fromResult(checkSize(path, content.bytes.length, policy)), () => {
        now.set(path, content)
      })

    const needWhole = (file: string, content: Content | undefined) =>
      content?.unreadBytes === undefined
        ? Effect.void
        : Effect.fail(tooLargeToRead(file, content.unreadBytes, editableBytes(policy)))

    for (const change of changes) {
      yield* Effect.yieldNow
      if (change._tag === "File") {
        const { content, path } = yield* look(change.file, true)
        yield* put(path, { bytes: Buffer.from(change.content, "utf8"), executable: content?.executable ?? false })
      } else if (change._tag === "Replace") {
        const { content, path } = yield* look(change.file, true)
        yield* needWhole(change.file, content)
        const bytes = yield* Effect.fromResult(editContent(change, content?.bytes))
        yield* put(path, { bytes, executable: content?.executable ?? false })
      } else {
        const limit = policy.maxChangeBytes
        const bytes = Buffer.byteLength(change.patch)
        // A patch may remove as much as it adds; one that is longer than both cannot be allowed anyway.
        if (bytes > Math.min(2 * limit + 65_536, mostPatchBytes)) {
          return yield* WorkspaceError.of({ _tag: "TooLarge", file: null, bytes, limitBytes: limit })
        }
        const files = yield* Effect.fromResult(parsePatch(change.name, change.patch))
        yield* planPatch(change.name, files, { look, put, needWhole, now, movedFrom })
      }
    }

    yield* requireApart(now)
    const writes = new Map<string, Content | undefined>()
    for (const [path, content] of now) {
      const first = original.get(path)
      const isSame = first === content || (first !== undefined && content !== undefined &&
        first.unreadBytes === content.unreadBytes && first.executable === content.executable &&
        first.bytes.equals(content.bytes))
      if (!isSame) writes.set(path, content)
    }
    const bytes = [...writes.values()].reduce((sum, content) => sum + (content?.bytes.length ?? 0), 0)
    if (bytes > policy.maxChangeBytes) {
      return yield* WorkspaceError.of({ _tag: "TooLarge", file: null, bytes, limitBytes: policy.maxChangeBytes })
    }
    return { writes, applied: tell(writes, original, movedFrom) }
  })

/** Fails where one file of the change would have to be a directory for another. */
const requireApart = (now: ReadonlyMap<string, Content | undefined>): Effect.Effect<void, WorkspaceError> => {
  for (const [file, content] of now) {
    if (content === undefined) continue
    for (let end = file.indexOf("/"); end >= 0; end = file.indexOf("/", end + 1)) {
      const above = file.slice(0, end)
      if (now.get(above) === undefined) continue
      const why = `${JSON.stringify(above)} in it is not a directory: the same change makes it a file`
      return Effect.fail(WorkspaceError.of({ _tag: "PathRefused", file, why }))
    }
  }
  return Effect.void
}

interface State {
  readonly look: Look
  readonly put: (path: string, content: Content) => Effect.Effect<void, WorkspaceError>
  /** Fails where a file was not read. */
  readonly needWhole: (file: string, content: Content | undefined) => Effect.Effect<void, WorkspaceError>
  readonly now: Map<string, Content | undefined>
  readonly movedFrom: Map<string, string>
}

const isMove = (patch: FilePatch): patch is FilePatch & { readonly from: string; readonly to: string } =>
  patch.from !== null && patch.to !== null && patch.from !== patch.to

const planPatch = (
  name: string,
  files: ReadonlyArray<FilePatch>,
  state: State
): Effect.Effect<void, PatchRejected | WorkspaceError> =>
  Effect.gen(function*() {
    const refuse = (problem: PatchRejected["problem"], file: string, why: string) =>
      PatchRejected.because(name, problem, why, { file })

    // Renames of one patch happen at once, they may go in a circle: so what they take is read before anything changes.
    const taken = new Map<string, Place>()
    const work = allowedWork()
    const users = new Map<string, number>()
    for (const { copy, from } of files) {
      if (from !== null && !copy) users.set(from, (users.get(from) ?? 0) + 1)
    }
    for (const patch of files) {
      if (!isMove(patch)) continue
      yield* Effect.yieldNow
      const place = taken.get(patch.from) ?? (yield* state.look(patch.from, false))
      if (place.content === undefined) return yield* refuse("missing", patch.from, "there is no such file to take")
      if (!patch.copy && users.get(patch.from)! > 1) {
        return yield* refuse("malformed", patch.from, "the file is renamed, and changed or renamed once more")
      }
      taken.set(patch.from, place)
    }
    const arrives = (file: string) => files.some((other) => isMove(other) && other.to === file)
    for (const patch of files) {
      if (!isMove(patch) || patch.copy) continue
      state.now.set(taken.get(patch.from)!.path, undefined)
    }

    // What is deleted makes room for what is created, in whichever order they stand.
    const ordered = [...files.filter(({ to }) => to === null), ...files.filter(({ to }) => to !== null)]
    for (const patch of ordered) {
      yield* Effect.yieldNow
      const file = patch.to ?? patch.from!
      const target = yield* state.look(file, false)
      const source = isMove(patch)
        ? taken.get(patch.from)!.content!
        : patch.from === null
        ? { bytes: Buffer.alloc(0), executable: false }
        : target.content
      if ((patch.from === null || isMove(patch)) && target.content !== undefined) {
        const why = arrives(file) && patch.from === null ? "another file is renamed to it" : "the file is there already"
        return yield* refuse("exists", file, `${why}. Change it, or delete it in the same patch`)
      }
      if (source === undefined) return yield* refuse("missing", file, "there is no such file. Correct its path")
      yield* state.needWhole(patch.from ?? file, source)
      // Also what has no hunk was read, and may stand in the patch many times.
      if (!spend(work, patch.hunks.length, source.bytes.length)) return yield* tooMuchWork(name, file)
      if (patch.hunks.length > 0 && source.bytes.includes(0)) {
        return yield* refuse(
          "binary",
          file,
          "the file is binary (it holds a NUL). Give its content as a whole, or leave it"
        )
      }
      const content = source.bytes.toString("latin1")
      const after = yield* Effect.fromResult(applyHunks(name, file, content, patch.hunks, work))
      if (patch.to === null) {
        if (after !== "") {
          return yield* refuse("context", file, "it deletes the file, which has lines that the patch does not name")
        }
        state.now.set(target.path, undefined)
        continue
      }
      yield* state.put(target.path, {
        bytes: patch.hunks.length === 0 ? source.bytes : Buffer.from(after, "latin1"),
        executable: patch.executable ?? source.executable
      })
      if (isMove(patch) && !patch.copy) state.movedFrom.set(target.path, taken.get(patch.from)!.path)
    }
  })

const tell = (
  writes: ReadonlyMap<string, Content | undefined>,
  original: ReadonlyMap<string, Content | undefined>,
  movedFrom: ReadonlyMap<string, string>
): ReadonlyArray<AppliedFile> => {
  const moved = new Set([...movedFrom].filter(([to]) => writes.get(to) !== undefined).map(([, from]) => from))
  const applied: Array<AppliedFile> = []
  for (const [file, content] of writes) {
    const first = original.get(file)
    const from = movedFrom.get(file)
    if (content === undefined) {
      if (!moved.has(file)) applied.push({ file, change: "deleted" })
      continue
    }
    const before = from === undefined ? first : original.get(from)
    const mode = content.executable === (before?.executable ?? false) ? {} : { executable: content.executable }
    if (from !== undefined) applied.push({ file, change: "renamed", from, ...mode })
    else applied.push({ file, change: first === undefined ? "added" : "changed", ...mode })
  }
  return applied.sort((one, other) => one.file < other.file ? -1 : one.file > other.file ? 1 : 0)
}
