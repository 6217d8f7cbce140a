/**
 * The handle on one run: its work, its state, its events and its controls. A handle lives as long as the scope that
 * opened the run; when that closes the run is suspended and can be opened again.
 */
import { Effect, Stream } from "effect"
import type { JournalError } from "./Journal.ts"
import type { InvalidWork, WorkControl, WorkFilter, WorkNotAccepting, WorkSettled } from "./internal/command.ts"
import { askedOf } from "./internal/asked.ts"
import { select } from "./internal/control.ts"
import { only, type RunError } from "./internal/errors.ts"
import { dedupeKey } from "./internal/model.ts"
import { startOrder } from "./internal/order.ts"
import { fromOutcome } from "./internal/outcomes.ts"
import type { Runner } from "./internal/runner.ts"
import { checkSpecs, makeSpec, type SpecOptions } from "./internal/spec.ts"
import { currentTraceparent } from "./internal/trace.ts"
import {
  type DuplicateKey,
  type DuplicateWork,
  InvalidWork as Invalid,
  type OutcomeExpired,
  type RunFull,
  type RunNotAccepting,
  type RunQuarantined,
  RunSuspended,
  WorkNotFound,
  type WorkStopped
} from "./RunError.ts"
import type { Limits, PauseScope, Sequenced } from "./RunEvent.ts"
import type { Projection } from "./Projection.ts"
import type * as RunStatus from "./RunStatus.ts"
import type * as WorkKind from "./WorkKind.ts"
import type { WorkSpec } from "./WorkSpec.ts"

/** Who asks for a control (`user` by default), and why (`asked`). Both are recorded, for every control but `close`. */
export interface Asked {
  readonly actor?: string
  readonly reason?: string
}

/** A part of a run: the works of one kind, or those with one key. Both given is refused with `InvalidWork`. */
export interface Scoped extends Asked {
  readonly kind?: string
  readonly key?: string
}

/**
 * A work of a known kind, in a run that is open: what `submit` returns, and `run.job(kind, id)` finds again. With a `dedupe` key
 * that another work has, it is that other work: look at its `id`.
 */
export interface Job<A, E> {
  readonly id: string
  /** The success or the typed error of the kind; `WorkStopped` for every other end. */
  readonly await: Effect.Effect<A, E | WorkStopped | RunSuspended | OutcomeExpired | JournalError>
  readonly status: Effect.Effect<RunStatus.WorkStatus, WorkNotFound | JournalError>
}

/** The job type of a kind: `Run.JobOf<typeof Thumbnail>`. */
export type JobOf<K> = K extends
  { readonly success: { readonly Type: infer A }; readonly error: { readonly Type: infer E } } ? Job<A, E>
  : never

/** What adding work may be refused with. */
export type AddError = InvalidWork | DuplicateWork | DuplicateKey | RunNotAccepting | RunFull | JournalError

/** What `add` and `submit` do while a run that was opened with a `capacity` is full: wait (default), or fail with `RunFull`. */
export interface AddOptions {
  readonly whenFull?: "wait" | "refuse"
}

/** What steering one work may be refused with. */
export type WorkError = WorkNotFound | WorkSettled | WorkNotAccepting | RunNotAccepting | InvalidWork | JournalError

/** A queued work, in its place. `key` is undefined for a work without one. */
export interface QueuedWork {
  readonly id: string
  readonly kind: string
  readonly key: string | undefined
  readonly priority: number
}

/**
 * Works chosen by a filter, looked at anew by each operation. A control reaches all that match and accept it, in one step:
 * all of it is durable when it returns, or nothing. Works that do not accept it (settled ones that are to be paused, say) are
 * passed over. Each returns how many works it changed.
 *
 * @example
 * ```ts
 * import { Journal, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Fetch extends WorkKind.make("Fetch", { payload: { url: Schema.String }, error: Schema.String }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Fetch] }) {}
 *
 * let isDown = true
 * const FetchLive = Fetch.toLayer(() => isDown ? Effect.fail("the site is down") : Effect.void)
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("fetches", { concurrency: 4 })
 *   for (const url of ["a", "b", "c"]) yield* Effect.flip((yield* run.submit(Fetch, { url }, { id: url })).await)
 *   const failed = run.select({ kind: "Fetch", state: "failed" })
 *   assert.strictEqual(yield* failed.count, 3)
 *
 *   isDown = false
 *   assert.strictEqual(yield* failed.retry({ actor: "ada", reason: "the site is up again" }), 3)
 *   yield* run.close
 *   const { counts } = yield* run.await
 *   assert.deepStrictEqual(yield* failed.ids, [])
 *   return counts.succeeded
 * }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provide([FetchLive, Journal.layerMemory]))))
 *
 * assert.strictEqual(await Effect.runPromise(program), 3)
 * ```
 */
