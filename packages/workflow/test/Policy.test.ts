import { describe, expect, it } from "vitest"
import type { ExperimentSpec } from "../src/Experiment.ts"
import * as ExperimentTree from "../src/ExperimentTree.ts"
import * as Failure from "../src/Failure.ts"
import { compare, type Pair } from "../src/Measurement.ts"
import * as Policy from "../src/Policy.ts"

const objective: ExperimentTree.Objective = {
  metric: "throughput",
  direction: "maximize",
  unit: "samples/s",
  smallestGain: 0.02,
  level: 0.05,
  pairs: 2
}

const spec = (id: string, seed: string | null = null): ExperimentSpec => ({
  id,
  name: id,
  parent: null,
  base: null,
  hypothesis: "",
  changes: { parameters: { id }, edits: [] },
  seed,
  priority: 0,
  arguments: []
})

const crash = Failure.make({ kind: "job_failed", message: "exit code 1", createdAt: 0 })

/** A tree with nodes that completed with these values, `null` for one that failed; the baseline has 100. */
const treeOf = (values: Readonly<Record<string, number | null>>, more: Partial<ExperimentTree.Objective> = {}) => {
  const tree = ExperimentTree.empty({ ...objective, ...more })
  for (const [id, value] of Object.entries({ baseline: 100, ...values })) {
    ExperimentTree.added(tree, spec(id, id === "baseline" || id === "headspace" ? id : null), 0)
    if (value === null) {
      ExperimentTree.failed(tree, id, crash, 0)
    } else {
      ExperimentTree.measured(tree, id, { throughput: value })
      ExperimentTree.completed(tree, id, 0)
    }
  }
  return tree
}

const confirm = (tree: ExperimentTree.Draft, challenger: string, pairs: ReadonlyArray<Pair>) =>
  ExperimentTree.confirmed(
    tree,
    ExperimentTree.confirmation({
      challenger,
      champion: tree.best!,
      purpose: "crown",
      pairs,
      comparison: compare(pairs, tree.objective)
    })
  )

const none: Policy.Limits = { experiments: null, jobs: null, wallTimeMillis: null, patience: null, target: null }
const fresh = { elapsedMillis: 0, exhausted: false }
const ids = (nodes: ReadonlyArray<ExperimentTree.TreeNode>) => nodes.map((node) => node.id)

describe("the gate to the confirmation", () => {
  it("lets through what measured better by the smallest gain, the strongest first", () => {
    const tree = treeOf({ a: 101.9, b: 102, c: 130, d: 110, e: 130 })
    expect(ids(Policy.challengers(tree))).toEqual(["c", "e", "d", "b"])
  })

  it("turns round for what is minimised", () => {
    const tree = treeOf({ a: 90, b: 80, c: 110 }, { direction: "minimize" })
    expect(ids(Policy.challengers(tree))).toEqual(["b", "a"])
  })

  it("is closed to seeds, to what failed, and to what still runs", () => {
    const tree = treeOf({ headspace: 900, a: null })
    ExperimentTree.added(tree, spec("b"), 0)
    ExperimentTree.measured(tree, "b", { throughput: 200 })
    expect(Policy.challengers(tree)).toEqual([])
    expect(Policy.challengers(ExperimentTree.empty(objective))).toEqual([])
  })

  it("is closed to values that have no ratio", () => {
    expect(Policy.challengers(treeOf({ a: -5, b: 0 }, { direction: "minimize" }))).toEqual([])
  })

  it("opens once for each best", () => {
    const tree = treeOf({ a: 110, b: 120 })
    confirm(tree, "b", [[100, 100], [101, 100]])
    expect(ids(Policy.challengers(tree))).toEqual(["a"])
    confirm(tree, "a", [[105, 100], [106, 100]])
    expect(tree.best).toBe("a")
    expect(ids(Policy.challengers(tree))).toEqual(["b"])
  })

  it("measures against all that is known of the best, not against its luckiest run", () => {
    const tree = treeOf({ lucky: 120, honest: 112 })
    confirm(tree, "lucky", [[108, 100], [109, 100]])
    expect(tree.best).toBe("lucky")
    expect(Policy.estimate(tree, "lucky")).toBe(109)
    expect(Policy.estimate(tree, "baseline")).toBe(100)
    expect(ids(Policy.challengers(tree))).toEqual(["honest"])
  })
})

