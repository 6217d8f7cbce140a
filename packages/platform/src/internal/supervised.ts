/**
 * Runs a program that may take long and start processes of its own, and that must be gone when its
 * effect is interrupted and also when this process is killed outright. A small supervisor process
 * holds the other end of a pipe from here; when the pipe closes, for whatever reason, it ends the
 * program with all that it started (`processTree`): SIGTERM, and SIGKILL after the grace.
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
import { CommandNotStarted, longestTimer } from "./command.ts"
import { endFamily, type Family, familyOf, type Reach, signalGroup } from "./processTree.ts"
import type { Order } from "./supervisor.ts"

/** How a program ended. Both null: its supervisor was killed, and how the program ended is not known. */
export interface Ended {
  readonly exitCode: number | null
  readonly signal: string | null
  /** It could not be ended after its supervisor was killed, or nobody can tell: it may still run. */
  readonly remains?: boolean
}

/** An open file that is written to, or who gets what is printed as it comes. */
export type Output = number | ((chunk: Buffer) => void)

export interface SupervisedOptions {
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  readonly directory: string
  /** All that the program gets, apart from the mark. */
  readonly environment: NodeJS.ProcessEnv
  /** Its standard input. Default: none. */
  readonly input?: string | undefined
  readonly output: Output
  /** Where standard error goes. Default: the same way, in order. */
  readonly errors?: Output | undefined
  /** Between SIGTERM and SIGKILL, and before them between the polite signal and SIGTERM. Default 5000. */
  readonly graceMillis?: number | undefined
  /** What makes the program stop in order. Default: SIGTERM at once. */
  readonly politeSignal?: NodeJS.Signals | undefined
  /** Who is ended when the program has ended by itself: those that stayed in its group (the default), or all. */
  readonly reach?: Reach | undefined
  /** A directory that is removed when the program is gone. */
  readonly remove?: string | undefined
  /** Called at the start with what ends the program. */
  readonly onStart?: ((stop: () => void) => void) | undefined
}

/** The environment variable that marks all that a program starts, wherever it goes. */
const markVariable = "ESPALIER_COMMAND"
/** A process that left the family can hold the output open after its end. */
const drainMillis = 2000
/** How long after the graces a supervisor that does not end is taken to hang: it gives up 5 seconds after them. */
const hangsMillis = 10_000

// The sources run as they are in development, so the entry point has the same extension as this file.
const supervisor = fileURLToPath(
  new URL(`./supervisor${Path.extname(fileURLToPath(import.meta.url))}`, import.meta.url)
)

const Event = Schema.Union([
  Schema.TaggedStruct("Started", { pid: Schema.Int, startTicks: Schema.NullOr(Schema.Int) }),
  Schema.TaggedStruct("NotStarted", { code: Schema.NullOr(Schema.String), detail: Schema.String }),
  Schema.TaggedStruct("Ended", { exitCode: Schema.NullOr(Schema.Int), signal: Schema.NullOr(Schema.String) })
])

// A line that does not decode was cut off by the supervisor's own death.
const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(Event))

const isDirectory = (path: string): boolean => {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false // whatever is in the way: nothing can be started there
  }
}

const notStarted = (detail: string, code?: string | null, directoryMissing = false): CommandNotStarted =>
  new CommandNotStarted({ detail, code: code ?? undefined, directoryMissing })

/** What no program can be started with, in words; undefined when it can be tried. */
const refusal = ({ argv, directory, environment }: SupervisedOptions): CommandNotStarted | undefined => {
  if (!isDirectory(directory)) return notStarted(`the directory ${directory} does not exist`, "ENOENT", true)
  if (argv.some((argument) => argument.includes("\0"))) return notStarted("an argument holds a NUL character")
  const wrong = Object.entries(environment).find(([name, value]) =>
    name === "" || /[=\0]/.test(name) || value?.includes("\0") === true
  )
  return wrong && notStarted(
    `the environment variable ${JSON.stringify(wrong[0])} has a name or value that no process can have`
  )
}

/** What tells the system's loader where libraries are: on some clusters Node does not start without it. */
const isForLoader = (name: string): boolean => name === "LD_LIBRARY_PATH" || name.startsWith("DYLD_")

/**
 * The supervisor runs with what the program has of this process' environment, apart from what would make its Node another
 * one, and with what Node needs to start. No more than that: the program can read what its parent was started with.
 */
