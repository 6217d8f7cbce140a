import { assert, describe, it } from "@effect/vitest"
import { UncleanSource, Workspace, WorkspaceError } from "@espalier/platform/Workspace"
import * as MemoryWorkspace from "@espalier/platform/workspace/Memory"
import { Autoresearch, Laboratory, Setup } from "@espalier/workflow"
import { TestLaboratory } from "@espalier/workflow/testing"
import { Effect } from "effect"
import { jobsThatRan } from "./support/invariants.ts"
import { headspace, program, studyOf } from "./support/program.ts"

const settings = studyOf({ limits: { experiments: 2 } })
const layer = (options: TestLaboratory.Options = {}) => TestLaboratory.layerTest(settings, program(0.005), options)

const startable = (
  source: Autoresearch.Startable["config"]["source"],
  fingerprint = "test"
): Autoresearch.Startable => ({
  workdir: settings.directory,
  settings,
  fingerprint,
  config: { source }
})

describe("the seeds", () => {
  it("are the baseline, then those that are declared, in their order and before everything else", () => {
    const seeds = Setup.seedsOf([headspace, { name: "cold", description: "With cold caches.", arguments: ["--cold"] }])
    assert.deepStrictEqual(seeds.map(({ id }) => id), ["baseline", "headspace", "cold"])
    assert.isTrue(
      seeds.every(({ priority }, index) => priority < 0 && priority >= (seeds[index - 1]?.priority ?? -Infinity))
    )
    assert.deepStrictEqual(seeds.map((seed) => seed.arguments), [[], ["--headspace"], ["--cold"]])
    assert.match(seeds[1]!.hypothesis, /ceiling/)
    assert.strictEqual(seeds[2]!.hypothesis, "With cold caches.")
  })

  it("are no more than the limit on jobs allows, and the baseline in any case", () => {
    const names = (jobs: number | null) =>
      Setup.affordableSeeds({ limits: { ...settings.limits, jobs }, repeats: 2, seeds: [headspace] }).map(({ id }) =>
        id
      )
    assert.deepStrictEqual(names(null), ["baseline", "headspace"])
    assert.deepStrictEqual(names(4), ["baseline", "headspace"])
    assert.deepStrictEqual(names(3), ["baseline"])
    assert.deepStrictEqual(names(1), ["baseline"])
  })

  it.effect("start from the anchor, whose commit is the baseline's when the parameters file says what it says there", () =>
    Effect.gen(function*() {
      const view = yield* TestLaboratory.run(settings)
      const workspace = yield* Workspace
      assert.strictEqual(view.setup?.anchor, yield* workspace.resolve("HEAD"))
      assert.deepInclude(view.setup?.objective, { metric: "throughput", direction: "maximize" })
      const contents = yield* MemoryWorkspace.Contents
      const files = yield* contents.commit(view.tree.nodes.get("baseline")!.commit!)
      assert.deepStrictEqual(JSON.parse(files!.get("parameters.json")!), { workers: 1 })
    }).pipe(Effect.provide(layer())))
})

