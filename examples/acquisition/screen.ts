/**
 * Where the status is shown: in a terminal as a picture that is drawn over the last one, in a pipe as lines.
 */
import type { Duration } from "effect"

export interface Screen {
  readonly isLive: boolean
  /** How long to wait between two pictures. */
  readonly pace: Duration.Input
  readonly show: (lines: ReadonlyArray<string>) => void
}

const escape = "\u001b"

export const make = (output: NodeJS.WriteStream = process.stdout): Screen => {
  // Somebody stopped reading (`| head`): that is no reason to stop the microscope.
  output.on("error", () => undefined)
  const isLive = output.isTTY === true && process.env["TERM"] !== "dumb"
  let last: ReadonlyArray<string> = []
  const draw = (lines: ReadonlyArray<string>): void => {
    // A line that fills the last column would scroll in some terminals.
    const width = Math.max(20, (output.columns || 80) - 1)
    const home = last.length === 0 ? "\r" : `\r${escape}[${last.length}A`
    output.write(home + lines.map((line) => `${line.slice(0, width)}${escape}[K\n`).join("") + `${escape}[0J`)
  }
  return {
    isLive,
    pace: isLive ? "100 millis" : "1 second",
    show: (lines) => {
      if (lines.join("\n") === last.join("\n")) return
      if (isLive) draw(lines)
      else output.write(lines.map((line) => `${line}\n`).join(""))
      last = lines
    }
  }
}
