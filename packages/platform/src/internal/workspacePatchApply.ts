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

/**
 * How much may still be looked through for one patch. Hunks that are where their numbers say, or have a line that
 * the file has once, cost nothing; the others are looked for in the whole file, and without a limit a patch that somebody made for it would hold the engine for hours.
 */
export interface Work {
  left: number
}

/** The work that a patch may make: a good part of a second on a machine of today. */
export const allowedWork = (): Work => ({ left: 20_000_000 })

/** Takes from the work what it costs to go through so many lines and bytes; false where it is used up. */
export const spend = (work: Work, lines: number, bytes: number): boolean => {
  work.left -= lines + bytes / 16
  return work.left >= 0
}

/** Why a patch is refused for which `spend` returned false. */
export const tooMuchWork = (name: string, file: string, hunk?: number): PatchRejected =>
  PatchRejected.because(
    name,
    "too much",
    "to look for the places of its hunks would take too long. Give them the right line numbers, make several patches " +
      "of it, or give whole files",
    { file, hunk }
  )

/** Lines of a text with their line ends. */
export const linesOf = (text: string): ReadonlyArray<string> => text === "" ? [] : text.match(/[^\n]*\n|[^\n]+$/g)!

/** Where `sought` begins in `lines` from `start` on: the first few, and how often. Linear (Knuth, Morris, Pratt). */
const occurrences = (
  lines: ReadonlyArray<string>,
  sought: ReadonlyArray<string>,
  start: number
): { readonly found: ReadonlyArray<number>; readonly count: number } => {
  const back = new Int32Array(sought.length)
  for (let at = 1, length = 0; at < sought.length;) {
    if (sought[at] === sought[length]) back[at++] = ++length
    else if (length > 0) length = back[length - 1]!
    else at++
  }
  const found: Array<number> = []
  let count = 0
  for (let at = start, length = 0; at < lines.length;) {
    if (lines[at] === sought[length]) {
      at++
      length++
      if (length < sought.length) continue
      const begin = at - length
      count++
      if (found.length < 5) found.push(begin)
      length = back[length - 1]!
    } else if (length > 0) length = back[length - 1]!
    else at++
  }
  return { found, count }
}

/** Where each line is, by its text; -1 for one that is there more than once. */
const placesOf = (lines: ReadonlyArray<string>): ReadonlyMap<string, number> => {
  const places = new Map<string, number>()
  for (const [index, line] of lines.entries()) places.set(line, places.has(line) ? -1 : index)
  return places
}

/** The one place where `sought` can be, as one of its lines is there once; -1 if it has one that is not there; else undefined. */
const onlyPlace = (places: ReadonlyMap<string, number>, sought: ReadonlyArray<string>): number | undefined => {
  let only: number | undefined
  for (const [index, line] of sought.entries()) {
    const place = places.get(line)
    if (place === undefined) return -1
    if (place >= 0) only ??= place - index
  }
  return only
}

/** Whether `sought` stands at `place`. */
const standsAt = (lines: ReadonlyArray<string>, sought: ReadonlyArray<string>, place: number): boolean =>
  place + sought.length <= lines.length && sought.every((line, index) => lines[place + index] === line)

/** Whether every line ends with CR LF. */
const hasOnlyReturns = (content: string): boolean => content.includes("\r\n") && !/(?:^|[^\r])\n/.test(content)

/** Gives a hunk the line ends of a file that has only CR LF, where it has none of them. */
const withReturns = (hunk: Hunk): Hunk => {
  const hasReturns = (line: string) => line.endsWith("\r\n")
  if (hunk.before.some(hasReturns) || hunk.after.some(hasReturns)) return hunk
  const change = (lines: ReadonlyArray<string>) => lines.map((line) => line.replace(/\n$/, "\r\n"))
  return { ...hunk, before: change(hunk.before), after: change(hunk.after) }
}

/** Says why no place was found, as far as it can be seen. */
const explain = (
  lines: ReadonlyArray<string>,
  places: ReadonlyMap<string, number>,
  hunk: Hunk,
  start: number
): string => {
  const elsewhere = start > 0 && occurrences(lines, hunk.before, 0).count > 0
  if (elsewhere) return "its lines come before those of the hunk above it. Hunks stand in the order of the file"
  const flat = (line: string) => line.replace(/\r?\n$/, "")
  const { count } = occurrences(lines.map(flat), hunk.before.map(flat), start)
  if (count > 0) {
    return "the file has its lines, but with other line ends: CR LF, or none at the file's end (\"\\ No newline at end of file\")"
  }
  const missing = hunk.before.find((line) => !places.has(line))
  return missing === undefined
    ? "the file has its lines, but not together"
    : `the file has no line ${JSON.stringify(Buffer.from(flat(missing).slice(0, 200), "latin1").toString("utf8"))}. ` +
      `Write the patch for the file as it is now`
}

/** The content after all hunks; both are latin1. What it costs is taken from `work`. */
export const applyHunks = (
  name: string,
  file: string,
  content: string,
  hunks: ReadonlyArray<Hunk>,
  work: Work = allowedWork()
): Result.Result<string, PatchRejected> => {
  const lines = linesOf(content)
  if (!spend(work, lines.length, content.length)) return Result.fail(tooMuchWork(name, file))
  const onlyReturns = hasOnlyReturns(content)
  const result: Array<string> = []
  let places: ReadonlyMap<string, number> | undefined
  let taken = 0
  let shift = 0
  for (const [index, written] of hunks.entries()) {
    const fail = (problem: "context" | "ambiguous", why: string) =>
      Result.fail(PatchRejected.because(name, problem, why, { file, hunk: index + 1 }))
    const hunk = onlyReturns ? withReturns(written) : written
    let place: number
    if (hunk.before.length === 0) {
      if (lines.length > 0) {
        return fail("context", "it only adds lines and names none that the file has. Give it some of context")
      }
      place = 0
    } else {
      const said = hunk.start === undefined ? undefined : hunk.start - 1 + shift
      if (said !== undefined && said >= taken && standsAt(lines, hunk.before, said)) place = said
      else {
        if (places === undefined && !spend(work, 4 * lines.length, content.length)) {
          return Result.fail(tooMuchWork(name, file, index + 1))
        }
        places ??= placesOf(lines)
        const only = onlyPlace(places, hunk.before)
        if (only === undefined && !spend(work, lines.length - taken, content.length)) {
          return Result.fail(tooMuchWork(name, file, index + 1))
        }
        const { count, found } = only === undefined
          ? occurrences(lines, hunk.before, taken)
          : only >= taken && standsAt(lines, hunk.before, only)
          ? { count: 1, found: [only] }
          : { count: 0, found: [] }
        if (count === 0) return fail("context", explain(lines, places, hunk, taken))
        if (count > 1) {
          return fail(
            "ambiguous",
            `its lines occur ${count} times (at the lines ${found.map((at) => at + 1).join(", ")}` +
              `${count > found.length ? ", ..." : ""}), and not where it says. Give it more lines of context`
          )
        }
        place = found[0]!
      }
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
