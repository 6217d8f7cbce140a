/**
 * Globs over paths of a directory: one dialect for the files of a job, for what may be changed in a tree, and for what is
 * no part of its state. Pure, and in time linear in the pattern times the path, whoever chose them.
 *
 * - `*` is any number of characters of a name, `?` is one. `[a-z]` is one of them, `[!a-z]` (or `[^a-z]`) one of the
 *   others; a `]` right behind the opening is meant as itself.
 * - `**` as a whole name is any number of directories.
 * - `{a,b}` is either, also in one another.
 * - A name that holds a line end or any other odd character is a name like others. The libraries for globs differ about
 *   that, which makes a list of what is denied leak.
 * - A bracket or brace that is not closed, and a range that runs backwards, stand for themselves. Hardly anybody means
 *   that, so both users of this refuse them: `mistakeIn` and `parseGlob` tell.
 *
 * What the two promise differently are the `Rules`.
 */
import * as Result from "effect/Result"

interface Rules {
  /** Whether a wildcard stands for a dot that a name begins with. Where not, such a name has to be asked for. */
  readonly dots: boolean
  /** Whether `\` takes the meaning from the character behind it. */
  readonly escapes: boolean
  /** Whether upper and lower case count the same. */
  readonly ignoreCase: boolean
}

/** A fence has to be exact about what it lets pass: dots are nothing special, and every name can be written. */
const guardRules: Rules = { dots: true, escapes: true, ignoreCase: false }
/** What a shell would find: what is hidden was hardly meant. */
const fileRules: Rules = { dots: false, escapes: false, ignoreCase: false }

/** One of the characters of a name: this one, any, any number of any, one of some, or not one of some. */
type Token =
  | { readonly _tag: "Literal"; readonly character: string }
  | { readonly _tag: "Any" }
  | { readonly _tag: "Many" }
  | { readonly _tag: "Class"; readonly negated: boolean; readonly ranges: ReadonlyArray<readonly [string, string]> }

/** One part of a path: a name as it is, a pattern of names, or any number of directories. */
export type Segment =
  | { readonly _tag: "Name"; readonly name: string }
  | {
    readonly _tag: "Pattern"
    readonly tokens: ReadonlyArray<Token>
    readonly dots: boolean
    readonly ignoreCase: boolean
  }
  | { readonly _tag: "Directories"; readonly dots: boolean }

/** A pattern, ready to be asked. */
export interface Glob {
  /** What `{a,b}` stands for, each as its segments. */
  readonly alternatives: ReadonlyArray<ReadonlyArray<Segment>>
  /** Whether it matches the whole path. */
  readonly matches: (path: ReadonlyArray<string>) => boolean
  /** True where it names one file or directory, and not a set of them. */
  readonly plain: boolean
}

/** Where the first braces begin, have their commas, and end that hold no other braces with commas. */
const bracesIn = (text: string, escapes: boolean): ReadonlyArray<number> | undefined => {
  const open: Array<Array<number>> = []
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === "\\" && escapes) at++
    else if (character === "{") open.push([at])
    else if (character === ",") open.at(-1)?.push(at)
    else if (character === "}") {
      const found = open.pop()
      if (found !== undefined && found.length > 1) return [...found, at]
    }
  }
  return undefined
}

/**
 * `{a,b}` written out; undefined where that is more than anybody writes. A pattern like {a,b}{a,b}{a,b}... must neither
 * fill the memory nor take for ever: what is the same counts as often as it comes.
 */
const writtenOut = (pattern: string, { escapes }: Rules, most: number): ReadonlyArray<string> | undefined => {
  const done: Array<string> = []
  const pending = [pattern]
  for (let text = pending.pop(); text !== undefined; text = pending.pop()) {
    const bounds = bracesIn(text, escapes)
    if (bounds === undefined) done.push(text)
    else {
      for (let index = bounds.length - 2; index >= 0; index--) {
        const option = text.slice(bounds[index]! + 1, bounds[index + 1])
        pending.push(text.slice(0, bounds[0]) + option + text.slice(bounds.at(-1)! + 1))
      }
    }
    if (done.length + pending.length > most) return undefined
  }
  return [...new Set(done)]
}

