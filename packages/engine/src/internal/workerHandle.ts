/**
 * One live worker, whatever it is made of.
 */
import { fileURLToPath } from "node:url"
import { WorkerDied } from "../WorkerPoolError.ts"
import { builtUrl, type FromWorker, type ToWorker } from "./workerMessage.ts"

export interface WorkerStart {
  /** The module that calls `serve`. */
  readonly url: URL
  /** Shown by debuggers and profilers. */
  readonly name: string
  readonly memoryMegabytes: number | undefined
  /** Options of Node that it gets besides those of this process. */
  readonly execArgv: ReadonlyArray<string>
}

export interface WorkerListener {
  readonly onMessage: (message: FromWorker) => void
  /** Called once. No message comes after it. */
  readonly onEnd: (died: WorkerDied) => void
}

export interface WorkerHandle {
  readonly post: (message: ToWorker) => void
  /** Ends it whatever it is doing; `onEnd` tells when that has happened. */
  readonly terminate: () => void
  /** Whether this process stays alive for the worker: one without a work must not keep a program from ending. */
  readonly keepHostAlive: (isNeeded: boolean) => void
}

/** The first module of every worker: it prepares the channel, and imports the user's file. */
export const mainUrl: URL = builtUrl(new URL("./workerMain.ts", import.meta.url))

/** A file for a person: its path if it has one. */
export const showUrl = (url: URL): string => url.protocol === "file:" ? fileURLToPath(url) : url.href

export const outOfMemory = (megabytes: number | undefined): WorkerDied =>
  new WorkerDied({
    reason: "memory",
    message: megabytes === undefined ? "worker out of memory" : `worker out of memory (cap ${megabytes} MiB)`
  })

export const exited = (exitCode: number): WorkerDied =>
  new WorkerDied({ reason: "exit", exitCode, message: `worker exited with code ${exitCode}` })

export const killedBy = (signal: string): WorkerDied =>
  new WorkerDied({ reason: "signal", signal, message: `worker process killed by ${signal}` })

export const endedByError = (what: string): WorkerDied =>
  new WorkerDied({ reason: "error", message: `worker ended by an error that nothing caught: ${what}` })
