/**
 * What a container engine is asked, as argument vectors, and what its answers mean. Pure. docker and podman take the
 * same words here; `docs/artifacts.md` says where they differ.
 */
import { createHash } from "node:crypto"
import { isArtifactName } from "../Artifacts.ts"
import type { Options } from "../artifacts/ContainerImage.ts"
import { isTimeOrForEver, shown } from "./processDuration.ts"

/** By these an image is found again. */
export const labels = { build: "espalier.build", commit: "espalier.commit" } as const

export const defaultRepository = "localhost/espalier"

export const defaultAnswerTimeout = "1 minute"

const sorted = (record: Readonly<Record<string, string>> = {}): ReadonlyArray<readonly [string, string]> =>
  Object.entries(record).sort(([one], [other]) => one < other ? -1 : 1)

/** Tells builds apart: by everything that the image depends on, apart from the machine and its base images. */
export const keyOf = (options: Options, commit: string): string =>
  createHash("sha256").update(JSON.stringify([
    commit,
    options.file ?? null,
    options.context ?? null,
    options.target ?? null,
    sorted(options.buildArguments),
    sorted(options.labels),
    options.buildOptions ?? [],
    options.repository ?? null
  ])).digest("hex")

/** The image's name: says of which commit it is, and by the key in which way it was built. */
export const imageName = (options: Options, commit: string): string => {
  const short = commit.replaceAll(/[^A-Za-z0-9_.-]/g, "_").slice(0, 12).replace(/^[.-]/, "_")
  return `${options.repository ?? defaultRepository}:${short}-${keyOf(options, commit).slice(0, 16)}`
}

// What would change where the image goes, or what this layer says itself.
const ours = /^(?:--(?:iidfile|file|target|output|push|label|tag|quiet|help|manifest)(?:=|$)|-[a-zA-Z]*[fotqh])/
const hasNul = (text: string) => text.includes("\0")

export const answerTimeoutProblem = ({ answerTimeout = defaultAnswerTimeout }: Options): string | undefined =>
  isTimeOrForEver(answerTimeout, "more than zero")
    ? undefined
    : `answerTimeout is ${shown(answerTimeout)}, in which no engine can answer: give more than 0, as "1 minute"`

/** What is wrong with the options, each in a sentence; what can be known without looking at the machine. */
export const problemsOf = (options: Options): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const { buildArguments = {}, buildOptions = [], context, engineArguments = [], file, repository, target } = options
  for (const [name, value] of Object.entries(buildArguments)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      problems.push(`The build argument ${JSON.stringify(name)} is no name: use letters, digits and "_"`)
    }
    if (hasNul(value)) problems.push(`The build argument ${JSON.stringify(name)} holds a NUL character`)
  }
  for (const [name, value] of Object.entries(options.labels ?? {})) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(name) || name.startsWith("espalier.")) {
      problems.push(
        `The label ${JSON.stringify(name)} is not possible: use letters, digits, ".", "_", "/" and "-", and ` +
          `leave "espalier." to this layer`
      )
    }
    if (hasNul(value)) problems.push(`The label ${JSON.stringify(name)} holds a NUL character`)
  }
  for (const option of buildOptions) {
    if (!option.startsWith("-") || option === "-" || option === "--" || ours.test(option) || hasNul(option)) {
      problems.push(
        `The build option ${
          JSON.stringify(option)
        } is not possible: write --name=value as one text; the file, target, ` +
          "labels, names and the output are given otherwise"
      )
    }
  }
  for (const argument of engineArguments) {
    if (hasNul(argument)) problems.push(`The engine's argument ${JSON.stringify(argument)} holds a NUL character`)
  }
  if (target !== undefined && !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(target)) {
    problems.push(`The target ${JSON.stringify(target)} is no name of a stage`)
  }
  if (repository !== undefined && (!isArtifactName(`${repository}:tag`) || /^sha256$/.test(repository))) {
    problems.push(`The repository ${JSON.stringify(repository)} is no name of an image without its tag`)
  }
  for (const path of [file, context]) {
    if (path === undefined) continue
    if (path === "" || path.startsWith("/") || hasNul(path) || path.split("/").includes("..")) {
      problems.push(`${JSON.stringify(path)} is no path below the tree`)
    }
  }
  const timeoutProblem = answerTimeoutProblem(options)
  if (timeoutProblem !== undefined) problems.push(timeoutProblem)
  return problems
}

/** podman takes several files in one argument, and so reads this one as a line of CSV. */
const fileArgument = ({ engine }: Options, file: string): string =>
  engine === "podman" && /[",\r\n]/.test(file) ? `--file="${file.replaceAll("\"", "\"\"")}"` : `--file=${file}`

/** The whole build command. Each value is one argument with its option, so that no value can become an option. */
export const buildArgv = (
  options: Options,
  commit: string,
  paths: { readonly file: string; readonly context: string; readonly idFile: string }
): readonly [string, ...ReadonlyArray<string>] => [
  options.program ?? options.engine,
  ...options.engineArguments ?? [],
  "build",
  fileArgument(options, paths.file),
  `--iidfile=${paths.idFile}`,
  `--tag=${imageName(options, commit)}`,
  ...sorted(options.labels).map(([name, value]) => `--label=${name}=${value}`),
  // Engines write labels into the text of a Dockerfile on the way: what is plain is plain for all of them.
  `--label=${labels.commit}=${encodeURIComponent(commit)}`,
  `--label=${labels.build}=${keyOf(options, commit)}`,
  ...(options.target === undefined ? [] : [`--target=${options.target}`]),
  ...sorted(options.buildArguments).map(([name, value]) => `--build-arg=${name}=${value}`),
  ...options.buildOptions ?? [],
  paths.context
]

/** The name with its tag: engines take a bare `c0ffee` for the beginning of an id. */
export const fullName = (name: string): string => /:[^/]*$/.test(name) ? name : `${name}:latest`

/** Lists the images with this key. podman labels what it makes on the way too: only the result has a name. */
export const findArguments = (key: string): ReadonlyArray<string> => [
  "image",
  "ls",
  "--quiet",
  "--no-trunc",
  `--filter=label=${labels.build}=${key}`,
  "--filter=dangling=false"
]

/** Prints the id of one image. */
export const inspectArguments = (
  image: string
): ReadonlyArray<string> => ["image", "inspect", "--format={{.Id}}", image]

/** Gives an image another name. */
export const tagArguments = (id: string, name: string): ReadonlyArray<string> => ["tag", id, name]

/** An image's id in the one way to write it; undefined when this is none. */
export const imageId = (text: string): string | undefined => {
  const hex = /^(?:sha256:)?([0-9a-f]{64})$/.exec(text.trim())?.[1]
  return hex === undefined ? undefined : `sha256:${hex}`
}

/** The ids that an engine printed, one a line; undefined when it printed anything else. */
export const imageIds = (text: string): ReadonlyArray<string> | undefined => {
  const ids = text.split("\n").filter((line) => line.trim() !== "").map(imageId)
  return ids.includes(undefined) ? undefined : [...new Set(ids as ReadonlyArray<string>)]
}
