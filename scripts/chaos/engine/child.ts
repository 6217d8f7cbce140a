/**
 * One life of the engine's chaos campaign: `child.ts JOURNAL RUN NOTES WORKS [RETAIN]`. Adds what is not added yet, works until
 * everything is done, and says so. What really happens is noted in the file NOTES, so that whoever does the accounting need
 * not believe the journal.
 *
 * `CHAOS_KILL` names the place to die at (see `../failpoint.ts`). With `CHAOS_CLOSE`, and on SIGTERM, the run is closed in order:
 * after so many events.
 */
import { CurrentWork, Failpoint, Slots, Step } from "@espalier/engine"
import { Deferred, Effect, Fiber, Layer, Queue, Schema, Stream } from "effect"
import { hook } from "../failpoint.ts"
import * as KillableJournal from "./killableJournal.ts"
import { openNotebook } from "./observations.ts"
import {
  asked,
  batch,
  batchCount,
  Bench,
  Chain,
  Doomed,
  Failing,
  failure,
  Flaky,
  isAwaited,
  Jobs,
  Leaf,
  Loop,
  options,
  Parent,
  Redo,
  rows,
  toolsOf,
  valueOf
} from "./works.ts"

const [filename = "", runId = "", notes = "", works = "", retain] = process.argv.slice(2)
const total = Number(works)
const closeAfter = Number(process.env["CHAOS_CLOSE"] ?? Infinity)
const { added, lastSeen, note } = openNotebook(notes)
const closing = Deferred.makeUnsafe<void>()
const close = (): void => void Deferred.doneUnsafe(closing, Effect.void)
process.on("SIGTERM", close)
const doomed = Effect.runSync(Queue.unbounded<string>())

/** The effect takes a moment, so that there is a middle to be killed in. */
const step = (
  n: number,
  name: string,
  { inside = Effect.void, tools = 0 }: {
    readonly inside?: Effect.Effect<unknown, never, CurrentWork.CurrentWork>
    readonly tools?: number
  } = {}
) =>
  Effect.flatMap(CurrentWork.CurrentWork, ({ generation, spec, start }) => {
    const what = `${spec.id} ${generation} ${start} ${name}`
    const effect = Effect.gen(function*() {
      note(`run ${what}`)
      yield* inside
      yield* Effect.sleep(n % 5)
      note(`did ${what}`)
      return valueOf(n, name)
    })
    return Step.run(name, Schema.Int, effect, tools === 0 ? {} : { slots: { tool: tools } }).pipe(
      Effect.tap(Effect.sync(() => note(`got ${what}`)))
    )
  })

const both = (n: number, tools = 0) => Effect.zipWith(step(n, "first"), step(n, "second", { tools }), (a, b) => a + b)

