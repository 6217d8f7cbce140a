/** Artifacts for sources that need no build: the tree is run as it is. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Artifacts } from "../Artifacts.ts"
import { checkName, keepsNothing } from "../internal/artifactLookup.ts"

/**
 * Builds nothing: every build returns undefined at once, there is nothing to be found, and nothing to be named.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { Effect } from "effect"
 * import { Artifacts } from "@espalier/platform/Artifacts"
 * import * as None from "@espalier/platform/artifacts/None"
 *
 * const program = Effect.gen(function*() {
 *   const artifacts = yield* Artifacts
 *   return yield* artifacts.build({ tree: "/tree", commit: "c0ffee", log: "/tree.log" })
 * }).pipe(Effect.provide(None.layer))
 *
 * assert.equal(await Effect.runPromise(program), undefined)
 * ```
 */
export const layer: Layer.Layer<Artifacts> = Layer.succeed(
  Artifacts,
  Artifacts.of({
    build: () => Effect.undefined,
    resolve: () => Effect.undefined,
    tag: ({ reference }, name) =>
      Effect.andThen(checkName(name), keepsNothing(reference, name, "no artifacts are built here"))
  })
)
