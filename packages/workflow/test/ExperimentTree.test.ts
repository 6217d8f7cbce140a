import { Schema } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type ChangeSet, type ExperimentSpec, isSettled, noChanges } from "../src/Experiment.ts"
import * as ExperimentTree from "../src/ExperimentTree.ts"
import * as Failure from "../src/Failure.ts"
import * as Measurement from "../src/Measurement.ts"

// The same cases on every run.
fc.configureGlobal({ seed: 20_261, numRuns: 60 })

const objective: ExperimentTree.Objective = {
  metric: "throughput",
  direction: "maximize",
  unit: "samples/s",
  smallestGain: 0.02,
  level: 0.05,
  pairs: 4
}

const crash = Failure.make({ kind: "job_failed", message: "exit code 1", createdAt: 0 })

const spec = (id: string, more: Partial<ExperimentSpec> = {}): ExperimentSpec => ({
  id,
  name: `name of ${id}`,
  parent: null,
  base: null,
  hypothesis: "",
  changes: noChanges,
  seed: null,
  priority: 0,
  arguments: [],
  ...more
})

const workers = (count: number): ChangeSet => ({ parameters: { workers: count }, edits: [] })

/** A tree whose baseline has completed with 100. */
const begun = (): ExperimentTree.Draft => {
  const tree = ExperimentTree.empty(objective)
  ExperimentTree.added(tree, spec("baseline", { seed: "baseline" }), 10)
  ExperimentTree.measured(tree, "baseline", { throughput: 100 })
  return ExperimentTree.completed(tree, "baseline", 20)
}

const complete = (tree: ExperimentTree.Draft, id: string, value: number, more: Partial<ExperimentSpec> = {}) => {
  ExperimentTree.added(tree, spec(id, { parent: "baseline", ...more }), 30)
  ExperimentTree.measured(tree, id, { throughput: value })
  return ExperimentTree.completed(tree, id, 40)
}

const confirmation = (
  challenger: string,
  champion: string,
  better: boolean,
  purpose: "crown" | "final" = "crown"
): ExperimentTree.Confirmation => {
  const pairs = better ? [[120, 100], [121, 100]] as const : [[100, 120], [100, 121]] as const
  return ExperimentTree.confirmation({
    challenger,
    champion,
    purpose,
    pairs,
    comparison: Measurement.compare(pairs, objective)
  })
}

