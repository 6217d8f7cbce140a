/**
 * A schema's way to and from JSON, compiled once: making a codec costs far more than using one.
 */
import { Exit, Schema } from "effect"

// Payload, success and error of any kind at all: the position is invariant, so `unknown` would fit none.
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyCodec = Schema.Codec<any, any>

export interface Codec {
  readonly encode: (value: unknown) => Exit.Exit<Schema.Json, Schema.SchemaError>
  readonly decode: (json: unknown) => Exit.Exit<unknown, Schema.SchemaError>
}

/**
 * The same JSON in objects of its own. What is recorded must not change when whoever gave it changes what he gave: the journal,
 * the state and every view would tell different stories.
 */
export const copyJson = (json: unknown): unknown => {
  if (typeof json !== "object" || json === null) return typeof json === "number" && !Number.isFinite(json) ? null : json
  if (Array.isArray(json)) return json.map((each) => isJson(each) ? copyJson(each) : null)
  // What a codec lets through as it is need not be plain (a date, an object with `toJSON`): JSON says what it becomes.
  if (!isPlain(json)) return JSON.parse(JSON.stringify(json) ?? "null")
  // Spread, and not filled name by name: the copy has the shape of the original, and takes no more memory than it.
  const copy: { [key: string]: unknown } = { ...json }
  for (const key of Object.keys(copy)) {
    const value = copy[key]
    if (!isJson(value)) Reflect.deleteProperty(copy, key)
    else if (typeof value === "object" || typeof value === "number") setOwn(copy, key, value, copyJson(value))
  }
  return copy
}

const setOwn = (target: { [key: string]: unknown }, name: string, before: unknown, value: unknown): void => {
  if (Object.is(before, value)) return
  // An assignment to this name would change the prototype.
  if (name !== "__proto__") target[name] = value
  else Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true })
}

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return (prototype === Object.prototype || prototype === null) &&
    typeof (value as { readonly toJSON?: unknown }).toJSON !== "function"
}

/** JSON leaves out what it has no form for; a bigint it refuses, and so do we. */
const isJson = (value: unknown): boolean => {
  if (typeof value === "bigint") throw new TypeError("a bigint has no form in JSON: give its schema one")
  return value !== undefined && typeof value !== "function" && typeof value !== "symbol"
}

const compiled = new WeakMap<object, Codec>()

/** The codec of a schema. A schema that cannot do its work synchronously is a defect when it is used. */
export const codecOf = (schema: AnyCodec): Codec => {
  let codec = compiled.get(schema)
  if (codec === undefined) {
    const json = Schema.toCodecJson(schema)
    const encode = Schema.encodeUnknownExit(json) as Codec["encode"]
    codec = {
      encode: (value) => {
        const exit = encode(value)
        return Exit.isSuccess(exit) && typeof exit.value === "object" && exit.value !== null
          ? Exit.succeed(copyJson(exit.value) as Schema.Json)
          : exit
      },
      decode: Schema.decodeUnknownExit(json)
    }
    compiled.set(schema, codec)
  }
  return codec
}

/** The message of a failed exit of a codec. */
export const messageOf = (exit: Exit.Failure<unknown, Schema.SchemaError>): string => {
  const error = Exit.findErrorOption(exit)
  return error._tag === "Some" ? error.value.message : String(exit.cause)
}
