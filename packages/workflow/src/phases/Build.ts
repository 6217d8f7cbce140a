/**
 * Build: the artifact that the job runs, or none when the job runs from source.
 */
import { Step } from "@espalier/engine"
import { Artifact, Artifacts } from "@espalier/platform/Artifacts"
import type { Tree } from "@espalier/platform/Workspace"
import { Effect, Schema } from "effect"
import { failWith } from "../internal/handling.ts"
import { Study } from "../Study.ts"
import * as Workdir from "../Workdir.ts"

/** Builds the tree's commit, under a step of this name. */
export const build = (step: string, node: string, tree: Tree, commit: string) =>
  Step.run(
    step,
    Schema.NullOr(Artifact),
    Effect.gen(function*() {
      const study = yield* Study
      const artifacts = yield* Artifacts
      const built = yield* artifacts.build({
        tree: tree.path,
        commit,
        log: Workdir.buildLog(study.directory, node)
      })
      return built ?? null
    }).pipe(
      Effect.catchTag("BuildFailed", (error) => failWith("build_failed", error, { logTail: error.logTail }))
    )
  )