export interface Selection {
  readonly ids: Effect.Effect<ReadonlyArray<string>, JournalError>
  readonly count: Effect.Effect<number, JournalError>
  readonly cancel: (by?: Asked) => Effect.Effect<number, RunNotAccepting | JournalError>
  readonly pause: (by?: Asked) => Effect.Effect<number, RunNotAccepting | JournalError>
  readonly resume: (by?: Asked) => Effect.Effect<number, RunNotAccepting | JournalError>
  readonly retry: (by?: Asked & { readonly from?: string }) => Effect.Effect<number, RunNotAccepting | JournalError>
  readonly reprioritize: (
    priority: number,
    by?: Asked
  ) => Effect.Effect<number, RunNotAccepting | InvalidWork | JournalError>
}

/**
 * A run that is open in this process.
 *
 * - `status`: a snapshot of what is durable.
 * - `changes`: snapshots as things change, the present one first; a slow reader misses the ones between. It does not
 *   end by itself: take while the state is what you wait for.
 * - `events`: every event with `seq` greater than `after` (0 by default), then the ones to come. No gaps, no doubles, and a slow
 *   reader slows nobody: events are read from the journal. Ends when the run is completed, cancelled or suspended.
 * - `add`: all specs or none. `submit` builds a spec from a kind and a payload. Both wait while a run that was opened with a
 *   `capacity` is full; what waits is let in, in order, as works settle. With `whenFull: "refuse"` they fail with `RunFull` instead.
 * - `queue`: the order in which queued works would start if all had room; the first 100 unless told otherwise.
 * - `view`: a view of the user's own, with all events that are durable. See `Projection`.
 * - `pause` lets running works end and starts no others; with a `kind` or a `key`, only works of it. `resume` goes on. `suspend`
 *   interrupts handlers without settling anything. `cancel` ends every work for good. `close` lets a run that was kept open
 *   complete when it is empty.
 * - `cancelWork`, `pauseWork` (a running one goes on to its next step boundary), `resumeWork`, `retry` (a settled work runs again,
 *   with `from` only from that step on; one that waits for its retry runs now), `reprioritize`: one work. `select`: all that match.
 *   `cancelWork` is taken in every state of the run.
 * - `setConcurrency`, `setPool`, `setKindLimit`, `setKeyLimit` (of one key, or the default of all): while it runs, until it is opened
 *   again. Nothing that runs is stopped: what is over a new limit goes on to its end. `null` is "no limit".
 * - `await`: the last status, when the run is completed, cancelled or suspended.
 *
 * What a control answers is durable when it answers. Each fails with `RunNotAccepting` where the table of
 * `docs/life-of-a-work.md` refuses it, and everything with `JournalError` once the journal has failed. A suspended run takes
 * nothing more until it is opened again. Use the handle only inside the scope that opened the run.
 *
 * @example
 * ```ts
 * import { Journal, type RunStatus, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Schema, Stream } from "effect"
 * import assert from "node:assert"
 *
 * class Task extends WorkKind.make("Task", { payload: { name: Schema.String }, success: Schema.String }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Task] }) {}
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("tuesday", { concurrency: 2 })
 *   yield* run.pause({ actor: "ada", reason: "the database is being moved" })
 *   const late = yield* run.submit(Task, { name: "late" }, { id: "late", priority: 5 })
 *   const soon = yield* run.submit(Task, { name: "soon" }, { id: "soon", priority: -5 })
 *   const { cause, counts, state }: RunStatus.RunStatus = yield* run.status
 *   assert.deepStrictEqual([state, cause?.actor, counts.queued], ["paused", "ada", 2])
 *
 *   yield* run.cancelWork("late", { actor: "ada", reason: "not needed any more" })
 *   yield* run.resume()
 *   assert.strictEqual(yield* soon.await, "soon is done")
 *   const stopped = yield* Effect.flip(late.await)
 *   assert.strictEqual(stopped.message, `work "late" was cancelled by ada: not needed any more`)
 *
 *   yield* run.close // nothing more will come: the run completes when it is empty
 *   const events = yield* run.events({ after: 1 }).pipe(Stream.map(({ event }) => event._tag), Stream.runCollect)
 *   assert.strictEqual(events.at(-1), "RunCompleted")
 *   return (yield* run.await).state
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(Jobs.layer.pipe(
 *     Layer.provide(Task.toLayer(({ name }) => Effect.succeed(`${name} is done`))),
 *     Layer.provide(Journal.layerMemory)
 *   ))
 * )
 *
 * assert.strictEqual(await Effect.runPromise(program), "completed")
 * ```
 */
