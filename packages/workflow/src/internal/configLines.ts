/**
 * In which line of a TOML file a key stands. The parser gives lines for syntax errors only, so this looks for the keys
 * again, in a file that is known to be valid: headers, keys before `=`, and just enough of values to know where they end.
 */
import type { KeyPath } from "./configKeys.ts"

const keyOf = (path: KeyPath): string => JSON.stringify(path)

/** Reads `a.b."c d"` at the position; undefined if there is no key. */
const readKey = (
  text: string,
  from: number
): { readonly parts: ReadonlyArray<string>; readonly end: number } | undefined => {
  const parts: Array<string> = []
  const part = /[ \t]*(?:([A-Za-z0-9_-]+)|"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)')[ \t]*/y
  let end = from
  for (;;) {
    part.lastIndex = end
    const match = part.exec(text)
    if (match === null) return undefined
    const [whole, bare, basic, literal] = match
    parts.push(bare ?? literal ?? unescaped(basic ?? ""))
    end += whole.length
    if (text[end] !== ".") return { parts, end }
    end++
  }
}

/** The escapes that TOML shares with JSON; a key with another one keeps its backslash, and its line is not found. */
const unescaped = (basic: string): string => {
  try {
    return String(JSON.parse(`"${basic}"`))
  } catch {
    return basic
  }
}

/** The end of the value that begins at the position: of its line, or where its string, list or table closes. */
const endOfValue = (text: string, from: number): number => {
  let depth = 0
  let at = from
  while (at < text.length) {
    const character = text[at]
    if (character === "\n" && depth === 0) return at
    if (character === "#") {
      at = text.indexOf("\n", at)
      if (at === -1) return text.length
      continue
    }
    if (character === "[" || character === "{") depth++
    if (character === "]" || character === "}") depth--
    if (character === "\"" || character === "'") {
      const triple = character.repeat(3)
      const quote = text.startsWith(triple, at) ? triple : character
      at += quote.length
      while (at < text.length && !text.startsWith(quote, at)) at += character === "\"" && text[at] === "\\" ? 2 : 1
      at += quote.length
      // Up to two more quotes belong to the text of a multi-line string.
      if (quote === triple) { while (text[at] === character) at++ }
      continue
    }
    at++
  }
  return at
}

/** The line, from 1, of a place, or of the nearest place around it that has one; null when there is none. */
export const lineFinder = (text: string): (path: KeyPath) => number | null => {
  const lines = new Map<string, number>()
  const elements = new Map<string, number>()
  let table: KeyPath = []
  let at = 0
  let line = 1
  const remember = (path: KeyPath) => {
    // `a.b.c = 1` is also the line of `a` and `a.b`, if they have none yet.
    for (let length = 1; length <= path.length; length++) {
      const key = keyOf(path.slice(0, length))
      if (!lines.has(key)) lines.set(key, line)
    }
  }
  const count = (from: number, to: number) => {
    for (let i = text.indexOf("\n", from); i !== -1 && i < to; i = text.indexOf("\n", i + 1)) line++
  }
  /** `[metrics.x]` after `[[metrics]]` means the last of them. */
  const resolved = (parts: ReadonlyArray<string>): KeyPath => {
    const path: Array<string | number> = []
    for (const part of parts) {
      path.push(part)
      const last = elements.get(keyOf(path))
      if (last !== undefined) path.push(last)
    }
    return path
  }
  while (at < text.length) {
    const start = at
    const header = /[ \t]*(\[\[?)/y
    header.lastIndex = at
    const opened = header.exec(text)
    const key = readKey(text, opened === null ? at : at + opened[0].length)
    if (opened !== null && key !== undefined) {
      if (opened[1] === "[[") {
        const parents = resolved(key.parts.slice(0, -1))
        const list = [...parents, key.parts.at(-1) ?? ""]
        const index = (elements.get(keyOf(list)) ?? -1) + 1
        elements.set(keyOf(list), index)
        table = [...list, index]
      } else table = resolved(key.parts)
      remember(table)
      at = endOfLine(text, key.end)
    } else if (key !== undefined && text[key.end] === "=") {
      remember([...table, ...key.parts])
      at = endOfValue(text, key.end + 1)
    } else at = endOfLine(text, at)
    at++
    count(start, at)
  }
  return (path) => {
    for (let length = path.length; length > 0; length--) {
      const found = lines.get(keyOf(path.slice(0, length)))
      if (found !== undefined) return found
    }
    return null
  }
}

const endOfLine = (text: string, from: number): number => {
  const end = text.indexOf("\n", from)
  return end === -1 ? text.length : end
}
