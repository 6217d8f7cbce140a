/**
 * Puts the hunks of a patch to their places in a file. Pure.
 *
 * A hunk goes where its lines are. Where they are more than once it goes to the place that its number says, moved by as
 * much as the hunk before it was; and if they are not there, nowhere: a guess that lands elsewhere than meant is worse
 * than a refusal.
 */
import * as Result from "effect/Result"
import { PatchRejected } from "./workspaceChanges.ts"
import type { Hunk } from "./workspacePatch.ts"

/** Lines of a text with their line ends. */
export const linesOf = (text: string): ReadonlyArray<string> => text === "" ? [] : text.match(/[^\n]*\n|[^\n]+$/g)!

/** Where `sought` begins in `lines` from `start` on: the first few, and whether it is at `place`. Linear (Knuth, Morris, Pratt). */
const occurrences = (
  lines: ReadonlyArray<string>,
  sought: ReadonlyArray<string>,
  start: number,
  place: number | undefined
): { readonly found: ReadonlyArray<number>; readonly count: number; readonly atPlace: boolean } => {
  const back = new Int32Array(sought.length)
  for (let at = 1, length = 0; at < sought.length;) {
    if (sought[at] === sought[length]) back[at++] = ++length
    else if (length > 0) length = back[length - 1]!
    else at++
  }
  const found: Array<number> = []
  let count = 0
  let atPlace = false
  for (let at = start, length = 0; at < lines.length;) {
    if (lines[at] === sought[length]) {
      at++
      length++
      if (length < sought.length) continue
      const begin = at - length
      count++
      if (found.length < 5) found.push(begin)
      if (begin === place) atPlace = true
      length = back[length - 1]!
    } else if (length > 0) length = back[length - 1]!
    else at++
  }
  return { found, count, atPlace }
}

/** Gives a hunk the line ends that the file has, where one of the two has none of the other's. */
const withLineEnds = (hunk: Hunk, content: string): Hunk => {
  const hasReturns = hunk.before.concat(hunk.after).some((line) => line.endsWith("\r\n"))
  const isReturns = content.includes("\r\n") && !/(?:^|[^\r])\n/.test(content)
  if (hasReturns || !isReturns) return hunk
  const change = (lines: ReadonlyArray<string>) => lines.map((line) => line.replace(/\n$/, "\r\n"))
  return { ...hunk, before: change(hunk.before), after: change(hunk.after) }
}

/** Says why no place was found, as far as it can be seen. */
const explain = (lines: ReadonlyArray<string>, hunk: Hunk, start: number): string => {
  const elsewhere = start > 0 && occurrences(lines, hunk.before, 0, undefined).count > 0
  if (elsewhere) return "its lines come before those of the hunk above it. Hunks stand in the order of the file"
  const flat = (line: string) => line.replace(/\r?\n$/, "")
  const { count } = occurrences(lines.map(flat), hunk.before.map(flat), start, undefined)
  if (count > 0) {
    return "the file has its lines, but with other line ends: CR LF, or none at the file's end (\"\\ No newline at end of file\")"
  }
  const missing = hunk.before.find((line) => !lines.includes(line))
  return missing === undefined
    ? "the file has its lines, but not together"
    : `the file has no line ${JSON.stringify(Buffer.from(flat(missing).slice(0, 200), "latin1").toString("utf8"))}. ` +
      `Write the patch for the file as it is now`
}

/** The content after all hunks; both are latin1. */
export const applyHunks = (
  name: string,
  file: string,
  content: string,
  hunks: ReadonlyArray<Hunk>
): Result.Result<string, PatchRejected> => {
  const lines = linesOf(content)
  const result: Array<string> = []
  let taken = 0
  let shift = 0
  for (const [index, written] of hunks.entries()) {
    const fail = (problem: "context" | "ambiguous", why: string) =>
      Result.fail(PatchRejected.because(name, problem, why, { file, hunk: index + 1 }))
    const hunk = withLineEnds(written, content)
    let place: number
    if (hunk.before.length === 0) {
      if (lines.length > 0) {
        return fail("context", "it only adds lines and names none that the file has. Give it some of context")
      }
      place = 0
    } else {
      const said = hunk.start === undefined ? undefined : hunk.start - 1 + shift
      const { atPlace, count, found } = occurrences(lines, hunk.before, taken, said)
      if (count === 0) return fail("context", explain(lines, hunk, taken))
      if (count > 1 && !atPlace) {
        return fail(
          "ambiguous",
          `its lines occur ${count} times (at the lines ${found.map((at) => at + 1).join(", ")}` +
            `${count > found.length ? ", ..." : ""}), and not where it says. Give it more lines of context`
        )
      }
      place = atPlace ? said! : found[0]!
      if (hunk.start !== undefined) shift = place - (hunk.start - 1)
    }
    for (let at = taken; at < place; at++) result.push(lines[at]!)
    for (const line of hunk.after) result.push(line)
    taken = place + hunk.before.length
  }
  for (let at = taken; at < lines.length; at++) result.push(lines[at]!)
  if (result.slice(0, -1).some((line) => !line.endsWith("\n"))) {
    return Result.fail(PatchRejected.because(
      name,
      "malformed",
      "it takes the line end from a line that is not the last (\"\\ No newline at end of file\")",
      { file }
    ))
  }
  return Result.succeed(result.join(""))
}
