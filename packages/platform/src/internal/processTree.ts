/**
 * Who belongs to a job, and ending all of them. Shared by the engine and the wrapper, so: `node:`
 * imports only.
 *
 * A process belongs to a job when it is in the process group or session that the job was started in,
 * when it carries the job's token in its environment (it inherits it, wherever it goes), or when a
 * process that belongs is its ancestor. So a descendant escapes only if it starts its own session, and
 * drops the environment, and its parent has ended. Without `/proc` only the process group is known.
 */
import { closeSync, openSync, readFileSync } from "node:fs"
import { codeOf, tokenVariable } from "./processFiles.ts"
import { listProcesses, type ProcessStat } from "./processTable.ts"

/** A job as its processes know it. */
export interface JobRoot {
  /** The job's first process, which leads its group and session; null when nobody recorded it. */
  readonly pid: number | null
  readonly startTicks: number | null
  readonly token: string
}

const carries = (pid: number, mark: Buffer): boolean => {
  try {
    const descriptor = openSync(`/proc/${pid}/environ`, "r")
    try {
      return readFileSync(descriptor).includes(mark)
    } finally {
      closeSync(descriptor)
    }
  } catch {
    return false // gone, or another user's: then it is not ours to signal either
  }
}

/** Which of these processes belong to the job. `hasToken` tells whether a process carries the job's token. */
export const select = (
  processes: ReadonlyArray<ProcessStat>,
  root: JobRoot,
  hasToken: (pid: number) => boolean
): Array<ProcessStat> => {
  const living = processes.filter((one) => one.state !== "Z" && one.state !== "X")
  // An id of a group is not used again while the group has members; but when the whole group has ended, another
  // process may have got the id and lead a group of the same number. Its start tells.
  const reused = processes.some((one) => one.pid === root.pid && one.startTicks !== root.startTicks)
  const inGroup = (one: ProcessStat): boolean =>
    root.pid !== null && !reused && (one.pid === root.pid || one.group === root.pid || one.session === root.pid)
  const chosen = new Map<number, ProcessStat>()
  for (const one of living) {
    if (inGroup(one) || hasToken(one.pid)) chosen.set(one.pid, one)
  }
  for (let grew = true; grew;) {
    grew = false
    for (const one of living) {
      if (!chosen.has(one.pid) && chosen.has(one.parent)) {
        chosen.set(one.pid, one)
        grew = true
      }
    }
  }
  return [...chosen.values()]
}

/** The living processes of a job, never this process itself. */
export const members = (root: JobRoot): Array<ProcessStat> => {
  const mark = Buffer.from(`${tokenVariable}=${root.token}\0`)
  return select(listProcesses(), root, (pid) => carries(pid, mark)).filter((one) => one.pid !== process.pid)
}

/** Sends a signal; false when there is nobody (any more). A refusal (EPERM) is thrown. */
export const send = (pid: number, signal: NodeJS.Signals | 0): boolean => {
  try {
    process.kill(pid, signal)
    return true
  } catch (error) {
    if (codeOf(error) === "ESRCH") return false
    throw error
  }
}

const signalAll = (root: JobRoot, signal: "SIGTERM" | "SIGKILL"): number => {
  if (process.platform !== "linux") return root.pid !== null && send(-root.pid, signal) ? 1 : 0
  let signalled = 0
  for (const one of members(root)) if (send(one.pid, signal)) signalled++
  return signalled
}

const remain = (root: JobRoot): boolean =>
  process.platform === "linux" ? members(root).length > 0 : root.pid !== null && send(-root.pid, 0)

const pause = (millis: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(done, millis)
    function done(): void {
      clearTimeout(timer)
      signal?.removeEventListener("abort", done)
      resolve()
    }
    signal?.addEventListener("abort", done, { once: true })
  })

/**
 * Asks all processes of a job to end, and kills what is left after `graceMillis`. Resolves when none is
 * left (true), or when some cannot be ended, which only a process stuck inside the kernel is for long
 * (false, after 5 s of killing), or when `signal` aborts it (false).
 */
export const endTree = async (root: JobRoot, graceMillis: number, signal?: AbortSignal): Promise<boolean> => {
  signalAll(root, "SIGTERM")
  const killAt = performance.now() + graceMillis
  // Looked at often at first, because most jobs end at once, then less and less: a look reads the process table.
  for (let wait = 5; remain(root); wait = Math.min(wait * 2, 100)) {
    const left = killAt - performance.now()
    if (left <= 0) break
    await pause(Math.min(wait, left), signal)
    if (signal?.aborted === true) return false
  }
  // A process may be born while the table is read: kill until a look finds nobody.
  const giveUpAt = performance.now() + 5000
  while (signalAll(root, "SIGKILL") > 0) {
    if (performance.now() > giveUpAt) return false
    await pause(10, signal)
    if (signal?.aborted === true) return false
  }
  return true
}
