import { assert, describe, it } from "@effect/vitest"
import type { RunEvent } from "@espalier/engine"
import { Laboratory, TreeView } from "@espalier/workflow"
import { TestLaboratory } from "@espalier/workflow/testing"
import { Effect } from "effect"
import * as Follow from "../src/Follow.ts"

const edit = (name: string) => ({ name, file: `${name}.ts`, search: `plain ${name}`, replace: `changed ${name}` })

const settings = TestLaboratory.settings({
  parameters: [{ name: "workers", type: "integer", values: [1, 2, 4], baseline: 1 }],
  edits: [edit("crashing")],
  planner: { kind: "random", batch: 2, seed: 2 },
  limits: { experiments: 5 }
})

const program: TestLaboratory.Program = ({ edits, parameters }) =>
  edits.includes("crashing")
    ? { exitCode: 3, durationMillis: 500, stdout: "loading\n", stderr: "\u001b[31mError: no\tshard\u001b[0m\n" }
    : 100 * Number(parameters["workers"])

/** All events of a whole search. */
const eventsOf = Effect.fnUntraced(function*(of: TestLaboratory.Program) {
  return yield* Effect.gen(function*() {
    yield* TestLaboratory.run(settings)
    return yield* (yield* Laboratory.Laboratory).history(settings.run)
  }).pipe(Effect.provide(TestLaboratory.layerTest(settings, of)))
})

/** What a person is told of them, line by line, and the view after the last. */
const tell = (events: ReadonlyArray<RunEvent.Sequenced>) => {
  const view = TreeView.empty()
  const lines = events.flatMap((each) => {
    TreeView.evolve(view, each)
    return Follow.lineOf(view, each.event) ?? []
  })
  return { lines, view }
}

describe("what a person is told of a run", () => {
  it.effect("is a line for each thing that happened, in order, and says what came of it", () =>
    Effect.gen(function*() {
      const { lines } = tell(yield* eventsOf(program))
      assert.deepStrictEqual(lines.slice(0, 3), ["run started", "baseline: job started", "baseline: 100 items/s"])
      assert.strictEqual(lines.at(-1), "run completed")
      assert.include(lines, "e001: job started")
      const of = (pattern: RegExp) => lines.filter((line) => pattern.test(line))
      assert.isNotEmpty(of(/^e\d+: 400 items\/s \(\+300\.0 % against the baseline\) workers=4$/))
      assert.isNotEmpty(of(/^new best: e\d+ beats \w+: x[24]\.000 \([\d.]+ to [\d.]+, 2 pairs\)$/))
      assert.lengthOf(of(/^final: e\d+ beside baseline: x4\.000 \(/), 1)
      const [crashed] = of(/crashing\]$/)
      assert.match(crashed!, /^e\d+: failed, job_runtime_failed in job: The job exited with code 3: Error: no shard /)
    }))

  it.effect("is free of control characters, whatever a job printed", () =>
    Effect.gen(function*() {
      for (const line of tell(yield* eventsOf(program)).lines) {
        assert.notMatch(line, /[\u0000-\u001f\u007f-\u009f]/)
      }
    }))

  it.effect("names what is tried again, and when", () =>
    Effect.gen(function*() {
      const events = yield* eventsOf(program)
      const { at } = events.at(-1)!.event
      const { view } = tell(events)
      const failed = (message: string): RunEvent.RunEvent => ({
        _tag: "WorkRetryScheduled",
        at,
        id: "plan/after-e001",
        attempt: 1,
        livedMillis: 0,
        failure: { _tag: "Error", error: { failure: { kind: "planning_failed", message } } },
        wakeAt: at + 1_500
      } as RunEvent.RunEvent)
      assert.strictEqual(
        Follow.lineOf(view, failed("no answer")),
        "plan/after-e001: planning_failed: no answer; tried again in 1.5 s"
      )
    }))
})

describe("the estimate of what is left", () => {
  const limits = { jobs: null, experiments: null, wallTimeMillis: null }

  it.effect("is not made before there is a pace, nor when nothing more is proposed", () =>
    Effect.gen(function*() {
      const events = yield* eventsOf(program)
      const { view } = tell(events)
      assert.isUndefined(Follow.remainingMillis(TreeView.empty(), { ...limits, jobs: 10 }, 1_000))
      assert.isUndefined(Follow.remainingMillis(view, { ...limits, jobs: 1_000 }, 1_000))
    }))

  it.effect("follows the limit that is reached first, at the pace so far", () =>
    Effect.gen(function*() {
      const events = yield* eventsOf(program)
      // As it was when the fourth experiment had ended.
      let finished = 0
      const until = events.findIndex(({ event }) =>
        (event._tag === "WorkSucceeded" || event._tag === "WorkFailed") && /^experiment\/e/.test(event.id) &&
        (finished += 1) === 4
      )
      const { view } = tell(events.slice(0, until + 1))
      view.tree.stopped = null
      const { jobs } = view.tree
      assert.strictEqual(Follow.remainingMillis(view, { ...limits, experiments: 8 }, 10_000), 10_000)
      assert.strictEqual(Follow.remainingMillis(view, { ...limits, experiments: 8, jobs: jobs * 1.5 }, 10_000), 5_000)
      assert.strictEqual(Follow.remainingMillis(view, { ...limits, experiments: 8, wallTimeMillis: 12_000 }, 10_000), 2_000)
      assert.strictEqual(Follow.remainingMillis(view, { ...limits, wallTimeMillis: 9_000 }, 10_000), 0)
      assert.isUndefined(Follow.remainingMillis(view, limits, 10_000))
    }))
})