const handlers = Layer.mergeAll(
  Chain.toLayer(({ n }) => both(n, toolsOf(n))),
  Bench.toLayer(Effect.fn(function*({ n }) {
    yield* Slots.hold("bench", { bench: 1 }, { until: "second" })
    const { spec, steps } = yield* Effect.map(
      CurrentWork.CurrentWork,
      ({ port, spec }) => ({ spec, steps: port.steps })
    )
    if (!steps.has("second")) {
      note(`held ${spec.id}`)
      hook("held")
    }
    return yield* both(n)
  })),
  Parent.toLayer(Effect.fn(function*({ n }) {
    const first = yield* step(n, "first", { inside: Jobs.spawn(Leaf, { n }) })
    yield* Jobs.spawn(Leaf, { n })
    return first + (yield* step(n, "second"))
  })),
  Leaf.toLayer(({ n }) => step(n, "leaf")),
  Flaky.toLayer(Effect.fn(function*({ n }) {
    const { attempt } = yield* CurrentWork.CurrentWork
    const first = yield* step(n, "first")
    if (attempt === 1) return yield* Effect.fail("the first attempt fails")
    return first + (yield* step(n, "second"))
  })),
  Redo.toLayer(Effect.fn(function*({ n }) {
    const { generation } = yield* CurrentWork.CurrentWork
    const result = yield* both(n)
    return generation === 0 ? yield* Effect.fail("the second step is to be done again") : result
  })),
  Loop.toLayer(Effect.fn(function*() {
    const { generation, spec, start } = yield* CurrentWork.CurrentWork
    const cursor = yield* Step.cursor("row", Schema.Int, 0)
    for (let row = cursor.current + 1; row <= rows; row++) {
      const what = `${spec.id} ${generation} ${start} row-${row}`
      note(`run ${what}`)
      yield* Effect.sleep(1)
      note(`did ${what}`)
      yield* cursor.advance(row)
      note(`got ${what}`)
    }
    return rows
  })),
  Doomed.toLayer(
    Effect.fn(function*({ n }) {
      const { spec } = yield* CurrentWork.CurrentWork
      yield* step(n, "first")
      yield* Queue.offer(doomed, spec.id)
      return yield* Effect.never
    }),
    {
      onCancel: ({ n }) =>
        Effect.gen(function*() {
          const { spec } = yield* CurrentWork.CurrentWork
          note(`undo ${spec.id}`)
          yield* Effect.sleep(n % 5)
          hook("undo")
        })
    }
  ),
  Failing.toLayer(Effect.fn(function*({ n }) {
    yield* step(n, "first")
    yield* Jobs.spawn(Leaf, { n }, { on: "failure" })
    return yield* Effect.fail(failure)
  }))
)

const program = Effect.gen(function*() {
  const run = yield* (yield* Jobs).open(runId, {
    ...options,
    ...(retain === undefined ? {} : { retain: { count: Number(retain) } })
  })
  console.log("opened")

  let seen = 0
  const watching = yield* run.events({ after: lastSeen }).pipe(
    Stream.runForEach(({ event, seq }) =>
      Effect.sync(() => {
        note(event._tag === "RunSnapshot" ? `gap ${seq}` : `saw ${seq} ${JSON.stringify(event)}`)
        seen += 1
        if (seen >= closeAfter) close()
      })
    ),
    Effect.forkScoped
  )
  let shown = 0
  yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
    const { counts, seq } = yield* run.status
    if (seq !== shown) note(`status ${seq} ${counts.succeeded}`)
    shown = seq
    yield* Effect.sleep(25)
  })))
  yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
    const id = yield* Queue.take(doomed)
    yield* run.cancelWork(id, asked)
    note(`cancelled ${id}`)
  })))

  for (let number = 0; number < batchCount(total); number++) {
    const isKnown = added.has(number)
    // What settled may be forgotten, and then its ids are free: what is known to be added must not be added again.
    if (isKnown && retain !== undefined) continue
    // One that was durable, but whose acknowledgement died with the process, is there already: whole or not at all.
    const isNew = yield* run.add(batch(number, total)).pipe(
      Effect.as(true),
      Effect.catchTag("DuplicateWork", () => Effect.succeed(false))
    )
    if (!isKnown) note(`added ${number}`)
    else if (isNew) note(`readded ${number}`)
  }
  for (let n = 0; n < total; n++) {
    if (!isAwaited(n)) continue
    // One that is forgotten, or that the end of this life comes before, is not told.
    const told = Effect.flatMap(run.job(Chain, `work-${n}`), (job) => job.await)
    yield* Effect.forkScoped(
      Effect.ignore(Effect.tap(told, (value) => Effect.sync(() => note(`ended work-${n} ${value}`))))
    )
  }
  // The life before this one may have died when all was done.
  if ((yield* run.status).state !== "completed") yield* run.close

  const end = yield* Effect.raceFirst(
    Effect.as(Fiber.join(watching), "completed"),
    Effect.as(Deferred.await(closing), "suspended")
  )
  const { counts, forgotten } = yield* run.status
  return { end, counts: { ...counts, forgotten } }
}).pipe(
  Effect.scoped,
  Effect.provide(Jobs.layer.pipe(Layer.provide(handlers), Layer.provide(KillableJournal.layer(filename)))),
  Effect.provideService(Failpoint.Failpoint, hook)
)

console.log(JSON.stringify(await Effect.runPromise(program)))
