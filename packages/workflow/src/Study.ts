/**
 * What is being studied: the settings that the handlers of a run share, as plain data. `Autoresearch` makes them from
 * `espalier.toml`; a test writes them down.
 */
import type { Edit } from "@espalier/platform/Workspace"
import { Context, Layer } from "effect"
import type { ParameterValue } from "./Experiment.ts"
import type { Objective } from "./ExperimentTree.ts"
import type { Limits } from "./Policy.ts"
import type { SearchSpace } from "./SearchSpace.ts"

/**
 * - `run`: id of the run; names its branches.
 * - `directory`: absolute path of the working directory, for logs of builds.
 * - `parametersFile`: where, in the tree, the parameters of the experiment are written as JSON.
 * - `parameters`: the baseline's values; `edits`: what may be applied, by name.
 * - `job.workingDirectory`: below the tree.
 * - `repeats`: jobs of one experiment; `machine`: jobs that may run at the same time.
 * - `batch`: experiments that are pending at the same time; `seed`: of everything random; `confirmEvery`: after how many
 *   experiments the strongest challenger is confirmed.
 */
export interface Settings {
  readonly run: string
  readonly directory: string
  readonly parametersFile: string
  readonly parameters: Readonly<Record<string, ParameterValue>>
  readonly edits: ReadonlyArray<Edit>
  readonly job: {
    readonly argv: readonly [string, ...ReadonlyArray<string>]
    readonly environment: Readonly<Record<string, string>>
    readonly workingDirectory: string
    readonly timeoutMillis: number | undefined
  }
  readonly objective: Objective
  readonly space: SearchSpace
  readonly seeds: ReadonlyArray<{
    readonly name: string
    readonly description: string
    readonly arguments: ReadonlyArray<string>
  }>
  readonly planner: {
    readonly kind: "greedy" | "random"
    readonly seed: number
    readonly batch: number
    readonly confirmEvery: number
  }
  readonly limits: Limits
  readonly repeats: number
  readonly machine: number
  readonly concurrency: number
}

/**
 * The settings of the run at hand.
 */
export class Study extends Context.Service<Study, Settings>()("@espalier/workflow/Study") {
  /** A study from settings. */
  static readonly layer = (settings: Settings): Layer.Layer<Study> => Layer.succeed(Study, settings)
}
