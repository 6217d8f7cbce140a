/**
 * Reads unified diffs as git, `diff -u` and coding agents write them. Pure; `workspacePatchApply` puts them to work.
 *
 * Agents get the counts in `@@ -1,7 +1,8 @@` wrong, leave the numbers out, and lose the blank that stands for an empty
 * line of context. None of this says anything about the change, so it is read all the same: where the counts do not
 * fit, a hunk ends where its lines end. What does say something, and is not understood, is refused.
 *
 * Text is held as latin1, one character a byte, so that lines in any encoding are compared and kept byte by byte.
 */
import * as Result from "effect/Result"
import { PatchRejected } from "./workspaceChanges.ts"

/** Lines with their line ends; the last one of a file may have none. */
export interface Hunk {
  /** First line that it is about, from 1, before the change; undefined where the patch does not say. */
  readonly start: number | undefined
  readonly before: ReadonlyArray<string>
  readonly after: ReadonlyArray<string>
}

/** What a patch does to one file. `from` is null where it creates, `to` where it deletes. */
export interface FilePatch {
  readonly from: string | null
  readonly to: string | null
  /** The content of `from` stays there too. */
  readonly copy: boolean
  /** The executable bit that the file gets; undefined where the patch does not say. */
  readonly executable: boolean | undefined
  readonly hunks: ReadonlyArray<Hunk>
}

type Parsed<A> = Result.Result<A, PatchRejected>

/** Bytes of a text as latin1. */
export const bytesOf = (text: string): string => Buffer.from(text, "utf8").toString("latin1")
const textOf = (bytes: string): string => Buffer.from(bytes, "latin1").toString("utf8")

const escapes: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  t: "\t",
  n: "\n",
  v: "\v",
  f: "\f",
  r: "\r",
  "\"": "\"",
  "\\": "\\"
}

/** A name as git quotes it, `"a\tb\303\274"`, and what follows it; undefined where the quotes do not close. */
const unquote = (text: string): { readonly name: string; readonly rest: string } | undefined => {
  let name = ""
  for (let at = 1; at < text.length; at++) {
    const character = text[at]!
    if (character === "\"") return { name, rest: text.slice(at + 1) }
    if (character !== "\\") {
      name += character
      continue
    }
    const octal = /^[0-3][0-7]{2}/.exec(text.slice(at + 1, at + 4))
    if (octal !== null) {
      name += String.fromCharCode(Number.parseInt(octal[0], 8))
      at += 3
    } else {
      const meant = escapes[text[++at] ?? ""]
      if (meant === undefined) return undefined
      name += meant
    }
  }
  return undefined
}

/** The name on a `---` or `+++` line: up to a tab, behind which some programs write a time. */
const nameOn = (text: string): string | undefined =>
  text.startsWith("\"") ? unquote(text)?.name : text.split("\t", 1)[0] === "" ? undefined : text.split("\t", 1)[0]

const wholeName = (text: string): string | undefined => text.startsWith("\"") ? unquote(text)?.name : text || undefined

/** What stands before the names of the two sides, as git writes it by default and with `diff.mnemonicPrefix`. */
const prefixes: ReadonlyArray<readonly [string, string]> = [
  ["a/", "b/"],
  ["b/", "a/"],
  ["i/", "w/"],
  ["c/", "i/"],
  ["c/", "w/"],
  ["o/", "w/"]
]

const nowhere = "/dev/null"

/** Both names without their prefixes, where both have them (or one is no file). */
const bare = (from: string, to: string): readonly [string, string] => {
  for (const [one, other] of prefixes) {
    const first = from === nowhere || from.startsWith(one)
    const second = to === nowhere || to.startsWith(other)
    if (!first || !second) continue
    return [from === nowhere ? from : from.slice(one.length), to === nowhere ? to : to.slice(other.length)]
  }
  return [from, to]
}

