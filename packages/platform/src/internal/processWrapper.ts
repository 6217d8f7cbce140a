/**
 * The process that runs one local job and outlives the engine: `node processWrapper.ts <job directory>`.
 *
 * The engine starts it in a session of its own, and from then on they share nothing but the files of the
 * job's directory. In this order it
 *
 * 1. reads `command.json`, which the engine wrote,
 * 2. creates `claim`, exclusively. A loser says so in `contenders.log` and ends without running anything:
 *    this makes a launch happen once, whatever crashed and was tried again,
 * 3. looks for `cancel.json` (only now: whoever cancels writes that first and looks for the claim then,
 *    so at least one of the two sees the other),
 * 4. starts the command in a session of its own, its output going straight to files, and writes `start.json`,
 * 5. applies the time-out, obeys a cancel (`cancel.json`, and SIGTERM to hear of it at once), samples usage,
 * 6. ends what the job left behind, and writes `exit.json`.
 *
 * A scheduler may be the one that starts it, as the batch script of a job (`slurmSubmit.ts`): then it leaves with what the
 * job left with, and all else is the same.
 *
 * SIGTERM without a cancel (a machine that shuts down) ends the job gracefully, and how it ended is recorded, and
 * that it was not the job's own end.
 * SIGINT and SIGHUP are for the engine and its terminal, and are ignored.
 *
 * It must start fast and weigh little beside what it measures: `node:` imports only.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs"
import { appendFile } from "node:fs/promises"
import { constants } from "node:os"
import { join } from "node:path"
import { codeOf } from "./files.ts"
import {
  createOnce,
  directoryVariable,
  files,
  replace,
  restoreVariable,
  schedulerVariable,
  tokenVariable
} from "./processFiles.ts"
import type { Cancel, Claim, Command, Exit, Start, System } from "./processRecords.ts"
import { Sampler } from "./processSampler.ts"
import { startTicksOf, thisMachine } from "./processTable.ts"
import { endTree, members, type TreeRoot } from "./processTree.ts"

const sampleMillis = 250
const signOfLifeMillis = 5000
/** What may be spent on sampling: one part in a hundred of one core. */
const samplingShare = 0.01

const directory = process.argv[2] ?? ""
const path = (name: string): string => join(directory, name)
const pause = (millis: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, millis)
  })

/** How the job ended, as far as the operating system says. */
interface End {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** How often the kernel killed a process for want of memory since the boot; null where it does not say. */
const memoryKills = (): number | null => {
  try {
    const line = readFileSync("/proc/vmstat", "latin1").match(/^oom_kill (\d+)$/m)
    return line?.[1] === undefined ? null : Number(line[1])
  } catch {
    return null // not Linux
  }
}

/** The environment that the engine had, before it was changed for this process. */
const inheritedEnvironment = (): Record<string, string | undefined> => {
  const environment: Record<string, string | undefined> = { ...process.env }
  const restore: Record<string, string | null> = JSON.parse(environment[restoreVariable] ?? "{}")
  environment[restoreVariable] = undefined
  for (const [name, value] of Object.entries(restore)) environment[name] = value ?? undefined
  return environment
}

/** Writes a record that exists nowhere else. A full disk is waited for. */
const record = async (name: string, content: Start | Exit): Promise<void> => {
  for (let attempt = 1;; attempt++) {
    try {
      await replace(directory, name, JSON.stringify(content), true)
      return
    } catch (error) {
      // Without its directory the job has nobody left to tell.
      if (codeOf(error) === "ENOENT" || attempt >= 600) throw error
      complain(error)
      await pause(1000)
    }
  }
}

const complain = (error: unknown): void => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
}

/** A timer of any length: those of Node fire at once beyond 24 days. */
const after = (millis: number, run: () => void): void => {
  const step = Math.min(millis, 2 ** 31 - 1)
  setTimeout(() => {
    if (millis > step) after(millis - step, run)
    else run()
  }, step)
}

const startCommand = async (
  command: Command,
  token: string
): Promise<
  { readonly child: ChildProcess; readonly ended: Promise<End> } | { readonly code: string; readonly message: string }
