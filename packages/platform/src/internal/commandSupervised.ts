/**
 * Runs a command that may take long and start processes of its own, and that must be gone when its
 * effect is interrupted and also when this process is killed outright. A small supervisor process
 * holds the other end of a pipe from here; when the pipe closes, for whatever reason, it ends the
 * command's process group: SIGTERM, and SIGKILL after the grace. A process that leaves the group
 * on purpose (a daemon that calls setsid) escapes.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import * as Path from "node:path"
import type { Readable, Writable } from "node:stream"
import { fileURLToPath } from "node:url"
import { CommandNotStarted, signalGroup } from "./command.ts"

/** How a command ended. Both null: its supervisor was killed, and how the command ended is not known. */
export interface Ended {
  readonly exitCode: number | null
  readonly signal: string | null
}

export interface SupervisedOptions {
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  readonly directory: string
  readonly environment: NodeJS.ProcessEnv
  /** Open file that gets standard output and standard error, in order. */
  readonly output: number
  /** Between SIGTERM and SIGKILL. Default 5000. */
  readonly graceMillis?: number | undefined
}

// The sources run as they are in development, so the entry point has the same extension as this file.
const supervisor = fileURLToPath(
  new URL(`./commandSupervisor${Path.extname(fileURLToPath(import.meta.url))}`, import.meta.url)
)

const Event = Schema.Union([
  Schema.TaggedStruct("Started", { pid: Schema.Int }),
  Schema.TaggedStruct("NotStarted", { code: Schema.NullOr(Schema.String), detail: Schema.String }),
  Schema.TaggedStruct("Ended", { exitCode: Schema.NullOr(Schema.Int), signal: Schema.NullOr(Schema.String) })
])

// A line that does not decode was cut off by the supervisor's own death.
const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(Event))

/** Runs the command to its end. Every exit code is a result here. */
export const runSupervised = (options: SupervisedOptions): Effect.Effect<Ended, CommandNotStarted> =>
  Effect.callback((resume) => {
    const graceMillis = options.graceMillis ?? 5000
    if (!existsSync(options.directory)) {
      return resume(Effect.fail(
        new CommandNotStarted({
          detail: `the directory ${options.directory} does not exist`,
          code: "ENOENT",
          directoryMissing: true
        })
      ))
    }
    if (options.argv.some((argument) => argument.includes("\0"))) {
      return resume(Effect.fail(
        new CommandNotStarted({ detail: "an argument holds a NUL character", code: undefined, directoryMissing: false })
      ))
    }
    const child = spawn(process.execPath, [supervisor, String(graceMillis), ...options.argv], {
      cwd: options.directory,
      env: options.environment,
      stdio: ["pipe", options.output, options.output, "pipe"],
      detached: true,
      windowsHide: true
    })
    let ended: Ended | undefined
    let failed: CommandNotStarted | undefined
    let group: number | undefined
    let closed = false
    let report = ""
    const hear = (text: string) => {
      const lines = (report + text).split("\n")
      report = lines.pop() ?? ""
      for (const line of lines) {
        const event = Option.getOrUndefined(decodeEvent(line))
        if (event?._tag === "Started") group = event.pid
        if (event?._tag === "Ended") ended = event
        if (event?._tag === "NotStarted") {
          failed = new CommandNotStarted({
            detail: event.detail,
            code: event.code ?? undefined,
            directoryMissing: false
          })
        }
      }
    }
    const reports = child.stdio[3] as Readable
    reports.setEncoding("utf8").on("data", hear)
    const lifeline = child.stdin as Writable
    lifeline.on("error", () => undefined)
    child.on("error", (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) return
      closed = true
      resume(Effect.fail(
        new CommandNotStarted({ detail: error.message, code: error.code, directoryMissing: false })
      ))
    })
    const onClose = () => {
      if (closed) return
      closed = true
      // A supervisor that was killed has left the command behind.
      if (ended === undefined && group !== undefined) signalGroup(group, "SIGKILL")
      resume(failed === undefined ? Effect.succeed(ended ?? { exitCode: null, signal: null }) : Effect.fail(failed))
    }
    child.on("close", onClose)
    return Effect.callback<void>((gone) => {
      if (closed) return gone(Effect.void)
      // Only where the supervisor itself hangs: it has its own, shorter grace.
      const force = setTimeout(() => {
        if (group !== undefined) signalGroup(group, "SIGKILL")
        if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL")
      }, graceMillis + 5000)
      child.once("close", () => {
        clearTimeout(force)
        gone(Effect.void)
      })
      lifeline.end()
    })
  })
