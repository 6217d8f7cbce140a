/** The limits of one call, from those of the agent and those of the request. */
import * as Duration from "effect/Duration"
import type { Limits } from "../CodingAgent.ts"

const smaller = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined ? other : other === undefined ? one : Math.min(one, other)

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
    time: millis === undefined || millis === Infinity ? undefined : Duration.millis(millis),
    costUsd: smaller(own.costUsd, asked.costUsd),
    rounds: smaller(own.rounds, asked.rounds)
  }
}
