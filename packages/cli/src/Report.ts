/**
 * How a program of the command line ends: what went wrong, in words for a person, on standard error.
 */
import { Cause, Effect, PlatformError, References } from "effect"
import { CliError } from "effect/cli"
import { plainText } from "./Format.ts"
import { obeySignals } from "./Signals.ts"

/** The message of an error. What the operating system refused is told in its own words, which name the file. */
export const messageOf = (error: unknown): string => {
  const said = PlatformError.isPlatformError(error) && error.reason.cause instanceof Error ? error.reason.cause : error
  const message = typeof said === "object" && said !== null && "message" in said ? String(said.message) : ""
  return message === "" ? String(said) : message
}

/**
 * What went wrong, each with what a person can do about it. A defect is shown whole, with its stack. What the command
 * line answers itself (a wrong command line, `--help`) is not said twice.
 */
export const explain = (cause: Cause.Cause<unknown>): string =>
  cause.reasons
    .flatMap((reason) => {
      if (Cause.isInterruptReason(reason)) return []
      if (Cause.isDieReason(reason)) {
        return [
          `espalier: this is a fault in espalier itself, please report it.\n${Cause.pretty(Cause.die(reason.defect))}`
        ]
      }
      return CliError.isCliError(reason.error) ? [] : [`espalier: ${plainText(messageOf(reason.error))}`]
    })
    .join("\n")

/** Writes why a program failed, heeds signals, and keeps logs off standard output, which is for data. */
export const report = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  obeySignals(program).pipe(
    Effect.tapCause((cause) =>
      Effect.sync(() => {
        const text = explain(cause)
        if (text !== "") process.stderr.write(`${text}\n`)
      })
    ),
    Effect.provideService(References.LogToStderr, true)
  )