export interface Run<K extends WorkKind.Any> {
  readonly id: string
  readonly status: Effect.Effect<RunStatus.RunStatus, JournalError>
  readonly changes: Stream.Stream<RunStatus.RunStatus, JournalError>
  readonly events: (options?: { readonly after?: number }) => Stream.Stream<Sequenced, JournalError | RunQuarantined>
  readonly add: (specs: ReadonlyArray<WorkSpec>, options?: AddOptions) => Effect.Effect<void, AddError>
  readonly submit: <A extends K>(
    kind: A,
    payload: A["payload"]["Type"],
    options?: SpecOptions & AddOptions
  ) => Effect.Effect<JobOf<A>, AddError>
  readonly job: <A extends K>(kind: A, id: string) => Effect.Effect<JobOf<A>, WorkNotFound | JournalError>
  readonly view: <State>(projection: Projection<State>) => Effect.Effect<State, JournalError | RunQuarantined>
  readonly work: (id: string) => Effect.Effect<RunStatus.WorkStatus, WorkNotFound | JournalError>
  readonly queue: (options?: { readonly limit?: number }) => Effect.Effect<ReadonlyArray<QueuedWork>, JournalError>
  readonly pause: (by?: Scoped) => Effect.Effect<void, RunNotAccepting | InvalidWork | JournalError>
  readonly resume: (by?: Scoped) => Effect.Effect<void, RunNotAccepting | InvalidWork | JournalError>
  readonly suspend: (by?: Asked) => Effect.Effect<void, RunNotAccepting | JournalError>
  readonly cancel: (by?: Asked) => Effect.Effect<void, RunNotAccepting | JournalError>
  readonly close: Effect.Effect<void, RunNotAccepting | JournalError>
  readonly cancelWork: (id: string, by?: Asked) => Effect.Effect<void, WorkNotFound | WorkSettled | JournalError>
  readonly pauseWork: (id: string, by?: Asked) => Effect.Effect<void, WorkError>
  readonly resumeWork: (id: string, by?: Asked) => Effect.Effect<void, WorkError>
  readonly retry: (id: string, by?: Asked & { readonly from?: string }) => Effect.Effect<void, WorkError>
  readonly reprioritize: (id: string, priority: number, by?: Asked) => Effect.Effect<void, WorkError>
  readonly select: (filter?: WorkFilter) => Selection
  readonly setConcurrency: (concurrency: number, by?: Asked) => Effect.Effect<void, LimitError>
  readonly setPool: (name: string, size: number, by?: Asked) => Effect.Effect<void, LimitError>
  readonly setKindLimit: (kind: string, limit: number | null, by?: Asked) => Effect.Effect<void, LimitError>
  readonly setKeyLimit: (
    limit: number | null,
    by?: Asked & { readonly key?: string }
  ) => Effect.Effect<void, LimitError>
  readonly await: Effect.Effect<RunStatus.RunStatus, JournalError>
}

/** What a new limit may be refused with. */
export type LimitError = InvalidWork | RunNotAccepting | JournalError

/** So many events are read at a time for a subscriber. */
const pageSize = 2_000

const hasEnded = ({ published }: Runner): boolean =>
  published === "completed" || published === "cancelled" || published === "suspended"

const isAtRest = (runner: Runner): boolean => runner.failure !== undefined || hasEnded(runner)

