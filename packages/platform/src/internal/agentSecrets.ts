/**
 * Takes secrets out of texts. An agent that has a shell can print its own environment, and a provider's error can
 * quote the key that it refuses: so what comes back is cleaned as well as what goes out.
 *
 * Found are the secret itself, what JSON and a URL make of it alone, and what base64 makes of it, alone or inside of something
 * longer, as HTTP makes it of a name and a password. A secret that somebody cuts in two or
 * turns around is not found: this guards against accidents and carelessness, not against an agent that smuggles.
 */
import * as Redacted from "effect/Redacted"

/** Shorter is no secret, but what people give a server that wants none ("none", "local"): an everyday word, or a letter. */
const shortestSecret = 8

/** What stands in the place of a secret. */
export const redactedMark = "<redacted>"

/** A function that replaces every form of these secrets. Longest first, for one may hold another. */
export const redactor = (secrets: ReadonlyArray<Redacted.Redacted>): (text: string) => string => {
  const values = secrets.map((secret) => Redacted.value(secret)).filter((value) => bare(value).length >= shortestSecret)
  // Environment files, headers and prompts lose the white space around a value, and the zero byte that ends a text in C.
  const forms = [...new Set(values.flatMap((value) => [...formsOf(value), ...formsOf(bare(value))]))]
    .sort((one, other) => other.length - one.length)
  return (text) => forms.reduce((cleaned, form) => cleaned.replaceAll(form, redactedMark), text)
}

const bare = (value: string): string => value.replaceAll(/^[\s\0]+|[\s\0]+$/g, "")

const formsOf = (secret: string): ReadonlyArray<string> => {
  const bytes = Buffer.from(secret, "utf8")
  return [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret.toWellFormed()),
    ...(["base64", "base64url"] as const).flatMap((encoding) => [
      bytes.toString(encoding),
      ...[0, 1, 2].map((before) => inside(bytes, before, encoding))
    ])
  ]
}

/**
 * What is the same of these bytes in base64 whatever stands around them, where the number of bytes before them leaves this
 * rest by three: a character holds six bits, and those at the ends share theirs with the neighbours.
 */
const inside = (bytes: Buffer, before: number, encoding: "base64" | "base64url"): string =>
  Buffer.concat([Buffer.alloc(before), bytes]).toString(encoding)
    .slice(Math.ceil(before * 8 / 6), Math.floor((before + bytes.length) * 8 / 6))
