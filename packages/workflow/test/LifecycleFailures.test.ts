import { assert, describe, it } from "@effect/vitest"
import * as MemoryArtifacts from "@espalier/platform/artifacts/Memory"
import { EvidenceError } from "@espalier/platform/Evidence"
import { Execution, ExecutionError, LaunchFailed } from "@espalier/platform/Execution"
import * as Simulated from "@espalier/platform/execution/Simulated"
import { ChangeRefused, WorkspaceError } from "@espalier/platform/Workspace"
import { Failure, Laboratory, type Study } from "@espalier/workflow"
import { TestLaboratory } from "@espalier/workflow/testing"
import { Effect } from "effect"
import { check, jobsThatRan, mostAtOnce } from "./support/invariants.ts"

const edit = (name: string, file = "main.ts") => ({ name, file, search: `plain ${name}`, replace: `changed ${name}` })

/** One edit that helps, and one that is faulty; the search tries each alone, and both together. Nothing is worth crowning. */
const studyOf = (changes: TestLaboratory.Declaration = {}) =>
  TestLaboratory.settings({
    edits: [edit("fused"), edit("faulty")],
    job: { timeoutMillis: 5_000 },
    objective: { smallestGain: 10 },
    ...changes
  })

const settings = studyOf()

const withFaulty = (does: Simulated.SimulatedJob): TestLaboratory.Program => (job) =>
  job.edits.includes("faulty") ? does : job.edits.includes("fused") ? 140 : 100

const healthy = withFaulty({ durationMillis: 1_000, stdout: "throughput=90\n" })

/** Runs the search, makes sure that it came to its end in spite of the fault, and returns what failed, by node. */
const failuresOf = (
  program: TestLaboratory.Program,
  options: TestLaboratory.Options = {},
  of: Study.Settings = settings
) =>
  Effect.gen(function*() {
    const view = yield* TestLaboratory.run(of)
    const { nodes, stopped } = view.tree
    assert.strictEqual(view.state, "completed")
    assert.match(stopped ?? "", /^Nothing is left to propose/)
    const alone = [...nodes.values()].find(({ changes }) => changes.edits.join() === "fused")!
    assert.deepInclude(alone, { status: "completed", value: 140 })
    yield* check(of, view)
    const failures = [...nodes.values()].flatMap(({ changes, failure }) =>
      changes.edits.join() === "faulty" && failure !== null ? [failure] : []
    )
    const retries = (yield* (yield* Laboratory.Laboratory).history(of.run)).filter(({ event }) =>
      event._tag === "WorkRetryScheduled"
    )
    const jobs = yield* jobsThatRan
    return { view, failures, retries: retries.length, jobs, only: failures.at(0) }
  }).pipe(Effect.provide(TestLaboratory.layerTest(of, program, options)))

const is = (
  failure: Failure.FailureRecord | undefined,
  expected: Pick<Failure.FailureRecord, "kind" | "phase"> & { readonly message: RegExp; readonly attempt?: number }
): void => {
  assert.isDefined(failure)
  assert.deepStrictEqual(
    { kind: failure.kind, phase: failure.phase, attempt: failure.attempt, retryable: failure.retryable },
    {
      kind: expected.kind,
      phase: expected.phase,
      attempt: expected.attempt ?? 1,
      retryable: Failure.policyOf(expected.kind).recovery !== "none"
    }
  )
  assert.match(failure.message, expected.message)
}

