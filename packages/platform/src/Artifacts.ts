/**
 * What a job runs: an experiment's tree, built.
 *
 * The layers are `artifacts/Command` (runs a build command in the tree), `artifacts/ContainerImage` (builds an image
 * with docker or podman), `artifacts/None` (the tree is run as it is) and `artifacts/Memory` (a double);
 * `ArtifactsSuite` in `@espalier/platform/testing` binds them. `docs/artifacts.md` compares them.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** A built artifact: something that can be named later, and recorded. */
export const Artifact = Schema.Struct({
  /** What the name means: `tree` (the build is in the experiment's tree), `image`, or a word of the user's. */
  kind: Schema.String,
  /** The name: a commit for `tree`, an image's id for `image`, otherwise what the build said. */
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
  /** File that gets everything the build prints, or that nothing had to be built. Replaced where it exists. */
  readonly log: string
}

/** In which way a build failed. */
export const BuildFailure = Schema.Literals([
  /** It ran and ended with an exit code other than 0, or crashed: `exitCode` is null then, and `signal` is not. */
  "exited",
  /** Something else ended it by a signal. */
  "killed",
  /** It was ended because it took longer than it may. */
  "timed-out",
  /** It never ran: no such program, no such tree, a log that cannot be written, or options that cannot be. */
  "not-started",
  /** It ended well, but what it should have made is not there. */
  "nothing-built",
  /** The tree itself is refused: it lacks what is to be built, or leads out of itself. */
  "refused",
  /** There is no such container engine on this machine. */
  "engine-missing",
  /** The container engine is on this machine, but it or its daemon does not answer, or makes no sense. */
  "engine-unreachable"
])
/** See the schema of the same name. */
export type BuildFailure = typeof BuildFailure.Type

const ofTheMachine: ReadonlySet<BuildFailure> = new Set<BuildFailure>([
  "killed",
  "not-started",
  "engine-missing",
  "engine-unreachable"
])

/**
 * Whether a failure tells of the machine, and nothing of the tree that was to be built: building it again later, or
 * elsewhere, may well succeed.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { isOfTheMachine } from "@espalier/platform/Artifacts"
 *
 * assert.equal(isOfTheMachine("engine-unreachable"), true)
 * assert.equal(isOfTheMachine("exited"), false)
 * ```
 */
export const isOfTheMachine = (failure: BuildFailure): boolean => ofTheMachine.has(failure)

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

/** Why nothing can be looked up or named. */
export const LookupFailure = Schema.Literals([
  /** There is no such container engine on this machine. */
  "engine-missing",
  /** The container engine is on this machine, but it or its daemon does not answer, or makes no sense. */
  "engine-unreachable",
  /** These artifacts do not remember what they built, so there is nothing to give a name to. */
  "keeps-nothing",
  /** There is no such artifact here. */
  "unknown-artifact",
  /** The name is none: see `isArtifactName`. */
  "invalid-name",
  /** What is remembered cannot be read or written. */
  "unusable"
])
/** See the schema of the same name. */
export type LookupFailure = typeof LookupFailure.Type

/** An artifact could not be looked up, or not be given a name. */
export class ArtifactLookupFailed extends Schema.TaggedError<ArtifactLookupFailed>()("ArtifactLookupFailed", {
  failure: LookupFailure,
  /** What it was about: a commit, a name, or an artifact's reference. */
  subject: Schema.String,
  message: Schema.String
}) {}

/** What to look for: what was built of a commit, by what this layer would build it with; or what has a name. */
export type Sought = { readonly commit: string } | { readonly name: string }

const component = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*"
const host =
  "(?:localhost|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*)(?::\\d{1,5})?"
const path = `${component}(?:/${component})*`
const pattern = new RegExp(`^(?:${host}/)?(${path})(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$`)

/**
 * Whether an artifact can have this name: what container engines take as the name of an image, at most 255 characters
 * without the tag. The same for all layers, so that one can take the place of another.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { isArtifactName } from "@espalier/platform/Artifacts"
 *
 * assert.ok(isArtifactName("pipeline:best"))
 * assert.ok(isArtifactName("registry.example.org:5000/team/pipeline:2026-11-29"))
 * assert.ok(!isArtifactName("--help"))
 * assert.ok(!isArtifactName("Pipeline best"))
 * ```
 */
export const isArtifactName = (text: string): boolean => {
  if (text.length > 255 + 1 + 128) return false
  const repository = pattern.exec(text)?.[1]
  // Engines read these as ids of images, not as names.
  return repository !== undefined && repository.length <= 255 && repository !== "sha256" &&
    !/^[0-9a-f]{64}$/.test(text)
}

/**
 * Builds trees, and finds what was built.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { Effect } from "effect"
 * import { Artifacts } from "@espalier/platform/Artifacts"
 * import * as Memory from "@espalier/platform/artifacts/Memory"
 *
 * const program = Effect.gen(function*() {
 *   const artifacts = yield* Artifacts
 *   assert.equal(yield* artifacts.resolve({ commit: "c0ffee" }), undefined)
 *   const built = yield* artifacts.build({ tree: "/tree", commit: "c0ffee", log: "/tree.log" })
 *   assert.deepEqual(yield* artifacts.resolve({ commit: "c0ffee" }), built)
 *   yield* artifacts.tag(built!, "pipeline:best")
 *   assert.deepEqual(yield* artifacts.resolve({ name: "pipeline:best" }), built)
 * }).pipe(Effect.provide(Memory.layer()))
 *
 * await Effect.runPromise(program)
 * ```
 */
export class Artifacts extends Context.Service<Artifacts, {
  /** Builds the tree, or finds what was built of it before. Undefined where trees are run as they are. */
  build(request: BuildRequest): Effect.Effect<Artifact | undefined, BuildFailed>
  /** What was built before, without building. Undefined where there is none, or where nothing is remembered. */
  resolve(sought: Sought): Effect.Effect<Artifact | undefined, ArtifactLookupFailed>
  /** Gives an artifact a second name, by which `resolve` finds it. A name that is taken moves. */
  tag(artifact: Artifact, name: string): Effect.Effect<void, ArtifactLookupFailed>
}>()("@espalier/platform/Artifacts") {}
