/** The limits of one call, from those of the agent and those of the request. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { Limits, TurnError } from "../CodingAgent.ts"

/** No limit is undefined, also where somebody wrote it as infinite. */
const smaller = (one = Infinity, other = Infinity): number | undefined => {
  const least = Math.min(one, other)
  return least === Infinity ? undefined : least
}

/** NaN for what is no duration. */
const millisOf = (time: Duration.Input | undefined): number | undefined =>
  time === undefined
    ? undefined
    : Number.isNaN(time)
    ? NaN
    : Option.match(Duration.fromInput(time), { onNone: () => NaN, onSome: Duration.toMillis })

/** The smaller of both, each. A time that is refused is none here. */
export const narrowed = (own: Limits, asked: Limits): {
  readonly time: Duration.Duration | undefined
  readonly costUsd: number | undefined
  readonly rounds: number | undefined
} => {
  const millis = smaller(millisOf(own.time), millisOf(asked.time))
  return {
    time: millis === undefined || !(millis > 0) ? undefined : Duration.millis(millis),
    costUsd: smaller(own.costUsd, asked.costUsd),
    rounds: smaller(own.rounds, asked.rounds)
  }
}

/** What is wrong with limits, in words; undefined where nothing is. */
export const limitsRefused = (limits: Limits): string | undefined => {
  const { costUsd, rounds, time } = limits
  const millis = millisOf(time)
  if (millis !== undefined && !(millis > 0)) {
    const given = typeof time === "string" ? JSON.stringify(time) : typeof time === "number" ? time : `${millis} ms`
    return `limits.time is ${given}: give a duration above 0, such as "10 minutes", or milliseconds`
  }
  if (rounds !== undefined && !(rounds === Infinity || (Number.isInteger(rounds) && rounds >= 1))) {
    return `limits.rounds is ${rounds}: give a whole number of 1 or more`
  }
  if (costUsd !== undefined && !(costUsd > 0)) return `limits.costUsd is ${costUsd}: give a number of US$ above 0`
  return undefined
}

/** The failure of a turn that has answered, and cost more than it may; undefined where it did not. Rounding costs nothing. */
export const costPassed = (costUsd: number, limit: number | undefined): TurnError | undefined =>
  limit === undefined || costUsd <= limit * (1 + 1e-9) ? undefined : {
    _tag: "LimitReached",
    limit: "cost",
    detail: `its answer cost ${Number(costUsd.toPrecision(4))} of ${Number(limit.toPrecision(4))} US$`
  }

/** The failure of a turn whose limits mean nothing or cannot be kept. Nothing was asked. */
export const limitsImpossible = (detail: string, remedy = "Correct the limits"): TurnError => ({
  _tag: "Unavailable",
  reason: "refused",
  detail,
  remedy
})
