import { Effect } from "effect"
import { maxRecordLength } from "../WorkSpec.ts"
import { InvalidWork } from "./decide.ts"

/** Why a value is too large to be recorded, or undefined. */
export const tooLong = (what: string, id: string, value: unknown): InvalidWork | undefined => {
  const length = (JSON.stringify(value) ?? "null").length
  return length <= maxRecordLength ? undefined : new InvalidWork({
    id,
    field: what,
    value: `${length} characters of JSON`,
    message: `${what} of work "${id}" is ${length} characters of JSON; at most ${maxRecordLength} are recorded. ` +
      "Write large data to a file and record its name"
  })
}

/** A handler's own value that is too large is a defect of the handler. */
export const checkLength = (what: string, id: string, value: unknown): Effect.Effect<void> => {
  const error = tooLong(what, id, value)
  return error === undefined ? Effect.void : Effect.die(error)
}