/** The name in `diff --git a/x b/x`, where both sides have the same one. Others say `rename` or `copy` below. */
const gitName = (text: string): string | undefined => {
  if (text.startsWith("\"")) {
    const first = unquote(text)
    const second = first?.rest.startsWith(" ") === true ? wholeName(first.rest.slice(1)) : undefined
    if (first === undefined || second === undefined) return undefined
    const [from, to] = bare(first.name, second)
    return from === to ? from : undefined
  }
  // The prefixes of a pair are of one length, and so are the names: the blank between them is in the middle.
  const middle = (text.length - 1) / 2
  if (text[middle] !== " ") return undefined
  const [from, to] = bare(text.slice(0, middle), text.slice(middle + 1))
  return from === to && from !== "" ? from : undefined
}

interface Section {
  from: string | undefined
  to: string | undefined
  renamed: boolean
  copy: boolean
  created: boolean
  deleted: boolean
  /** The name on the line `diff --git`, for a section that says nothing else. */
  fallback: string | undefined
  git: boolean
  mode: string | undefined
  hunks: Array<Hunk>
}

const section = (): Section => ({
  from: undefined,
  to: undefined,
  renamed: false,
  copy: false,
  created: false,
  deleted: false,
  fallback: undefined,
  git: false,
  mode: undefined,
  hunks: []
})

const headerPattern = /^@@+(?: -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))?)? ?.*$/s

/** Most lines and most hunks that a patch may have: it is read in one go, and others wait for half a second at most. */
const mostLines = 500_000
const mostHunks = 50_000

const hasMoreLines = (text: string, limit: number): boolean => {
  let count = 0
  for (let at = text.indexOf("\n"); at >= 0 && count <= limit; at = text.indexOf("\n", at + 1)) count++
  return count > limit
}

const tooMuch = (name: string, what: string): Parsed<never> =>
  Result.fail(PatchRejected.because(name, "too much", `it has more than ${what}. Make several patches of it`))

/** Reads a whole patch. `name` is for messages. */
export const parsePatch = (name: string, patch: string): Parsed<ReadonlyArray<FilePatch>> => {
  if (hasMoreLines(patch, mostLines)) return tooMuch(name, `${mostLines} lines`)
  let hunks = 0
  const lines = bytesOf(patch).split("\n")
  if (lines.at(-1) === "") lines.pop()
  // A patch whose every line ends with CR LF was changed on its way here.
  if (lines.length > 1 && lines.every((line) => line.endsWith("\r"))) {
    for (const [index, line] of lines.entries()) lines[index] = line.slice(0, -1)
  }
  const fail = (why: string, line: number) =>
    Result.fail(PatchRejected.because(name, "malformed", `line ${line + 1}: ${why}`))
  const found: Array<FilePatch> = []
  let current: Section | undefined
  const at = (index: number) => (lines[index] ?? "").replace(/\r$/, "")
  const isNames = (index: number) => at(index).startsWith("--- ") && at(index + 1).startsWith("+++ ")

  const finish = (line: number): PatchRejected | undefined => {
    if (current === undefined) return undefined
    const done = finished(name, current, line)
    current = undefined
    if (Result.isFailure(done)) return done.failure
    if (done.success !== undefined) found.push(done.success)
    return undefined
  }

  for (let index = 0; index < lines.length;) {
    const line = at(index)
    if (line.startsWith("diff --git ")) {
      const failure = finish(index)
      if (failure !== undefined) return Result.fail(failure)
      current = { ...section(), git: true, fallback: gitName(line.slice("diff --git ".length)) }
      index++
    } else if (isNames(index)) {
      if (current === undefined || current.hunks.length > 0 || (current.from !== undefined && !current.renamed)) {
        const failure = finish(index)
        if (failure !== undefined) return Result.fail(failure)
        current = section()
      }
      const from = nameOn(line.slice(4))
      const to = nameOn(at(index + 1).slice(4))
      if (from === undefined || to === undefined) return fail("it does not name a file", index)
      const [first, second] = bare(from, to)
      if (current.renamed && (first !== current.from || second !== current.to)) {
        return fail("it names other files than `rename` or `copy` above", index)
      }
      current.from = first
      current.to = second
      index += 2
    } else if (line.startsWith("--- ") && at(index + 1).startsWith("@@")) {
      return fail("there is no line \"+++\" with the file's new name below it", index)
    } else if (line.startsWith("@@")) {
      if (current?.from === undefined) {
        return fail("a hunk comes before the lines \"---\" and \"+++\" that name its file", index)
      }
      const read = readHunk(lines, index, isNames)
      if (typeof read === "string") return fail(read, index)
      if (++hunks > mostHunks) return tooMuch(name, `${mostHunks} hunks`)
      current.hunks.push(read.hunk)
      index = read.next
    } else {
      const problem = current !== undefined && current.hunks.length === 0 ? extended(name, current, line) : undefined
      if (problem !== undefined) return Result.fail(problem)
      // What stands between hunks is prose or a signature, unless it looks like a line of a change.
      if (current !== undefined && current.hunks.length > 0 && /^[+-](?!- ?$)/.test(line)) {
        return fail("it belongs to no hunk", index)
      }
      index++
    }
  }
  const failure = finish(lines.length)
  if (failure !== undefined) return Result.fail(failure)
  if (found.length > 0) return Result.succeed(found)
  return Result.fail(PatchRejected.because(
    name,
    patch.trim() === "" ? "empty" : "malformed",
    patch.trim() === ""
      ? "it is empty"
      : "it holds no change of a file. A unified diff names its files (\"--- a/file\", \"+++ b/file\") and then has hunks (\"@@\")"
  ))
}

