/**
 * What becomes of a program when somebody wants it to stop, or nobody reads what it prints any more.
 *
 * - Ctrl-C and SIGTERM interrupt it (`NodeRuntime.runMain` does that), and so does a closed terminal (SIGHUP): the run is
 *   suspended, the exit code is 130.
 * - Another signal ends it at once, should that take too long: the journal holds what was done.
 * - A closed pipe or terminal does not end it: what it does matters more than who looks on.
 */
import { Effect } from "effect"

/**
 * One Ctrl-C may arrive several times: the terminal tells every process of its foreground group, and a program that started
 * this one (npm, a shell) may pass it on. What comes this soon after the first is the same wish.
 */
const sameWishMillis = 500

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const

/** The reader is gone: a pipe without a reader, a terminal that was closed. */
const isReaderGone = (error: NodeJS.ErrnoException): boolean => error.code === "EPIPE" || error.code === "EIO"

const onLostOutput = (error: NodeJS.ErrnoException): void => {
  if (isReaderGone(error)) return
  // Whoever asked for the data has not got all of it.
  process.exitCode = 1
  process.stderr.write(`espalier: standard output cannot be written: ${error.message}\n`)
}

// There is no third place to complain to.
const onLostErrors = (): void => undefined

/** Runs a program under these rules. It has to be the main program of its process. */
export const obeySignals = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    let firstAt: number | undefined
    const onSignal = (signal: NodeJS.Signals): void => {
      const now = performance.now()
      if (firstAt === undefined) {
        firstAt = now
        if (signal === "SIGHUP") fiber.interruptUnsafe(fiber.id)
      } else if (now - firstAt > sameWishMillis) {
        process.stderr.write("Ended at once. The journal holds what was done; the same command goes on from there.\n")
        process.exit(130)
      }
    }
    for (const signal of signals) process.on(signal, onSignal)
    process.stdout.on("error", onLostOutput)
    process.stderr.on("error", onLostErrors)
    return Effect.ensuring(
      program,
      Effect.sync(() => {
        for (const signal of signals) process.removeListener(signal, onSignal)
      })
    )
  })
