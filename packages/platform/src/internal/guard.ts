/**
 * Which files of a tree may be read and changed, and how an edit is applied. Pure: `guardFiles` puts
 * it to work on a disk, the memory workspace on a map.
 */
import * as Result from "effect/Result"
import type { Guard } from "../Workspace.ts"
import { compileGlob } from "./glob.ts"
import { type Edit, EditRejected } from "./workspaceChanges.ts"
import { WorkspaceError } from "./workspaceErrors.ts"

const refused = (file: string, why: string): Result.Result<never, WorkspaceError> =>
  Result.fail(WorkspaceError.of({ _tag: "PathRefused", file, why }))

/**
 * True for every spelling of `.git` that some file system takes for it: other case, trailing dots and
 * spaces, the short name and the streams (`.git::$INDEX_ALLOCATION`) of Windows, invisible characters that macOS drops.
 * Whoever may write there can make git run programs.
 */
export const isMetadata = (segment: string): boolean => {
  const bare = segment.replaceAll(/\p{Cf}/gu, "").replace(/:.*$/s, "").replace(/[. ]+$/, "").toLowerCase()
  return bare === ".git" || /^git~\d+$/.test(bare)
}

// What usual file systems hold. Whatever a layer keeps its trees in, a change fits everywhere or nowhere.
const longestName = 255
const longestPath = 3500

/** Splits a path below the tree into its segments, or says why it is refused. */
export const segmentsOf = (file: string): Result.Result<ReadonlyArray<string>, WorkspaceError> => {
  if (file === "") return refused(file, "it is empty. Name a file below the tree")
  if (file.includes("\0")) return refused(file, "it contains a NUL character")
  if (file.startsWith("/") || /^[A-Za-z]:[\\/]/.test(file) || file.startsWith("\\\\")) {
    return refused(file, "it is absolute. Name the file by its path below the tree")
  }
  if (/\p{Surrogate}/u.test(file)) return refused(file, "it contains half a character, which no file name can hold")
  if (file.includes("\ufffd")) {
    return refused(file, "it contains U+FFFD, which stands for what is no UTF-8: such a name is not told from others")
  }
  if (file.endsWith("/")) return refused(file, "it names a directory")
  const parts = file.split(process.platform === "win32" ? /[\\/]/ : "/").filter((part) => part !== "" && part !== ".")
  if (parts.length === 0) return refused(file, "it names the tree itself")
  if (parts.includes("..")) return refused(file, "it contains \"..\". Name the file by its plain path below the tree")
  const long = parts.find((part) => Buffer.byteLength(part) > longestName)
  if (long !== undefined) {
    return refused(file, `a name in it has more than ${longestName} bytes, which no file may have`)
  }
  if (Buffer.byteLength(file) > longestPath) {
    return refused(file, `it has more than ${longestPath} bytes, which no path may have`)
  }
  if (parts.some(isMetadata)) return refused(file, "it leads into git's own data")
  return Result.succeed(parts)
}

/** `Guard`, ready to be asked. */
export interface Policy {
  /** Why a path may not be changed, or undefined where it may. */
  readonly why: (
    segments: ReadonlyArray<string>
  ) => { readonly problem: "outside" | "denied"; readonly detail: string } | undefined
  readonly maxFileBytes: number
  readonly maxChangeBytes: number
}

const mebibyte = 1024 * 1024

/** What the options of a layer allow. */
export const policyOf = (options: Guard): Policy => {
  const allowed = options.editable?.map((pattern) => compileGlob(pattern))
  // Some file systems take two spellings of a character for one, as they do upper and lower case.
  const denied = (options.denied ?? []).map((pattern) => ({
    pattern,
    glob: compileGlob(pattern.normalize("NFC"), { ignoreCase: true })
  }))
  const above = (segments: ReadonlyArray<string>) => segments.map((_, index) => segments.slice(0, index + 1))
  return {
    why: (segments) => {
      const steps = above(segments)
      const folded = above(segments.map((segment) => segment.normalize("NFC")))
      const refusing = denied.find(({ glob }) => folded.some(glob.matches))
      if (refusing !== undefined) {
        return { problem: "denied", detail: `may not be changed (${refusing.pattern} is denied)` }
      }
      // An empty pattern, and ".", name the tree itself.
      const passes = allowed === undefined ||
        allowed.some((glob) => glob.plain ? glob.matches([]) || steps.some(glob.matches) : glob.matches(segments))
      if (passes) return undefined
      const list = options.editable!.length === 0 ? "nothing" : options.editable!.join(", ")
      return { problem: "outside", detail: `lies outside of what may be changed (${list})` }
    },
    maxFileBytes: options.maxFileBytes ?? 8 * mebibyte,
    maxChangeBytes: options.maxChangeBytes ?? 32 * mebibyte
  }
}

