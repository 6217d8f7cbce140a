/**
 * Globs of paths, as the guard needs them: exact about what it lets pass.
 *
 * `*` and `?` stay within a segment, `**` as a whole segment stands for any number of them, `[a-z]` and `[!a-z]`
 * are one character, `{a,b}` is either. A name that begins with a dot is a name like others, and so is one with a
 * line end: the libraries for globs leave the first out and differ about the second, which makes a list of what is denied
 * leak. What is no valid pattern (`[` without its `]`) stands for itself.
 */

/** A pattern, ready to be asked. */
export interface Glob {
  /** Whether it matches the whole path. */
  readonly matches: (segments: ReadonlyArray<string>) => boolean
  /** True where it names one file or directory, and not a set of them. */
  readonly plain: boolean
}

const most = 1000

/** The alternatives that `{a,b}` stands for, braces in braces included. */
const expand = (pattern: string): ReadonlyArray<string> => {
  let depth = 0
  let open = -1
  const commas: Array<number> = []
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at]
    if (character === "\\") at++
    else if (character === "{") {
      if (depth++ === 0) open = at
    } else if (character === "," && depth === 1) commas.push(at)
    else if (character === "}" && depth > 0 && --depth === 0) {
      if (commas.length === 0) continue
      const bounds = [open, ...commas, at]
      const found: Array<string> = []
      for (let index = 0; index + 1 < bounds.length; index++) {
        const middle = pattern.slice(bounds[index]! + 1, bounds[index + 1])
        // More than anybody writes: a pattern like {a,b}{a,b}{a,b}... must neither fill the memory nor take for ever.
        if (found.length >= most) break
        found.push(...expand(pattern.slice(0, open) + middle + pattern.slice(at + 1)).slice(0, most))
      }
      return found
    }
  }
  return [pattern]
}

const escaped = (character: string): string => character.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")

/**
 * Whether every bracket and brace of a pattern does what it is for. One that is not closed stands for itself, which is hardly
 * what was meant.
 */
export const isMatchable = (pattern: string): boolean =>
  expand(pattern).every((each) =>
    each.split("/").every((segment) => {
      const bare = segment.replaceAll(/\\./gs, "")
      // Of an alternative, all braces are gone that have a comma and an end.
      if (/\{[^}]*$/.test(bare)) return false
      return !segmentSource(segment, true).includes("\0")
    })
  )

/** One segment as a regular expression. With `marked`, a bracket that stands for itself is a NUL in it. */
const segmentSource = (segment: string, marked = false): string => {
  let source = ""
  for (let at = 0; at < segment.length; at++) {
    const character = segment[at]!
    if (character === "*") {
      while (segment[at + 1] === "*") at++
      source += "[^/]*"
    } else if (character === "?") source += "[^/]"
    else if (character === "\\" && at + 1 < segment.length) source += escaped(segment[++at]!)
    else if (character === "[") {
      // A bracket directly behind the opening one is a character of the set.
      const negated = segment[at + 1] === "!" || segment[at + 1] === "^"
      const first = at + (negated ? 2 : 1)
      const end = segment.indexOf("]", first + 1)
      const set = end < 0 ? "" : segment.slice(first, end).replaceAll(/[\\\]^[]/g, "\\$&")
      if (end < 0 || !isSet(`[${set}]`)) source += marked ? "\0" : "\\["
      else {
        source += negated ? `[^/${set}]` : `(?!/)[${set}]`
        at = end
      }
    } else source += escaped(character)
  }
  return source
}

const isSet = (source: string): boolean => {
  try {
    return new RegExp(source, "s").source !== ""
  } catch {
    return false // a range that runs backwards
  }
}

const anySegments = Symbol("**")

const compileOne = (pattern: string, ignoreCase: boolean): Glob["matches"] => {
  const parts = pattern.split("/").filter((part) => part !== "" && part !== ".").map((part) =>
    part === "**" ? anySegments : new RegExp(`^${segmentSource(part)}$`, ignoreCase ? "is" : "s")
  )
  return (segments) => {
    // Which parts may come next, segment by segment: linear in both, whatever the number of `**`.
    let states = new Set([0])
    const close = (open: Set<number>) => {
      for (const state of open) if (parts[state] === anySegments) open.add(state + 1)
      return open
    }
    close(states)
    for (const segment of segments) {
      const next = new Set<number>()
      for (const state of states) {
        const part = parts[state]
        if (part === anySegments) next.add(state)
        else if (part !== undefined && part.test(segment)) next.add(state + 1)
      }
      states = close(next)
      if (states.size === 0) return false
    }
    return states.has(parts.length)
  }
}

/** Reads a pattern. */
export const compileGlob = (pattern: string, options: { readonly ignoreCase?: boolean } = {}): Glob => {
  const alternatives = expand(pattern).map((each) => compileOne(each, options.ignoreCase === true))
  return {
    matches: (segments) => alternatives.some((matches) => matches(segments)),
    plain: !/[*?[{\\]/.test(pattern)
  }
}
