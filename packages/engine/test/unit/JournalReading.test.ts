import { Journal, RunError } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Stream } from "effect"
import { engineOf, eventually, Jobs, Other, quiet, spec, Stage, Task, until } from "./laboratory.ts"

type Service = Journal.Journal["Service"]

/** An engine on a memory journal of which the test replaces a part. */
const onJournal = Effect.fnUntraced(function*(replace: (journal: Service) => Partial<Service>) {
  const memory = yield* Layer.build(Journal.layerMemory)
  const journal = yield* Effect.provide(Journal.Journal, memory)
  const stage = new Stage()
  const engine = yield* engineOf(
    Jobs,
    Layer.mergeAll(Task.toLayer(stage.handler), Other.toLayer(stage.sure)),
    Layer.succeed(Journal.Journal, Journal.Journal.of({ ...journal, ...replace(journal) }))
  )
  return { engine, journal, stage }
})

const broken = (operation: Journal.JournalError["operation"]) =>
  new Journal.JournalError({ operation, runId: "r", message: "the disk cannot be read" })

const quick = (from: number, count: number) =>
  Array.from({ length: count }, (_, n) => spec(`w${from + n}`, { payload: { name: "quick" } }))

describe("a journal that cannot be read for a while", () => {
  it.effect("fails a reader of events, and leaves the run and later readers alone", () =>
    Effect.gen(function*() {
      let fails = false
      const { engine } = yield* onJournal((journal) => ({
        read: (runId, options) => fails ? Effect.fail(broken("read")) : journal.read(runId, options)
      }))
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* run.add(quick(0, 3))
      yield* until(run, ({ counts }) => counts.succeeded === 3)
      fails = true
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(run.events())))._tag, "JournalError")
      assert.strictEqual((yield* Effect.flip(engine.history("r")))._tag, "JournalError")
      yield* run.add(quick(3, 1))
      yield* until(run, ({ counts }) => counts.succeeded === 4)
      fails = false
      assert.strictEqual((yield* Stream.runCollect(Stream.take(run.events(), 5))).length, 5)
    }))

  it.effect("refuses to open a run with JournalError, and holds nothing: it can be opened when the disk is back", () =>
    Effect.gen(function*() {
      const fails = { read: false, list: false, snapshot: false }
      const { engine } = yield* onJournal((journal) => ({
        read: (runId, options) => fails.read ? Effect.fail(broken("read")) : journal.read(runId, options),
        list: Effect.suspend(() => fails.list ? Effect.fail(broken("list")) : journal.list),
        snapshot: (runId) => fails.snapshot ? Effect.fail(broken("snapshot")) : journal.snapshot(runId)
      }))
      yield* Effect.scoped(Effect.flatMap(engine.open("r", { concurrency: 1 }), (run) => run.add([spec("a")])))
      for (const part of ["read", "list", "snapshot"] as const) {
        fails[part] = true
        const exit = yield* Effect.exit(Effect.scoped(engine.open("r", { concurrency: 1 })))
        // What is not needed may fail unseen.
        if (Exit.isFailure(exit)) assert.match(String(exit.cause), /JournalError/, part)
        fails[part] = false
      }
      const run = yield* engine.open("r", { concurrency: 1 })
      assert.strictEqual((yield* run.work("a")).state, "running")
    }))
})

describe("a snapshot that this program cannot use", () => {
  const damaged = Effect.fnUntraced(function*(
    damage: (snapshot: Journal.JournalSnapshot) => Journal.JournalSnapshot,
    retain?: number
  ) {
    let on = false
    const lab = yield* onJournal((journal) => ({
      // As a journal on a disk does: it makes snapshots of every run.
      isVolatile: false,
      snapshot: (runId) => Effect.map(journal.snapshot(runId), Option.map((found) => on ? damage(found) : found))
    }))
    yield* Effect.scoped(Effect.gen(function*() {
      const run = yield* lab.engine.open("r", {
        concurrency: 8,
        ...(retain === undefined ? {} : { retain: { count: retain } })
      })
      const batches = retain === undefined ? 6 : 18
      for (let batch = 0; batch < batches; batch++) {
        yield* run.add(quick(batch * 3_000, 3_000))
        yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === (batch + 1) * 3_000)
      }
      if (retain !== undefined) {
        yield* eventually(Effect.map(lab.engine.list, ([info]) => info!.horizon > 0), "events have gone")
      }
      yield* run.add([spec("a", { notBefore: 9_000 })])
    }))
    assert.isDefined((yield* lab.engine.list)[0]!.snapshotSeq, "the close has made a snapshot")
    on = true
    return lab
  })

  const damages: ReadonlyArray<readonly [string, (snapshot: Journal.JournalSnapshot) => Journal.JournalSnapshot]> = [
    ["of another version", (snapshot) => ({ ...snapshot, version: 99 })],
    ["without its last part", (snapshot) => ({ ...snapshot, parts: snapshot.parts.slice(0, -1) })],
    ["without its first part", (snapshot) => ({ ...snapshot, parts: snapshot.parts.slice(1) })],
    ["of nothing", (snapshot) => ({ ...snapshot, parts: [] })],
    ["of something else", (snapshot) => ({ ...snapshot, parts: [{ strange: true }, null, 7, "x", []] })]
  ]

  for (const [name, damage] of damages) {
    it.effect(`(${name}) is passed over where all events are there`, () =>
      Effect.gen(function*() {
        const { engine } = yield* damaged(damage)
        const run = yield* engine.open("r", { concurrency: 1 })
        const { counts } = yield* run.status
        assert.deepStrictEqual([counts.succeeded, counts.waiting], [18_000, 1])
      }), 20_000)
  }

  for (const [name, damage] of damages) {
    it.effect(
      `(${name}) makes the run quarantined where events have gone, and nothing is guessed`,
      () =>
        Effect.gen(function*() {
          const { engine } = yield* damaged(damage, 10)
          const before = yield* engine.list
          const error = yield* Effect.flip(Effect.scoped(engine.open("r", { concurrency: 1 })))
          assert.instanceOf(error, RunError.RunQuarantined, String(error))
          assert.deepStrictEqual(yield* engine.list, before)
        }),
      20_000
    )
  }
})

describe("a snapshot that cannot be saved when the run is closed", () => {
  it.effect("does not fail the close, and the run opens from its events", () =>
    Effect.gen(function*() {
      const { engine } = yield* onJournal((journal) => ({
        isVolatile: false,
        open: (runId, options) =>
          Effect.map(journal.open(runId, options), (writer) => ({
            ...writer,
            saveSnapshot: () => Effect.fail(broken("snapshot"))
          }))
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 8 })
        yield* run.add(quick(0, 10_000))
        yield* until(run, ({ counts }) => counts.succeeded === 10_000)
        yield* quiet
      }))
      const run = yield* engine.open("r", { concurrency: 8 })
      assert.strictEqual((yield* run.status).counts.succeeded, 10_000)
    }), 20_000)
})
