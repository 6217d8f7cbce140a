/** Artifacts for sources that need no build: the tree is run as it is. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Artifacts } from "../Artifacts.ts"

/** Builds nothing; every build returns undefined at once. */
export const layer: Layer.Layer<Artifacts> = Layer.succeed(
  Artifacts,
  Artifacts.of({ build: () => Effect.undefined })
)
