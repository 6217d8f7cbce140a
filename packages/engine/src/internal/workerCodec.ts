/**
 * Errors and exits as data: what an effect on one side ends with, for the other side to end with.
 */
import { Cause, Effect, Exit, Option, Schema } from "effect"
import * as RunErrors from "../RunError.ts"
import { type AnyCodec, codecOf, messageOf } from "./codec.ts"
import type { RunError } from "./errors.ts"
import { type Ending, fromThrown, toThrown } from "./workerMessage.ts"

const isErrorSchema = (value: unknown): value is AnyCodec =>
  Schema.isSchema(value) && typeof value === "function" && value.prototype instanceof Error

/** Every error that a run may answer with, by its name. */
const runErrors = new Map(
  Object.entries(RunErrors).flatMap(([name, value]) => isErrorSchema(value) ? [[name, codecOf(value)] as const] : [])
)

const NamedError = codecOf(Schema.Struct({ name: Schema.String, error: Schema.Json }))

type Encode = (value: unknown) => Exit.Exit<unknown, Schema.SchemaError>

/** Errors of the engine itself, with their names. */
export const encodeRunError: Encode = (error) => {
  const name = error instanceof Error && "_tag" in error ? String(error._tag) : ""
  const encoded = runErrors.get(name)?.encode(error) ?? Exit.die(error)
  return Exit.map(encoded, (encoded) => ({ name, error: encoded }))
}

export const decodeRunError = (encoded: unknown): Exit.Exit<RunError, Schema.SchemaError> => {
  const named = NamedError.decode(encoded)
  if (Exit.isFailure(named)) return Exit.failCause(named.cause)
  const { error, name } = named.value as { readonly name: string; readonly error: unknown }
  const decoded = runErrors.get(name)?.decode(error) ?? Exit.die(new Error(`an error of an unknown name, "${name}"`))
  return decoded as Exit.Exit<RunError, Schema.SchemaError>
}

const died = (defect: unknown): Ending => ({ _tag: "Died", thrown: toThrown(defect) })

const misfit = (what: string, exit: Exit.Failure<unknown, Schema.SchemaError>): Ending =>
  died(
    Cause.hasDies(exit.cause)
      ? Cause.squash(exit.cause)
      : new Error(`${what} does not fit its schema: ${messageOf(exit)}`)
  )

/** What an exit is for the other side. What does not fit its schema is a defect, as it is when nothing is crossed. */
export const encodeExit = (
  exit: Exit.Exit<unknown, unknown>,
  encode: { readonly value: Encode; readonly error: Encode }
): Ending => {
  try {
    if (Exit.isSuccess(exit)) {
      const value = encode.value(exit.value)
      return Exit.isSuccess(value) ? { _tag: "Succeeded", value: value.value } : misfit("the result", value)
    }
    const failure = Cause.findErrorOption(exit.cause)
    if (Option.isSome(failure)) {
      const error = encode.error(failure.value)
      return Exit.isSuccess(error) ? { _tag: "Failed", error: error.value } : misfit("the error", error)
    }
    const defect = exit.cause.reasons.find(Cause.isDieReason)
    return defect === undefined ? { _tag: "Interrupted" } : died(defect.defect)
  } catch (defect) {
    return died(defect) // a codec of the user's own may throw
  }
}

/** Ends as the other side did. What this side cannot read is a defect: the two are of different versions. */
export const decodeEnding = <E>(
  ending: Ending,
  decode: {
    readonly value: (value: unknown) => Exit.Exit<unknown, Schema.SchemaError>
    readonly error: (error: unknown) => Exit.Exit<E, Schema.SchemaError>
  }
): Effect.Effect<unknown, E> => {
  switch (ending._tag) {
    case "Succeeded":
      return Effect.orDie(decode.value(ending.value))
    case "Failed":
      return Effect.flatMap(Effect.orDie(decode.error(ending.error)), Effect.fail)
    case "Died":
      return Effect.die(fromThrown(ending.thrown))
    case "Interrupted":
      return Effect.interrupt
  }
}
