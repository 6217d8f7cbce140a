/**
 * A host for `WorkerPoolHost.test.ts` to kill, signal, or leave alone:
 *
 *   node --conditions=espalier-source WorkerPoolHost.ts MODE ISOLATION JOURNAL HOW
 *
 * `run` runs the task HOW, prints the process id of the worker as soon as the task tells it, and the end of the work.
 * `leave` runs it and then ends by itself, without closing the pool.
 */
import { NodeRuntime } from "@effect/platform-node"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import * as WorkerPool from "@espalier/engine/WorkerPool"
import { Console, Effect, Layer, ManagedRuntime } from "effect"
import { type Isolation, progressOf, workerUrl } from "./WorkerPoolLab.ts"
import { Brief, Child, Frail, Jobs, Lively, since, Task } from "./WorkerPoolTasks.ts"

const [mode, isolation, filename = "", how = ""] = process.argv.slice(2)

const pool = WorkerPool.layer({
  url: workerUrl,
  size: 1,
  isolation: isolation as Isolation,
  terminateAfter: "200 millis"
})
const handlers = Layer.mergeAll(
  WorkerPool.handler(Task, { onCancel: "worker" }),
  WorkerPool.handler(Brief),
  WorkerPool.handler(Lively),
  WorkerPool.handler(Child),
  WorkerPool.handler(Frail)
)
const live = Jobs.layer.pipe(
  Layer.provide(handlers),
  Layer.provide([pool, JournalSqlite.layer({ filename })])
)

const program = Effect.gen(function*() {
  const run = yield* (yield* Jobs).open("r", { concurrency: 1 })
  const payload = { how, notes: `${filename}.notes`, since }
  const job = yield* run.submit(Task, payload, { id: how }).pipe(
    Effect.catchTag("DuplicateWork", () => run.job(Task, how))
  )
  yield* Effect.forkChild(
    Effect.flatMap(progressOf(run, how), ({ data }) => Console.log(`worker ${data}`)),
    { startImmediately: true }
  )
  const { attempt } = yield* run.work(how)
  yield* Console.log(`attempt ${attempt}`)
  yield* Console.log(`end ${JSON.stringify(yield* job.await)}`)
}).pipe(Effect.scoped)

if (mode === "leave") await ManagedRuntime.make(live).runPromise(program)
else NodeRuntime.runMain(Effect.provide(program, live))
