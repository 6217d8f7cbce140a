import { assert, describe, it } from "@effect/vitest"
import { Journal } from "@espalier/engine"
import { Workspace, WorkspaceError } from "@espalier/platform/Workspace"
import * as MemoryWorkspace from "@espalier/platform/workspace/Memory"
import { Experiment, type TreeView } from "@espalier/workflow"
import { TestLaboratory } from "@espalier/workflow/testing"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { faultyJournal } from "./support/interruptions.ts"
import { check, jobsThatRan } from "./support/invariants.ts"
import { edits, headspace, program, studyOf } from "./support/program.ts"

const settings = studyOf({
  parameters: [],
  edits: edits.filter(({ name }) => name === "fused" || name === "pooled"),
  seeds: [headspace],
  concurrency: 2,
  limits: { experiments: 3 }
})

/** Builds and collecting take their time, so that every phase can be met. */
const layer = () =>
  TestLaboratory.layerTest(settings, program(0.005), {
    build: ({ commit }) => Effect.as(Effect.sleep(300), { kind: "tree", reference: commit }),
    around: {
      evidence: (real) => ({ collect: (job, status) => Effect.andThen(Effect.sleep(200), real.collect(job, status)) })
    }
  })

const by = { reason: "the test wants it", actor: "test" }

/** Nothing of a run or of an experiment is left behind. */
const nothingIsLeft = Effect.gen(function*() {
  assert.deepStrictEqual(yield* (yield* MemoryWorkspace.Contents).openTrees, [])
  assert.deepStrictEqual(yield* (yield* Workspace).sweep(settings.run), [])
  assert.deepStrictEqual((yield* jobsThatRan).filter(({ status }) => status === "Running"), [])
})

/** What the experiments and confirmations are doing at a moment, as the statuses of nodes and the kinds of works. */
const phasesOf = (view: TreeView.TreeView): ReadonlyArray<string> => [
  ...[...view.tree.nodes.values()].map(({ status }) => status),
  ...(view.pendingConfirms > 0 ? ["confirming"] : [])
]

describe("a run that is cancelled", () => {
  it.effect(
    "at any time ends its jobs, releases its trees, and starts nothing afterwards",
    () =>
      Effect.gen(function*() {
        const seen = new Set<string>()
        for (const at of [50, 700, 1_400, 1_700, 2_300, 3_100, 4_300, 5_500, 6_700, 8_000, 60_000]) {
          const wasOver = yield* Effect.scoped(Effect.gen(function*() {
            const run = yield* TestLaboratory.open(settings)
            yield* TestClock.adjust(at)
            if ((yield* run.status).state === "completed") return true
            for (const phase of phasesOf(yield* TestLaboratory.view(settings))) seen.add(phase)
            yield* run.cancel(by)
            // Not a moment later than asked for.
            yield* TestClock.adjust(0)
            assert.strictEqual((yield* run.status).state, "cancelled")
            yield* nothingIsLeft
            const launched = (yield* jobsThatRan).length
            yield* TestClock.adjust("1 hour")
            const view = yield* TestLaboratory.view(settings)
            assert.strictEqual(view.state, "cancelled")
            assert.isTrue([...view.tree.nodes.values()].every(({ status }) => Experiment.isSettled(status)))
            assert.isAtMost(view.jobs.length, launched)
            assert.strictEqual((yield* jobsThatRan).length, launched)
            return false
          })).pipe(Effect.provide(layer()))
          if (wasOver) break
        }
        for (const phase of ["queued", "preparing", "running", "analyzing", "completed", "confirming"]) {
          assert.include([...seen], phase)
        }
      }),
    30_000
  )

  it.effect("just before its engine died has its jobs ended by the next engine, which starts nothing else", () =>
    Effect.gen(function*() {
      const fault = { at: Infinity, mode: "written" } as { at: number; readonly mode: "written" }
      const { around, counter } = faultyJournal(fault)
      yield* Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* TestLaboratory.open(settings)
          yield* TestClock.adjust(900)
          fault.at = counter.appends + 1
          assert.instanceOf(yield* Effect.flip(run.cancel(by)), Journal.JournalError)
        }))
        const before = yield* jobsThatRan
        assert.isNotEmpty(before.filter(({ status }) => status === "Running"))
        yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* TestLaboratory.open(settings)
          yield* TestClock.adjust(0)
          assert.strictEqual((yield* run.await).state, "cancelled")
          yield* TestClock.adjust("1 minute")
        }))
        const after = yield* jobsThatRan
        assert.strictEqual(after.length, before.length)
        assert.deepInclude(after.at(-1), { status: "Cancelled" })
        // The trees that the first engine left went with the clean-up; one in which no job had run may be left to sweep.
        yield* (yield* Workspace).sweep(settings.run)
        yield* nothingIsLeft
      }).pipe(Effect.provide(TestLaboratory.layerTest(settings, program(0.005), { around: { journal: around } })))
    }))
})

