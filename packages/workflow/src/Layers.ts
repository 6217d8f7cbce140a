/**
 * Which layers a project runs on. `espalier.toml` chooses each by its kind; a program may give its own instead.
 *
 * For each capability there is one record from kind to how its layer is made of the options, and to what it needs of the
 * machine. A layer of your own needs no place in it: see {@link Own}.
 */
import type { OptionsInvalid } from "@espalier/platform/agent/LanguageModel"
import * as CommandArtifacts from "@espalier/platform/artifacts/Command"
import * as ContainerImage from "@espalier/platform/artifacts/ContainerImage"
import * as NoArtifacts from "@espalier/platform/artifacts/None"
import type { Artifacts } from "@espalier/platform/Artifacts"
import type { CodingAgent } from "@espalier/platform/CodingAgent"
import type { Evidence, InvalidMetricRule } from "@espalier/platform/Evidence"
import * as Rules from "@espalier/platform/evidence/Rules"
import type { Execution } from "@espalier/platform/Execution"
import * as LocalProcess from "@espalier/platform/execution/LocalProcess"
import * as Slurm from "@espalier/platform/execution/Slurm"
import type * as Requirements from "@espalier/platform/Requirements"
import * as Container from "@espalier/platform/requirements/Container"
import * as Git from "@espalier/platform/requirements/Git"
import * as Machine from "@espalier/platform/requirements/Machine"
import * as SlurmNeeds from "@espalier/platform/requirements/Slurm"
import type { Guard, Workspace, WorkspaceError } from "@espalier/platform/Workspace"
import * as Detected from "@espalier/platform/workspace/Detected"
import * as GitWorktree from "@espalier/platform/workspace/GitWorktree"
import * as PlainCopy from "@espalier/platform/workspace/PlainCopy"
import { Context, Duration, Layer } from "effect"
import { existsSync } from "node:fs"
import * as Config from "./Config.ts"
import { type Choice, type Choices, choose, type Place } from "./internal/layerChoices.ts"
import { agents, type SecretMissing, withheldFor } from "./internal/layersAgent.ts"
import * as Workdir from "./Workdir.ts"

export type { Place } from "./internal/layerChoices.ts"
export { SecretMissing } from "./internal/layersAgent.ts"

/** The parameters file is written for every experiment, whatever else may be changed. */
const guardOf = ({ editable, ...guard }: Guard, { parameters, source }: Config.Config): Guard => ({
  ...guard,
  ...(editable === undefined
    ? {}
    : { editable: parameters.length === 0 ? editable : [...editable, source.parametersFile] })
})

const workspaces: Choices<Config.WorkspaceOptions, Workspace, WorkspaceError> = {
  detect: {
    module: "workspace/Detected",
    about: "one of the two below: worktrees where the source is in a git repository, copies where it is not",
    layer: ({ copy, guard }, { config, workdir }) =>
      Layer.suspend(() => {
        const options = {
          ...guardOf(guard, config),
          ...copy,
          source: config.source.repository,
          directory: Workdir.worktrees(workdir),
          excluded: [workdir]
        }
        // A run that began on copies has its states there, and goes on with them though there is a repository by now.
        return existsSync(Workdir.copies(workdir)) ? PlainCopy.layer(options) : Detected.layer(options)
      }),
    requirements: (_, place) => [
      place === undefined ? Git.optional : Git.detected(place.config.source.repository)
    ],
    examples: [{ kind: "detect", guard: {}, copy: {} }]
  },
  git: {
    module: "workspace/GitWorktree",
    about: "a git worktree for each experiment, a branch for each result, in the repository of the source",
    layer: ({ guard }, { config, workdir }) =>
      GitWorktree.layer({
        ...guardOf(guard, config),
        repository: config.source.repository,
        directory: Workdir.worktrees(workdir),
        excluded: [workdir]
      }),
    requirements: (_, place) => [place === undefined ? Git.git() : Git.repository(place.config.source.repository)],
    examples: [{ kind: "git", guard: {} }]
  },
  copy: {
    module: "workspace/PlainCopy",
    about: "a copy of the source for each experiment, for a directory without source control",
    layer: ({ copy, guard }, { config, workdir }) =>
      PlainCopy.layer({
        ...guardOf(guard, config),
        ...copy,
        source: config.source.repository,
        directory: Workdir.worktrees(workdir),
        excluded: [workdir]
      }),
    requirements: () => [],
    examples: [{ kind: "copy", guard: {}, copy: {} }]
  }
}

