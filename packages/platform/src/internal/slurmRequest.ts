/**
 * What a job asks of Slurm, checked and turned into arguments of `sbatch`. No value can become an option of its own:
 * each stands behind its `=`, in one argument, and no shell sees it.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { JobResources } from "../Execution.ts"

/** Options that the layer gives itself: another value of one of them would break a promise of the layer. */
const taken: ReadonlyMap<string, string> = new Map([
  ["parsable", "the layer reads the job's number from it"],
  ["job-name", "the layer finds a job by its name after a crash"],
  ["comment", "the layer finds a submission under way by it"],
  ["array", "a key stands for one job"],
  ["requeue", "a job is started once"],
  ["no-requeue", "the layer always gives it"],
  ["output", "the wrapper's own messages go to the job's directory"],
  ["error", "the wrapper's own messages go to the job's directory"],
  ["input", "a job has no input"],
  ["open-mode", "the layer always appends"],
  ["chdir", "the job's own directory is given with its request"],
  ["export", "the environment is given with the request"],
  ["export-file", "the environment is given with the request"],
  ["get-user-env", "the environment is given with the request"],
  ["wrap", "no shell may see a command"],
  ["wait", "the layer waits by itself"],
  ["test-only", "nothing would be submitted"],
  ["clusters", "the layer asks one cluster; set SLURM_CLUSTERS, or make a layer for each"],
  ["cluster-constraint", "the layer asks one cluster"],
  ["uid", "jobs belong to the user of the engine"],
  ["gid", "jobs belong to the user of the engine"],
  ["quiet", "the layer reads what sbatch says"],
  ["help", "nothing would be submitted"],
  ["usage", "nothing would be submitted"],
  ["version", "nothing would be submitted"],
  ["ignore-pbs", "the script is the layer's own"],
  ["partition", "use resources.partition"],
  ["account", "use resources.account"],
  ["nodes", "use resources.nodes"],
  ["cpus-per-task", "use resources.cpus"],
  ["mem", "use resources.memoryBytes"],
  ["gpus", "use resources.gpus"],
  ["gres", "use resources.gres"],
  ["time", "use resources.timeLimitMillis"]
])

/** Control characters, and what is no text at all. */
const isPlain = (text: string): boolean => !/[\u0000-\u001f\u007f]/.test(text)

/** Why this cannot be an additional argument of `sbatch`; undefined when it can. */
export const problemOfArgument = (argument: string): string | undefined => {
  const name = /^--([a-z][a-z-]*)(?:=|$)/.exec(argument)?.[1]
  if (name === undefined) {
    return "it has to be one long option with its value behind an equals sign, like --qos=low or --exclusive"
  }
  if (!isPlain(argument)) return "it holds a control character"
  // sbatch takes an option also by the beginning of its name.
  const option = [...taken].find(([full]) => full === name) ?? [...taken].find(([full]) => full.startsWith(name))
  return option === undefined ? undefined : `--${option[0]} is not for you to give: ${option[1]}`
}

const decode = Schema.decodeUnknownOption(JobResources)

/** Why these cannot be asked for; undefined when they can. */
export const problemOfResources = (resources: JobResources): string | undefined => {
  for (const [name, value] of Object.entries(resources)) {
    if (Option.isNone(decode({ [name]: value }))) {
      return `resources.${name} is ${
        JSON.stringify(value)
      }: a text that is not empty, or a number greater than 0, is ` +
        "wanted (processors, nodes and GPUs are whole numbers)"
    }
    if (typeof value === "string" && !isPlain(value)) return `resources.${name} holds a control character`
    if (typeof value === "string" && /[\s,;]/.test(value) && name === "account") {
      return `resources.account is ${JSON.stringify(value)}: one account is wanted`
    }
  }
  return undefined
}

/** A time limit as Slurm reads it, in minutes, rounded up. */
const minutes = (millis: number): number => Math.max(1, Math.ceil(millis / 60_000))

/**
 * The arguments of `sbatch` for these resources. Without a time limit of its own, a job with a time-out gets one that leaves
 * its wrapper the time to end it and to record how: Slurm's limit is then only for a wrapper that hangs.
 */
export const resourceArguments = (
  resources: JobResources,
  timeoutMillis: number | null,
  graceMillis: number
): ReadonlyArray<string> => {
  const limit = resources.timeLimitMillis ??
    (timeoutMillis === null ? undefined : timeoutMillis + graceMillis + 2 * 60_000)
  return [
    ["partition", resources.partition],
    ["account", resources.account],
    ["nodes", resources.nodes],
    ["cpus-per-task", resources.cpus],
    ["mem", resources.memoryBytes === undefined ? undefined : `${Math.ceil(resources.memoryBytes / 1024)}K`],
    ["gpus", resources.gpus],
    ["gres", resources.gres],
    ["time", limit === undefined ? undefined : minutes(limit)]
  ].flatMap(([name, value]) => value === undefined ? [] : [`--${name}=${value}`])
}

/** Why this cannot be a program; undefined when it can. */
export const problemOfProgram = (program: string): string | undefined =>
  program === ""
    ? "it is empty: name the program, or leave the option out"
    : isPlain(program)
    ? undefined
    : "it holds a control character"

/** Slurm gives `%` and `\` a meaning in the path of an output, and control characters break its lists. */
export const problemOfDirectory = (directory: string): string | undefined => {
  if (directory === "") return "it is empty: the path of a directory is wanted"
  if (directory.includes("\\")) return "it holds a backslash, which Slurm gives a meaning of its own in a path"
  return isPlain(directory) ? undefined : "it holds a control character"
}

/** The path of an output file, so that Slurm replaces nothing in it. */
export const outputPath = (path: string): string => path.replaceAll("%", "%%")
