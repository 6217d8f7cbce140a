/**
 * Faults as the journal's typed errors, and waiting in an Effect while a file is busy.
 */
import * as Effect from "effect/Effect"
import { EventsTrimmed, JournalError, RunExists, RunLocked, RunNotFound } from "../JournalError.ts"
import { busyBudgetMillis, describe, type Fault, isBusy, type Place } from "./sqliteFault.ts"

/** All that a fault can become. */
export type Expected = JournalError | RunLocked | RunExists | RunNotFound | EventsTrimmed

/** The error of a fault. Which of them an operation can have no type can check: the operation says so. */
export const toError = <E extends Expected = JournalError>(fault: Fault): E => errorOf(fault) as E

const errorOf = (fault: Fault): Expected => {
  switch (fault._tag) {
    case "RunLocked":
      return RunLocked.heldBy(fault.runId, fault.holder)
    case "RunExists":
      return RunExists.of(fault.runId)
    case "RunNotFound":
      return RunNotFound.of(fault.runId)
    case "EventsTrimmed":
      return EventsTrimmed.of(fault.runId, fault.horizon)
    case "JournalError": {
      const { _tag, cause, ...rest } = fault
      return new JournalError(
        cause === undefined ? rest : { ...rest, cause: Object.assign(new Error(cause.message), cause) }
      )
    }
  }
}

const longestPauseMillis = 20

/**
 * Runs a synchronous attempt, again and again while the file is busy, for half a minute at most.
 *
 * SQLite can wait by itself, but it does so by putting the thread to sleep, and with it every fiber,
 * timer and socket of the process. So it is told to wait for some milliseconds only (which spares a
 * turn of the event loop when a neighbour is in the middle of a commit), and the rest is waited for
 * here. The timer is the real one, not Effect's clock: another process's commit takes real time, also
 * in a test that stops the clock. An attempt has to leave nothing behind when it throws.
 */
export const whileBusy = <A, E extends Expected = JournalError>(
  place: Place,
  attempt: () => A
): Effect.Effect<A, E | JournalError> =>
  Effect.suspend(() => {
    const deadline = performance.now() + busyBudgetMillis
    const go = (pauseMillis: number): Effect.Effect<A, E | JournalError> => {
      try {
        return Effect.succeed(attempt())
      } catch (cause) {
        if (!isBusy(cause) || performance.now() >= deadline) {
          return Effect.fail(toError<E | JournalError>(describe(place, cause)))
        }
        return Effect.flatMap(
          pause(pauseMillis),
          () => Effect.suspend(() => go(Math.min(pauseMillis * 2, longestPauseMillis)))
        )
      }
    }
    return go(1)
  })

const pause = (millis: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const timer = setTimeout(() => resume(Effect.void), millis)
    return Effect.sync(() => clearTimeout(timer))
  })
