/**
 * Runs a command that may take long and start processes of its own, and that must be gone when its
 * effect is interrupted and also when this process is killed outright. A small supervisor process
 * holds the other end of a pipe from here; when the pipe closes, for whatever reason, it ends the
 * command with all that it started (`commandFamily`): SIGTERM, and SIGKILL after the grace.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type ChildProcess, spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { statSync } from "node:fs"
import * as Path from "node:path"
import type { Readable, Writable } from "node:stream"
import { fileURLToPath } from "node:url"
import { CommandNotStarted, longestTimer, signalGroup } from "./command.ts"
import { type Family, familyOf, markVariable, tryEndFamily } from "./commandFamily.ts"

/** How a command ended. Both null: its supervisor was killed, and how the command ended is not known. */
export interface Ended {
  readonly exitCode: number | null
  readonly signal: string | null
  /** It could not be ended after its supervisor was killed, or nobody can tell: it may still run. */
  readonly remains?: boolean
}

export interface SupervisedOptions {
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  readonly directory: string
  readonly environment: NodeJS.ProcessEnv
  /** Open file that gets standard output and standard error, in order. */
  readonly output: number
  /** Open file that gets standard error instead. */
  readonly errors?: number | undefined
  /** Between SIGTERM and SIGKILL. Default 5000. */
  readonly graceMillis?: number | undefined
}

// The sources run as they are in development, so the entry point has the same extension as this file.
const supervisor = fileURLToPath(
  new URL(`./commandSupervisor${Path.extname(fileURLToPath(import.meta.url))}`, import.meta.url)
)

const Event = Schema.Union([
  Schema.TaggedStruct("Started", { pid: Schema.Int, startTicks: Schema.NullOr(Schema.Int) }),
  Schema.TaggedStruct("NotStarted", { code: Schema.NullOr(Schema.String), detail: Schema.String }),
  Schema.TaggedStruct("Ended", { exitCode: Schema.NullOr(Schema.Int), signal: Schema.NullOr(Schema.String) })
])

// A line that does not decode was cut off by the supervisor's own death.
const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(Event))

/** How long after the grace a supervisor that does not end is taken to hang. */
const hangsMillis = 10_000

const isDirectory = (path: string): boolean => {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false // whatever is in the way: nothing can be started there
  }
}

/** What no program can be started with, in words; undefined when it can be tried. */
const refusal = ({ argv, directory, environment }: SupervisedOptions): CommandNotStarted | undefined => {
  const refuse = (detail: string, directoryMissing = false) =>
    new CommandNotStarted({ detail, code: directoryMissing ? "ENOENT" : undefined, directoryMissing })
  if (!isDirectory(directory)) return refuse(`the directory ${directory} does not exist`, true)
  if (argv.some((argument) => argument.includes("\0"))) return refuse("an argument holds a NUL character")
  const wrong = Object.entries(environment).find(([name, value]) =>
    name === "" || /[=\0]/.test(name) || value?.includes("\0") === true
  )
  return wrong === undefined
    ? undefined
    : refuse(`the environment variable ${JSON.stringify(wrong[0])} has a name or value that no process can have`)
}

/**
 * The supervisor runs with what the command has of this process' environment, apart from what would make its Node another
 * one. No more than that: the command can read what its parent was started with.
 */
const supervisorEnvironment = (command: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name, value]) => name !== "NODE_OPTIONS" && command[name] === value)
  )

/** Runs the command to its end. Every exit code is a result here. */
export const runSupervised = (options: SupervisedOptions): Effect.Effect<Ended, CommandNotStarted> =>
  Effect.callback((resume) => {
    // A grace without end is one of some weeks: it has to be told as a number, and to fit into a timer.
    const graceMillis = Math.min(options.graceMillis ?? 5000, longestTimer - hangsMillis)
    const mark = randomUUID()
    const fail = (error: NodeJS.ErrnoException) =>
      resume(Effect.fail(
        new CommandNotStarted({ detail: error.message, code: error.code, directoryMissing: false })
      ))
    const refused = refusal(options)
    if (refused !== undefined) return resume(Effect.fail(refused))
    let child: ChildProcess
    try {
      child = spawn(process.execPath, [supervisor], {
        cwd: options.directory,
        env: supervisorEnvironment(options.environment),
        stdio: ["pipe", options.output, options.errors ?? options.output, "pipe"],
        detached: true,
        windowsHide: true
      })
    } catch (error) {
      return fail(error as NodeJS.ErrnoException)
    }
    let ended: Ended | undefined
    let failed: CommandNotStarted | undefined
    let family: Family | undefined
    let closed = false
    let report = ""
    const hear = (text: string) => {
      const lines = (report + text).split("\n")
      report = lines.pop() ?? ""
      for (const line of lines) {
        const event = Option.getOrUndefined(decodeEvent(line))
        if (event?._tag === "Started") family = familyOf(event.pid, event.startTicks, mark)
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
    const environment = { ...options.environment, [markVariable]: mark }
    lifeline.write(`${JSON.stringify({ argv: options.argv, environment, graceMillis })}\n`)
    child.on("error", (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) return
      closed = true
      fail(error)
    })
    let left: Promise<boolean> = Promise.resolve(true)
    child.on("close", () => {
      if (closed) return
      closed = true
      if (failed !== undefined) return resume(Effect.fail(failed))
      if (ended !== undefined) return resume(Effect.succeed(ended))
      // A supervisor that was killed has left the command behind: perhaps before it told which process that is, but
      // all of it carries the mark.
      left = tryEndFamily(family ?? familyOf(null, null, mark), "all", 0)
      void left.then((gone) => resume(Effect.succeed({ exitCode: null, signal: null, remains: !gone })))
    })
    return Effect.callback<void>((gone) => {
      const onGone = () => void left.then(() => gone(Effect.void))
      if (closed) return onGone()
      // Only where the supervisor itself hangs: it has its own grace, and 5 seconds after it.
      const force = setTimeout(() => {
        if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL")
      }, graceMillis + hangsMillis)
      child.once("close", () => {
        clearTimeout(force)
        onGone()
      })
      lifeline.end()
    })
  })