describe("a change that does not fit the source", () => {
  it.effect("is a rejected edit, named with its file and what was found there", () =>
    Effect.gen(function*() {
      const { only } = yield* failuresOf(healthy, { files: { "main.ts": "plain fused\n" } })
      is(only, {
        kind: "code_change_failed",
        phase: "code_change",
        message: /The edit "faulty" does not apply to main\.ts: .*search text/
      })
    }))

  it.effect("is refused when its path leads out of the tree", () =>
    Effect.gen(function*() {
      const outside = studyOf({ edits: [edit("fused"), edit("faulty", "../../etc/passwd")] })
      const { only } = yield* failuresOf(healthy, { files: { "main.ts": "plain fused\n" } }, outside)
      is(only, {
        kind: "code_change_failed",
        phase: "code_change",
        message: /The path "\.\.\/\.\.\/etc\/passwd" is refused/
      })
    }))

  it.effect("is held against the guard as it stands, and never committed when that refuses it", () =>
    Effect.gen(function*() {
      const committed: Array<string> = []
      const { only } = yield* failuresOf(healthy, {
        around: {
          workspace: (real) => ({
            ...real,
            check: (tree) =>
              Effect.gen(function*() {
                if (!(yield* real.read(tree, "main.ts")).includes("changed faulty")) return yield* real.check(tree)
                return yield* ChangeRefused.of(tree.path, [{
                  file: "secret.ts",
                  problem: "outside",
                  detail: "lies outside of what may be changed (main.ts)"
                }])
              }),
            commit: (tree, options) =>
              Effect.gen(function*() {
                committed.push(yield* real.read(tree, "main.ts"))
                return yield* real.commit(tree, options)
              })
          })
        }
      })
      is(only, {
        kind: "code_change_failed",
        phase: "code_change",
        message: /"secret\.ts": outside, lies outside of what may be changed/
      })
      assert.deepInclude(only, { exceptionType: "ChangeRefused" })
      assert.isNotEmpty(committed)
      assert.isEmpty(committed.filter((content) => content.includes("changed faulty")))
    }))
})

describe("a build that fails", () => {
  it.effect("is blamed on the change, with the end of its log, and no job runs", () =>
    Effect.gen(function*() {
      const faulty = new Set<string>()
      const { jobs, only, view } = yield* failuresOf(healthy, {
        build: (request) =>
          faulty.has(request.commit)
            ? Effect.fail(MemoryArtifacts.failure(request, { exitCode: 2, logTail: "main.ts(4): error TS2304\n" }))
            : Effect.succeed({ kind: "tree", reference: request.commit }),
        around: {
          workspace: (real) => ({
            ...real,
            commit: (tree, options) =>
              Effect.gen(function*() {
                const commit = yield* real.commit(tree, options)
                if ((yield* real.read(tree, "main.ts")).includes("changed faulty")) faulty.add(commit)
                return commit
              })
          })
        }
      })
      is(only, { kind: "build_failed", phase: "build", message: /^The build of [0-9a-f]{12} failed/ })
      assert.deepInclude(only, { logTail: "main.ts(4): error TS2304\n", exceptionType: "BuildFailed" })
      const failed = [...view.tree.nodes.values()].filter(({ status }) => status === "failed").map(({ id }) =>
        `experiment/${id}`
      )
      assert.isEmpty(jobs.filter(({ work }) => failed.includes(work)))
    }))
})