/** Reads one of git's lines between `diff --git` and `---`. */
const extended = (name: string, current: Section, line: string): PatchRejected | undefined => {
  const value = (start: string) => line.startsWith(start) ? line.slice(start.length) : undefined
  const moved = value("rename from ") ?? value("copy from ")
  const target = value("rename to ") ?? value("copy to ")
  if (moved !== undefined || target !== undefined) {
    current.renamed = true
    if (line.startsWith("copy ")) current.copy = true
    const path = wholeName(moved ?? target ?? "")
    if (path === undefined) return PatchRejected.because(name, "malformed", `${JSON.stringify(line)} names no file`)
    if (moved !== undefined) current.from = path
    else current.to = path
  }
  const created = value("new file mode ")
  const deleted = value("deleted file mode ")
  if (created !== undefined) current.created = true
  if (deleted !== undefined) current.deleted = true
  current.mode = created ?? value("new mode ") ?? current.mode
  const mode = created ?? deleted ?? value("new mode ") ?? value("old mode ")
  if (mode !== undefined && !/^100[0-7]{3}$/.test(mode)) {
    const what = mode === "120000" ? "a symbolic link" : mode === "160000" ? "a submodule" : `of mode ${mode}`
    return PatchRejected.because(name, "mode", `it is ${what}, and only plain files can be changed`, {
      file: fileOf(current)
    })
  }
  if (line.startsWith("Binary files ") || line === "GIT binary patch") {
    return PatchRejected.because(name, "binary", "it is a binary file. Give its content as a whole, or leave it", {
      file: fileOf(current)
    })
  }
  return undefined
}

const fileOf = (current: Section): string => {
  const name = [current.to, current.from, current.fallback].find((each) => each !== undefined && each !== nowhere)
  return textOf(name ?? "")
}