const supervisorEnvironment = (program: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name, value]) =>
      isForLoader(name) || (name !== "NODE_OPTIONS" && program[name] === value)
    )
  )

/** Runs the program to its end. Every exit code is a result here. */
export const runSupervised = (options: SupervisedOptions): Effect.Effect<Ended, CommandNotStarted> =>
  Effect.callback((resume) => {
    const { input, output, errors = output, politeSignal = null, reach = "group", remove } = options
    const graces = politeSignal === null ? 1 : 2
    // A grace without end is one of some weeks: it has to be told as a number, and to fit into a timer.
    const graceMillis = Math.min(options.graceMillis ?? 5000, (longestTimer - hangsMillis) / graces)
    const refused = refusal(options)
    if (refused !== undefined) return resume(Effect.fail(refused))
    let child: ChildProcess
    try {
      child = spawn(process.execPath, [supervisor, ...(remove === undefined ? [] : [remove])], {
        cwd: options.directory,
        env: supervisorEnvironment(options.environment),
        stdio: [
          "pipe",
          typeof output === "number" ? output : "pipe",
          typeof errors === "number" ? errors : "pipe",
          "pipe",
          input === undefined ? "ignore" : "pipe"
        ],
        detached: true,
        windowsHide: true
      })
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      return resume(Effect.fail(notStarted(message, code)))
    }
    const id = randomUUID()
    const mark = `${markVariable}=${id}`
    let family: Family = familyOf({ pid: null, startTicks: null, mark })
    let ended: Ended | undefined
    let failed: CommandNotStarted | undefined
    let closed = false
    /** Whether all is gone that a supervisor left behind. */
    let left = Promise.resolve(true)
    let drain: NodeJS.Timeout | undefined

    const [lifeline, stdout, stderr, reports, prompt] = child.stdio as [
      Writable,
      Readable | null,
      Readable | null,
      Readable,
      Writable | null | undefined
    ]
    if (typeof output === "function") stdout?.on("data", output)
    if (typeof errors === "function") stderr?.on("data", errors)
    let report = ""
    reports.setEncoding("utf8").on("data", (text: string) => {
      const lines = (report + text).split("\n")
      report = lines.pop() ?? ""
      for (const line of lines) {
        const event = Option.getOrUndefined(decodeEvent(line))
        if (event?._tag === "Started") family = familyOf({ ...event, mark })
        if (event?._tag === "Ended") ended = event
        if (event?._tag === "NotStarted") failed = notStarted(event.detail, event.code)
      }
    })
    // The supervisor is gone, and has told all that it will tell.
    const onSilent = () => {
      if (child.pid === undefined || drain !== undefined) return
      drain = setTimeout(() => {
        for (const stream of child.stdio) stream?.destroy()
      }, drainMillis)
      // One that was killed has left the program behind: perhaps before it told which process that is, but all of it
      // carries the mark.
      if (ended === undefined && failed === undefined) left = endFamily(family, "all", 0)
    }
    reports.on("close", onSilent)
    // A program that ends without reading its input breaks the pipe; its exit code tells the story.
    for (const stream of [lifeline, prompt]) stream?.on("error", () => undefined)
    const order: Order = {
      argv: options.argv,
      environment: { ...options.environment, [markVariable]: id },
      mark,
      hasInput: input !== undefined,
      graceMillis,
      politeSignal,
      reach
    }
    lifeline.write(`${JSON.stringify(order)}\n`)
    prompt?.end(input)
    const stop = () => lifeline.end()
    options.onStart?.(stop)

    child.on("error", (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) return
      closed = true
      resume(Effect.fail(notStarted(error.message, error.code)))
    })
    child.on("close", () => {
      if (closed) return
      closed = true
      // Node may tell of this before it tells of the last stream.
      onSilent()
      clearTimeout(drain)
      void left.then((gone) =>
        resume(
          failed === undefined
            ? Effect.succeed(ended ?? { exitCode: null, signal: null, remains: !gone })
            : Effect.fail(failed)
        )
      )
    })
    return Effect.callback<void>((gone) => {
      const onGone = () => void left.then(() => gone(Effect.void))
      if (closed) return onGone()
      // Only where the supervisor itself hangs.
      const force = setTimeout(() => {
        if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL")
      }, graces * graceMillis + hangsMillis)
      child.once("close", () => {
        clearTimeout(force)
        onGone()
      })
      stop()
    })
  })
