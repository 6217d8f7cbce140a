/**
 * Numbers, and where they stand in a text: `key=value` pairs, fields of JSON, fields of a row of CSV. Pure, and linear in
 * the length of the text.
 */
import * as Predicate from "effect/Predicate"

/** The number that a text is, if it is one as JSON or C write it, and finite. */
export const parseNumber = (text: string): number | undefined => {
  if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) return undefined
  const value = Number(text)
  return Number.isFinite(value) ? value : undefined
}

/** What may stand in a key: letters, digits and `_ . / : -`. */
const inKey = new Uint8Array(128)
for (const one of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:-") inKey[one.charCodeAt(0)] = 1
/** A whole key. One that does not match stands in no line. */
export const keyPattern = /^[A-Za-z_][A-Za-z0-9_./:-]*$/
const comma = 44
const semicolon = 59
/** What ends a pair: a blank of any sort, or a semicolon. */
const isGap = (code: number): boolean => code <= 32 || code === semicolon || code === 0xa0

/**
 * The `key=value` pairs of a line, in order. A comma ends a value only where another key follows: `a=1,b=2` is two
 * pairs, but `a=1,234` is one, and no number. `cut`: the line went on, so a value that reaches its end may be half a
 * number, and is none.
 */
export const keyValues = (line: string, cut = false): Array<readonly [key: string, value: string]> => {
  const pairs: Array<readonly [string, string]> = []
  /** The pair whose end is not known yet. */
  let key = ""
  let from = 0
  const close = (limit: number): void => {
    if (key === "") return
    let to = from
    while (to < limit && !isGap(line.charCodeAt(to))) to++
    if (cut && to === line.length) return
    while (to > from && line.charCodeAt(to - 1) === comma) to--
    const quoted = to - from > 1 && line[from] === "\"" && line[to - 1] === "\""
    pairs.push([key, quoted ? line.slice(from + 1, to - 1) : line.slice(from, to)])
  }
  for (let at = line.indexOf("="); at >= 0; at = line.indexOf("=", at + 1)) {
    let start = at
    while (start > 0 && inKey[line.charCodeAt(start - 1)] === 1) start--
    const before = start === 0 ? semicolon : line.charCodeAt(start - 1)
    if (start === at || (before !== comma && !isGap(before)) || !/[A-Za-z_]/.test(line[start]!)) continue
    close(start - 1)
    key = line.slice(start, at)
    from = at + 1
  }
  close(line.length)
  return pairs
}

/** Texts that stand in JSON, and what Python and others write there for numbers that JSON cannot tell. */
const jsonPiece = /"[^"\\]*(?:\\.[^"\\]*)*"?|-?\b(?:NaN|Infinity)\b/gs
/** Stands in for `NaN`, which no number of JSON gives. */
const notANumber = "\0NaN"
const notANumberWritten = JSON.stringify(notANumber)

/**
 * What a text is in JSON, where `NaN` and `Infinity` may stand for numbers as well: a line must not lose its other fields for
 * one value that diverged. Undefined when it is no JSON.
 */
export const parseJson = (text: string): unknown => {
  try {
    // Asked before, and not after JSON.parse has failed: an error costs more than all the rest.
    if (!text.includes("NaN") && !text.includes("Infinity")) return JSON.parse(text)
    let revive: ((key: string, value: unknown) => unknown) | undefined
    const written = text.replaceAll(jsonPiece, (piece) => {
      if (piece.startsWith("\"")) return piece
      if (!piece.endsWith("NaN")) return `${piece.startsWith("-") ? "-" : ""}1e999`
      revive = (_, value) => value === notANumber ? Number.NaN : value
      return notANumberWritten
    })
    return JSON.parse(written, revive)
  } catch {
    return undefined
  }
}

/** What stands at a path of an object: a field of that very name, else the field of a field. */
export const fieldOf = (value: unknown, path: string): unknown => {
  if (!Predicate.isObject(value)) return undefined
  if (Object.hasOwn(value, path)) return Reflect.get(value, path)
  for (let dot = path.indexOf("."); dot > 0; dot = path.indexOf(".", dot + 1)) {
    if (!Object.hasOwn(value, path.slice(0, dot))) continue
    const found = fieldOf(Reflect.get(value, path.slice(0, dot)), path.slice(dot + 1))
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * A row of CSV. `open`: its last field is quoted and does not end here. `torn`: a field that goes over lines is closed by a
 * quote that more text follows, so that quote is hardly its own.
 */
export interface CsvRow {
  readonly fields: Array<string>
  readonly open: boolean
  readonly torn?: true
}

const isBlank = (code: number): boolean => code === 32 || code === 9

/**
 * The fields of a row. Fields may be quoted, a quote in them is doubled, blanks around a field are left out. A space as
 * delimiter stands for any run of blanks. `before`: the open row that this line goes on; it is used up.
 */
export const csvFields = (text: string, delimiter: string, before?: CsvRow): CsvRow => {
  const byBlanks = delimiter === " "
  const fields = before?.fields ?? []
  const length = text.length
  let at = 0
  let isInside = before !== undefined
  const begun = isInside ? `${fields.pop()}\n` : ""
  // A tab that separates is no blank.
  const isSkipped = (): boolean => isBlank(text.charCodeAt(at)) && (byBlanks || text[at] !== delimiter)
  const skipBlanks = (): void => {
    while (at < length && isSkipped()) at++
  }
  const isEnd = (): boolean =>
    at >= length || (byBlanks ? isBlank(text.charCodeAt(at)) : text.startsWith(delimiter, at))
  let torn = false
  for (let isFirst = before !== undefined;; isFirst = false) {
    let field = ""
    if (isInside) field = begun
    else {
      skipBlanks()
      if (byBlanks && at >= length) return { fields, open: false, ...(torn ? { torn } : {}) }
      isInside = text[at] === "\""
      if (isInside) at++
    }
    while (isInside) {
      const quote = text.indexOf("\"", at)
      if (quote < 0) {
        fields.push(field + text.slice(at))
        return { fields, open: true, ...(torn ? { torn } : {}) }
      }
      field += text.slice(at, quote)
      at = quote + 1
      isInside = text[at] === "\""
      if (isInside) {
        field += "\""
        at++
      }
    }
    const from = at
    while (!isEnd()) at++
    const after = text.slice(from, at).trimEnd()
    if (isFirst && after !== "") torn = true
    fields.push(field + after)
    if (at >= length) return { fields, open: false, ...(torn ? { torn } : {}) }
    at += delimiter.length
  }
}
