import { assert, describe, it } from "@effect/vitest"
import * as Simulated from "@espalier/platform/execution/Simulated"
import * as MemoryWorkspace from "@espalier/platform/workspace/Memory"
import type { Failure } from "@espalier/workflow"
import { TestLaboratory } from "@espalier/workflow/testing"
import { Effect } from "effect"
import { check, jobsThatRan, mostAtOnce, overlap, projection } from "./support/invariants.ts"
import { failing, program, studyOf } from "./support/program.ts"

describe("a search on doubles of everything that it touches", () => {
  const settings = studyOf({ limits: { jobs: 90, experiments: 24 } })

  const kinds: Readonly<Record<string, Failure.FailureKind>> = {
    crashing: "job_runtime_failed",
    silent: "metrics_collection_failed",
    endless: "job_failed",
    vanishing: "job_lost"
  }

  it.effect("runs from setup to completion: seeds, experiments, confirmations, and the last one", () =>
    Effect.gen(function*() {
      const view = yield* TestLaboratory.run(settings)
      const { setup, state, tree } = view
      const nodes = [...tree.nodes.values()]
      assert.strictEqual(state, "completed")
      assert.strictEqual(setup?.fingerprint, "test")
      assert.strictEqual(tree.stopped, "All 24 experiments that the limit allows have been proposed.")
      assert.deepStrictEqual(nodes.slice(0, 2).map(({ id, status }) => [id, status]), [
        ["baseline", "completed"],
        ["headspace", "completed"]
      ])
      assert.strictEqual(nodes.length, 2 + 24)

      const best = tree.nodes.get(tree.best!)!
      assert.deepStrictEqual(best.changes.edits, ["fused", "pooled"])
      assert.include([4, 8], best.changes.parameters["workers"])
      const last = best.confirmations.at(-1)!
      assert.deepInclude(last, { purpose: "final", champion: "baseline", better: true })
      assert.closeTo(last.ratio, 3.22, 0.1)
      const jobs = yield* jobsThatRan
      assert.match(jobs.at(-1)!.work, /^confirm\/final-/)

      for (const edit of Object.keys(failing)) {
        const having = nodes.filter(({ changes }) => changes.edits.includes(edit))
        assert.isNotEmpty(having, edit)
        // With two faulty edits at once it is the first that shows.
        for (const { changes, failure } of having) {
          assert.strictEqual(failure?.kind, kinds[Object.keys(failing).find((name) => changes.edits.includes(name))!])
        }
      }
      const branches = yield* (yield* MemoryWorkspace.Contents).branches
      for (const { commit, id } of nodes) assert.strictEqual(branches.get(`espalier/test/${id}`), commit)
      yield* check(settings, view)
    }).pipe(Effect.provide(TestLaboratory.layerTest(settings, program(0.005)))))

  it.effect("is the same search when it is repeated", () =>
    Effect.gen(function*() {
      const again = Effect.provide(TestLaboratory.run(settings), TestLaboratory.layerTest(settings, program(0.005)))
      assert.deepStrictEqual(projection(yield* again), projection(yield* again))
    }))
})

describe("the machine", () => {
  const settings = studyOf({
    machine: 3,
    concurrency: 3,
    planner: { batch: 4, confirmEvery: 1 },
    limits: { experiments: 16 }
  })

  it.effect("is shared by three experiments, and belongs to a confirmation alone, which is not put off", () =>
    Effect.gen(function*() {
      const view = yield* TestLaboratory.run(settings)
      const jobs = yield* jobsThatRan
      const confirming = jobs.filter(({ work }) => work.startsWith("confirm/"))
      assert.strictEqual(mostAtOnce(jobs), 3)
      // Experiments that were pending when it was asked for end first; none is proposed meanwhile.
      const first = jobs.indexOf(confirming[0]!)
      assert.isAtMost(first, 2 + 2 * settings.planner.batch)
      for (const job of confirming) {
        assert.deepStrictEqual(jobs.filter((other) => other !== job && overlap(job, other)), [])
      }
      yield* check(settings, view)
    }).pipe(Effect.provide(TestLaboratory.layerTest(settings, program(0.005)))))
})

describe("what was built of an experiment", () => {
  const settings = TestLaboratory.settings({
    parameters: [{ name: "workers", type: "integer", values: [1, 2], baseline: 1 }],
    job: { argv: ["run", "{artifact}", "{{artifact}}"], environment: { IMAGE: "{artifact}:latest" } },
    seeds: [{ name: "ceiling", description: "", arguments: ["--of={artifact}"] }],
    limits: { experiments: 1, jobs: 40 }
  })

  it.effect("is named by its jobs, each its own commit's, also in the confirmation", () =>
    Effect.gen(function*() {
      const { state, tree } = yield* TestLaboratory.run(settings)
      assert.strictEqual(state, "completed")
      const commits = new Set([...tree.nodes.values()].map(({ commit }) => commit))
      assert.isAbove(commits.size, 1)
      const { launches } = yield* Simulated.Simulation
      const started = yield* launches
      assert.isAbove(started.length, 4)
      for (const { argv, environment } of started) {
        const [, reference = "", escaped, ...extra] = argv
        assert.isTrue(commits.has(reference.replace("image-of-", "")))
        assert.strictEqual(escaped, "{artifact}")
        assert.strictEqual(environment["IMAGE"], `${reference}:latest`)
        if (extra.length > 0) assert.deepStrictEqual(extra, [`--of=${reference}`])
      }
      assert.strictEqual(new Set(started.map(({ argv }) => argv[1])).size, commits.size)
      assert.include(started.map(({ argv }) => argv.length), 4)
    }).pipe(Effect.provide(TestLaboratory.layerTest(settings, (job) => Number(job.parameters["workers"]) * 10, {
      build: ({ commit }) => Effect.succeed({ kind: "image", reference: `image-of-${commit}` })
    }))))
})
