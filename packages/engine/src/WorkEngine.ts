/**
 * The service that runs work: it starts, resumes and opens runs.
 *
 * An engine names the kinds that it runs. Its layer then requires a handler for each (a missing one does not
 * compile), and its runs accept no other kind.
 */
import { Clock, Context, Duration, Effect, Exit, Layer, PubSub, Scope, Stream } from "effect"
import { Journal, type JournalError, RunExists, type RunInfo, type RunLocked, RunNotFound } from "./Journal.ts"
import { CurrentWork } from "./CurrentWork.ts"
import { askedOf } from "./internal/asked.ts"
import { InvalidWork } from "./internal/command.ts"
import { only } from "./internal/errors.ts"
import { readEvents, readState } from "./internal/history.ts"
import { checkLimits } from "./internal/limits.ts"
import { register, type Registered } from "./internal/registered.ts"
import { Runner } from "./internal/runner.ts"
import { checkSpecs, makeSpec, type SpecOptions } from "./internal/spec.ts"
import { makeStatus } from "./internal/status.ts"
import { currentTraceparent } from "./internal/trace.ts"
import { Failpoint } from "./Failpoint.ts"
import * as Run from "./Run.ts"
import type { DuplicateKey, DuplicateWork, RunQuarantined } from "./RunError.ts"
import type { Retention, RunConfig, Sequenced } from "./RunEvent.ts"
import type * as RunStatus from "./RunStatus.ts"
import { CurrentStep } from "./Step.ts"
import type * as WorkKind from "./WorkKind.ts"
import type { SpawnOn, WorkSpec } from "./WorkSpec.ts"

/**
 * How a run is opened.
 *
 * - `concurrency`: how many works may run at the same time; at least 1.
 * - `pools`: named pools of slots and their sizes.
 * - `keepOpen`: whether the run waits for more work when it is empty (true for `open` and `resume` by default), or completes.
 * - `owner`: the name that another process is told when it finds the run locked.
 * - `capacity`: how many unsettled works `add` and `submit` may bring the run to; beyond it they wait. Children that handlers
 *   spawn are always let in. With `whenFull: "refuse"` they fail with `RunFull` instead of waiting. No bound by default.
 * - `keyLimit`: how many works with the same concurrency key may run at the same time; `keyLimits` says otherwise for some keys.
 * - `failFast`: the first work that fails cancels the run.
 * - `maxCrashes`: after how many deaths of the process in a row with a work in the middle of it, without a step recorded or an
 *   orderly stop in between, the work fails as `Crashed`; 5 by default.
 * - `retain`: how many settled works the run keeps (`count`), or for how long (`age`), or both; all by default. Works are forgotten
 *   in bunches: up to an eighth more stays (1,024 works more at most, or an eighth longer). What the run has forgotten answers
 *   `OutcomeExpired` to who has a `Job`, `WorkNotFound` (with `forgotten`) to others; its events go from the journal with the
 *   snapshots, and its id may be used again.
 * - `reserveAfter`: how long a work waits for units of pools before units that are freed are kept back for it; 30 seconds by
 *   default.
 *
 * They hold until the run is opened again. `Run.setConcurrency` and its like change limits while it runs. What does not fit is
 * refused with `InvalidWork`, which names the option.
 */
export interface OpenOptions {
  readonly concurrency: number
  readonly pools?: { readonly [name: string]: number }
  readonly keepOpen?: boolean
  readonly owner?: string
  readonly capacity?: number
  readonly keyLimit?: number
  readonly keyLimits?: { readonly [key: string]: number }
  readonly failFast?: boolean
  readonly maxCrashes?: number
  readonly retain?: { readonly count?: number; readonly age?: Duration.Input }
  readonly reserveAfter?: Duration.Input
}

/** `start` takes the first works along; with works it is not kept open by default, without it is. */
export interface StartOptions extends OpenOptions {
  readonly works?: ReadonlyArray<WorkSpec>
}

/** What opening a run may fail with. */
export type OpenError = RunLocked | RunQuarantined | JournalError | InvalidWork

