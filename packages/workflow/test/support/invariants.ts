/**
 * What must hold of every search, however it was interrupted: checked on the jobs' own records and on the journal.
 */
import { assert } from "@effect/vitest"
import { Execution } from "@espalier/platform/Execution"
import * as Simulated from "@espalier/platform/execution/Simulated"
import * as MemoryWorkspace from "@espalier/platform/workspace/Memory"
import { Laboratory, type Study, type TreeView } from "@espalier/workflow"
import { Effect, Option } from "effect"
import { failing } from "./program.ts"

/** A job as whoever ran it has it. `work` is the one that launched it, from the idempotency key. */
export interface Ran {
  readonly key: string
  readonly work: string
  readonly from: number
  readonly to: number
  readonly status: string
}

/** The jobs that really ran, in order of launch. What was lost counts up to the moment when it was. */
export const jobsThatRan = Effect.gen(function*() {
  const simulation = yield* Simulated.Simulation
  const execution = yield* Execution
  const launched = yield* Effect.forEach(yield* simulation.launches, ({ key }) =>
    Effect.gen(function*() {
      const job = Option.getOrThrow(yield* execution.find(key))
      return { key, job, status: yield* execution.status(job.id) }
    }))
  return launched
    .filter(({ status }) => status._tag !== "Exited" || status.startError === undefined)
    .map(({ job, key, status }): Ran => {
      const from = job.launchedAt
      const to = status._tag === "Running" || status._tag === "Pending"
        ? Infinity
        : status._tag === "Lost"
        ? from + failing["vanishing"]!.lost!.atMillis
        : status.endedAt ?? from
      const work = key.split("/").slice(1, -2).join("/")
      return { key, work, from, to, status: status._tag }
    })
})

/** The largest number of jobs that ran at the same moment. */
export const mostAtOnce = (jobs: ReadonlyArray<Ran>): number =>
  Math.max(0, ...jobs.map((job) => jobs.filter((other) => other.from <= job.from && job.from < other.to).length))

/** Whether two jobs ran at the same moment. */
export const overlap = (one: Ran, other: Ran): boolean => one.from < other.to && other.from < one.to

/** Checks a search that is at rest. */
export const check = Effect.fnUntraced(function*(settings: Study.Settings, view: TreeView.TreeView) {
  const { tree } = view
  const jobs = yield* jobsThatRan
  const contents = yield* MemoryWorkspace.Contents
  const events = yield* (yield* Laboratory.Laboratory).history(settings.run)

  // Every job that ran is on record, once; and the other way round.
  assert.deepStrictEqual(jobs.map(({ key }) => key).sort(), view.jobs.map(({ handle }) => handle.key).sort())
  assert.strictEqual(tree.jobs, jobs.length)
  assert.isAtMost(mostAtOnce(jobs), settings.machine)
  assert.deepStrictEqual(jobs.filter(({ status }) => status === "Running" || status === "Pending"), [])
  assert.deepStrictEqual(yield* contents.openTrees, [])

  // Every node has its parent, older than itself; experiments are numbered without a gap.
  for (const node of tree.nodes.values()) {
    if (node.parent === null) assert.isNotNull(node.seed)
    else assert.isBelow(tree.nodes.get(node.parent)!.order, node.order)
  }
  const proposed = [...tree.nodes.values()].filter(({ seed }) => seed === null).map(({ id }) => id)
  assert.deepStrictEqual(proposed, proposed.map((_, index) => `e${String(index + 1).padStart(3, "0")}`))

  // A decision, like every step, is recorded once; what it proposes exists, and nothing else does.
  const steps = events.flatMap(({ event }) => event._tag === "StepRecorded" ? [event] : [])
  const names = steps.map(({ id, step }) => `${id} ${step}`)
  assert.strictEqual(new Set(names).size, names.length)
  const decided = steps.filter(({ step }) => step === "decide").flatMap(({ result }) =>
    (result as { readonly proposed: ReadonlyArray<string> }).proposed
  )
  assert.deepStrictEqual(decided.sort(), proposed.sort())
  if (settings.limits.jobs !== null) assert.isAtMost(jobs.length, settings.limits.jobs)
})

/** What a search came to, without the times: the same for two searches that differ in their interruptions alone. */
export const projection = ({ state, tree }: TreeView.TreeView) => ({
  state,
  best: tree.best,
  plateau: tree.plateau,
  jobs: tree.jobs,
  stopped: tree.stopped,
  nodes: [...tree.nodes.values()].map((node) => ({
    id: node.id,
    parent: node.parent,
    base: node.base,
    seed: node.seed,
    hypothesis: node.hypothesis,
    changes: node.changes,
    status: node.status,
    commit: node.commit,
    measurements: node.measurements,
    value: node.value,
    failure: node.failure === null ? null : [node.failure.kind, node.failure.phase, node.failure.message],
    crowned: node.crowned,
    jobs: node.jobs,
    confirmations: node.confirmations
  }))
})
