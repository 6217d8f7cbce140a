/**
 * Whether a further round of a turn may begin. Pure: the counts go in, the answer comes out.
 *
 * A round is paid before its price is known. The first one always begins; for those after it, the price is estimated, and
 * the estimate is rather too high than too low: a token for three bytes of what was not sent before, what the last
 * round read and wrote for the rest (a conversation is sent again whole), and a reply of the greatest length.
 */
import { costUsd, type Price } from "../agent/Prices.ts"
import type { ModelUsage } from "./modelWire.ts"

/** What a turn has come to. */
export interface Spent {
  readonly rounds: number
  readonly tokens: number
  readonly costUsd: number
  /** Of the last round; undefined before the first. */
  readonly last: ModelUsage | undefined
}

/** What it may come to. */
export interface TurnLimits {
  readonly rounds: number
  readonly tokens: number | undefined
  readonly costUsd: number | undefined
}

/** A turn that has not begun. */
export const nothingSpent: Spent = { rounds: 0, tokens: 0, costUsd: 0, last: undefined }

const bytesPerToken = 3

/** The most that the next round is expected to use. */
export const expected = (spent: Spent, newBytes: number, maxOutputTokens: number): ModelUsage => {
  const { last } = spent
  const before = last === undefined ? 0 : inputOf(last) + last.outputTokens
  return {
    uncachedTokens: before + Math.ceil(newBytes / bytesPerToken),
    cachedTokens: 0,
    cacheWriteTokens: 0,
    outputTokens: maxOutputTokens
  }
}

/** All that was read. */
export const inputOf = (usage: ModelUsage): number => usage.uncachedTokens + usage.cachedTokens + usage.cacheWriteTokens

/** Which limit the next round would break, with words; undefined where it may begin. */
export const broken = (
  limits: TurnLimits,
  spent: Spent,
  next: ModelUsage,
  price: Price | undefined
): { readonly limit: "rounds" | "cost"; readonly detail: string } | undefined => {
  // That there is something left for a first round, whoever began the turn has seen to.
  if (spent.rounds === 0) return undefined
  if (spent.rounds >= limits.rounds) {
    return { limit: "rounds", detail: `no answer that can be used came in ${spent.rounds} rounds` }
  }
  const tokens = inputOf(next) + next.outputTokens
  if (limits.tokens !== undefined && spent.tokens + tokens > limits.tokens) {
    return {
      limit: "cost",
      detail: `${spent.tokens} tokens were used in ${spent.rounds} rounds, the next may take ${tokens}, ` +
        `and the limit is ${limits.tokens}`
    }
  }
  if (limits.costUsd !== undefined && price !== undefined) {
    const cost = costUsd(price, next)
    if (spent.costUsd + cost > limits.costUsd) {
      return {
        limit: "cost",
        detail: `${spent.costUsd.toFixed(4)} US$ were spent in ${spent.rounds} rounds, the next may cost ` +
          `${cost.toFixed(4)} US$, and ${limits.costUsd.toFixed(4)} US$ are allowed`
      }
    }
  }
  return undefined
}