describe("a node", () => {
  it("goes from queued to completed, with the times and measurements of its way", () => {
    const tree = begun()
    ExperimentTree.added(tree, spec("a", { parent: "baseline", changes: workers(2) }), 30)
    ExperimentTree.phaseChanged(tree, "a", "preparing", 31)
    ExperimentTree.committed(tree, "a", "c0ffee")
    ExperimentTree.phaseChanged(tree, "a", "running", 32)
    ExperimentTree.jobsLaunched(tree, "a", 2)
    ExperimentTree.measured(tree, "a", { throughput: 110, stepMillis: 9 })
    ExperimentTree.measured(tree, "a", { throughput: 120 })
    ExperimentTree.phaseChanged(tree, "a", "analyzing", 33)
    ExperimentTree.completed(tree, "a", 34)
    const node = tree.nodes.get("a")!
    expect(node).toMatchObject({
      status: "completed",
      order: 2,
      commit: "c0ffee",
      value: 115,
      measurements: { throughput: [110, 120], stepMillis: [9] },
      createdAt: 30,
      startedAt: 31,
      finishedAt: 34,
      jobs: 2,
      crowned: false
    })
    expect(tree.jobs).toBe(2)
    expect(Schema.decodeUnknownSync(ExperimentTree.TreeNode)(JSON.parse(JSON.stringify(node)))).toEqual(node)
  })

  it("may go back to an earlier phase after a crash, and keeps the time of its first start", () => {
    const tree = begun()
    ExperimentTree.added(tree, spec("a"), 30)
    ExperimentTree.phaseChanged(tree, "a", "running", 31)
    ExperimentTree.phaseChanged(tree, "a", "queued", 50)
    ExperimentTree.phaseChanged(tree, "a", "preparing", 60)
    expect(tree.nodes.get("a")).toMatchObject({ status: "preparing", startedAt: 31 })
  })

  it("has no value when it failed, whatever it had measured before", () => {
    const tree = begun()
    ExperimentTree.added(tree, spec("a"), 30)
    ExperimentTree.measured(tree, "a", { throughput: 500 })
    ExperimentTree.failed(tree, "a", crash, 40)
    expect(tree.nodes.get("a")).toMatchObject({ status: "failed", value: null, measurements: { throughput: [500] } })
  })

  it("keeps its measurements when only their analysis failed", () => {
    const tree = begun()
    ExperimentTree.added(tree, spec("a"), 30)
    ExperimentTree.measured(tree, "a", { throughput: 110 })
    const failure = Failure.make({ kind: "analysis_failed", message: "no answer", createdAt: 40 })
    ExperimentTree.completed(tree, "a", 40, failure)
    expect(tree.nodes.get("a")).toMatchObject({ status: "completed", value: 110, failure: { kind: "analysis_failed" } })
  })

  it("is never changed by what it does not allow", () => {
    const tree = begun()
    const before = JSON.stringify([...tree.nodes])
    const forbidden: ReadonlyArray<readonly [() => unknown, RegExp]> = [
      [() => ExperimentTree.added(tree, spec("baseline"), 0), /the tree already has it/],
      [() => ExperimentTree.added(tree, spec("a", { parent: "ghost" }), 0), /"ghost": it was never added/],
      [() => ExperimentTree.added(tree, spec("a", { base: "ghost" }), 0), /never added/],
      [() => ExperimentTree.phaseChanged(tree, "baseline", "running", 0), /it has already completed/],
      [() => ExperimentTree.measured(tree, "baseline", { throughput: 1 }), /already completed/],
      [() => ExperimentTree.failed(tree, "baseline", crash, 0), /already completed/],
      [() => ExperimentTree.completed(tree, "ghost", 0), /never added/],
      [() => ExperimentTree.confirmed(tree, confirmation("ghost", "baseline", true)), /never added/],
      [() => ExperimentTree.confirmed(tree, confirmation("baseline", "ghost", true)), /never added/]
    ]
    for (const [transition, message] of forbidden) expect(transition).toThrow(message)
    expect(JSON.stringify([...tree.nodes])).toBe(before)
  })
})

describe("the best", () => {
  it("is the baseline first, as soon as it has completed with a value", () => {
    const tree = ExperimentTree.empty(objective)
    expect(ExperimentTree.best(tree)).toBe(undefined)
    ExperimentTree.added(tree, spec("baseline", { seed: "baseline" }), 0)
    ExperimentTree.measured(tree, "baseline", { throughput: 100 })
    expect(tree.best).toBe(null)
    ExperimentTree.completed(tree, "baseline", 0)
    expect(ExperimentTree.best(tree)).toMatchObject({ id: "baseline", crowned: true })
  })

  it("is nobody when the baseline completed without the objective", () => {
    const tree = ExperimentTree.empty(objective)
    ExperimentTree.added(tree, spec("baseline", { seed: "baseline" }), 0)
    ExperimentTree.measured(tree, "baseline", { other: 1 })
    ExperimentTree.completed(tree, "baseline", 0)
    expect(tree.best).toBe(null)
  })

  it("changes by a confirmation that says better, and by nothing else", () => {
    const tree = begun()
    complete(tree, "a", 130)
    expect(tree.best).toBe("baseline")
    ExperimentTree.confirmed(tree, confirmation("a", "baseline", false))
    expect(tree.best).toBe("baseline")
    ExperimentTree.confirmed(tree, confirmation("a", "baseline", true, "final"))
    expect(tree.best).toBe("baseline")
    ExperimentTree.confirmed(tree, confirmation("a", "baseline", true))
    expect(ExperimentTree.best(tree)).toMatchObject({ id: "a", crowned: true })
    expect(tree.nodes.get("a")!.confirmations).toHaveLength(3)
    expect(tree.nodes.get("baseline")!.crowned).toBe(true)
  })

  it("is not won against an earlier best", () => {
    const tree = begun()
    complete(tree, "a", 130)
    complete(tree, "b", 140)
    ExperimentTree.confirmed(tree, confirmation("a", "baseline", true))
    ExperimentTree.confirmed(tree, confirmation("b", "baseline", true))
    expect(tree.best).toBe("a")
    expect(tree.nodes.get("b")).toMatchObject({ crowned: false, confirmations: [{ champion: "baseline" }] })
  })

  it("is never a seed other than the baseline, nor what failed", () => {
    const tree = begun()
    complete(tree, "headspace", 900, { seed: "headspace" })
    ExperimentTree.confirmed(tree, confirmation("headspace", "baseline", true))
    ExperimentTree.added(tree, spec("a"), 0)
    ExperimentTree.failed(tree, "a", crash, 0)
    ExperimentTree.confirmed(tree, confirmation("a", "baseline", true))
    expect(tree.best).toBe("baseline")
  })

  it("is not shaken by a comparison without a statement", () => {
    const tree = begun()
    complete(tree, "a", 130)
    const pairs = [[Number.NaN, 100], [130, 100]] as const
    const undecided = ExperimentTree.confirmation({
      challenger: "a",
      champion: "baseline",
      purpose: "crown",
      pairs,
      comparison: Measurement.compare(pairs, objective)
    })
    expect(undecided).toMatchObject({ better: false, low: 0, high: Number.MAX_VALUE, pValue: 1, pairs: [[130, 100]] })
    expect(undecided.undecided).toMatch(/NaN in pair 1/)
    expect(Schema.decodeUnknownSync(ExperimentTree.Confirmation)(JSON.parse(JSON.stringify(undecided)))).toEqual(
      undecided
    )
    ExperimentTree.confirmed(tree, undecided)
    expect(tree.best).toBe("baseline")
  })
})