describe("the decision to go on", () => {
  const decide = (
    tree: ExperimentTree.ExperimentTree,
    limits: Partial<Policy.Limits>,
    state: Partial<Parameters<typeof Policy.decide>[2]> = {}
  ) => Policy.decide(tree, { ...none, ...limits }, { ...fresh, ...state })
  const stop = (reason: Policy.StopReason, message: RegExp) => ({
    _tag: "Stop",
    reason,
    message: expect.stringMatching(message)
  })

  it("is to continue while no limit is reached, with the room that is left", () => {
    expect(decide(treeOf({ a: 90 }), {})).toEqual({ _tag: "Continue", room: null })
    expect(decide(treeOf({ a: 90 }), { experiments: 3, patience: 2 })).toEqual({ _tag: "Continue", room: 2 })
    expect(decide(ExperimentTree.empty(objective), {})).toEqual({ _tag: "Continue", room: null })
  })

  it("is to stop at each limit, with a sentence that names it", () => {
    const tree = treeOf({ a: 90, b: null })
    ExperimentTree.jobsLaunched(tree, "a", 7)
    expect(decide(tree, { experiments: 2 })).toEqual(stop("experiments", /All 2 experiments/))
    expect(decide(tree, { jobs: 7 })).toEqual(stop("jobs", /7 jobs have been launched; the limit is 7/))
    expect(decide(tree, { wallTimeMillis: 60_000 }, { elapsedMillis: 61_000 }))
      .toEqual(stop("wallTime", /taken 61 s; the limit is 60 s/))
    expect(decide(tree, { patience: 2 })).toEqual(stop("patience", /2 experiments in a row .* the patience is 2/))
    expect(decide(tree, {}, { exhausted: true })).toEqual(stop("spaceExhausted", /Nothing is left to propose/))
    expect(decide(tree, { target: 100 })).toEqual(stop("targetReached", /throughput is 100 samples\/s, wanted was 100/))
    expect(decide(tree, { target: 101 })).toMatchObject({ _tag: "Continue" })
  })

  it("knows that a target to minimise is reached from above", () => {
    const tree = treeOf({}, { direction: "minimize" })
    expect(decide(tree, { target: 100 })).toEqual(stop("targetReached", /wanted was 100/))
    expect(decide(tree, { target: 99 })).toMatchObject({ _tag: "Continue" })
  })

  it("judges the target by all that is known of the best, not by the value that it was chosen for", () => {
    const tree = treeOf({ lucky: 120 })
    confirm(tree, "lucky", [[108, 100], [109, 100]])
    expect(decide(tree, { target: 110 })).toMatchObject({ _tag: "Continue" })
    expect(decide(tree, { target: 109 })).toEqual(stop("targetReached", /throughput is 109 samples/))
  })

  it.each([0, -3])("is to stop when the baseline has %d: there are no ratios to compare", (value) => {
    const tree = treeOf({ baseline: value, a: 5 })
    const expected = stop("baselineNotPositive", /baseline's throughput is -?\d, .* must be positive\. .*exp .*offset/)
    expect(decide(tree, { target: -10 })).toEqual(expected)
    expect(decide(treeOf({ baseline: 0.001 }), {})).toMatchObject({ _tag: "Continue" })
  })

  it("is to stop when the baseline failed: nothing can be compared", () => {
    expect(decide(treeOf({ baseline: null }), {})).toEqual(stop("baselineFailed", /job_failed: exit code 1/))
  })

  it("is to wait, patience or not, while something may still crown a new best", () => {
    const tree = treeOf({ a: 90, b: 91 })
    ExperimentTree.added(tree, spec("c"), 0)
    expect(decide(tree, { patience: 2 })).toMatchObject({
      _tag: "Wait",
      message: expect.stringMatching(/1 experiments/)
    })
    expect(decide(tree, {}, { exhausted: true })).toMatchObject({ _tag: "Wait" })
    expect(decide(tree, { experiments: 3 })).toMatchObject({ _tag: "Stop", reason: "experiments" })

    const challenged = treeOf({ a: 90, b: 150 })
    expect(decide(challenged, { patience: 2 })).toMatchObject({
      _tag: "Wait",
      message: expect.stringMatching(/1 confirmations/)
    })
    expect(decide(challenged, { patience: 2 }, { confirmations: 0 })).toMatchObject({
      _tag: "Stop",
      reason: "patience"
    })
    confirm(challenged, "b", [[100, 100], [101, 100]])
    expect(decide(challenged, { patience: 2 })).toMatchObject({ _tag: "Stop", reason: "patience" })
  })

  it("counts patience from the last crowning", () => {
    const tree = treeOf({ a: 90, b: 150 })
    confirm(tree, "b", [[150, 100], [151, 100]])
    expect(decide(tree, { patience: 2 })).toMatchObject({ _tag: "Continue" })
  })
})
