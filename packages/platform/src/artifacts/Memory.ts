/**
 * Artifacts for tests: builds that are answered by a function, and remembered as long as the layer lives.
 *
 * Every build is answered anew: whoever wants to see that something is not built twice looks at `Builds`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import { type Artifact, Artifacts, BuildFailed, type BuildFailure, type BuildRequest } from "../Artifacts.ts"
import { checkName, lookupFailed } from "../internal/artifactLookup.ts"

/** The builds that were asked for, in order. */
export class Builds extends Context.Service<Builds, {
  readonly requests: Effect.Effect<ReadonlyArray<BuildRequest>>
}>()("@espalier/platform/artifacts/Memory/Builds") {}

/** What a build comes to. */
export type Answer = (request: BuildRequest) => Effect.Effect<Artifact | undefined, BuildFailed>

/** A failure as a build would report it, for an `Answer` to fail with. */
export const failure = (
  request: BuildRequest,
  options: { readonly failure?: BuildFailure; readonly exitCode?: number; readonly logTail?: string } = {}
): BuildFailed =>
  new BuildFailed({
    failure: options.failure ?? "exited",
    argv: ["build"],
    exitCode: options.exitCode ?? ((options.failure ?? "exited") === "exited" ? 1 : null),
    signal: null,
    logTail: options.logTail ?? "",
    log: request.log,
    durationMillis: 0,
    message: `The build of ${request.commit.slice(0, 12)} failed, as the test asked for. Change the test's answer`
  })

/**
 * Answers builds with a function; by default each gives the tree itself at its commit.
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
 *   const request = { tree: "/tree", commit: "c0ffee", log: "/tree.log" }
 *   const error = yield* Effect.flip(artifacts.build(request))
 *   const builds = yield* Memory.Builds
 *   assert.deepEqual(yield* builds.requests, [request])
 *   return error
 * }).pipe(Effect.provide(Memory.layer((request) => Effect.fail(Memory.failure(request, { exitCode: 2 })))))
 *
 * assert.equal((await Effect.runPromise(program)).exitCode, 2)
 * ```
 */
export const layer = (
  answer: Answer = ({ commit }) => Effect.succeed({ kind: "tree", reference: commit })
): Layer.Layer<Artifacts | Builds> =>
  Layer.effectContext(Effect.gen(function*() {
    const requests = yield* Ref.make<ReadonlyArray<BuildRequest>>([])
    const byCommit = new Map<string, Artifact>()
    const byName = new Map<string, Artifact>()
    const isKnown = ({ kind, reference }: Artifact) =>
      [...byCommit.values()].some((one) => one.kind === kind && one.reference === reference)
    return Context.make(
      Artifacts,
      Artifacts.of({
        build: (request) =>
          Ref.update(requests, (all) => [...all, request]).pipe(
            Effect.andThen(answer(request)),
            Effect.tap((artifact) =>
              Effect.sync(() => {
                if (artifact !== undefined) byCommit.set(request.commit, artifact)
              })
            )
          ),
        resolve: (sought) =>
          Effect.sync(() => "commit" in sought ? byCommit.get(sought.commit) : byName.get(sought.name)),
        tag: (artifact, name) =>
          Effect.gen(function*() {
            yield* checkName(name)
            if (!isKnown(artifact)) {
              const message =
                `Nothing was built here that is the ${artifact.kind} ${artifact.reference}. Build it first`
              return yield* lookupFailed("unknown-artifact", artifact.reference, message)
            }
            byName.set(name, artifact)
          })
      })
    ).pipe(Context.add(Builds, Builds.of({ requests: Ref.get(requests) })))
  }))
