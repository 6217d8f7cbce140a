/**
 * Who belongs to a job, a build or an agent, and ending all of them. Shared by the engine, the wrapper of jobs and the
 * supervisor of the others, so: `node:` imports only.
 *
 * A process belongs when it is in the process group or session that the first one was started in, when it carries the mark
 * in its environment (it inherits it, wherever it goes), or when a process that belongs is its ancestor. So a descendant
 * escapes only if it starts its own session, and drops the environment, and its parent has ended; and not from a family
 * that had seen it before. Without `/proc` only the process group is known.
 */
import { closeSync, openSync, readFileSync } from "node:fs"
import process from "node:process"
import { codeOf } from "./files.ts"
import { listProcesses, type ProcessStat } from "./processTable.ts"

/** What processes that belong together are known by. */
export interface TreeRoot {
  /** The first process, which leads its group and session; null when nobody told of it: then only the mark leads to them. */
  readonly pid: number | null
  readonly startTicks: number | null
  /** The variable that all of them have in their environment, as `NAME=value`. */
  readonly mark: string
}

/** Whom to look for: those who stayed in the first one's process group or session, or all. */
export type Reach = "group" | "all"

/** The living processes of a tree, never this process itself. */
export interface Family {
  readonly leader: number | null
  /** Looks who is there now. Whoever was once seen is known by process id and start, whoever its parent is later. */
  readonly look: (reach: Reach) => Array<ProcessStat>
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

/** Which of these processes belong to the tree. `isMarked` tells it of a process wherever that is. */
export const select = (
  processes: ReadonlyArray<ProcessStat>,
  root: TreeRoot,
  isMarked: (pid: number) => boolean
): Array<ProcessStat> => {
  const living = processes.filter((one) => one.state !== "Z" && one.state !== "X")
  // An id of a group is not used again while the group has members; but when the whole group has ended, another
  // process may have got the id and lead a group of the same number. Its start tells.
  const reused = processes.some((one) => one.pid === root.pid && one.startTicks !== root.startTicks)
  const inGroup = (one: ProcessStat): boolean =>
    root.pid !== null && !reused && (one.pid === root.pid || one.group === root.pid || one.session === root.pid)
  const chosen = new Map<number, ProcessStat>()
  for (const one of living) {
    if (inGroup(one) || isMarked(one.pid)) chosen.set(one.pid, one)
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

/**
 * The family of a root, which remembers. What builds an image starts its steps in sessions of their own and with an
 * environment that is not ours, and when it is killed they go on under init: so it is to be looked at from time to time.
 */
export const familyOf = (root: TreeRoot): Family => {
  const mark = Buffer.from(`${root.mark}\0`)
  const known = new Map<number, number>()
  const look = (reach: Reach): Array<ProcessStat> => {
    const processes = listProcesses()
    const starts = new Map(processes.map((one) => [one.pid, one.startTicks]))
    const isKnown = (pid: number) => known.get(pid) === starts.get(pid)
    const found = select(processes, root, (pid) => reach === "all" && (isKnown(pid) || carries(pid, mark)))
      .filter((one) => one.pid !== process.pid)
    for (const one of found) known.set(one.pid, one.startTicks)
    return reach === "all" ? found : found.filter((one) => one.group === root.pid || one.session === root.pid)
  }
  return { leader: root.pid, look }
}

/** The living processes of a job, as one look finds them. */
export const members = (root: TreeRoot): Array<ProcessStat> => familyOf(root).look("all")

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

/** Sends a signal to a process group; a group that is gone already is no error. */
export const signalGroup = (leader: number | null, signal: NodeJS.Signals | 0): boolean => {
  try {
    return leader !== null && send(-leader, signal)
  } catch (error) {
    // macOS answers so for a group of which only zombies are left.
    if (codeOf(error) === "EPERM") return false
    throw error
  }
}

/** What is to be ended, and how patiently it is looked at. */
interface Doomed {
  readonly leader: number | null
  readonly look: () => Array<ProcessStat>
  readonly send: (pid: number, signal: NodeJS.Signals) => void
  readonly longestPauseMillis: number
}

/** Whether there was anybody. One that had gone when it was signalled counts: it may have left others. */
const signalAll = ({ leader, look, send }: Doomed, signal: "SIGTERM" | "SIGKILL"): boolean => {
  if (process.platform !== "linux") return signalGroup(leader, signal)
  const found = look()
  for (const one of found) send(one.pid, signal)
  return found.length > 0
}

const remain = (doomed: Doomed): boolean =>
  process.platform === "linux" ? doomed.look().length > 0 : signalGroup(doomed.leader, 0)

const pause = (millis: number, abort: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(done, millis)
    function done(): void {
      clearTimeout(timer)
      abort?.removeEventListener("abort", done)
      resolve()
    }
    abort?.addEventListener("abort", done, { once: true })
  })

const endAll = async (doomed: Doomed, graceMillis: number, abort?: AbortSignal): Promise<boolean> => {
  signalAll(doomed, "SIGTERM")
  const killAt = performance.now() + graceMillis
  // Looked at often at first, because most end at once, then less and less: a look reads the process table.
  for (let wait = 5; remain(doomed); wait = Math.min(wait * 2, doomed.longestPauseMillis)) {
    const left = killAt - performance.now()
    if (left <= 0) break
    await pause(Math.min(wait, left), abort)
    if (abort?.aborted === true) return false
  }
  // A process may be born while the table is read: kill until a look finds nobody.
  const giveUpAt = performance.now() + 5000
  while (signalAll(doomed, "SIGKILL")) {
    if (performance.now() > giveUpAt) return false
    await pause(10, abort)
    if (abort?.aborted === true) return false
  }
  return true
}

/**
 * Asks all processes of a job to end, and kills what is left after `graceMillis`. Resolves when none is
 * left (true), or when some cannot be ended, which only a process stuck inside the kernel is for long
 * (false, after 5 s of killing), or when `abort` aborts it (false). One that may not be signalled is an error, where
 * there is `/proc`.
 */
export const endTree = (root: TreeRoot, graceMillis: number, abort?: AbortSignal): Promise<boolean> =>
  endAll({ leader: root.pid, look: () => members(root), send, longestPauseMillis: 100 }, graceMillis, abort)

/** One that has taken another user's rights is not ours to signal. */
const sendIfAllowed = (pid: number, signal: NodeJS.Signals): void => {
  try {
    send(pid, signal)
  } catch (error) {
    if (codeOf(error) !== "EPERM") throw error
  }
}

/**
 * The same for a family. It is looked at more often meanwhile, so that more of it is known when those that started it have
 * ended. Also false where nobody can tell who is there.
 */
export const endFamily = async (family: Family, reach: Reach, graceMillis: number): Promise<boolean> => {
  if (process.platform !== "linux" && family.leader === null) return false
  const look = () => family.look(reach)
  return await endAll({ leader: family.leader, look, send: sendIfAllowed, longestPauseMillis: 20 }, graceMillis)
}
