/**
 * The ready-made composition: from a working directory with an `espalier.toml` to a run of experiments on the layers that it
 * chooses (see `Layers`) and a journal on SQLite. Everything here can be composed otherwise: it is `Laboratory.layer` and
 * layers.
 */
import { Journal, type Run, WorkEngine } from "@espalier/engine"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { Workspace } from "@espalier/platform/Workspace"
import { Duration, Effect, Layer, Option, Schema } from "effect"
import { createHash } from "node:crypto"
import * as Config from "./Config.ts"
import * as Confirmation from "./Confirmation.ts"
import { type Confirm, type Experiment, Laboratory, machinePool, type Plan, Setup } from "./Laboratory.ts"
import * as Layers from "./Layers.ts"
import * as Lifecycle from "./Lifecycle.ts"
import * as Planning from "./Planning.ts"
import * as SearchSpace from "./SearchSpace.ts"
import * as SetupWork from "./Setup.ts"
import { type Settings, Study } from "./Study.ts"
import * as TreeView from "./TreeView.ts"
import * as Workdir from "./Workdir.ts"

/** The configuration has changed since the run began, in its name or in what its results depend on. */
export class ConfigChanged extends Schema.TaggedError<ConfigChanged>()("ConfigChanged", {
  workdir: Schema.String,
  message: Schema.String
}) {}

/** There is nothing to resume. */
export class NothingToResume extends Schema.TaggedError<NothingToResume>()("NothingToResume", {
  workdir: Schema.String,
  message: Schema.String
}) {}

/** A run of experiments. */
export type ExperimentRun = Run.Run<typeof Setup | typeof Experiment | typeof Plan | typeof Confirm>

/** What a run is made of, read from its working directory. */
export interface Project {
  readonly workdir: string
  readonly config: Config.Config
  readonly settings: Settings
  /** Of all that results depend on; limits and planner may change between sessions. */
  readonly fingerprint: string
}

/** What `open` needs of a project. */
export interface Startable extends Pick<Project, "workdir" | "settings" | "fingerprint"> {
  readonly config: { readonly source: Pick<Config.Config["source"], "ref" | "snapshot"> }
}

/** The project of a configuration that was read already. */
export const project = (workdir: string, raw: Config.Config): Effect.Effect<Project, SearchSpace.InvalidSearchSpace> =>
  Effect.gen(function*() {
    const config = Config.substitute(raw, { workdir })
    const space = yield* Effect.fromResult(SearchSpace.make({ parameters: config.parameters, edits: config.edits }))
    const { edits, job, limits, objective, parameters, seeds, source } = config
    const settings: Settings = {
      run: config.name,
      directory: workdir,
      parametersFile: source.parametersFile,
      parameters: Object.fromEntries(parameters.map(({ baseline, name }) => [name, baseline])),
      edits,
      job: {
        argv: job.argv,
        environment: job.environment,
        workingDirectory: job.workingDirectory,
        timeoutMillis: Duration.toMillis(job.timeout)
      },
      objective,
      space,
      seeds,
      planner: config.planner,
      limits: {
        experiments: limits.experiments,
        jobs: limits.jobs,
        wallTimeMillis: limits.wallTime === null ? null : Duration.toMillis(limits.wallTime),
        patience: limits.patience,
        target: limits.target
      },
      repeats: limits.repeats,
      machine: limits.machine,
      concurrency: limits.concurrency
    }
    return { workdir, config, settings, fingerprint: fingerprintOf(raw) }
  })

/** With the capabilities for which a program has layers of its own: what was measured on them is measured on no others. */
const withReplaced = (fingerprint: string, replaced: ReadonlyArray<string>): string =>
  replaced.length === 0 ? fingerprint : digest([fingerprint, replaced])

const ownInWords = (replaced: ReadonlyArray<string>): string =>
  replaced.length === 0 ? "no layers of its own" : `layers of its own for ${replaced.join(", ")}`

const digest = (value: unknown): string => createHash("sha256").update(JSON.stringify(value)).digest("hex")

/**
 * Of where jobs run what measurements depend on: which machines, and how much of them. Not how often the scheduler is asked,
 * how its configuration is found, or who pays.
 */
