/**
 * A worker that is a process of its own: whatever happens in it, this process goes on.
 *
 * It leads its own process group. So a Ctrl-C in the terminal reaches the host alone, which decides what becomes of the
 * works, and a worker that is ended takes along what its handler had started. It also must not outlive the host, even
 * when that is killed in the middle of an endless loop of the worker: see `workerWatch.ts`.
 */
import { type ChildProcess, fork } from "node:child_process"
import type { Socket } from "node:net"
import { fileURLToPath } from "node:url"
import type { WorkerDied } from "../WorkerPoolError.ts"
import {
  endedByError,
  exited,
  killedBy,
  mainUrl,
  outOfMemory,
  type WorkerHandle,
  type WorkerListener,
  type WorkerStart
} from "./workerHandle.ts"
import { describeThrown, type FromWorker, watchFd } from "./workerMessage.ts"

/** What V8 prints before it gives up for want of memory, in all its variants. */
const heapIsFull = /JavaScript heap out of memory/

/** How long the end of a dead worker's pipes is waited for: a process that it started may hold them open. */
const drainMillis = 250

/**
 * Options of this process that mean something else, or nothing, in a worker: a debugger's port, a program as text, a
 * heap's size.
 */
const isOwn = (option: string): boolean =>
  /^--(?:inspect|debug|max-old-space-size|max_old_space_size|test|watch|input-type|cpu-prof|heap-prof)/.test(option)

const takesText = new Set(["-e", "--eval", "-p", "--print", "-pe"])

const inherited = (options: ReadonlyArray<string>): Array<string> =>
  options.filter((option, index) =>
    !isOwn(option) && !takesText.has(option) && !takesText.has(options[index - 1] ?? "")
  )

export const startProcess = (start: WorkerStart, listener: WorkerListener): WorkerHandle => {
  const hasGroups = process.platform !== "win32"
  const { memoryMegabytes } = start
  const child: ChildProcess = fork(fileURLToPath(mainUrl), [start.url.href, String(memoryMegabytes ?? 0)], {
    serialization: "advanced",
    detached: hasGroups,
    execArgv: [
      ...inherited(process.execArgv),
      ...(memoryMegabytes === undefined ? [] : [`--max-old-space-size=${memoryMegabytes}`]),
      ...start.execArgv
    ],
    stdio: ["ignore", "inherit", "pipe", "ipc", "pipe"]
  })
  const watch = child.stdio[watchFd] as Socket
  const stderr = child.stderr as Socket
  let died: WorkerDied | undefined
  let said = ""
  let exit: { readonly code: number | null; readonly signal: string | null } | undefined
  let ended = false
  let isDying = false

  const end = (): void => {
    if (ended) return
    ended = true
    if (died === undefined && heapIsFull.test(said)) died = outOfMemory(memoryMegabytes)
    const signal = exit?.signal ?? undefined
    listener.onEnd(died ?? (signal === undefined ? exited(exit?.code ?? 1) : killedBy(signal)))
  }
  const open = new Set<unknown>([child, watch, stderr])
  const close = (what: unknown): void => {
    open.delete(what)
    if (exit !== undefined && open.size === 0) end()
  }

  child.on("message", (message) => {
    const received = message as FromWorker
    if (received._tag === "Uncaught") died ??= endedByError(describeThrown(received.thrown))
    // A work that ends while its worker is being ended must not look like one whose worker can be used again.
    else if (!ended && !isDying) listener.onMessage(received)
  })
  child.once("disconnect", () => close(child))
  child.on("error", (error) => {
    // What could not be sent to a dying worker is of no interest: its end says more.
    if (child.pid !== undefined) return
    died ??= endedByError(`the process could not be started: ${error.message}`)
    exit ??= { code: 1, signal: null }
    end()
  })
  child.once("exit", (code, signal) => {
    exit = { code, signal }
    setTimeout(end, drainMillis)
    close(undefined)
  })
  stderr.on("data", (chunk: Buffer) => {
    process.stderr.write(chunk)
    said = (said + chunk.toString("utf8")).slice(-8_000)
  })
  stderr.once("close", () => close(stderr))
  watch.on("data", () => {
    died ??= outOfMemory(memoryMegabytes)
  })
  watch.once("close", () => close(watch))
  for (const stream of [stderr, watch]) stream.on("error", () => undefined)

  return {
    post: (message) => {
      if (child.connected) child.send(message, () => undefined)
    },
    terminate: () => {
      isDying = true
      if (exit !== undefined || child.pid === undefined) return
      try {
        process.kill(hasGroups ? -child.pid : child.pid, "SIGKILL")
      } catch {
        child.kill("SIGKILL")
      }
    },
    keepHostAlive: (isNeeded) => {
      for (const part of [child, child.channel, stderr, watch]) {
        if (isNeeded) part?.ref()
        else part?.unref()
      }
    }
  }
}
