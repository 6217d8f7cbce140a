/**
 * Which processes exist, and whether a process is still the one that it was: Linux' `/proc`. Shared by
 * the engine and the wrapper, so: `node:` imports only.
 *
 * A process id alone names nobody: ids are used again. With the time at which the process started and
 * the id of the machine's boot it is unique. On systems without `/proc` the start is unknown (null) and
 * a process counts as alive as long as its id is in use.
 */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from "node:fs"
import { endianness, hostname } from "node:os"
import { codeOf } from "./files.ts"

/** What the job needs of a line of `/proc/<pid>/stat` (proc(5)). Times are in ticks, memory in pages. */
export interface ProcessStat {
  readonly pid: number
  /** `R`, `S`, `D`, `T`, ...; `Z` and `X` are dead. */
  readonly state: string
  readonly parent: number
  readonly group: number
  readonly session: number
  readonly userTicks: number
  readonly systemTicks: number
  /** Of children that ended and were waited for, and of theirs. */
  readonly childUserTicks: number
  readonly childSystemTicks: number
  /** Since the boot. */
  readonly startTicks: number
  readonly residentPages: number
}

/** The machine as seen from a process: processes see each other if and only if these are equal. */
export interface Machine {
  readonly host: string
  readonly bootId: string | null
  /** Containers on one machine have their own process ids. */
  readonly pidNamespace: string | null
}

const buffer = Buffer.alloc(8192)

/** Up to 8 KiB of a small file; undefined when it cannot be read. One open, one read: this is called often. */
export const readSmall = (path: string): string | undefined => {
  let descriptor: number
  try {
    descriptor = openSync(path, "r")
  } catch {
    return undefined // the process has gone, or is not ours to look at
  }
  try {
    return buffer.toString("latin1", 0, readSync(descriptor, buffer, 0, buffer.length, 0))
  } catch {
    return undefined // it went while we looked
  } finally {
    closeSync(descriptor)
  }
}

/** Parses a line of `/proc/<pid>/stat`. The program's name may hold blanks and parentheses: it ends at the last one. */
export const parseStat = (line: string): ProcessStat | undefined => {
  const open = line.indexOf("(")
  const close = line.lastIndexOf(")")
  if (open < 0 || close < open) return undefined
  const rest = line.slice(close + 2).split(" ")
  const field = (number: number): number => Number(rest[number - 3])
  const stat: ProcessStat = {
    pid: Number(line.slice(0, open)),
    state: rest[0] ?? "",
    parent: field(4),
    group: field(5),
    session: field(6),
    userTicks: field(14),
    systemTicks: field(15),
    childUserTicks: field(16),
    childSystemTicks: field(17),
    startTicks: field(22),
    residentPages: field(24)
  }
  return Number.isInteger(stat.pid) && Number.isInteger(stat.startTicks) ? stat : undefined
}

export const readStat = (pid: number): ProcessStat | undefined => {
  const line = readSmall(`/proc/${pid}/stat`)
  return line === undefined ? undefined : parseStat(line)
}

/** All processes that can be seen; none where there is no `/proc`. */
export const listProcesses = (): Array<ProcessStat> => {
  const found: Array<ProcessStat> = []
  let names: Array<string>
  try {
    names = readdirSync("/proc")
  } catch {
    return found
  }
  for (const name of names) {
    if (!/^[1-9]\d*$/.test(name)) continue
    const stat = readStat(Number(name))
    if (stat !== undefined) found.push(stat)
  }
  return found
}

const linkTarget = (path: string): string | null => {
  try {
    return readlinkSync(path)
  } catch {
    return null // no such thing on this system
  }
}

export const thisMachine = (): Machine => ({
  host: hostname(),
  bootId: readSmall("/proc/sys/kernel/random/boot_id")?.trim() ?? null,
  pidNamespace: linkTarget("/proc/self/ns/pid")
})

/** When a process started; null where that cannot be known. */
export const startTicksOf = (pid: number): number | null => readStat(pid)?.startTicks ?? null

const exists = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) === "EPERM"
  }
}

/** Whether the process that had this id and this start still runs. What only waits to be reaped does not. */
export const isAlive = (pid: number, startTicks: number | null): boolean => {
  if (startTicks === null) return exists(pid)
  const stat = readStat(pid)
  return stat !== undefined && stat.startTicks === startTicks && stat.state !== "Z" && stat.state !== "X"
}

/** How the kernel counts: from the auxiliary vector that it gave to this process (getauxval(3)). */
export const units = ((): { readonly ticksPerSecond: number; readonly pageBytes: number } => {
  const found = { ticksPerSecond: 100, pageBytes: 4096 }
  if (endianness() !== "LE" || !/64/.test(process.arch)) return found
  try {
    const vector = readFileSync("/proc/self/auxv")
    for (let at = 0; at + 16 <= vector.length; at += 16) {
      const kind = vector.readBigUInt64LE(at)
      if (kind === 6n) found.pageBytes = Number(vector.readBigUInt64LE(at + 8))
      if (kind === 17n) found.ticksPerSecond = Number(vector.readBigUInt64LE(at + 8))
    }
  } catch {
    return found // no auxiliary vector here: these are the values of nearly every system
  }
  return found
})()
