/**
 * The handle on one run: its work, its state, its events and its controls. A handle lives as long as the scope that
 * opened the run; when that closes the run is suspended and can be opened again.
 */
import { Effect, Schema, Stream } from "effect"
import type { JournalError } from "./Journal.ts"
import type { InvalidWork, WorkSettled } from "./internal/decide.ts"
import { only, type RunError } from "./internal/errors.ts"
import type { Runner } from "./internal/runner.ts"
import { checkSpecs, makeSpec, type SpecOptions } from "./internal/spec.ts"
import { type DuplicateWork, type RunNotAccepting, RunSuspended, WorkNotFound, WorkStopped } from "./RunError.ts"
import type { Sequenced } from "./RunEvent.ts"
import * as RunStatus from "./RunStatus.ts"
import type * as WorkKind from "./WorkKind.ts"
import type { WorkSpec } from "./WorkSpec.ts"

/** Who asks for a control (`user` by default), and why (`asked`). Both are recorded, for every control but `close`. */
export interface Asked {
  readonly actor?: string
  readonly reason?: string
}

/** A work of a known kind, in a run that is open. */
export interface Job<A, E> {
  readonly id: string
  /** The success or the typed error of the kind; `WorkStopped` for every other end. */
  readonly await: Effect.Effect<A, E | WorkStopped | RunSuspended | RunError>
  readonly status: Effect.Effect<RunStatus.WorkStatus, WorkNotFound | JournalError>
}

/** The job type of a kind. */
export type JobOf<K> = K extends
  { readonly success: { readonly Type: infer A }; readonly error: { readonly Type: infer E } } ? Job<A, E>
  : never

/** What adding work may be refused with. */
export type AddError = InvalidWork | DuplicateWork | RunNotAccepting | JournalError

