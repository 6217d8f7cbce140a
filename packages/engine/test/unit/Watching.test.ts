import { type RunEvent, RunState } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Scope, Stream } from "effect"
import { hasForgottenEvents, laboratory, quiet, spec, Task, until } from "./laboratory.ts"

const quick = (from: number, count: number) =>
  Array.from({ length: count }, (_, n) => spec(`w${from + n}`, { payload: { name: "quick" } }))

const seqs = (events: ReadonlyArray<RunEvent.Sequenced>) => events.map(({ seq }) => seq)
const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, n) => first + n)

describe("the events of a run", () => {
  it.effect("are the same, without gaps or doubles, for readers who come at any time", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 4 })
      const early = yield* Effect.forkChild(Stream.runCollect(run.events()))
      const readers: Array<Fiber.Fiber<ReadonlyArray<RunEvent.Sequenced>, unknown>> = []
      for (let round = 0; round < 10; round++) {
        yield* run.add(quick(round * 50, 50))
        readers.push(yield* Effect.forkChild(Stream.runCollect(run.events())))
        yield* Effect.yieldNow
      }
      yield* run.close
      yield* run.await
      const all = yield* Fiber.join(early)
      assert.deepStrictEqual(seqs(all), upTo(all.length))
      assert.strictEqual(all.at(-1)?.event._tag, "RunCompleted")
      for (const reader of readers) assert.deepStrictEqual(yield* Fiber.join(reader), all)
      assert.deepStrictEqual(yield* Stream.runCollect(run.events()), all)
      assert.deepStrictEqual(yield* engine.history("r"), all)
    }))

  it.effect("after a number are those after it, and after the last one the ones to come", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 4 })
      yield* run.add(quick(0, 3))
      const { seq } = yield* until(run, ({ counts }) => counts.succeeded === 3)
      const middle = yield* Stream.runCollect(Stream.take(run.events({ after: 4 }), seq - 4))
      assert.deepStrictEqual(seqs(middle), upTo(seq, 5))
      const future = yield* Effect.forkChild(Stream.runCollect(Stream.take(run.events({ after: seq + 3 }), 1)))
      yield* quiet
      yield* run.add(quick(3, 3))
      assert.deepStrictEqual(seqs(yield* Fiber.join(future)), [seq + 4])
    }))

  it.effect("end when the run is cancelled or suspended, with the event that says so", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      for (const end of ["cancel", "suspend"] as const) {
        const run = yield* engine.open(end, { concurrency: 4 })
        const reading = yield* Effect.forkChild(Stream.runCollect(run.events()))
        yield* run.add([spec("a")])
        yield* stage.arrived("a")
        yield* run[end]()
        const events = yield* Fiber.join(reading)
        assert.strictEqual(events.at(-1)?.event._tag, end === "cancel" ? "RunCancelled" : "RunSuspended")
      }
    }))

  it.effect("end, and do not hang, for a reader who outlives the scope that opened the run", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const scope = yield* Scope.make()
      const run = yield* Scope.provide(engine.open("r", { concurrency: 4 }), scope)
      yield* run.add([spec("a")])
      yield* stage.arrived("a")
      const reading = yield* Effect.forkChild(Stream.runCollect(run.events()), { startImmediately: true })
      yield* quiet
      yield* Scope.close(scope, Exit.void)
      const events = yield* Fiber.join(reading)
      assert.strictEqual(events.at(-1)?.event._tag, "RunSuspended")
    }))

  it.effect("fold to the status at every moment", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 2 })
      yield* run.add([spec("a"), spec("b"), spec("c", { after: ["a"] }), spec("d", { notBefore: 9_000 })])
      yield* stage.fail("a")
      yield* until(run, ({ counts }) => counts.failed === 1)
      yield* run.cancelWork("b")
      yield* run.retry("a")
      yield* quiet
      const { counts, seq } = yield* run.status
      const events = yield* Stream.runCollect(Stream.take(run.events(), seq))
      const state = RunState.make()
      for (const { event } of events) if (event._tag !== "RunSnapshot") RunState.evolve(state, event)
      assert.deepStrictEqual({ ...state.counts }, { ...counts })
    }))

  it.effect("go on for a run that was completed and is extended: a new reader gets all of them", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.start("r", { concurrency: 1, works: quick(0, 1) })
      yield* run.await
      const first = yield* Stream.runCollect(run.events())
      const late = yield* run.submit(Task, { name: "quick" })
      yield* late.await
      yield* until(run, ({ state }) => state === "completed")
      const second = yield* Stream.runCollect(run.events({ after: first.length }))
      assert.deepStrictEqual(second.map(({ event }) => event._tag), [
        "WorkAdded",
        "WorkStarted",
        "WorkSucceeded",
        "RunCompleted"
      ])
    }))

  it.effect("show nothing that is not durable: who reads one can open the run and find it", () =>
    Effect.gen(function*() {
      const { engine, journal, state } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      const seen: Array<number> = []
      const reading = yield* Effect.forkChild(
        Effect.exit(Stream.runForEach(run.events(), ({ seq }) => Effect.sync(() => seen.push(seq))))
      )
      yield* run.add(quick(0, 5))
      yield* until(run, ({ counts }) => counts.succeeded === 5)
      state.dead = true
      yield* Effect.exit(run.add(quick(5, 5)))
      const exit = yield* Fiber.join(reading)
      assert.strictEqual(exit._tag, "Failure", "a reader is told that the journal failed")
      const [info] = yield* journal.list
      assert.deepStrictEqual(seen, upTo(info!.lastSeq))
    }))
})

