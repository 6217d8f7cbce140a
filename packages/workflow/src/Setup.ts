/**
 * Setup: the first work of a run. What the run starts from is its payload; its children are the seeds; each of them asks
 * for a plan when it has settled.
 */
import { Step } from "@espalier/engine"
import { Workspace } from "@espalier/platform/Workspace"
import { Effect, Schema } from "effect"
import { baselineSeed, type ExperimentSpec, headspaceSeed, noChanges } from "./Experiment.ts"
import { failWith, recordDefects } from "./internal/handling.ts"
import { Experiment, Laboratory, Setup } from "./Laboratory.ts"
import { type Settings, Study } from "./Study.ts"

/** The experiments that every run begins with, the baseline first. */
export const seedsOf = (
  seeds: ReadonlyArray<
    { readonly name: string; readonly description: string; readonly arguments: ReadonlyArray<string> }
  >
): ReadonlyArray<ExperimentSpec> => [
  {
    id: baselineSeed,
    name: baselineSeed,
    parent: null,
    base: null,
    hypothesis: "The program as it is: what every change is compared with.",
    changes: noChanges,
    seed: baselineSeed,
    priority: -30,
    arguments: []
  },
  ...seeds.map((seed, index): ExperimentSpec => ({
    id: seed.name,
    name: seed.name,
    parent: null,
    base: null,
    hypothesis: seed.description !== ""
      ? seed.description
      : seed.name === headspaceSeed
      ? "The ceiling: how fast could it be if the bottleneck cost nothing?"
      : `The seed ${seed.name}.`,
    changes: noChanges,
    seed: seed.name,
    priority: -29 + index / 1_000,
    arguments: [...seed.arguments]
  }))
]

/** The seeds that the limit on jobs allows: the baseline in any case, of the others the first. */
export const affordableSeeds = (
  { limits, repeats, seeds }: Pick<Settings, "limits" | "repeats" | "seeds">
): ReadonlyArray<ExperimentSpec> =>
  seedsOf(seeds).slice(0, limits.jobs === null ? undefined : Math.max(1, Math.floor(limits.jobs / repeats)))

/** Handles `setup`. */
export const layer = Setup.toLayer(
  Effect.fn("Setup")(
    function*({ anchor }) {
      const study = yield* Study
      const workspace = yield* Workspace
      yield* Step.run(
        "seeds",
        Schema.Array(Schema.String),
        Effect.gen(function*() {
          yield* workspace.resolve(anchor)
          const seeds = affordableSeeds(study)
          for (const spec of seeds) {
            yield* Laboratory.spawn(Experiment, { spec, commit: anchor }, {
              id: workId(spec.id),
              priority: spec.priority
            })
          }
          return seeds.map((spec) => spec.id)
        }).pipe(Effect.catchTag("WorkspaceError", (error) => failWith("setup_source_failed", error)))
      )
    },
    recordDefects("setup")
  )
)

/** The work of a node. */
export const workId = (node: string): string => `experiment/${node}`
