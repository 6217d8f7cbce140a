/**
 * The process between the engine and an agent's program, which must not outlive it: an entry point, started by
 * `agentProcess`, never imported. Only `node:` modules, for it starts before every call.
 *
 * Standard input is the life line. Its first line says what to run; after that it carries nothing, and its end (the
 * engine closed it, or the engine is dead, however it died) means that the agent has to go, with all that it started.
 * The prompt comes on descriptor 4, which becomes the agent's standard input. What happens is reported on descriptor 3,
 * a JSON object a line. At the very end the directory that was the agent's home for this call is removed: also
 * that must not outlive an engine that was killed. It is the only argument.
 */
import { spawn } from "node:child_process"
import { closeSync, rmSync, writeSync } from "node:fs"
import process from "node:process"
import { endFamily, type Family, familyOf, markVariable } from "./commandFamily.ts"
import { startTicksOf } from "./processTable.ts"

interface Order {
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  readonly environment: Record<string, string>
  readonly graceMillis: number
  /** Asks the agent itself to stop and to say what it has used, before all of it is ended. */
  readonly politeSignal: NodeJS.Signals | null
}

const [home] = process.argv.slice(2)

const report = (event: unknown): void => {
  try {
    writeSync(3, `${JSON.stringify(event)}\n`)
  } catch {
    // The engine is gone: there is nobody to tell, and what is left to do is to end the agent.
  }
}

// A terminal's signals reach every process of the engine's session. The engine decides, by the life line.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => undefined)

let cut = false
let end: (() => Promise<void>) | undefined

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
  if (home !== undefined) {
    try {
      rmSync(home, { recursive: true, force: true, maxRetries: 3 })
    } catch {
      // The engine removes it too, and says so where it cannot.
    }
  }
  if (event !== undefined) report(event)
  process.exit(0)
}

const run = (order: Order): void => {
  const { argv: [file, ...args], environment, graceMillis, politeSignal } = order
  const refuse = (error: NodeJS.ErrnoException): never =>
    leave({ _tag: "NotStarted", code: error.code ?? null, detail: error.message })
  const start = () => {
    try {
      return spawn(file, args, { stdio: [4, "inherit", "inherit"], detached: true, env: environment })
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
  // Held only by the agent, so that writing the prompt fails when the agent does not read it any more.
  closeSync(4)
  const startTicks = startTicksOf(pid)
  const family = familyOf(pid, startTicks, environment[markVariable] ?? "")
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
  const endAll = async (): Promise<void> => {
    if (cut && politeSignal !== null && child.exitCode === null && child.signalCode === null) {
      await askToStop(politeSignal)
    }
    await endFamily(family, "all", graceMillis)
  }
  let ending: Promise<void> | undefined
  end = () => ending ??= endAll()
  child.on("exit", (exitCode, signal) => {
    // Nothing that an agent started goes on when it has answered: the tree is about to be read, and removed.
    void end!().then(() => leave({ _tag: "Ended", exitCode, signal }))
  })
  if (cut) void end()
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
  void end?.()
}
process.stdin.on("error", onCut)
process.stdin.on("close", onCut)
