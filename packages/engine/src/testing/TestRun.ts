/**
 * A run under the test clock: all of `Run`, and what a test needs besides. Nothing here waits for real time, and nothing waits for
 * ever: when what a test waits for cannot come any more, it fails and says what the run still waits for.
 */
import { Clock, type Context, Duration, Effect, Exit, Scheduler, Schema, Scope, Stream } from "effect"
import assert from "node:assert/strict"
import type { JournalError } from "../Journal.ts"
import type { Job, JobOf, Run } from "../Run.ts"
import type { OutcomeExpired, RunSuspended, WorkNotFound, WorkStopped } from "../RunError.ts"
import type { RunEvent, Sequenced } from "../RunEvent.ts"
import { describe, type RunningWork, type RunStatus, type WorkStatus } from "../RunStatus.ts"
import type { Engine, OpenError, OpenOptions, StartOptions } from "../WorkEngine.ts"
import type * as WorkKind from "../WorkKind.ts"
import { only } from "../internal/errors.ts"
import { check } from "./Accounting.ts"
import * as Worlds from "./internal/World.ts"

/**
 * What the test waits for will not come: nothing is left that could happen, or not within the time allowed. `message` names the
 * works that have not settled, and why each does not go on.
 */
export class RunStuck extends Schema.TaggedError<RunStuck>()("RunStuck", {
  runId: Schema.String,
  /** By how much virtual time was moved while it was waited for. */
  waitedMillis: Schema.Finite,
  message: Schema.String
}) {}

/** How much virtual time may pass while the test waits: a day by default. */
export interface Patience {
  readonly within?: Duration.Input
}

/**
 * - `idle`: everything that can happen without time passing has happened when it returns.
 * - `advance`: moves virtual time by so much, and waits for all that follows.
 * - `settle`: moves virtual time, from each thing that is to happen to the next, until every work has settled, and the run with
 *   them, if it is not kept open. Fails with `RunStuck` when that cannot be.
 * - `until`, `untilState`, `untilWork`: the same, until the status fits, the run is in one of the states, the work is. They look whenever
 *   nothing is left to do at a moment of virtual time: a state that lasts no time is not seen. Let the handler wait for
 *   something to see it running.
 * - `atRest`: the same as `untilState` with completed, cancelled and suspended.
 * - `history`: all durable events. `tags`: their tags, of one work or of all.
 * - `outcome`: how a work ended, typed; fails with `RunStuck` when it has not settled and will not.
 */
export interface TestRun<K extends WorkKind.Any> extends Run<K> {
  readonly idle: Effect.Effect<void>
  readonly advance: (duration: Duration.Input) => Effect.Effect<void>
  readonly settle: (patience?: Patience) => Effect.Effect<RunStatus, RunStuck | JournalError>
  readonly until: (
    isReached: (status: RunStatus) => boolean,
    patience?: Patience & { readonly what?: string }
  ) => Effect.Effect<RunStatus, RunStuck | JournalError>
  readonly untilState: (
    state: RunStatus["state"] | ReadonlyArray<RunStatus["state"]>,
    patience?: Patience
  ) => Effect.Effect<RunStatus, RunStuck | JournalError>
  readonly untilWork: (
    id: string,
    state: WorkStatus["state"] | ReadonlyArray<WorkStatus["state"]>,
    patience?: Patience
  ) => Effect.Effect<WorkStatus, RunStuck | WorkNotFound | JournalError>
  readonly atRest: Effect.Effect<RunStatus, RunStuck | JournalError>
  readonly history: Effect.Effect<ReadonlyArray<Sequenced>, JournalError>
  readonly tags: (options?: { readonly id?: string }) => Effect.Effect<ReadonlyArray<string>, JournalError>
  readonly outcome: <A extends K>(
    kind: A,
    id: string
  ) => Effect.Effect<
    Exit.Exit<SuccessOf<A>, ErrorOf<A> | WorkStopped | RunSuspended | OutcomeExpired | JournalError>,
    RunStuck | WorkNotFound | JournalError
  >
}

type SuccessOf<K> = JobOf<K> extends Job<infer A, unknown> ? A : never
type ErrorOf<K> = JobOf<K> extends Job<unknown, infer E> ? E : never

