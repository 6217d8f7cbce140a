/**
 * The files of a directory, for a model that has no hands: looked at within bounds, and never outside of the
 * directory. A path is followed through every symbolic link before anything is opened, and what stands at its end
 * must be a plain file: a pipe would wait for ever, a device has no end.
 *
 * Nothing here writes. A refusal is words for the model, which may then do better.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Stats } from "node:fs"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { attempt } from "./fileEffects.ts"
import { codeOf, readBytes } from "./files.ts"
import { segmentsOf } from "./guard.ts"
import { followPath, openPlainFile, type Place } from "./insideRoot.ts"

/** How much of a directory a model gets to see at once. */
export interface FileBounds {
  /** Most bytes of a file that are looked at; what a larger file has beyond them is not shown, and it cannot be edited. */
  readonly fileBytes: number
  /** Most characters of one result. */
  readonly resultCharacters: number
  /** Most entries of a listing. */
  readonly entries: number
  /** Most files that one search looks into. */
  readonly searchedFiles: number
  /** Names of directories that are neither listed nor searched unless they are asked for by name. */
  readonly skipped: ReadonlyArray<string>
}

/** Why not, in words for the model. */
export interface Refused {
  readonly message: string
}

const refuse = (message: string): Effect.Effect<never, Refused> => Effect.fail({ message })

