/**
 * Numbers, durations and changes as a person reads them. No locale, no time zone but UTC, no clock:
 * the same data gives the same bytes on every machine.
 */
import type { ChangeSet } from "../Experiment.ts"

const grouped = (integer: string): string => integer.replace(/\B(?=(\d{3})+$)/g, ",")

/**
 * A number with at least `digits` significant digits where it has them, thousands grouped. Digits before the
 * point are never rounded away: 123456 stays 123,456.
 */
export const number = (value: number, digits = 4): string => {
  if (!Number.isFinite(value)) return "n/a"
  if (value === 0) return "0"
  const magnitude = Math.abs(value)
  if (magnitude >= 1e15 || magnitude < 1e-4) return value.toExponential(digits - 1)
  const before = Math.floor(Math.log10(magnitude)) + 1
  const [integer = "0", fraction = ""] = value.toFixed(Math.min(12, Math.max(0, digits - before))).split(".")
  const decimals = fraction.replace(/0+$/, "")
  const sign = integer.startsWith("-") ? "-" : ""
  const text = `${sign}${grouped(integer.replace("-", ""))}`
  return decimals === "" ? text : `${text}.${decimals}`
}

/** A number with its unit. */
export const quantity = (value: number, unit: string, digits = 4): string =>
  unit === "" ? number(value, digits) : `${number(value, digits)} ${unit}`

const ratioDecimals = (value: number): number => {
  const magnitude = Math.abs(value)
  return magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : Math.abs(value - 1) < 0.1 || magnitude < 0.1 ? 3 : 2
}

/** A speed-up: 1.50×. Near one, where a per cent matters, with one digit more. `like` gives the digits of another one. */
export const ratio = (value: number, like = value): string => {
  if (!Number.isFinite(value)) return "n/a"
  if (Math.abs(value) >= 1000) return `${number(value, 3)}×`
  return `${value.toFixed(ratioDecimals(like))}×`
}

/** The interval around a speed-up, with as many digits as the speed-up itself: "1.38× to 1.46×". */
export const ratioInterval = (middle: number, low: number, high: number): string =>
  `${ratio(low, middle)} to ${ratio(high, middle)}`

/** A confidence level of 0.95 as "95 %". */
export const percent = (share: number, digits = 3): string => `${number(share * 100, digits)} %`

/** A length of time in the two units that matter: "2 min 05 s". */
export const duration = (millis: number): string => {
  if (!Number.isFinite(millis) || millis < 0) return "n/a"
  if (millis < 1000) return `${Math.round(millis)} ms`
  if (millis < 59_950) return `${(millis / 1000).toFixed(1)} s`
  const seconds = Math.round(millis / 1000)
  const two = (value: number) => String(value).padStart(2, "0")
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`
  return `${Math.floor(seconds / 86_400)} d ${two(Math.floor((seconds % 86_400) / 3600))} h`
}

/** An instant (epoch milliseconds) in UTC, ISO 8601 with whole seconds. */
export const instant = (millis: number): string =>
  Number.isFinite(millis) && Math.abs(millis) <= 8.64e15 ? `${new Date(millis).toISOString().slice(0, -5)}Z` : "n/a"

/** "1 experiment", "3 experiments". */
export const count = (howMany: number, noun: string): string => `${number(howMany)} ${noun}${howMany === 1 ? "" : "s"}`

/**
 * A change set in a few words. With `against` (the parent's) only what differs from it: a child repeats all that
 * its parent changed, and that is not what it tries.
 */
export const changes = (
  of: ChangeSet,
  against: ChangeSet = { parameters: {}, edits: [] }
): ReadonlyArray<string> => {
  const parts: Array<string> = []
  for (const name of Object.keys(of.parameters).sort()) {
    const value = of.parameters[name]
    if (value !== against.parameters[name]) parts.push(`${name}=${String(value)}`)
  }
  for (const name of Object.keys(against.parameters).sort()) {
    if (!Object.hasOwn(of.parameters, name)) parts.push(`${name}=baseline`)
  }
  for (const edit of of.edits) if (!against.edits.includes(edit)) parts.push(`+${edit}`)
  for (const edit of against.edits) if (!of.edits.includes(edit)) parts.push(`−${edit}`)
  return parts
}