const builds: Choices<Config.Build | { readonly kind: "none" }, Artifacts> = {
  none: {
    module: "artifacts/None",
    about: "without a section `[build]`: jobs run from the tree as it is",
    layer: () => NoArtifacts.layer,
    requirements: () => [],
    examples: [{ kind: "none" }]
  },
  command: {
    module: "artifacts/Command",
    about: "a command that runs in the tree",
    layer: ({ argv, environment, outputs, timeout }, { config, workdir }) =>
      CommandArtifacts.layer({
        argv,
        environment,
        withheld: withheldFor(config.agent),
        timeout,
        // Whoever presses Ctrl-C waits for a build that does not heed SIGTERM.
        grace: "2 seconds",
        ...(outputs === null ? {} : { cache: { directory: Workdir.builds(workdir), outputs } })
      }),
    requirements: () => [],
    examples: []
  },
  container: {
    module: "artifacts/ContainerImage",
    about: "an image of the tree, built by docker or podman; a job names it `{artifact}`",
    layer: ({ environment, image, timeout }, { config }) =>
      ContainerImage.layer({
        ...image,
        environment,
        withheld: withheldFor(config.agent),
        timeout,
        grace: "2 seconds"
      }),
    requirements: ({ environment, image: { engine, engineArguments, program } }) =>
      Container.engine(engine, { environment, engineArguments, program }),
    examples: (["docker", "podman"] as const).map((engine) => ({
      kind: "container",
      environment: {},
      timeout: Duration.minutes(10),
      image: { engine }
    }))
  }
}

type ExecutionInvalid = LocalProcess.LocalProcessOptionsInvalid | Slurm.SlurmOptionsInvalid

const executions: Choices<Config.ExecutionOptions, Execution, ExecutionInvalid> = {
  local: {
    module: "execution/LocalProcess",
    about: "processes of this machine, which outlive the engine",
    layer: (_, { config, workdir }) =>
      LocalProcess.layer({ directory: Workdir.jobs(workdir), withheld: withheldFor(config.agent) }),
    requirements: () => [],
    examples: [{ kind: "local" }]
  },
  slurm: {
    module: "execution/Slurm",
    about: "jobs of a Slurm cluster; the working directory lies on a disk that its machines share",
    layer: ({ cluster }, { config, workdir }) =>
      Slurm.layer({ ...cluster, directory: Workdir.jobs(workdir), withheld: withheldFor(config.agent) }),
    requirements: ({ cluster: { configuration, resources } }) =>
      SlurmNeeds.cluster({ partitions: resources?.partition?.split(",") ?? null, configuration }),
    examples: [{ kind: "slurm", cluster: {} }]
  }
}

/** A choice with its options. */
const chosen = (place: Place) => {
  const { agent, build, execution, workspace } = place.config
  const made = <Options extends { readonly kind: string }, Service, E>(
    choices: Choices<Options, Service, E>,
    options: Options
  ) => {
    const choice = choose(choices, options)
    return {
      layer: () => choice.layer(options, place),
      requirements: choice.requirements(options, place),
      kind: options.kind
    }
  }
  return {
    workspace: made<Config.WorkspaceOptions, Workspace, WorkspaceError>(workspaces, workspace),
    artifacts: made<Config.Build | { readonly kind: "none" }, Artifacts, never>(builds, build ?? { kind: "none" }),
    execution: made<Config.ExecutionOptions, Execution, ExecutionInvalid>(executions, execution),
    agent: made<Config.AgentOptions | { readonly kind: "none" }, CodingAgent, OptionsInvalid | SecretMissing>(
      agents,
      agent ?? { kind: "none" }
    )
  }
}