describe("a job that gives no measurement", () => {
  const cases: ReadonlyArray<{
    readonly name: string
    readonly does: Simulated.SimulatedJob
    readonly is: Parameters<typeof is>[1]
  }> = [
    {
      name: "cannot be started because its program is missing",
      does: { startError: { code: "ENOENT", message: "there is no program \"program\" on the PATH" } },
      is: { kind: "launch_failed", phase: "launch", message: /was not launched: there is no program "program"/ }
    },
    {
      name: "crashes before it has printed anything",
      does: { exitCode: 1, stderr: "Error: Cannot find module './decode.ts'\n    at main.ts:1\n" },
      is: { kind: "job_startup_failed", phase: "job", message: /exited with code 1: .*Cannot find module/ }
    },
    {
      name: "crashes without a word",
      does: { exitCode: 9 },
      is: {
        kind: "job_startup_failed",
        phase: "job",
        message: /^The job exited with code 9, and printed nothing that looks like an error$/
      }
    },
    {
      name: "crashes while it works",
      does: { durationMillis: 50, exitCode: 3, stdout: "loading\n", stderr: "RangeError: Invalid array length\n" },
      is: {
        kind: "job_runtime_failed",
        phase: "job",
        message: /^The job exited with code 3: RangeError: Invalid array/
      }
    },
    {
      name: "dies of a signal",
      does: { durationMillis: 50, signal: "SIGSEGV", stdout: "loading\n" },
      is: { kind: "job_failed", phase: "job", message: /^The job ended by SIGSEGV/ }
    },
    {
      name: "is killed for want of memory",
      does: { durationMillis: 50, signal: "SIGKILL", outOfMemory: true, stdout: "loading\n" },
      is: {
        kind: "job_failed",
        phase: "job",
        message: /^The job ended by SIGKILL: the system killed it for want of memory/
      }
    },
    {
      name: "never ends",
      does: { durationMillis: Infinity, stdout: "step 1\n" },
      is: {
        kind: "job_failed",
        phase: "job",
        message: /^The job ended by SIGTERM when its time-out ran out, after 5 s/
      }
    },
    {
      name: "is lost",
      does: { durationMillis: 1_000, lost: { atMillis: 500, reason: "its host was restarted" } },
      is: { kind: "job_lost", phase: "job", message: /^The job was lost: its host was restarted$/ }
    },
    {
      name: "is preempted by a more urgent job",
      does: {
        durationMillis: 1_000,
        lost: { atMillis: 500, reason: "Slurm took job 7 its machine away", cause: "preempted" }
      },
      is: { kind: "job_lost", phase: "job", message: /^The job was preempted: Slurm took job 7 its machine away$/ }
    },
    {
      name: "loses its machine",
      does: {
        durationMillis: 1_000,
        stdout: "loading\n",
        lost: { atMillis: 500, reason: "Slurm says of job 7: NODE_FAIL", cause: "nodeFailed" }
      },
      is: {
        kind: "job_lost",
        phase: "job",
        message: /^The job was lost with its machine: Slurm says of job 7: NODE_FAIL$/
      }
    },
    {
      name: "ends well without the metric",
      does: { stdout: "speed=12 items\n" },
      is: {
        kind: "metrics_collection_failed",
        phase: "metrics",
        message: /did not give the required metric throughput .*It gave numbers under speed/
      }
    },
    {
      name: "prints something else than a number",
      does: { stdout: "throughput=NaN\n" },
      is: { kind: "metrics_collection_failed", phase: "metrics", message: /throughput: .*NaN/ }
    }
  ]
  for (const { does, is: expected, name } of cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { failures, jobs, retries } = yield* failuresOf(withFaulty(does))
        for (const failure of failures) is(failure, expected)
        // What says nothing against the change is proposed once more; nothing is retried in place.
        assert.strictEqual(failures.length, Failure.policyOf(expected.kind).blamesChanges ? 1 : 2)
        assert.strictEqual(retries, 0)
        assert.isTrue(failures.every(({ jobId }) => jobId === undefined || jobId.startsWith("simulated:")))
        assert.isAtMost(mostAtOnce(jobs), 1)
      }))
  }

  it.effect("is cancelled by somebody else", () =>
    Effect.gen(function*() {
      const view = yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* TestLaboratory.open(settings)
        const simulation = yield* Simulated.Simulation
        const execution = yield* Execution
        const killing = Effect.gen(function*() {
          while (true) {
            for (const job of yield* simulation.running) {
              if (job.key.includes("/e002/")) return yield* execution.cancel(job.id)
            }
            yield* Effect.sleep(100)
          }
        })
        yield* TestLaboratory.advanceUntilDone(Effect.andThen(killing, run.await))
        return yield* TestLaboratory.view(settings)
      }))
      const failure = view.tree.nodes.get("e002")!.failure!
      assert.deepInclude(failure, { kind: "interrupted", phase: "runner", message: "The job was cancelled" })
      assert.strictEqual(view.state, "completed")
      yield* check(settings, view)
    }).pipe(Effect.provide(TestLaboratory.layerTest(settings, healthy))))
})