/** Checks a path, written as `file`, against the policy; `undefined` allows the whole tree. */
export const checkEditable = (
  file: string,
  segments: ReadonlyArray<string>,
  policy: Policy | undefined
): Result.Result<void, WorkspaceError> => {
  const why = policy?.why(segments)
  if (why === undefined) return Result.succeed(undefined)
  const path = segments.join("/")
  return refused(file, `${path === file ? "it" : `it leads to ${JSON.stringify(path)}, which`} ${why.detail}`)
}

/** Checks the size that a file would have. */
export const checkSize = (file: string, bytes: number, policy: Policy): Result.Result<void, WorkspaceError> =>
  bytes <= policy.maxFileBytes
    ? Result.succeed(undefined)
    : Result.fail(WorkspaceError.of({ _tag: "TooLarge", file, bytes, limitBytes: policy.maxFileBytes }))

/** Whatever is allowed: what is larger makes no string, or one that nobody wants in memory. */
const mostReadBytes = 256 * mebibyte

/** Most bytes that a file may have to be edited: what is larger is not taken into memory. */
export const editableBytes = (policy: Policy): number => Math.min(policy.maxFileBytes, mostReadBytes)

/** Most bytes that a file may have to be read. What is allowed to be written can be read, and usual logs can. */
export const readableBytes = (policy: Policy): number =>
  Math.min(Math.max(policy.maxFileBytes, 64 * mebibyte), mostReadBytes)

/** A file that stands in the tree is larger than it may be to be taken into memory. */
export const tooLargeToRead = (file: string, bytes: number, limitBytes: number): WorkspaceError =>
  WorkspaceError.of({ _tag: "TooLarge", file, bytes, limitBytes, stands: true })

/**
 * How often `search` occurs, and where first. Overlapping occurrences count, for each is a place to edit. Linear (Knuth,
 * Morris, Pratt): `indexOf` is not, and an agent may write a text that is made for it.
 */
const occurrences = (text: Buffer, search: Buffer): { readonly count: number; readonly first: number } => {
  const back = new Int32Array(search.length)
  for (let at = 1, length = 0; at < search.length;) {
    if (search[at] === search[length]) back[at++] = ++length
    else if (length > 0) length = back[length - 1]!
    else at++
  }
  let count = 0
  let first = -1
  for (let at = 0, length = 0; at < text.length;) {
    if (text[at] === search[length]) {
      at++
      length++
      if (length < search.length) continue
      if (count++ === 0) first = at - length
      length = back[length - 1]!
    } else if (length > 0) length = back[length - 1]!
    else at++
  }
  return { count, first }
}

/**
 * Applies an edit to the content of its file; `undefined` means that there is no such file. Works on
 * bytes, so that a file in any encoding keeps the bytes that the edit does not name.
 */
export const editContent = (edit: Edit, content: Buffer | undefined): Result.Result<Buffer, EditRejected> => {
  const reject = (matches: number, why: string) => Result.fail(EditRejected.because(edit, matches, why))
  if (content === undefined) return reject(0, "there is no such file. Correct the edit's `file`")
  if (edit.search === "") return reject(0, "its search text is empty. Give it the text that is to be replaced")
  const search = Buffer.from(edit.search, "utf8")
  const { count, first } = occurrences(content, search)
  if (count === 1) {
    return Result.succeed(Buffer.concat([
      content.subarray(0, first),
      Buffer.from(edit.replace, "utf8"),
      content.subarray(first + search.length)
    ]))
  }
  if (count > 1) {
    return reject(count, `its search text occurs ${count} times. Add surrounding lines to it until it occurs once`)
  }
  const otherLineEnds = edit.search.includes("\n") &&
    occurrences(content, Buffer.from(edit.search.replaceAll(/\r?\n/g, "\r\n"), "utf8")).count > 0
  return reject(
    0,
    otherLineEnds
      ? "its search text does not occur, because the file ends its lines with CR LF. Write them so in `search`"
      : "its search text does not occur. Another edit may have changed the place, or it was written for another base"
  )
}
