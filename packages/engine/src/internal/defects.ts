/**
 * What a handler threw, as a record: bounded, and never a second fault.
 */
import { Cause } from "effect"
import type { WorkFailure } from "../Outcome.ts"

/** Of a defect's message and stack, in characters: a record is bounded. */
export const longestText = 8_000

export const defect = (error: unknown): Extract<WorkFailure, { readonly _tag: "Defect" }> => {
  try {
    if (error instanceof Error) {
      const { message, name, stack } = error
      return {
        _tag: "Defect",
        message: String(message === "" ? name : message).slice(0, longestText),
        ...(stack === undefined ? {} : { stack: String(stack).slice(0, longestText) })
      }
    }
    const text = typeof error === "string" ? error : Cause.pretty(Cause.die(error))
    return { _tag: "Defect", message: text.slice(0, longestText) }
  } catch {
    // What is thrown may itself throw when it is looked at.
    return { _tag: "Defect", message: "the handler threw a value that cannot be shown" }
  }
}

/** Several at once, when a finalizer dies of its own: each is told. */
export const defects = (all: ReadonlyArray<unknown>): ReturnType<typeof defect> => {
  const [first, ...rest] = all.map(defect)
  return rest.length === 0 ? first! : {
    ...first!,
    message: [first!, ...rest].map(({ message }) => message).join("; then ").slice(0, longestText)
  }
}
