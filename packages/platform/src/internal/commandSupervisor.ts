/**
 * The process between the engine and a command that must not outlive it: an entry point, started by
 * `commandSupervised`, never imported. Only `node:` modules, for it starts before every build.
 *
 * Standard input is the life line: it carries nothing, and its end (the engine closed it, or the
 * engine is dead, however it died) means that the command has to go. The command runs in a process
 * group of its own, so that it can be ended together with all that it started and without this
 * process. What happens is reported on descriptor 3, a JSON object a line.
 */
import { spawn } from "node:child_process"
import { writeSync } from "node:fs"

const [graceText, file, ...args] = process.argv.slice(2)
if (graceText === undefined || file === undefined) throw new Error("usage: commandSupervisor <grace in ms> <argv...>")
const graceMillis = Number(graceText)
const pollMillis = 20

const report = (event: unknown): void => {
  try {
    writeSync(3, `${JSON.stringify(event)}\n`)
  } catch {
    // The engine is gone: there is nobody to tell, and what is left to do is to end the command.
  }
}

// A terminal's signals reach every process of the engine's session. The engine decides, by the life line.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => undefined)

const child = spawn(file, args, { stdio: ["ignore", "inherit", "inherit"], detached: true })

const signalGroup = (signal: NodeJS.Signals | 0): boolean => {
  if (child.pid === undefined) return false
  try {
    process.kill(-child.pid, signal)
    return true
  } catch {
    return false
  }
}

const pause = () => new Promise<void>((resolve) => setTimeout(resolve, pollMillis))

/** Ends what runs in the command's group: politely, and after the grace for good. */
const endGroup = async (): Promise<void> => {
  if (!signalGroup("SIGTERM")) return
  const deadline = Date.now() + graceMillis
  while (Date.now() < deadline) {
    await pause()
    if (!signalGroup(0)) return
  }
  signalGroup("SIGKILL")
}

let ending: Promise<void> | undefined
const end = (): Promise<void> => ending ??= endGroup()

child.on("error", (error: NodeJS.ErrnoException) => {
  if (child.pid !== undefined) return
  report({ _tag: "NotStarted", code: error.code ?? null, detail: error.message })
  process.exit(0)
})
if (child.pid !== undefined) report({ _tag: "Started", pid: child.pid })
child.on("exit", (exitCode, signal) => {
  // A build that has ended leaves nothing running in a tree that is about to be removed.
  void end().then(() => {
    report({ _tag: "Ended", exitCode, signal })
    process.exit(0)
  })
})

process.stdin.on("error", () => void end())
process.stdin.on("close", () => void end())
process.stdin.resume()
