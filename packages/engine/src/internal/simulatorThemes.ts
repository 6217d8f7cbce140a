/**
 * Each simulated program has a theme, of which it holds more than others do: what seldom happens by chance would seldom
 * be seen together with anything else.
 */
import { Random } from "./simulatorRandom.ts"

export type Theme =
  | "anything"
  | "slots"
  | "pauses"
  | "times"
  | "forgetting"
  | "keys"
  | "same keys"
  | "cancels"
  | "crashes"
  | "failing fast"
  | "stuck"
  | "quiet"

const themes: ReadonlyArray<Theme> = [
  "anything",
  "anything",
  "slots",
  "slots",
  "slots",
  "pauses",
  "pauses",
  "times",
  "forgetting",
  "keys",
  "same keys",
  "cancels",
  "crashes",
  "failing fast",
  "stuck",
  "stuck",
  "stuck",
  "quiet"
]

export const themeOf = (seed: number): Theme => new Random(seed, 1).pick(themes)

/** A number that some themes have of their own. */
export const by = (theme: Theme, numbers: { readonly [name in Theme]?: number }, others: number): number =>
  numbers[theme] ?? others
