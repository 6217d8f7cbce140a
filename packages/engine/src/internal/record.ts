import { maxRecordLength } from "../WorkSpec.ts"
import { InvalidWork } from "./command.ts"

/** No less than the characters of JSON that a value takes; stops adding when it is past `enough`. */
const atMost = (value: unknown, enough: number): number => {
  if (typeof value === "string") return value.length * 6 + 2
  if (value === null || typeof value !== "object") return 25
  let sum = 2
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length && sum <= enough; index++) sum += atMost(value[index], enough) + 1
  } else {
    for (const key in value) {
      if (sum > enough) break
      sum += key.length * 6 + 4 + atMost((value as { readonly [key: string]: unknown })[key], enough)
    }
  }
  return sum
}

/** Why a value is too large to be recorded, or undefined. */
export const tooLong = (field: string, what: string, id: string, value: unknown): InvalidWork | undefined => {
  // Most values are far from the limit, and need not be written to know it.
  if (atMost(value, maxRecordLength) <= maxRecordLength) return undefined
  const length = (JSON.stringify(value) ?? "null").length
  return length <= maxRecordLength ? undefined : new InvalidWork({
    id,
    field,
    value: `${length} characters of JSON`,
    message: `${what} of work "${id}" is ${length} characters of JSON; at most ${maxRecordLength} are recorded. ` +
      "Write large data to a file and record its name"
  })
}
