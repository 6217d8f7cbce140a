/**
 * Launch: the job is started once, whatever crashes: under the work's idempotency key a second launch finds the first.
 */
import { CurrentWork, Step } from "@espalier/engine"
import type { Artifact } from "@espalier/platform/Artifacts"
import { Execution, JobHandle } from "@espalier/platform/Execution"
import type { Tree } from "@espalier/platform/Workspace"
import { Effect } from "effect"
import * as Path from "node:path"
import { withArtifact } from "../internal/configCommands.ts"
import { failWith } from "../internal/handling.ts"
import { type Settings, Study } from "../Study.ts"

/** What a job is started from: the tree of a node, and what was built of it. `extra` are arguments of a seed. */
export interface Launchable {
  readonly tree: Tree
  readonly node: string
  readonly extra: ReadonlyArray<string>
  readonly artifact: Artifact | null
}

/** Where a job runs: in the tree, or below it. */
export const directoryOf = ({ tree }: Launchable, { job }: Pick<Settings, "job">): string =>
  Path.join(tree.path, job.workingDirectory)

/** Starts a job in a tree, under a step of this name, which is also its key. */
export const launch = (step: string, from: Launchable) =>
  Step.run(
    step,
    JobHandle,
    Effect.gen(function*() {
      const study = yield* Study
      const { job } = study
      const { artifact, extra, node } = from
      const work = yield* CurrentWork.CurrentWork
      const execution = yield* Execution
      const text = (each: string) => withArtifact(each, artifact?.reference)
      const [program, ...rest] = job.argv
      const environment = Object.entries(job.environment).map(([name, value]) => [name, text(value)])
      return yield* execution.launch({
        key: work.idempotencyKey(step),
        argv: [text(program), ...[...rest, ...extra].map(text)],
        directory: directoryOf(from, study),
        environment: { ...Object.fromEntries(environment), ESPALIER_EXPERIMENT: node },
        ...(job.timeoutMillis === undefined ? {} : { timeoutMillis: job.timeoutMillis })
      })
    }).pipe(
      Effect.catchTag("LaunchFailed", (error) =>
        failWith(
          error.reason === "Infrastructure" ? "infrastructure_failed" : "launch_failed",
          error,
          { details: { program: error.program, code: error.code }, phase: "launch" }
        ))
    )
  )
