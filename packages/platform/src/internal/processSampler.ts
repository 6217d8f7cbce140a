/**
 * What a job's process tree uses, from `/proc`, cheaply: only the processes of the tree are read, through
 * their lists of children, never the whole table. Runs in the wrapper, so: `node:` imports only.
 *
 * CPU time of a process that ended is counted by the kernel in the parent that waited for it, so the sum
 * over the living is the tree's total. What the sampler saw is corrected at the end by what the kernel
 * counted for the wrapper's children, which is exact however short the job was.
 */
import { existsSync, readdirSync } from "node:fs"
import { listProcesses, type ProcessStat, readSmall, readStat, units } from "./processTable.ts"

export interface Sample {
  readonly atMillis: number
  readonly cpuSeconds: number
  readonly memoryBytes: number
  readonly processes: number
}

const seriesLimit = 256 // even, so that halving leaves nobody over

/** Two neighbours as one: the later CPU time, the higher memory, the larger tree. */
const merge = (a: Sample, b: Sample): Sample => ({
  atMillis: b.atMillis,
  cpuSeconds: b.cpuSeconds,
  memoryBytes: Math.max(a.memoryBytes, b.memoryBytes),
  processes: Math.max(a.processes, b.processes)
})

/** A series of bounded length over a time of any length: when it is full, neighbours are merged. */
export class Series {
  private kept: Array<Sample> = []
  private open: Sample | undefined
  private inOpen = 0
  /** How many samples make one of the series. */
  private stride = 1
  private readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  add(sample: Sample): void {
    this.open = this.open === undefined ? sample : merge(this.open, sample)
    if (++this.inOpen < this.stride) return
    this.kept.push(this.open)
    this.open = undefined
    this.inOpen = 0
    if (this.kept.length < this.limit) return
    const half: Array<Sample> = []
    for (let i = 0; i + 1 < this.kept.length; i += 2) half.push(merge(this.kept[i]!, this.kept[i + 1]!))
    this.kept = half
    this.stride *= 2
  }

  all(): ReadonlyArray<Sample> {
    return this.open === undefined ? this.kept : [...this.kept, this.open]
  }
}

/** The living processes that descend from `root`, itself included. */
const descendants = (root: number): Array<ProcessStat> => {
  const found: Array<ProcessStat> = []
  const seen = new Set<number>()
  const pending = [root]
  for (let pid = pending.pop(); pid !== undefined; pid = pending.pop()) {
    if (seen.has(pid)) continue
    seen.add(pid)
    const stat = readStat(pid)
    if (stat === undefined || stat.state === "Z") continue
    found.push(stat)
    let threads: Array<string>
    try {
      threads = readdirSync(`/proc/${pid}/task`)
    } catch {
      continue // it ended while we looked
    }
    for (const thread of threads) {
      const children = readSmall(`/proc/${pid}/task/${thread}/children`)
      if (children === undefined || children === "") continue
      // Each number is followed by a blank: one that was cut off at the end of a long list is not.
      for (const child of children.slice(0, children.lastIndexOf(" ")).split(" ")) pending.push(Number(child))
    }
  }
  return found
}

/** The same by reading the whole table: for kernels built without lists of children. */
const descendantsByScan = (root: number): Array<ProcessStat> => {
  const all = listProcesses()
  const inside = new Set([root])
  for (let grew = true; grew;) {
    grew = false
    for (const one of all) {
      if (inside.has(one.parent) && !inside.has(one.pid)) {
        inside.add(one.pid)
        grew = true
      }
    }
  }
  return all.filter((one) => inside.has(one.pid) && one.state !== "Z")
}

const highWaterBytes = (pid: number): number => {
  const line = readSmall(`/proc/${pid}/status`)?.match(/^VmHWM:\s+(\d+) kB$/m)
  return line?.[1] === undefined ? 0 : Number(line[1]) * 1024
}

/** Usage of the tree under one process. Take samples with `look`; `usage` says what was seen so far. */
export class Sampler {
  private readonly root: number
  private readonly startedAt: number
  private readonly listTree: (root: number) => Array<ProcessStat>
  private userSeconds = 0
  private systemSeconds = 0
  private peakBytes = 0
  private count = 0
  private readonly series = new Series(seriesLimit)

  /** `startedAt` in milliseconds since the epoch. */
  constructor(root: number, startedAt: number) {
    this.root = root
    this.startedAt = startedAt
    this.listTree = existsSync(`/proc/self/task/${process.pid}/children`) ? descendants : descendantsByScan
  }

  /** One sample, if anything of the tree lives. */
  look(now: number): void {
    let user = 0
    let system = 0
    let pages = 0
    let highest = 0
    const tree = this.listTree(this.root)
    if (tree.length === 0) return
    for (const one of tree) {
      user += one.userTicks + one.childUserTicks
      system += one.systemTicks + one.childSystemTicks
      pages += one.residentPages
      // The kernel keeps the highest of each process: it finds a peak between two samples.
      highest = Math.max(highest, highWaterBytes(one.pid))
    }
    const memoryBytes = pages * units.pageBytes
    // An orphan that ended takes its time with it: what was seen once is not taken back.
    this.userSeconds = Math.max(this.userSeconds, user / units.ticksPerSecond)
    this.systemSeconds = Math.max(this.systemSeconds, system / units.ticksPerSecond)
    this.peakBytes = Math.max(this.peakBytes, memoryBytes, highest)
    this.count++
    this.series.add({
      atMillis: now - this.startedAt,
      cpuSeconds: this.userSeconds + this.systemSeconds,
      memoryBytes,
      processes: tree.length
    })
  }

  /** Takes over the kernel's own count for all children that this process waited for. */
  settle(): void {
    const self = readStat(process.pid)
    if (self === undefined) return
    this.userSeconds = Math.max(this.userSeconds, self.childUserTicks / units.ticksPerSecond)
    this.systemSeconds = Math.max(this.systemSeconds, self.childSystemTicks / units.ticksPerSecond)
  }

  usage() {
    return {
      cpuSecondsUser: this.userSeconds,
      cpuSecondsSystem: this.systemSeconds,
      peakMemoryBytes: this.count === 0 ? null : this.peakBytes,
      samples: this.count,
      series: this.series.all()
    }
  }
}