/** Fails the first `times` of what is asked about the faulty node, by this effect. */
const failingFirst = <E>(times: number, failure: () => Effect.Effect<never, E>) => {
  let asked = 0
  return <A, E2, R>(isFaulty: boolean, real: Effect.Effect<A, E2, R>): Effect.Effect<A, E | E2, R> =>
    Effect.suspend((): Effect.Effect<A, E | E2, R> => isFaulty && asked++ < times ? failure() : real)
}

const fullDisk = (key: string) =>
  new LaunchFailed({
    key,
    program: "program",
    reason: "Infrastructure",
    code: "ENOSPC",
    message: "The job was not launched: no space left on device"
  })

const unreadable = () => new ExecutionError({ operation: "await", message: "The job's records cannot be read: EIO." })

describe("trouble of the machine", () => {
  const isE001 = (text: string): boolean => text.includes("/e001/")

  it.effect("at the launch is tried again", () =>
    Effect.gen(function*() {
      const fail = failingFirst(2, () => fullDisk("x"))
      const { retries, view } = yield* failuresOf(healthy, {
        around: {
          execution: (real) => ({ ...real, launch: (request) => fail(isE001(request.key), real.launch(request)) })
        }
      })
      assert.strictEqual(retries, 2)
      assert.deepInclude(view.tree.nodes.get("e001"), { status: "completed", failure: null, jobs: 1 })
    }))

  it.effect("at the launch fails the experiment in the end", () =>
    Effect.gen(function*() {
      const fail = failingFirst(3, () => fullDisk("x"))
      const { retries, view } = yield* failuresOf(healthy, {
        around: {
          execution: (real) => ({ ...real, launch: (request) => fail(isE001(request.key), real.launch(request)) })
        }
      })
      assert.strictEqual(retries, 2)
      is(view.tree.nodes.get("e001")?.failure ?? undefined, {
        kind: "infrastructure_failed",
        phase: "launch",
        attempt: 3,
        message: /no space left on device/
      })
    }))

  it.effect("while a job runs is waited out beside the job", () =>
    Effect.gen(function*() {
      const fail = failingFirst(3, unreadable)
      const { retries, view } = yield* failuresOf(healthy, {
        around: { execution: (real) => ({ ...real, await: (id) => fail(isE001(id), real.await(id)) }) }
      })
      assert.strictEqual(retries, 0)
      assert.deepInclude(view.tree.nodes.get("e001"), { status: "completed", failure: null, jobs: 1 })
    }))

  it.effect("that does not pass ends the job, for the machine is needed", () =>
    Effect.gen(function*() {
      const faulty = new Set<string>()
      const unlimited = studyOf({ job: { timeoutMillis: undefined } })
      const { jobs, only } = yield* failuresOf(
        (job) => {
          const does = withFaulty({ durationMillis: Infinity })(job)
          if (typeof does !== "number") faulty.add(`simulated:${job.request.key}`)
          return does
        },
        {
          around: {
            execution: (real) => ({ ...real, await: (id) => faulty.has(id) ? unreadable() : real.await(id) })
          }
        },
        unlimited
      )
      is(only, {
        kind: "infrastructure_failed",
        phase: "job",
        message: /The job's records cannot be read: EIO\. The job was ended, because the machine is needed/
      })
      assert.isAtMost(mostAtOnce(jobs), 1)
    }))

  it.effect("while evidence is collected is tried again, and the job is not run again", () =>
    Effect.gen(function*() {
      const fail = failingFirst(2, () => new EvidenceError({ operation: "collect", message: "EIO" }))
      const { retries, view } = yield* failuresOf(healthy, {
        around: { evidence: (real) => ({ collect: (job, status) => fail(isE001(job.key), real.collect(job, status)) }) }
      })
      assert.strictEqual(retries, 2)
      assert.deepInclude(view.tree.nodes.get("e001"), { status: "completed", failure: null, jobs: 1 })
    }))

  it.effect("with the repository is tried again from a fresh tree", () =>
    Effect.gen(function*() {
      const locked = () =>
        WorkspaceError.of({
          _tag: "GitFailed",
          argv: ["git"],
          exitCode: 128,
          signal: null,
          stderr: "index.lock exists"
        })
      const fail = failingFirst(3, () => Effect.fail(locked()))
      const { retries, view } = yield* failuresOf(healthy, {
        around: {
          workspace: (real) => ({
            ...real,
            commit: (tree, options) => fail(tree.path.includes("e001"), real.commit(tree, options))
          })
        }
      })
      assert.strictEqual(retries, 2)
      is(view.tree.nodes.get("e001")?.failure ?? undefined, {
        kind: "source_restore_failed",
        phase: "source",
        attempt: 3,
        message: /index\.lock exists/
      })
    }))
})

