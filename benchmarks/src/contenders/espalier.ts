/**
 * Ours, through its public API alone: kinds with schemas, every event in the journal, the status kept, and somebody
 * who watches it (`run.changes`) wherever speed is measured.
 */
import { Journal, type Run, type RunStatus, Step, WorkEngine, WorkKind, type WorkSpec } from "@espalier/engine"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { Effect, Fiber, Layer, ManagedRuntime, Schema, Stream } from "effect"
import { join } from "node:path"
import { bytesPerWork, latency, throughput } from "../Clock.ts"
import {
  assertDone,
  batches,
  type Bench,
  type Benches,
  inFlight,
  type Measured,
  memoryConcurrency,
  noop,
  parcelOf,
  payloadOf,
  priorityOf,
  shortId,
  type Trial
} from "../Trial.ts"

class Task extends WorkKind.make("Task", { payload: { n: Schema.Int } }) {}
class Steps extends WorkKind.make("Steps", { payload: { n: Schema.Int } }) {}
class Probe extends WorkKind.make("Probe", { payload: { n: Schema.Int } }) {}
class Parcel extends WorkKind.make("Parcel", { payload: { data: Schema.String } }) {}
class Jobs extends WorkEngine.Service<Jobs>()("benchmarks/Jobs", { kinds: [Task, Steps, Probe, Parcel] }) {}

/** When the handler of the last probe began, and of the first. */
let began = 0
const firstBegan = Promise.withResolvers<number>()

const handlers = Layer.mergeAll(
  Task.toLayer((payload) => Effect.promise(() => noop(payload))),
  Steps.toLayer(Effect.fnUntraced(function*(payload) {
    for (const name of ["first", "second", "third"]) {
      yield* Step.run(name, Schema.Void, Effect.promise(() => noop(payload)))
    }
  })),
  Probe.toLayer((payload) => {
    began = performance.now()
    firstBegan.resolve(began)
    return Effect.promise(() => noop(payload))
  }),
  Parcel.toLayer((payload) => Effect.promise(() => noop(payload)))
)

type JournalKind = "memory" | "sqlite"

/** An engine for one trial. */
const start = (trial: Trial, journal: JournalKind) =>
  ManagedRuntime.make(
    Jobs.layer.pipe(
      Layer.provide(handlers),
      Layer.provide(
        journal === "memory"
          ? Journal.layerMemory
          : JournalSqlite.layer({ filename: join(trial.directory, "journal.db") })
      )
    )
  )

const taskOf = (n: number): WorkSpec.WorkSpec => ({ id: `work-${n}`, kind: "Task", priority: 0, payload: payloadOf(n) })
const prioritisedOf = (n: number): WorkSpec.WorkSpec => ({ ...taskOf(n), priority: priorityOf(n) })
const stepsOf = (n: number): WorkSpec.WorkSpec => ({ ...taskOf(n), kind: "Steps" })
const parcelSpecOf = (n: number): WorkSpec.WorkSpec => ({
  id: shortId(n),
  kind: "Parcel",
  priority: 0,
  payload: parcelOf(n)
})

type AnyRun = Run.Run<typeof Jobs.kinds[number]>

const add = Effect.fnUntraced(
  function*(run: AnyRun, works: number, specOf: (n: number) => WorkSpec.WorkSpec) {
    for (const numbers of batches(works)) yield* run.add(numbers.map(specOf))
  }
)

/** How the works of a round are made. With a backlog, none starts before all are added. */
interface Round {
  readonly concurrency: number
  readonly specOf: (n: number) => WorkSpec.WorkSpec
  readonly backlog?: boolean
}

/**
 * Adds works in batches to a new run, and waits until all have succeeded; and, with `eventsRead`, until a reader that was
 * there from the start has had every event of it.
 */
const round = Effect.fnUntraced(function*(
  id: string,
  works: number,
  { backlog = false, concurrency, specOf }: Round,
  eventsRead: boolean
) {
  const run = yield* (yield* Jobs).open(id, { concurrency })
  yield* Effect.forkScoped(Stream.runDrain(run.changes))
  const reader = eventsRead ? yield* Effect.forkScoped(Stream.runDrain(run.events())) : undefined
  if (backlog) yield* run.pause()
  yield* add(run, works, specOf)
  if (backlog) yield* run.resume()
  yield* run.close
  const status: RunStatus.RunStatus = yield* run.await
  assertDone("espalier", status.counts.succeeded, works)
  if (reader !== undefined) yield* Fiber.join(reader)
  return status.seq
}, Effect.scoped)

