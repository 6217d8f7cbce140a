/**
 * Globs over paths of a directory. Pure, and in time linear in the pattern times the name: what is matched are names that
 * a job chose.
 */
import * as Result from "effect/Result"

/** One of the characters of a name: any, one of some, or not one of some. */
type Token =
  | { readonly _tag: "Literal"; readonly character: string }
  | { readonly _tag: "Any" }
  | { readonly _tag: "Many" }
  | { readonly _tag: "Class"; readonly negated: boolean; readonly ranges: ReadonlyArray<readonly [string, string]> }

/** One part of a path: a name as it is, a pattern of names, or any number of directories. */
export type Segment =
  | { readonly _tag: "Name"; readonly name: string }
  | { readonly _tag: "Pattern"; readonly tokens: ReadonlyArray<Token>; readonly dotted: boolean }
  | { readonly _tag: "Directories" }

/** The alternatives of a glob, each as its segments. */
export type Glob = ReadonlyArray<ReadonlyArray<Segment>>

const alternativeLimit = 64
const segmentLimit = 64

/** `{a,b}` written out; undefined when there are too many. */
const alternatives = (text: string): ReadonlyArray<string> | undefined => {
  let done: Array<string> = []
  let pending = [text]
  while (pending.length > 0) {
    if (done.length + pending.length > alternativeLimit) return undefined
    const next: Array<string> = []
    for (const one of pending) {
      // The innermost braces first: their content has none.
      const braces = /\{([^{}]*,[^{}]*)\}/.exec(one)
      if (braces === null) done = [...done, one]
      else {
        for (const option of braces[1]!.split(",")) {
          next.push(one.slice(0, braces.index) + option + one.slice(braces.index + braces[0].length))
        }
      }
    }
    pending = next
  }
  return done
}

const classAt = (text: string, from: number): readonly [Token, end: number] | undefined => {
  const negated = text[from + 1] === "!" || text[from + 1] === "^"
  const begin = from + (negated ? 2 : 1)
  const end = text.indexOf("]", begin + 1) // a bracket that comes first is meant as itself
  if (end < 0) return undefined
  const ranges: Array<readonly [string, string]> = []
  for (let at = begin; at < end; at++) {
    if (text[at + 1] === "-" && at + 2 < end) {
      ranges.push([text[at]!, text[at + 2]!])
      at += 2
    } else ranges.push([text[at]!, text[at]!])
  }
  return [{ _tag: "Class", negated, ranges }, end + 1]
}

/** An open bracket could be meant as a character, but hardly ever is, and a rule that finds nothing would be silent. */
const hasOpenBracket = (name: string): boolean => {
  for (let at = name.indexOf("["); at >= 0;) {
    const found = classAt(name, at)
    if (found === undefined) return true
    at = name.indexOf("[", found[1])
  }
  return false
}

const segmentOf = (text: string): Segment => {
  if (text === "**") return { _tag: "Directories" }
  if (!/[*?[]/.test(text)) return { _tag: "Name", name: text }
  const tokens: Array<Token> = []
  for (let at = 0; at < text.length;) {
    const found = text[at] === "[" ? classAt(text, at) : undefined
    if (found !== undefined) {
      tokens.push(found[0])
      at = found[1]
      continue
    }
    const character = text[at++]!
    if (character === "*") {
      if (tokens.at(-1)?._tag !== "Many") tokens.push({ _tag: "Many" })
    } else tokens.push(character === "?" ? { _tag: "Any" } : { _tag: "Literal", character })
  }
  return { _tag: "Pattern", tokens, dotted: text.startsWith(".") }
}

/** Reads a glob. It has to be relative, and to stay inside. */
export const parseGlob = (text: string): Result.Result<Glob, string> => {
  const refuse = (why: string) => Result.fail(`looks for files at ${JSON.stringify(text)}, which ${why}`)
  if (/[\0\\]/.test(text)) return refuse("has a backslash or a zero byte: use / between names")
  const options = alternatives(text)
  if (options === undefined) return refuse(`has more than ${alternativeLimit} alternatives`)
  const glob: Array<ReadonlyArray<Segment>> = []
  for (const option of options) {
    if (option.startsWith("/")) return refuse("is absolute: write it from the job's directory on")
    const names = option.replace(/^(?:\.\/)+/, "").split("/")
    if (names.some((name) => name === "" || name === "." || name === "..")) {
      return refuse("has an empty name, . or .. in it: it must not leave the directory")
    }
    if (names.length > segmentLimit) return refuse(`is deeper than ${segmentLimit} directories`)
    const open = names.find(hasOpenBracket)
    if (open !== undefined) return refuse("has a [ without its ] in one name: write [[] for the character itself")
    if (names.at(-1) === "**") return refuse("ends with **: say which files, as in **/*.csv")
    glob.push(names.map(segmentOf))
  }
  return Result.succeed(glob)
}

const tokenMatches = (token: Token, character: string): boolean => {
  switch (token._tag) {
    case "Literal":
      return token.character === character
    case "Class":
      return token.ranges.some(([low, high]) => character >= low && character <= high) !== token.negated
    default:
      return true
  }
}

/** Whether a name matches a segment. A name that begins with a dot has to be asked for. */
export const nameMatches = (segment: Segment, name: string): boolean => {
  if (segment._tag === "Name") return segment.name === name
  if (name.startsWith(".") && (segment._tag === "Directories" || !segment.dotted)) return false
  if (segment._tag === "Directories") return true
  const { tokens } = segment
  // The classic walk: on a mismatch the last star takes one character more. No other star has to be tried again.
  let at = 0
  let token = 0
  let star = -1
  let starAt = 0
  while (at < name.length) {
    const current = tokens[token]
    if (current?._tag === "Many") {
      star = token++
      starAt = at
    } else if (current !== undefined && tokenMatches(current, name[at]!)) {
      token++
      at++
    } else if (star >= 0) {
      token = star + 1
      at = ++starAt
    } else return false
  }
  while (tokens[token]?._tag === "Many") token++
  return token === tokens.length
}

/** Whether a path matches a glob. */
export const pathMatches = (glob: Glob, path: string): boolean => {
  const names = path.split("/")
  return glob.some((segments) => {
    // Which segments may be the next, after each name.
    let next = new Set([0])
    const enter = (at: number, into: Set<number>): void => {
      into.add(at)
      if (segments[at]?._tag === "Directories") enter(at + 1, into)
    }
    const first = new Set<number>()
    for (const at of next) enter(at, first)
    next = first
    for (const name of names) {
      const after = new Set<number>()
      for (const at of next) {
        const segment = segments[at]
        if (segment === undefined || !nameMatches(segment, name)) continue
        if (segment._tag === "Directories") enter(at, after)
        else enter(at + 1, after)
      }
      next = after
    }
    return next.has(segments.length)
  })
}
