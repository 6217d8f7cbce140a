/**
 * The service: the run that is open, and the server in front of it. When it is interrupted, things end in this order: no new
 * connection is accepted and event streams end; requests under way are answered; the run is suspended and its journal closed.
 * Nothing is settled by it, and the next process that opens the run goes on with it.
 */
import { NodeHttpServer } from "@effect/platform-node"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { Console, Effect, Latch, Layer, Schedule } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { routes } from "./api.ts"
import { type Deployment, type JobsRun, Settings } from "./deployment.ts"

/**
 * - `port`: 0 takes any that is free. `most`: see `Settings`.
 * - `concurrency`: jobs that run at the same time. `capacity`: jobs that may be unsettled; more are sent away.
 * - `keep`: how many settled jobs can still be asked for.
 */
export interface ServerOptions {
  readonly filename: string
  readonly port: number
  readonly most: number
  readonly concurrency: number
  readonly capacity: number
  readonly keep: number
}

/** The run of all jobs, open as long as the scope is. Fails with `RunLocked` when another process has it for longer than 10 s. */
export const open = Effect.fnUntraced(function*(
  { Jobs }: Deployment,
  { capacity, concurrency, keep }: Pick<ServerOptions, "capacity" | "concurrency" | "keep">
) {
  const jobs = yield* Jobs
  let isTold = false
  return yield* jobs.open("jobs", { concurrency, capacity, retain: { count: keep }, owner: "primes service" }).pipe(
    Effect.tapError((error) => {
      if (error._tag !== "RunLocked" || isTold) return Effect.void
      isTold = true
      return Console.log(`waiting for the process before this one to stop: ${error.message}`)
    }),
    // The process before this one may still be stopping.
    Effect.retry({
      while: ({ _tag }) => _tag === "RunLocked",
      schedule: Schedule.spaced("200 millis").pipe(Schedule.upTo({ duration: "10 seconds" }))
    })
  )
})

const front = (deployment: Deployment, run: JobsRun, port: number) => {
  const stopping = Latch.makeUnsafe(false)
  const Server = NodeHttpServer.layer(createServer, { host: "127.0.0.1", port, gracefulShutdownTimeout: "2 seconds" })
  const Served = HttpRouter.serve(routes(deployment.Primes, run, stopping.await), {
    disableLogger: true,
    disableListenLog: true
  })
  // What is built last is released first: event streams end, and then the server waits for what is under way.
  const Announced = Layer.effectDiscard(Effect.gen(function*() {
    yield* HttpServer.addressFormattedWith((address) => Console.log(`listening on ${address}`))
    yield* Effect.addFinalizer(() => Effect.andThen(Console.log("stopping"), stopping.open))
  }))
  return Announced.pipe(Layer.provideMerge(Served), Layer.provide(Server))
}

/** Serves until it is interrupted. A journal that fails ends it: nothing more can be promised, and a new process may do better. */
export const serve = (deployment: Deployment, options: ServerOptions) =>
  Effect.gen(function*() {
    // The run first: who listens before there is a run to ask leaves the first clients without an answer.
    const run = yield* open(deployment, options)
    yield* Layer.build(front(deployment, run, options.port))
    return yield* run.await
  }).pipe(
    Effect.scoped,
    Effect.provide(deployment.JobsLive.pipe(
      Layer.provide([Settings.layer(options.most), JournalSqlite.layer({ filename: options.filename })])
    ))
  )
