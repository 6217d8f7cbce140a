/**
 * What the tests of `WorkerPool` have workers do. The same layers run in the host, too, where nothing of it is fatal.
 */
import { CurrentWork, Progress, Projection, Slots, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { Effect, Layer, Schedule, Schema } from "effect"
import { execFileSync } from "node:child_process"
import { appendFileSync } from "node:fs"

export class Boom extends Schema.TaggedError<Boom>()("Boom", { why: Schema.String, at: Schema.Date }) {}

/** `how` names one of `tasks`; what it has to note goes to the file `notes`, a line each. It survives no worker. */
export class Task extends WorkKind.make("Task", {
  payload: { how: Schema.String, notes: Schema.String, since: Schema.Date },
  success: Schema.Json,
  error: Boom,
  retry: Schedule.spaced("10 millis").pipe(Schedule.upTo({ times: 1 })),
  retryIf: (failure) => failure._tag !== "WorkerDied",
  timeout: "30 seconds"
}) {}

/** Takes its worker down in its first `deaths` attempts, and is tried again twice. */
export class Frail extends WorkKind.make("Frail", {
  payload: { how: Schema.String, deaths: Schema.Int, notes: Schema.String },
  success: Schema.String,
  retry: Schedule.spaced("10 millis").pipe(Schedule.upTo({ times: 2 })),
  retryIf: (failure) => failure._tag === "WorkerDied",
  limit: 1
}) {}

/** A short time-out. */
export class Brief extends WorkKind.make("Brief", {
  payload: { how: Schema.String },
  success: Schema.String,
  timeout: "1500 millis"
}) {}

/** Is stalled when it gives no sign of life. */
export class Lively extends WorkKind.make("Lively", {
  payload: { beats: Schema.Int },
  success: Schema.String,
  stallAfter: "1500 millis"
}) {}

export class Child extends WorkKind.make("Child", { payload: { of: Schema.String }, success: Schema.String }) {}

export class Jobs
  extends WorkEngine.Service<Jobs>()("test/WorkerJobs", { kinds: [Task, Brief, Lively, Child, Frail] }) {}

/** The epoch, in every payload and error: dates show that schemas encode what crosses. */
export const since = new Date(0)

const events = Projection.make({
  initial: () => ({ started: 0 }),
  evolve: (state, { event }) => {
    if (event._tag === "WorkStarted") state.started += 1
  }
})

interface Given {
  readonly note: (line: string) => Effect.Effect<void>
  readonly since: Date
}
type Handler = (
  given: Given
) => Effect.Effect<Schema.Json, Boom, CurrentWork.CurrentWork | import("effect/Scope").Scope>

const spin = Effect.sync((): never => {
  for (;;);
})

/** Grows on V8's heap until there is no more. */
const grow = Effect.sync((): never => {
  const kept: Array<unknown> = []
  for (;;) kept.push({ number: kept.length, text: `number ${kept.length}` })
})

export const tasks: Readonly<Record<string, Handler>> = {
  succeed: ({ since }) => Effect.succeed({ year: since.getUTCFullYear(), pool: true }),
  fail: ({ since }) => Effect.fail(new Boom({ why: "rain", at: since })),
  die: () => Effect.die(new RangeError("out of range")),
  "die of a string": () => Effect.die("just so"),
  "interrupt itself": () => Effect.interrupt,
  note: ({ note }) => Effect.flatMap(CurrentWork.CurrentWork, ({ spec }) => Effect.as(note(spec.id), null)),
  where: () => Effect.sync(() => process.pid),
  steps: ({ note }) =>
    Effect.gen(function*() {
      const work = yield* CurrentWork.CurrentWork
      const first = yield* Step.run("first", Schema.Date, Effect.as(note("first"), new Date(86_400_000)))
      yield* note(`attempt ${work.attempt}`)
      if (work.attempt === 1) return yield* new Boom({ why: "first attempt", at: since })
      const second = yield* Step.run("second", Schema.Int, Effect.as(note("second"), 2))
      return { first: first.toISOString(), second, key: work.idempotencyKey("launch"), run: work.runId }
    }),
  "a step twice": () =>
    Effect.as(
      Effect.andThen(Step.run("same", Schema.Void, Effect.void), Step.run("same", Schema.Void, Effect.void)),
      1
    ),
  cursor: ({ note }) =>
    Effect.gen(function*() {
      const work = yield* CurrentWork.CurrentWork
      const cursor = yield* Step.cursor("rows", Schema.Int, 0)
      for (let row = cursor.current; row < 4; row++) {
        yield* note(`row ${row}`)
        yield* cursor.advance(row + 1)
        if (row === 1 && work.attempt === 1) return yield* new Boom({ why: "in the middle", at: since })
      }
      return cursor.current
    }),
  "read the other": () =>
    Effect.gen(function*() {
      const succeeded = yield* Effect.orDie(CurrentWork.outcome(Child, "child"))
      const failed = yield* Effect.orDie(Effect.flip(CurrentWork.outcome(Task, "fail")))
      const missing = yield* Effect.orDie(Effect.flip(CurrentWork.outcome(Task, "nobody")))
      return { succeeded, failed: failed._tag, missing: missing._tag, isClass: failed instanceof Boom }
    }),
  "two steps": ({ note }) =>
    Effect.gen(function*() {
      yield* Step.run("one", Schema.Void, Effect.andThen(note("one"), Effect.sleep("300 millis")))
      return yield* Step.run("two", Schema.String, Effect.as(note("two"), "done"))
    }),
  "spawn in onCancel": () => Effect.andThen(Progress.report({ current: 1 }), Effect.never),
  block: ({ note }) =>
    Effect.gen(function*() {
      yield* Progress.report({ current: 1 })
      yield* Effect.sync(() => execFileSync(process.execPath, ["-e", "setTimeout(() => {}, 8000)"]))
      return yield* Effect.as(note("unblocked"), null)
    }),
  spawn: () =>
    Effect.gen(function*() {
      yield* Jobs.spawn(Child, { of: "handler" })
      yield* Step.run("inside", Schema.Void, Effect.asVoid(Jobs.spawn(Child, { of: "step" })))
      return yield* Jobs.spawn(Child, { of: "chosen" }, { id: "chosen", priority: -1 })
    }),
  "spawn and fail": () =>
    Effect.andThen(
      Effect.all([
        Jobs.spawn(Child, { of: "repair" }, { on: "failure", id: "repair" }),
        Jobs.spawn(Child, { of: "no" })
      ]),
      Effect.die("after spawning")
    ),
  "spawn and exit": () =>
    Effect.andThen(
      Jobs.spawn(Child, { of: "the dead" }, { on: "failure", id: "repair" }),
      Effect.sync(() => process.exit(1))
    ),
  progress: () =>
    Effect.gen(function*() {
      for (let current = 0; current <= 10_000; current++) yield* Progress.report({ current })
      yield* Progress.report({ current: 3, total: 9, stage: "middle", message: "so far", data: { loss: [0.5, 0.25] } })
      return yield* Effect.never
    }),
  "progress and spin": () => Effect.andThen(Progress.report({ current: 1, data: process.pid }), spin),
  "progress that cannot be sent": () =>
    Effect.as(Progress.report({ current: 1, data: { callback: () => undefined } }), "sent"),
  "late progress that cannot be sent": () =>
    Effect.gen(function*() {
      yield* Progress.report({ current: 1 })
      yield* Progress.report({ current: 2, data: { callback: () => undefined } })
      yield* Effect.sleep("100 millis")
      return yield* Step.run("next", Schema.String, Effect.succeed("sent"))
    }),
  spin: () => spin,
  "step and spin": ({ note }) =>
    Effect.gen(function*() {
      yield* Step.run("launch", Schema.String, Effect.as(note("launch"), "job 7"))
      yield* Progress.report({ current: 1 })
      return yield* spin
    }),
  wait: ({ note }) =>
    Effect.gen(function*() {
      const work = yield* CurrentWork.CurrentWork
      yield* Effect.addFinalizer(() => Effect.flatMap(work.stopReason, (reason) => note(`stopped: ${reason}`)))
      yield* Step.run("begin", Schema.Void, note("begin"))
      yield* Progress.report({ current: 1, data: process.pid })
      return yield* Effect.never
    }),
  "wait once": ({ note }) =>
    Effect.gen(function*() {
      const work = yield* CurrentWork.CurrentWork
      const began = work.port.steps.has("begin")
      yield* Step.run("begin", Schema.Void, note("begin"))
      yield* Progress.report({ current: 1 })
      return yield* began ? Effect.succeed(`attempt ${work.attempt}`) : Effect.never
    }),
  "never let go": ({ note }) =>
    Effect.andThen(
      Progress.report({ current: 1 }),
      Effect.uninterruptible(Effect.andThen(note("holding"), Effect.never))
    ),
  grow: () => grow,
  "step and grow": ({ note }) => Effect.andThen(Step.run("before", Schema.Void, note("before")), grow),
  "grow one array": () =>
    Effect.sync((): never => {
      const kept: Array<number> = []
      for (;;) kept.push(kept.length)
    }),
  leap: () => {
    let kept: Array<number> = []
    return Effect.andThen(
      Effect.sync(() => {
        kept = new Array<number>(40_000_000).fill(1.5)
      }),
      Effect.andThen(Effect.never, Effect.sync(() => kept.length))
    )
  },
  "grow outside of the heap": () =>
    Effect.sync((): never => {
      const kept: Array<Float64Array> = []
      for (;;) kept.push(new Float64Array(500_000).fill(kept.length))
    }),
  exit: () => Effect.sync(() => process.exit(7)),
  abort: () => Effect.sync(() => process.abort()),
  "throw in a timer": () =>
    Effect.andThen(
      Effect.sync(() =>
        void setTimeout(() => {
          throw new TypeError("nobody listens")
        })
      ),
      Effect.never
    ),
  hold: ({ note }) =>
    Effect.gen(function*() {
      yield* Slots.hold("bench", { bench: 1 }, { until: "end" })
      yield* note("has the bench")
      yield* Step.run("start", Schema.Void, Effect.sleep("50 millis"))
      yield* note("gives it back")
      yield* Step.run("end", Schema.Void, Effect.void)
      yield* Step.run("claim", Schema.Void, note("claims it again"), { slots: { bench: 1 } })
      return null
    }),
  "hold what is not there": () => Effect.as(Slots.hold("attic", { attic: 1 }), null),
  span: () =>
    Effect.gen(function*() {
      const span = yield* Effect.orDie(Effect.currentParentSpan)
      yield* Jobs.spawn(Child, { of: "span" }, { id: "below" })
      yield* Step.run("inside", Schema.Void, Effect.asVoid(Jobs.spawn(Child, { of: "span" }, { id: "inside" })))
      return { traceId: span.traceId, spanId: span.spanId }
    }),
  history: () =>
    Effect.gen(function*() {
      const work = yield* CurrentWork.CurrentWork
      const past = yield* Effect.orDie(work.history(0))
      const { started } = yield* Effect.orDie(events)
      return { first: past[0]!.event._tag, started }
    }),
  log: () =>
    Effect.gen(function*() {
      yield* Effect.logInfo("from the worker", { n: 1 }).pipe(Effect.annotateLogs("part", "handler"))
      yield* Effect.logDebug("too quiet")
      return null
    })
}

export const TaskLive = Task.toLayer(
  ({ how, notes, since }) =>
    tasks[how]!({ since, note: (line) => Effect.sync(() => appendFileSync(notes, `${line}\n`)) }),
  {
    onCancel: Effect.fnUntraced(function*({ how, notes }, { actor, reason, recorded }) {
      if (how === "spawn in onCancel") yield* Jobs.spawn(Child, { of: "the cancelled" })
      appendFileSync(notes, `cancel ${how}: ${reason} by ${actor}, launched ${recorded("launch", Schema.String)}\n`)
    })
  }
)

export const BriefLive = Brief.toLayer(({ how }) =>
  how === "spin"
    ? Effect.andThen(Progress.report({ current: 1 }), spin)
    : Effect.succeed(how)
)

export const LivelyLive = Lively.toLayer(({ beats }) =>
  Effect.repeat(Effect.andThen(Progress.heartbeat, Effect.sleep("200 millis")), { times: beats }).pipe(
    Effect.andThen(beats === 0 ? Effect.never : Effect.succeed("alive"))
  )
)

export const FrailLive = Frail.toLayer(Effect.fnUntraced(function*({ deaths, how, notes }) {
  const note = (line: string) => Effect.sync(() => appendFileSync(notes, `${line}\n`))
  const { attempt } = yield* CurrentWork.CurrentWork
  const first = yield* Step.run("first", Schema.Int, Effect.as(note("first"), attempt))
  yield* note(`attempt ${attempt}`)
  if (attempt <= deaths) yield* Effect.orDie(tasks[how]!({ note, since }))
  return `attempt ${attempt}, with the step of attempt ${first}`
}))

export const ChildLive = Child.toLayer(({ of }) => Effect.succeed(`child of ${of}`))

/** Notes that the layer of a worker was closed, in the file that the environment names. */
export const ClosingLive = Layer.effectDiscard(
  Effect.addFinalizer(() =>
    Effect.sync(() => {
      const file = process.env["ESPALIER_TEST_CLOSED"]
      if (file !== undefined) appendFileSync(file, `closed ${process.pid}\n`)
    })
  )
)
