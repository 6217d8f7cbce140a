import { assert, describe, it } from "@effect/vitest"
import { ExperimentTree, Laboratory, type SearchSpace, type Study } from "@espalier/workflow"
import { TestLaboratory } from "@espalier/workflow/testing"
import { Effect } from "effect"
import fc from "fast-check"
import { check } from "./support/invariants.ts"
import { studyOf } from "./support/program.ts"
import { rehearse, type Rehearsed, type World } from "./support/rehearsal.ts"

const declared = {
  parameters: [{ name: "workers", type: "integer", values: [1, 2, 4], baseline: 1 }],
  edits: ["a", "b", "c", "d"].map((name) => ({
    name,
    file: "main.ts",
    search: `plain ${name}`,
    replace: `better ${name}`
  }))
} as const

const lucky: World = {
  seed: 1,
  failing: 0,
  cancelled: 0,
  breaking: 0,
  merged: 0,
  effect: 0.3,
  noise: 0.01,
  millis: 1_000
}

const worlds: fc.Arbitrary<World> = fc.record({
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  failing: fc.constantFrom(0, 0.2, 0.9),
  cancelled: fc.constantFrom(0, 0.1),
  breaking: fc.constantFrom(0, 0.3, 1),
  merged: fc.constantFrom(0, 0.5),
  effect: fc.constantFrom(0, 0.1, 0.3),
  noise: fc.constantFrom(0, 0.1, 0.2, 0.4),
  millis: fc.constant(1_000)
})

const studies: fc.Arbitrary<Study.Settings> = fc.record({
  jobs: fc.option(fc.integer({ min: 1, max: 60 }), { freq: 10 }),
  experiments: fc.integer({ min: 1, max: 30 }),
  patience: fc.option(fc.integer({ min: 1, max: 10 })),
  repeats: fc.integer({ min: 1, max: 3 }),
  pairs: fc.integer({ min: 2, max: 4 }),
  batch: fc.integer({ min: 1, max: 5 }),
  confirmEvery: fc.integer({ min: 1, max: 8 }),
  machine: fc.constantFrom(1, 3),
  headspace: fc.boolean()
}).map(({ batch, confirmEvery, experiments, headspace, jobs, machine, pairs, patience, repeats }) =>
  TestLaboratory.settings({
    ...declared,
    // The policy is not the question here, and drawing at random is the fastest.
    planner: { kind: "random", seed: 1, batch, confirmEvery },
    limits: { jobs, experiments, patience },
    objective: { pairs },
    seeds: headspace ? [{ name: "headspace", description: "", arguments: ["--headspace"] }] : [],
    machine,
    repeats
  })
)

/** Searches of all sorts; each property below holds of every one of them. */
const searches = fc.sample(fc.tuple(studies, worlds), { numRuns: 250, seed: 20_261_121 }).map(([settings, world]) => ({
  settings,
  rehearsed: rehearse(settings, world),
  name: JSON.stringify({ world, limits: settings.limits, planner: settings.planner, repeats: settings.repeats })
}))

const holds = (property: (settings: Study.Settings, rehearsed: Rehearsed) => void): void => {
  for (const { name, rehearsed, settings } of searches) {
    try {
      property(settings, rehearsed)
    } catch (error) {
      throw new Error(`It does not hold of ${name}`, { cause: error })
    }
  }
}

const final = ({ asked }: Rehearsed) => asked.filter((id) => id.startsWith("final-"))

