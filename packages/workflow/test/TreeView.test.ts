import { assert, describe, it } from "@effect/vitest"
import type { RunEvent } from "@espalier/engine"
import { EvidenceError } from "@espalier/platform/Evidence"
import { ExperimentTree, Laboratory, TreeView } from "@espalier/workflow"
import { TestLaboratory } from "@espalier/workflow/testing"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { faultyJournal, throughCrashes } from "./support/interruptions.ts"
import { program, studyOf } from "./support/program.ts"

const settings = studyOf({ repeats: 2, limits: { experiments: 8 }, planner: { batch: 2 } })

type Events = ReadonlyArray<RunEvent.Sequenced>

const historyOf = (run: string) => Effect.flatMap(Laboratory.Laboratory, (engine) => engine.history(run))

/** The journal of a search in which about everything happens: failures, a retry, confirmations, crashes, suspends. */
const eventful = Effect.runSync(Effect.cached(Effect.gen(function*() {
  const { around } = faultyJournal({ ofLife: 30, mode: "written" })
  let troubles = 0
  return yield* Effect.andThen(throughCrashes(settings, "3 seconds"), historyOf(settings.run)).pipe(
    Effect.provide(TestLaboratory.layerTest(settings, program(0.005), {
      around: {
        journal: around,
        evidence: (real) => ({
          collect: (job, status) =>
            troubles++ === 3
              ? Effect.fail(new EvidenceError({ operation: "collect", message: "EIO" }))
              : real.collect(job, status)
        })
      }
    }))
  )
})))

/** Plain data, to be compared: the draft of a tree and its maps are changed in place. */
const frozen = (view: TreeView.TreeView): unknown =>
  structuredClone({ ...view, tree: { ...ExperimentTree.snapshot(view.tree) } })

describe("the view of a run", () => {
  it.effect("is the same folded at once, event by event, or taken up by a late reader at any point", () =>
    Effect.gen(function*() {
      const events: Events = yield* eventful
      const tags = new Set(events.map(({ event }) => event._tag))
      for (const tag of ["RunResumed", "WorkRetryScheduled", "WorkFailed", "RunCompleted", "SlotsRequested"]) {
        assert.include([...tags], tag)
      }
      const whole = frozen(TreeView.fold(events))
      const live = TreeView.empty()
      for (const [index, event] of events.entries()) {
        TreeView.evolve(live, event)
        assert.strictEqual(live.seq, index + 1)
        if (index % 37 !== 0) continue
        // What a reader gets that comes now, and the events after it.
        const late = TreeView.fold(events.slice(0, index + 1))
        assert.deepStrictEqual(frozen(late), frozen(live))
        for (const rest of events.slice(index + 1)) TreeView.evolve(late, rest)
        assert.deepStrictEqual(frozen(late), whole)
      }
      assert.deepStrictEqual(frozen(live), whole)
    }))

  it.effect("can be looked at after every single event, and never says what cannot be", () =>
    Effect.gen(function*() {
      const events: Events = yield* eventful
      const view = TreeView.empty()
      let jobs = 0
      let nodes = 0
      let lived = 0
      for (const event of events) {
        TreeView.evolve(view, event)
        const { tree } = view
        assert.isAtLeast(tree.jobs, jobs)
        assert.isAtLeast(tree.nodes.size, nodes)
        assert.isAtLeast(view.livedMillis, lived)
        jobs = tree.jobs
        nodes = tree.nodes.size
        lived = view.livedMillis
        assert.strictEqual(view.jobs.length, tree.jobs)
        assert.strictEqual(view.nodes.size, tree.nodes.size)
        assert.isTrue(tree.best === null || tree.nodes.get(tree.best)?.crowned === true)
        for (const node of tree.nodes.values()) {
          assert.strictEqual(node.failure !== null, node.status === "failed")
          if (node.status === "running" || node.status === "analyzing") assert.isAbove(node.jobs, 0)
          if (node.status !== "queued" && node.status !== "cancelled") assert.isNotNull(node.startedAt)
          assert.strictEqual(node.finishedAt !== null, ["completed", "failed", "cancelled"].includes(node.status))
        }
      }
    }))

  it.effect("follows an experiment through its phases, once for each of its jobs", () =>
    Effect.gen(function*() {
      const calm = studyOf({ repeats: 2, limits: { experiments: 1 }, seeds: [] })
      const events: Events = yield* Effect.provide(
        Effect.andThen(TestLaboratory.run(calm), historyOf(calm.run)),
        TestLaboratory.layerTest(calm, () => 100)
      )
      const view = TreeView.empty()
      const seen: Array<string> = []
      for (const event of events) {
        TreeView.evolve(view, event)
        const status = view.tree.nodes.get("e001")?.status
        if (status !== undefined && status !== seen.at(-1)) seen.push(status)
      }
      assert.deepStrictEqual(seen, ["queued", "preparing", "running", "analyzing", "running", "analyzing", "completed"])
      const node = view.tree.nodes.get("e001")!
      assert.deepStrictEqual(node.measurements, { throughput: [100, 100] })
      assert.strictEqual(view.nodes.get("e001")?.prepared?.commit, node.commit)
      assert.match(
        view.nodes.get("e001")?.analysis ?? "",
        /^throughput 100 items\/s with .* \+0\.0 % against the baseline\.$/
      )
      assert.deepStrictEqual(view.jobs.map(({ name, status, work }) => [work, name, status?._tag]), [
        ["experiment/baseline", "1", "Exited"],
        ["experiment/baseline", "2", "Exited"],
        ["experiment/e001", "1", "Exited"],
        ["experiment/e001", "2", "Exited"]
      ])
    }))

  it.effect("says in which state the run is, also from outside", () =>
    Effect.gen(function*() {
      const stateOf = Effect.map(TestLaboratory.view(settings), ({ state }) => state)
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* TestLaboratory.open(settings)
        assert.strictEqual(yield* stateOf, "running")
        yield* run.pause()
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* stateOf, "paused")
        yield* run.resume()
        assert.strictEqual(yield* stateOf, "running")
      }))
      assert.strictEqual(yield* stateOf, "suspended")
      assert.strictEqual((yield* TestLaboratory.run(settings)).state, "completed")
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* TestLaboratory.open(settings)
        yield* run.submit(Laboratory.Plan, {}, { id: "plan/once more" })
        assert.strictEqual(yield* stateOf, "running")
        yield* TestLaboratory.advanceUntilDone(run.await)
      }))
      assert.strictEqual(yield* stateOf, "completed")
    }).pipe(Effect.provide(TestLaboratory.layerTest(settings, program(0.005)))))
})