describe("a run that cannot begin", () => {
  const nothingRecorded = Effect.gen(function*() {
    const runs = yield* (yield* Laboratory.Laboratory).list
    assert.isTrue(runs.every(({ lastSeq }) => lastSeq === 0))
    assert.deepStrictEqual(yield* jobsThatRan, [])
  })

  it.effect("because the source is unclean records nothing, and says what to do", () =>
    Effect.gen(function*() {
      yield* (yield* MemoryWorkspace.Contents).changeCheckout("src/main.ts", "half done\n")
      const error = yield* Effect.flip(Effect.scoped(TestLaboratory.open(settings)))
      assert.instanceOf(error, UncleanSource)
      assert.match(error.message, /"src\/main\.ts".*git commit.*snapshot = true/)
      yield* nothingRecorded
      // The same command goes through once that is done.
      yield* (yield* MemoryWorkspace.Contents).changeCheckout("src/main.ts", undefined)
      assert.strictEqual((yield* TestLaboratory.run(settings)).state, "completed")
    }).pipe(Effect.provide(layer())))

  it.effect("may begin from a snapshot of an unclean source, which every experiment then has", () =>
    Effect.gen(function*() {
      const contents = yield* MemoryWorkspace.Contents
      yield* contents.changeCheckout("src/main.ts", "half done\n")
      yield* TestLaboratory.advanceUntilDone(Effect.scoped(Effect.gen(function*() {
        return yield* (yield* Autoresearch.open(startable({ ref: "HEAD", snapshot: true }), { mode: "run" })).await
      })))
      for (const { commit } of (yield* TestLaboratory.view(settings)).tree.nodes.values()) {
        assert.strictEqual((yield* contents.commit(commit!))?.get("src/main.ts"), "half done\n")
      }
    }).pipe(Effect.provide(layer())))

  it.effect("because its ref leads to no commit records nothing", () =>
    Effect.gen(function*() {
      const source = { ref: "v9", snapshot: false }
      const error = yield* Effect.flip(Effect.scoped(Autoresearch.open(startable(source), { mode: "run" })))
      assert.instanceOf(error, WorkspaceError)
      assert.match(error.message, /"v9" is not a commit/)
      yield* nothingRecorded
    }).pipe(Effect.provide(layer())))

  it.effect("because there is none to resume says how to begin one", () =>
    Effect.gen(function*() {
      const source = { ref: "HEAD", snapshot: false }
      const error = yield* Effect.flip(Effect.scoped(Autoresearch.open(startable(source), { mode: "resume" })))
      assert.instanceOf(error, Autoresearch.NothingToResume)
      assert.match(error.message, /There is no run in \/test yet\. Begin one: espalier run \/test/)
      yield* nothingRecorded
    }).pipe(Effect.provide(layer())))
})

describe("a run that has begun", () => {
  it.effect("is not gone on with under another configuration", () =>
    Effect.gen(function*() {
      const source = { ref: "HEAD", snapshot: false }
      yield* Effect.scoped(TestLaboratory.open(settings))
      const error = yield* Effect.flip(Effect.scoped(Autoresearch.open(startable(source, "other"), { mode: "run" })))
      assert.instanceOf(error, Autoresearch.ConfigChanged)
      assert.match(error.message, /began with another configuration/)
      assert.strictEqual((yield* TestLaboratory.run(settings)).state, "completed")
    }).pipe(Effect.provide(layer())))

  it.effect("but lost its source ends with a sentence, not in an endless try", () =>
    Effect.gen(function*() {
      const view = yield* TestLaboratory.run(settings)
      assert.deepInclude(view.setupFailure, {
        kind: "setup_source_failed",
        phase: "setup",
        attempt: 1,
        exceptionType: "WorkspaceError"
      })
      assert.match(view.setupFailure!.message, /is not a commit of the repository/)
      assert.deepStrictEqual([view.state, view.tree.nodes.size], ["completed", 0])
    }).pipe(Effect.provide(layer({
      around: {
        workspace: (real) => ({
          ...real,
          resolve: (ref) =>
            Effect.fail(WorkspaceError.of({ _tag: "UnknownRef", repository: "memory:", ref, detail: "gone" }))
        })
      }
    }))))

  it.effect("and meets a defect in a layer records its stack", () =>
    Effect.gen(function*() {
      const view = yield* TestLaboratory.run(settings)
      assert.deepInclude(view.setupFailure, {
        kind: "unexpected_exception",
        phase: "setup",
        message: "Unexpected TypeError during setup: x is not a function"
      })
      assert.match(String(view.setupFailure?.details["stack"]), /Setup\.test\.ts/)
    }).pipe(Effect.provide(layer({
      around: { workspace: (real) => ({ ...real, resolve: () => Effect.die(new TypeError("x is not a function")) }) }
    }))))
})