describe("whatever happens, a plan", () => {
  it("keeps to the limit on jobs, the last confirmation included", () => {
    holds((settings, { tree }) => {
      if (settings.limits.jobs !== null) assert.isAtMost(tree.jobs, Math.max(settings.limits.jobs, settings.repeats))
    })
  })

  it("keeps to it for each small limit, and spends on confirmations what it keeps back", () => {
    for (let jobs = 1; jobs <= 60; jobs++) {
      const settings = TestLaboratory.settings({ ...declared, planner: { kind: "random" }, limits: { jobs } })
      const { asked, tree } = rehearse(settings, { ...lucky, seed: jobs })
      assert.isAtMost(tree.jobs, jobs)
      if (jobs >= 20) assert.isAtLeast(asked.length, 2, `${jobs} jobs`)
    }
  })

  it("ends the search with a reason, and not before everything has settled", () => {
    holds((_, { decisions, tree }) => {
      assert.isNotNull(tree.stopped, JSON.stringify(decisions.at(-1)))
      const at = decisions.findIndex(({ stopped }) => stopped !== null)
      for (const later of decisions.slice(at + 1)) assert.isNull(later.stopped)
      for (const later of decisions.slice(at)) assert.deepStrictEqual(later.experiments, [])
    })
  })

  it("measures the best beside the baseline at the very end, once, if it is not the baseline", () => {
    holds((_, rehearsed) => {
      const { best } = rehearsed.tree
      assert.deepStrictEqual(final(rehearsed), best === "baseline" ? [] : [`final-${best}-baseline`])
      if (best !== "baseline") assert.strictEqual(rehearsed.asked.at(-1), `final-${best}-baseline`)
      for (const { confirm, pending, pendingConfirms } of rehearsed.decisions) {
        if (confirm?.purpose === "final") assert.deepStrictEqual([pending, pendingConfirms], [0, 0])
      }
    })
  })

  it("asks for no confirmation twice, nor for two at a time, and only of those that challenge the best", () => {
    holds((_, { asked, decisions }) => {
      assert.strictEqual(new Set(asked).size, asked.length)
      for (const { before, best, confirm, pendingConfirms } of decisions) {
        if (confirm === null) continue
        assert.strictEqual(pendingConfirms, 0)
        assert.deepInclude(before.get(confirm.challenger), { status: "completed", commit: confirm.challengerCommit })
        if (confirm.purpose === "crown") assert.strictEqual(confirm.champion, best)
      }
    })
  })

  it("proposes nothing twice that has not failed, and never more than are wanted", () => {
    holds((settings, { decisions, tree }) => {
      for (const { before, experiments, pending, pendingConfirms } of decisions) {
        const seen = { ...tree, nodes: new Map(before) }
        for (const { base, changes, id } of experiments) {
          assert.isFalse(before.has(id))
          assert.isFalse(ExperimentTree.isDuplicate(seen, base, changes))
          seen.nodes.set(id, { ...tree.nodes.get(id)!, status: "queued" })
        }
        assert.isAtMost(experiments.length, Math.max(0, settings.planner.batch - (pending - pendingConfirms)))
      }
      assert.isAtMost(ExperimentTree.experimentsProposed(tree), settings.limits.experiments ?? Infinity)
    })
  })

  it("has patience, and no more", () => {
    holds((settings, { decisions }) => {
      for (const { experiments, plateau } of decisions) {
        if (plateau >= (settings.limits.patience ?? Infinity)) assert.deepStrictEqual(experiments, [])
      }
    })
  })

  it("leaves the machine to a confirmation where several jobs share it", () => {
    holds((settings, { decisions }) => {
      if (settings.machine === 1) return
      for (const { confirm, experiments, pendingConfirms } of decisions) {
        if (confirm !== null || pendingConfirms > 0) assert.deepStrictEqual(experiments, [])
      }
    })
  })
})

describe("a plan", () => {
  it("proposes nothing after the time is over, and still confirms", () => {
    const settings = TestLaboratory.settings({ ...declared, limits: { wallTimeMillis: 20_000, jobs: null } })
    const { decisions, tree, asked } = rehearse(settings, lucky)
    assert.match(tree.stopped ?? "", /^The run has taken 2\d s; the limit is 20 s\.$/)
    for (const { elapsedMillis, experiments } of decisions) if (elapsedMillis >= 20_000) assert.isEmpty(experiments)
    assert.isNotEmpty(asked.filter((id) => id.startsWith("final-")))
  })

  it("stops at its target", () => {
    const settings = TestLaboratory.settings({ ...declared, limits: { target: 110 } })
    const { tree } = rehearse(settings, lucky)
    assert.match(tree.stopped ?? "", /^The target is reached: throughput is \d+\.\d+ items\/s, wanted was 110\.$/)
  })

  it("says that the jobs are used up when all that is left is kept for confirmations", () => {
    const settings = TestLaboratory.settings({ ...declared, limits: { jobs: 14 } })
    const { tree } = rehearse(settings, { ...lucky, effect: 0 })
    assert.match(tree.stopped ?? "", /^\d+ jobs have been launched and \d+ are left, which are kept for confirmations/)
  })

  it("goes on when every confirmation fails, and claims nothing", () => {
    const { asked, tree } = rehearse(TestLaboratory.settings({ ...declared, limits: { experiments: 12 } }), {
      ...lucky,
      breaking: 1
    })
    assert.isNotEmpty(asked)
    assert.strictEqual(tree.best, "baseline")
    assert.match(tree.stopped ?? "", /^All 12 experiments/)
  })
})