describe("the plateau", () => {
  it("counts what completed or failed since the last crowning, seeds and cancelled ones not", () => {
    const tree = begun()
    complete(tree, "headspace", 900, { seed: "headspace" })
    expect(tree.plateau).toBe(0)
    complete(tree, "a", 130)
    ExperimentTree.added(tree, spec("b"), 0)
    ExperimentTree.failed(tree, "b", crash, 0)
    ExperimentTree.added(tree, spec("c"), 0)
    ExperimentTree.cancelled(tree, "c", 0)
    expect(tree.plateau).toBe(2)
    ExperimentTree.confirmed(tree, confirmation("a", "baseline", true))
    expect(tree.plateau).toBe(0)
  })
})

describe("questions to the tree", () => {
  it("find lineage, children, seeds, and counts", () => {
    const tree = begun()
    complete(tree, "headspace", 900, { parent: null, seed: "headspace" })
    complete(tree, "a", 130)
    complete(tree, "b", 140, { parent: "a" })
    ExperimentTree.added(tree, spec("c", { parent: "a" }), 0)
    ExperimentTree.failed(tree, "c", crash, 0)
    const ids = (nodes: ReadonlyArray<ExperimentTree.TreeNode>) => nodes.map((node) => node.id)
    expect(ids(ExperimentTree.lineage(tree, "b"))).toEqual(["baseline", "a", "b"])
    expect(ids(ExperimentTree.lineage(tree, "ghost"))).toEqual([])
    expect(ids(ExperimentTree.children(tree, "a"))).toEqual(["b", "c"])
    expect(ids(ExperimentTree.children(tree, null))).toEqual(["baseline", "headspace"])
    expect(ExperimentTree.baseline(tree)!.id).toBe("baseline")
    expect(ExperimentTree.headspace(tree)!.value).toBe(900)
    expect(ids(ExperimentTree.byStatus(tree, "failed"))).toEqual(["c"])
    expect(ExperimentTree.counts(tree)).toMatchObject({ completed: 4, failed: 1, queued: 0 })
    expect(ExperimentTree.experimentsFinished(tree)).toBe(3)
    expect(ExperimentTree.experimentsProposed(tree)).toBe(3)
  })

  it("call a duplicate what has the same base and changes and has not failed", () => {
    const tree = begun()
    complete(tree, "headspace", 900, { seed: "headspace", changes: workers(8) })
    complete(tree, "a", 130, { changes: workers(2) })
    ExperimentTree.added(tree, spec("b", { changes: workers(4) }), 0)
    const isDuplicate = (base: string | null, changes: ChangeSet) => ExperimentTree.isDuplicate(tree, base, changes)
    expect(isDuplicate(null, workers(2))).toBe(true)
    expect(isDuplicate("baseline", workers(2))).toBe(true)
    expect(isDuplicate("a", workers(2))).toBe(false)
    expect(isDuplicate(null, noChanges)).toBe(true)
    expect(isDuplicate(null, workers(8))).toBe(false)
    expect(isDuplicate(null, workers(4))).toBe(true)
    ExperimentTree.failed(tree, "b", crash, 0)
    expect(isDuplicate(null, workers(4))).toBe(false)
  })

  it("gather all measurements of a node, those of confirmations too", () => {
    const tree = begun()
    complete(tree, "a", 130)
    ExperimentTree.confirmed(tree, confirmation("a", "baseline", true))
    expect([...ExperimentTree.observations(tree)]).toEqual([["baseline", [100, 100, 100]], ["a", [130, 120, 121]]])
  })

  it("get an answer that later events do not change, from a snapshot", () => {
    const tree = begun()
    const kept = ExperimentTree.snapshot(tree)
    complete(tree, "a", 130)
    ExperimentTree.confirmed(tree, confirmation("a", "baseline", true))
    ExperimentTree.stopped(tree, "patience")
    ExperimentTree.stopped(tree, "later")
    expect(tree).toMatchObject({ best: "a", stopped: "patience" })
    expect(kept).toMatchObject({ best: "baseline", stopped: null })
    expect([...kept.nodes.keys()]).toEqual(["baseline"])
  })
})

