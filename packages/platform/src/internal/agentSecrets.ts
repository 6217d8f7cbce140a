/**
 * Takes secrets out of texts. An agent that has a shell can print its own environment, and a provider's error can
 * quote the key that it refuses: so what comes back is cleaned as well as what goes out.
 *
 * Found are the secret itself and what JSON, a URL and base64 make of it alone. A secret that somebody cuts in two or
 * turns around is not found: this guards against accidents and carelessness, not against an agent that smuggles.
 */
import * as Redacted from "effect/Redacted"

/** Shorter is no secret, but what people give a server that wants none ("none", "local"): an everyday word, or a letter. */
const shortestSecret = 8

/** What stands in the place of a secret. */
export const redactedMark = "<redacted>"

/** A function that replaces every form of these secrets. Longest first, for one may hold another. */
export const redactor = (secrets: ReadonlyArray<Redacted.Redacted>): (text: string) => string => {
  const values = secrets.map((secret) => Redacted.value(secret)).filter((value) =>
    value.trim().length >= shortestSecret
  )
  // Environment files, headers and prompts lose the white space around a value.
  const forms = [...new Set(values.flatMap((value) => [...formsOf(value), ...formsOf(value.trim())]))]
    .sort((one, other) => other.length - one.length)
  return (text) => forms.reduce((cleaned, form) => cleaned.replaceAll(form, redactedMark), text)
}

const formsOf = (secret: string): ReadonlyArray<string> => {
  const bytes = Buffer.from(secret, "utf8")
  return [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret.toWellFormed()),
    bytes.toString("base64"),
    bytes.toString("base64url")
  ]
}
