/**
 * A view of a run: a fold of the user's own over the run's events, in step with the run.
 *
 * Each reading folds in only what has become durable since the last one, so that a plan that looks at the whole run
 * costs what is new and not what is old. A view that says how it is written (`snapshot`) is saved with the run's snapshots, so
 * that the next process reads on from there; any other is made anew from the journal. Nothing of a view is the truth: it may be
 * thrown away at any time.
 */
import { Effect, type Schema } from "effect"
import { CurrentWork } from "./CurrentWork.ts"
import { viewsOf } from "./internal/views.ts"
import type { JournalError } from "./Journal.ts"
import type { RunQuarantined } from "./RunError.ts"
import type { Sequenced } from "./RunEvent.ts"

/**
 * How a view comes about.
 *
 * - `evolve` changes the state that it is given; it is called once for each event, in order. Where a run has forgotten events, the
 *   first that it sees is a `RunSnapshot`, with the state as `initial` made it.
 * - `snapshot`: a name, unique among the views of a run; a version, to be raised whenever `evolve` or the schema changes, so that what
 *   was saved is not used; and the schema of the state.
 */
export interface Definition<State> {
  readonly initial: () => State
  readonly evolve: (state: State, event: Sequenced) => void
  readonly snapshot?: {
    readonly name: string
    readonly version: number
    // oxlint-disable-next-line typescript/no-explicit-any -- any encoded form: the position is invariant
    readonly schema: Schema.Codec<State, any>
  }
}

/**
 * A view that can be read: within a handler as the effect that it is, and elsewhere with `run.view(projection)`. It has all events
 * that are durable, and fails where they cannot be read. What comes out is the one state of the run in this process (in a worker of
 * a pool, of that worker): read it, do not change it.
 */
export interface Projection<State> extends Effect.Effect<State, JournalError | RunQuarantined, CurrentWork> {
  readonly definition: Definition<State>
}

/**
 * Declares a view. Keep what it returns: each declaration is a view of its own, with a state of its own.
 *
 * @example
 * ```ts
 * import { Journal, Projection, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Count extends WorkKind.make("Count", { payload: {}, success: Schema.Int }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Count] }) {}
 *
 * const settled = Projection.make<{ works: number }>({
 *   initial: () => ({ works: 0 }),
 *   evolve: (state, { event }) => {
 *     if (event._tag === "WorkSucceeded") state.works += 1
 *   },
 *   snapshot: { name: "settled", version: 1, schema: Schema.Struct({ works: Schema.Int }) }
 * })
 * const CountLive = Count.toLayer(() => Effect.orDie(Effect.map(settled, ({ works }) => works)))
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("counting", { concurrency: 1 })
 *   const jobs = yield* Effect.forEach([1, 2, 3], () => run.submit(Count, {}))
 *   const seen = yield* Effect.forEach(jobs, (job) => job.await)
 *   return [...seen, (yield* run.view(settled)).works]
 * }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provide([CountLive, Journal.layerMemory]))))
 *
 * assert.deepStrictEqual(await Effect.runPromise(program), [0, 1, 2, 3])
 * ```
 */
export const make = <State>(definition: Definition<State>): Projection<State> =>
  Object.assign(
    Effect.flatMap(CurrentWork, ({ history, port }) => viewsOf(port.session).read(definition, history)),
    { definition }
  )
