/**
 * What is said of keys of `espalier.toml` again and again.
 */

/** Key, what is allowed, default, what it is for. */
export type KeyRow = readonly [key: string, allowed: string, fallback: string, description: string]

export const namePhrase = "letters, digits, \"-\" and \"_\", beginning with a letter"
export const declaredName = "letters, digits, \".\", \"-\" and \"_\", beginning with a letter"
export const durationPhrase = "a text with a unit above zero, such as \"60 seconds\", \"5 minutes\" or \"1.5 hours\""
export const sizePhrase = "a text with a unit, such as \"512 MiB\" or \"16 GiB\""
export const below = "a path below the repository, with forward slashes, without \"..\""
