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

/**
 * One unit of work as it lies in the journal. It round-trips through JSON unchanged.
 *
 * - `id`: unique in the run, 1 to 512 characters.
 * - `priority`: any finite number; **lower runs first**, ties in order of arrival.
 * - `payload`: JSON in the encoded form of the kind's payload schema.
 * - `slots`: units of named pools that it holds while it runs.
 * - `dedupe`: while another work with the same key has not begun, this one is merged into it.
 * - `parent`: the work whose handler spawned it.
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
  slots: Schema.optionalKey(Claims),
  dedupe: Schema.optionalKey(Schema.NonEmptyString),
  parent: Schema.optionalKey(Schema.NonEmptyString)
})
export type WorkSpec = typeof WorkSpec.Type

/**
 * When a spawned child becomes a work: with its parent's success, with its failure, or with either. A cancelled
 * parent leaves no children.
 */
export const SpawnOn = Schema.Literals(["success", "failure", "always"])
export type SpawnOn = typeof SpawnOn.Type

/**
 * A child that waits for its parent to settle.
 */
export const ChildSpec = Schema.Struct({ on: SpawnOn, spec: WorkSpec })
export type ChildSpec = typeof ChildSpec.Type

/**
 * The most that one record (a payload, a step's result, an outcome) may take, in characters of JSON. Large data
 * belongs in files; a record holds their names.
 */
export const maxRecordLength = 1_048_576
