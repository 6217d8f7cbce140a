/**
 * `espalier.toml`: what is searched, how it is run and measured, and when to stop.
 *
 * The file is decoded by a schema, with defaults, and then checked for what one key demands of another. A mistake is a
 * {@link ConfigInvalid} that lists every problem in the file at once, each with its line, key and value, and what is
 * allowed instead. Unknown keys are problems too: a misspelt limit that is silently ignored costs a night of machine
 * time. `docs/configuration.md` describes all keys.
 *
 * This module does not look at the repository: whether the program, the ref or the files of edits exist is found out
 * by the run's setup.
 */
import type { MetricRule } from "@espalier/platform/Evidence"
import { type Duration, Effect, FileSystem, Path, Result, Schema } from "effect"
import { parse, TomlError } from "smol-toml"
import type { Objective } from "./ExperimentTree.ts"
import { agentOf, type AgentOptions, agentWithPaths } from "./internal/configAgent.ts"
import { crossChecks } from "./internal/configChecks.ts"
import { substituted } from "./internal/configCommands.ts"
import { type ConfigKey, configKeys } from "./internal/configKeys.ts"
import {
  type Build,
  buildOf,
  executionOf,
  type ExecutionOptions,
  workspaceOf,
  type WorkspaceOptions
} from "./internal/configLayers.ts"
import { lineFinder } from "./internal/configLines.ts"
import { type Metric, metricOf, ruleOf } from "./internal/configMetrics.ts"
import { parameterOf } from "./internal/configParameters.ts"
import { described, type Located, located, type Mistake, mistakesOf } from "./internal/configProblems.ts"
import { ConfigFile } from "./internal/configSchema.ts"
import type * as SearchSpace from "./SearchSpace.ts"

export type { AgentOptions } from "./internal/configAgent.ts"
export type { Build, ExecutionOptions, WorkspaceOptions } from "./internal/configLayers.ts"
export type { Metric } from "./internal/configMetrics.ts"

/** A command of the configuration: no shell reads it. */
export interface Command {
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  readonly environment: Readonly<Record<string, string>>
  readonly timeout: Duration.Duration
}

/** A declared code change: `search` occurs exactly once in `file`. */
export interface Edit {
  readonly name: string
  readonly description: string
  readonly file: string
  readonly search: string
  readonly replace: string
  readonly conflicts: ReadonlyArray<string>
}

/** What is measured first besides the baseline, which is always. */
export interface Seed {
  readonly name: string
  readonly arguments: ReadonlyArray<string>
  readonly description: string
}

/**
 * A checked configuration, defaults applied.
 *
 * - Paths of `source.repository`, `execution`, `agent`: as written; {@link load} makes them absolute.
 * - `workspace`, `build`, `execution`, `agent`: which layers are chosen, with their options; see `Layers`.
 * - `build`, `limits.wallTime`, `limits.target`: `null` when not declared.
 * - `metrics`: holds the objective's; if none is declared, that one, read from a line `<name>=<number>`.
 * - `parameters` and `edits` are accepted by `SearchSpace.make`.
 */
export interface Config {
  readonly name: string
  readonly source: {
    readonly repository: string
    readonly ref: string
    readonly snapshot: boolean
    readonly parametersFile: string
  }
  readonly job: Command & { readonly workingDirectory: string }
  readonly workspace: WorkspaceOptions
  readonly build: Build | null
  readonly execution: ExecutionOptions
  readonly agent: AgentOptions | null
  readonly objective: Objective
  readonly metrics: ReadonlyArray<Metric>
  readonly parameters: ReadonlyArray<SearchSpace.Parameter>
  readonly edits: ReadonlyArray<Edit>
  readonly seeds: ReadonlyArray<Seed>
  readonly planner: {
    readonly kind: "greedy" | "random"
    readonly seed: number
    readonly batch: number
    readonly confirmEvery: number
  }
  readonly limits: {
    readonly experiments: number
    readonly jobs: number
    readonly wallTime: Duration.Duration | null
    readonly patience: number
    readonly target: number | null
    readonly concurrency: number
    readonly machine: number
    readonly repeats: number
  }
}

/**
 * One mistake in a file.
 *
 * - `line`: from 1; of the key, or of the table it is missing from; `null` when there is no such line.
 * - `key`: its place, as `metrics[2].name` (counted from one); empty for a mistake in the syntax.
 * - `value`: the offending value as it would be written, shortened.
 * - `allowed`, `hint`: what may stand there, and what to do.
 */
