/**
 * How a program of the command line ends: what went wrong, in words for a person, on standard error.
 */
import { Cause, Effect, References } from "effect"

/** One line for each thing that went wrong: what a person can act on. A defect is shown whole. */
export const explain = (cause: Cause.Cause<unknown>): string =>
  cause.reasons
    .filter((reason) => !Cause.isInterruptReason(reason))
    .map((reason) => {
      if (Cause.isDieReason(reason)) return `espalier: this is a fault in espalier itself.\n${Cause.pretty(cause)}`
      const { error } = reason as { readonly error: unknown }
      const isDescribed = typeof error === "object" && error !== null && "message" in error && error.message !== ""
      return `espalier: ${isDescribed ? String(error.message) : String(error)}`
    })
    .join("\n")

/** Writes why a program failed, and keeps logs off standard output, which is for data. */
export const report = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  program.pipe(
    Effect.tapCause((cause) =>
      Effect.sync(() => {
        const text = explain(cause)
        if (text !== "") process.stderr.write(`${text}\n`)
      })
    ),
    Effect.provideService(References.LogToStderr, true)
  )
