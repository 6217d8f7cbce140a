/** What makes a request one that nobody can run, wherever: checked before anything is recorded. */
import type { JobRequest } from "../Execution.ts"

/** Why this request cannot be run by anybody; undefined when it can. */
export const problemOf = (request: JobRequest): string | undefined => {
  if (request.key === "") return "its key is empty"
  if (request.argv[0] === undefined || request.argv[0] === "") return "it names no program: argv[0] is empty"
  if (request.argv.some((one) => one.includes("\0"))) {
    return "an argument holds a zero byte, which no program can be given"
  }
  for (const [name, value] of Object.entries(request.environment)) {
    if (name === "" || /[=\0]/.test(name)) {
      return `${JSON.stringify(name)} cannot be the name of an environment variable`
    }
    if (value.includes("\0")) return `the environment variable ${name} holds a zero byte`
  }
  const timeout = request.timeoutMillis
  if (timeout !== undefined && !(Number.isFinite(timeout) && timeout > 0)) {
    return `its time-out is ${timeout}: it has to be a positive number of milliseconds, or absent`
  }
  return undefined
}
