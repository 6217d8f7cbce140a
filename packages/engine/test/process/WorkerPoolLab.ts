/** An engine on a memory journal whose kinds are handled by a pool. */
import { Journal, type Run, type RunError, RunStatus } from "@espalier/engine"
import * as WorkerPool from "@espalier/engine/WorkerPool"
import { WorkStopped } from "@espalier/engine/RunError"
import { Effect, Layer, Stream } from "effect"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Brief, Child, Frail, Jobs, Lively, since, Task } from "./WorkerPoolTasks.ts"

export type Isolation = "thread" | "process"
export const isolations: ReadonlyArray<Isolation> = ["thread", "process"]

export const workerUrl = new URL("./WorkerPoolTasks.worker.ts", import.meta.url)

export const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "espalier-worker-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

export const linesOf = (file: string): ReadonlyArray<string> =>
  existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : []

/** The message that a work ends with. */
export const messageOf = <E extends { readonly message: string }>(
  job: { readonly await: Effect.Effect<unknown, E> }
): Effect.Effect<string, unknown> => Effect.map(Effect.flip(job.await), ({ message }) => message)

/** The reason of a work that ends with neither a success nor an error of its kind. */
export const reasonOf = <E>(
  job: { readonly await: Effect.Effect<unknown, E | RunError.WorkStopped> }
): Effect.Effect<RunError.EndReason, unknown> =>
  Effect.flatMap(
    Effect.flip(job.await),
    (error) => error instanceof WorkStopped ? Effect.succeed(error.reason) : Effect.fail(error)
  )

/**
 * The engine, with a pool in the test's scope. Its journal outlives a closing of the run, as a file would; it can be
 * that of another laboratory.
 */
export const laboratory = Effect.fnUntraced(function*(
  { journal = Journal.layerMemory, ...options }: Partial<WorkerPool.PoolOptions> & {
    readonly isolation: Isolation
    readonly journal?: Layer.Layer<Journal.Journal>
  }
) {
  const notes = join(yield* directory, "notes")
  const pool = WorkerPool.layer({ url: workerUrl, size: 2, ...options })
  const handlers = Layer.mergeAll(
    WorkerPool.handler(Task, { onCancel: "worker" }),
    WorkerPool.handler(Brief),
    WorkerPool.handler(Lively),
    WorkerPool.handler(Child),
    WorkerPool.handler(Frail)
  )
  const context = yield* Layer.build(
    Jobs.layer.pipe(Layer.provide(handlers), Layer.provide([pool, journal]))
  )
  const engine = yield* Effect.provide(Jobs, context)
  const task = (how: string) => ({ how, notes, since })
  return { engine, notes, task, lines: () => linesOf(notes) }
})

/** The first status of which this holds. */
export const statusWhere = (
  run: Run.Run<never>,
  holds: (status: RunStatus.RunStatus) => boolean
): Effect.Effect<RunStatus.RunStatus> =>
  run.changes.pipe(
    Stream.filter(holds),
    Stream.runHead,
    Effect.flatMap(Effect.fromOption),
    Effect.orDie
  )

/** The progress of a work, as soon as it has some. */
export const progressOf = (run: Run.Run<never>, id: string) =>
  Effect.map(
    statusWhere(run, ({ running }) => running.some((work) => work.id === id && work.progress !== undefined)),
    ({ running }) => running.find((work) => work.id === id)!.progress!
  )

/** Why a work is held back, in words, as soon as it is. */
export const whyBlocked = (run: Run.Run<never>, id: string) =>
  Effect.gen(function*() {
    yield* Stream.runHead(Stream.filter(
      Stream.mapEffect(run.changes, () => Effect.orDie(run.work(id))),
      ({ state }) => state === "blocked"
    ))
    const { outcome, reason } = yield* Effect.orDie(run.work(id))
    return outcome === undefined && reason !== undefined ? RunStatus.describe(reason) : "it is not held back"
  })

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
