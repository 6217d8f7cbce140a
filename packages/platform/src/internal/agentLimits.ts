/** The limits of one call, from those of the agent and those of the request. */
import * as Duration from "effect/Duration"
import type { Limits } from "../CodingAgent.ts"

/** No limit is undefined, also where somebody wrote it as infinite. */
const smaller = (one = Infinity, other = Infinity): number | undefined => {
  const least = Math.min(one, other)
  return least === Infinity ? undefined : least
}

/** The smaller of both, each. */
export const narrowed = (own: Limits, asked: Limits): {
  readonly time: Duration.Duration | undefined
  readonly costUsd: number | undefined
  readonly rounds: number | undefined
} => {
  const [one, other] = [own.time, asked.time].map((time) =>
    time === undefined ? undefined : Duration.toMillis(Duration.fromInputUnsafe(time))
  )
  const millis = smaller(one, other)
  return {
    time: millis === undefined ? undefined : Duration.millis(millis),
    costUsd: smaller(own.costUsd, asked.costUsd),
    rounds: smaller(own.rounds, asked.rounds)
  }
}

/** What is wrong with limits, in words; undefined where nothing is. */
export const limitsRefused = (limits: Limits): string | undefined => {
  const { costUsd, rounds } = limits
  if (rounds !== undefined && !(rounds === Infinity || (Number.isInteger(rounds) && rounds >= 1))) {
    return `limits.rounds is ${rounds}: give a whole number of 1 or more`
  }
  if (costUsd !== undefined && !(costUsd > 0)) return `limits.costUsd is ${costUsd}: give a number of US$ above 0`
  return undefined
}