/** What a run needs besides the engine. */
export interface Capabilities {
  readonly workspace: Workspace
  readonly artifacts: Artifacts
  readonly execution: Execution
  readonly evidence: Evidence
  readonly agent: CodingAgent
}

/** Options of a layer that turn out to be of no use when it is made. */
export type LayerError = WorkspaceError | InvalidMetricRule | ExecutionInvalid | OptionsInvalid | SecretMissing

/** The services of all capabilities. */
export type Platform = Capabilities[keyof Capabilities]

/**
 * Layers of your own, by capability: each stands in place of what `espalier.toml` chooses there. All but that of `execution`
 * itself may ask for the `Execution` that is used. `requirements` are what they need of the machine, for `espalier doctor`
 * and before a run begins.
 */
export type Own<R = unknown> =
  & { readonly [K in keyof Capabilities]?: Layer.Layer<Capabilities[K], unknown, R> | undefined }
  & { readonly requirements?: ReadonlyArray<Requirements.Requirement> | undefined }

type Given<O> = Extract<{ [K in keyof O]: O[K] }[keyof O], Layer.Any>

/** What building one's own layers may fail with. */
export type ErrorOf<O extends Own> = Layer.Error<Given<O>>

/** What one's own layers need, and still has to be provided. */
export type ServicesOf<O extends Own> =
  | Layer.Services<Given<Pick<O, keyof O & "execution">>>
  | Exclude<Layer.Services<Given<Omit<O, "execution">>>, Execution>

/**
 * The capabilities, of those that measurements depend on, for which a program has given layers of its own: a run that began on
 * them is gone on with on no others.
 */
export const Replaced = Context.Reference<ReadonlyArray<string>>("@espalier/workflow/Layers/Replaced", {
  defaultValue: () => []
})

/** What measurements depend on. Whichever agent is asked, what it proposes is measured in the same way. */
const measuring = ["workspace", "artifacts", "execution", "evidence"] as const satisfies ReadonlyArray<
  keyof Capabilities
>

/** Every set of capabilities that `Replaced` may name. */
export const combinations: ReadonlyArray<ReadonlyArray<string>> = Array.from(
  { length: 2 ** measuring.length },
  (_, set) => measuring.filter((_, bit) => (set & (1 << bit)) !== 0)
)

const replaced = (own: Own): ReadonlyArray<string> => measuring.filter((name) => own[name] !== undefined)

/**
 * The layer of all capabilities: those that the configuration chooses, and one's own in their places. What one's own layers
 * need stays to be provided.
 *
 * @example
 * ```ts
 * import { Execution } from "@espalier/platform/Execution"
 * import * as Simulated from "@espalier/platform/execution/Simulated"
 * import { Config, Layers } from "@espalier/workflow"
 * import { Effect } from "effect"
 * import assert from "node:assert"
 *
 * const program = Effect.gen(function*() {
 *   const config = yield* Config.fromString(Config.example)
 *   const launch = Effect.gen(function*() {
 *     const execution = yield* Execution
 *     return yield* execution.launch({ key: "first", argv: ["train"], directory: "/tree", environment: {} })
 *   })
 *   // Everything as the configuration says, but jobs run on a layer of one's own:
 *   const own = { execution: Simulated.layer(() => ({ durationMillis: 5, exitCode: 0 })) }
 *   return yield* launch.pipe(Effect.provide(Layers.layer({ workdir: "/runs/mine", config }, own)))
 * })
 *
 * assert.equal((await Effect.runPromise(program)).host, "simulated")
 * ```
 */
