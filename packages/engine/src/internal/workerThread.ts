/**
 * A worker that is a thread of this process: quick to start, light, and no fence against what takes the whole process
 * down.
 *
 * Its memory is watched from here, not bounded by `resourceLimits`: Node ends a thread that reaches such a limit, but
 * where it gets past the limit in one stride (an array that grows, a table that is rehashed) V8 ends the whole process.
 * So the limit is set far above the cap, and the thread is ended when its heap is seen above the cap. What is seen
 * includes what V8 has not collected yet, and memory of typed arrays and buffers.
 */
import { Worker } from "node:worker_threads"
import type { WorkerDied } from "../WorkerPoolError.ts"
import {
  endedByError,
  exited,
  mainUrl,
  outOfMemory,
  type WorkerHandle,
  type WorkerListener,
  type WorkerStart
} from "./workerHandle.ts"
import { describeThrown, toThrown } from "./workerMessage.ts"

const mebibyte = 1_048_576

/** How far V8's own limit is above the cap: room for one stride between two looks. */
const strideMegabytes = 2_048

const lookMillis = 50

/** A few loops are compiled without a place where they can be stopped. Who ended one does not wait for it for ever. */
const patienceMillis = 5_000

export const startThread = (start: WorkerStart, listener: WorkerListener): WorkerHandle => {
  const cap = start.memoryMegabytes
  const worker = new Worker(mainUrl, {
    name: start.name,
    workerData: { espalierWorkerUrl: start.url.href },
    ...(start.execArgv.length === 0 ? {} : { execArgv: [...process.execArgv, ...start.execArgv] }),
    ...(cap === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: cap + strideMegabytes } })
  })
  let died: WorkerDied | undefined
  let ended = false
  let isBusy = true
  let isDying = false
  let patience: NodeJS.Timeout | undefined

  const end = (reason: WorkerDied): void => {
    if (ended) return
    ended = true
    clearTimeout(patience)
    listener.onEnd(reason)
  }
  const terminate = (): void => {
    isDying = true
    void worker.terminate()
    patience ??= setTimeout(() => {
      worker.unref()
      const message =
        `a worker thread cannot be ended, and is left behind: restart this process when it suits, and give ` +
        `such work worker processes (${start.name})`
      listener.onMessage({
        _tag: "Log",
        work: 0,
        record: { level: "Error", messages: [message], cause: undefined, annotations: {} }
      })
      end(died ?? endedByError("it could not be ended"))
    }, patienceMillis)
  }

  /** Looks at the heap again and again while there is a work. The answer comes also out of an endless loop. */
  const watch = (capBytes: number): void => {
    const again = (): void => void setTimeout(look, lookMillis).unref()
    const look = (): void => {
      if (ended) return
      if (!isBusy) return again()
      worker.getHeapStatistics().then(
        (heap) => {
          if (heap.used_heap_size + heap.external_memory <= capBytes) return again()
          died ??= outOfMemory(cap)
          terminate()
        },
        again // until it runs, and once it ends, there is nothing to be seen
      )
    }
    look()
  }
  if (cap !== undefined) watch(cap * mebibyte)

  worker.on("message", (message) => {
    // A work that ends while its worker is being ended must not look like one whose worker can be used again.
    if (!ended && !isDying) listener.onMessage(message)
  })
  worker.on("messageerror", (error) => {
    died ??= endedByError(`a message could not be read: ${error.message}`)
    terminate()
  })
  worker.on("error", (error) => {
    died ??= "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY"
      ? outOfMemory(cap)
      : endedByError(describeThrown(toThrown(error)))
  })
  worker.on("exit", (code) => end(died ?? exited(code)))
  return {
    post: (message) => {
      if (!ended) worker.postMessage(message)
    },
    terminate,
    keepHostAlive: (isNeeded) => {
      isBusy = isNeeded
      if (isNeeded) worker.ref()
      else worker.unref()
    }
  }
}