> => {
  const program = command.argv[0]
  if (statSync(command.directory, { throwIfNoEntry: false })?.isDirectory() !== true) {
    return { code: "ENOENT", message: `its working directory ${command.directory} is not there` }
  }
  const stdout = openSync(path(files.stdout), "a")
  const stderr = openSync(path(files.stderr), "a")
  try {
    const child = spawn(program, command.argv.slice(1), {
      cwd: command.directory,
      env: {
        ...inheritedEnvironment(),
        ...command.environment,
        [directoryVariable]: directory,
        [tokenVariable]: token
      },
      stdio: ["ignore", stdout, stderr],
      detached: true
    })
    const ended = new Promise<End>((resolve) => {
      child.once("exit", (code, signal) => resolve({ code, signal }))
    })
    const failed = new Promise<Error>((resolve) => {
      child.once("error", resolve)
    })
    if (child.pid !== undefined) return { child, ended }
    const error = await failed
    const code = codeOf(error) ?? "UNKNOWN"
    return { code, message: `the program ${JSON.stringify(program)} cannot be run: ${explain(code)}` }
  } catch (error) {
    const code = codeOf(error) ?? "UNKNOWN"
    return { code, message: `the program ${JSON.stringify(program)} cannot be run: ${explain(code)}` }
  } finally {
    closeSync(stdout)
    closeSync(stderr)
  }
}

const explain = (code: string): string => {
  switch (code) {
    case "ENOENT":
      return "there is no such file, on the PATH or where it says, or the interpreter that its first line names is missing (ENOENT)"
    case "EACCES":
      return "it is not executable (EACCES)"
    case "ENOEXEC":
      return "it is neither a binary of this system nor a script with an interpreter line (ENOEXEC)"
    case "E2BIG":
      return "its arguments and environment are too long (E2BIG)"
    case "EAGAIN":
      return "the system has no room for another process (EAGAIN)"
    default:
      return code
  }
}

/**
 * The number of the Slurm job that this process is the batch script of; none for a local job. It is told by an argument
 * which of the two it is: an engine may itself run in a Slurm job, and its local jobs inherit the variable.
 */
const schedulerId = process.argv[3] === "slurm" ? process.env[schedulerVariable] : undefined

/**
 * What the wrapper leaves with. To a scheduler it is the job, and what its own tools show shall be true too; a local one
 * has done its part when it has recorded the end.
 */
const codeFor = (exit: Exit): number => {
  if (schedulerId === undefined) return 0
  if (exit.startError !== null) return exit.startError.code === "ENOENT" ? 127 : 126
  if (exit.exitCode !== null) return exit.exitCode
  const number = exit.signal === null ? undefined : Reflect.get(constants.signals, exit.signal)
  return exit.endedFor === "cancel" ? 0 : 128 + (typeof number === "number" ? number : 0)
}

