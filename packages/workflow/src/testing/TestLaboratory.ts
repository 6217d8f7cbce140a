/**
 * A laboratory for tests: the real engine, handlers, search and statistics on doubles of everything that they touch.
 * Source code is a map in memory, a job is a function of the code that it runs, the journal is a list, and time is the
 * test clock's. A whole search takes milliseconds, needs no file, process or git, and is the same every time.
 *
 * For users: does my configuration find the optimum that I hid? Does my own layer of a capability stand a search? For
 * this project: the tests of the lifecycle, of crashes and of the planner.
 */
import { Journal } from "@espalier/engine"
import { Artifacts } from "@espalier/platform/Artifacts"
import * as MemoryArtifacts from "@espalier/platform/artifacts/Memory"
import * as NoArtifacts from "@espalier/platform/artifacts/None"
import { Evidence, type MetricRule } from "@espalier/platform/Evidence"
import * as Rules from "@espalier/platform/evidence/Rules"
import { Execution, type JobRequest } from "@espalier/platform/Execution"
import * as Simulated from "@espalier/platform/execution/Simulated"
import type { Edit } from "@espalier/platform/Workspace"
import { Workspace } from "@espalier/platform/Workspace"
import * as MemoryWorkspace from "@espalier/platform/workspace/Memory"
import { Context, Duration, Effect, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import * as Path from "node:path"
import * as Autoresearch from "../Autoresearch.ts"
import type { ParameterValue } from "../Experiment.ts"
import type { Objective } from "../ExperimentTree.ts"
import { source } from "../internal/statisticsRandom.ts"
import type { Laboratory } from "../Laboratory.ts"
import type { Limits } from "../Policy.ts"
import * as SearchSpace from "../SearchSpace.ts"
import { type Settings, Study } from "../Study.ts"

/** What a test declares of its study; everything else has a small default. */
export interface Declaration
  extends Partial<Omit<Settings, "parameters" | "edits" | "objective" | "space" | "planner" | "limits" | "job">> {
  readonly parameters?: ReadonlyArray<SearchSpace.Parameter>
  readonly edits?: ReadonlyArray<Edit & { readonly conflicts?: ReadonlyArray<string> }>
  readonly objective?: Partial<Objective>
  readonly planner?: Partial<Settings["planner"]>
  readonly limits?: Partial<Limits>
  readonly job?: Partial<Settings["job"]>
}

/**
 * Settings from a declaration. Default: `throughput` is maximised, 2 pairs confirm every challenger at once, at most 100
 * jobs, one at a time, greedy search in batches of 2, no seeds but the baseline. What makes no search space is thrown.
 */
export const settings = (declaration: Declaration): Settings => {
  const { edits = [], job, limits, objective, parameters = [], planner, ...rest } = declaration
  return {
    run: "test",
    directory: "/test",
    parametersFile: "parameters.json",
    seeds: [],
    repeats: 1,
    machine: 1,
    concurrency: 4,
    ...rest,
    planner: { kind: "greedy", seed: 1, batch: 2, confirmEvery: 1, ...planner },
    parameters: Object.fromEntries(parameters.map(({ baseline, name }) => [name, baseline])),
    edits,
    space: Result.getOrThrow(SearchSpace.make({ parameters, edits })),
    job: { argv: ["program"], environment: {}, workingDirectory: ".", timeoutMillis: 60_000, ...job },
    objective: {
      metric: "throughput",
      direction: "maximize",
      unit: "items/s",
      smallestGain: 0.02,
      level: 0.05,
      pairs: 2,
      ...objective
    },
    limits: { experiments: null, jobs: 100, wallTimeMillis: null, patience: null, target: null, ...limits }
  }
}

/**
 * A job as its program sees it.
 *
 * - `node`: the node whose code it runs. `arguments`: what a seed adds to the job's argv.
 * - `parameters`: what its parameters file says; `edits`: the declared edits that its source has.
 * - `files`: its whole source, as it was when the job was launched.
 */
export interface TestJob {
  readonly request: JobRequest
  readonly node: string
  readonly arguments: ReadonlyArray<string>
  readonly parameters: Readonly<Record<string, ParameterValue>>
  readonly edits: ReadonlyArray<string>
  readonly files: MemoryWorkspace.Files
}

/** What a job does: a number is the objective that it prints after a second; all else is said in full. */
export type Program = (job: TestJob) => number | Simulated.SimulatedJob

/** What may be put in the place of a double. */
export interface Options {
  /** The source. By default each file that an edit names, with the lines that the edits search for. */
  readonly files?: Readonly<Record<string, string>>
  /** By default one rule: the objective, as `key=value`. */
  readonly rules?: ReadonlyArray<MetricRule>
  /** Answers builds. By default nothing is built. */
  readonly build?: MemoryArtifacts.Answer
  /** Puts something around a service: one that fails, counts, or takes its time. */
  readonly around?: {
    readonly workspace?: (real: Workspace["Service"]) => Workspace["Service"]
    readonly artifacts?: (real: Artifacts["Service"]) => Artifacts["Service"]
    readonly execution?: (real: Execution["Service"]) => Execution["Service"]
    readonly evidence?: (real: Evidence["Service"]) => Evidence["Service"]
    readonly journal?: (real: Journal.Journal["Service"]) => Journal.Journal["Service"]
  }
}

/** All that a test may look at. */
export type Services =
  | Laboratory
  | Study
  | Workspace
  | MemoryWorkspace.Contents
  | Execution
  | Simulated.Simulation
  | Evidence
  | Artifacts
  | Journal.Journal

const around = <I, S>(key: Context.Key<I, S>, change: ((real: S) => S) | undefined): Layer.Layer<I, never, I> =>
  Layer.effect(key, Effect.map(key, change ?? ((real) => real)))

const filesOf = (edits: ReadonlyArray<Edit>): Readonly<Record<string, string>> => {
  const files: Record<string, string> = { "README.md": "A program under test.\n" }
  for (const { file, search } of edits) files[file] = `${files[file] ?? ""}${search}\n`
  return files
}

/** The working directory of a job is a tree, or lies below one. */
const treeOf = (
  contents: MemoryWorkspace.Contents["Service"],
  directory: string
): Effect.Effect<MemoryWorkspace.Files> =>
  Effect.flatMap(contents.tree(directory), (files) => {
    if (files !== undefined) return Effect.succeed(new Map(files))
    const above = Path.dirname(directory)
    return above === directory ? Effect.die(new Error(`No tree was opened at ${directory}`)) : treeOf(contents, above)
  })

const jobOf = (settings: Settings, request: JobRequest, files: MemoryWorkspace.Files): TestJob => ({
  request,
  node: request.environment["ESPALIER_EXPERIMENT"] ?? "",
  arguments: request.argv.slice(settings.job.argv.length),
  parameters: JSON.parse(files.get(settings.parametersFile) ?? "{}"),
  edits: settings.edits.filter(({ file, replace, search }) => {
    const text = files.get(file) ?? ""
    return !text.includes(search) && text.includes(replace)
  }).map(({ name }) => name),
  files
})

/** Jobs that do what a program says, asked when a key is launched for the first time. */
const simulation = (settings: Settings, program: Program) =>
  Layer.effectContext(Effect.gen(function*() {
    const contents = yield* MemoryWorkspace.Contents
    const scripts = new Map<string, Simulated.SimulatedJob>()
    const simulated = yield* Simulated.make((request) => scripts.get(request.key) ?? {})
    const execution = Execution.of({
      ...simulated.execution,
      launch: Effect.fnUntraced(function*(request) {
        if (!scripts.has(request.key)) {
          const does = program(jobOf(settings, request, yield* treeOf(contents, request.directory)))
          const printed = `${settings.objective.metric}=${typeof does === "number" ? does : ""}\n`
          scripts.set(request.key, typeof does === "number" ? { durationMillis: 1_000, stdout: printed } : does)
        }
        return yield* simulated.execution.launch(request)
      })
    })
    return Context.make(Simulated.Simulation, { ...simulated, execution }).pipe(Context.add(Execution, execution))
  }))

/**
 * A laboratory with everything that it needs, on doubles. Give it to a test together with the test clock (`it.effect` of
 * `@effect/vitest` has one, elsewhere `TestClock.layer()`), then `run` a search.
 *
 * @example
 * ```ts
 * import { TestLaboratory } from "@espalier/workflow/testing"
 * import { Effect } from "effect"
 * import { TestClock } from "effect/testing"
 * import assert from "node:assert"
 *
 * const settings = TestLaboratory.settings({
 *   parameters: [{ name: "workers", type: "integer", values: [1, 2, 4, 8], baseline: 1 }],
 *   edits: [{ name: "fused", file: "main.ts", search: "twoPasses()", replace: "onePass()" }],
 *   limits: { jobs: 60, patience: 6 }
 * })
 *
 * // Four workers are best, and the edit helps; two measurements of the same differ by about one per cent.
 * const program: TestLaboratory.Program = (job) => {
 *   if (job.parameters["workers"] === 8) return { exitCode: 1, stderr: "Error: out of file handles\n" }
 *   const speed = 100 * Math.sqrt(Number(job.parameters["workers"])) * (job.edits.includes("fused") ? 1.3 : 1)
 *   return speed * TestLaboratory.noise(job, 0.01)
 * }
 *
 * const view = await Effect.runPromise(TestLaboratory.run(settings).pipe(
 *   Effect.provide(TestLaboratory.layerTest(settings, program)),
 *   Effect.provide(TestClock.layer())
 * ))
 * assert.strictEqual(view.state, "completed")
 * assert.deepStrictEqual(view.tree.nodes.get(view.tree.best!)?.changes, { parameters: { workers: 4 }, edits: ["fused"] })
 * ```
 */
export const layerTest = (settings: Settings, program: Program, options: Options = {}): Layer.Layer<Services> => {
  const { build, files, rules = [{ _tag: "KeyValue", name: settings.objective.metric }] } = options
  const wrap = options.around ?? {}
  const workspace = around(Workspace, wrap.workspace).pipe(
    Layer.provideMerge(Layer.orDie(MemoryWorkspace.layer({ files: files ?? filesOf(settings.edits) })))
  )
  const execution = around(Execution, wrap.execution).pipe(
    Layer.provideMerge(simulation(settings, program)),
    Layer.provideMerge(workspace)
  )
  const evidence = around(Evidence, wrap.evidence).pipe(
    Layer.provideMerge(Layer.orDie(Rules.layer({ rules }))),
    Layer.provideMerge(execution)
  )
  const artifacts = around(Artifacts, wrap.artifacts).pipe(
    Layer.provideMerge(build === undefined ? NoArtifacts.layer : MemoryArtifacts.layer(build))
  )
  const journal = around(Journal.Journal, wrap.journal).pipe(Layer.provideMerge(Journal.layerMemory))
  return Autoresearch.laboratory.pipe(
    Layer.provideMerge(Layer.mergeAll(evidence, artifacts, journal, Study.layer(settings)))
  )
}

/**
 * A factor of about 1 with this relative spread: the same for the same code under the same key, independent
 * otherwise. Two jobs of one experiment differ, and a search that is repeated measures the same.
 */
export const noise = (job: TestJob, spread: number): number =>
  Math.exp(spread * source("noise", job.request.key, JSON.stringify([...job.files].sort())).normal())

/** Begins the run, or takes it up where an earlier scope left it. The run is suspended when the scope closes. */
export const open = (settings: Settings) =>
  Autoresearch.open(
    {
      workdir: settings.directory,
      settings,
      fingerprint: "test",
      config: { source: { ref: "HEAD", snapshot: false } }
    },
    { mode: "run" }
  )

/** The view of the run, as its journal has it. */
export const view = (settings: Settings) => Autoresearch.view(settings.run)

/** The steps in which virtual time passes; the end of a run is seen at the end of one. */
const tick = Duration.seconds(1)

/**
 * Lets virtual time pass until the effect is done, and returns what it came to. One that is not done `within` that time
 * (default: 6 hours) is a defect: it waits for something that does not come.
 */
export const advanceUntilDone = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: { readonly within?: Duration.Input } = {}
): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const within = Duration.fromInputUnsafe(options.within ?? "6 hours")
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    for (let passed = 0; fiber.pollUnsafe() === undefined; passed += Duration.toMillis(tick)) {
      if (passed > Duration.toMillis(within)) {
        // Not waited for: it may need more of the time that it has not got.
        fiber.interruptUnsafe()
        return yield* Effect.die(new Error(`Not done after ${Duration.format(within)} of virtual time.`))
      }
      yield* TestClock.adjust(tick)
    }
    return yield* Fiber.join(fiber)
  })

/**
 * A whole search: begins the run, or takes it up, lets virtual time pass until it is at rest, and returns the view of it.
 * Fails when the journal does.
 */
export const run = Effect.fn("TestLaboratory.run")(
  function*(settings: Settings, options: { readonly within?: Duration.Input } = {}) {
    yield* advanceUntilDone(Effect.scoped(Effect.flatMap(open(settings), (opened) => opened.await)), options)
    return yield* view(settings)
  }
)
