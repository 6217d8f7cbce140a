/**
 * Runs the program of a coding agent: prompt on its standard input, a line of its output at a time to whoever reads it,
 * and the end of what it says on standard error. It is gone, with all that it started and with the directory that
 * was its home, when the effect ends, for whatever reason, and also when this process is killed (`agentSupervisor`).
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
import { type Line, lineCutter } from "./agentOutput.ts"
import { CommandNotStarted, signalGroup } from "./command.ts"
import { endFamily, type Family, familyOf, markVariable } from "./commandFamily.ts"

/** How an agent's program ended. Both null: its supervisor was killed, and how it ended is not known. */
export interface AgentEnded {
  readonly exitCode: number | null
  readonly signal: string | null
  /** The last 16 KiB. */
  readonly stderr: string
  /** True where it printed more than it may, and was ended. */
  readonly tooLoud: boolean
}

export interface AgentProcessOptions {
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  readonly directory: string
  /** All that the program gets. Nothing of this process' environment is added. */
  readonly environment: Readonly<Record<string, string>>
  readonly stdin: string
  /** Called with each line of standard output. It returns true to have the agent ended. */
  readonly onLine: (line: Line) => boolean
  /** Called at the start with what ends the agent, for whoever has another reason than a line. */
  readonly onStart?: ((stop: () => void) => void) | undefined
  /** Longest line that is kept whole. */
  readonly lineBytes: number
  /** Between asking and killing, at each of the steps: polite signal, SIGTERM, SIGKILL. */
  readonly graceMillis: number
  /** What makes the program stop in order and say what it has used. None: SIGTERM at once. */
  readonly politeSignal?: NodeJS.Signals | undefined
  /** A directory that is removed when the agent is gone. */
  readonly remove?: string | undefined
}

/** Most that a call may print, all lines together. Agents print their thoughts and what their tools say: a lot is usual. */
const outputBytes = 256 * 1024 * 1024
const stderrKeptBytes = 16 * 1024
/** A process that left the family can hold the output open after its end. */
const drainMillis = 2000

const supervisor = fileURLToPath(
  new URL(`./agentSupervisor${Path.extname(fileURLToPath(import.meta.url))}`, import.meta.url)
)

const Event = Schema.Union([
  Schema.TaggedStruct("Started", { pid: Schema.Int, startTicks: Schema.NullOr(Schema.Int) }),
  Schema.TaggedStruct("NotStarted", { code: Schema.NullOr(Schema.String), detail: Schema.String }),
  Schema.TaggedStruct("Ended", { exitCode: Schema.NullOr(Schema.Int), signal: Schema.NullOr(Schema.String) })
])

// A line that does not decode was cut off by the supervisor's own death.
const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(Event))

/** The supervisor runs with this process' environment, apart from what would make its Node another one. */
const ownEnvironment = (): NodeJS.ProcessEnv => {
  const { NODE_OPTIONS: _, ...environment } = process.env
  return environment
}

const isDirectory = (path: string): boolean => {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false // whatever is in the way: nothing can be started there
  }
}

const notStarted = (detail: string, code: string | undefined) =>
  new CommandNotStarted({ detail, code, directoryMissing: false })

/** Runs the program to its end. Every exit code is a result here. */
export const runAgentProcess = (options: AgentProcessOptions): Effect.Effect<AgentEnded, CommandNotStarted> =>
  Effect.callback((resume) => {
    const mark = randomUUID()
    if (!isDirectory(options.directory)) {
      return resume(Effect.fail(
        new CommandNotStarted({
          detail: `the directory ${options.directory} does not exist`,
          code: "ENOENT",
          directoryMissing: true
        })
      ))
    }
    let child: ChildProcess
    try {
      child = spawn(process.execPath, [supervisor, ...(options.remove === undefined ? [] : [options.remove])], {
        cwd: options.directory,
        env: ownEnvironment(),
        stdio: ["pipe", "pipe", "pipe", "pipe", "pipe"],
        detached: true,
        windowsHide: true
      })
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      return resume(Effect.fail(notStarted(message, code)))
    }
    const [lifeline, stdout, errors, reports, prompt] = child.stdio as [
      Writable,
      Readable,
      Readable,
      Readable,
      Writable
    ]
    let ended: { readonly exitCode: number | null; readonly signal: string | null } | undefined
    let failed: CommandNotStarted | undefined
    let family: Family | undefined
    let stderr: Buffer = Buffer.alloc(0)
    let printed = 0
    let tooLoud = false
    let closed = false
    let left: Promise<void> = Promise.resolve()

    const stop = () => lifeline.end()

    const cutter = lineCutter(options.lineBytes)
    const read = (lines: ReadonlyArray<Line>) => {
      for (const line of lines) if (options.onLine(line)) stop()
    }
    stdout.on("data", (chunk: Buffer) => {
      printed += chunk.length
      if (printed > outputBytes) {
        tooLoud = true
        stop()
      } else read(cutter.push(chunk))
    })
    errors.on("data", (chunk: Buffer) => {
      stderr = Buffer.concat([stderr, chunk]).subarray(-stderrKeptBytes)
    })
    let report = ""
    reports.setEncoding("utf8").on("data", (text: string) => {
      const lines = (report + text).split("\n")
      report = lines.pop() ?? ""
      for (const line of lines) {
        const event = Option.getOrUndefined(decodeEvent(line))
        if (event?._tag === "Started") family = familyOf(event.pid, event.startTicks, mark)
        if (event?._tag === "Ended") ended = event
        if (event?._tag === "NotStarted") failed = notStarted(event.detail, event.code ?? undefined)
      }
    })
    // An agent that ends without reading its prompt breaks the pipe; its exit code tells the story.
    for (const stream of [lifeline, prompt]) stream.on("error", () => undefined)
    lifeline.write(`${
      JSON.stringify({
        argv: options.argv,
        environment: { ...options.environment, [markVariable]: mark },
        graceMillis: options.graceMillis,
        politeSignal: options.politeSignal ?? null
      })
    }\n`)
    prompt.end(options.stdin)
    options.onStart?.(stop)

    child.on("error", (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) return
      closed = true
      resume(Effect.fail(notStarted(error.message, error.code)))
    })
    child.on("exit", () => {
      // A supervisor that was killed has left the agent behind; it may not have said yet which process that is.
      if (ended === undefined && failed === undefined) left = endFamily(family ?? familyOf(null, null, mark), "all", 0)
      const drain = setTimeout(() => {
        for (const stream of child.stdio) stream?.destroy()
      }, drainMillis)
      child.once("close", () => clearTimeout(drain))
    })
    child.on("close", () => {
      if (closed) return
      closed = true
      read(cutter.flush())
      void left.then(() =>
        resume(
          failed === undefined
            ? Effect.succeed({
              ...(ended ?? { exitCode: null, signal: null }),
              stderr: stderr.toString("utf8"),
              tooLoud
            })
            : Effect.fail(failed)
        )
      )
    })
    return Effect.callback<void>((gone) => {
      const onGone = () => void left.then(() => gone(Effect.void))
      if (closed) return onGone()
      // Only where the supervisor itself hangs: it has its own graces, and 5 seconds after them.
      const force = setTimeout(() => {
        if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL")
      }, 2 * options.graceMillis + 10_000)
      child.once("close", () => {
        clearTimeout(force)
        onGone()
      })
      stop()
    })
  })