export const Problem = Schema.Struct({
  line: Schema.NullOr(Schema.Int),
  key: Schema.String,
  value: Schema.NullOr(Schema.String),
  message: Schema.String,
  allowed: Schema.NullOr(Schema.String),
  hint: Schema.NullOr(Schema.String)
})
export type Problem = typeof Problem.Type

/** The configuration has mistakes, all of them listed. Its message is what a person should be shown. */
export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid>()("ConfigInvalid", {
  file: Schema.String,
  problems: Schema.NonEmptyArray(Problem)
}) {
  override get message(): string {
    return described(this.file, this.problems)
  }
}

/** The configuration cannot be read. */
export class ConfigUnreadable extends Schema.TaggedError<ConfigUnreadable>()("ConfigUnreadable", {
  file: Schema.String,
  message: Schema.String,
  cause: Schema.Defect()
}) {}

const invalid = (file: string, [first, ...rest]: readonly [Located, ...ReadonlyArray<Located>]) =>
  new ConfigInvalid({ file, problems: [first, ...rest] })

const decodeFile = Schema.decodeUnknownResult(ConfigFile)

/**
 * Decodes the text of a configuration.
 *
 * @param options.file what the file is called in messages
 *
 * @example
 * ```ts
 * import assert from "node:assert"
 * import { Config } from "@espalier/workflow"
 * import { Effect } from "effect"
 *
 * const config = await Effect.runPromise(Config.fromString(Config.example))
 * assert.equal(config.objective.direction, "maximize")
 *
 * const mistake = await Effect.runPromise(Effect.flip(
 *   Config.fromString(Config.example.replace("direction", "diretcion"), { file: "espalier.toml" })
 * ))
 * assert.match(mistake.message, /Did you mean "direction"\?/)
 * ```
 */
export const fromString = (
  text: string,
  options: { readonly file?: string | undefined } = {}
): Effect.Effect<Config, ConfigInvalid> => {
  const file = options.file ?? "espalier.toml"
  return Effect.suspend(() => {
    let root: unknown
    try {
      root = parse(text)
    } catch (error) {
      if (!(error instanceof TomlError)) throw error
      const [message = "", ...code] = error.message.replace(/^Invalid TOML document: /, "").trimEnd().split("\n")
      return Effect.fail(invalid(file, [{
        line: error.line,
        key: "",
        value: null,
        message: `This is not TOML: ${message}, at column ${error.column}.${
          code.filter((line) => line !== "").map((line) => `\n    ${line}`).join("")
        }`,
        allowed: null,
        hint: null
      }]))
    }
    const decoded = decodeFile(root, { errors: "all", onExcessProperty: "error" })
    const mistakes: ReadonlyArray<Mistake> = [
      ...(Result.isFailure(decoded) ? mistakesOf(decoded.failure.issue, root) : []),
      ...crossChecks(root)
    ]
    const lineOf = lineFinder(text)
    // By place in the file; those that have none, because a whole table is missing, last.
    const [first, ...rest] = mistakes
      .map((mistake) => located(mistake, lineOf))
      .sort((a, b) => (a.line ?? Infinity) - (b.line ?? Infinity) || 0)
    if (first !== undefined) return Effect.fail(invalid(file, [first, ...rest]))
    if (Result.isFailure(decoded)) return Effect.die(decoded.failure)
    return Effect.succeed(fromFile(decoded.success))
  })
}

/**
 * Reads and decodes a configuration. Its `source.repository` becomes an absolute path: it is relative to the file.
 *
 * Fails with {@link ConfigUnreadable} when there is no such file, or it may not be read.
 */
export const load = Effect.fn("Config.load")(function*(
  file: string
): Effect.fn.Return<Config, ConfigInvalid | ConfigUnreadable, FileSystem.FileSystem | Path.Path> {
  const fileSystem = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const text = yield* fileSystem.readFileString(file).pipe(Effect.mapError((cause) =>
    new ConfigUnreadable({
      file,
      message: cause.reason._tag === "NotFound"
        ? `There is no ${file}. Create it, or name the folder that holds it; docs/configuration.md describes its keys.`
        : `${file} cannot be read: ${cause.message}`,
      cause
    })
  ))
  const config = yield* fromString(text, { file })
  const directory = path.dirname(path.resolve(file))
  return withPaths(config, (each) => path.resolve(directory, each))
})