/** What still waits, for a person. */
const explain = (status: RunStatus): string => {
  const running = status.running.map(({ id, kind, state, step, waitingFor }: RunningWork) =>
    waitingFor !== undefined
      ? `${kind} "${id}" waits for its claim "${waitingFor.hold}": ${describe(waitingFor.reason)}`
      : `${kind} "${id}" is ${state}${
        step === undefined ? "" : ` (${step})`
      } and waits for something that is not a matter of time`
  )
  const waiting = status.waiting.map(({ count, kind, reason }) => `${count} ${kind} waiting: ${describe(reason)}`)
  const stuck = status.stuck.map(({ id, kind, reason }) => `the handler of ${kind} "${id}" was given up (${reason})`)
  const background = status.backgroundErrors.slice(-3)
  const lines = [...running, ...waiting, ...stuck, ...background]
  return `the run is ${status.state}${
    lines.length === 0 ? "; no work waits" : `:\n${lines.map((line) => `- ${line}`).join("\n")}`
  }`
}

const unsettled = ({ counts }: RunStatus): number =>
  Object.entries(counts).reduce(
    (sum, [state, count]) =>
      state === "succeeded" || state === "failed" || state === "skipped" || state === "cancelled" ? sum : sum + count,
    0
  )

const resting: ReadonlyArray<string> = ["completed", "cancelled", "suspended"]

const listOf = <A>(one: A | ReadonlyArray<A>): ReadonlyArray<A> => Array.isArray(one) ? one : [one as A]

/** @internal The helpers over a handle, in the world in which the run lives. */
export const from = <K extends WorkKind.Any>(run: Run<K>, world: Worlds.World): TestRun<K> => {
  const waitFor = Effect.fnUntraced(function*<A, E>(
    look: Effect.Effect<A, E>,
    isReached: (seen: A) => boolean,
    what: string,
    patience: Patience | undefined
  ) {
    const started = world.now
    const limit = started + Duration.toMillis(patience?.within ?? Duration.days(1))
    for (;;) {
      yield* world.idle
      const seen = yield* look
      if (isReached(seen)) return seen
      const next = world.nextWake
      if (next !== undefined && next <= limit) {
        yield* world.advanceTo(next)
        continue
      }
      const status = yield* run.status
      const waitedMillis = world.now - started
      return yield* new RunStuck({
        runId: run.id,
        waitedMillis,
        message: `run "${run.id}" does not come to ${what}: ${
          next === undefined
            ? `after ${waitedMillis} ms nothing is left that could happen`
            : `the next thing would happen in ${next - world.now} ms, after more than the test allows`
        }; ${explain(status)}`
      })
    }
  })

  const until: TestRun<K>["until"] = (isReached, patience) =>
    waitFor(run.status, isReached, patience?.what ?? "what the test waits for", patience)

  const untilState: TestRun<K>["untilState"] = (state, patience) => {
    const states = listOf(state)
    return until((status) => states.includes(status.state), { ...patience, what: states.join(" or ") })
  }

  const untilWork: TestRun<K>["untilWork"] = (id, state, patience) => {
    const states = listOf(state)
    return waitFor(
      run.work(id),
      (work) => states.includes(work.state),
      `have "${id}" ${states.join(" or ")}`,
      patience
    )
  }

  const history: TestRun<K>["history"] = Effect.flatMap(
    run.status,
    ({ seq }) =>
      seq === 0 ? Effect.succeed([]) : run.events().pipe(
        Stream.takeUntil((each) => each.seq >= seq),
        Stream.runCollect,
        only("JournalError")
      )
  )

  return {
    ...run,
    idle: world.idle,
    advance: (duration) => world.advanceTo(world.now + Duration.toMillis(duration)),
    until,
    untilState,
    untilWork,
    atRest: untilState(["completed", "cancelled", "suspended"]),
    settle: (patience) =>
      until(
        (status) => resting.includes(status.state) || (unsettled(status) === 0 && status.state === "running"),
        { ...patience, what: "its end" }
      ),
    history,
    tags: (options) =>
      Effect.map(history, (events) =>
        events
          .filter(({ event }) => options?.id === undefined || idsOf(event).includes(options.id))
          .map(({ event }) => event._tag)),
    outcome: (kind, id) =>
      Effect.flatMap(run.job(kind, id), (job) =>
        Effect.andThen(
          untilWork(id, ["succeeded", "failed", "skipped", "cancelled"]),
          Effect.exit((job as Job<unknown, unknown>).await)
        )) as never
  }
}

const idsOf = (event: Sequenced["event"]): ReadonlyArray<string> => {
  if ("id" in event) return [event.id]
  if ("ids" in event) return event.ids
  return event._tag === "WorkAdded" ? [event.spec.id] : []
}

type EngineKey<Id, K extends WorkKind.Any> = Context.Key<Id, Engine<K>>

