/**
 * The process between the engine and a program that must not outlive it: an entry point, started by `supervised`, never
 * imported. Only `node:` modules, for it starts before every build and every call of an agent.
 *
 * Standard input is the life line. Its first line says what to run; after that it carries nothing, and its end
 * (the engine closed it, or the engine is dead, however it died) means that the program has to go, with all that it
 * started. What to run comes that way, and not by arguments and environment, so that a build's `NODE_OPTIONS` do not change
 * this process. The program leads a process group of its own, so that it can be ended together with all that it started
 * and without this process. Its input, where it gets any, comes on descriptor 4. What happens is reported on descriptor
 * 3, a JSON object a line.
 *
 * The only argument, if there is one, is a directory that is removed at the very end: also that must not outlive an engine
 * that was killed, even one that was killed before all of the first line had been written.
 */
import { spawn } from "node:child_process"
import { closeSync, rmSync, writeSync } from "node:fs"
import process from "node:process"
import { startTicksOf } from "./processTable.ts"
import { endFamily, type Family, familyOf, type Reach } from "./processTree.ts"

/** The first line. */
export interface Order {
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  readonly environment: NodeJS.ProcessEnv
  /** All that it starts has this in its environment, as `NAME=value`. */
  readonly mark: string
  /** Whether its standard input is descriptor 4; otherwise it has none. */
  readonly hasInput: boolean
  readonly graceMillis: number
  /** Asks the program itself to stop and to say what it has used, before all of it is ended. */
  readonly politeSignal: NodeJS.Signals | null
  /** Who is ended when it has ended by itself. */
  readonly reach: Reach
}

const [directory] = process.argv.slice(2)

const report = (event: unknown): void => {
  try {
    writeSync(3, `${JSON.stringify(event)}\n`)
  } catch {
    // The engine is gone: there is nobody to tell, and what is left to do is to end the program.
  }
}

// A terminal's signals reach every process of the engine's session. The engine decides, by the life line.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => undefined)

let cut = false
let end: ((reach: Reach) => Promise<void>) | undefined

/** Looks often at first, for what is started and left at once, then every second. */
const watch = (family: Family): void => {
  if (process.platform !== "linux") return
  const look = (delay: number): void => {
    family.look("all")
    setTimeout(look, delay, Math.min(delay * 2, 1000)).unref()
  }
  look(50)
}

const leave = (event?: unknown): never => {
  if (directory !== undefined) {
    try {
      rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
    } catch {
      // The engine removes it too, and says so where it cannot.
    }
  }
  if (event !== undefined) report(event)
  process.exit(0)
}

const run = (order: Order): void => {
  const { argv: [file, ...args], environment, graceMillis, hasInput, mark, politeSignal } = order
  const refuse = (error: NodeJS.ErrnoException): never =>
    leave({ _tag: "NotStarted", code: error.code ?? null, detail: error.message })
  const start = () => {
    try {
      const stdio = [hasInput ? 4 : "ignore", "inherit", "inherit"] as const
      return spawn(file, args, { stdio: [...stdio], detached: true, env: environment })
    } catch (error) {
      // A NUL character, or arguments and environment larger than the system takes, throw instead of emitting.
      return refuse(error as NodeJS.ErrnoException)
    }
  }
  const child = start()
  child.on("error", (error: NodeJS.ErrnoException) => {
    if (child.pid === undefined) refuse(error)
  })
  const { pid } = child
  if (pid === undefined) return
  // Held only by the program, so that writing its input fails when it does not read it any more.
  if (hasInput) closeSync(4)
  const startTicks = startTicksOf(pid)
  const family = familyOf({ pid, startTicks, mark })
  report({ _tag: "Started", pid, startTicks })
  watch(family)

  const exited = new Promise<void>((resolve) => child.on("exit", () => resolve()))
  const askToStop = async (signal: NodeJS.Signals): Promise<void> => {
    family.look("all")
    child.kill(signal)
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMillis)
    })
    await Promise.race([exited, patience])
    clearTimeout(timer)
  }
  const endAll = async (reach: Reach): Promise<void> => {
    const isRunning = child.exitCode === null && child.signalCode === null
    if (cut && politeSignal !== null && isRunning) await askToStop(politeSignal)
    await endFamily(family, reach, graceMillis)
  }
  let ending: Promise<void> | undefined
  end = (reach) => ending ??= endAll(reach)
  child.on("exit", (exitCode, signal) => {
    // What has ended leaves nothing running in a tree that is about to be read, or removed. What a build started and let
    // go on purpose (a compile server) may stay, but not of one that was killed.
    const reach = signal === null && !cut ? order.reach : "all"
    void end!(reach).then(() => leave({ _tag: "Ended", exitCode, signal }))
  })
  if (cut) void end("all")
}

let order: string | undefined = ""
process.stdin.setEncoding("utf8").on("data", (text: string) => {
  if (order === undefined) return
  order += text
  const at = order.indexOf("\n")
  if (at < 0) return
  const line = order.slice(0, at)
  order = undefined
  run(JSON.parse(line) as Order)
})
const onCut = (): void => {
  cut = true
  // An order that did not arrive whole came from an engine that is dead: nothing was started.
  if (order !== undefined) leave()
  void end?.("all")
}
process.stdin.on("error", onCut)
process.stdin.on("close", onCut)