const measuredOn = (execution: Config.ExecutionOptions) => {
  if (execution.kind === "local") return execution
  const { extraArguments, resources } = execution.cluster
  const { account: _, ...asked } = resources ?? {}
  return { kind: execution.kind, cluster: { extraArguments, resources: asked } }
}

/** Of the configuration as it is written: the same for another path to the directory, or when the directory was moved. */
const fingerprintOf = (
  { build, edits, execution, job, limits, metrics, objective, parameters, seeds, source, workspace }: Config.Config
): string => {
  const { parametersFile, ref } = source
  const { machine, repeats } = limits
  const run = { build, execution: measuredOn(execution), job, machine, repeats }
  const { kind } = workspace
  return digest({ ...run, edits, metrics, objective, parameters, parametersFile, ref, seeds, workspace: { kind } })
}

/** Reads the project of a working directory. */
export const load = Effect.fn("Autoresearch.load")(function*(workdir: string) {
  const config = yield* Config.load(Workdir.configuration(workdir))
  return yield* project(workdir, config)
})

/** Handlers of all kinds, on whatever platform is provided. */
export const handlers = Layer.mergeAll(SetupWork.layer, Lifecycle.layer, Planning.layer, Confirmation.layer)

/** The engine with its handlers, on whatever platform, study and journal are provided. */
export const laboratory = Laboratory.layer.pipe(Layer.provide(handlers))

/** The journal of a working directory. */
export const journal = (workdir: string) => JournalSqlite.layer({ filename: Workdir.journal(workdir) })

const encodeSetup = Schema.encodeEffect(Schema.toCodecJson(Setup.payload))

/**
 * Opens the project's run, or begins it. A new run first makes sure of what it starts from: the source must be a git
 * repository with a commit, and clean (or `snapshot = true`); nothing is recorded when it is not.
 *
 * - `mode`: `run` begins or goes on, `resume` only goes on.
 * - `owner`: the name that another process is told when it finds the run locked.
 */
export const open = Effect.fn("Autoresearch.open")(function*(
  self: Startable,
  options: { readonly mode: "run" | "resume"; readonly owner?: string }
) {
  const { config, settings, workdir } = self
  const replaced = yield* Layers.Replaced
  const fingerprint = withReplaced(self.fingerprint, replaced)
  const engine = yield* Laboratory
  const workspace = yield* Workspace
  const known = yield* find(self)
  const common = {
    concurrency: settings.concurrency,
    pools: { [machinePool]: settings.machine },
    keepOpen: false,
    ...(options.owner === undefined ? {} : { owner: options.owner })
  }
  if (Option.isSome(known)) {
    const { setup } = known.value
    if (setup !== undefined && setup.fingerprint !== fingerprint) {
      const before = Layers.combinations.find((names) => withReplaced(self.fingerprint, names) === setup.fingerprint)
      return yield* new ConfigChanged({
        workdir,
        message: before === undefined
          ? `The run in ${workdir} began with another configuration: its source, workspace, build, job, execution, ` +
            "metrics, objective, parameters, edits, seeds or repeats have changed, so old and new results could not be " +
            "compared. Put espalier.toml back as it was, or begin a new run in an empty directory. Planner, limits and " +
            "what may be edited may change"
          : `The run in ${workdir} began with ${ownInWords(before)}, and this program has ${
            ownInWords(replaced)
          }, so ` +
            "old and new results could not be compared. Go on with the program that began it, or begin a new run in an " +
            "empty directory"
      })
    }
    // Before anything goes on: without its repository every experiment would fail, and be spent.
    if (setup !== undefined) yield* workspace.resolve(setup.anchor)
    return yield* engine.resume(settings.run, common)
  }
  if (options.mode === "resume") {
    return yield* new NothingToResume({
      workdir,
      message: `There is no run in ${workdir} yet. Begin one: espalier run ${workdir}`
    })
  }
  const anchor = yield* workspace.anchor({ ref: config.source.ref, snapshot: config.source.snapshot })
  const { objective } = settings
  const payload = yield* Effect.orDie(encodeSetup({ anchor, objective, fingerprint }))
  const works = [{ id: "setup", kind: Setup.kind, priority: -40, payload }]
  return yield* engine.start(settings.run, { ...common, works }).pipe(
    // Somebody else has begun it since it was looked for, and has it open most likely.
    Effect.catchTag("RunExists", () => engine.resume(settings.run, common))
  )
})

