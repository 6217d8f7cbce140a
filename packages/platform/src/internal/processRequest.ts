/**
 * What makes a request one that nobody can run, wherever: checked before anything is recorded, by every layer, the
 * simulation too, so that a test on it shows the fault.
 *
 * Requests also come from programs that are not type checked, so nothing is believed of them.
 */
import { type JobRequest, LaunchFailed } from "../Execution.ts"
import { shown } from "./processDuration.ts"

/** What keeps a value from being given to a program as text; undefined when nothing does. */
const problemOfText = (value: unknown): string | undefined =>
  typeof value !== "string"
    ? `is ${shown(value)}: a text is wanted`
    : value.includes("\0")
    ? "holds a zero byte, which no program can be given"
    : value.isWellFormed()
    ? undefined
    : "holds half of a surrogate pair, which is no character and would be replaced by another"

/** Why this cannot be the key of a job; undefined when it can. A key may hold a zero byte: no program is given it. */
export const problemOfKey = (key: unknown): string | undefined => {
  if (key === "") return "its key is empty"
  if (typeof key !== "string") return `its key is ${shown(key)}: a text is wanted`
  return key.isWellFormed() ? undefined : "its key holds half of a surrogate pair, which is no character"
}

const problemOfArguments = (argv: unknown): string | undefined => {
  if (!Array.isArray(argv)) return `argv is ${shown(argv)}: an array of the program and its arguments is wanted`
  if (argv[0] === undefined || argv[0] === "") return "it names no program: argv[0] is empty"
  // By number: `forEach` and its like leave out the holes of an array.
  for (let index = 0; index < argv.length; index++) {
    const problem = problemOfText(argv[index])
    if (problem !== undefined) return `argv[${index}] ${problem}`
  }
  return undefined
}

const problemOfEnvironment = (environment: unknown): string | undefined => {
  if (typeof environment !== "object" || environment === null || Array.isArray(environment)) {
    return `environment is ${shown(environment)}: a record of texts is wanted, {} for none`
  }
  for (const [name, value] of Object.entries(environment)) {
    if (name === "" || /[=\0]/.test(name) || !name.isWellFormed()) {
      return `${JSON.stringify(name)} cannot be the name of an environment variable`
    }
    const problem = problemOfText(value)
    if (problem !== undefined) return `the environment variable ${name} ${problem}`
  }
  return undefined
}

/** Why no directory of jobs can be there. An empty path would be where the engine was started. */
export const problemOfPlace = (directory: unknown): string | undefined =>
  directory === "" ? "the path of a directory is wanted" : problemOfText(directory)

const problemOfWorkingDirectory = (directory: unknown): string | undefined => {
  if (directory === "") return "directory is empty: the path of the job's working directory is wanted"
  const problem = problemOfText(directory)
  return problem === undefined ? undefined : `directory ${problem}`
}

const problemOfTimeout = (timeout: unknown): string | undefined =>
  timeout === undefined || (typeof timeout === "number" && Number.isFinite(timeout) && timeout > 0)
    ? undefined
    : `its time-out is ${shown(timeout)}: timeoutMillis has to be a positive number of milliseconds, or absent`

/** Why this request cannot be run by anybody; undefined when it can. */
export const problemOf = (request: JobRequest): string | undefined =>
  problemOfKey(request.key) ?? problemOfArguments(request.argv) ?? problemOfEnvironment(request.environment) ??
    problemOfWorkingDirectory(request.directory) ?? problemOfTimeout(request.timeoutMillis)

/** Makes the failures of a launch of this request, whatever it holds. */
export const failureOf = (request: JobRequest) =>
(
  reason: LaunchFailed["reason"],
  problem: string,
  more: { readonly code?: string; readonly cause?: unknown } = {}
): LaunchFailed => {
  const program: unknown = Array.isArray(request.argv) ? request.argv[0] : undefined
  const key: unknown = request.key
  return new LaunchFailed({
    key: typeof key === "string" ? key : shown(key),
    program: typeof program === "string" ? program : "",
    reason,
    code: more.code ?? null,
    ...("cause" in more ? { cause: more.cause } : {}),
    message: `The job ${shown(key)} was not launched: ${problem}.`
  })
}
