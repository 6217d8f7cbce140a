/**
 * The sections of `espalier.toml` that choose layers: their forms, and what they are when they are decoded. Which key belongs to
 * which kind is in `configKinds.ts`.
 */
import type * as ContainerImage from "@espalier/platform/artifacts/ContainerImage"
import type * as Slurm from "@espalier/platform/execution/Slurm"
import type { Guard } from "@espalier/platform/Workspace"
import type * as PlainCopy from "@espalier/platform/workspace/PlainCopy"
import { Duration, Schema } from "effect"
import {
  Argv,
  DurationText,
  Environment,
  FilePath,
  InsidePath,
  kindOf,
  or,
  PathText,
  PlainText,
  SizeText,
  wholeNumber
} from "./configForms.ts"

export const workspaceKinds = ["detect", "git", "copy"] as const
export const buildKinds = ["command", "container"] as const
export const executionKinds = ["local", "slurm"] as const

/** Where experiments get their trees, and what may be changed in them. */
export const WorkspaceTable = Schema.Struct({
  kind: kindOf(workspaceKinds),
  editable: Schema.optionalKey(Schema.Array(InsidePath)),
  denied: Schema.Array(InsidePath).pipe(or([])),
  maxFile: SizeText.pipe(or("8 MiB")),
  maxChange: SizeText.pipe(or("32 MiB")),
  ignored: Schema.Array(InsidePath).pipe(or([])),
  maxSource: SizeText.pipe(or("2 GiB"))
})

export const BuildTable = Schema.Struct({
  kind: kindOf(buildKinds),
  timeout: DurationText.pipe(or("10 minutes")),
  environment: Environment.pipe(or({})),
  argv: Schema.optionalKey(Argv),
  outputs: Schema.optionalKey(Schema.Array(InsidePath)),
  engine: Schema.Literals(["docker", "podman"]).pipe(or("docker")),
  program: Schema.optionalKey(PlainText),
  engineArguments: Schema.Array(PlainText).pipe(or([])),
  file: Schema.optionalKey(FilePath),
  context: Schema.optionalKey(InsidePath),
  target: Schema.optionalKey(PlainText),
  arguments: Environment.pipe(or({})),
  options: Schema.Array(PlainText).pipe(or([])),
  repository: Schema.optionalKey(PlainText)
})

const Option = PlainText.check(Schema.isPattern(/^--[a-z]/))

export const ExecutionTable = Schema.Struct({
  kind: kindOf(executionKinds),
  partition: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_][A-Za-z0-9_.,+-]*$/))),
  account: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[^\s,;\u0000-\u001f\u007f]+$/))),
  nodes: Schema.optionalKey(wholeNumber(1, 1_000_000)),
  cpus: Schema.optionalKey(wholeNumber(1, 1_000_000)),
  memory: Schema.optionalKey(SizeText),
  gpus: Schema.optionalKey(wholeNumber(1, 1_000_000)),
  gres: Schema.optionalKey(PlainText),
  timeLimit: Schema.optionalKey(DurationText),
  options: Schema.Array(Option).pipe(or([])),
  configuration: Schema.optionalKey(PathText),
  node: Schema.optionalKey(PathText),
  pollEvery: DurationText.pipe(or("10 seconds"))
})

type CopyOptions = Pick<PlainCopy.Options, "ignored" | "maxSourceBytes">

/** Where experiments get their trees, and what they may change in them. */
export type WorkspaceOptions =
  & { readonly guard: Guard }
  & (
    | { readonly kind: "git" }
    | { readonly kind: "detect"; readonly copy: CopyOptions }
    | { readonly kind: "copy"; readonly copy: CopyOptions }
  )

export const workspaceOf = (table: typeof WorkspaceTable.Type): WorkspaceOptions => {
  const { denied, editable, ignored, kind, maxChange, maxFile, maxSource } = table
  const guard = {
    denied,
    maxFileBytes: maxFile,
    maxChangeBytes: maxChange,
    ...(editable === undefined ? {} : { editable })
  }
  switch (kind) {
    case "git":
      return { kind, guard }
    case "copy":
    case "detect":
      return { kind, guard, copy: { ignored, maxSourceBytes: maxSource } }
  }
}

/**
 * What is made of an experiment's tree before its jobs.
 *
 * - `outputs`: what of it is kept for the next time that the same commit is built; `null` where nothing is.
 * - `image`: as the layer takes it.
 */
export type Build =
  | {
    readonly kind: "command"
    readonly argv: readonly [string, ...ReadonlyArray<string>]
    readonly environment: Readonly<Record<string, string>>
    readonly timeout: Duration.Duration
    readonly outputs: ReadonlyArray<string> | null
  }
  | {
    readonly kind: "container"
    readonly environment: Readonly<Record<string, string>>
    readonly timeout: Duration.Duration
    readonly image: Omit<ContainerImage.Options, "environment" | "timeout">
  }

export const buildOf = (table: typeof BuildTable.Type): Build => {
  const { argv, arguments: buildArguments, environment, kind, options, outputs, timeout, ...image } = table
  switch (kind) {
    case "command":
      return { kind, argv: present(argv, "build.argv"), environment, timeout, outputs: outputs ?? null }
    case "container":
      return { kind, environment, timeout, image: { ...image, buildArguments, buildOptions: options } }
  }
}

/** Where jobs run. `cluster`: as the layer takes it, but for its directory. */
export type ExecutionOptions =
  | { readonly kind: "local" }
  | { readonly kind: "slurm"; readonly cluster: Omit<Slurm.Options, "directory"> }

export const executionOf = (table: typeof ExecutionTable.Type): ExecutionOptions => {
  const { configuration, kind, memory, node, options, pollEvery, timeLimit, ...asked } = table
  switch (kind) {
    case "local":
      return { kind }
    case "slurm":
      return {
        kind,
        cluster: {
          resources: {
            ...asked,
            ...(memory === undefined ? {} : { memoryBytes: memory }),
            ...(timeLimit === undefined ? {} : { timeLimitMillis: Duration.toMillis(timeLimit) })
          },
          extraArguments: options,
          pollEvery,
          ...(configuration === undefined ? {} : { configuration }),
          ...(node === undefined ? {} : { node })
        }
      }
  }
}

/** The schema lets keys of every kind be absent; that those of this kind are there has been checked. */
export const present = <A>(value: A | undefined, key: string): A => {
  if (value === undefined) throw new Error(`${key} was not checked`)
  return value
}