/**
 * What an engine does.
 *
 * - `start`: a new run; fails with `RunExists`. `resume`: an existing one; fails with `RunNotFound`. `open`: resumes, else starts.
 *   The run is suspended when the scope closes.
 * - `pause`: every run that is open here is paused, and those that are opened meanwhile start paused; `unpause` goes on. Both are
 *   recorded in each run, with who asked and why.
 * - `runs`: the runs that are open here, and then each as it is opened: for dashboards.
 * - `list`: the runs of the journal. `inspect`: the status of a run that need not be open here, as the journal has it, without
 *   what only the process that has it open knows (progress, steps at hand). `history`: its durable events; where they are no longer
 *   kept, a `RunSnapshot` comes first.
 * - `remove`: deletes a run that nobody has open, for good.
 *
 * @example
 * ```ts
 * import { Journal, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Stream } from "effect"
 * import assert from "node:assert"
 *
 * class Task extends WorkKind.make("Task", { payload: {} }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Task] }) {}
 *
 * const program = Effect.gen(function*() {
 *   const jobs = yield* Jobs
 *   yield* jobs.pause({ actor: "ada", reason: "the disk is being changed" })
 *   yield* Effect.scoped(Effect.gen(function*() {
 *     const run = yield* jobs.open("monday", { concurrency: 1 }) // starts paused
 *     const job = yield* run.submit(Task, {})
 *     const open = yield* Stream.runCollect(Stream.take(jobs.runs, 1))
 *     assert.deepStrictEqual(open.map(({ id }) => id), ["monday"])
 *     assert.strictEqual((yield* run.status).state, "paused")
 *     yield* jobs.unpause({ actor: "ada", reason: "done" })
 *     yield* job.await
 *   }))
 *   assert.strictEqual((yield* jobs.inspect("monday")).state, "suspended")
 *   yield* jobs.remove("monday")
 *   return yield* jobs.list
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(Jobs.layer.pipe(Layer.provide([Task.toLayer(() => Effect.void), Journal.layerMemory])))
 * )
 *
 * assert.deepStrictEqual(await Effect.runPromise(program), [])
 * ```
 */
export interface Engine<K extends WorkKind.Any> {
  readonly start: (
    runId: string,
    options: StartOptions
  ) => Effect.Effect<Run.Run<K>, OpenError | RunExists | DuplicateWork | DuplicateKey, Scope.Scope>
  readonly resume: (
    runId: string,
    options: OpenOptions
  ) => Effect.Effect<Run.Run<K>, OpenError | RunNotFound, Scope.Scope>
  readonly open: (runId: string, options: OpenOptions) => Effect.Effect<Run.Run<K>, OpenError, Scope.Scope>
  readonly pause: (by?: Run.Asked) => Effect.Effect<void>
  readonly unpause: (by?: Run.Asked) => Effect.Effect<void>
  readonly runs: Stream.Stream<Run.Run<K>>
  readonly list: Effect.Effect<ReadonlyArray<RunInfo>, JournalError>
  readonly inspect: (
    runId: string
  ) => Effect.Effect<RunStatus.RunStatus, JournalError | RunNotFound | RunQuarantined>
  readonly history: (
    runId: string,
    options?: { readonly after?: number }
  ) => Effect.Effect<ReadonlyArray<Sequenced>, JournalError | RunNotFound | RunQuarantined>
  readonly remove: (runId: string) => Effect.Effect<void, RunNotFound | RunLocked | JournalError>
}

/** How a handler spawns children. `on` tells with which end of the parent they become works; `success` by default. */
export interface SpawnOptions extends SpecOptions {
  readonly on?: SpawnOn
}

/** The class that `Service` makes. */
export interface EngineClass<Self, Id extends string, K extends WorkKind.Any>
  extends Context.ServiceClass<Self, Id, Engine<K>> {
  readonly kinds: ReadonlyArray<K>
  readonly layer: Layer.Layer<Self, never, Journal | WorkKind.HandlersOf<K>>
  /**
   * Spawns a child of the current work and returns its id. It becomes a work in the event that settles its parent; one
   * spawned inside a step belongs to the step's record, another dies with its attempt when that does not settle the
   * work. An explicit `id` that is in the run already adds nothing. A payload that does not fit its kind is a defect.
   */
  readonly spawn: <A extends K>(
    kind: A,
    payload: A["payload"]["Type"],
    options?: SpawnOptions
  ) => Effect.Effect<string, never, CurrentWork>
}

