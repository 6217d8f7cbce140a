/**
 * A named, durable piece of a handler.
 *
 * The effect of a step runs at least once; its result is recorded exactly once; what is recorded does not run again.
 * Between steps a handler may do what it likes: no determinism is asked for, only names matter.
 */
import { Context, Effect, Exit, type Schema } from "effect"
import { CurrentWork } from "./CurrentWork.ts"
import { Failpoint } from "./Failpoint.ts"
import { codecOf, messageOf } from "./internal/codec.ts"
import { tooLong } from "./internal/record.ts"
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
 * `slots` are claimed for the time of the step alone. A name used twice in one attempt is a defect. So is a result that does not fit
 * its schema or takes more than `WorkSpec.maxRecordLength` characters of JSON, and a record that its schema no longer reads. It
 * fails with what the effect fails with and nothing else: when the journal fails, or the attempt is over, the handler is interrupted.
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
    const repeated = use(work, name)
    if (repeated !== undefined) return repeated
    if (port.steps.has(name)) return recorded(work, name, schema)
    const hold = `step:${name}`
    const children: Array<ChildSpec> = []
    const body = Effect.flatMap(port.enter(name), () =>
      Effect.flatMap(Effect.provideService(effect, CurrentStep, { name, children }), (value) =>
        Effect.as(record(work, name, schema, value, { children }), value)))
    if (options.slots === undefined) {
      return body
    }
    return Effect.andThen(
      Effect.orDie(port.acquire({ hold, claims: options.slots, step: name })),
      Effect.onError(
        body,
        () =>
          Effect.ignore(port.tell({ _tag: "ReleaseSlots", id: spec.id, start: work.start, hold }))
      )
    )
  })

type Work = CurrentWork["Service"]

const use = ({ port, spec }: Work, name: string): Effect.Effect<never> | undefined => {
  if (port.used.has(name)) {
    return Effect.die(
      new Error(`work "${spec.id}" uses the step name "${name}" twice: give each step of a handler its own name`)
    )
  }
  port.used.add(name)
  return undefined
}

const recorded = <A, I>({ port, spec }: Work, name: string, schema: Schema.Codec<A, I>): Effect.Effect<A> => {
  const decoded = codecOf(schema).decode(port.steps.get(name))
  return Exit.isSuccess(decoded) ? Effect.succeed(decoded.value as A) : Effect.die(
    new Error(`the recorded step "${name}" of work "${spec.id}" does not fit its schema: ${messageOf(decoded)}`)
  )
}

const record = <A, I>(
  work: Work,
  name: string,
  schema: Schema.Codec<A, I>,
  value: A,
  options: { readonly children: ReadonlyArray<ChildSpec>; readonly cursor?: boolean }
): Effect.Effect<void> =>
  Effect.flatMap(Failpoint, (failpoint) => {
    const { port, spec, start } = work
    const encoded = codecOf(schema).encode(value)
    if (Exit.isFailure(encoded)) {
      return Effect.die(
        new Error(`the result of step "${name}" of work "${spec.id}" does not fit its schema: ${messageOf(encoded)}`)
      )
    }
    const result = encoded.value
    const long = tooLong("result", `the result of step "${name}"`, spec.id, result)
    if (long !== undefined) return Effect.die(long)
    failpoint(`step.done ${name}`)
    return Effect.flatMap(
      Effect.orDie(port.tell({ _tag: "RecordStep", id: spec.id, start, step: name, result, ...options })),
      () => {
        failpoint(`step.recorded ${name}`)
        return port.enter(undefined)
      }
    )
  })

/**
 * How far a loop has come: a step that is recorded again and again, of which the latest record holds.
 *
 * `advance` returns when the new value is durable. After a crash, or in the next attempt, `current` is the last value that was
 * recorded, `initial` when none was: what the loop did after it is done again. As with a step, the name is used once in an
 * attempt, and a retry `from` it drops it.
 *
 * @example
 * ```ts
 * import { Journal, Step, WorkEngine, WorkKind } from "@espalier/engine"
 * import { Effect, Layer, Schedule, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Import extends WorkKind.make("Import", {
 *   payload: { rows: Schema.Int },
 *   error: Schema.String,
 *   retry: Schedule.recurs(1)
 * }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Import] }) {}
 *
 * const seen: Array<number> = []
 * const ImportLive = Import.toLayer(Effect.fn(function*({ rows }) {
 *   const cursor = yield* Step.cursor("row", Schema.Int, 0)
 *   for (let row = cursor.current; row < rows; row++) {
 *     seen.push(row)
 *     if (row === 2 && seen.length === 3) return yield* Effect.fail("the connection is lost")
 *     yield* cursor.advance(row + 1)
 *   }
 * }))
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("imports", { concurrency: 1 })
 *   yield* (yield* run.submit(Import, { rows: 4 })).await
 * }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provide([ImportLive, Journal.layerMemory]))))
 *
 * await Effect.runPromise(program)
 * assert.deepStrictEqual(seen, [0, 1, 2, 2, 3]) // only the row that was not recorded was read again
 * ```
 */
export const cursor = <A, I>(
  name: string,
  schema: Schema.Codec<A, I>,
  initial: A
): Effect.Effect<Cursor<A>, never, CurrentWork> =>
  Effect.flatMap(CurrentWork, (work) => {
    const repeated = use(work, name)
    if (repeated !== undefined) return repeated
    const found = work.port.steps.has(name) ? recorded(work, name, schema) : Effect.succeed(initial)
    return Effect.map(found, (current) => ({
      current,
      advance: (value: A) => record(work, name, schema, value, { children: [], cursor: true })
    }))
  })

/** What `cursor` returns. `current` is as it was when the cursor was opened. */
export interface Cursor<A> {
  readonly current: A
  readonly advance: (value: A) => Effect.Effect<void>
}
