/**
 * A named, durable piece of a handler.
 *
 * The effect of a step runs at least once; its result is recorded exactly once; what is recorded does not run again.
 * Between steps a handler may do what it likes: no determinism is asked for, only names matter.
 */
import { Context, Effect, Schema } from "effect"
import { CurrentWork } from "./CurrentWork.ts"
import { Failpoint } from "./Failpoint.ts"
import { checkLength } from "./internal/record.ts"
import type { ChildSpec, Claims } from "./WorkSpec.ts"

/**
 * The step that is running, for `spawn`: its children belong to its record.
 * @internal
 */
export const CurrentStep = Context.Reference<
  { readonly name: string; readonly children: Array<ChildSpec> } | undefined
>(
  "@espalier/engine/CurrentStep",
  { defaultValue: () => undefined }
)

/**
 * Runs an effect once and records its result; on any later attempt the recorded result is returned and the effect
 * is not run. A failure is not recorded: the kind's retry policy decides whether it is tried again.
 *
 * `slots` are claimed for the time of the step alone. A name used twice in one attempt is a defect.
 *
 * @example
 * ```ts
 * import { Journal, Step, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Greet extends WorkKind.make("Greet", { payload: { name: Schema.String }, success: Schema.String }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Greet] }) {}
 *
 * const GreetLive = Greet.toLayer(Effect.fn(function*({ name }) {
 *   const greeting = yield* Step.run("compose", Schema.String, Effect.succeed(`hello ${name}`))
 *   return greeting.toUpperCase()
 * }))
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("greetings", { concurrency: 1 })
 *   const job = yield* run.submit(Greet, { name: "world" })
 *   return yield* job.await
 * }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provide([GreetLive, Journal.layerMemory]))))
 *
 * assert.strictEqual(await Effect.runPromise(program), "HELLO WORLD")
 * ```
 */
export const run = <A, I, E, R>(
  name: string,
  schema: Schema.Codec<A, I>,
  effect: Effect.Effect<A, E, R>,
  options: { readonly slots?: Claims } = {}
): Effect.Effect<A, E, R | CurrentWork> =>
  Effect.flatMap(CurrentWork, (work) => {
    const { port, spec } = work
    if (port.used.has(name)) {
      return Effect.die(
        new Error(`work "${spec.id}" uses the step name "${name}" twice: give each step of a handler its own name`)
      )
    }
    port.used.add(name)
    const codec = Schema.toCodecJson(schema)
    if (port.steps.has(name)) return Effect.orDie(Schema.decodeUnknownEffect(codec)(port.steps.get(name)))
    const hold = `step:${name}`
    const children: Array<ChildSpec> = []
    const body = Effect.gen(function*() {
      port.enter(name)
      const value = yield* Effect.provideService(effect, CurrentStep, { name, children })
      const result = yield* Effect.orDie(Schema.encodeEffect(codec)(value))
      const failpoint = yield* Failpoint
      failpoint(`step.done ${name}`)
      yield* checkLength(`the result of step "${name}"`, spec.id, result)
      yield* Effect.orDie(
        port.tell({ _tag: "RecordStep", id: spec.id, attempt: work.attempt, step: name, result, children })
      )
      failpoint(`step.recorded ${name}`)
      return value
    })
    if (options.slots === undefined) return body
    return Effect.andThen(
      Effect.orDie(port.acquire({ hold, claims: options.slots, step: name })),
      Effect.onError(body, () =>
        Effect.ignore(port.tell({ _tag: "ReleaseSlots", id: spec.id, attempt: work.attempt, hold })))
    )
  })