/** Makes the paths that are relative to the file absolute. */
const withPaths = (config: Config, absolute: (path: string) => string): Config => {
  const { agent, execution, source } = config
  return {
    ...config,
    source: { ...source, repository: absolute(source.repository) },
    execution: execution.kind === "slurm" && execution.cluster.configuration !== undefined
      ? { ...execution, cluster: { ...execution.cluster, configuration: absolute(execution.cluster.configuration) } }
      : execution,
    agent: agent === null ? null : agentWithPaths(agent, absolute)
  }
}

const fromFile = (file: ConfigFile): Config => {
  const metrics = file.metrics?.map(metricOf) ?? []
  const declared = metrics.find(({ name }) => name === file.objective.metric)
  const unit = file.objective.unit ?? declared?.unit ?? ""
  const implied: Metric = {
    name: file.objective.metric,
    from: "key-value",
    key: file.objective.metric,
    place: { stream: "stdout" },
    take: "last",
    warmup: null,
    unit,
    direction: null,
    required: true
  }
  return {
    name: file.name,
    source: file.source,
    job: file.job,
    workspace: workspaceOf(file.workspace),
    build: file.build === undefined ? null : buildOf(file.build),
    execution: executionOf(file.execution),
    agent: file.agent === undefined ? null : agentOf(file.agent),
    objective: { ...file.objective, unit },
    metrics: metrics.length === 0
      ? [implied]
      : metrics.map((metric) => metric === declared ? { ...metric, unit } : metric),
    parameters: Object.entries(file.parameters).map(([name, table]) => parameterOf(name, table)),
    edits: file.edits,
    seeds: file.seeds,
    planner: file.planner,
    limits: { ...file.limits, wallTime: file.limits.wallTime ?? null, target: file.limits.target ?? null }
  }
}

/**
 * Puts the values of placeholders into the commands, their environments and the arguments of seeds: `{workdir}` is the
 * run's working directory. `{{workdir}}` stands for the text `{workdir}`; other braces mean nothing. `{artifact}` stays in
 * the texts of jobs: what it stands for is known when one is launched. Unknown placeholders were refused when the
 * configuration was decoded.
 */
export const substitute = (config: Config, values: { readonly workdir: string }): Config => {
  const inJob = (text: string) => substituted(text, values, true)
  const inBuild = (text: string) => substituted(text, values, false)
  const argv = ([program, ...rest]: Command["argv"], text: (each: string) => string): Command["argv"] => [
    text(program),
    ...rest.map(text)
  ]
  const environment = (of: Command["environment"], text: (each: string) => string) =>
    Object.fromEntries(Object.entries(of).map(([name, value]) => [name, text(value)]))
  const { build, job } = config
  return {
    ...config,
    job: { ...job, argv: argv(job.argv, inJob), environment: environment(job.environment, inJob) },
    build: build === null
      ? null
      : build.kind === "command"
      ? { ...build, argv: argv(build.argv, inBuild), environment: environment(build.environment, inBuild) }
      : { ...build, environment: environment(build.environment, inBuild) },
    seeds: config.seeds.map((seed) => ({ ...seed, arguments: seed.arguments.map(inJob) }))
  }
}

/** The metrics as the rules by which `Evidence` reads them. */
export const metricRules = (config: Config): ReadonlyArray<MetricRule> => config.metrics.map(ruleOf)

/** What `docs/configuration.md` says about one key. */
export type Key = ConfigKey

/** Every key, in the order of the documentation: what may stand there, its default, and what it is for. */
export const keys: ReadonlyArray<Key> = configKeys

/** A complete configuration, to begin from. It decodes as it is. */
export const example = `name = "quick-pipeline"

[source]
repository = "pipeline"

[job]
argv = ["node", "src/main.ts", "--data", "{workdir}/data"]
timeout = "60 seconds"

[objective]
metric = "throughput"
direction = "maximize"
smallestGain = 0.02

[[metrics]]
name = "throughput"
unit = "samples/s"

[[metrics]]
name = "first_batch"
from = "regex"
pattern = "first batch after ([0-9.]+) ms"
unit = "ms"
required = false

[parameters.workers]
type = "integer"
values = [0, 1, 2, 4]
baseline = 0
description = "Worker threads that decode"

[parameters.prefetch]
type = "integer"
min = 0
max = 8
step = 2
baseline = 0

[[edits]]
name = "pooled-buffers"
description = "Take buffers from a pool instead of allocating each"
file = "src/decode.ts"
search = "const buffer = Buffer.alloc(size)"
replace = "const buffer = pool.take(size)"

[[seeds]]
name = "headspace"
arguments = ["--headspace"]
description = "The same program on batches that are in memory already"

[limits]
experiments = 40
wallTime = "5 minutes"
patience = 12
`
