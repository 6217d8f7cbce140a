/**
 * Build: the artifact that the job runs, or none when the job runs from source.
 */
import { Step } from "@espalier/engine"
import { Artifact, Artifacts, type BuildFailure, isOfTheMachine } from "@espalier/platform/Artifacts"
import type { Tree } from "@espalier/platform/Workspace"
import { Effect, Schema } from "effect"
import type { FailureKind } from "../Failure.ts"
import { failWith } from "../internal/handling.ts"
import { Study } from "../Study.ts"
import * as Workdir from "../Workdir.ts"

/** A build that could not run, or that something else ended, says nothing about the change. */
const kindOf = (failure: BuildFailure): FailureKind =>
  isOfTheMachine(failure) ? "infrastructure_failed" : "build_failed"

/**
 * Builds the tree's commit, under a step of this name. What was built before is built again where the tree was made
 * anew since: its files went with the old one.
 */
export const build = Effect.fnUntraced(function*(step: string, node: string, tree: Tree, commit: string) {
  const study = yield* Study
  const artifacts = yield* Artifacts
  let isBuilt = false
  const make = Effect.suspend(() => {
    isBuilt = true
    return artifacts.build({ tree: tree.path, commit, log: Workdir.buildLog(study.directory, node) })
  }).pipe(
    Effect.map((artifact) => artifact ?? null),
    Effect.catchTag(
      "BuildFailed",
      (error) => failWith(kindOf(error.failure), error, { logTail: error.logTail, phase: "build" })
    )
  )
  const artifact = yield* Step.run(step, Schema.NullOr(Artifact), make)
  return artifact === null || isBuilt || tree.adopted ? artifact : yield* make
})