const run = async (): Promise<number> => {
  const command: Command = JSON.parse(readFileSync(path(files.command), "utf8"))
  const token = randomBytes(12).toString("hex")
  const claim: Claim = {
    version: 1,
    pid: process.pid,
    startTicks: startTicksOf(process.pid),
    ...thisMachine(),
    token,
    claimedAt: Date.now(),
    ...(schedulerId === undefined ? {} : { schedulerId })
  }
  // SIGTERM is heard from before the claim on: who sees the claim may send it.
  let heard = false
  let onTermination = (): void => {
    heard = true
  }
  process.on("SIGTERM", () => onTermination())
  if (!(await createOnce(directory, files.claim, JSON.stringify(claim)))) {
    await appendFile(path(files.contenders), `${new Date().toISOString()} process ${process.pid} lost claim\n`)
    return 0
  }

  const exit: { -readonly [K in keyof Exit]: Exit[K] } = {
    version: 1,
    startedAt: null,
    endedAt: 0,
    exitCode: null,
    signal: null,
    endedFor: null,
    outOfMemory: false,
    startError: null,
    leftBehind: 0
  }
  // A verdict before the claim: the scheduler had forgotten this job, it counts as lost, and comes too late to run.
  if (existsSync(path(files.cancel)) || existsSync(path(files.verdict))) {
    await record(files.exit, { ...exit, endedAt: Date.now(), endedFor: "cancel" })
    return 0
  }
  const killsBefore = memoryKills()
  const started = await startCommand(command, token)
  const startedAt = Date.now()
  if (!("child" in started)) {
    exit.startError = started
    exit.endedAt = startedAt
    await record(files.exit, exit)
    return codeFor(exit)
  }
  const pid = started.child.pid!
  const root: TreeRoot = { pid, startTicks: startTicksOf(pid), mark: `${tokenVariable}=${token}` }
  const start: Start = { version: 1, pid, startTicks: root.startTicks, startedAt }
  exit.startedAt = startedAt

  let ended = false
  let ending: Promise<boolean> | undefined
  const end = (why: "timeout" | "cancel" | "termination", graceMillis: number): void => {
    if (ended || ending !== undefined) return
    exit.endedFor = why
    ending = endTree(root, graceMillis)
  }
  const obeyCancel = (): boolean => {
    if (!existsSync(path(files.cancel))) return false
    const cancel: Cancel = JSON.parse(readFileSync(path(files.cancel), "utf8"))
    end("cancel", cancel.graceMillis)
    return true
  }
  onTermination = () => {
    if (obeyCancel()) return
    end("termination", command.graceMillis)
    // A shutdown tells the job and its wrapper at once, and the job may be the quicker one. A job that had just
    // ended by itself is then doubted too: to measure it again is better than to believe half a run.
    exit.endedFor ??= "termination"
  }
  if (heard) onTermination()
  if (command.timeoutMillis !== null) after(command.timeoutMillis, () => end("timeout", command.graceMillis))

  const sampler = process.platform === "linux" ? new Sampler(pid, startedAt) : undefined
  const writeSystem = (): Promise<void> => {
    const system: System = { version: 1, usage: sampler?.usage() ?? null }
    return replace(directory, files.system, JSON.stringify(system), false)
  }
  let signAt = performance.now() + signOfLifeMillis
  const sample = (wait: number): void => {
    if (ended) return
    const before = performance.now()
    sampler?.look(Date.now())
    obeyCancel()
    const now = performance.now()
    if (now >= signAt) {
      signAt = now + signOfLifeMillis
      // A sign of life that cannot be written is not worth the job: the next one may be.
      writeSystem().catch(complain)
    }
    // The first samples come close together, so that a short job is seen too, and cost more than they will later.
    const next = wait < sampleMillis ? wait : Math.max(wait, (now - before) / samplingShare)
    setTimeout(() => sample(Math.min(wait * 3, sampleMillis)), next)
  }
  sample(15)
  // Not waited for: a disk that is full at the start must not keep the job's end from being seen.
  record(files.start, start).catch(complain)

  const { code, signal } = await started.ended
  ended = true
  exit.endedAt = Date.now()
  exit.exitCode = code
  exit.signal = signal
  sampler?.settle()
  if (ending !== undefined) await ending
  const left = members(root).length
  if (left > 0) {
    // What runs on would disturb the next job, and could write into logs that are read as complete.
    exit.leftBehind = left
    await endTree(root, Math.min(command.graceMillis, 2000))
    exit.endedAt = Date.now()
  } else if (ending !== undefined) exit.endedAt = Date.now()
  const killsAfter = memoryKills()
  exit.outOfMemory = exit.endedFor === null && (signal === "SIGKILL" || code === 137) &&
    killsBefore !== null && killsAfter !== null && killsAfter > killsBefore
  await writeSystem().catch(complain)
  await record(files.exit, exit)
  return codeFor(exit)
}

const ignore = (): void => undefined
process.on("SIGHUP", ignore)
process.on("SIGINT", ignore)
run().then(
  (code) => process.exit(code),
  (error: unknown) => {
    complain(error)
    process.exit(70)
  }
)
