/**
 * Confirm: a challenger measured beside the best. Their jobs run in turns, and the machine is held from the first launch to
 * the comparison, so that nothing else runs between them and whatever drifts hits both alike.
 *
 * A side that fails in a confirmation fails the confirmation, not the node: its own measurement stands, it is only not
 * crowned.
 */
import { CurrentWork, Slots, Step } from "@espalier/engine"
import { Effect, Schema } from "effect"
import * as Tree from "./ExperimentTree.ts"
import { recordDefects } from "./internal/handling.ts"
import { Confirm, type ConfirmPayload, Laboratory, machinePool, Plan } from "./Laboratory.ts"
import { cancelJobs, runJob } from "./Lifecycle.ts"
import { compare, type Pair } from "./Measurement.ts"
import { valuesOf } from "./phases/Analyze.ts"
import { build } from "./phases/Build.ts"
import { discard, reopen } from "./phases/Prepare.ts"
import { Study } from "./Study.ts"
import { currentView } from "./TreeView.ts"

/** The id of the confirmation of a challenger against a champion; a node prefix of its trees, too. */
export const confirmId = (payload: Pick<ConfirmPayload, "challenger" | "champion" | "purpose">): string =>
  `${payload.purpose}-${payload.challenger}-${payload.champion}`

/**
 * The jobs of a confirmation in the order in which they run. Every second pair is turned round, so that neither side
 * always has what the other leaves behind (a warm cache, a hot processor).
 */
export const jobsOf = (
  pairs: number
): ReadonlyArray<{ readonly name: string; readonly side: "challenger" | "champion" }> =>
  Array.from({ length: pairs }, (_, index) => {
    const pair = (["challenger", "champion"] as const).map((side) => ({ name: `${side} ${index + 1}`, side }))
    return index % 2 === 0 ? pair : pair.reverse()
  }).flat()

/** Handles `confirm`. */
export const layer = Confirm.toLayer(
  Effect.fn("Confirm")(
    function*(payload) {
      const study = yield* Study
      const { challenger, challengerCommit, champion, championCommit, pairs, purpose } = payload
      const id = confirmId(payload)
      yield* Laboratory.spawn(Plan, {}, { id: `plan/after-${id}`, dedupe: "plan", on: "always" })
      const view = yield* currentView
      const sideOf = Effect.fnUntraced(function*(side: "challenger" | "champion", node: string, commit: string) {
        const { port } = yield* CurrentWork.CurrentWork
        const tree = yield* reopen(`${id}-${side}`, commit, port.steps.has(`build ${side}`))
        const artifact = yield* build(`build ${side}`, `${id}-${side}`, tree, commit)
        return { tree, node, extra: view.nodes.get(node)?.spec.arguments ?? [], artifact }
      })
      const sides = {
        challenger: yield* sideOf("challenger", challenger, challengerCommit),
        champion: yield* sideOf("champion", champion, championCommit)
      }
      const jobs = jobsOf(pairs)
      yield* Slots.hold("machine", { [machinePool]: study.machine }, { until: "compare" })
      const values = { challenger: [] as Array<number>, champion: [] as Array<number> }
      for (const { name, side } of jobs) {
        const evidence = yield* runJob(name, sides[side], () => Effect.void)
        // One for each job, so that a job without a value does not shift the pairs after it.
        values[side].push(valuesOf(study.objective.metric, [evidence])[0] ?? Number.NaN)
      }
      return yield* Step.run(
        "compare",
        Schema.toType(Tree.Confirmation),
        Effect.sync(() => {
          const measured = values.challenger.map((value, index): Pair => [value, values.champion[index] ?? Number.NaN])
          return Tree.confirmation({
            challenger,
            champion,
            purpose,
            pairs: measured,
            comparison: compare(measured, { ...study.objective, level: payload.level })
          })
        })
      )
    },
    recordDefects("runner"),
    Effect.scoped
  ),
  {
    onCancel: Effect.fnUntraced(function*(payload, cancelled) {
      yield* cancelJobs(jobsOf(payload.pairs).map((job) => job.name))(cancelled)
      yield* discard(`${confirmId(payload)}-challenger`, payload.challengerCommit)
      yield* discard(`${confirmId(payload)}-champion`, payload.championCommit)
    })
  }
)