/** The class that begins at a bracket, and where it ends; or why it is none. */
const classAt = (text: string, from: number): readonly [Token, end: number] | "open" | "backwards" => {
  const negated = text[from + 1] === "!" || text[from + 1] === "^"
  const begin = from + (negated ? 2 : 1)
  const end = text.indexOf("]", begin + 1)
  if (end < 0) return "open"
  const ranges: Array<readonly [string, string]> = []
  for (let at = begin; at < end; at++) {
    const isRange = text[at + 1] === "-" && at + 2 < end
    const high = isRange ? text[at + 2]! : text[at]!
    if (text[at]! > high) return "backwards"
    ranges.push([text[at]!, high])
    if (isRange) at += 2
  }
  return [{ _tag: "Class", negated, ranges }, end + 1]
}

/** Reads a name. `mistake`: a bracket in it stands for itself. */
const tokensOf = (
  text: string,
  escapes: boolean
): { readonly tokens: ReadonlyArray<Token>; readonly mistake: "open" | "backwards" | undefined } => {
  const tokens: Array<Token> = []
  let mistake: "open" | "backwards" | undefined
  for (let at = 0; at < text.length;) {
    const found = text[at] === "[" ? classAt(text, at) : undefined
    if (typeof found === "object") {
      tokens.push(found[0])
      at = found[1]
      continue
    }
    mistake ??= found
    const character = text[at++]!
    if (character === "*") {
      if (tokens.at(-1)?._tag !== "Many") tokens.push({ _tag: "Many" })
    } else if (character === "?") tokens.push({ _tag: "Any" })
    else {
      const escaped = character === "\\" && escapes && at < text.length
      tokens.push({ _tag: "Literal", character: escaped ? text[at++]! : character })
    }
  }
  return { tokens, mistake }
}

/** Whether a name of an alternative, where all braces are gone that have a comma and an end, has one that is not closed. */
const hasOpenBrace = (name: string, escapes: boolean): boolean =>
  // One in brackets, or behind a backslash, is the character itself.
  /\{[^}]*$/.test((escapes ? name.replaceAll(/\\./gs, "") : name).replaceAll(/\[[!^]?[^][^\]]*\]/g, ""))

const segmentOf = (text: string, { dots, escapes, ignoreCase }: Rules): Segment => {
  if (text === "**") return { _tag: "Directories", dots }
  const { tokens } = tokensOf(text, escapes)
  const name = tokens.map((token) => token._tag === "Literal" ? token.character : "").join("")
  return name.length === tokens.length && !ignoreCase
    ? { _tag: "Name", name }
    : { _tag: "Pattern", tokens, dots: dots || text.startsWith("."), ignoreCase }
}

