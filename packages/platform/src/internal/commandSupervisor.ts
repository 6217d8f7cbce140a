/**
 * The process between the engine and a command that must not outlive it: an entry point, started by
 * `commandSupervised`, never imported. Only `node:` modules, for it starts before every build.
 *
 * Standard input is the life line. Its first line says what to run; after that it carries nothing, and its end
 * (the engine closed it, or the engine is dead, however it died) means that the command has to go. What to run comes
 * that way, and not by arguments and environment, so that a build's `NODE_OPTIONS` do not change this process. The
 * command leads a process group of its own, so that it can be ended together with all that it started and without this
 * process. What happens is reported on descriptor 3, a JSON object a line.
 */
import { spawn } from "node:child_process"
import { writeSync } from "node:fs"
import process from "node:process"
import { endFamily, type Family, familyOf, markVariable, type Reach } from "./commandFamily.ts"
import { startTicksOf } from "./processTable.ts"

interface Order {
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  readonly environment: Record<string, string>
  readonly graceMillis: number
}

const report = (event: unknown): void => {
  try {
    writeSync(3, `${JSON.stringify(event)}\n`)
  } catch {
    // The engine is gone: there is nobody to tell, and what is left to do is to end the command.
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

const run = ({ argv: [file, ...args], environment, graceMillis }: Order): void => {
  const refuse = (error: NodeJS.ErrnoException): never => {
    report({ _tag: "NotStarted", code: error.code ?? null, detail: error.message })
    process.exit(0)
  }
  const start = () => {
    try {
      return spawn(file, args, { stdio: ["ignore", "inherit", "inherit"], detached: true, env: environment })
    } catch (error) {
      // A NUL character, or arguments and environment larger than the system takes, throw instead of emitting.
      return refuse(error as NodeJS.ErrnoException)
    }
  }
  const child = start()
  child.on("error", (error: NodeJS.ErrnoException) => {
    if (child.pid === undefined) refuse(error)
  })
  if (child.pid === undefined) return
  const family = familyOf(child.pid, startTicksOf(child.pid), environment[markVariable] ?? "")
  report({ _tag: "Started", pid: child.pid, startTicks: startTicksOf(child.pid) })
  watch(family)
  let ending: Promise<void> | undefined
  end = (reach) => ending ??= endFamily(family, reach, graceMillis)
  child.on("exit", (exitCode, signal) => {
    // A build that has ended leaves nothing running in a tree that is about to be removed. What it started and let go
    // on purpose (a compile server) may stay, but not of a build that was killed.
    void end!(signal === null && !cut ? "group" : "all").then(() => {
      report({ _tag: "Ended", exitCode, signal })
      process.exit(0)
    })
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
  if (order !== undefined) process.exit(0)
  void end?.("all")
}
process.stdin.on("error", onCut)
process.stdin.on("close", onCut)
