/**
 * Where a run speaks: on standard error, in a terminal by a live picture with lines above it, otherwise by plain lines.
 */
import { Cause, Logger, LogLevel } from "effect"
import { formatDuration, plainLine } from "./Format.ts"
import * as Screen from "./Screen.ts"

/**
 * - `tell`: one line about what happened at that time (epoch milliseconds).
 * - `draw`, `erase`: the live picture; without a terminal there is none.
 * - `logger`: warnings of engine and platform, as lines among the others: on their own they would tear the picture. What is
 *   less than a warning is not for the person who waits for results.
 */
export interface Output {
  readonly isLive: boolean
  readonly tell: (line: string, at: number) => void
  readonly draw: (lines: ReadonlyArray<string>) => void
  readonly erase: () => void
  readonly logger: Logger.Logger<unknown, void>
}

/** Whether the live picture can be drawn. */
export const isTerminal = (): boolean => process.stderr.isTTY === true && process.env["TERM"] !== "dumb"

/** @param began epoch milliseconds; plain lines begin with the time since then */
export const make = (isLive: boolean, began: number): Output => {
  const write = (text: string): void => void process.stderr.write(text)
  const screen = Screen.make(write, () => process.stderr)
  const tell = (line: string, at: number): void => {
    if (isLive) screen.above(line)
    else write(`${formatDuration(Math.max(0, at - began)).padStart(12)}  ${plainLine(line)}\n`)
  }
  return {
    isLive,
    tell,
    draw: (lines) => isLive && screen.draw(lines),
    erase: () => isLive && screen.erase(),
    logger: Logger.make(({ cause, date, logLevel, message }) => {
      if (LogLevel.isLessThan(logLevel, "Warn")) return
      const words = (Array.isArray(message) ? message : [message]).map((each) =>
        typeof each === "string" ? each : String(each)
      )
      if (cause.reasons.length > 0) words.push(Cause.pretty(cause))
      tell(`${logLevel.toLowerCase()}: ${words.join(" ")}`, date.getTime())
    })
  }
}