/**
 * A run that is open in this process.
 *
 * - `status`: a snapshot of what is durable.
 * - `changes`: snapshots as things change, the present one first; a slow reader misses the ones between. It does not
 *   end by itself: take while the state is what you wait for.
 * - `events`: every event with `seq` greater than `after` (0 by default), then the ones to come. No gaps, no doubles, and a slow
 *   reader slows nobody: events are read from the journal. Ends when the run is completed, cancelled or suspended.
 * - `add`: all specs or none. `submit` builds a spec from a kind and a payload.
 * - `pause` lets running works end and starts no others; `resume` goes on. `suspend` interrupts handlers without settling
 *   anything. `cancel` ends every work for good. `close` lets a run that was kept open complete when it is empty.
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
  readonly events: (options?: { readonly after?: number }) => Stream.Stream<Sequenced, RunError>
  readonly add: (specs: ReadonlyArray<WorkSpec>) => Effect.Effect<void, AddError>
  readonly submit: <A extends K>(
    kind: A,
    payload: A["payload"]["Type"],
    options?: SpecOptions
  ) => Effect.Effect<JobOf<A>, AddError>
  readonly job: <A extends K>(kind: A, id: string) => Effect.Effect<JobOf<A>, WorkNotFound | JournalError>
  readonly work: (id: string) => Effect.Effect<RunStatus.WorkStatus, WorkNotFound | JournalError>
  readonly pause: (by?: Asked) => Effect.Effect<void, RunNotAccepting | JournalError>
  readonly resume: (by?: Asked) => Effect.Effect<void, RunNotAccepting | JournalError>
  readonly suspend: (by?: Asked) => Effect.Effect<void, RunNotAccepting | JournalError>
  readonly cancel: (by?: Asked) => Effect.Effect<void, RunNotAccepting | JournalError>
  readonly cancelWork: (id: string, by?: Asked) => Effect.Effect<void, WorkNotFound | WorkSettled | JournalError>
  readonly close: Effect.Effect<void, RunNotAccepting | JournalError>
  readonly await: Effect.Effect<RunStatus.RunStatus, JournalError>
}

const isAtRest = (runner: Runner): boolean => {
  const name = runner.published
  return runner.failure !== undefined || name === "completed" || name === "cancelled" || name === "suspended"
}

/** @internal */
export const make = <K extends WorkKind.Any>(
  runner: Runner,
  kinds: ReadonlyMap<string, WorkKind.Any>
): Run<K> => {
  const tell = (command: Parameters<Runner["send"]>[0]) => Effect.asVoid(runner.send(command))
  const adding = only("InvalidWork", "DuplicateWork", "RunNotAccepting", "JournalError")
  const steering = only("RunNotAccepting", "JournalError")

  const jobOf = <A extends WorkKind.Any>(kind: A, id: string): JobOf<A> => {
    const job: Job<unknown, unknown> = {
      id,
      status: workStatus(id),
      await: Effect.flatMap(
        Effect.raceFirst(
          runner.outcome(id),
          Effect.andThen(
            runner.until(() => runner.published === "suspended" && runner.state.works.get(id)?.outcome === undefined),
            Effect.fail(
              new RunSuspended({
                runId: runner.runId,
                message: `run "${runner.runId}" was suspended before work "${id}" settled; open it again to go on`
              })
            )
          )
        ),
        (outcome): Effect.Effect<unknown, unknown> => {
          switch (outcome._tag) {
            case "Succeeded":
              return Effect.orDie(Schema.decodeUnknownEffect(Schema.toCodecJson(kind.success))(outcome.result))
            case "Cancelled":
              return Effect.fail(
                new WorkStopped({
                  id,
                  reason: outcome,
                  message: `work "${id}" was cancelled by ${outcome.actor}: ${outcome.reason}`
                })
              )
            case "Failed": {
              const { failure } = outcome
              if (failure._tag === "Error") {
                return Effect.flatMap(
                  Effect.orDie(Schema.decodeUnknownEffect(Schema.toCodecJson(kind.error))(failure.error)),
                  Effect.fail
                )
              }
              return Effect.fail(
                new WorkStopped({
                  id,
                  reason: failure,
                  message: failure._tag === "TimedOut"
                    ? `work "${id}" timed out after ${failure.afterMillis} ms`
                    : `work "${id}" failed by a defect: ${failure.message}`
                })
              )
            }
          }
        }
      ) as Job<unknown, unknown>["await"]
    }
    return job as JobOf<A>
  }

  const workStatus = (id: string): Effect.Effect<RunStatus.WorkStatus, WorkNotFound | JournalError> =>
    Effect.flatMap(
      runner.query((state) => {
        const entry = state.works.get(id)
        return entry === undefined ? undefined : RunStatus.ofWork(entry)
      }),
      (status) =>
        status === undefined
          ? Effect.fail(new WorkNotFound({ id, message: `no work "${id}" in run "${runner.runId}": check the id` }))
          : Effect.succeed(status)
    )

  const asked = (by: Asked | undefined) => ({ actor: by?.actor ?? "user", reason: by?.reason ?? "asked" })

  return {
    id: runner.runId,
    status: runner.status,
    changes: Stream.unfold(-1, (seen) =>
      Effect.gen(function*() {
        yield* runner.until(() => runner.version > seen || runner.failure !== undefined)
        const version = runner.version
        const status = yield* runner.status
        return [status, version] as const
      })),
    events: (options) =>
      Stream.flattenIterable(Stream.unfold(options?.after ?? 0, (after) =>
        Effect.gen(function*() {
          yield* runner.until(() => runner.seq > after || isAtRest(runner))
          if (runner.seq <= after) return runner.failure === undefined ? undefined : yield* runner.failure
          const events = yield* runner.history(after)
          return [events, events[events.length - 1]?.seq ?? after] as const
        }))),
    add: (specs) =>
      Effect.flatMap(checkSpecs(kinds, specs), (checked) => adding(tell({ _tag: "Add", specs: checked }))),
    submit: (kind, payload, options) =>
      Effect.gen(function*() {
        const spec = yield* makeSpec(kind, payload, options ?? {}, undefined)
        let { id } = spec
        yield* adding(runner.send({ _tag: "Add", specs: [spec] }, (state) => {
          if (!state.works.has(id)) id = state.dedupe.get(spec.dedupe ?? "") ?? id
        }))
        return jobOf(kind, id)
      }),
    job: (kind, id) =>
      Effect.flatMap(workStatus(id), (status) =>
        status.kind === kind.kind
          ? Effect.succeed(jobOf(kind, id))
          : Effect.fail(
            new WorkNotFound({ id, message: `work "${id}" is of the kind "${status.kind}", not "${kind.kind}"` })
          )),
    work: workStatus,
    pause: (by) => steering(tell({ _tag: "Pause", ...asked(by) })),
    resume: (by) => steering(tell({ _tag: "Continue", ...asked(by) })),
    suspend: (by) => steering(tell({ _tag: "Suspend", ...asked(by) })),
    cancel: (by) => steering(tell({ _tag: "Cancel", ...asked(by) })),
    cancelWork: (id, by) =>
      only("WorkNotFound", "WorkSettled", "JournalError")(tell({ _tag: "CancelWork", id, ...asked(by) })),
    close: steering(tell({ _tag: "Close" })),
    await: Effect.andThen(runner.until(() => isAtRest(runner)), runner.status)
  }
}

export type { SpecOptions }
