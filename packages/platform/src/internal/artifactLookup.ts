/** The failures of looking artifacts up, made in one place. */
import * as Effect from "effect/Effect"
import { ArtifactLookupFailed, isArtifactName, type LookupFailure } from "../Artifacts.ts"

export const lookupFailed = (
  failure: LookupFailure,
  subject: string,
  message: string
): Effect.Effect<never, ArtifactLookupFailed> => Effect.fail(new ArtifactLookupFailed({ failure, subject, message }))

/** Refuses what is no name, before anything is done with it. */
export const checkName = (name: string): Effect.Effect<void, ArtifactLookupFailed> =>
  isArtifactName(name)
    ? Effect.void
    : lookupFailed(
      "invalid-name",
      name,
      `${
        JSON.stringify(name.slice(0, 300))
      } cannot name an artifact. Use lower-case letters, digits, ".", "_", "-" and ` +
        `"/", and a tag after ":", such as "pipeline:best"`
    )

export const keepsNothing = (reference: string, name: string, why: string) =>
  lookupFailed("keeps-nothing", reference, `${reference} cannot be named ${JSON.stringify(name)}: ${why}`)
