/**
 * What a job's process tree uses, from `/proc`, cheaply: only the processes of the tree are read, through
 * their lists of children, never the whole table. Runs in the wrapper, so: `node:` imports only.
 *
 * CPU time, and bytes read and written, of a process that ended are counted by the kernel in the parent that waited for
 * it, so the sum over the living is the tree's total. What the sampler saw is corrected at the end by what the kernel
 * counted for the wrapper's children, which is exact however short the job was, less what the wrapper's other children
 * used: it asks `nvidia-smi` about GPUs now and then.
 */
import { existsSync, readdirSync } from "node:fs"
import { findProgram, GpuSampler } from "./gpuSampler.ts"
import { listProcesses, type ProcessStat, readSmall, readStat, units } from "./processTable.ts"

export interface Sample {
  readonly atMillis: number
  readonly cpuSeconds: number
  readonly memoryBytes: number
  readonly processes: number
  readonly readBytes?: number
  readonly writeBytes?: number
}

/** Bytes as `/proc/<pid>/io` counts them: through system calls, and of them what storage had to do. */
export interface Io {
  readonly readBytes: number
  readonly writeBytes: number
  readonly storageReadBytes: number
  readonly storageWriteBytes: number
}

const noIo: Io = { readBytes: 0, writeBytes: 0, storageReadBytes: 0, storageWriteBytes: 0 }

const combine = (a: Io, b: Io, how: (a: number, b: number) => number): Io => ({
  readBytes: how(a.readBytes, b.readBytes),
  writeBytes: how(a.writeBytes, b.writeBytes),
  storageReadBytes: how(a.storageReadBytes, b.storageReadBytes),
  storageWriteBytes: how(a.storageWriteBytes, b.storageWriteBytes)
})
const plus = (a: number, b: number): number => a + b
const less = (a: number, b: number): number => Math.max(0, a - b)

/** Parses `/proc/<pid>/io`; undefined for anything else. */
export const parseIo = (text: string): Io | undefined => {
  const field = (name: string): number => Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(text)?.[1] ?? NaN)
  const io: Io = {
    readBytes: field("rchar"),
    writeBytes: field("wchar"),
    storageReadBytes: field("read_bytes"),
    storageWriteBytes: field("write_bytes")
  }
  return Object.values(io).every(Number.isSafeInteger) ? io : undefined
}

/** Undefined where the kernel does not count, or the process belongs to somebody else. */
const readIo = (path: string): Io | undefined => {
  const text = readSmall(path)
  return text === undefined ? undefined : parseIo(text)
}

/** What the children of this process that were waited for have used: the process' total, less its own threads'. */
const childrenIo = (): Io | undefined => {
  let io = readIo("/proc/self/io")
  if (io === undefined) return undefined
  for (const thread of readdirSync("/proc/self/task")) {
    const own = readIo(`/proc/self/task/${thread}/io`)
    if (own !== undefined) io = combine(io, own, less)
  }
  return io
}

const seriesLimit = 256 // even, so that halving leaves nobody over

/** Two neighbours as one: the later CPU time and bytes, the higher memory, the larger tree. */
const merge = (a: Sample, b: Sample): Sample => ({
  atMillis: b.atMillis,
  cpuSeconds: b.cpuSeconds,
  memoryBytes: Math.max(a.memoryBytes, b.memoryBytes),
  processes: Math.max(a.processes, b.processes),
  ...(b.readBytes === undefined ? {} : { readBytes: b.readBytes }),
  ...(b.writeBytes === undefined ? {} : { writeBytes: b.writeBytes })
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
  private io: Io | undefined
  private readonly gpus: GpuSampler
  /** What children of this process other than the job used, as far as the job had not ended when we looked. */
  private others = { userTicks: 0, systemTicks: 0, io: noIo }
  private readonly series = new Series(seriesLimit)

  /** `startedAt` in milliseconds since the epoch. `path`: where to look for `nvidia-smi`. */
  constructor(root: number, startedAt: number, path = process.env["PATH"]) {
    this.root = root
    this.startedAt = startedAt
    this.listTree = existsSync(`/proc/self/task/${process.pid}/children`) ? descendants : descendantsByScan
    this.gpus = new GpuSampler(findProgram("nvidia-smi", path), () => this.countOthers())
  }

  /** One sample, if anything of the tree lives. */
  look(now: number): void {
    let user = 0
    let system = 0
    let pages = 0
    let highest = 0
    let io: Io | undefined
    const tree = this.listTree(this.root)
    if (tree.length === 0) return
    for (const one of tree) {
      user += one.userTicks + one.childUserTicks
      system += one.systemTicks + one.childSystemTicks
      pages += one.residentPages
      // The kernel keeps the highest of each process: it finds a peak between two samples.
      highest = Math.max(highest, highWaterBytes(one.pid))
      const its = readIo(`/proc/${one.pid}/io`)
      if (its !== undefined) io = combine(io ?? noIo, its, plus)
    }
    const memoryBytes = pages * units.pageBytes
    // An orphan that ended takes its time with it: what was seen once is not taken back.
    this.userSeconds = Math.max(this.userSeconds, user / units.ticksPerSecond)
    this.systemSeconds = Math.max(this.systemSeconds, system / units.ticksPerSecond)
    this.peakBytes = Math.max(this.peakBytes, memoryBytes, highest)
    if (io !== undefined) this.io = combine(this.io ?? noIo, io, Math.max)
    this.count++
    this.series.add({
      atMillis: now - this.startedAt,
      cpuSeconds: this.userSeconds + this.systemSeconds,
      memoryBytes,
      processes: tree.length,
      ...(this.io === undefined ? {} : { readBytes: this.io.readBytes, writeBytes: this.io.writeBytes })
    })
    this.gpus.look(now)
  }

  /** Takes over the kernel's own count for all children that this process waited for. */
  settle(): void {
    this.gpus.stop()
    const self = readStat(process.pid)
    if (self === undefined) return
    const { io, systemTicks, userTicks } = this.others
    this.userSeconds = Math.max(this.userSeconds, (self.childUserTicks - userTicks) / units.ticksPerSecond)
    this.systemSeconds = Math.max(this.systemSeconds, (self.childSystemTicks - systemTicks) / units.ticksPerSecond)
    const settled = childrenIo()
    if (settled !== undefined) this.io = combine(this.io ?? noIo, combine(settled, io, less), Math.max)
  }

  /** Until the job itself was waited for, all that the kernel counts here is of others. */
  private countOthers(): void {
    const self = readStat(process.pid)
    const io = childrenIo() ?? noIo
    // Asked after the counts were read: a job that runs now had not been waited for then.
    const job = readStat(this.root)
    if (self === undefined || job === undefined || job.state === "Z" || job.state === "X") return
    this.others = { userTicks: self.childUserTicks, systemTicks: self.childSystemTicks, io }
  }

  usage() {
    const gpus = this.gpus.usages.all()
    return {
      cpuSecondsUser: this.userSeconds,
      cpuSecondsSystem: this.systemSeconds,
      peakMemoryBytes: this.count === 0 ? null : this.peakBytes,
      samples: this.count,
      ...(this.io === undefined ? {} : { io: this.io }),
      ...(gpus === undefined ? {} : { gpus }),
      series: this.series.all()
    }
  }
}