const named = (path: string): string => JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}[...]` : path)

const operation = <A>(path: string, run: () => Promise<A>): Effect.Effect<A, Refused> =>
  attempt(run, (error) => ({
    message: codeOf(error) === "ENOENT"
      ? `There is no ${named(path)}`
      : `Cannot open ${named(path)} (${codeOf(error) ?? "unknown error"})`
  }))

/** The segments of a path below the directory; none for the directory itself. */
export const segments = (path: string): Effect.Effect<ReadonlyArray<string>, Refused> => {
  if (/[\u0000-\u001f\u007f]/.test(path)) {
    return refuse(`The path ${named(path)} is refused: it has a control character`)
  }
  const bare = path.replace(/\/+$/, "")
  if (bare === "" || bare === "." || bare === "./") {
    return path.startsWith("/") ? refuse(`The path ${named(path)} is refused: it is absolute`) : Effect.succeed([])
  }
  const found = segmentsOf(bare)
  return Result.isSuccess(found) ? Effect.succeed(found.success) : refuse(found.failure.message)
}

interface Followed {
  /** The real path of the directory. */
  readonly top: string
  readonly place: Exclude<Place, { readonly _tag: "Outside" | "Nowhere" }>
}

/** Where a path leads after every link, or a refusal where that is outside, or in git's own data. */
const follow = (root: string, path: string): Effect.Effect<Followed, Refused> =>
  Effect.gen(function*() {
    const parts = yield* segments(path)
    const top = yield* operation(".", () => fs.realpath(root))
    const place = yield* operation(path, () => followPath(top, parts))
    if (place._tag === "Outside") {
      return yield* refuse(`The path ${named(path)} is refused: a symbolic link in it leads out of the tree`)
    }
    if (place._tag === "Nowhere") return yield* operation(path, () => Promise.reject(place.cause))
    if ("path" in place) yield* segments(relative(top, place.path))
    return { top, place }
  })

const relative = (top: string, path: string): string => Path.relative(top, path).split(Path.sep).join("/")

interface Found {
  readonly top: string
  readonly path: string
  readonly entry: Stats
}

/** What stands at a path, or a refusal where nothing does. */
const resolve = (root: string, path: string): Effect.Effect<Found, Refused> =>
  Effect.flatMap(follow(root, path), ({ place, top }) => {
    if (place._tag === "Found") return Effect.succeed({ top, path: place.path, entry: place.entry })
    return refuse(place._tag === "Free" ? `There is no ${named(path)}` : `Cannot open ${named(path)} (ENOTDIR)`)
  })

/**
 * Where below the directory a write would land, also where its file is still to be made. Refuses a path that a
 * symbolic link carries outside.
 */
export const landing = (root: string, path: string): Effect.Effect<string, Refused> =>
  Effect.gen(function*() {
    const parts = yield* segments(path)
    // A tree that is not on the disk has no links.
    if ((yield* operation(".", () => fs.realpath(root).catch(absent))) === undefined) return parts.join("/")
    if (parts.length === 0) return yield* refuse("Name a file below the tree, not the tree itself")
    const { place, top } = yield* follow(root, path)
    if (place._tag === "Free" || (place._tag === "Found" && place.entry.isFile())) return relative(top, place.path)
    return yield* refuse(
      place._tag === "Found" ? `${named(path)} is not a plain file` : `A part of ${named(path)} is not a directory`
    )
  })

const absent = (error: unknown): undefined => {
  const code = codeOf(error)
  if (code === "ENOENT" || code === "ENOTDIR") return undefined
  throw error
}

const load = async (
  top: string,
  path: string,
  bytes: number
): Promise<{ readonly content: Buffer; readonly size: number }> => {
  const file = await openPlainFile(path, top)
  if (file === undefined) throw Object.assign(new Error("not a plain file"), { code: "not a plain file" })
  const { entry: { size }, handle } = file
  try {
    return { content: await readBytes(handle, 0, Math.min(bytes, size)), size }
  } finally {
    await handle.close()
  }
}

const isBinary = (content: Buffer): boolean => content.subarray(0, 8192).includes(0)

/** The whole content of a file, for an edit: exactly as it is, or a refusal. */
export const readWhole = (root: string, path: string, bounds: FileBounds): Effect.Effect<Buffer, Refused> =>
  Effect.gen(function*() {
    const found = yield* resolve(root, path)
    const { content, size } = yield* operation(path, () => load(found.top, found.path, bounds.fileBytes))
    if (size > bounds.fileBytes) {
      return yield* refuse(`${named(path)} has ${size} bytes; files of more than ${bounds.fileBytes} cannot be edited`)
    }
    return content
  })

/** Some lines of a text file, counted from 1. */
export const readLines = (
  root: string,
  path: string,
  from: number,
  count: number | undefined,
  bounds: FileBounds
): Effect.Effect<string, Refused> =>
  Effect.gen(function*() {
    const found = yield* resolve(root, path)
    const { content, size } = yield* operation(path, () => load(found.top, found.path, bounds.fileBytes))
    if (isBinary(content)) return yield* refuse(`${named(path)} is not a text file (${size} bytes)`)
    const lines = content.toString("utf8").split("\n")
    const known = size > content.length ? `at least ${lines.length}` : `${lines.length}`
    if (from > lines.length) return yield* refuse(`${named(path)} has ${known} lines, and none at ${from}`)
    const asked = lines.slice(from - 1, count === undefined ? undefined : from - 1 + count)
    let characters = 0
    const overflow = asked.findIndex((line) => (characters += line.length + 1) > bounds.resultCharacters)
    const shown = asked.slice(0, overflow === -1 ? undefined : Math.max(overflow, 1))
    const text = shown.join("\n").slice(0, bounds.resultCharacters)
    const last = from + shown.length - 1
    const notes = [
      ...(last < lines.length ? [`lines ${from} to ${last} of ${known} are shown`] : []),
      ...(overflow === 0 ? [`line ${from} is shown to its character ${bounds.resultCharacters}`] : []),
      ...(last === lines.length && size > content.length ? ["the rest is beyond what is read of a file"] : [])
    ]
    return notes.length === 0 ? text : `${text}\n[cut here: ${notes.join("; ")}]`
  })

/** Directory entries below `start`, nearest first, so that a bound cuts off what is deep. Links are not followed. */
async function* walk(top: string, start: string, bounds: FileBounds): AsyncGenerator<{
  readonly path: string
  readonly kind: "file" | "directory" | "skipped" | "other"
}> {
  const queue = [start]
  for (let directory = queue.shift(); directory !== undefined; directory = queue.shift()) {
    const entries = await fs.readdir(directory, { withFileTypes: true }).catch(() => [])
    for (const entry of entries.sort((one, other) => one.name < other.name ? -1 : 1)) {
      const full = Path.join(directory, entry.name)
      const path = relative(top, full)
      // A name that no tool could give back is not shown: it would break the lines of the listing as well.
      if (/[\u0000-\u001f\u007f]/.test(entry.name) || Result.isFailure(segmentsOf(path))) continue
      if (!entry.isDirectory()) yield { path, kind: entry.isFile() ? "file" : "other" }
      else if (bounds.skipped.includes(entry.name)) yield { path, kind: "skipped" }
      else {
        yield { path, kind: "directory" }
        queue.push(full)
      }
    }
  }
}

/** The files and directories below a directory, one a line. */
export const list = (root: string, path: string, bounds: FileBounds): Effect.Effect<string, Refused> =>
  Effect.gen(function*() {
    const { entry, path: start, top } = yield* resolve(root, path)
    if (!entry.isDirectory()) {
      return yield* refuse(`${named(path)} is not a directory`)
    }
    return yield* operation(path, async () => {
      const lines: Array<string> = []
      let characters = 0
      for await (const entry of walk(top, start, bounds)) {
        const mark = entry.kind === "file"
          ? ""
          : entry.kind === "directory"
          ? "/"
          : entry.kind === "skipped"
          ? "/ (not listed)"
          : " (not a plain file)"
        const line = `${entry.path}${mark}`
        characters += line.length + 1
        if (lines.length >= bounds.entries || characters > bounds.resultCharacters) {
          return [...lines, "[cut here: there is more. Ask for a directory further down]"].join("\n")
        }
        lines.push(line)
      }
      return lines.length === 0 ? "(empty)" : lines.join("\n")
    })
  })

const lineCharacters = 300

/** The lines that hold a text, as `path:line: text`. The text is literal: an expression could take for ever. */
export const search = (
  root: string,
  text: string,
  path: string,
  ignoreCase: boolean,
  bounds: FileBounds
): Effect.Effect<string, Refused> =>
  Effect.gen(function*() {
    if (text === "") return yield* refuse("The text to search for is empty")
    const { entry, path: start, top } = yield* resolve(root, path)
    const fold = (value: string) => ignoreCase ? value.toLowerCase() : value
    const needle = fold(text)
    const lines: Array<string> = []
    let characters = 0
    let files = 0
    let cut = false

    const look = async (file: string, real: string) => {
      const loaded = await load(top, real, bounds.fileBytes).catch(() => undefined)
      if (loaded === undefined || isBinary(loaded.content)) return
      for (const [index, line] of loaded.content.toString("utf8").split("\n").entries()) {
        if (!fold(line).includes(needle)) continue
        const found = `${file}:${index + 1}: ${line.slice(0, lineCharacters)}`
        characters += found.length + 1
        if (characters > bounds.resultCharacters) {
          cut = true
          return
        }
        lines.push(found)
      }
    }

    if (entry.isFile()) yield* operation(path, () => look(Path.relative(top, start), start))
    else {
      // Interrupted between files: a search of a large tree must not outlive its call.
      const entries = walk(top, start, bounds)
      while (!cut) {
        const next = yield* operation(path, () => entries.next())
        if (next.done === true) break
        if (next.value.kind !== "file") continue
        const found = next.value.path
        if (files++ >= bounds.searchedFiles) cut = true
        else yield* operation(path, () => look(found, Path.join(top, ...found.split("/"))))
      }
    }
    const end = cut ? ["[cut here: there may be more. Search in a directory further down]"] : []
    return lines.length === 0 && !cut ? "Nothing was found" : [...lines, ...end].join("\n")
  })