const checkOptions = (runId: string, options: OpenOptions): Effect.Effect<void, InvalidWork> => {
  const invalid = (field: string, value: unknown, allowed: string) =>
    Effect.fail(
      new InvalidWork({
        id: runId,
        field,
        value: String(value),
        message: `run "${runId}": ${field} is ${String(value)}; it must be ${allowed}`
      })
    )
  if (runId.length === 0) return invalid("id", `""`, "at least one character")
  const { capacity, concurrency, keyLimit, keyLimits = {}, maxCrashes, pools = {}, retain } = options
  const limits = checkLimits(
    { concurrency: 1, pools: {}, kinds: {}, keepOpen: false },
    { concurrency, pools, keyLimits, ...(keyLimit === undefined ? {} : { keyLimit }) }
  )
  if (limits !== undefined) {
    return Effect.fail(
      new InvalidWork({
        id: runId,
        field: limits.field,
        value: limits.value,
        message: `run "${runId}": ${limits.message}`
      })
    )
  }
  if (capacity !== undefined && (!Number.isSafeInteger(capacity) || capacity < 1)) {
    return invalid("capacity", capacity, "a whole number from 1")
  }
  if (maxCrashes !== undefined && (!Number.isSafeInteger(maxCrashes) || maxCrashes < 1)) {
    return invalid("maxCrashes", maxCrashes, "a whole number from 1")
  }
  if (retain?.count !== undefined && (!Number.isSafeInteger(retain.count) || retain.count < 0)) {
    return invalid("retain.count", retain.count, "a whole number from 0")
  }
  for (const [field, duration] of [["retain.age", retain?.age], ["reserveAfter", options.reserveAfter]] as const) {
    const millis = duration === undefined ? 0 : Duration.toMillis(duration)
    if (!(millis >= 0 && millis < Infinity)) return invalid(field, String(duration), "a finite duration from 0")
  }
  return Effect.void
}

/** What kinds declare is looked at when they are used: declaring one cannot fail. */
const checkKinds = (runId: string, config: RunConfig): Effect.Effect<void, InvalidWork> => {
  const kinds = Object.fromEntries(
    Object.entries(config.kinds).flatMap(([name, { limit }]) => limit === undefined ? [] : [[name, limit]])
  )
  const fault = checkLimits(config, { kinds })
  return fault === undefined ? Effect.void : Effect.fail(
    new InvalidWork({ id: runId, field: fault.field, value: fault.value, message: `run "${runId}": ${fault.message}` })
  )
}

const retentionOf = (retain: NonNullable<OpenOptions["retain"]>): Retention | undefined =>
  retain.count === undefined && retain.age === undefined ? undefined : {
    ...(retain.count === undefined ? {} : { count: retain.count }),
    ...(retain.age === undefined ? {} : { ageMillis: Duration.toMillis(retain.age) })
  }

/** What the kind allows, and what its handler is able to. */
const limitOf = (allowed = Infinity, able = Infinity): { readonly limit?: number } =>
  allowed === Infinity && able === Infinity ? {} : { limit: Math.min(allowed, able) }

const configOf = (
  registered: ReadonlyMap<string, Registered>,
  options: OpenOptions,
  keepOpen: boolean
): RunConfig => {
  const retain = options.retain === undefined ? undefined : retentionOf(options.retain)
  return {
    concurrency: options.concurrency,
    pools: options.pools ?? {},
    keepOpen,
    kinds: Object.fromEntries(Array.from(registered.values(), ({ handler, kind }) => [kind.kind, {
      ...limitOf(kind.policies.limit, handler.limit),
      onCancel: handler.onCancel !== undefined
    }])),
    ...(options.keyLimit === undefined ? {} : { keyLimit: options.keyLimit }),
    ...(options.keyLimits === undefined ? {} : { keyLimits: options.keyLimits }),
    ...(options.failFast === undefined ? {} : { failFast: options.failFast }),
    ...(options.maxCrashes === undefined ? {} : { maxCrashes: options.maxCrashes }),
    ...(retain === undefined ? {} : { retain }),
    ...(options.reserveAfter === undefined ? {} : { reserveAfterMillis: Duration.toMillis(options.reserveAfter) })
  }
}

