/**
 * The first module of every worker, thread or process: it makes the channel to the pool, and imports the user's file,
 * which calls `serve`. It stands between so that a file that is not there, that throws, or that serves nothing is told
 * to the pool in words.
 */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import {
  builtUrl,
  channelKey,
  describeThrown,
  type FromWorker,
  toThrown,
  type ToWorker,
  watchFd,
  type WorkerChannel
} from "./workerMessage.ts"

const ofThread = (): WorkerChannel => {
  const port = parentPort!
  return {
    post: (message) => port.postMessage(message),
    listen: (listener) => void port.on("message", listener),
    exit: () => process.exit(0),
    isServed: false
  }
}

const ofProcess = (): WorkerChannel => {
  const send = (message: FromWorker, then?: () => void): void => void process.send!(message, () => then?.())
  // The host decides what becomes of the work. A signal that is sent to all processes of a service must not overtake
  // it.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => undefined)
  process.on("uncaughtException", (error) => send({ _tag: "Uncaught", thrown: toThrown(error) }, () => process.exit(1)))
  new Worker(builtUrl(new URL("./workerWatch.ts", import.meta.url)), {
    workerData: { fd: watchFd, memoryMegabytes: Number(process.argv[3]) },
    resourceLimits: { maxOldGenerationSizeMb: 32 }
  }).unref()
  return {
    post: send,
    listen: (listener) => void process.on("message", (message) => listener(message as ToWorker)),
    exit: () => process.exit(0),
    isServed: false
  }
}

const channel = isMainThread ? ofProcess() : ofThread()
Object.defineProperty(globalThis, channelKey, { value: channel })

const url: string = isMainThread ? process.argv[2]! : workerData.espalierWorkerUrl
try {
  await import(url)
  if (!channel.isServed) channel.post({ _tag: "StartFailed", message: "it does not call WorkerPool.serve" })
} catch (error) {
  const thrown = toThrown(error)
  channel.post({
    _tag: "StartFailed",
    message: `it cannot be imported: ${thrown._tag === "Error" ? thrown.stack ?? describeThrown(thrown) : thrown.text}`
  })
}
