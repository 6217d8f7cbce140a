/**
 * The options that layers of agents' programs take from whoever makes them, checked before a call starts anything: what is
 * no number, no time, or no argument of a program would else end a call that was paid for, or be taken for something else.
 */
import type * as Duration from "effect/Duration"
import type { Price } from "../agent/Prices.ts"
import { addressRefused } from "./agentAddress.ts"
import { isTimeOrForEver, shown } from "./processDuration.ts"

/** What is checked; a layer has some of it. Names are those of the layers' options. */
export interface ProgramOptions {
  readonly baseUrl?: string | undefined
  readonly model?: string | undefined
  readonly arguments?: ReadonlyArray<string> | undefined
  readonly readTools?: ReadonlyArray<string> | undefined
  readonly writeTools?: ReadonlyArray<string> | undefined
  readonly commands?: ReadonlyArray<string> | undefined
  readonly retries?: number | undefined
  readonly answerCharacters?: number | undefined
  readonly grace?: Duration.Input | undefined
  readonly longestPause?: Duration.Input | undefined
  readonly price?: Price | undefined
}

/** A time without end is one: who gives it wants to wait. */
const timeRefused = (name: "grace" | "longestPause", given: Duration.Input | undefined): string | undefined =>
  given === undefined || isTimeOrForEver(given, "zero")
    ? undefined
    : `\`${name}\` is ${shown(given)}: give a duration from 0, such as "3 seconds", or milliseconds`

/** Numbers may come from a configuration that nobody checked, whatever their type says. */
const countRefused = (name: "retries" | "answerCharacters", given: unknown, least: number): string | undefined =>
  given === undefined || (Number.isSafeInteger(given) && Number(given) >= least)
    ? undefined
    : `\`${name}\` is ${shown(given)}: give a whole number of ${least} or more`

const priceRefused = (price: Price | undefined): string | undefined => {
  const wrong = Object.entries(price ?? {}).find(([, usd]) => usd !== undefined && !(Number.isFinite(usd) && usd >= 0))
  return wrong && `\`price.${wrong[0]}\` is ${shown(wrong[1])}: give US$ for a million tokens, from 0`
}

const textRefused = (options: ProgramOptions): string | undefined => {
  const { commands, model, readTools, writeTools } = options
  const wrong = Object.entries({ model, arguments: options.arguments, readTools, writeTools, commands }).find(
    ([, given]) => [given ?? []].flat().some((text) => text.includes("\0"))
  )
  return wrong && `\`${wrong[0]}\` holds a zero byte, which no argument of a program can: take it out`
}

/** What no call can be made with: the option, what was given, and what to write; undefined where all can be used. */
export const optionsRefused = (options: ProgramOptions): string | undefined =>
  addressRefused(options.baseUrl) ??
    textRefused(options) ??
    countRefused("retries", options.retries, 0) ??
    // Without end is no limit, as with the limits of a call.
    (options.answerCharacters === Infinity
      ? undefined
      : countRefused("answerCharacters", options.answerCharacters, 1)) ??
    timeRefused("grace", options.grace) ??
    timeRefused("longestPause", options.longestPause) ??
    priceRefused(options.price)