const make = <K extends WorkKind.Any>(kinds: ReadonlyArray<K>) =>
  Effect.gen(function*() {
    const journal = yield* Journal
    const registered = new Map<string, Registered>()
    for (const kind of kinds) {
      const handler = yield* kind.handler
      registered.set(kind.kind, register(kind, handler))
    }
    const byName = new Map<string, WorkKind.Any>(kinds.map((kind) => [kind.kind, kind]))
    const opened = new Set<Run.Run<K>>()
    const openings = yield* PubSub.unbounded<Run.Run<K>>()
    let paused: Run.Asked | undefined

    const acquire = Effect.fnUntraced(function*(
      runId: string,
      mode: "create" | "existing" | "either",
      options: StartOptions,
      keepOpen: boolean
    ) {
      yield* checkOptions(runId, options)
      const config = configOf(registered, options, keepOpen)
      yield* checkKinds(runId, config)
      const specs = yield* checkSpecs(byName, options.works ?? [])
      // A process that died between creating the run and recording its start left a run without an event: it has
      // not begun, so it can be started, and there is nothing to resume.
      const writer = yield* journal.open(runId, {
        mode: mode === "create" ? "either" : mode,
        ...(options.owner === undefined ? {} : { owner: options.owner })
      })
      if (mode === "create" && writer.lastSeq > 0) return yield* RunExists.of(runId)
      if (mode === "existing" && writer.lastSeq === 0) return yield* RunNotFound.of(runId)
      const horizon = yield* horizonOf(runId)
      const { snapshotSeq, state, views } = yield* readState(journal, runId, writer.lastSeq, horizon)
      const failpoint = yield* Failpoint
      failpoint("recover.read")
      const runner = new Runner({
        runId,
        state,
        journal,
        writer,
        seq: writer.lastSeq,
        snapshotSeq,
        horizon,
        views,
        kinds: registered,
        clock: yield* Clock.Clock,
        context: yield* Effect.context<never>(),
        failpoint,
        capacity: options.capacity ?? Infinity
      })
      yield* Effect.forkScoped(runner.loop)
      yield* Effect.addFinalizer(() => runner.stop)
      runner.recover()
      const steering = only("DuplicateWork", "DuplicateKey", "InvalidWork", "RunNotAccepting", "JournalError")
      const opening = [
        runner.send(state.name === "absent" ? { _tag: "Start", config, specs } : { _tag: "Open", config }),
        // In the same breath: nothing starts in between.
        ...(paused === undefined ? [] : [Effect.ignore(runner.send({ _tag: "Pause", ...by(paused) }))])
      ]
      yield* Effect.catchTag(
        steering(Effect.all(opening, { concurrency: "unbounded", discard: true })),
        "RunNotAccepting",
        Effect.die
      )
      failpoint("recover.opened")
      const run = Run.make<K>(runner, byName)
      opened.add(run)
      yield* Effect.addFinalizer(() => Effect.sync(() => opened.delete(run)))
      yield* PubSub.publish(openings, run)
      return run
    })

    const horizonOf = (runId: string): Effect.Effect<number, JournalError> =>
      Effect.map(journal.list, (runs) => runs.find((info) => info.runId === runId)?.horizon ?? 0)

    const by = (asked: Run.Asked | undefined) => askedOf(asked, "the engine was paused")

    const toAll = (control: (run: Run.Run<K>) => Effect.Effect<void, unknown>): Effect.Effect<void> =>
      // A run that is over, or whose journal has failed, is not to be paused: that is no failure of the others.
      Effect.forEach(Array.from(opened), (run) => Effect.ignore(control(run)), {
        concurrency: "unbounded",
        discard: true
      })

    const lastSeqOf = Effect.fnUntraced(function*(runId: string) {
      const info = (yield* journal.list).find((each) => each.runId === runId)
      return info ?? (yield* RunNotFound.of(runId))
    })

    /** A run that could not be opened holds nothing: its lock goes at once, not when the caller's scope closes. */
    const take = Effect.fnUntraced(function*(...request: Parameters<typeof acquire>) {
      const scope = yield* Scope.fork(yield* Effect.scope)
      return yield* acquire(...request).pipe(
        Scope.provide(scope),
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
    })

    const engine: Engine<K> = {
      start: (runId, options) =>
        Effect.catchTag(
          take(runId, "create", options, options.keepOpen ?? options.works === undefined),
          "RunNotFound",
          Effect.die
        ),
      resume: (runId, options) =>
        Effect.catchTag(
          take(runId, "existing", options, options.keepOpen ?? true),
          ["RunExists", "DuplicateWork", "DuplicateKey"],
          Effect.die
        ),
      open: (runId, options) =>
        Effect.catchTag(
          take(runId, "either", options, options.keepOpen ?? true),
          ["RunExists", "RunNotFound", "DuplicateWork", "DuplicateKey"],
          Effect.die
        ),
      pause: (asked) =>
        Effect.suspend(() => {
          paused = by(asked)
          return toAll((run) => run.pause(paused))
        }),
      unpause: (asked) =>
        Effect.suspend(() => {
          paused = undefined
          return toAll((run) => run.resume(by(asked)))
        }),
      runs: Stream.unwrap(Effect.map(PubSub.subscribe(openings), (subscription) =>
        // Subscribed first: a run that is opened in between is seen, and those that were there are not seen twice.
        Stream.concat(Stream.fromIterable(Array.from(opened)), Stream.fromSubscription(subscription)))),
      list: journal.list,
      inspect: Effect.fnUntraced(function*(runId) {
        const { horizon, lastSeq } = yield* lastSeqOf(runId)
        const { state } = yield* readState(journal, runId, lastSeq, horizon)
        const now = Math.max(yield* Clock.currentTimeMillis, state.lastAt)
        return makeStatus(runId, state, lastSeq, now, () => undefined, [], [])
      }),
      history: Effect.fnUntraced(function*(runId, options) {
        const { horizon } = yield* lastSeqOf(runId)
        return yield* readEvents(journal, runId, options?.after ?? 0, Number.MAX_SAFE_INTEGER, horizon)
      }),
      remove: (runId) => journal.remove(runId)
    }
    return engine
  })

/**
 * Declares an engine for some kinds: `class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Audit] }) {}`.
 * Its `layer` needs a `Journal` and a handler for each kind.
 *
 * @example
 * ```ts
 * import { Journal, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Square extends WorkKind.make("Square", { payload: { n: Schema.Int }, success: Schema.Int }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Square] }) {}
 *
 * const JobsLive = Jobs.layer.pipe(
 *   Layer.provide(Square.toLayer(({ n }) => Effect.succeed(n * n))),
 *   Layer.provide(Journal.layerMemory)
 * )
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("squares", { concurrency: 2 })
 *   const jobs = yield* Effect.forEach([1, 2, 3], (n) => run.submit(Square, { n }))
 *   return yield* Effect.forEach(jobs, (job) => job.await)
 * }).pipe(Effect.scoped, Effect.provide(JobsLive))
 *
 * assert.deepStrictEqual(await Effect.runPromise(program), [1, 4, 9])
 * ```
 */
export const Service = <Self>() =>
<const Id extends string, const Kinds extends ReadonlyArray<WorkKind.Any>>(
  id: Id,
  options: { readonly kinds: Kinds }
): EngineClass<Self, Id, Kinds[number]> => {
  type K = Kinds[number]
  const names = options.kinds.map(({ kind }) => kind)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) {
    throw new Error(
      `the engine "${id}" has two kinds of the name "${twice}": works are told apart by the name of their kind`
    )
  }
  // The class that a user makes extends this one; only then is there a Self.
  // @effect-diagnostics-next-line classSelfMismatch:off
  class Service extends Context.Service<Self, Engine<K>>()(id) {
    static readonly kinds: ReadonlyArray<K> = options.kinds
    static get layer() {
      return (layer ??= Layer.effect(this, make<K>(options.kinds)))
    }
    static spawn(kind: WorkKind.Any, payload: unknown, spawnOptions: SpawnOptions = {}) {
      return Effect.gen(function*() {
        const work = yield* CurrentWork
        const step = yield* CurrentStep
        const siblings = step === undefined ? work.port.children : step.children
        const generation = work.generation === 0 ? "" : `g${work.generation}/`
        const place = step === undefined ? "" : `${step.name}.`
        const derived = `${work.spec.id}/${generation}${place}${siblings.length}`
        const traceparent = yield* currentTraceparent
        const made = makeSpec(kind, payload, { id: derived, ...spawnOptions }, work.spec.id, traceparent)
        if (Exit.isFailure(made)) return yield* Effect.orDie(made)
        siblings.push({ on: spawnOptions.on ?? "success", spec: made.value })
        return made.value.id
      })
    }
  }
  let layer: Layer.Layer<Self, never, unknown> | undefined
  return Service as never
}
