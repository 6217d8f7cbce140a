/** Unified diffs in the form of `git diff`, for the layers that have no git. What they write, `workspacePatch` reads. */
import * as TextDiff from "effect/TextDiff"
import type { Diff } from "../Workspace.ts"
import { bytesOf } from "./workspacePatch.ts"

/** One side of a file. `undefined` bytes: too much to compare line by line. */
export interface Side {
  readonly bytes: Buffer | undefined
  readonly mode: "100644" | "100755" | "120000"
}

/** A file on both sides; undefined where there is none. */
export interface Pair {
  readonly file: string
  readonly before: Side | undefined
  readonly after: Side | undefined
}

/** Most bytes of a file whose lines are compared. */
export const comparedBytes = 8 * 1024 * 1024

const named: Readonly<Record<string, string>> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\v": "\\v",
  "\f": "\\f",
  "\r": "\\r",
  "\"": "\\\"",
  "\\": "\\\\"
}

/** The name as git writes it: in quotes where it holds what could be taken for something else. */
const quoted = (name: string): string => {
  const bytes = bytesOf(name)
  if (!/[\0-\x1f"\\\x7f]/.test(bytes)) return bytes
  const escaped = bytes.replaceAll(
    /[\0-\x1f"\\\x7f]/g,
    (character) => named[character] ?? `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`
  )
  return `"${escaped}"`
}

// A bound on the search for the smallest diff: above it the diff is still right, only longer.
const maxEdits = (lines: number): number => Math.max(20, Math.min(2000, Math.floor(40_000_000 / (lines + 1))))

const isBinary = (side: Side | undefined): boolean =>
  side !== undefined && (side.bytes === undefined || side.bytes.subarray(0, 8000).includes(0))

/** The diff of all files that differ, in the order given. */
export const diffOf = (pairs: ReadonlyArray<Pair>): Diff => {
  let insertions = 0
  let deletions = 0
  const parts: Array<string> = []
  for (const { after, before, file } of pairs) {
    const from = quoted(`a/${file}`)
    const to = quoted(`b/${file}`)
    parts.push(`diff --git ${from} ${to}\n`)
    if (before === undefined) parts.push(`new file mode ${after!.mode}\n`)
    else if (after === undefined) parts.push(`deleted file mode ${before.mode}\n`)
    else if (before.mode !== after.mode) parts.push(`old mode ${before.mode}\nnew mode ${after.mode}\n`)
    // Git ends a name that holds a blank with a tab, so that a time behind it could be told apart.
    const end = (name: string) => /^[^"]*\s/.test(name) ? `${name}\t` : name
    const fromFile = before === undefined ? "/dev/null" : end(from)
    const toFile = after === undefined ? "/dev/null" : end(to)
    if (isBinary(before) || isBinary(after)) {
      const isSame = before?.bytes !== undefined && after?.bytes !== undefined && before.bytes.equals(after.bytes)
      if (!isSame) {
        parts.push(
          `Binary files ${before === undefined ? "/dev/null" : from} and ${
            after === undefined ? "/dev/null" : to
          } differ\n`
        )
      }
      continue
    }
    const text = (side: Side | undefined) => side?.bytes?.toString("latin1") ?? ""
    const lines = text(before).split("\n").length + text(after).split("\n").length
    const edits = TextDiff.lines(text(before), text(after), { maxEdits: maxEdits(lines) })
    for (const edit of edits) {
      if (edit._tag === "Insert") insertions += edit.items.length
      if (edit._tag === "Delete") deletions += edit.items.length
    }
    parts.push(TextDiff.unified(edits, { fromFile, toFile }))
  }
  const patch = Buffer.from(parts.join(""), "latin1").toString("utf8")
  return { patch, filesChanged: pairs.length, insertions, deletions }
}
