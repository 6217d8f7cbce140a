/**
 * All that a command has started, and ending it. Used by the supervisor and, where that was killed, by the engine,
 * so: `node:` imports only.
 *
 * A process group is not enough for it. What builds an image starts its steps in sessions of their own, and when
 * it is killed they go on under init, with an environment that is not ours. So the family is looked at from time to time
 * while the command runs: who was once seen is known by process id and start, whoever its parent is later. Without
 * `/proc` only the process group is known.
 */
import { closeSync, openSync, readFileSync } from "node:fs"
import process from "node:process"
import { listProcesses, type ProcessStat } from "./processTable.ts"
import { type JobRoot, select, send } from "./processTree.ts"

/** The environment variable that marks all that a command starts, wherever it goes. */
export const markVariable = "ESPALIER_COMMAND"

/** Whom to look for: those who stayed in the command's process group or session, or all. */
export type Reach = "group" | "all"

/** The living processes of one command. */
export interface Family {
  /** Leader of the command's process group; null where nobody told of it: then only the mark leads to the family. */
  readonly leader: number | null
  /** Looks who is there now, and remembers. */
  readonly look: (reach: Reach) => ReadonlyArray<ProcessStat>
}

const pollMillis = 20
const hopelessMillis = 5000

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

/** The family of a command that leads a process group; `mark` is the value of its `markVariable`. */
export const familyOf = (leader: number | null, startTicks: number | null, mark: string): Family => {
  const root: JobRoot = { pid: leader, startTicks, token: mark }
  const bytes = Buffer.from(`${markVariable}=${mark}\0`)
  const known = new Map<number, number>()
  const look = (reach: Reach): ReadonlyArray<ProcessStat> => {
    const processes = listProcesses()
    const starts = new Map(processes.map((one) => [one.pid, one.startTicks]))
    const isKnown = (pid: number) => known.get(pid) === starts.get(pid)
    const found = select(processes, root, (pid) => reach === "all" && (isKnown(pid) || carries(pid, bytes)))
      .filter((one) => one.pid !== process.pid)
    for (const one of found) known.set(one.pid, one.startTicks)
    return reach === "all" ? found : found.filter((one) => one.group === leader || one.session === leader)
  }
  return { leader, look }
}

const signalGroup = (leader: number | null, signal: NodeJS.Signals | 0): boolean => {
  try {
    return leader !== null && send(-leader, signal)
  } catch {
    return false // macOS refuses a group of which only zombies are left
  }
}

const sendQuietly = (pid: number, signal: NodeJS.Signals): void => {
  try {
    send(pid, signal)
  } catch {
    // It has taken another user's rights: it is not ours to signal.
  }
}

const signalAll = (family: Family, reach: Reach, signal: "SIGTERM" | "SIGKILL"): boolean => {
  if (process.platform !== "linux") return signalGroup(family.leader, signal)
  const found = family.look(reach)
  for (const one of found) sendQuietly(one.pid, signal)
  return found.length > 0
}

const remain = (family: Family, reach: Reach): boolean =>
  process.platform === "linux" ? family.look(reach).length > 0 : signalGroup(family.leader, 0)

const pause = () => new Promise<void>((resolve) => setTimeout(resolve, pollMillis))

/**
 * Asks all to end, and kills who is left after the grace. Ends when none is left (true), or 5 seconds later (false). Also
 * false where nobody can tell who is there.
 */
export const tryEndFamily = async (family: Family, reach: Reach, graceMillis: number): Promise<boolean> => {
  if (process.platform !== "linux" && family.leader === null) return false
  if (!signalAll(family, reach, "SIGTERM")) return true
  const killAt = performance.now() + graceMillis
  while (performance.now() < killAt) {
    await pause()
    if (!remain(family, reach)) return true
  }
  // A process may be born while the table is read: kill until a look finds nobody.
  const giveUpAt = performance.now() + hopelessMillis
  while (signalAll(family, reach, "SIGKILL")) {
    if (performance.now() >= giveUpAt) return false
    await pause()
  }
  return true
}

/** The same, for who can do nothing about those that are left. */
export const endFamily = async (family: Family, reach: Reach, graceMillis: number): Promise<void> => {
  await tryEndFamily(family, reach, graceMillis)
}
