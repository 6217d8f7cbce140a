/**
 * What a job runs: an experiment's tree, built.
 *
 * The layers are `artifacts/Command` (runs a build command in the tree), `artifacts/None` (the tree is
 * run as it is) and `artifacts/Memory` (a double); `ArtifactsSuite` in `@espalier/platform/testing` binds them.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** A built artifact: something that can be named later, and recorded. */
export const Artifact = Schema.Struct({
  /** What the name means: `tree` (the build is in the experiment's tree), or a word of the user's, such as `image`. */
  kind: Schema.String,
  /** The name: a commit for `tree`, otherwise what the build said, such as an image's digest. */
  reference: Schema.String
})
/** See the schema of the same name. */
export type Artifact = typeof Artifact.Type

/** What is built, and where the build may write about it. */
export interface BuildRequest {
  /** Absolute path of the tree, which is the build's working directory. */
  readonly tree: string
  /** The commit that the tree is at. */
  readonly commit: string
  /** File that gets everything the build prints. Replaced where it exists. */
  readonly log: string
}

/** In which way a build failed. */
export const BuildFailure = Schema.Literals([
  /** It ran and ended with an exit code other than 0. */
  "exited",
  /** Something else ended it by a signal. */
  "killed",
  /** It was ended because it took longer than it may. */
  "timed-out",
  /** It never ran: no such program, no such tree, or a log that cannot be written. */
  "not-started",
  /** It ended well, but what it should have made is not there. */
  "nothing-built"
])
/** See the schema of the same name. */
export type BuildFailure = typeof BuildFailure.Type

/** There is no artifact for this tree. */
export class BuildFailed extends Schema.TaggedError<BuildFailed>()("BuildFailed", {
  failure: BuildFailure,
  argv: Schema.Array(Schema.String),
  exitCode: Schema.NullOr(Schema.Int),
  signal: Schema.NullOr(Schema.String),
  /** The end of what it printed; at most 40 lines and 8 KiB. */
  logTail: Schema.String,
  /** The file with all that it printed. */
  log: Schema.String,
  durationMillis: Schema.Finite,
  message: Schema.String
}) {}

/**
 * Builds trees.
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
export class Artifacts extends Context.Service<Artifacts, {
  /** Builds the tree, or finds what was built of it before. Undefined where trees are run as they are. */
  build(request: BuildRequest): Effect.Effect<Artifact | undefined, BuildFailed>
}>()("@espalier/platform/Artifacts") {}
