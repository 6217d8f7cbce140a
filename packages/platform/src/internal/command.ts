/**
 * Runs one short command from an argument vector and collects what it prints. There is no shell, so
 * no text can become a command.
 *
 * The command leads a process group of its own. Interruption and the time limit end the whole group: first
 * SIGTERM, so that it can remove its lock files, then SIGKILL. The effect does not return before the
 * process is gone. For work that must also die when this process is killed, see `supervised`.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { signalGroup } from "./processTree.ts"

/** The command could not be started: no such program, no permission, no such directory. */
export class CommandNotStarted extends Data.TaggedError("CommandNotStarted")<{
  readonly detail: string
  /** Error code of the system, such as ENOENT. */
  readonly code: string | undefined
  /** True where the working directory is what is missing, which the system reports as a missing program. */
  readonly directoryMissing: boolean
}> {}

/** The command printed more than it may; it was ended. */
export class CommandTooLoud extends Data.TaggedError("CommandTooLoud")<{ readonly limitBytes: number }> {}

/** The command, or something that it started and that holds its output, did not end in time; it was ended. */
export class CommandTooSlow extends Data.TaggedError("CommandTooSlow")<{
  readonly limitMillis: number
  /** The last 16 KiB that it had said until then. */
  readonly stderr: string
}> {}

/** How a command ended, and what it printed. */
export interface Finished {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly stdout: string
  /** The last 16 KiB. */
  readonly stderr: string
}

export interface CommandOptions {
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  /** Default: where this process is, which it need not be allowed to enter. */
  readonly directory?: string | undefined
  readonly environment: NodeJS.ProcessEnv
  readonly stdin?: string | undefined
  /** Most bytes of standard output that are kept; more is an error. Default 128 MiB. */
  readonly outputLimitBytes?: number | undefined
  /** How long it may run, in milliseconds of real time. Default: for ever. */
  readonly timeLimitMillis?: number | undefined
  /** Between SIGTERM and SIGKILL. Default 5000. */
  readonly graceMillis?: number | undefined
}

const stderrKeptBytes = 16 * 1024
/** Node's timers fire at once when they are set to more. */
export const longestTimer = 2 ** 31 - 1

const endGroup = (child: ChildProcess, graceMillis: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (child.pid === undefined) return resume(Effect.void)
    const leader = child.pid
    const kill = setTimeout(() => {
      signalGroup(leader, "SIGKILL")
      // A process that left the group can still hold the other ends: they are not waited for any more.
      child.stdout?.destroy()
      child.stderr?.destroy()
    }, graceMillis)
    child.once("close", () => {
      clearTimeout(kill)
      resume(Effect.void)
    })
    signalGroup(leader, "SIGTERM")
  })

/** Runs the command to its end. An exit code other than 0 is a result here, not an error. */
export const runCommand = (
  options: CommandOptions
): Effect.Effect<Finished, CommandNotStarted | CommandTooLoud | CommandTooSlow> =>
  Effect.callback((resume) => {
    const [file, ...args] = options.argv
    const graceMillis = options.graceMillis ?? 5000
    const limitBytes = options.outputLimitBytes ?? 128 * 1024 * 1024
    let child: ChildProcess
    try {
      child = spawn(file, args, {
        cwd: options.directory,
        env: options.environment,
        stdio: [options.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
        detached: true,
        windowsHide: true
      })
    } catch (error) {
      // An argument with a NUL byte, or an environment that is too large, throws instead of emitting.
      return resume(Effect.fail(notStarted(error as NodeJS.ErrnoException, options.directory)))
    }
    const stdout: Array<Buffer> = []
    let stdoutBytes = 0
    let stderr: Buffer = Buffer.alloc(0)
    let closed = false
    let tooLoud = false
    let tooSlow = false
    const { timeLimitMillis = Infinity } = options
    const limit = timeLimitMillis > longestTimer ? undefined : setTimeout(() => {
      tooSlow = true
      Effect.runFork(endGroup(child, graceMillis))
    }, timeLimitMillis)
    child.on("error", (error) => {
      // Without a process id nothing ran; with one, this is a failed signal, and "close" still follows.
      if (child.pid !== undefined) return
      closed = true
      clearTimeout(limit)
      resume(Effect.fail(notStarted(error, options.directory)))
    })
    child.stdout?.on("data", (chunk: Buffer) => {
      stdoutBytes += chunk.length
      if (stdoutBytes <= limitBytes) {
        stdout.push(chunk)
      } else if (!tooLoud && child.pid !== undefined) {
        tooLoud = true
        signalGroup(child.pid, "SIGKILL")
      }
    })
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr = Buffer.concat([stderr, chunk]).subarray(-stderrKeptBytes)
    })
    child.on("close", (exitCode, signal) => {
      if (closed) return
      closed = true
      clearTimeout(limit)
      resume(
        tooLoud
          ? Effect.fail(new CommandTooLoud({ limitBytes }))
          : tooSlow
          ? Effect.fail(new CommandTooSlow({ limitMillis: timeLimitMillis, stderr: stderr.toString("utf8") }))
          : Effect.succeed({
            exitCode,
            signal,
            stdout: Buffer.concat(stdout).toString("utf8"),
            stderr: stderr.toString("utf8")
          })
      )
    })
    // A command that ends without reading its input breaks the pipe; its exit code tells the story.
    child.stdin?.on("error", () => undefined)
    child.stdin?.end(options.stdin)
    return Effect.suspend(() => closed ? Effect.void : endGroup(child, graceMillis))
  })

const notStarted = (error: NodeJS.ErrnoException, directory: string | undefined): CommandNotStarted => {
  const directoryMissing = error.code === "ENOENT" && directory !== undefined && !existsSync(directory)
  return new CommandNotStarted({
    detail: directoryMissing ? `the directory ${directory} does not exist` : error.message,
    code: error.code,
    directoryMissing
  })
}
