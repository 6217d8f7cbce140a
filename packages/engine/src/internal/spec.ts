import { DateTime, Duration, Effect, Exit, Schema } from "effect"
import type { Any } from "../WorkKind.ts"
import { type Claims, type OnCollision, type OnDependencyFailure, WorkSpec } from "../WorkSpec.ts"
import { codecOf, copyJson, messageOf } from "./codec.ts"
import { InvalidWork } from "./command.ts"
import { tooLong } from "./record.ts"

/** What may be said of a work besides its kind and payload. See `WorkSpec` for what each means. */
export interface SpecOptions {
  /** Unique in the run; a random UUID by default (for a spawned child: derived from its parent). */
  readonly id?: string
  /** Lower runs first; the kind's priority, or 0, by default. */
  readonly priority?: number
  /** It does not start before. */
  readonly notBefore?: DateTime.Utc
  /** What has not ended by then ends as `Expired`. */
  readonly deadline?: DateTime.Utc
  /** How long it may lie in the queue before it first starts; the kind's `timeToLive` by default. */
  readonly timeToLive?: Duration.Input
  /** Ids of works that must have settled before; they are in the run, or are added in the same call. */
  readonly after?: ReadonlyArray<string>
  readonly onDependencyFailure?: OnDependencyFailure
  /** Concurrency key: keys take turns, and each may be limited. */
  readonly key?: string
  readonly slots?: Claims
  /** Idempotency key: while another work with it has not begun, `onCollision` says what happens. */
  readonly dedupe?: string
  readonly onCollision?: OnCollision
  /** W3C trace context; that of the span around the call by default. */
  readonly traceparent?: string
}

const invalid = (id: string, field: string, value: unknown, message: string): InvalidWork =>
  new InvalidWork({ id, field, value: String(value), message: `work "${id}": ${message}` })

/** What is wrong with the fields of a spec; its payload is looked at apart. */
const faultOf = (spec: WorkSpec): InvalidWork | undefined => {
  const { after, deadline, id, notBefore, priority, slots, timeToLiveMillis } = spec
  if (typeof id !== "string" || id.length === 0 || id.length > 512) {
    return invalid(String(id), "id", id, "an id has 1 to 512 characters")
  }
  if (!Number.isFinite(priority)) {
    return invalid(
      id,
      "priority",
      priority,
      `the priority is ${String(priority)}; it must be a finite number (lower runs first)`
    )
  }
  for (const pool in slots) {
    const units = slots[pool]
    if (!Number.isSafeInteger(units) || units! <= 0) {
      return invalid(id, `slots.${pool}`, units, `it claims ${units} of "${pool}"; a claim is a whole number above 0`)
    }
  }
  if (notBefore !== undefined && !Number.isFinite(notBefore)) {
    return invalid(id, "notBefore", notBefore, "it is no time: give milliseconds since the epoch")
  }
  if (deadline !== undefined && !Number.isFinite(deadline)) {
    return invalid(id, "deadline", deadline, "it is no time: give milliseconds since the epoch")
  }
  if (timeToLiveMillis !== undefined && !(timeToLiveMillis > 0 && timeToLiveMillis < Infinity)) {
    return invalid(id, "timeToLiveMillis", timeToLiveMillis, "a time to live is a finite duration above 0")
  }
  if (Array.isArray(after) && after.includes(id)) return invalid(id, "after", id, "it cannot come after itself")
  return undefined
}

const textFields = ["key", "dedupe", "parent", "traceparent"] as const