describe("whatever happens", () => {
  const id = fc.nat(5).map((n) => `n${n}`)
  const step = fc.oneof(
    fc.record({
      type: fc.constant("add" as const),
      id,
      parent: fc.option(id),
      seed: fc.constantFrom(null, null, "headspace")
    }),
    fc.record({
      type: fc.constant("phase" as const),
      id,
      status: fc.constantFrom("queued", "preparing", "running", "analyzing")
    }),
    fc.record({ type: fc.constant("measure" as const), id, value: fc.integer({ min: 1, max: 200 }) }),
    fc.record({ type: fc.constantFrom("fail" as const, "complete" as const, "cancel" as const), id }),
    fc.record({
      type: fc.constant("confirm" as const),
      id,
      champion: fc.oneof(id, fc.constant("baseline")),
      better: fc.boolean()
    })
  )
  const run = (tree: ExperimentTree.Draft, action: typeof step extends fc.Arbitrary<infer A> ? A : never) => {
    switch (action.type) {
      case "add":
        return ExperimentTree.added(tree, spec(action.id, { parent: action.parent, seed: action.seed }), 0)
      case "phase":
        return ExperimentTree.phaseChanged(tree, action.id, action.status, 0)
      case "measure":
        return ExperimentTree.measured(tree, action.id, { throughput: action.value })
      case "fail":
        return ExperimentTree.failed(tree, action.id, crash, 0)
      case "complete":
        return ExperimentTree.completed(tree, action.id, 0)
      case "cancel":
        return ExperimentTree.cancelled(tree, action.id, 0)
      case "confirm":
        return ExperimentTree.confirmed(tree, confirmation(action.id, action.champion, action.better))
    }
  }

  it("a node that crashed is never the best, and the best changes only by a confirmation that says better", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), (actions) => {
        const tree = begun()
        for (const action of actions) {
          const before = ExperimentTree.snapshot(tree)
          try {
            run(tree, action)
          } catch (error) {
            expect(error).toBeInstanceOf(ExperimentTree.TreeInconsistent)
            expect(tree).toEqual(before)
          }
          const best = ExperimentTree.best(tree)!
          expect(best).toMatchObject({ status: "completed", crowned: true })
          expect(best.value).not.toBe(null)
          expect(["baseline", null]).toContain(best.seed)
          if (tree.best !== before.best) {
            expect(action).toMatchObject({ type: "confirm", id: tree.best, champion: before.best, better: true })
            expect(tree.plateau).toBe(0)
          }
          for (const node of tree.nodes.values()) {
            if (node.status === "failed" || node.status === "cancelled") expect(node.value).toBe(null)
            const earlier = before.nodes.get(node.id)
            if (earlier !== undefined && isSettled(earlier.status)) expect(node.status).toBe(earlier.status)
          }
          expect(tree.plateau).toBeLessThanOrEqual(ExperimentTree.experimentsFinished(tree))
          expect([...tree.nodes.values()].map((node) => node.order)).toEqual(
            [...tree.nodes.keys()].map((_, i) => i + 1)
          )
        }
      }),
      { numRuns: 30 }
    )
  })
})
