/** Keeps secrets out of recordings, which are made to be kept, shared and committed. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Change } from "./recordedCall.ts"

const secretName = /(?:^|_)(?:API_?KEY|ACCESS_?KEY|SECRET|TOKEN|PASSWORD|CREDENTIALS?)(?:_|$)/i

/** Shorter values of such variables are as a rule names and switches, and stand in texts by chance. */
const shortest = 16

/** The variables of the environment that are named like keys: what an agent with a shell can print. */
export const environmentSecrets = (
  environment: Readonly<Record<string, string | undefined>>
): ReadonlyArray<Redacted.Redacted> =>
  Object.entries(environment).flatMap(([name, value]) =>
    value !== undefined && value.length >= shortest && secretName.test(name) ? [Redacted.make(value)] : []
  )

/** Fails where a change holds a secret. A file cannot be cleaned: a replay would make another one. */
export const refuseSecrets = (
  redact: (text: string) => string,
  changes: ReadonlyArray<Change>
): Effect.Effect<void, { readonly message: string }> => {
  const holds = (text: string) => redact(text) !== text
  const found = changes.find((change) =>
    holds(change.file) ||
    (change._tag === "Written" &&
      holds(change.encoding === "utf8" ? change.content : Buffer.from(change.content, "base64").toString("latin1")))
  )
  return found === undefined
    ? Effect.void
    : Effect.fail({ message: `the agent wrote a secret to ${redact(found.file)}, and no recording may hold one` })
}