const rounds = (journal: JournalKind, options: Round): Bench => ({
  measure: async (trial) => {
    const runtime = start(trial, journal)
    let next = 0
    let events = 0
    const measured: Measured = await throughput(trial, async (works) => {
      events = await runtime.runPromise(round(`round-${next++}`, works, options, trial.variant === "events"))
    })
    const speed = measured["works/s"]
    // What an event costs, where it is asked how that grows with the size of a run.
    if (trial.workload !== "memory-backlog" || speed === undefined) return measured
    return { ...measured, "us/event": 1e6 * trial.works / (speed * events) }
  }
})

const backlog = rounds("memory", { concurrency: memoryConcurrency, specOf: prioritisedOf, backlog: true })
const durable = rounds("sqlite", { concurrency: inFlight, specOf: taskOf })

/** Submits one work after the other to an engine that is idle. */
const probes = (journal: JournalKind): Bench => ({
  measure: (trial) =>
    start(trial, journal).runPromise(Effect.scoped(Effect.gen(function*() {
      const run = yield* (yield* Jobs).open("probes", { concurrency: memoryConcurrency })
      const context = yield* Effect.context()
      const sample = Effect.fnUntraced(function*(n: number) {
        const job = yield* run.submit(Probe, payloadOf(n))
        yield* job.await
        return began
      })
      return yield* Effect.promise(() => latency(trial, (n) => Effect.runPromiseWith(context)(sample(n))))
    })))
})

/** The run that `resume` is about: paused, with all its works queued. */
const queued = "queued"

const resume: Bench = {
  prepare: (trial) =>
    start(trial, "sqlite").runPromise(
      Effect.gen(function*() {
        const run = yield* (yield* Jobs).start(queued, { concurrency: 1 })
        yield* run.pause()
        yield* add(run, trial.works, (n) => ({ ...taskOf(n), kind: "Probe" }))
        // Here, inside the scope, it is a resume after a crash, from the events alone; one that is closed leaves a snapshot.
        if (trial.variant === "journal") process.exit(0)
      }).pipe(Effect.scoped)
    ).then(() => process.exit(0)),
  measure: (trial) => {
    const from = performance.now()
    return start(trial, "sqlite").runPromise(Effect.scoped(Effect.gen(function*() {
      const run = yield* (yield* Jobs).resume(queued, { concurrency: 1 })
      const { counts } = yield* run.status
      const resumed = performance.now()
      assertDone("espalier", counts.queued, trial.works)
      yield* run.resume()
      const started = yield* Effect.promise(() => firstBegan.promise)
      return { s: (resumed - from) / 1_000, "s to the first start": (started - from) / 1_000 }
    })))
  }
}

const bytes: Bench = {
  measure: (trial) => {
    const runtime = start(trial, trial.variant === "memory" ? "memory" : "sqlite")
    return runtime.runPromise(Effect.scoped(Effect.gen(function*() {
      const run = yield* (yield* Jobs).open("bytes", { concurrency: 1 })
      yield* run.pause()
      const fill = Effect.as(add(run, trial.works, parcelSpecOf), { keep: run })
      const context = yield* Effect.context()
      const measured = yield* Effect.promise(() => bytesPerWork(trial, () => Effect.runPromiseWith(context)(fill)))
      const { counts } = yield* run.status
      assertDone("espalier", counts.queued, trial.works)
      return measured
    })))
  }
}

export const benches: Benches = {
  "memory-fifo": rounds("memory", { concurrency: memoryConcurrency, specOf: taskOf }),
  "memory-priorities": backlog,
  "memory-backlog": backlog,
  durable,
  "loop-delay": durable,
  "durable-steps": rounds("sqlite", { concurrency: inFlight, specOf: stepsOf }),
  "latency-memory": probes("memory"),
  "latency-durable": probes("sqlite"),
  resume,
  "bytes-per-work": bytes
}
