/** What the memory workspace is made of: states, commits, and how they differ. Pure, but for the map that it is given. */
import { createHash } from "node:crypto"
import type { CommitRecord, Diff, Identity } from "../Workspace.ts"
import type { Policy } from "./guard.ts"
import type { ChangedFile, Violation } from "./workspaceChanges.ts"
import { diffOf } from "./workspaceDiff.ts"
import { nobody } from "./git.ts"
import { messageParts } from "./workspaceMessage.ts"

/** Content of files by their path. */
export type Files = ReadonlyMap<string, string>

/** What a tree or a commit holds. */
export interface State {
  readonly files: Files
  /** Those of them that may be executed. */
  readonly executable: ReadonlySet<string>
}

/** A commit, and what it holds. */
export interface Commit extends State {
  readonly record: CommitRecord
}

/** Writes a commit down; returns its id. */
export const commitFiles = (
  commits: Map<string, Commit>,
  parent: string | undefined,
  state: State,
  options: { readonly text: string; readonly author: Identity; readonly atMillis: number }
): string => {
  const content = [...state.files].sort(([one], [other]) => one < other ? -1 : 1)
  const executable = [...state.executable].filter((file) => state.files.has(file)).sort()
  // Without the time, so that a test finds the same commits whenever it runs; what most commits lack is left out.
  const parts: Array<unknown> = [parent ?? null, options.text.replace(/\n$/, ""), content]
  if (executable.length > 0 || options.author !== nobody) parts.push(executable, JSON.stringify(options.author))
  const hash = createHash("sha256").update(JSON.stringify(parts))
  // As long as git's ids, so that what shows or parses ids meets the same thing.
  const id = hash.digest("hex").slice(0, 40)
  const { atMillis, author, text } = options
  if (!commits.has(id)) {
    const record = {
      commit: id,
      parents: parent === undefined ? [] : [parent],
      author,
      atMillis,
      ...messageParts(text)
    }
    commits.set(id, { files: new Map(content), executable: new Set(executable), record })
  }
  return id
}

/** Paths at which two states differ, in order. */
export const differing = (before: State, after: State): ReadonlyArray<string> =>
  [...new Set([...before.files.keys(), ...after.files.keys()])].filter((file) =>
    before.files.get(file) !== after.files.get(file) ||
    (after.files.has(file) && before.executable.has(file) !== after.executable.has(file))
  ).sort()

/** The diff of two states. */
export const diffStates = (before: State, after: State): Diff => {
  const side = (state: State, file: string) => {
    const text = state.files.get(file)
    if (text === undefined) return undefined
    const mode = state.executable.has(file) ? "100755" as const : "100644" as const
    return { bytes: Buffer.from(text, "utf8"), mode }
  }
  return diffOf(
    differing(before, after).map((file) => ({ file, before: side(before, file), after: side(after, file) }))
  )
}

/** What the disk's guard says of files that a map can hold. */
export const violationsOf = (
  held: State,
  changed: ReadonlyArray<ChangedFile>,
  policy: Policy
): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  let sum = 0
  for (const { file } of changed) {
    const why = policy.why(file.split("/"))
    if (why !== undefined) violations.push({ file, ...why })
    const bytes = Buffer.byteLength(held.files.get(file) ?? "")
    sum += bytes
    if (bytes > policy.maxFileBytes) {
      violations.push({ file, problem: "too large", detail: `${bytes} bytes, ${policy.maxFileBytes} are allowed` })
    }
  }
  if (sum > policy.maxChangeBytes) {
    const detail = `${sum} bytes in all, ${policy.maxChangeBytes} are allowed`
    violations.push({ file: null, problem: "too large", detail })
  }
  return violations
}
