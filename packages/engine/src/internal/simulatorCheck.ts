/**
 * How a check of the simulator fails, and when two values are the same to it.
 */

/** The real state does something else than the naive model, or breaks an invariant. */
export class Disagreement extends Error {
  override readonly name = "Disagreement"
}

/** Throws with a message that is only made when it is needed: these checks are made millions of times. */
export const check = (isTrue: boolean, message: () => string): void => {
  if (!isTrue) throw new Disagreement(message())
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

/** Equal as JSON. What the engine gives as its reason for something is its own affair. */
export const isSame = (a: unknown, b: unknown): boolean => {
  if (a === b) return true
  if (!isObject(a) || !isObject(b) || Array.isArray(a) !== Array.isArray(b)) return false
  for (const key in a) {
    if (key === "reason" && a["actor"] === "engine") continue
    if (!isSame(a[key], b[key])) return false
  }
  for (const key in b) if (b[key] !== undefined && a[key] === undefined) return false
  return true
}

/** A value in a message. */
export const show = (value: unknown): string => JSON.stringify(value) ?? "nothing"
