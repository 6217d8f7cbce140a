/**
 * A process that asks for durable things and leaves a mark before each asking and after each answer: `DurableChild.ts JOURNAL MARKS`.
 * `Durability.test.ts` traces it.
 */
import { CurrentWork, Journal, Slots, Step, WorkEngine, WorkKind } from "@espalier/engine"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { Effect, Layer, Schema } from "effect"
import { openSync, writeSync } from "node:fs"

const [filename = "", marks = ""] = process.argv.slice(2)
const fd = openSync(marks, "a")
const mark = (sort: "ask" | "ack", name: string) => Effect.sync(() => void writeSync(fd, `${sort} ${name}\n`))

const marked = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  mark("ask", name).pipe(Effect.andThen(effect), Effect.tap(mark("ack", name)))

/** Never ends, so that nothing is recorded but what is submitted. */
class Waiting extends WorkKind.make("Waiting", { payload: { n: Schema.Int } }) {}
class Busy extends WorkKind.make("Busy", { payload: { n: Schema.Int } }) {}
class Jobs extends WorkEngine.Service<Jobs>()("real/Jobs", { kinds: [Waiting, Busy] }) {}

const handlers = Layer.merge(
  Waiting.toLayer(() => Effect.never),
  Busy.toLayer(Effect.fn(function*() {
    const { spec } = yield* CurrentWork.CurrentWork
    // Asked for at the end of the step's effect: what follows is its record.
    const step = (name: string) =>
      Step.run(name, Schema.Void, mark("ask", `record-${spec.id}-${name}`)).pipe(
        Effect.andThen(mark("ack", `record-${spec.id}-${name}`))
      )
    yield* marked(`hold-${spec.id}`, Slots.hold("bench", { bench: 1 }, { until: "second" }))
    yield* step("first")
    yield* step("second")
    const cursor = yield* Step.cursor("row", Schema.Int, 0)
    for (let row = 1; row <= 3; row++) yield* marked(`cursor-${spec.id}-${row}`, cursor.advance(row))
    yield* mark("ask", `outcome-${spec.id}`)
  }))
)

/** Nothing but these submits is written: the first work goes on for ever, and no other may start. */
const oneByOne = Effect.gen(function*() {
  const run = yield* (yield* Jobs).open("one-by-one", { concurrency: 1 })
  yield* run.submit(Waiting, { n: 0 })
  for (let n = 1; n <= 200; n++) yield* marked(`alone-${n}`, run.submit(Waiting, { n }))
}).pipe(Effect.scoped)

const working = Effect.gen(function*() {
  const run = yield* (yield* Jobs).open("working", { concurrency: 2, pools: { bench: 1 } })
  for (let n = 1; n <= 20; n++) {
    const job = yield* marked(`submit-w${n}`, run.submit(Busy, { n }, { id: `w${n}` }))
    yield* job.await
    yield* mark("ack", `outcome-w${n}`)
  }
}).pipe(Effect.scoped)

const controls = Effect.gen(function*() {
  const run = yield* (yield* Jobs).open("controls", { concurrency: 1 })
  yield* Effect.forEach([1, 2, 3], (n) => run.submit(Waiting, { n }, { id: `w${n}` }))
  yield* marked("control-pause", run.pause())
  yield* marked("control-reprioritize", run.reprioritize("w3", -1))
  yield* marked("control-pauseWork", run.pauseWork("w3"))
  yield* marked("control-cancelWork", run.cancelWork("w2"))
  yield* marked("control-setConcurrency", run.setConcurrency(3))
  yield* marked("control-resume", run.resume())
  yield* marked("control-cancel", run.cancel())
}).pipe(Effect.scoped)

const manyAtOnce = Effect.gen(function*() {
  const run = yield* (yield* Jobs).open("many", { concurrency: 1 })
  yield* Effect.forEach(
    Array.from({ length: 100 }, (_, index) => index),
    (part) =>
      Effect.forEach(
        Array.from({ length: 20 }, (_, index) => part * 20 + index),
        (n) => marked(`many-${n}`, run.submit(Waiting, { n })),
        { discard: true }
      ),
    { concurrency: "unbounded", discard: true }
  )
}).pipe(Effect.scoped)

const snapshots = Effect.gen(function*() {
  const journal = yield* Journal.Journal
  const writer = yield* journal.open("snapshots", { mode: "create" })
  for (let n = 1; n <= 10; n++) {
    const seq = yield* marked(`append-${n}`, writer.append([{ n }, { n }], 1))
    // Several pieces, each with a commit of its own.
    const parts = Array.from({ length: 40 }, () => "x".repeat(20_000))
    yield* marked(`snapshot-${n}`, writer.saveSnapshot({ seq, version: 1, parts }))
    yield* marked(`trim-${n}`, writer.trim(seq - 1))
  }
}).pipe(Effect.scoped)

const journal = JournalSqlite.layer({ filename })
await Effect.runPromise(
  Effect.all([oneByOne, working, controls, manyAtOnce, snapshots], { discard: true }).pipe(
    Effect.provide(Jobs.layer.pipe(Layer.provide(handlers), Layer.provideMerge(journal)))
  )
)
