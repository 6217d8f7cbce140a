/**
 * Mistakes in a configuration, collected and put into words that a stranger can act on.
 */
import type { SchemaIssue } from "effect"
import { configKeys, keyOf, type KeyPath, namesBelow, patternOf, writtenPath } from "./configKeys.ts"

/** One mistake, before it has a line. `hint` is what to do when that is more than choosing an allowed value. */
export interface Mistake {
  readonly path: KeyPath
  readonly message: string
  readonly allowed?: string | undefined
  readonly hint?: string | undefined
  /** the value is not shown when there is none, or it says nothing */
  readonly value?: unknown
}

/** The value at a place; undefined if there is none. */
export const valueAt = (root: unknown, path: KeyPath): unknown => {
  let value = root
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined
    value = Reflect.get(value, part)
  }
  return value
}

/** A value as it would be written, shortened. */
export const writtenValue = (value: unknown): string => {
  const text = value instanceof Date
    ? value.toISOString()
    : typeof value === "number"
    ? Object.is(value, NaN) ? "nan" : String(value).replace("Infinity", "inf")
    : JSON.stringify(value) ?? String(value)
  const characters = Array.from(text)
  return characters.length > 100 ? `${characters.slice(0, 99).join("")}…` : text
}

/** Insertions, deletions, substitutions and swaps of neighbours (Damerau 1964, restricted) between two words. */
const editDistance = (a: string, b: string): number => {
  const rows: Array<Array<number>> = [Array.from({ length: b.length + 1 }, (_, i) => i)]
  const get = (i: number, j: number) => rows[i]?.[j] ?? 0
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    rows.push(row)
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      let best = Math.min(get(i - 1, j) + 1, (row[j - 1] ?? 0) + 1, get(i - 1, j - 1) + same)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, get(i - 2, j - 2) + 1)
      row.push(best)
    }
  }
  return get(a.length, b.length)
}

/** The nearest of the known words, if it is near enough to have been meant. */
export const nearest = (word: string, known: ReadonlyArray<string>): string | undefined => {
  const flat = (text: string) => text.toLowerCase().replaceAll(/[-_. ]/g, "")
  // Longer words are not compared in full: nobody means `metric` by a page of text.
  const written = flat(word).slice(0, 80)
  const ranked = known
    .map((each) => ({ each, distance: editDistance(written, flat(each)) }))
    .sort((a, b) => a.distance - b.distance || (a.each < b.each ? -1 : 1))
  const [first] = ranked
  const begun = written.length < 3 ? [] : known.filter((each) => flat(each).startsWith(written))
  if (begun.length === 1) return begun[0]
  return first !== undefined &&
      first.distance <= Math.max(1, Math.floor(Math.max(written.length, first.each.length) / 3))
    ? first.each
    : undefined
}

/** The question whether another word was meant, if one is near. */
export const didYouMean = (name: string, known: ReadonlyArray<string>): string | undefined => {
  const meant = nearest(name, known)
  return meant === undefined ? undefined : `Did you mean "${meant}"?`
}

const unknownKey = (path: KeyPath, value: unknown): Mistake => {
  const key = String(path.at(-1))
  const pattern = patternOf(path.slice(0, -1))
  const known = namesBelow(pattern)
  const meant = nearest(key, known)
  const elsewhere = configKeys.filter((each) => each.key.split(".").length > 1 && each.key.endsWith(`.${key}`)).map((
    each
  ) => each.key)
  return {
    path,
    // What stands in the section of the agent may be its secret, and is not repeated; nor is a table, which may be meant for it.
    value: path[0] === "agent" || typeof value === "object" ? undefined : value,
    message: "is not a known key",
    hint: meant !== undefined
      ? `Did you mean "${meant}"?`
      : elsewhere.length > 0
      ? `It belongs to ${elsewhere.join(" or ")}.`
      : undefined,
    allowed: known.length === 0 ? undefined : known.join(", ")
  }
}

const isDuration = (pattern: string): boolean => /\.(timeout|wallTime|timeLimit|pollEvery)$/.test(pattern)

