/**
 * Durations that whoever uses a layer gives, checked before anything is written: a record that holds "for ever", or no
 * number, could not be read again, and would make its job unreachable.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { ExecutionError } from "../Execution.ts"

/** As a message shows what was given. */
export const shown = (input: unknown): string => {
  if (typeof input === "string") return JSON.stringify(input)
  if (Duration.isDuration(input)) return Duration.format(input)
  try {
    // Numbers that JSON does not know are its null, and big integers its exception.
    return typeof input === "object" && input !== null ? JSON.stringify(input) : String(input)
  } catch {
    return String(input)
  }
}

/** `Duration` reads what is no number as zero. */
const holdsNoNumber = (input: unknown): boolean =>
  typeof input === "number"
    ? Number.isNaN(input)
    : typeof input === "object" && input !== null && !Duration.isDuration(input) &&
      Object.values(input).some((part) => part !== undefined && !Number.isFinite(part))

/** The milliseconds of a duration; or what is wrong with it, and what to write instead. */
export const millisOf = (input: Duration.Input, least: "zero" | "more than zero"): Result.Result<number, string> => {
  const read = holdsNoNumber(input) ? Option.none() : Duration.fromInput(input)
  const millis = Option.isSome(read) ? Duration.toMillis(read.value) : Number.NaN
  return Number.isFinite(millis) && (least === "zero" ? millis >= 0 : millis > 0)
    ? Result.succeed(millis)
    : Result.fail(
      `a finite time${
        least === "zero" ? ", from 0," : " above 0"
      } is wanted, like "5 seconds" or a number of milliseconds`
    )
}

/** Whether it is a time, where one may also have no end. What is no number is none, though `Duration` reads it as zero. */
export const isTimeOrForEver = (input: Duration.Input, least: "zero" | "more than zero"): boolean =>
  Result.isSuccess(millisOf(input, least)) || Option.contains(Duration.fromInput(input), Duration.infinity)

/** The grace of a cancel, in milliseconds: what was given, or the layer's own. */
export const graceOf = (
  id: string,
  given: Duration.Input | undefined,
  otherwise: Duration.Input
): Effect.Effect<number, ExecutionError> =>
  Effect.suspend(() => {
    const grace = given === undefined ? otherwise : given
    const read = millisOf(grace, "zero")
    return Result.isSuccess(read) ? Effect.succeed(read.success) : Effect.fail(
      new ExecutionError({
        operation: "cancel",
        message: `The job ${id} was not cancelled: the grace is ${shown(grace)}: ${read.failure}.`
      })
    )
  })
