/**
 * Runs the program of a coding agent: prompt on its standard input, a line of its output at a time to whoever reads it,
 * and the end of what it says on standard error. It is gone, with all that it started and with the directory that
 * was its home, when the effect ends, for whatever reason, and also when this process is killed (`supervised`).
 */
import * as Effect from "effect/Effect"
import { type Line, LineSplitter } from "../evidence/LogText.ts"
import type { CommandNotStarted } from "./command.ts"
import { type Ended, runSupervised, type SupervisedOptions } from "./supervised.ts"

/** How an agent's program ended. */
export interface AgentEnded extends Ended {
  /** The last 16 KiB. */
  readonly stderr: string
  /** True where it printed more than it may, and was ended. */
  readonly tooLoud: boolean
}

export interface AgentProcessOptions
  extends Pick<SupervisedOptions, "argv" | "directory" | "environment" | "politeSignal" | "remove" | "onStart"> {
  readonly stdin: string
  /** Called with each line of standard output. It returns true to have the agent ended. */
  readonly onLine: (line: Line) => boolean
  /** What the lines that are read begin with; others are passed over. Default: all are read. */
  readonly beginning?: string | undefined
  /** Longest line that is kept whole. */
  readonly lineBytes: number
  readonly graceMillis: number
}

/** Most that a call may print, all lines together. Agents print their thoughts and what their tools say: a lot is usual. */
const outputBytes = 256 * 1024 * 1024
const stderrKeptBytes = 16 * 1024

/** Runs the program to its end. Every exit code is a result here. */
export const runAgentProcess = (
  { beginning, lineBytes, onLine, onStart, stdin, ...options }: AgentProcessOptions
): Effect.Effect<
  AgentEnded,
  CommandNotStarted
> =>
  Effect.suspend(() => {
    const splitter = new LineSplitter(lineBytes, { exact: true, beginning })
    let stderr: Buffer = Buffer.alloc(0)
    let printed = 0
    let stop = (): void => undefined
    const read = (lines: ReadonlyArray<Line>): void => {
      for (const line of lines) if (onLine(line)) stop()
    }
    return runSupervised({
      ...options,
      input: stdin,
      // Nothing that an agent started goes on when it has answered: the tree is about to be read, and removed.
      reach: "all",
      onStart: (end) => {
        stop = end
        onStart?.(end)
      },
      output: (chunk) => {
        printed += chunk.length
        if (printed > outputBytes) stop()
        else read(splitter.push(chunk))
      },
      errors: (chunk) => {
        stderr = Buffer.concat([stderr, chunk]).subarray(-stderrKeptBytes)
      }
    }).pipe(
      // Also of one that was interrupted: what it says last is what it has used.
      Effect.ensuring(Effect.sync(() => read(splitter.end()))),
      Effect.map((ended) => ({ ...ended, stderr: stderr.toString("utf8"), tooLoud: printed > outputBytes }))
    )
  })
