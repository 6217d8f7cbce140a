/** Starting the wrapper process of a local job. */
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { mkdir, open } from "node:fs/promises"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { inherited } from "./inheritedEnvironment.ts"
import { files, restoreVariable } from "./processFiles.ts"

// From the sources this is a .ts file, which Node runs by stripping its types; built, it is a .js file.
export const wrapperPath = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./processWrapper.ts" : "./processWrapper.js", import.meta.url)
)

/**
 * Variables that change what a Node process does at its start. They are meant for the engine or for the job,
 * so the wrapper runs without them, and puts them back for the job.
 */
const nodeVariables = ["NODE_OPTIONS", "NODE_COMPILE_CACHE", "NODE_V8_COVERAGE", "NODE_DEBUG"] as const

/** What the wrapper gets, and with it the job: the engine's environment without what is withheld. */
export const wrapperEnvironment = (
  cacheDirectory: string,
  withheld: ReadonlyArray<string>
): Record<string, string | undefined> => {
  const environment = inherited(withheld)
  const restore: Record<string, string | null> = {}
  for (const name of nodeVariables) {
    restore[name] = environment[name] ?? null
    environment[name] = undefined
  }
  // Without a cache, stripping types makes the wrapper's start four times as long.
  environment["NODE_COMPILE_CACHE"] = cacheDirectory
  environment[restoreVariable] = JSON.stringify(restore)
  return environment
}

/** A wrapper that was started from here. It needs nothing of this process. */
export interface Wrapper {
  /** Why it is over; undefined while it runs. */
  readonly ended: () => string | undefined
  /** Resolves when it is over. */
  readonly end: Effect.Effect<void>
  /**
   * Tells it to end. One that has not come up yet is gone with that and will not claim the job; one that has ends
   * the job, and records it.
   */
  readonly terminate: () => void
}

/** Starts a wrapper for this job directory. Rejects when its log cannot be opened, or when nobody wants it any more. */
export const spawnWrapper = async (
  jobDirectory: string,
  withheld: ReadonlyArray<string>,
  signal: AbortSignal
): Promise<Wrapper> => {
  const cache = join(dirname(jobDirectory), ".cache")
  await mkdir(cache, { recursive: true })
  const log = await open(join(jobDirectory, files.wrapper), "a")
  try {
    signal.throwIfAborted()
    const child = spawn(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", wrapperPath, jobDirectory],
      {
        // Not the engine's own directory, and not the job's, which may be removed while the wrapper lives.
        cwd: jobDirectory,
        detached: true,
        env: wrapperEnvironment(cache, withheld),
        stdio: ["ignore", log.fd, log.fd]
      }
    )
    child.unref()
    let ended: string | undefined
    const end = new Promise<void>((resolve) => {
      child.once("exit", (code, signal) => {
        ended = signal === null ? `it exited with code ${code}` : `it was ended by ${signal}`
        resolve()
      })
      child.once("error", (error) => {
        ended = `it could not be started: ${error.message}`
        resolve()
      })
    })
    return { ended: () => ended, end: Effect.promise(() => end), terminate: () => void child.kill("SIGTERM") }
  } finally {
    await log.close()
  }
}