describe("the events of a run that forgets", () => {
  const batch = Effect.fnUntraced(function*(
    run: { readonly add: (specs: ReadonlyArray<ReturnType<typeof spec>>) => Effect.Effect<void, unknown> },
    from: number
  ) {
    yield* Effect.orDie(run.add(quick(from * 3_000, 3_000)))
  })

  it.effect(
    "are given to a late reader while it runs: the snapshot first, then all others up to the end",
    () =>
      Effect.gen(function*() {
        const { engine } = yield* laboratory
        const run = yield* engine.open("r", { concurrency: 8, retain: { count: 50 } })
        for (let n = 0; n < 18; n++) {
          yield* batch(run, n)
          yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === (n + 1) * 3_000)
        }
        yield* hasForgottenEvents(engine)
        const late = yield* Effect.forkChild(Stream.runCollect(run.events()))
        yield* batch(run, 18)
        yield* run.close
        yield* run.await
        const events = yield* Fiber.join(late)
        assert.strictEqual(events[0]?.event._tag, "RunSnapshot")
        assert.deepStrictEqual(seqs(events), upTo(events.at(-1)!.seq, events[0]!.seq))
        assert.strictEqual(events.at(-1)?.event._tag, "RunCompleted")
      }),
    30_000
  )

  it.effect(
    "that go while a slow reader is in the middle are stood for by a snapshot: it gets no gap and no error",
    () =>
      Effect.gen(function*() {
        const { engine } = yield* laboratory
        const run = yield* engine.open("r", { concurrency: 8, retain: { count: 50 } })
        const gate = yield* Deferred.make<void>()
        const slow = yield* Effect.forkChild(Stream.runCollect(
          run.events().pipe(Stream.tap(({ seq }) => seq === 1 ? Deferred.await(gate) : Effect.void))
        ))
        yield* quiet
        for (let n = 0; n < 18; n++) {
          yield* batch(run, n)
          yield* until(run, ({ counts, forgotten }) => counts.succeeded + forgotten === (n + 1) * 3_000)
        }
        yield* hasForgottenEvents(engine)
        yield* run.close
        yield* run.await
        yield* Deferred.succeed(gate, undefined)
        const events = yield* Fiber.join(slow)
        const snapshots = events.filter(({ event }) => event._tag === "RunSnapshot")
        assert.strictEqual(snapshots.length, 1)
        const place = events.findIndex(({ event }) => event._tag === "RunSnapshot")
        assert.deepStrictEqual(seqs(events.slice(0, place)), upTo(place))
        assert.deepStrictEqual(seqs(events.slice(place)), upTo(events.at(-1)!.seq, events[place]!.seq))
        assert.strictEqual(events.at(-1)?.event._tag, "RunCompleted")
      }),
    30_000
  )
})

describe("a slow subscriber", () => {
  it.effect("does not slow the run, and gets all events when it goes on", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 8 })
      const gate = yield* Deferred.make<void>()
      const slow = yield* Effect.forkChild(Stream.runCollect(
        run.events().pipe(Stream.tap(({ seq }) => seq === 1 ? Deferred.await(gate) : Effect.void))
      ))
      yield* quiet
      yield* run.add(quick(0, 2_000))
      yield* until(run, ({ counts }) => counts.succeeded === 2_000)
      yield* run.close
      yield* run.await
      yield* Deferred.succeed(gate, undefined)
      const events = yield* Fiber.join(slow)
      assert.deepStrictEqual(seqs(events), upTo(events.length))
      assert.strictEqual(events.length, 2 + 3 * 2_000 + 1)
    }))

  it.effect("of changes misses what was between, and sees the latest next", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 8 })
      const gate = yield* Deferred.make<void>()
      const seen: Array<number> = []
      const slow = yield* Effect.forkChild(
        run.changes.pipe(
          Stream.tap(({ counts }) =>
            Effect.andThen(
              Effect.sync(() => seen.push(counts.succeeded)),
              seen.length === 1 ? Deferred.await(gate) : Effect.void
            )
          ),
          Stream.takeUntil(({ counts }) => counts.succeeded === 500),
          Stream.runDrain
        )
      )
      yield* quiet
      yield* run.add(quick(0, 500))
      yield* until(run, ({ counts }) => counts.succeeded === 500)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(slow)
      assert.strictEqual(seen[0], 0)
      assert.isTrue(seen.length < 20, `${seen.length} snapshots were not conflated`)
    }))

  it.effect("that is interrupted leaves the others and the run alone", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 8 })
      const readers = yield* Effect.forEach(
        Array.from({ length: 50 }),
        () => Effect.forkChild(Stream.runDrain(Stream.merge(run.events(), run.changes)))
      )
      yield* run.add(quick(0, 10))
      yield* quiet
      yield* Fiber.interruptAll(readers)
      yield* run.add(quick(10, 10))
      yield* until(run, ({ counts }) => counts.succeeded === 20)
    }))
})