/** Reads runs, and handles nothing: whoever only looks needs neither handlers nor a platform. */
class Reader extends WorkEngine.Service<Reader>()("@espalier/workflow/Autoresearch/Reader", { kinds: [] }) {}

/**
 * The view of the project's run, if it has begun. It needs the journal and nothing else. Fails with `ConfigChanged` when what the directory holds is a run of another
 * name: two runs would overwrite each other's reports.
 */
export const find = Effect.fn("Autoresearch.find")(
  function*({ settings, workdir }: Pick<Project, "workdir" | "settings">) {
    const journal = yield* Journal.Journal
    const begun = (yield* journal.list).filter((run) => run.lastSeq > 0).map((run) => run.runId)
    if (begun.includes(settings.run)) return Option.some(yield* view(settings.run))
    const [other] = begun
    if (other === undefined) return Option.none()
    return yield* new ConfigChanged({
      workdir,
      message:
        `${workdir} holds the run "${other}", and espalier.toml now says name = "${settings.run}". Put the name back, or ` +
        "begin a new run in an empty directory"
    })
  }
)

/** The view of the project's run as the journal has it; also while another process runs it. */
export const view = Effect.fn("Autoresearch.view")(function*(run: string) {
  const reader = yield* Reader
  return TreeView.fold(yield* reader.history(run))
}, Effect.provide(Reader.layer))

/** Who has the run open now, if anyone. */
export const owner = (run: string) => Effect.flatMap(Journal.Journal, (journal) => journal.owner(run))

/** Removes the working trees that crashes left of a run. Only for a run that is at rest: a job may be running in one. */
export const sweep = (run: string) => Effect.flatMap(Workspace, (workspace) => workspace.sweep(run))

/** What `layer` gives. */
export type Services = Laboratory | Layers.Platform | Journal.Journal

/**
 * The layer of a project: the engine, the layers that its configuration chooses, and the journal. One of your own takes the
 * place of a chosen one in one line.
 *
 * @example
 * ```ts
 * import * as Simulated from "@espalier/platform/execution/Simulated"
 * import * as Memory from "@espalier/platform/workspace/Memory"
 * import { Autoresearch, Config } from "@espalier/workflow"
 * import { Effect } from "effect"
 * import assert from "node:assert"
 * import { mkdtempSync, rmSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 *
 * const workdir = mkdtempSync(join(tmpdir(), "search-"))
 * const text = `
 * name = "mine"
 * [source]
 * repository = "."
 * [job]
 * argv = ["train"]
 * [objective]
 * metric = "speed"
 * direction = "maximize"
 * [parameters.workers]
 * type = "integer"
 * values = [1, 2, 4]
 * baseline = 1
 * [limits]
 * experiments = 2
 * `
 *
 * const search = Effect.gen(function*() {
 *   const project = yield* Autoresearch.project(workdir, yield* Config.fromString(text))
 *   const MyExecution = { layer: Simulated.layer(() => ({ stdout: "speed=7\n" })) }
 *   const MyWorkspace = { layer: Memory.layer({ files: { "main.ts": "" } }) }
 *   return yield* Effect.gen(function*() {
 *     const run = yield* Autoresearch.open(project, { mode: "run" })
 *     yield* run.await
 *     return yield* Autoresearch.view(project.settings.run)
 *   }).pipe(
 *     Effect.scoped,
 *     Effect.provide(Autoresearch.layer(project, { execution: MyExecution.layer, workspace: MyWorkspace.layer }))
 *   )
 * })
 *
 * const { tree } = await Effect.runPromise(search)
 * assert.deepEqual(Array.from(tree.nodes.values(), ({ value }) => value), [7, 7, 7])
 * rmSync(workdir, { recursive: true })
 * ```
 */
export const layer = <O extends Layers.Own = {}>(
  self: Project,
  own?: O
): Layer.Layer<Services, Layers.LayerError | Journal.JournalError | Layers.ErrorOf<O>, Layers.ServicesOf<O>> =>
  laboratory.pipe(
    Layer.provideMerge(Layers.layer(self, own)),
    Layer.provide(Study.layer(self.settings)),
    Layer.provideMerge(journal(self.workdir))
  )
