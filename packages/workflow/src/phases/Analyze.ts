/**
 * Analyze: what the measurements say, in words. The numbers come first, and are read without an agent.
 */
import { Step } from "@espalier/engine"
import type { EvidenceRecord } from "@espalier/platform/Evidence"
import { Effect } from "effect"
import { describeChanges, type ExperimentSpec } from "../Experiment.ts"
import * as Tree from "../ExperimentTree.ts"
import { gainOf, median } from "../Measurement.ts"
import { currentView } from "../TreeView.ts"
import { Analysis } from "./Records.ts"

/** The values of one metric over an experiment's jobs: of several in one job, their median. */
export const valuesOf = (metric: string, evidence: ReadonlyArray<EvidenceRecord>): ReadonlyArray<number> =>
  evidence.flatMap((record) => {
    const value = median(record.metrics[metric] ?? [])
    return value === null ? [] : [value]
  })

/** Compares an experiment with the baseline and the best at hand, under the step `analyze`. */
export const analyze = (spec: ExperimentSpec, evidence: ReadonlyArray<EvidenceRecord>) =>
  Step.run(
    "analyze",
    Analysis,
    Effect.gen(function*() {
      const { tree } = yield* currentView
      const { objective } = tree
      const value = median(valuesOf(objective.metric, evidence))
      if (value === null) return { value, text: `No value of ${objective.metric}.` }
      const against = (name: string, reference: number | null | undefined): string => {
        const gain = reference === null || reference === undefined
          ? null
          : gainOf(objective.direction, value, reference)
        return gain === null ? "" : ` ${gain >= 0 ? "+" : ""}${(gain * 100).toFixed(1)} % against ${name}.`
      }
      const best = Tree.best(tree)
      const text =
        `${objective.metric} ${Number(value.toPrecision(5))}${objective.unit === "" ? "" : ` ${objective.unit}`} with ${
          describeChanges(spec.changes)
        }.` +
        (spec.seed === "baseline" ? "" : against("the baseline", Tree.baseline(tree)?.value)) +
        (best === undefined || best.seed === "baseline" ? "" : against(`the best so far (${best.name})`, best.value))
      return { value, text }
    }).pipe(
      // What was measured stands, whatever becomes of its reading.
      Effect.catchDefect((defect) =>
        Effect.succeed({
          value: null,
          text: `The analysis failed: ${
            defect instanceof Error ? defect.message : String(defect)
          }. The measurements stand.`
        })
      )
    )
  )