/** A spec from a kind and a payload, or the field that is wrong. */
export const makeSpec = (
  kind: Any,
  payload: unknown,
  options: SpecOptions,
  parent: string | undefined,
  traceparent?: string
): Exit.Exit<WorkSpec, InvalidWork> => {
  const { policies } = kind
  const id = options.id ?? globalThis.crypto.randomUUID()
  const encoded = codecOf(kind.payload).encode(payload)
  if (Exit.isFailure(encoded)) {
    const value = shown(payload)
    return Exit.fail(
      invalid(id, "payload", value, `the payload does not fit the kind "${kind.kind}": ${messageOf(encoded)}`)
    )
  }
  // A void payload is null in JSON.
  const spec: { -readonly [field in keyof WorkSpec]: WorkSpec[field] } = {
    id,
    kind: kind.kind,
    priority: options.priority ?? policies.priority ?? 0,
    payload: encoded.value ?? null
  }
  const { after, deadline, dedupe, key, notBefore, onCollision, onDependencyFailure } = options
  if (notBefore !== undefined) spec.notBefore = DateTime.toEpochMillis(notBefore)
  if (deadline !== undefined) spec.deadline = DateTime.toEpochMillis(deadline)
  const timeToLive = options.timeToLive ?? policies.timeToLive
  if (timeToLive !== undefined) {
    const millis = Duration.toMillis(timeToLive)
    if (!(millis > 0 && millis < Infinity)) {
      return Exit.fail(invalid(id, "timeToLive", millis, "a time to live is a finite duration above 0"))
    }
    spec.timeToLiveMillis = millis
  }
  if (after !== undefined && after.length > 0) spec.after = after
  if (onDependencyFailure !== undefined) spec.onDependencyFailure = onDependencyFailure
  if (key !== undefined) spec.key = key
  const slots = options.slots ?? policies.slots
  if (slots !== undefined) spec.slots = slots
  if (dedupe !== undefined) spec.dedupe = dedupe
  if (onCollision !== undefined) spec.onCollision = onCollision
  if (parent !== undefined) spec.parent = parent
  const trace = options.traceparent ?? traceparent
  if (trace !== undefined) spec.traceparent = trace
  for (const field of textFields) {
    if (spec[field] === "") return Exit.fail(invalid(id, field, `""`, `its ${field} is empty: leave it out`))
  }
  const fault = faultOf(spec) ?? tooLong("payload", "the payload", id, spec.payload)
  return fault === undefined ? Exit.succeed(spec) : Exit.fail(fault)
}

/** Specs from outside, in objects of their own: each must fit the schema, and its payload the schema of a kind that the engine runs. */
export const checkSpecs = (
  kinds: ReadonlyMap<string, Any>,
  specs: ReadonlyArray<WorkSpec>
): Effect.Effect<ReadonlyArray<WorkSpec>, InvalidWork> =>
  Effect.suspend(() => {
    const checked: Array<WorkSpec> = []
    for (const spec of specs) {
      // What has no more than four plain fields is looked at by hand: specs come in batches of thousands.
      const plain = isPlain(spec)
      const fault = checkSpec(kinds, spec, plain)
      if (fault !== undefined) return Effect.fail(fault)
      checked.push(plain ? copyPlain(spec) : copyJson(spec) as WorkSpec)
    }
    return Effect.succeed(checked)
  })

const copyPlain = ({ id, kind, payload, priority }: WorkSpec): WorkSpec => ({
  id,
  kind,
  priority,
  payload: copyJson(payload) as Schema.Json
})

const plainFields = new Set(["id", "kind", "priority", "payload"])

const isPlain = (spec: WorkSpec): boolean => {
  if (typeof spec !== "object" || spec === null || typeof spec.kind !== "string") return false
  for (const field in spec) if (!plainFields.has(field)) return false
  return spec.payload !== undefined
}

const decodeSpec = Schema.decodeUnknownExit(WorkSpec)

const shown = (value: unknown): string | undefined => {
  try {
    return JSON.stringify(value)?.slice(0, 200)
  } catch {
    return String(value)
  }
}

/** The first field that does not fit, for the message. */
const wrongField = (spec: unknown): string => {
  if (typeof spec !== "object" || spec === null) return "spec"
  for (const [name, schema] of Object.entries(WorkSpec.fields)) {
    const value = (spec as { readonly [name: string]: unknown })[name]
    if (value === undefined && !plainFields.has(name)) continue
    if (Exit.isFailure(Schema.decodeUnknownExit(schema as Schema.Codec<unknown, unknown>)(value))) return name
  }
  return "spec"
}

const checkSpec = (kinds: ReadonlyMap<string, Any>, spec: WorkSpec, plain: boolean): InvalidWork | undefined => {
  const id = String(spec?.id)
  if (typeof spec === "object" && spec !== null) {
    const fault = faultOf(spec)
    if (fault !== undefined) return fault
  }
  if (!plain) {
    const decoded = decodeSpec(spec)
    if (Exit.isFailure(decoded)) {
      const field = wrongField(spec)
      const value = field === "spec" ? spec : (spec as { readonly [name: string]: unknown })[field]
      return invalid(id, field, shown(value), messageOf(decoded))
    }
  }
  const kind = kinds.get(spec.kind)
  if (kind === undefined) {
    return new InvalidWork({
      id,
      field: "kind",
      value: spec.kind,
      message: `work "${id}" is of the kind "${spec.kind}", which this engine does not run: its kinds are ${
        Array.from(kinds.keys()).join(", ")
      }`
    })
  }
  const decoded = codecOf(kind.payload).decode(spec.payload)
  if (Exit.isFailure(decoded)) {
    return new InvalidWork({
      id,
      field: "payload",
      value: String(shown(spec.payload)),
      message: `the payload of work "${id}" does not fit the kind "${kind.kind}": ${messageOf(decoded)}`
    })
  }
  return tooLong("payload", "the payload", id, spec.payload)
}
