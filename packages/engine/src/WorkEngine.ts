/**
 * The service that runs work: it starts, resumes and opens runs.
 *
 * An engine names the kinds that it runs. Its layer then requires a handler for each (a missing one does not
 * compile), and its runs accept no other kind.
 */
import { Clock, Context, Duration, Effect, Exit, Layer, Queue, Scope } from "effect"
import { Journal, type JournalError, RunExists, type RunInfo, type RunLocked, RunNotFound } from "./Journal.ts"
import { CurrentWork } from "./CurrentWork.ts"
import type { Registered } from "./internal/attempt.ts"
import { InvalidWork } from "./internal/decide.ts"
import { only } from "./internal/errors.ts"
import { readEvents } from "./internal/history.ts"
import { type Message, Runner } from "./internal/runner.ts"
import { checkSpecs, makeSpec, type SpecOptions } from "./internal/spec.ts"
import { Failpoint } from "./Failpoint.ts"
import * as Run from "./Run.ts"
import type { DuplicateWork, RunQuarantined } from "./RunError.ts"
import type { RunConfig, Sequenced } from "./RunEvent.ts"
import * as RunState from "./RunState.ts"
import { CurrentStep } from "./Step.ts"
import type * as WorkKind from "./WorkKind.ts"
import type { SpawnOn, WorkSpec } from "./WorkSpec.ts"

/**
 * - `concurrency`: how many works may run at the same time; at least 1.
 * - `pools`: named pools of slots and their sizes.
 * - `keepOpen`: whether the run waits for more work when it is empty (true for `open` and `resume` by default), or completes.
 * - `owner`: the name that another process is told when it finds the run locked.
 */
export interface OpenOptions {
  readonly concurrency: number
  readonly pools?: { readonly [name: string]: number }
  readonly keepOpen?: boolean
  readonly owner?: string
}

/** `start` takes the first works along, and is not kept open by default. */
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
 * - `list`: the runs of the journal. `history`: the durable events of a run that need not be open here.
 */
export interface Engine<K extends WorkKind.Any> {
  readonly start: (
    runId: string,
    options: StartOptions
  ) => Effect.Effect<Run.Run<K>, OpenError | RunExists | DuplicateWork, Scope.Scope>
  readonly resume: (
    runId: string,
    options: OpenOptions
  ) => Effect.Effect<Run.Run<K>, OpenError | RunNotFound, Scope.Scope>
  readonly open: (runId: string, options: OpenOptions) => Effect.Effect<Run.Run<K>, OpenError, Scope.Scope>
  readonly list: Effect.Effect<ReadonlyArray<RunInfo>, JournalError>
  readonly history: (
    runId: string,
    options?: { readonly after?: number }
  ) => Effect.Effect<ReadonlyArray<Sequenced>, JournalError | RunNotFound | RunQuarantined>
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
  if (!Number.isInteger(options.concurrency) || options.concurrency < 1) {
    return invalid("concurrency", options.concurrency, "a whole number from 1")
  }
  for (const [name, size] of Object.entries(options.pools ?? {})) {
    if (!Number.isInteger(size) || size < 0) return invalid(`pools.${name}`, size, "a whole number from 0")
  }
  return Effect.void
}

const make = <K extends WorkKind.Any>(kinds: ReadonlyArray<K>) =>
  Effect.gen(function*() {
    const journal = yield* Journal
    const registered = new Map<string, Registered>()
    for (const kind of kinds) {
      const handler = yield* kind.handler
      const { timeout } = kind.policies
      registered.set(kind.kind, {
        kind,
        handler,
        timeoutMillis: timeout === undefined ? undefined : Duration.toMillis(timeout)
      })
    }
    const byName = new Map<string, WorkKind.Any>(kinds.map((kind) => [kind.kind, kind]))

    const acquire = Effect.fnUntraced(function*(
      runId: string,
      mode: "create" | "existing" | "either",
      options: StartOptions,
      keepOpen: boolean
    ) {
      yield* checkOptions(runId, options)
      const specs = yield* checkSpecs(byName, options.works ?? [])
      // A process that died between creating the run and recording its start left a run without an event: it has
      // not begun, so it can be started, and there is nothing to resume.
      const writer = yield* journal.open(runId, {
        mode: mode === "create" ? "either" : mode,
        ...(options.owner === undefined ? {} : { owner: options.owner })
      })
      if (mode === "create" && writer.lastSeq > 0) return yield* RunExists.of(runId)
      if (mode === "existing" && writer.lastSeq === 0) return yield* RunNotFound.of(runId)
      const state = RunState.make()
      for (const { event } of yield* readEvents(journal, runId, 0, writer.lastSeq)) RunState.evolve(state, event)
      const failpoint = yield* Failpoint
      failpoint("recover.read")
      const runner = new Runner({
        runId,
        state,
        journal,
        writer,
        seq: writer.lastSeq,
        kinds: registered,
        inbox: yield* Queue.unbounded<Message>(),
        clock: yield* Clock.Clock,
        context: yield* Effect.context<never>(),
        failpoint
      })
      const config: RunConfig = {
        concurrency: options.concurrency,
        pools: options.pools ?? {},
        keepOpen,
        kinds: Object.fromEntries(Array.from(registered.values(), ({ handler, kind }) => [kind.kind, {
          ...(kind.policies.limit === undefined ? {} : { limit: kind.policies.limit }),
          onCancel: handler.onCancel !== undefined
        }]))
      }
      yield* Effect.forkScoped(runner.loop)
      yield* Effect.addFinalizer(() => runner.stop)
      runner.recover()
      yield* only("DuplicateWork", "InvalidWork", "JournalError")(runner.send(
        state.name === "absent" ? { _tag: "Start", config, specs } : { _tag: "Open", config }
      ))
      failpoint("recover.opened")
      return Run.make<K>(runner, byName)
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
          ["RunExists", "DuplicateWork"],
          Effect.die
        ),
      open: (runId, options) =>
        Effect.catchTag(
          take(runId, "either", options, options.keepOpen ?? true),
          ["RunExists", "RunNotFound", "DuplicateWork"],
          Effect.die
        ),
      list: journal.list,
      history: Effect.fnUntraced(function*(runId, options) {
        return yield* readEvents(journal, runId, options?.after ?? 0, Number.MAX_SAFE_INTEGER)
      })
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
        const derived = `${work.spec.id}/${step === undefined ? "" : `${step.name}.`}${siblings.length}`
        const spec = yield* Effect.orDie(makeSpec(kind, payload, { id: derived, ...spawnOptions }, work.spec.id))
        siblings.push({ on: spawnOptions.on ?? "success", spec })
        return spec.id
      })
    }
  }
  let layer: Layer.Layer<Self, never, unknown> | undefined
  return Service as never
}