describe("an experiment that is cancelled", () => {
  it.effect(
    "in any phase ends its job and releases its tree; the others go on to the end",
    () =>
      Effect.gen(function*() {
        const phases = ["queued", "preparing", "running", "analyzing"]
        const seen = new Set<string>()
        for (let at = 1_650; at < 4_000 && seen.size < phases.length; at += 170) {
          yield* Effect.scoped(Effect.gen(function*() {
            const run = yield* TestLaboratory.open(settings)
            yield* TestClock.adjust(at)
            const before = yield* TestLaboratory.view(settings)
            const unsettled = [...before.tree.nodes.values()].filter(({ seed, status }) =>
              seed === null && !Experiment.isSettled(status)
            )
            // Whoever settles asks for the next plan; a cancelled one does not. So one is left.
            const victim = unsettled.length < 2
              ? undefined
              : unsettled.findLast(({ status }) => !seen.has(status)) ?? unsettled[0]
            if (victim === undefined) return
            seen.add(victim.status)
            yield* run.cancelWork(`experiment/${victim.id}`, by)
            const jobs = (yield* jobsThatRan).filter(({ work }) => work === `experiment/${victim.id}`).length
            yield* TestLaboratory.advanceUntilDone(run.await)
            const view = yield* TestLaboratory.view(settings)
            const node = view.tree.nodes.get(victim.id)!
            assert.deepInclude(node, { status: "cancelled", value: null, failure: null })
            const after = (yield* jobsThatRan).filter(({ work }) => work === `experiment/${victim.id}`)
            assert.strictEqual(after.length, jobs)
            if (victim.status === "running") assert.deepInclude(after[0], { status: "Cancelled" })
            assert.strictEqual(view.state, "completed")
            assert.isNotNull(view.tree.stopped)
            yield* nothingIsLeft
            yield* check(settings, view)
          })).pipe(Effect.provide(layer()))
        }
        for (const phase of phases) assert.include([...seen], phase)
      }),
    30_000
  )

  it.effect("while it waits for another try has none", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* TestLaboratory.open(settings)
        yield* TestClock.adjust(1_650)
        assert.strictEqual((yield* run.work("experiment/e002")).state, "waiting")
        yield* run.cancelWork("experiment/e002", by)
        yield* TestLaboratory.advanceUntilDone(run.await)
      }))
      const view = yield* TestLaboratory.view(settings)
      assert.deepInclude(view.tree.nodes.get("e002"), { status: "cancelled", jobs: 0 })
      assert.strictEqual(view.state, "completed")
      yield* nothingIsLeft
    }).pipe(Effect.provide(TestLaboratory.layerTest(settings, program(0.005), {
      around: {
        workspace: (real) => ({
          ...real,
          open: (options) => options.node === "e002" ? Effect.fail(repositoryLocked) : real.open(options)
        })
      }
    }))))
})

const repositoryLocked = WorkspaceError.of({
  _tag: "GitFailed",
  argv: ["git", "worktree", "add"],
  exitCode: 128,
  signal: null,
  stderr: "index.lock exists"
})

describe("a confirmation that is cancelled", () => {
  it.effect("ends the job of the side that runs, is not asked for again, and crowns nothing", () =>
    Effect.gen(function*() {
      const cancelled = yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* TestLaboratory.open(settings)
        for (let passed = 0; passed < 20_000; passed += 100) {
          yield* TestClock.adjust(100)
          const running = (yield* jobsThatRan).find(({ status, work }) =>
            work.startsWith("confirm/") && status === "Running"
          )
          if (running === undefined) continue
          yield* run.cancelWork(running.work, by)
          yield* TestLaboratory.advanceUntilDone(run.await)
          return running
        }
        return yield* Effect.die(new Error("no confirmation was met"))
      }))
      const view = yield* TestLaboratory.view(settings)
      const jobs = yield* jobsThatRan
      assert.deepInclude(jobs.find(({ key }) => key === cancelled.key), { status: "Cancelled" })
      assert.strictEqual(jobs.filter(({ work }) => work === cancelled.work).length, 1)
      assert.strictEqual(view.state, "completed")
      assert.isNotNull(view.tree.stopped)
      yield* nothingIsLeft
      yield* check(settings, view)
    }).pipe(Effect.provide(layer())))
})
