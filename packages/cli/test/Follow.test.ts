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
      assert.strictEqual(lines.filter((line) => /^final-e\d+-baseline: confirmation started$/.test(line)).length, 1)
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
  const bounds = (limits: Partial<Follow.Bounds["limits"]>): Follow.Bounds => ({
    limits: { jobs: null, experiments: null, wallTimeMillis: null, ...limits },
    repeats: 1,
    objective: { pairs: 2 }
  })

  /** The view as it was when so many experiments had ended. */
  const viewAfter = Effect.fnUntraced(function*(experiments: number) {
    const events = yield* eventsOf(program)
    let ended = 0
    const until = events.findIndex(({ event }) =>
      (event._tag === "WorkSucceeded" || event._tag === "WorkFailed") && event.id.startsWith("experiment/e") &&
      (ended += 1) === experiments
    )
    return tell(events.slice(0, until + 1)).view
  })

  it.effect("is not made before there is a pace, nor where there is no limit", () =>
    Effect.gen(function*() {
      assert.isUndefined(Follow.remainingMillis(yield* viewAfter(1), bounds({ jobs: 10 }), 1_000))
      assert.isNumber(Follow.remainingMillis(yield* viewAfter(2), bounds({ jobs: 10 }), 1_000))
      assert.isUndefined(Follow.remainingMillis(yield* viewAfter(2), bounds({}), 1_000))
    }))

  it.effect("follows the limit that is reached first, at the pace so far", () =>
    Effect.gen(function*() {
      const view = yield* viewAfter(2)
      const { jobs, stopped } = view.tree
      assert.isNull(stopped)
      assert.strictEqual(Follow.remainingMillis(view, bounds({ experiments: 4 }), 10_000), 10_000)
      assert.strictEqual(Follow.remainingMillis(view, bounds({ experiments: 4, jobs: jobs * 1.5 }), 10_000), 5_000)
      assert.strictEqual(
        Follow.remainingMillis(view, bounds({ experiments: 4, wallTimeMillis: 12_000 }), 10_000),
        2_000
      )
      assert.strictEqual(Follow.remainingMillis(view, bounds({ wallTimeMillis: 9_000 }), 10_000), 0)
    }))

  it.effect("is what was begun, when nothing more is proposed, and nothing at the end", () =>
    Effect.gen(function*() {
      const view = yield* viewAfter(2)
      view.tree.stopped = "enough"
      const unsettled = [...view.tree.nodes.values()].filter(({ status }) =>
        status !== "completed" && status !== "failed"
      )
      const toCome = unsettled.length + 2 * 2 * view.pendingConfirms
      assert.isAbove(toCome, 0)
      assert.strictEqual(Follow.remainingMillis(view, bounds({}), 10_000), toCome * 10_000 / view.tree.jobs)
      assert.strictEqual(Follow.remainingMillis(tell(yield* eventsOf(program)).view, bounds({}), 10_000), 0)
    }))
})