describe("requests for a plan", () => {
  const settings = studyOf({
    machine: 4,
    seeds: [],
    planner: { batch: 4 },
    limits: { experiments: 12 },
    objective: { smallestGain: 10 }
  })

  const decisions = Effect.gen(function*() {
    const events = yield* (yield* Laboratory.Laboratory).history(settings.run)
    return events.filter(({ event }) => event._tag === "StepRecorded" && event.step === "decide").length
  })

  it.effect("are merged while one waits: one decision answers all that settled meanwhile", () =>
    Effect.gen(function*() {
      // All jobs take the same time, and the disk is slow: four experiments settle in one commit.
      const view = yield* TestLaboratory.run(settings)
      assert.strictEqual(view.tree.nodes.size, 13)
      assert.isAtMost(yield* decisions, 1 + 2 * 3)
      yield* check(settings, view)
    }).pipe(Effect.provide(TestLaboratory.layerTest(settings, () => 100, {
      around: {
        journal: (real) => ({
          ...real,
          open: (runId, options) =>
            Effect.map(real.open(runId, options), (writer) => ({
              ...writer,
              append: (events, version) => Effect.andThen(Effect.sleep(20), writer.append(events, version))
            }))
        })
      }
    }))))

  /** A space that cannot be read any more when it was read so often. */
  const breakingAfter = (reads: number): Study.Settings => {
    let left = reads
    const space = new Proxy(settings.space, {
      get: (target, key) => {
        if (key === "edits" && left-- === 0) throw new RangeError("the space cannot be read")
        return target[key as keyof SearchSpace.SearchSpace]
      }
    })
    return { ...settings, machine: 1, space }
  }

  it.effect("that fail by a defect are recorded; experiments that are pending ask again, and the search goes on", () =>
    Effect.gen(function*() {
      const broken = breakingAfter(20)
      yield* Effect.gen(function*() {
        const view = yield* TestLaboratory.run(broken)
        const failed = (yield* (yield* Laboratory.Laboratory).history(broken.run)).flatMap(({ event }) =>
          event._tag === "WorkFailed" && event.id.startsWith("plan/") ? [event.failure] : []
        )
        assert.strictEqual(failed.length, 1)
        assert.include(JSON.stringify(failed), "Unexpected RangeError during planning: the space cannot be read")
        assert.match(view.tree.stopped ?? "", /^All 12 experiments/)
        assert.isUndefined(view.planFailure)
        yield* check(broken, view)
      }).pipe(Effect.provide(TestLaboratory.layerTest(broken, () => 100)))
    }))

  it.effect("that fail when nothing is pending end the run, and the view says what is wrong", () =>
    Effect.gen(function*() {
      const broken = breakingAfter(0)
      const view = yield* Effect.provide(TestLaboratory.run(broken), TestLaboratory.layerTest(broken, () => 100))
      assert.deepStrictEqual([view.state, view.tree.nodes.size, view.tree.stopped], ["completed", 1, null])
      assert.deepInclude(view.planFailure, {
        kind: "unexpected_exception",
        phase: "planning",
        message: "Unexpected RangeError during planning: the space cannot be read",
        exceptionType: "RangeError"
      })
      assert.match(String(view.planFailure?.details["stack"]), /Planning\.test\.ts/)
    }))
})