/** @internal */
export const make = <K extends WorkKind.Any>(
  runner: Runner,
  kinds: ReadonlyMap<string, WorkKind.Any>
): Run<K> => {
  const tell = (command: Parameters<Runner["send"]>[0]) => Effect.asVoid(runner.send(command))
  const adding = only("InvalidWork", "DuplicateWork", "DuplicateKey", "RunNotAccepting", "RunFull", "JournalError")
  const steering = only("RunNotAccepting", "JournalError")
  const limiting = only("InvalidWork", "RunNotAccepting", "JournalError")
  const reading = only("JournalError", "RunQuarantined")

  const jobOf = <A extends WorkKind.Any>(kind: A, id: string): JobOf<A> => {
    const job: Job<unknown, unknown> = {
      id,
      status: workStatus(id),
      await: Effect.flatMap(outcomeOf(id), (outcome) => fromOutcome(kind, id, outcome)) as Job<
        unknown,
        unknown
      >["await"]
    }
    return job as JobOf<A>
  }

  const suspended = (id: string) =>
    Effect.fail(
      new RunSuspended({
        runId: runner.runId,
        message: `run "${runner.runId}" was suspended before work "${id}" settled; open it again to go on`
      })
    )

  /** A work that settles wins over a suspend that comes at the same time. */
  const outcomeOf = (id: string) =>
    Effect.catch(
      Effect.raceFirst(
        runner.awaitOutcome(id),
        Effect.andThen(
          runner.watching.until(() =>
            runner.published === "suspended" && runner.state.works.get(id)?.outcome === undefined
          ),
          suspended(id)
        )
      ),
      // Or the run was closed while it was asked.
      (error): Effect.Effect<never, RunError | RunSuspended> =>
        error._tag === "JournalError" && runner.isClosed && runner.published === "suspended"
          ? suspended(id)
          : Effect.fail(error)
    )

  const workStatus = (id: string): Effect.Effect<RunStatus.WorkStatus, WorkNotFound | JournalError> =>
    Effect.flatMap(
      runner.query((state) => {
        const entry = state.works.get(id)
        return { status: entry === undefined ? undefined : runner.workStatus(entry), forgotten: state.forgotten }
      }),
      ({ forgotten, status }) =>
        status === undefined
          ? Effect.fail(
            new WorkNotFound({
              id,
              ...(forgotten === 0 ? {} : { forgotten }),
              message: `no work "${id}" in run "${runner.runId}": check the id${
                forgotten === 0 ? "" : `; the run has forgotten ${forgotten} settled works, as it was told to`
              }`
            })
          )
          : Effect.succeed(status)
    )

  const one = (id: string, control: WorkControl, by: Asked | undefined) =>
    only("WorkNotFound", "WorkSettled", "WorkNotAccepting", "RunNotAccepting", "InvalidWork", "JournalError")(
      tell({ ...control, id, ...askedOf(by) })
    )

  const limit = (limits: Limits, by: Asked | undefined) => limiting(tell({ _tag: "SetLimits", limits, ...askedOf(by) }))

  /** The run, or the part of it that is meant. */
  const scoped = (by: Scoped | undefined, whole: "Pause" | "Continue", part: "PauseScope" | "ContinueScope") => {
    if (by?.kind !== undefined && by.key !== undefined) {
      return Effect.fail(
        new Invalid({
          id: runner.runId,
          field: "key",
          value: by.key,
          message:
            `a kind ("${by.kind}") or a key ("${by.key}") can be paused, not both at once: ask for one after the other`
        })
      )
    }
    const scope: PauseScope | undefined = by?.kind !== undefined
      ? { _tag: "Kind", kind: by.kind }
      : by?.key !== undefined
      ? { _tag: "Key", key: by.key }
      : undefined
    return limiting(tell(scope === undefined ? { _tag: whole, ...askedOf(by) } : { _tag: part, scope, ...askedOf(by) }))
  }

  const selection = (filter: WorkFilter): Selection => {
    const ids = runner.query((state) => select(state, filter).map((entry) => entry.spec.id))
    const each = (control: WorkControl, by: Asked | undefined) =>
      Effect.map(runner.send({ _tag: "Each", filter, control, ...askedOf(by) }), (events) => {
        const changed = new Set<string>()
        for (const event of events) if (isControl(event._tag) && "id" in event) changed.add(event.id)
        return changed.size
      })
    return {
      ids,
      count: Effect.map(ids, (found) => found.length),
      cancel: (by) => steering(each({ _tag: "CancelWork" }, by)),
      pause: (by) => steering(each({ _tag: "PauseWork" }, by)),
      resume: (by) => steering(each({ _tag: "ContinueWork" }, by)),
      retry: (by) => steering(each({ _tag: "RetryWork", ...(by?.from === undefined ? {} : { from: by.from }) }, by)),
      reprioritize: (priority, by) => limiting(each({ _tag: "Reprioritize", priority }, by))
    }
  }

  /** More at once than the run may ever hold would wait for ever. */
  const room = (count: number) =>
    count <= runner.room.capacity ? Effect.void : Effect.fail(
      new Invalid({
        id: runner.runId,
        field: "capacity",
        value: String(count),
        message:
          `run "${runner.runId}" was opened for ${runner.room.capacity} unsettled works, and ${count} are to be added at once: ` +
          "add them in smaller parts"
      })
    )

  return {
    id: runner.runId,
    status: runner.status,
    changes: Stream.unfold(-1, (seen) =>
      Effect.gen(function*() {
        yield* runner.watching.until(() => runner.watching.version > seen || runner.failure !== undefined)
        yield* runner.watching.lull
        const version = runner.watching.version
        const status = yield* runner.status
        return [status, version] as const
      })),
    events: (options) =>
      Stream.flattenIterable(Stream.unfold(options?.after ?? 0, (after) =>
        Effect.gen(function*() {
          yield* runner.watching.until(() => runner.seq > after || isAtRest(runner))
          if (runner.seq <= after) {
            return hasEnded(runner) || runner.failure === undefined
              ? undefined
              : yield* runner.failure
          }
          const events = yield* reading(runner.history(after, pageSize))
          return [events, events[events.length - 1]?.seq ?? after] as const
        }))),
    add: (specs, options) =>
      Effect.flatMap(
        checkSpecs(kinds, specs),
        (checked) =>
          Effect.andThen(
            room(checked.length),
            adding(runner.add({ _tag: "Add", specs: checked }, options?.whenFull ?? "wait"))
          )
      ),
    submit: (kind, payload, options = noOptions) =>
      Effect.flatMap(
        currentTraceparent,
        (traceparent) =>
          Effect.flatMap(makeSpec(kind, payload, options, undefined, traceparent), (spec) => {
            let { id } = spec
            const merged = spec.dedupe === undefined
              ? undefined
              : (state: Runner["state"]): void => {
                if (!state.works.has(id)) id = state.dedupe.get(dedupeKey(spec)) ?? id
              }
            return Effect.map(
              adding(runner.add({ _tag: "Add", specs: [spec] }, options.whenFull ?? "wait", merged)),
              () => jobOf(kind, id)
            )
          })
      ),
    job: (kind, id) =>
      Effect.flatMap(workStatus(id), (status) =>
        status.kind === kind.kind
          ? Effect.succeed(jobOf(kind, id))
          : Effect.fail(
            new WorkNotFound({ id, message: `work "${id}" is of the kind "${status.kind}", not "${kind.kind}"` })
          )),
    view: (projection) => runner.views.read(projection.definition, (after) => reading(runner.history(after))),
    work: workStatus,
    queue: (options) =>
      runner.query((state) =>
        startOrder(state, options?.limit ?? 100).map(({ spec: { id, key, kind, priority } }) => ({
          id,
          kind,
          key,
          priority
        }))
      ),
    pause: (by) => scoped(by, "Pause", "PauseScope"),
    resume: (by) => scoped(by, "Continue", "ContinueScope"),
    suspend: (by) => steering(tell({ _tag: "Suspend", ...askedOf(by) })),
    cancel: (by) => steering(tell({ _tag: "Cancel", ...askedOf(by) })),
    close: steering(tell({ _tag: "Close" })),
    cancelWork: (id, by) =>
      only("WorkNotFound", "WorkSettled", "JournalError")(tell({ _tag: "CancelWork", id, ...askedOf(by) })),
    pauseWork: (id, by) => one(id, { _tag: "PauseWork" }, by),
    resumeWork: (id, by) => one(id, { _tag: "ContinueWork" }, by),
    retry: (id, by) => one(id, { _tag: "RetryWork", ...(by?.from === undefined ? {} : { from: by.from }) }, by),
    reprioritize: (id, priority, by) => one(id, { _tag: "Reprioritize", priority }, by),
    select: (filter = {}) => selection(filter),
    setConcurrency: (concurrency, by) => limit({ concurrency }, by),
    setPool: (name, size, by) => limit({ pools: { [name]: size } }, by),
    setKindLimit: (kind, each, by) => limit({ kinds: { [kind]: each } }, by),
    setKeyLimit: (each, by) =>
      limit(by?.key === undefined ? { keyLimit: each } : { keyLimits: { [by.key]: each } }, by),
    await: Effect.andThen(runner.watching.until(() => isAtRest(runner)), runner.status)
  }
}

const noOptions: SpecOptions & AddOptions = {}

/** Events that a control of one work makes; those that follow from it (a dependent that is skipped) are not counted. */
const isControl = (tag: string): boolean =>
  tag === "WorkCancelling" || tag === "WorkCancelled" || tag === "WorkPaused" || tag === "WorkContinued" ||
  tag === "WorkRetried" || tag === "WorkQueued" || tag === "WorkReprioritized"

export type { SpecOptions, WorkFilter }
