/**
 * Launch: the job is started once, whatever crashes: under the work's idempotency key a second launch finds the first.
 */
import { CurrentWork, Step } from "@espalier/engine"
import { Execution, JobHandle } from "@espalier/platform/Execution"
import type { Tree } from "@espalier/platform/Workspace"
import { Effect } from "effect"
import * as Path from "node:path"
import { failWith } from "../internal/handling.ts"
import { Study } from "../Study.ts"

/** Starts a job in a tree, under a step of this name, which is also its key. */
export const launch = (step: string, tree: Tree, node: string, extra: ReadonlyArray<string>) =>
  Step.run(
    step,
    JobHandle,
    Effect.gen(function*() {
      const { job } = yield* Study
      const work = yield* CurrentWork.CurrentWork
      const execution = yield* Execution
      return yield* execution.launch({
        key: work.idempotencyKey(step),
        argv: [...job.argv, ...extra],
        directory: Path.join(tree.path, job.workingDirectory),
        environment: { ...job.environment, ESPALIER_EXPERIMENT: node },
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
