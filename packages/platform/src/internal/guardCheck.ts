/**
 * Holds a tree on disk, as it stands, against the guard: for changes that did not come through it, because a coding agent
 * or a tool edited the files itself. Only looks at names and sizes, so that a file of any size costs nothing.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { entryAt } from "./files.ts"
import { isMetadata, type Policy, segmentsOf } from "./guard.ts"
import { isBelow } from "./insideRoot.ts"
import { type ChangedFile, ChangeRefused, type Violation } from "./workspaceChanges.ts"
import type { WorkspaceError } from "./workspaceErrors.ts"
import { fileOperation } from "./workspaceFiles.ts"

/** Checks what was changed. `top` is the directory that links may lead to: the tree's whole checkout. */
export const checkTree = (options: {
  readonly path: string
  readonly top: string
  readonly changed: ReadonlyArray<ChangedFile>
  /** What the layer found beyond that: by path. */
  readonly found?: ReadonlyArray<Violation> | undefined
  readonly policy: Policy
}): Effect.Effect<void, ChangeRefused | WorkspaceError> =>
  Effect.gen(function*() {
    const { changed, path, policy, top } = options
    const violations: Array<Violation> = [...options.found ?? []]
    let bytes = 0
    for (const { change, file } of changed) {
      const refused = whyRefused(file, policy)
      if (refused !== undefined) violations.push({ file, ...refused })
      if (change === "deleted") continue
      const seen = yield* fileOperation("look at", file, () => look(path, top, file, policy))
      bytes += seen.bytes
      if (seen.violation !== undefined) violations.push({ file, ...seen.violation })
    }
    if (bytes > policy.maxChangeBytes) {
      violations.push({
        file: null,
        problem: "too large",
        detail: `${bytes} bytes in all, ${policy.maxChangeBytes} are allowed`
      })
    }
    if (violations.length > 0) return yield* ChangeRefused.of(path, violations)
  })

type Why = Omit<Violation, "file">

const whyRefused = (file: string, policy: Policy): Why | undefined => {
  if (file.startsWith("../")) return { problem: "outside", detail: "lies beside the directory that is the source" }
  const segments = segmentsOf(file)
  if (Result.isFailure(segments)) {
    const { reason } = segments.failure
    return { problem: "name", detail: reason._tag === "PathRefused" ? reason.why : segments.failure.message }
  }
  return policy.why(segments.success)
}

const look = async (
  path: string,
  top: string,
  file: string,
  policy: Policy
): Promise<{ readonly bytes: number; readonly violation?: Why }> => {
  const full = Path.join(path, file)
  const entry = await entryAt(full)
  if (entry === undefined) return { bytes: 0 }
  if (entry.isSymbolicLink()) {
    const detail = await whereLinkLeads(full, top)
    return { bytes: 0, ...(detail === undefined ? {} : { violation: { problem: "link", detail } }) }
  }
  if (entry.isDirectory()) {
    return { bytes: 0, violation: { problem: "repository", detail: "a commit would leave out the files in it" } }
  }
  if (!entry.isFile()) return { bytes: 0, violation: { problem: "special", detail: "is no plain file" } }
  if (entry.nlink > 1) {
    return { bytes: entry.size, violation: { problem: "hard link", detail: `has ${entry.nlink} names` } }
  }
  if (entry.size > policy.maxFileBytes) {
    const detail = `${entry.size} bytes, ${policy.maxFileBytes} are allowed`
    return { bytes: entry.size, violation: { problem: "too large", detail } }
  }
  return { bytes: entry.size }
}

/** Why a link is no good, or undefined where it stays inside. */
const whereLinkLeads = async (link: string, top: string): Promise<string | undefined> => {
  const target = await fs.readlink(link)
  // Also one that leads into this tree: in the next tree it leads into this one, or nowhere.
  if (Path.isAbsolute(target)) return `leads to the absolute path ${JSON.stringify(target)}`
  const outside = (path: string) =>
    !isBelow(top, path) ? "leads out of the tree" : Path.relative(top, path).split(Path.sep).some(isMetadata)
      ? "leads into git's own data"
      : undefined
  const written = outside(Path.resolve(Path.dirname(link), target))
  if (written !== undefined) return `${written} (${JSON.stringify(target)})`
  const real = await fs.realpath(link).catch((error: NodeJS.ErrnoException) => {
    // One that leads nowhere yet, or in a circle, leads nowhere else.
    if (error.code === "ENOENT" || error.code === "ELOOP" || error.code === "ENOTDIR") return undefined
    throw error
  })
  const followed = real === undefined ? undefined : outside(real)
  return followed === undefined ? undefined : `${followed}, by way of another link (${JSON.stringify(target)})`
}

/** Pipes, sockets and devices below a directory, `skip` left out: by path below it, with forward slashes. */
export const specialFiles = async (
  directory: string,
  skip: (file: string) => boolean
): Promise<ReadonlyArray<string>> => {
  const found: Array<string> = []
  const walk = async (below: string): Promise<void> => {
    for (const entry of await fs.readdir(Path.join(directory, below), { withFileTypes: true })) {
      const file = below === "" ? entry.name : `${below}/${entry.name}`
      // What is no UTF-8 cannot be looked into by this name. Git lists the files in it, and each is refused by name.
      if (skip(file) || entry.name.includes("\ufffd")) continue
      if (entry.isDirectory()) await walk(file)
      else if (!entry.isFile() && !entry.isSymbolicLink()) found.push(file)
    }
  }
  await walk("")
  return found.sort()
}