describe("changes", () => {
  it.effect("give the present status first, then one when something changes, and none when nothing does", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 8 })
      const seen: Array<string> = []
      yield* Effect.forkChild(
        Stream.runForEach(
          run.changes,
          ({ counts, state }) => Effect.sync(() => seen.push(`${state} ${counts.running}/${counts.succeeded}`))
        )
      )
      yield* quiet
      assert.deepStrictEqual(seen, ["running 0/0"])
      yield* quiet
      assert.deepStrictEqual(seen.length, 1)
      yield* run.add([spec("a")])
      yield* stage.succeed("a")
      yield* until(run, ({ counts }) => counts.succeeded === 1)
      yield* quiet
      assert.strictEqual(seen.at(-1), "running 0/1")
      const count = seen.length
      yield* quiet
      assert.strictEqual(seen.length, count)
    }))

  it.effect("never go back: numbers of events grow", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 8 })
      const reading = yield* Effect.forkChild(
        run.changes.pipe(Stream.takeUntil(({ counts }) => counts.succeeded === 300), Stream.runCollect)
      )
      for (let n = 0; n < 30; n++) {
        yield* run.add(quick(n * 10, 10))
        yield* Effect.yieldNow
      }
      const seen = (yield* Fiber.join(reading)).map(({ seq }) => seq)
      for (let n = 1; n < seen.length; n++) assert.isTrue(seen[n]! >= seen[n - 1]!)
    }))

  it.effect("are snapshots: what was given does not change later", () =>
    Effect.gen(function*() {
      const { engine, stage } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1, pools: { gpu: 1 } })
      yield* run.add([spec("a", { slots: { gpu: 1 } }), spec("b")])
      yield* stage.arrived("a")
      const status = yield* run.status
      const before = JSON.stringify(status)
      yield* run.setPool("gpu", 5)
      yield* run.pause()
      yield* stage.fail("a")
      yield* until(run, ({ counts }) => counts.failed === 1)
      assert.strictEqual(JSON.stringify(status), before)
    }))

  it.effect("fail when the journal has failed, and do not hang when the scope is closed", () =>
    Effect.gen(function*() {
      const { engine, state } = yield* laboratory
      const run = yield* engine.open("r", { concurrency: 1 })
      const reading = yield* Effect.forkChild(Effect.exit(Stream.runDrain(run.changes)))
      yield* quiet
      state.dead = true
      yield* Effect.exit(run.pause())
      assert.isTrue(Exit.isFailure(yield* Fiber.join(reading)))
      state.dead = false
      const other = yield* laboratory
      const scope = yield* Scope.make()
      const closed = yield* Scope.provide(other.engine.open("s", { concurrency: 1 }), scope)
      const hanging = yield* Effect.forkChild(Effect.exit(Stream.runDrain(closed.changes)))
      yield* quiet
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(hanging)
    }))
})

describe("the runs of an engine", () => {
  it.effect("are those that are open, and then each as it is opened; a closed one is not given to late readers", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      yield* engine.open("one", { concurrency: 1 })
      yield* Effect.scoped(engine.open("gone", { concurrency: 1 }))
      const ids: Array<string> = []
      const reading = yield* Effect.forkChild(
        Stream.runForEach(engine.runs, ({ id }) => Effect.sync(() => ids.push(id)))
      )
      yield* quiet
      assert.deepStrictEqual(ids, ["one"])
      yield* engine.open("two", { concurrency: 1 })
      yield* quiet
      yield* engine.open("gone", { concurrency: 1 })
      yield* quiet
      assert.deepStrictEqual(ids, ["one", "two", "gone"])
      yield* Fiber.interrupt(reading)
    }))

  it.effect("can be watched through the handle that the stream gives", () =>
    Effect.gen(function*() {
      const { engine } = yield* laboratory
      const watching = yield* Effect.forkChild(
        engine.runs.pipe(
          Stream.take(1),
          Stream.flatMap((run) => run.events()),
          Stream.map(({ event }) => event._tag),
          Stream.runLast
        )
      )
      yield* quiet
      yield* engine.start("r", { concurrency: 1, works: quick(0, 3) })
      assert.deepStrictEqual(yield* Fiber.join(watching), Option.some("RunCompleted"))
    }))
})