const globOf = (pattern: string, alternatives: ReadonlyArray<string>, rules: Rules): Glob => {
  const read = alternatives.map((text) => {
    const names = text.split("/").filter((name) => name !== "" && name !== ".")
    // Two in a row say what one says.
    return names.filter((name, index) => name !== "**" || names[index - 1] !== "**").map((name) =>
      segmentOf(name, rules)
    )
  })
  return {
    alternatives: read,
    matches: (path) => read.some((segments) => pathMatches(segments, path)),
    plain: !/[*?[{\\]/.test(pattern)
  }
}

/** As regular expressions do it: what is no ASCII never counts as what is. */
const folded = (character: string): string => {
  const upper = character.toUpperCase()
  return upper.length !== 1 || (character > "\x7f" && upper <= "\x7f") ? character : upper
}

const tokenMatches = (token: Token, character: string, ignoreCase: boolean): boolean => {
  if (token._tag === "Any" || token._tag === "Many") return true
  const fold = folded(character)
  if (token._tag === "Literal") {
    return token.character === character || (ignoreCase && folded(token.character) === fold)
  }
  const spellings = ignoreCase
    ? [character, fold, character.toLowerCase(), fold.toLowerCase()].filter((each) => folded(each) === fold)
    : [character]
  const isIn = ([low, high]: readonly [string, string]): boolean =>
    spellings.some((each) => each >= low && each <= high) || (ignoreCase && low === high && folded(low) === fold)
  return token.ranges.some(isIn) !== token.negated
}

/** Whether a name matches a segment. */
export const nameMatches = (segment: Segment, name: string): boolean => {
  if (segment._tag === "Name") return segment.name === name
  if (!segment.dots && name.startsWith(".")) return false
  if (segment._tag === "Directories") return true
  const { ignoreCase, tokens } = segment
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
    } else if (current !== undefined && tokenMatches(current, name[at]!, ignoreCase)) {
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

const pathMatches = (segments: ReadonlyArray<Segment>, path: ReadonlyArray<string>): boolean => {
  // Which segments may be the next, after each name. What is added to a set while it is gone through is gone through too.
  const open = (states: Set<number>): Set<number> => {
    for (const state of states) if (segments[state]?._tag === "Directories") states.add(state + 1)
    return states
  }
  let states = open(new Set([0]))
  for (const name of path) {
    const next = new Set<number>()
    for (const state of states) {
      const segment = segments[state]
      if (segment === undefined || !nameMatches(segment, name)) continue
      next.add(segment._tag === "Directories" ? state : state + 1)
    }
    states = open(next)
    if (states.size === 0) return false
  }
  return states.has(segments.length)
}

const mostOfGuard = 1000

/**
 * Reads a pattern of the guard. One that has a mistake in it may match less than it says. With more alternatives than are
 * written out it would match nothing, and a pattern of what is denied would let everything pass: that is a defect.
 */
export const compileGlob = (pattern: string, options: { readonly ignoreCase?: boolean } = {}): Glob => {
  const rules = { ...guardRules, ...options }
  const alternatives = writtenOut(pattern, rules, mostOfGuard)
  if (alternatives === undefined) throw new Error(`the pattern ${JSON.stringify(pattern)}: ${mistakeIn(pattern)}`)
  return globOf(pattern, alternatives, rules)
}

/** Why a pattern of the guard does not match what it says, and what to write instead; undefined where it does. */
export const mistakeIn = (pattern: string): string | undefined => {
  const alternatives = writtenOut(pattern, guardRules, mostOfGuard)
  if (alternatives === undefined) {
    return `its braces { } stand for more than ${mostOfGuard} patterns. Write fewer, or use wildcards`
  }
  const isMistaken = (name: string) =>
    hasOpenBrace(name, guardRules.escapes) || tokensOf(name, guardRules.escapes).mistake !== undefined
  return alternatives.some((each) => each.split("/").some(isMistaken))
    ? "it has a bracket [ or a brace { that is not closed, or a range that runs backwards. Close it, or write \\[ or \\{ " +
      "for the character itself"
    : undefined
}

const mostOfFiles = 64

/** Reads a glob of a job's files. It has to be relative, and to stay inside. */
export const parseGlob = (text: string): Result.Result<Glob, string> => {
  const refuse = (why: string) => Result.fail(`looks for files at ${JSON.stringify(text)}, which ${why}`)
  if (/[\0\\]/.test(text)) return refuse("has a backslash or a zero byte: use / between names")
  const alternatives = writtenOut(text, fileRules, mostOfFiles)
  if (alternatives === undefined) return refuse(`has more than ${mostOfFiles} alternatives`)
  for (const each of alternatives) {
    if (each.startsWith("/")) return refuse("is absolute: write it from the job's directory on")
    const names = each.replace(/^(?:\.\/)+/, "").split("/")
    if (names.some((name) => name === "" || name === "." || name === "..")) {
      return refuse("has an empty name, . or .. in it: it must not leave the directory")
    }
    if (names.length > mostOfFiles) return refuse(`is deeper than ${mostOfFiles} directories`)
    const mistakes = names.map((name) => tokensOf(name, fileRules.escapes).mistake)
    if (mistakes.includes("open")) {
      return refuse("has a [ without its ] in one name: write [[] for the character itself")
    }
    if (names.some((name) => hasOpenBrace(name, fileRules.escapes))) {
      return refuse("has a { without its }: write [{] for the character itself")
    }
    if (mistakes.includes("backwards")) return refuse("has a range in [ ] that runs backwards, and so matches nothing")
    if (names.at(-1) === "**") return refuse("ends with **: say which files, as in **/*.csv")
  }
  return Result.succeed(globOf(text, alternatives, fileRules))
}
