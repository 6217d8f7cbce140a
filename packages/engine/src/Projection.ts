/**
 * A view of the run that a handler belongs to: a fold of the user's own over the run's events, kept up to date.
 *
 * Each reading folds in only what has become durable since the last one, so that a plan that looks at the whole run
 * costs what is new and not what is old. The state lives in memory, beside the run: it is made anew from the
 * journal when another process opens the run.
 */
import { Effect } from "effect"
import { CurrentWork } from "./CurrentWork.ts"
import type { RunError } from "./internal/errors.ts"
import type { Sequenced } from "./RunEvent.ts"

/**
 * Declares a view. `evolve` changes the state that it is given; it is called once for each event, in order. What the
 * effect returns is the one state of the run: read it, do not change it.
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
 * const settled = Projection.make({
 *   initial: () => ({ works: 0 }),
 *   evolve: (state, { event }) => {
 *     if (event._tag === "WorkSucceeded") state.works += 1
 *   }
 * })
 * const CountLive = Count.toLayer(() => Effect.orDie(Effect.map(settled, ({ works }) => works)))
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("counting", { concurrency: 1 })
 *   const jobs = yield* Effect.forEach([1, 2, 3], () => run.submit(Count, {}))
 *   return yield* Effect.forEach(jobs, (job) => job.await)
 * }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provide([CountLive, Journal.layerMemory]))))
 *
 * assert.deepStrictEqual(await Effect.runPromise(program), [0, 1, 2])
 * ```
 */
export const make = <State>(options: {
  readonly initial: () => State
  readonly evolve: (state: State, event: Sequenced) => void
}): Effect.Effect<State, RunError, CurrentWork> => {
  const views = new WeakMap<object, { readonly state: State; seq: number }>()
  return Effect.flatMap(CurrentWork, ({ history, port }) => {
    const view = views.get(port.session) ?? { state: options.initial(), seq: 0 }
    views.set(port.session, view)
    return Effect.map(history(view.seq), (events) => {
      for (const event of events) {
        // Another work may have read the same events meanwhile.
        if (event.seq !== view.seq + 1) continue
        options.evolve(view.state, event)
        view.seq = event.seq
      }
      return view.state
    })
  })
}
