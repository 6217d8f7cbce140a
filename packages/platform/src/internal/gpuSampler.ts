/**
 * What the GPUs of the machine do while a job runs, as `nvidia-smi` tells it. Runs in the wrapper, so: `node:` imports only.
 *
 * The program is a guest here. It may be absent, which is the usual case and costs a look along the PATH. It may take
 * seconds, fail, print nonsense, or hang in the driver where no signal reaches it: it is asked seldom, one at a time, with
 * a deadline, and no more after it has failed three times in a row.
 */
import { type ChildProcess, execFile } from "node:child_process"
import { accessSync, constants, statSync } from "node:fs"
import { join } from "node:path"

/** One GPU at one moment. Null is what it does not tell. */
export interface GpuReading {
  readonly index: number
  readonly name: string
  readonly utilizationPercent: number | null
  readonly memoryUsedBytes: number | null
  readonly memoryTotalBytes: number | null
  readonly powerWatts: number | null
}

const query = [
  "--query-gpu=index,name,utilization.gpu,memory.used,memory.total,power.draw",
  "--format=csv,noheader,nounits"
] as const
const firstMillis = 500
const everyMillis = 5000
/** A query that takes long disturbs the job: at most one part in so many of the time goes into them. */
const rest = 50
const patience = 3
const gpuLimit = 64
const mebibyte = 2 ** 20

const numberIn = (text: string | undefined, highest: number, unit = 1): number | null => {
  if (text === undefined || !/^\d+(?:\.\d+)?$/.test(text)) return null
  const value = Number(text)
  return value <= highest ? value * unit : null
}

/** Parses an answer. Lines that are none are left out, and so is what is no number: `[N/A]`, `[Not Supported]`, `ERR!`. */
export const parseGpus = (answer: string): ReadonlyArray<GpuReading> => {
  const found = new Map<number, GpuReading>()
  for (const line of answer.split("\n")) {
    const fields = line.split(",").map((field) => field.trim())
    if (fields.length < 6 || !/^\d{1,4}$/.test(fields[0]!) || found.size >= gpuLimit) continue
    const index = Number(fields[0])
    const [utilization, used, total, power] = fields.slice(-4)
    found.set(index, {
      index,
      name: fields.slice(1, -4).join(", ").replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "").slice(0, 100),
      utilizationPercent: numberIn(utilization, 100),
      memoryUsedBytes: numberIn(used, 1e9, mebibyte),
      memoryTotalBytes: numberIn(total, 1e9, mebibyte),
      powerWatts: numberIn(power, 1e6)
    })
  }
  return [...found.values()]
}

/** A mean and a peak of what was told. */
class Figure {
  private sum = 0
  private count = 0
  private highest = -Infinity

  add(value: number | null): void {
    if (value === null) return
    this.sum += value
    this.count++
    this.highest = Math.max(this.highest, value)
  }

  mean(): number | null {
    return this.count === 0 ? null : this.sum / this.count
  }

  peak(): number | null {
    return this.count === 0 ? null : this.highest
  }
}

interface Gpu {
  readonly name: string
  samples: number
  readonly utilization: Figure
  readonly memory: Figure
  readonly total: Figure
  readonly power: Figure
}

/** What was seen of all GPUs. */
export class GpuUsages {
  private readonly gpus = new Map<number, Gpu>()

  add(readings: ReadonlyArray<GpuReading>): void {
    for (const one of readings) {
      let gpu = this.gpus.get(one.index)
      if (gpu === undefined) {
        gpu = {
          name: one.name,
          samples: 0,
          utilization: new Figure(),
          memory: new Figure(),
          total: new Figure(),
          power: new Figure()
        }
        this.gpus.set(one.index, gpu)
      }
      gpu.samples++
      gpu.utilization.add(one.utilizationPercent)
      gpu.memory.add(one.memoryUsedBytes)
      gpu.total.add(one.memoryTotalBytes)
      gpu.power.add(one.powerWatts)
    }
  }

  /** In the order of their indices; undefined when none was seen. */
  all() {
    if (this.gpus.size === 0) return undefined
    return [...this.gpus].sort(([a], [b]) => a - b).map(([index, gpu]) => ({
      index,
      name: gpu.name,
      samples: gpu.samples,
      meanUtilizationPercent: gpu.utilization.mean(),
      peakUtilizationPercent: gpu.utilization.peak(),
      peakMemoryBytes: gpu.memory.peak(),
      totalMemoryBytes: gpu.total.peak(),
      meanPowerWatts: gpu.power.mean()
    }))
  }
}

/** Where a program lies on the PATH; undefined when nowhere. */
export const findProgram = (name: string, path: string | undefined): string | undefined =>
  (path ?? "").split(":").filter((directory) => directory.startsWith("/")).map((directory) => join(directory, name))
    .find(
      (file) => {
        try {
          accessSync(file, constants.X_OK)
          return statSync(file).isFile()
        } catch {
          return false // not there, or not for us
        }
      }
    )

/** Asks `nvidia-smi` now and then. Nothing waits for it. */
export class GpuSampler {
  readonly usages = new GpuUsages()
  private readonly program: string | undefined
  private readonly onEnd: () => void
  private readonly deadlineMillis: number
  private dueAt: number | undefined
  private running: ChildProcess | undefined
  private failures = 0
  private stopped = false

  /** `program`: where it lies. `onEnd` is called when a query has ended, however. */
  constructor(program: string | undefined, onEnd: () => void, deadlineMillis = 5000) {
    this.program = program
    this.onEnd = onEnd
    this.deadlineMillis = deadlineMillis
  }

  /** Starts a query when one is due. `now`: milliseconds of any clock that does not stand still. */
  look(now: number): void {
    this.dueAt ??= now + firstMillis
    if (this.program === undefined || this.stopped || this.running !== undefined || now < this.dueAt) return
    const begin = performance.now()
    const options = {
      timeout: this.deadlineMillis,
      killSignal: "SIGKILL",
      maxBuffer: 65_536,
      encoding: "utf8"
    } as const
    try {
      this.running = execFile(this.program, query, options, (error, answer) => {
        // Not called while the program hangs in the kernel: then no other is started, which would hang as well.
        this.running = undefined
        const readings = error === null ? parseGpus(answer) : []
        if (!this.stopped) this.usages.add(readings)
        this.failures = readings.length === 0 ? this.failures + 1 : 0
        if (this.failures >= patience) this.stopped = true
        this.dueAt = now + Math.max(everyMillis, (performance.now() - begin) * rest)
        this.onEnd()
      })
    } catch {
      this.stopped = true // no more processes, say: the job needs them more
    }
  }

  /** Whether it will ask again. */
  get isActive(): boolean {
    return this.program !== undefined && !this.stopped
  }

  /** Ends what runs, and asks no more. */
  stop(): void {
    this.stopped = true
    this.running?.kill("SIGKILL")
  }
}