/** Opens a run so that its fibers are watched. Its scope is closed with the time that its handlers need to end. */
const opened = <Id, K extends WorkKind.Any, E>(
  key: EngineKey<Id, K>,
  open: (engine: Engine<K>) => Effect.Effect<Run<K>, E, Scope.Scope>
): Effect.Effect<TestRun<K>, E, Id | Scope.Scope> =>
  Effect.gen(function*() {
    const world = yield* Worlds.current
    const life = world.life()
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) =>
      Effect.map(world.drive(Scope.close(scope, Exit.void)), (hasEnded) => {
        // What does not end in any time is left behind: a test must not hang on it.
        if (!hasEnded) {
          life.die()
        }
        world.forget(life)
      }))
    const engine = yield* key
    const run = yield* open(engine).pipe(
      Scope.provide(scope),
      Effect.provideService(Scheduler.Scheduler, life.scheduler),
      Effect.provideService(Clock.Clock, life.clock)
    )
    return from(run, world)
  })

/**
 * Opens a run of an engine under the test clock, as `engine.open` does.
 *
 * @example
 * ```ts
 * import { Journal, WorkEngine, WorkKind } from "@espalier/engine"
 * import { TestRun } from "@espalier/engine/testing"
 * import { Effect, Layer, Schedule, Schema } from "effect"
 * import { TestClock } from "effect/testing"
 * import assert from "node:assert"
 *
 * class Mail extends WorkKind.make("Mail", { payload: {}, error: Schema.String, retry: Schedule.spaced("1 hour") }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Mail] }) {}
 *
 * let tries = 0
 * const MailLive = Mail.toLayer(() => Effect.suspend(() => ++tries < 3 ? Effect.fail("the server is down") : Effect.void))
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* TestRun.open(Jobs, "letters", { concurrency: 1 })
 *   yield* run.submit(Mail, {}, { id: "a" })
 *   yield* run.untilWork("a", "waiting")
 *   assert.strictEqual(tries, 1)
 *   const status = yield* run.settle()
 *   assert.deepStrictEqual([tries, status.at], [3, 2 * 60 * 60 * 1000]) // two hours, and no time at all
 *   assert.deepStrictEqual(yield* run.tags({ id: "a" }), [
 *     "WorkAdded", "WorkStarted", "WorkRetryScheduled", "WorkQueued",
 *     "WorkStarted", "WorkRetryScheduled", "WorkQueued", "WorkStarted", "WorkSucceeded"
 *   ])
 *
 *   yield* run.pause()
 *   yield* run.submit(Mail, {}, { id: "b" })
 *   const stuck = yield* Effect.flip(run.settle())
 *   assert.match(stuck.message, /1 Mail waiting: the run is paused/)
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(Jobs.layer.pipe(Layer.provide([MailLive, Journal.layerMemory]))),
 *   Effect.provide(TestClock.layer())
 * )
 *
 * await Effect.runPromise(program)
 * ```
 */
export const open = <Id, K extends WorkKind.Any>(
  key: EngineKey<Id, K>,
  runId: string,
  options: OpenOptions
): Effect.Effect<TestRun<K>, OpenError, Id | Scope.Scope> => opened(key, (engine) => engine.open(runId, options))

/** Starts a run under the test clock, as `engine.start` does. */
export const start = <Id, K extends WorkKind.Any>(
  key: EngineKey<Id, K>,
  runId: string,
  options: StartOptions
): Effect.Effect<TestRun<K>, Effect.Error<ReturnType<Engine<K>["start"]>>, Id | Scope.Scope> =>
  opened(key, (engine) => engine.start(runId, options))

/** Resumes a run under the test clock, as `engine.resume` does. */
export const resume = <Id, K extends WorkKind.Any>(
  key: EngineKey<Id, K>,
  runId: string,
  options: OpenOptions
): Effect.Effect<TestRun<K>, Effect.Error<ReturnType<Engine<K>["resume"]>>, Id | Scope.Scope> =>
  opened(key, (engine) => engine.resume(runId, options))

/** A run of a test, as the assertions need it. */
type Any = Pick<TestRun<never>, "id" | "history" | "status">

/** Dies with an `AssertionError` unless so many works are in these states; states that are not named may have any. */
export const assertCounts = (
  run: Any,
  expected: Partial<RunStatus["counts"]>
): Effect.Effect<void, JournalError> =>
  Effect.map(run.status, ({ counts }) => {
    const found = Object.fromEntries(Object.keys(expected).map((state) => [state, counts[state as "queued"]]))
    assert.deepEqual(found, expected, `the works of run "${run.id}" are in other states`)
  })

/**
 * Dies with an `AssertionError` unless the events of the run add up: see `Accounting`. For a run that has not forgotten any.
 */
export const assertSound = (run: Any): Effect.Effect<void, JournalError> =>
  Effect.map(
    run.history,
    (history) =>
      assert.deepEqual(
        check(history.map(({ event }) => event as RunEvent)),
        [],
        `the events of run "${run.id}" do not add up`
      )
  )
