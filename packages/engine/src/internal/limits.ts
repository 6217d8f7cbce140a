/**
 * Whether limits can be what somebody wants them to be.
 */
import type { Limits, RunConfig } from "../RunEvent.ts"
import { InvalidWork } from "./command.ts"

const invalid = (field: string, value: unknown, allowed: string): InvalidWork =>
  new InvalidWork({
    id: "",
    field,
    value: String(value),
    message: `${field} cannot be ${String(value)}: it must be ${allowed}`
  })

const isWhole = (value: unknown, least: number): boolean => Number.isSafeInteger(value) && (value as number) >= least

/** The first limit that is wrong, or undefined. */
export const checkLimits = (config: RunConfig, limits: Limits): InvalidWork | undefined => {
  const { concurrency, keyLimit, keyLimits, kinds, pools } = limits
  if (concurrency !== undefined && !isWhole(concurrency, 1)) {
    return invalid("concurrency", concurrency, "a whole number from 1")
  }
  for (const [name, size] of Object.entries(pools ?? {})) {
    if (!isWhole(size, 0)) return invalid(`pools.${name}`, size, "a whole number from 0")
  }
  for (const [name, limit] of Object.entries(kinds ?? {})) {
    if (!Object.hasOwn(config.kinds, name)) {
      return invalid(
        `kinds.${name}`,
        limit,
        `of a kind that this engine runs (${Object.keys(config.kinds).join(", ")})`
      )
    }
    if (limit !== null && !isWhole(limit, 0)) return invalid(`kinds.${name}`, limit, "a whole number from 0, or null")
  }
  if (keyLimit !== undefined && keyLimit !== null && !isWhole(keyLimit, 1)) {
    return invalid("keyLimit", keyLimit, "a whole number from 1, or null")
  }
  for (const [name, limit] of Object.entries(keyLimits ?? {})) {
    if (limit !== null && !isWhole(limit, 0)) {
      return invalid(`keyLimits.${name}`, limit, "a whole number from 0, or null")
    }
  }
  return undefined
}
