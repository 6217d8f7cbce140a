import { Effect, Schema } from "effect"
import type { Any } from "../WorkKind.ts"
import { type Claims, WorkSpec } from "../WorkSpec.ts"
import { InvalidWork } from "./decide.ts"
import { tooLong } from "./record.ts"

/** What may be said of a work besides its kind and payload. */
export interface SpecOptions {
  /** Unique in the run; a random UUID by default (for a spawned child: derived from its parent). */
  readonly id?: string
  /** Lower runs first; the kind's priority, or 0, by default. */
  readonly priority?: number
  readonly slots?: Claims
  /** While another work with this key has not begun, this one is merged into it. */
  readonly dedupe?: string
}

/** A spec from a kind and a payload, or the field that is wrong. */
export const makeSpec = (
  kind: Any,
  payload: unknown,
  options: SpecOptions,
  parent: string | undefined
): Effect.Effect<WorkSpec, InvalidWork> => {
  const id = options.id ?? globalThis.crypto.randomUUID()
  const priority = options.priority ?? kind.policies.priority ?? 0
  const invalid = (field: string, value: unknown, message: string) =>
    Effect.fail(new InvalidWork({ id, field, value: String(value), message: `work "${id}": ${message}` }))
  if (id.length === 0 || id.length > 512) return invalid("id", id, "an id has 1 to 512 characters")
  if (!Number.isFinite(priority)) {
    return invalid("priority", priority, `the priority is ${priority}; it must be a finite number (lower runs first)`)
  }
  const slots = options.slots ?? kind.policies.slots
  for (const pool in slots) {
    if (!Number.isInteger(slots[pool]) || slots[pool]! <= 0) {
      return invalid(
        `slots.${pool}`,
        slots[pool],
        `it claims ${slots[pool]} of "${pool}"; a claim is a whole number above 0`
      )
    }
  }
  return Effect.matchEffect(Schema.encodeUnknownEffect(Schema.toCodecJson(kind.payload))(payload), {
    onFailure: (error) =>
      invalid(
        "payload",
        JSON.stringify(payload)?.slice(0, 200),
        `the payload does not fit the kind "${kind.kind}": ${error.message}`
      ),
    onSuccess: (encoded) => {
      const long = tooLong("the payload", id, encoded)
      if (long !== undefined) return Effect.fail(long)
      return Effect.succeed({
        id,
        kind: kind.kind,
        priority,
        payload: encoded,
        ...(slots === undefined ? {} : { slots }),
        ...(options.dedupe === undefined ? {} : { dedupe: options.dedupe }),
        ...(parent === undefined ? {} : { parent })
      })
    }
  })
}

/** Specs from outside: each must fit the schema, and its payload the schema of a kind that the engine runs. */
export const checkSpecs = (
  kinds: ReadonlyMap<string, Any>,
  specs: ReadonlyArray<WorkSpec>
): Effect.Effect<ReadonlyArray<WorkSpec>, InvalidWork> => Effect.forEach(specs, (spec) => checkSpec(kinds, spec))

const checkSpec = Effect.fnUntraced(function*(kinds: ReadonlyMap<string, Any>, spec: WorkSpec) {
  const id = String(spec.id)
  const decoded = yield* Effect.mapError(
    Schema.decodeUnknownEffect(WorkSpec)(spec),
    (error) =>
      new InvalidWork({
        id,
        field: "spec",
        value: JSON.stringify(spec).slice(0, 200),
        message: `work "${id}": ${error.message}`
      })
  )
  const kind = kinds.get(decoded.kind)
  if (kind === undefined) {
    return yield* new InvalidWork({
      id,
      field: "kind",
      value: decoded.kind,
      message: `work "${id}" is of the kind "${decoded.kind}", which this engine does not run: its kinds are ${
        Array.from(kinds.keys()).join(", ")
      }`
    })
  }
  yield* Effect.mapError(
    Schema.decodeUnknownEffect(Schema.toCodecJson(kind.payload))(decoded.payload),
    (error) =>
      new InvalidWork({
        id,
        field: "payload",
        value: JSON.stringify(decoded.payload).slice(0, 200),
        message: `the payload of work "${id}" does not fit the kind "${kind.kind}": ${error.message}`
      })
  )
  const long = tooLong("the payload", id, decoded.payload)
  return long === undefined ? decoded : yield* long
})