const finished = (name: string, current: Section, line: number): Parsed<FilePatch | undefined> => {
  const { copy, created, deleted, fallback, hunks, mode, renamed } = current
  const malformed = (why: string) =>
    Result.fail(PatchRejected.because(name, "malformed", `before line ${line + 1}: ${why}`, { file: fileOf(current) }))
  let { from, to } = current
  if (from === undefined && to === undefined) {
    // Git writes no names for a change of mode, and for an empty file.
    if (mode === undefined && !created && !deleted) {
      return fallback === undefined && !current.git ? Result.succeed(undefined) : malformed("it says no change")
    }
    if (fallback === undefined) return malformed("the two names on the line \"diff --git\" cannot be told apart")
    from = created ? nowhere : fallback
    to = deleted ? nowhere : fallback
  }
  if (from === undefined || to === undefined) return malformed("it names only one of its two files")
  if (from === nowhere && to === nowhere) return malformed("both of its files are /dev/null")
  if (!renamed && from !== to && from !== nowhere && to !== nowhere) {
    return malformed(
      `it names two files, ${JSON.stringify(textOf(from))} and ${JSON.stringify(textOf(to))}. ` +
        `A file is renamed by the lines "rename from" and "rename to"`
    )
  }
  if (hunks.length === 0 && !renamed && mode === undefined && !created && !deleted && from !== nowhere) {
    return to === nowhere ? malformed("it deletes a file without its lines") : malformed("it has no hunk")
  }
  return Result.succeed({
    from: from === nowhere ? null : textOf(from),
    to: to === nowhere ? null : textOf(to),
    copy,
    executable: mode === undefined ? undefined : (Number.parseInt(mode.slice(-3), 8) & 0o100) !== 0,
    hunks
  })
}

/** The hunk whose header is at `start`, and the line behind it; or why it cannot be read. */
const readHunk = (
  lines: ReadonlyArray<string>,
  start: number,
  isNames: (index: number) => boolean
): { readonly hunk: Hunk; readonly next: number } | string => {
  const header = headerPattern.exec(lines[start]!)
  if (header === null) return "it is no header of a hunk, such as \"@@ -1,3 +1,4 @@\""
  const [, first, removed = "1", , added = "1"] = header
  const isEnd = (index: number) => {
    let at = index
    while (/^\r?$/.test(lines[at] ?? "end")) at++
    const line = lines[at]
    return line === undefined || isNames(at) || !/^[-+ ]/.test(line) || /^-- ?\r?$/.test(line)
  }
  const isBody = (line: string | undefined): line is string =>
    line !== undefined && (/^[-+ \\]/.test(line) || line === "" || line === "\r")
  let end = start + 1
  if (first !== undefined) {
    // By the counts: then a line of the file may look like a header.
    let old = Number(removed)
    let fresh = Number(added)
    while ((old > 0 || fresh > 0) && isBody(lines[end])) {
      const mark = lines[end]![0]
      if (mark !== "+" && mark !== "\\") old--
      if (mark !== "-" && mark !== "\\") fresh--
      end++
    }
    if (lines[end]?.startsWith("\\") === true) end++
    if (old !== 0 || fresh !== 0 || !isEnd(end)) end = start + 1
  }
  if (end === start + 1) {
    while (isBody(lines[end]) && !isNames(end) && !/^-- ?\r?$/.test(lines[end]!)) end++
    // Blank lines at the end separate it from what follows.
    while (end > start + 1 && /^\r?$/.test(lines[end - 1]!)) end--
  }
  if (end === start + 1) return "the hunk has no lines"
  const before: Array<string> = []
  const after: Array<string> = []
  for (let index = start + 1; index < end; index++) {
    const line = lines[index]!
    if (line.startsWith("\\")) continue
    const isLast = lines[index + 1]?.startsWith("\\") === true && index + 1 < end
    const text = `${line === "\r" ? line : line.slice(1)}${isLast ? "" : "\n"}`
    if (line[0] !== "+") before.push(text)
    if (line[0] !== "-") after.push(text)
  }
  const number = first === undefined ? undefined : Number(first)
  // Where nothing is removed, the number names the line before.
  return {
    hunk: { start: number === undefined ? undefined : before.length === 0 ? number + 1 : number, before, after },
    next: end
  }
}
