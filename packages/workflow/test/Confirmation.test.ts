import { assert, describe, it } from "@effect/vitest"
import { EvidenceError } from "@espalier/platform/Evidence"
import { Confirmation, type ExperimentTree, Laboratory, type TreeView } from "@espalier/workflow"
import { TestLaboratory } from "@espalier/workflow/testing"
import { Effect } from "effect"
import { check, jobsThatRan, overlap } from "./support/invariants.ts"
import { edits, program, studyOf } from "./support/program.ts"

/** One edit that is worth crowning, and a search that prepares others while it is confirmed. */
const settings = studyOf({
  parameters: [],
  edits: edits.filter(({ name }) => name === "fused" || name === "pooled"),
  seeds: [],
  objective: { pairs: 3 }
})

const confirmations = (view: TreeView.TreeView): ReadonlyArray<ExperimentTree.Confirmation> =>
  [...view.tree.nodes.values()].flatMap((node) => node.confirmations)

describe("the jobs of a confirmation", () => {
  it("run in turns, and every second pair is turned round", () => {
    assert.deepStrictEqual(Confirmation.jobsOf(3).map(({ name }) => name), [
      "challenger 1",
      "champion 1",
      "champion 2",
      "challenger 2",
      "challenger 3",
      "champion 3"
    ])
    for (let pairs = 1; pairs <= 8; pairs++) {
      const jobs = Confirmation.jobsOf(pairs)
      assert.strictEqual(new Set(jobs.map(({ name }) => name)).size, 2 * pairs)
      assert.strictEqual(jobs.filter(({ side }) => side === "champion").length, pairs)
    }
  })

  it.effect("hold the machine from the first to the last: nothing runs between them", () =>
    Effect.gen(function*() {
      const view = yield* TestLaboratory.run(settings)
      const jobs = yield* jobsThatRan
      const works = [...new Set(jobs.map(({ work }) => work))].filter((work) => work.startsWith("confirm/"))
      assert.isAtLeast(works.length, 2)
      for (const work of works) {
        const own = jobs.filter((job) => job.work === work)
        assert.strictEqual(own.length, 6)
        const whole = { ...own[0]!, to: own.at(-1)!.to }
        assert.deepStrictEqual(jobs.filter((job) => job.work !== work && overlap(job, whole)), [])
      }
      yield* check(settings, view)
    }).pipe(Effect.provide(TestLaboratory.layerTest(settings, program(0.005)))))

  it.effect("run each side's own code, and their values are the pairs in order", () =>
    Effect.gen(function*() {
      const measured = new Map<string, number>()
      const recording: TestLaboratory.Program = (job) => {
        const value = (job.edits.length === 0 ? 100 : 150) * TestLaboratory.noise(job, 0.01)
        measured.set(job.request.key, value)
        return value
      }
      const view = yield* Effect.provide(TestLaboratory.run(settings), TestLaboratory.layerTest(settings, recording))
      const [first] = confirmations(view)
      const id = Confirmation.confirmId(first!)
      assert.deepStrictEqual(
        first!.pairs,
        [1, 2, 3].map((pair) =>
          (["challenger", "champion"] as const).map((side) =>
            measured.get(`test/confirm/${id}/0/launch ${side} ${pair}`)!
          ) as [number, number]
        )
      )
      assert.isTrue(first!.pairs.every(([challenger, champion]) => challenger > 140 && champion < 110))
      assert.deepInclude(first, { purpose: "crown", champion: "baseline", better: true, level: 0.05 })
      assert.isTrue(view.tree.nodes.get(first!.challenger)!.crowned)
    }))
})

describe("a confirmation", () => {
  it.effect("of a challenger that was only lucky crowns nobody", () =>
    Effect.gen(function*() {
      // Fast when it is measured alone, no faster than the baseline beside it.
      const lucky: TestLaboratory.Program = (job) =>
        (job.edits.length > 0 && job.request.key.includes("experiment/") ? 150 : 100) * TestLaboratory.noise(job, 0.01)
      const view = yield* Effect.provide(TestLaboratory.run(settings), TestLaboratory.layerTest(settings, lucky))
      assert.isNotEmpty(confirmations(view))
      assert.isTrue(confirmations(view).every(({ better, purpose }) => !better && purpose === "crown"))
      assert.strictEqual(view.tree.best, "baseline")
      assert.match(view.tree.stopped ?? "", /^Nothing is left to propose/)
    }))

  const crashingSide: TestLaboratory.Program = (job) =>
    job.request.key.includes("champion 2")
      ? { exitCode: 1, stderr: "Error: port in use\n" }
      : job.edits.length === 0
      ? 100
      : 150

  it.effect("in which a side fails is recorded as failed; its nodes stay as they are, and the search ends as it should", () =>
    Effect.gen(function*() {
      const view = yield* TestLaboratory.run(settings)
      assert.isAtLeast(view.confirmFailures.size, 1)
      for (const [id, failure] of view.confirmFailures) {
        assert.match(id, /^crown-e\d+-baseline$/)
        assert.deepInclude(failure, {
          kind: "job_startup_failed",
          phase: "job",
          message: "The job exited with code 1: Error: port in use"
        })
      }
      for (const node of view.tree.nodes.values()) assert.deepInclude(node, { status: "completed", failure: null })
      assert.strictEqual(view.tree.best, "baseline")
      assert.strictEqual(view.state, "completed")
      assert.match(view.tree.stopped ?? "", /^Nothing is left to propose/)
      yield* check(settings, view)
    }).pipe(Effect.provide(TestLaboratory.layerTest(settings, crashingSide))))

  it.effect("that meets trouble of the machine goes on with the pair at which it was", () =>
    Effect.gen(function*() {
      let troubles = 0
      const layer = TestLaboratory.layerTest(settings, program(0.005), {
        around: {
          evidence: (real) => ({
            collect: (job, status) =>
              job.key.endsWith("champion 2") && troubles++ < 2
                ? Effect.fail(new EvidenceError({ operation: "collect", message: "EIO" }))
                : real.collect(job, status)
          })
        }
      })
      yield* Effect.gen(function*() {
        const view = yield* TestLaboratory.run(settings)
        const events = yield* (yield* Laboratory.Laboratory).history(settings.run)
        const retried = events.filter(({ event }) =>
          event._tag === "WorkRetryScheduled" && event.id.startsWith("confirm/")
        )
        assert.strictEqual(retried.length, 2)
        assert.strictEqual(view.confirmFailures.size, 0)
        assert.isTrue(confirmations(view).every(({ pairs }) => pairs.length === 3))
        yield* check(settings, view)
      }).pipe(Effect.provide(layer))
    }))

  it.effect("of a metric that need not be there is undecided where it is missing, and pairs nothing else", () =>
    Effect.gen(function*() {
      const sometimes: TestLaboratory.Program = (job) =>
        job.request.key.includes("challenger 1")
          ? { durationMillis: 10, stdout: "done\n" }
          : job.edits.length === 0
          ? 100
          : 150
      const view = yield* Effect.provide(
        TestLaboratory.run(settings),
        TestLaboratory.layerTest(settings, sometimes, {
          rules: [{ _tag: "KeyValue", name: "throughput", required: false }]
        })
      )
      const [first] = confirmations(view)
      assert.deepInclude(first, { purpose: "crown", better: false, pairs: [[150, 100], [150, 100]] })
      assert.match(first?.undecided ?? "", /the challenger measured NaN in pair 1/)
      assert.strictEqual(view.tree.best, "baseline")
    }))
})
