/**
 * What models cost. Nothing is built in: prices change, and differ by contract; a wrong one would make every cost and
 * every limit a lie. Where the price is not known, say `"unknown"`: costs are then told as zero, and a limit in
 * money is refused instead of being silently without effect.
 */
import * as Schema from "effect/Schema"
import type { ModelUsage } from "../internal/modelWire.ts"

const usd = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

/** The prices of one model, in US dollars for a million tokens. */
export const Price = Schema.Struct({
  inputUsd: usd,
  outputUsd: usd,
  /** Of input that comes from the provider's cache. Without it, the price of input. */
  cachedInputUsd: Schema.optionalKey(usd),
  /** Of input that is written to the provider's cache. Without it, the price of input. */
  cacheWriteUsd: Schema.optionalKey(usd)
})
/** See the schema of the same name. */
export type Price = typeof Price.Type

/** Prices by the name of the model. */
export const Prices = Schema.Record(Schema.String, Price)
/** See the schema of the same name. */
export type Prices = typeof Prices.Type

/**
 * The US dollars that these tokens cost.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import * as Prices from "@espalier/platform/agent/Prices"
 *
 * const price: Prices.Price = { inputUsd: 3, cachedInputUsd: 0.3, outputUsd: 15 }
 * const usage = { uncachedTokens: 10_000, cachedTokens: 100_000, cacheWriteTokens: 0, outputTokens: 2_000 }
 * assert.equal(Prices.costUsd(price, usage).toFixed(2), "0.09")
 * ```
 */
export const costUsd = (price: Price, usage: ModelUsage): number =>
  (usage.uncachedTokens * price.inputUsd +
    usage.cachedTokens * (price.cachedInputUsd ?? price.inputUsd) +
    usage.cacheWriteTokens * (price.cacheWriteUsd ?? price.inputUsd) +
    usage.outputTokens * price.outputUsd) / 1_000_000