const wrongValue = (path: KeyPath, value: unknown): Mistake => {
  const pattern = patternOf(path)
  const hint = isDuration(pattern) && typeof value === "number"
    ? `A number alone has no unit. Did you mean "${value} seconds"?`
    : isDuration(pattern) && typeof value === "string"
    ? durationHint(value)
    : pattern.endsWith(".argv") && typeof value === "string"
    ? `No shell takes it apart. Write ${writtenValue(value.split(/\s+/).filter((word) => word !== ""))}.`
    : pattern.endsWith(".environment") && (typeof value === "number" || typeof value === "boolean")
    ? `Variables are texts. Write "${String(value)}".`
    : typeof value === "string" && /^(true|false|-?[0-9.]+)$/.test(value) &&
        /^(a (whole )?number|true or false)/.test(keyOf(pattern)?.allowed ?? "")
    ? "Write it without quotes."
    : typeof value === "string" && value.startsWith("~")
    ? "No shell reads it. Write the whole path."
    : typeof value === "string"
    ? suggestionAmong(value, keyOf(pattern)?.allowed ?? "")
    : undefined
  // An address may hold a password, and is not repeated.
  if (pattern === "agent.baseUrl") {
    const mayHoldOne = typeof value === "string" && value.includes("@")
    return {
      path,
      message: mayHoldOne ? "is no address, or one with a name or a password in it" : "is not an address",
      allowed: keyOf(pattern)?.allowed,
      hint: mayHoldOne ? "A key stands in the variable that agent.secret names." : undefined
    }
  }
  // So may the whole of it, where it is no table.
  if (pattern === "agent") return { path, message: "is not a table", allowed: keyOf(pattern)?.allowed }
  // What stands where a secret is named may be the secret itself, and is not repeated.
  return pattern === "agent.secret"
    ? { path, message: "is not the name of an environment variable", allowed: keyOf(pattern)?.allowed }
    : { path, message: "is not allowed", allowed: keyOf(pattern)?.allowed, hint, value }
}

const durationHint = (value: string): string | undefined => {
  const match = /^\s*([0-9.]+)\s*(ms|s|sec|secs|m|min|mins|h|hr|hrs|d)\s*$/i.exec(value)
  const unit = match === null
    ? undefined
    : {
      ms: "millis",
      s: "seconds",
      m: "minutes",
      h: "hours",
      d: "days"
    }[match[2]?.toLowerCase().replace(/^(s|m|h)(?!s$).*/, "$1") ?? ""]
  return match === null || unit === undefined ? undefined : `Did you mean "${match[1]} ${unit}"?`
}

/** Among words that are quoted in the description of what is allowed. */
const suggestionAmong = (value: string, allowed: string): string | undefined => {
  const words = Array.from(allowed.matchAll(/"([a-z-]+)"/g), ([, word]) => word ?? "")
  const meant = nearest(value, words)
  return meant === undefined ? undefined : `Did you mean "${meant}"?`
}

/** The mistakes in an issue of the schema: the deepest place of each branch, and one for each place. */
export const mistakesOf = (issue: SchemaIssue.Issue, root: unknown): ReadonlyArray<Mistake> => {
  const found = new Map<string, Mistake>()
  const add = (mistake: Mistake) => {
    const key = JSON.stringify(mistake.path)
    if (!found.has(key)) found.set(key, mistake)
  }
  const walk = (at: SchemaIssue.Issue, path: KeyPath): void => {
    switch (at._tag) {
      case "Pointer":
        return walk(at.issue, [...path, ...at.path.map((part) => typeof part === "number" ? part : String(part))])
      case "Composite":
        return at.issues.forEach((each) => walk(each, path))
      case "Filter":
      case "Encoding":
        return walk(at.issue, path)
      case "UnexpectedKey":
        return add(unknownKey(path, valueAt(root, path)))
      case "MissingKey":
        // Only of a list that must hold something: it is the list that is wrong.
        if (typeof path.at(-1) === "number") {
          return add({ ...wrongValue(path.slice(0, -1), valueAt(root, path.slice(0, -1))), message: "is too short" })
        }
        return add({ path, message: "is missing", allowed: keyOf(patternOf(path))?.allowed })
      default:
        return add(wrongValue(path, valueAt(root, path)))
    }
  }
  walk(issue, [])
  return [...found.values()]
}

/** A mistake with its line, as data. */
export interface Located {
  readonly line: number | null
  readonly key: string
  readonly value: string | null
  readonly message: string
  readonly allowed: string | null
  readonly hint: string | null
}

export const located = (mistake: Mistake, lineOf: (path: KeyPath) => number | null): Located => ({
  line: lineOf(mistake.path),
  key: writtenPath(mistake.path),
  value: mistake.value === undefined ? null : writtenValue(mistake.value),
  message: mistake.message,
  allowed: mistake.allowed ?? null,
  hint: mistake.hint ?? null
})

/** All problems of a file as one text. */
export const described = (file: string, problems: ReadonlyArray<Located>): string =>
  [
    `${file}: ${problems.length === 1 ? "1 problem" : `${problems.length} problems`}. Nothing was started.`,
    ...problems.flatMap(({ allowed, hint, key, line, message, value }) => {
      const place = line === null ? file : `${file}:${line}`
      const subject = key === "" ? "" : value === null ? `  ${key}` : `  ${key} = ${value}`
      return [
        "",
        `${place}${subject}`,
        `  ${key === "" ? message : `${message}.`}`,
        ...(hint === null ? [] : [`  ${hint}`]),
        ...(allowed === null ? [] : [`  Allowed: ${allowed}.`])
      ]
    })
  ].join("\n")
