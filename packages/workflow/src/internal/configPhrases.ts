/**
 * The words in which keys of `espalier.toml` are told. Keys whose values have one form get their rows from one maker, so that
 * what is alike is told alike.
 */

/** Key, what is allowed, default, what it is for. */
export type Row = readonly [key: string, allowed: string, fallback: string, description: string]

/**
 * Makes the row of a key. `fallback` is as it would be written, or in words; `more` is what holds for this key beyond the form
 * of its values: with which others it stands, for instance.
 */
type RowOf = (key: string, fallback: string, description: string, more?: string) => Row

/** Rows of keys whose values are told in these words. */
export const form = (allowed: string): RowOf => (key, fallback, description, more) => [
  key,
  more === undefined ? allowed : `${allowed}; ${more}`,
  fallback,
  description
]

const listed = (words: ReadonlyArray<string>, last: string): string => {
  const quoted = words.map((word) => JSON.stringify(word))
  return quoted.length === 1 ? quoted.join() : `${quoted.slice(0, -1).join(", ")} ${last} ${quoted.at(-1)}`
}

export const namePhrase = "letters, digits, \"-\" and \"_\", beginning with a letter"
export const declaredName = "letters, digits, \".\", \"-\" and \"_\", beginning with a letter"
const signs = "letters, digits, \".\", \"-\", \"_\", \":\" and \"/\""
export const metricName = `${signs}, beginning with a letter`
export const metricKey = `${signs}, beginning with a letter or "_"`
export const below = "a path below the repository, with forward slashes, without \"..\""

/** That a key belongs to some of its section's kinds. */
export const onlyWith = (by: "kind" | "from", ...kinds: ReadonlyArray<string>): string =>
  `only with ${by} = ${listed(kinds, "and")}`

export const section = (name: string, fallback: string, description: string): Row => [
  name,
  `a table, [${name}]`,
  fallback,
  description
]
export const tables = (name: string, fallback: string, description: string): Row => [
  name,
  `tables, [[${name}]]`,
  fallback,
  description
]

export const text = form("a text")
export const texts = form("a list of texts")
export const optionTexts = form("a list of texts, each --name or --name=value")
export const textTable = form("a table of texts")
/** What its texts may hold is said behind it. */
export const argv = (placeholders: string): RowOf =>
  form(`a list of texts, the program first; no shell reads it. ${placeholders}`)
export const pathBelow = form(below)
export const pathFromFile = form("a path, relative to this file")
export const oneOf = (...words: ReadonlyArray<string>): RowOf => form(listed(words, "or"))
export const flag = form("true or false")
export const number = form("a number")
export const wholeNumber = (least: number, greatest: number): RowOf =>
  form(`a whole number from ${least} to ${greatest}`)
export const duration = form("a text with a unit above zero, such as \"60 seconds\", \"5 minutes\" or \"1.5 hours\"")
export const size = form("a text with a unit, such as \"512 MiB\" or \"16 GiB\"")