// Overloaded, not asserted: `Own` has forgotten what the layers of an `O` may fail with and need.
export function layer<O extends Own = {}>(
  place: Place,
  own?: O
): Layer.Layer<Platform, LayerError | ErrorOf<O>, ServicesOf<O>>
export function layer(place: Place, own: Own = {}): Layer.Layer<Platform, unknown, unknown> {
  const { agent, artifacts, execution, workspace } = chosen(place)
  return Layer.mergeAll(
    own.workspace ?? workspace.layer(),
    own.artifacts ?? artifacts.layer(),
    own.evidence ?? Rules.layer({ rules: Config.metricRules(place.config) }),
    own.agent ?? agent.layer(),
    Layer.succeed(Replaced, replaced(own))
  ).pipe(Layer.provideMerge(own.execution ?? execution.layer()))
}

/** What a project needs of its machine: for its directory, and for each layer that is chosen. */
export const requirements = (place: Place, own: Own = {}): ReadonlyArray<Requirements.Needs> => {
  const { build, execution, job, source } = place.config
  const choices = chosen(place)
  const program = ({ argv, environment }: Config.Command) => [Machine.jobProgram(argv[0], environment["PATH"])]
  return [
    { by: "every run", requirements: Machine.base(place.workdir) },
    ...(own.workspace === undefined ? [{ by: "source", requirements: [Git.source(source.repository)] }] : []),
    // On another machine another PATH holds.
    ...(own.execution === undefined && execution.kind === "local" ? [{ by: "job", requirements: program(job) }] : []),
    // Whoever looks after local jobs asks it what GPUs do.
    ...(own.execution === undefined && execution.kind === "local" ? [gpus] : []),
    ...(own.artifacts === undefined && build?.kind === "command"
      ? [{ by: "build", requirements: program(build) }]
      : []),
    ...(["workspace", "artifacts", "execution", "agent"] as const)
      .filter((capability) => own[capability] === undefined)
      .map((capability) => ({
        by: `${sections[capability]} "${choices[capability].kind}"`,
        requirements: choices[capability].requirements
      })),
    { by: "layers of your own", requirements: own.requirements ?? [] }
  ]
}

const gpus: Requirements.Needs = { by: "figures of GPUs", requirements: [Machine.gpu] }

/** A layer that `espalier.toml` can choose, and what it may need. */
export interface Listed {
  /** Section and kind: `execution "local"`; `no build` for what there is without the section. */
  readonly name: string
  readonly module: string | null
  readonly about: string
  /** What it needs; alternatives where that depends on its options. */
  readonly needs: ReadonlyArray<ReadonlyArray<Requirements.Requirement>>
}

/** Every layer that can be chosen. */
export const list = (): ReadonlyArray<Listed> => {
  const listed = <Options extends { readonly kind: string }, Service, E>(
    capability: keyof typeof sections,
    choices: Choices<Options, Service, E>
  ): ReadonlyArray<Listed> =>
    Object.entries(choices as unknown as Readonly<Record<string, Choice<Options, Service, E>>>).map((
      [kind, choice]
    ) => ({
      name: kind === "none" ? `no ${sections[capability]}` : `${sections[capability]} "${kind}"`,
      module: choice.module,
      about: choice.about,
      needs: choice.examples.map((options) => choice.requirements(options))
    }))
  return [
    ...listed("workspace", workspaces),
    ...listed("artifacts", builds),
    ...listed("execution", executions),
    ...listed("agent", agents)
  ]
}

/** All that Espalier could use of a machine, where no project has chosen anything yet. */
export const everything = (directory: string): ReadonlyArray<Requirements.Needs> => [
  { by: "every run", requirements: [Machine.node, Machine.sqlite, Machine.freeSpace(directory)] },
  gpus,
  ...list().map(({ name, needs }) => ({ by: name, requirements: needs.flat(), isChosen: false }))
]

/** The sections of `espalier.toml` that choose. */
const sections = {
  workspace: "workspace",
  artifacts: "build",
  execution: "execution",
  agent: "agent"
} as const
