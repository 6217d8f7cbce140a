/**
 * The serializable unit of work: what is scheduled, journaled and shown.
 *
 * A spec says *what* is to be done (a kind and its payload) and *when it may run* (priority, claims). It holds no
 * code: the kind's handler is found by name when the work starts, perhaps in another process, weeks later.
 */
import { Schema } from "effect"

/**
 * Claims on named pools: how many units of each pool a work (or a part of it) must hold, e.g. `{ gpu: 1 }`.
 */
export const Claims = Schema.Record(Schema.String, Schema.Int.check(Schema.isGreaterThan(0)))
export type Claims = typeof Claims.Type

/** What happens to a work when one that it waits for did not succeed: it is skipped (default), or it runs all the same. */
export const OnDependencyFailure = Schema.Literals(["skip", "run"])
export type OnDependencyFailure = typeof OnDependencyFailure.Type

/**
 * What happens when a work with the same `dedupe` key has been added and has not begun: the earlier one stays and the
 * new one is merged into it (`keep`, default), the new one takes its place (`replace`: the earlier one is skipped), or
 * the new one is refused (`reject`, with `DuplicateKey`).
 */
export const OnCollision = Schema.Literals(["keep", "replace", "reject"])
export type OnCollision = typeof OnCollision.Type

/**
 * One unit of work as it lies in the journal. It round-trips through JSON unchanged.
 *
 * - `id`: unique in the run, 1 to 512 characters.
 * - `priority`: any finite number; **lower runs first**, ties in order of arrival.
 * - `payload`: JSON in the encoded form of the kind's payload schema.
 * - `notBefore`: it does not start earlier. `deadline`: what has not ended by then ends as `Expired`: skipped when it never
 *   began, failed when it did. Both in milliseconds since the epoch; they run through pauses and downtime.
 * - `timeToLiveMillis`: how long it may lie in the queue before it first starts, counted from when it could have started.
 * - `after`: ids of works that must have settled before; `onDependencyFailure` says what if one did not succeed.
 * - `key`: a concurrency key. Keys take turns at equal priority, and each may be limited.
 * - `slots`: units of named pools that it holds while it runs.
 * - `dedupe`: an idempotency key, the kind's own; `onCollision` says what happens while another work with the same key has not
 *   begun.
 * - `parent`: the work whose handler spawned it.
 * - `traceparent`: W3C trace context of whoever asked for the work; its attempts are spans below it.
 *
 * Whoever has the kind at hand lets `run.submit(kind, payload, options)` make the spec. `run.add(specs)` takes specs that
 * come from elsewhere (a file, a queue, another process) and refuses with `InvalidWork` what does not fit: it names
 * the field and the value.
 *
 * @example
 * ```ts
 * import { WorkSpec } from "@espalier/engine"
 * import { Schema } from "effect"
 * import assert from "node:assert"
 *
 * const spec: WorkSpec.WorkSpec = {
 *   id: "thumbnail/a.png",
 *   kind: "Thumbnail",
 *   priority: -5,
 *   payload: { url: "https://example.org/a.png" },
 *   after: ["upload/a.png"],
 *   slots: { network: 1 }
 * }
 * const read = Schema.decodeUnknownSync(WorkSpec.WorkSpec)
 * assert.deepStrictEqual(read(JSON.parse(JSON.stringify(spec))), spec)
 * assert.throws(() => read({ ...spec, slots: { network: 0.5 } }), /network/)
 * ```
 */
export const WorkSpec = Schema.Struct({
  id: Schema.NonEmptyString.check(Schema.isMaxLength(512)),
  kind: Schema.NonEmptyString,
  priority: Schema.Finite,
  payload: Schema.Json,
  notBefore: Schema.optionalKey(Schema.Finite),
  deadline: Schema.optionalKey(Schema.Finite),
  timeToLiveMillis: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThan(0))),
  after: Schema.optionalKey(Schema.Array(Schema.NonEmptyString)),
  onDependencyFailure: Schema.optionalKey(OnDependencyFailure),
  key: Schema.optionalKey(Schema.NonEmptyString),
  slots: Schema.optionalKey(Claims),
  dedupe: Schema.optionalKey(Schema.NonEmptyString),
  onCollision: Schema.optionalKey(OnCollision),
  parent: Schema.optionalKey(Schema.NonEmptyString),
  traceparent: Schema.optionalKey(Schema.NonEmptyString)
})
export type WorkSpec = typeof WorkSpec.Type

/**
 * When a spawned child becomes a work: with its parent's success, with its failure, or with either. A cancelled
 * parent leaves no children.
 */
export const SpawnOn = Schema.Literals(["success", "failure", "always"])
export type SpawnOn = typeof SpawnOn.Type

/**
 * Part of an event: a child that waits for its parent to settle.
 */
export const ChildSpec = Schema.Struct({ on: SpawnOn, spec: WorkSpec })
export type ChildSpec = typeof ChildSpec.Type

/**
 * The most that one record (a payload, a step's result, an outcome) may take, in characters of JSON. Large data
 * belongs in files; a record holds their names. A larger payload is refused with `InvalidWork`; a larger result, error or step is a
 * defect of its work.
 *
 * @example
 * ```ts
 * import { Journal, WorkEngine, WorkKind, WorkSpec } from "@espalier/engine"
 * import { Effect, Layer, Schema } from "effect"
 * import assert from "node:assert"
 *
 * class Note extends WorkKind.make("Note", { payload: { text: Schema.String } }) {}
 * class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Note] }) {}
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* (yield* Jobs).open("notes", { concurrency: 1 })
 *   return yield* Effect.flip(run.submit(Note, { text: "x".repeat(WorkSpec.maxRecordLength) }))
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(Jobs.layer.pipe(Layer.provide([Note.toLayer(() => Effect.void), Journal.layerMemory])))
 * )
 *
 * const refused = await Effect.runPromise(program)
 * assert(refused._tag === "InvalidWork" && refused.field === "payload")
 * ```
 */
export const maxRecordLength = 1_048_576