describe("a defect in a layer", () => {
  const broken = () => Effect.die(new TypeError("x is not a function"))
  const isFaulty = (text: string): boolean => /[/-]e001\b/.test(text)
  const layers: Readonly<Record<string, NonNullable<TestLaboratory.Options["around"]>>> = {
    "that opens trees": {
      workspace: (real) => ({
        ...real,
        open: (options) => options.node === "e001" ? broken() : real.open(options)
      })
    },
    "that builds": {
      artifacts: (real) => ({ ...real, build: (request) => isFaulty(request.tree) ? broken() : real.build(request) })
    },
    "that launches": {
      execution: (real) => ({ ...real, launch: (request) => isFaulty(request.key) ? broken() : real.launch(request) })
    },
    "that waits for jobs": {
      execution: (real) => ({ ...real, await: (id) => isFaulty(id) ? broken() : real.await(id) })
    },
    "that collects evidence": {
      evidence: (real) => ({ collect: (job, status) => isFaulty(job.key) ? broken() : real.collect(job, status) })
    }
  }
  for (const [name, around] of Object.entries(layers)) {
    it.effect(`${name} fails the experiment with its stack, and the loop goes on`, () =>
      Effect.gen(function*() {
        const { jobs, retries, view } = yield* failuresOf(healthy, { around })
        const failure = view.tree.nodes.get("e001")!.failure!
        is(failure, { kind: "unexpected_exception", phase: "runner", message: /TypeError.*x is not a function/ })
        assert.strictEqual(failure.exceptionType, "TypeError")
        assert.match(String(failure.details["stack"]), /LifecycleFailures\.test\.ts/)
        assert.strictEqual(retries, 0)
        assert.isAtMost(mostAtOnce(jobs), 1)
      }))
  }

  it.effect("that only shows progress does not fail the job", () =>
    Effect.gen(function*() {
      const { view } = yield* failuresOf(healthy, {
        around: { execution: (real) => ({ ...real, progress: broken }) }
      })
      assert.isTrue([...view.tree.nodes.values()].every(({ status }) => status === "completed"))
    }))
})

describe("what a search begins with", () => {
  it.effect("a baseline without a measurement stops it, and the sentence says why", () =>
    Effect.gen(function*() {
      const view = yield* TestLaboratory.run(settings)
      assert.strictEqual(view.state, "completed")
      assert.strictEqual(view.tree.nodes.size, 1)
      assert.strictEqual(view.tree.best, null)
      assert.strictEqual(
        view.tree.stopped,
        "The baseline failed without a measurement, so nothing can be compared " +
          "(job_startup_failed: The job exited with code 1: Error: no dataset)."
      )
      yield* check(settings, view)
    }).pipe(Effect.provide(TestLaboratory.layerTest(settings, () => ({ exitCode: 1, stderr: "Error: no dataset\n" })))))

  const seeded = studyOf({ seeds: [{ name: "headspace", description: "", arguments: ["--headspace"] }] })

  it.effect("without its headspace it goes on", () =>
    Effect.gen(function*() {
      const { view } = yield* failuresOf(
        (job) => job.arguments.includes("--headspace") ? { exitCode: 2, stdout: "?\n" } : healthy(job),
        {},
        seeded
      )
      assert.strictEqual(view.tree.nodes.get("headspace")?.failure?.kind, "job_runtime_failed")
    }))
})
