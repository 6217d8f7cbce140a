/**
 * Places where a process may be made to die, so that crash tests can hit the moments that chance seldom finds.
 *
 * The engine calls the hook at each of them, in the order in which things happen; by default it does nothing. A crash test
 * provides one that kills the process. Names:
 *
 * - `append.before`: decided, not yet durable. `append.after`: durable, not yet acted on.
 * - `step.done <step>`: a step's effect has happened, its record is not yet asked for. `step.recorded <step>`: its record is durable.
 * - `recover.read`: a run's journal was read, nothing was written. `recover.opened`: the resume is recorded, nothing runs yet.
 * - `snapshot.begin`: nothing of a snapshot is written. `snapshot.saved`: it is durable, what it makes superfluous is not trimmed.
 */
import { Context } from "effect"

/**
 * The hook: it gets the name of the place, and is called in the middle of things, so it has to be quick and must not throw. The
 * engine takes it from the context in which the run is opened.
 *
 * @example
 * ```ts
 * import { Failpoint, Journal, Step, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Greet extends WorkKind.make("Greet", { payload: {} }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Greet] }) {}
 *
 * const passed: Array<string> = []
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("greetings", { concurrency: 1 })
 *   yield* (yield* run.submit(Greet, {})).await
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(Jobs.layer.pipe(
 *     Layer.provide(Greet.toLayer(() => Step.run("say", Schema.Void, Effect.void))),
 *     Layer.provide(Journal.layerMemory)
 *   )),
 *   // A crash test ends the process here, when the name is the one that it waits for.
 *   Effect.provideService(Failpoint.Failpoint, (name) => passed.push(name))
 * )
 *
 * await Effect.runPromise(program)
 * const [done, before, after, recorded] = passed.slice(passed.indexOf("step.done say"))
 * assert.deepStrictEqual([done, before, after], ["step.done say", "append.before", "append.after"])
 * assert.strictEqual(recorded, "step.recorded say")
 * ```
 */
export const Failpoint = Context.Reference<(name: string) => void>("@espalier/engine/Failpoint", {
  defaultValue: () => (_name) => undefined
})
