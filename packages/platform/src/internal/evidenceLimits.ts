/** Checks how much of a job's outputs is kept and read, before anything is. Pure. */
import * as Result from "effect/Result"
import type { Limits } from "../evidence/Collect.ts"
import { InvalidMetricRule } from "../Evidence.ts"

/** The least that each may be: no tail can be meant, but lines of no length cannot. */
const least: { readonly [limit in keyof Limits]-?: number } = {
  tailBytes: 0,
  tailLines: 0,
  lineBytes: 1,
  files: 1,
  fileBytes: 1
}

/** Refuses a limit that is no whole number, or too small: `NaN` and `Infinity` would bound nothing. */
export const checkLimits = (limits: Limits): Result.Result<void, InvalidMetricRule> => {
  for (const name of ["tailBytes", "tailLines", "lineBytes", "files", "fileBytes"] as const) {
    const given = limits[name]
    if (given === undefined || (Number.isSafeInteger(given) && given >= least[name])) continue
    return Result.fail(
      new InvalidMetricRule({
        rule: name,
        message: `The limit ${name} of the evidence is ${String(given)}: give a whole number from ${least[name]} on.`
      })
    )
  }
  return Result.void
}
